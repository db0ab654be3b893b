"""A number that climbs and falls by single steps keeps its way: a sawtooth stays one."""

from __future__ import annotations

import numpy as np
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import courses, feature_kinds
from components.synthesizer_trainer.core.chains import Variable, group_variables
from components.synthesizer_trainer.core.fidelity import compare
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.planning import real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer

ROWS, INTERVAL_S, LEVELS = 4000, 60.0, 14
ZERO = np.zeros(ROWS, np.int32)
PAIRS = np.arange(1, ROWS)
DATASET = DatasetConfig(
    features=(FeatureConfig(name="temp"),), targets=("temp",), interval_s=INTERVAL_S, label="label"
)


def sawtooth(generator: np.random.Generator) -> np.ndarray:
    """Falls by one step in 4 to 8 rows, and rises by one in 2; turns near the ends. Shape [ROWS], int."""
    level, up, out = 7, False, []
    while len(out) < ROWS:
        out += [level] * (2 if up else int(generator.integers(4, 9)))
        if level == 0 or (not up and level <= 3 and generator.random() < 0.4):
            up = True
        elif level == LEVELS - 1 or (up and level >= 10 and generator.random() < 0.4):
            up = False
        level += 1 if up else -1
    return np.array(out[:ROWS])


def onward(codes: np.ndarray) -> float:
    """Share of the moves that go the way of the one before."""
    moves = np.sign(np.diff(codes)[np.diff(codes) != 0])
    return float((moves[1:] == moves[:-1]).mean())


def number(codes: np.ndarray) -> Variable:
    levels = np.arange(codes.max() + 1.0)
    return Variable(0, "level", levels, codes.astype(np.int32), number=True)


def test_a_row_knows_which_way_its_number_last_moved() -> None:
    codes = np.array([2, 2, 3, 3, 2, 2, 1, 1, 5, 5, 4])
    segment = np.array([0] * 8 + [1] * 3)
    # Before the first move of a segment it is the way of that move; nobody saw another.
    assert courses.directions(codes, segment).tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert courses.directions(codes[:2], segment[:2]).tolist() == [0, 0]
    still = np.array([1, 2, 7, 7, 7, 3, 4])
    assert courses.directions(still, np.array([0, 0, 1, 1, 1, 2, 2])).tolist()[:2] == [1, 1]


def test_a_sawtooth_has_a_course_and_noise_has_none() -> None:
    generator = np.random.default_rng(0)
    (found,) = courses.find_courses([number(sawtooth(generator))], ZERO, PAIRS)
    assert found.role == "course" and found.feature == 0 and set(found.codes) == {0, 1}
    walk = np.clip(np.cumsum(generator.integers(-1, 2, ROWS)), 0, 9)
    flicker = generator.integers(0, 4, ROWS)
    for codes in (walk, flicker, flicker % 2):
        assert courses.find_courses([number(codes)], ZERO, PAIRS) == []
    flag = Variable(0, "level", np.arange(LEVELS), sawtooth(generator).astype(np.int32))
    assert courses.find_courses([flag], ZERO, PAIRS) == []  # categories have no order


def test_a_course_is_in_the_chain_of_its_number() -> None:
    generator = np.random.default_rng(1)
    own = number(sawtooth(generator))
    other = Variable(1, "level", np.arange(2.0), generator.integers(0, 2, ROWS).astype(np.int32))
    (course,) = courses.find_courses([own], ZERO, PAIRS)
    assert group_variables([own, other, course], limit=2, min_count=3) == [(0, 2), (1,)]


def test_a_number_that_climbs_is_stepwise_where_it_is_the_only_one() -> None:
    generator = np.random.default_rng(2)
    steps = sawtooth(generator).astype(float)
    assert feature_kinds.climbs(steps, ZERO) and not feature_kinds.jumps(steps, ZERO)
    assert feature_kinds.is_stepwise(steps, ZERO, alone=True)
    assert not feature_kinds.is_stepwise(steps, ZERO, alone=False)
    far = np.repeat(np.cumsum(generator.choice([-3.0, 2.0, 5.0, -4.0], 1000)) % 20, 4)
    assert not feature_kinds.climbs(far, ZERO)
    assert feature_kinds.is_stepwise(steps % 5, ZERO, alone=False)  # few values anyhow


@pytest.mark.heavy
def test_a_sampled_sawtooth_falls_and_rises_as_the_real_one() -> None:
    codes = sawtooth(np.random.default_rng(3))
    values = 20.0 + 0.5 * codes[:, None]
    time_us = (np.arange(ROWS) * INTERVAL_S * MICROSECONDS).astype(np.int64)
    panel = Panel(time_us, ZERO, ZERO, values, ZERO, (), {}, 1)
    quantiles = {"temp": np.quantile(values, np.linspace(0, 1, 201), method="nearest")}
    ranges = {"temp": (float(values.min()), float(values.max()))}
    config = SynthesizerTrainerConfig.small(DATASET, max_steps=0)
    trained = train_synthesizer(panel, None, config, quantiles, ranges, 4, "x")
    synthesizer = Synthesizer(trained.module)
    made = synthesizer.sample(real_grid(time_us, ZERO, INTERVAL_S), 5)[0]["values"]
    assert np.isin(made, values).all()
    sampled = np.rint((made[:, 0] - 20.0) / 0.5).astype(int)
    assert np.abs(np.diff(sampled)).max() == 1
    assert onward(sampled) == pytest.approx(onward(codes), abs=0.05) and onward(codes) > 0.85
    rises = [(np.diff(one) > 0).sum() / len(one) for one in (codes, sampled)]
    assert rises[1] == pytest.approx(rises[0], rel=0.15)
    found = compare(values, panel.segment, made, panel.segment, [0])
    assert found["marginal"] > 0.93 and found["acf"] < 0.1
