"""Memory of what varies at some hours of the day only."""

from __future__ import annotations

import numpy as np
import pytest

from components.drift.core import memory, modulation, persistence
from components.drift.core.blocks import make_blocks
from components.drift.core.pairing import Hours
from tests.unit.drift.series import two_spans

DAYS = 14
HOURS = 24 * DAYS
NOON = np.cos(2 * np.pi * np.arange(2 * HOURS) / 24)


@pytest.fixture(scope="module")
def design() -> persistence.Design:
    blocks = make_blocks(*two_spans(DAYS, 1), 86_400, Hours(np.ones(HOURS), np.ones(HOURS)))
    assert blocks.course is not None
    return persistence.make_design(blocks.course)


def processes(memory_h: float, count: int) -> np.ndarray:
    """First-order processes, the later side first. Shape [hours, count]."""
    gap = np.abs(np.subtract.outer(np.arange(2.0 * HOURS), np.arange(2.0 * HOURS)))
    root = np.linalg.cholesky(np.exp(-gap / memory_h))
    return np.roll(root @ np.random.default_rng(0).standard_normal((2 * HOURS, count)), HOURS, axis=0)


def labels(memory_h: float, count: int) -> np.ndarray:
    """Whether a level that is higher by day is above a limit; seldom so by night. Shape [hours, count, 1]."""
    return (processes(memory_h, count) + NOON[:, None] > 1).astype(float)[:, :, None]


def true_ratio(course: np.ndarray) -> float:
    """Variance of the difference of the sides' means over what the days within the sides show of it."""
    days = course.reshape(2 * DAYS, 24, -1).mean(axis=1)
    within = (days[:DAYS].var(axis=0, ddof=1) + days[DAYS:].var(axis=0, ddof=1)).mean() / DAYS
    return float((days[:DAYS].mean(axis=0) - days[DAYS:].mean(axis=0)).var() / within)


def test_a_spread_that_is_the_same_at_all_hours_changes_nothing(design: persistence.Design) -> None:
    within, dealt = modulation.ratios(np.ones((24, 1)), design)
    assert within[:, 0] == pytest.approx(design.within)
    assert dealt[:, 0] == pytest.approx(design.dealt)
    waves = np.tensordot(design.basis, processes(10.0, 3), axes=(0, 0))
    found = modulation.likelihoods(waves, np.ones((24, 3)), design)
    plain = memory._weights(memory._powers(waves[:, :, None], design), np.ones((3, 1)), design)[:, :, 0]
    with np.errstate(divide="ignore"):
        expected = np.log(plain / design.prior[:, None])
    likely = plain > 1e-12
    assert likely.sum() > 30
    assert (found - found[0])[likely] == pytest.approx((expected - expected[0])[likely], abs=1e-3)


def test_the_spread_of_each_hour_is_found(design: persistence.Design) -> None:
    spread = 1 + 0.8 * NOON[:24]
    white = np.random.default_rng(0).standard_normal((2 * HOURS, 300, 1))
    course = white * np.tile(spread, 2 * DAYS)[:, None, None]
    found = modulation.spread_of_day(course, design.course)
    assert found.shape == (24, 300, 1)
    assert np.square(found).mean(axis=0) == pytest.approx(1.0)
    wanted = np.sqrt(27 * spread**2 + 8 * (spread**2).mean())
    wanted /= np.sqrt(np.square(wanted).mean())
    assert np.sqrt(np.square(found).mean(axis=(1, 2))) == pytest.approx(wanted, rel=0.05)
    assert modulation.is_modulated(found).mean() > 0.99
    assert modulation.is_modulated(modulation.spread_of_day(white, design.course)).mean() < 0.1


def test_what_differs_between_sides_is_no_spread(design: persistence.Design) -> None:
    course = np.random.default_rng(0).standard_normal((2 * HOURS, 5, 1))
    moved = course.copy()
    moved[:HOURS] += 100
    assert modulation.spread_of_day(moved, design.course) == pytest.approx(
        modulation.spread_of_day(course, design.course)
    )
    assert (modulation.spread_of_day(np.full((2 * HOURS, 1, 1), 3.0), design.course) == 1).all()


@pytest.mark.parametrize("memory_h", [4.0, 24.0])
def test_the_memory_of_labels_is_found(design: persistence.Design, memory_h: float) -> None:
    course = labels(memory_h, 150)
    # That of many more series, which are quick to make.
    true = true_ratio(labels(memory_h, 3_000))
    found = memory.remember(course, design).within.mean(axis=0)
    assert found.mean() == pytest.approx(true, rel=0.2)


def test_without_the_course_of_the_day_labels_seem_quick(
    design: persistence.Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = labels(24.0, 150)
    with_it = memory.remember(course, design).within.mean()
    monkeypatch.setattr(modulation, "is_modulated", lambda spread: np.zeros(spread.shape[1:], dtype=bool))
    assert memory.remember(course, design).within.mean() < 0.85 * with_it


def test_few_leading_components_are_turned_to_what_varies(design: persistence.Design) -> None:
    """Labels beside flat noise: the turned axis is the label's, so its hours count."""
    course = np.concatenate([labels(24.0, 40), np.zeros((2 * HOURS, 40, 2))], axis=2)
    alone = memory.remember(course[:, :, :1], design)
    assert memory.remember(course, design).within == pytest.approx(alone.within, rel=1e-6)
