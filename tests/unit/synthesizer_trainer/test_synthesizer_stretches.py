"""Events in which a number of few values stays where it would not: pulses that do not end."""

from __future__ import annotations

import numpy as np
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import events, stretches
from components.synthesizer_trainer.core.chains import Chain, Variable
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.planning import real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer

INTERVAL_S, REST, PULSE, EVENT, STUCK = 60.0, 46, 14, 80, 60
LEVELS = np.array([-1.0, 0.99, 1.0])
DATASET = DatasetConfig(
    features=(FeatureConfig(name="telemetry"),), targets=("telemetry",), interval_s=INTERVAL_S, label="label"
)


def pulses(periods: int = 60, every: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a pulse that flickers between two values, and the kind of every row.

    In every tenth period there is an event of `EVENT` rows: its pulse begins after 10 rows, for `STUCK`.
    """
    generator = np.random.default_rng(0)
    codes, kind = [], []
    for period in range(periods):
        stuck = period % every == every - 1
        rest = REST + int(generator.integers(-6, 7))
        length = STUCK if stuck else PULSE
        codes += [np.zeros(rest, int), generator.integers(1, 3, length)]
        own = np.zeros(rest + length, int)
        if stuck:
            codes.append(np.zeros(EVENT - STUCK - 10, int))
            own = np.r_[np.zeros(rest - 10, int), np.ones(EVENT, int)]
        kind.append(own)
    return np.concatenate(codes).astype(np.int32), np.concatenate(kind).astype(np.int32)


CODES, KIND = pulses()
SEGMENT = np.zeros(len(CODES), np.int64)
TIME_US = (np.arange(len(CODES)) * INTERVAL_S * MICROSECONDS).astype(np.int64)


def windows(kind: np.ndarray = KIND) -> list[events.Window]:
    found = events.find_windows(kind, SEGMENT, SEGMENT, TIME_US, INTERVAL_S * MICROSECONDS)
    return events.templates(found)


def pairs_of(kind: np.ndarray) -> np.ndarray:
    """Normal rows after normal ones."""
    return np.flatnonzero((kind[1:] == 0) & (kind[:-1] == 0)) + 1


def found_in(
    codes: np.ndarray, kind: np.ndarray = KIND, number: bool = True
) -> list[stretches.Stretch | None]:
    variable = Variable(0, "level", LEVELS[: codes.max() + 1], codes, number)
    return stretches.find_stretches([variable], windows(kind), SEGMENT, kind, pairs_of(kind))


def test_values_between_which_a_number_flickers_are_one_band() -> None:
    pairs = np.arange(1, len(CODES))
    rest, low, high = stretches.bands(CODES, pairs, 3)
    assert low == high != rest
    # A value that is left at once, and hardly ever gone to, is in nobody's band.
    rare = np.where(np.arange(len(CODES)) % 400 == 0, 2, np.minimum(CODES, 1)).astype(np.int32)
    assert len(set(stretches.bands(rare, pairs, 3))) == 3


def test_a_pulse_that_does_not_end_is_a_stretch_of_its_event() -> None:
    found = found_in(CODES)
    assert len(found) == 6
    for stretch, window in zip(found, windows()):
        assert stretch is not None and stretch.variable == 0 and stretch.kind == 1
        assert stretch.band.tolist() == [False, True, True]
        assert (stretch.begin, stretch.end) == (10 / EVENT, (10 + STUCK) / EVENT)
        assert stretch.rows.tolist() == window.rows[10 : 10 + STUCK].tolist()


def test_rows_that_a_holdout_took_do_not_part_a_stretch() -> None:
    window = windows()[0]
    seen = np.r_[0:30, 50:EVENT]
    cut = events.Window(1, window.rows[seen], window.place[seen], True)
    variable = Variable(0, "level", LEVELS, CODES, number=True)
    (stretch,) = stretches.find_stretches([variable], [cut], SEGMENT, KIND, pairs_of(KIND))
    assert stretch is not None and (stretch.begin, stretch.end) == (10 / EVENT, (10 + STUCK) / EVENT)
    assert len(stretch.rows) == STUCK - 20


def test_what_normal_rows_do_as_well_is_no_stretch() -> None:
    calm = np.zeros_like(KIND)
    calm[100:180] = 1  # a label on rows like all others
    usual, _ = pulses(every=1000)
    codes = np.resize(usual, len(CODES))
    assert found_in(codes, calm) == [None]


@pytest.mark.parametrize("change", [{"codes": np.minimum(CODES, 1)}, {"number": False}])
def test_flags_and_what_is_no_number_have_none(change: dict) -> None:
    """A kind's own transitions speak for those."""
    assert found_in(**({"codes": CODES} | change)) == [None] * 6


def test_a_confined_chain_enters_its_band_and_stays() -> None:
    table = np.array([[[0.9, 0.06, 0.04], [0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]])
    inside, frequency = np.array([False, True, True]), np.array([0.7, 0.2, 0.1])
    found = stretches.confined(table, inside, frequency)[0]
    assert found[0] == pytest.approx([0, 0.6, 0.4])
    assert found[1] == pytest.approx([0, 0.6, 0.4])
    assert found[2] == pytest.approx([0, 2 / 3, 1 / 3])  # no way on: as often as they are
    assert stretches.confined(table, ~inside, frequency)[0] == pytest.approx(np.array([[1.0, 0, 0]] * 3))


def test_events_share_the_block_of_a_kind_and_band_and_tables_stay_small() -> None:
    table = np.array([[[0.9, 0.06, 0.04], [0.5, 0.3, 0.2], [0.8, 0.1, 0.1]]])
    chain = Chain(
        variables=(0,),
        states=np.arange(3, dtype=np.int32)[:, None],
        codes=CODES,
        covariates=(),
        sizes=(),
        cumulative=np.cumsum(table, axis=-1)[None],
        block=np.zeros(3, np.int32),
        frequency=np.array([0.7, 0.2, 0.1]),
        resting=np.arange(3) == 0,
    )
    high, rest = np.array([False, True, True]), np.array([True, False, False])
    rows = np.zeros(0, np.int64)
    given = [
        stretches.Stretch(1, 0, high, 0.1, 0.9, rows),
        None,
        stretches.Stretch(1, 0, high, 0.3, 0.5, rows),
        stretches.Stretch(2, 0, rest, 0.0, 0.5, rows),
        stretches.Stretch(2, 1, rest, 0.0, 0.5, rows),
    ]
    found = stretches.with_stretches(chain, given)
    assert found.event_block.tolist() == [1, 0, 1, 2, 0] and len(found.cumulative) == 3
    assert found.cumulative[0] == pytest.approx(chain.cumulative[0])
    assert found.cumulative[1][0, :, 0] == pytest.approx(0)
    assert found.cumulative[2][0, :, 0] == pytest.approx(1)
    one_more = table.size // 2 + 1
    assert stretches.with_stretches(chain, given, one_more).event_block.tolist() == [1, 0, 1, 0, 0]


def runs(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Lengths of the pulses in some rows."""
    high = np.r_[False, (codes > 0) & rows, False]
    edges = np.flatnonzero(np.diff(high.astype(int)))
    return np.diff(edges)[::2]


@pytest.mark.heavy
def test_sampled_events_have_pulses_that_do_not_end() -> None:
    panel = Panel(
        TIME_US,
        SEGMENT.astype(np.int32),
        SEGMENT.astype(np.int32),
        LEVELS[CODES][:, None],
        KIND,
        ("stuck",),
        {},
        1,
    )
    config = SynthesizerTrainerConfig(dataset=DATASET, max_steps=0)
    trained = train_synthesizer(panel, None, config, {}, {"telemetry": (-1.0, 1.0)}, 1, "locale=xx")
    synthesizer = Synthesizer(trained.module)
    assert (synthesizer.store["event_cause"] > 0).all()
    sessions = synthesizer.plan_events(real_grid(TIME_US, SEGMENT, INTERVAL_S), {"stuck": 2.0}, 2)
    made = synthesizer.sample(sessions, 3)[0]
    codes = np.searchsorted(LEVELS, made["values"][:, 0])
    assert set(np.unique(codes)) == {0, 1, 2}
    event = made["kind"] > 0
    begins = np.flatnonzero(event[1:] & ~event[:-1]) + 1
    longest = []
    for begin in begins:
        end = begin + int(np.argmin(np.r_[event[begin:], False]))
        rows = np.zeros(len(codes), bool)
        rows[begin:end] = True
        longest.append(runs(codes, rows).max() / (end - begin))
        # Within it the number flickers as ever.
        assert 0.2 < (codes[rows & (codes > 0)] == 2).mean() < 0.8
    assert len(longest) >= 6 and min(longest) >= STUCK / EVENT - 0.03
    assert 0.8 * PULSE < np.median(runs(codes, ~event)) < 1.3 * PULSE
