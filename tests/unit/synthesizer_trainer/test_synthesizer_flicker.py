"""Numbers that flicker between values without memory: one state, and shares of what it shows."""

from __future__ import annotations

import numpy as np
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import flicker
from components.synthesizer_trainer.core.chains import Chain, Variable
from components.synthesizer_trainer.core.events import Window
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.planning import real_grid
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer

LEVELS = np.array([-1.0, 0.5, 0.99, 1.0])
REST, PULSE, SHARE = 30, 15, 0.6


def pulses(count: int = 80, sticky: float = 0.0, seed: int = 0) -> np.ndarray:
    """Codes of rests (0) and pulses that flicker between 2 and 3; `sticky`: how often the last one stays."""
    generator = np.random.default_rng(seed)
    parts = []
    for _ in range(count):
        own = (generator.random(PULSE) < SHARE).astype(int)
        for row in range(1, PULSE):
            own[row] = own[row - 1] if generator.random() < sticky else own[row]
        parts += [np.zeros(REST, int), 2 + own]
    return np.concatenate(parts).astype(np.int32)


CODES = pulses()
ROWS = np.arange(1, len(CODES))


def bands_of(
    codes: np.ndarray,
    covariates: list[np.ndarray] | None = None,
    beside: np.ndarray | None = None,
) -> list[int]:
    variable = Variable(0, "level", LEVELS, codes)
    beside = np.zeros(len(codes), int) if beside is None else beside
    rows = np.arange(1, len(codes))
    return flicker.forgetful_bands(variable, rows, beside, covariates or [], 3).tolist()


def test_values_without_memory_are_one_band() -> None:
    assert bands_of(CODES) == [0, 1, 2, 2]


def test_values_with_memory_are_not() -> None:
    assert bands_of(pulses(sticky=0.5)) == [0, 1, 2, 3]


def test_values_that_something_else_foretells_are_not() -> None:
    phase = np.random.default_rng(1).integers(0, 4, len(CODES))
    assert bands_of(CODES, [phase]) == [0, 1, 2, 2]
    told = np.where(CODES >= 2, CODES - 2, phase % 2)
    assert bands_of(CODES, [phase, told]) == [0, 1, 2, 3]


def test_what_the_chains_state_says_is_no_memory() -> None:
    """The last rows of a pulse never show the lower value, and a flag says that they are the last."""
    codes = pulses(240)
    last = (np.arange(len(codes)) % (REST + PULSE) >= REST + 10).astype(int)
    codes = np.where(last == 1, 3, codes).astype(np.int32)
    assert bands_of(codes) == [0, 1, 2, 3]
    assert bands_of(codes, beside=last) == [0, 1, 2, 2]


def test_a_value_of_too_few_rows_is_of_no_band() -> None:
    codes = np.minimum(CODES, 2)
    codes[np.flatnonzero(codes == 2)[[5, 90]]] = 3
    codes[np.flatnonzero(codes == 2)[200:]] = 0
    assert bands_of(codes) == [0, 1, 2, 3]


def test_numbers_of_one_band_and_flags_are_left_alone() -> None:
    noise = np.random.default_rng(3).integers(0, 4, len(CODES)).astype(np.int32)
    assert bands_of(noise) == [0, 1, 2, 3]
    flag = Variable(0, "level", np.array([0.0, 1.0]), np.minimum(noise, 1))
    assert flicker.forgetful_bands(flag, ROWS, noise, [], 3).tolist() == [0, 1]


def find(variables: list[Variable], known: np.ndarray | None = None):
    known = np.ones((len(CODES), 2), bool) if known is None else known
    return flicker.find_flickers(variables, known, ROWS, [], 48, 3)


def test_the_chain_has_the_most_frequent_value_of_a_band() -> None:
    variables, groups, merged = find([Variable(0, "level", LEVELS, CODES, number=True)])
    assert groups == [(0,)] and list(merged) == [0]
    assert merged[0][0].tolist() == [0, 1, 2, 2] and merged[0][1] is CODES
    assert variables[0].codes.tolist() == np.where(CODES >= 2, 3, 0).tolist()  # 3 is in 60 % of the rows
    assert variables[0].levels is LEVELS


@pytest.mark.parametrize("role", ["level", "null", "hold"])
def test_categories_nulls_and_holds_keep_their_codes(role: str) -> None:
    variables, _, merged = find([Variable(0, role, LEVELS, CODES)])
    assert not merged and variables[0].codes is CODES


def test_what_a_variable_of_the_same_chain_foretells_may_be_merged() -> None:
    other = (CODES == 3).astype(np.int32)
    number = Variable(0, "level", LEVELS, CODES, number=True)
    together = find([number, Variable(1, "level", np.array([0.0, 1.0]), other)])
    assert together[1] == [(0, 1)]
    assert list(together[2]) == [0]  # the joint state says it


def test_a_value_that_lasts_for_some_rows_is_not_merged() -> None:
    hidden = np.repeat(np.random.default_rng(5).integers(0, 2, -(-len(CODES) // 3)), 3)[: len(CODES)]
    shown = np.where(CODES >= 2, 2 + hidden, CODES).astype(np.int32)
    assert bands_of(shown) == [0, 1, 2, 3]


def test_rows_without_a_value_say_nothing() -> None:
    """A filled-in value repeats the last one, which looks like memory."""
    filled, generator = CODES.copy(), np.random.default_rng(4)
    known = generator.random(len(CODES)) < 0.5
    for row in np.flatnonzero(~known)[1:]:
        filled[row] = filled[row - 1]
    number = Variable(0, "level", LEVELS, filled, number=True)
    assert not find([number])[2]
    assert list(find([number], np.stack([known, known], 1))[2]) == [0]


def chain_of(codes: np.ndarray, flag: np.ndarray) -> Chain:
    """Of the merged number and a flag: rest, pulse, pulse with the flag."""
    table = np.full((1, 1, 3, 3), 1 / 3)
    return Chain(
        variables=(0, 1),
        states=np.array([[0, 0], [3, 0], [3, 1]], np.int32),
        codes=np.where(codes < 2, 0, 1 + flag),
        covariates=(),
        sizes=(),
        cumulative=np.cumsum(table, axis=-1),
        block=np.zeros(2, np.int32),
        frequency=np.full(3, 1 / 3),
        resting=np.arange(3) == 0,
    )


def fit(codes: np.ndarray, flag: np.ndarray, windows: list[Window]) -> flicker.Flicker:
    normal = np.ones(len(codes), bool)
    for window in windows:
        normal[window.rows] = False
    band = np.array([0, 1, 2, 2])
    return flicker.fit_flicker(0, band, codes, chain_of(codes, flag), normal, windows)


def test_each_state_has_its_own_shares() -> None:
    flag = (np.arange(len(CODES)) % 45 >= 38).astype(int)
    codes = np.where((CODES >= 2) & (flag == 1), 3, CODES)
    found = fit(codes, flag, [])
    assert found.states.sum(1) == pytest.approx(1) and found.events.shape == (0, 4)
    assert found.states[0].tolist() == pytest.approx([1, 0, 0, 0])
    assert found.states[1] == pytest.approx([0, 0, 1 - SHARE, SHARE], abs=0.06)
    assert found.states[2, 3] > 0.98


def test_an_event_has_its_own_shares_where_its_rows_say_so() -> None:
    rows = np.flatnonzero(CODES >= 2)
    odd, usual = rows[:30], rows[60:90]
    codes = CODES.copy()
    codes[odd] = np.where(np.arange(30) % 10 == 0, 3, 2)
    windows = [Window(1, own, own - own[0], True) for own in (odd, usual, np.array([0, 1, 2]))]
    found = fit(codes, np.zeros(len(codes), int), windows)
    assert found.events[0, 2:] == pytest.approx([0.9, 0.1], abs=0.03)
    for place in (1, 2):
        assert found.events[place, 2:] == pytest.approx([1 - SHARE, SHARE], abs=0.05)
    assert found.events[:, :2] == pytest.approx(1)  # bands of one value


def test_what_is_drawn_has_the_shares_and_a_forced_code_stays() -> None:
    uniform = (np.arange(1000) + 0.5) / 1000
    table = np.cumsum([[1, 0, 0, 0], [0, 0, 0.4, 0.6]], axis=1)
    states, own = np.repeat([0, 1], 500), np.array([0, 3])
    heads = own[states]
    drawn = flicker.shown_codes(heads, uniform, states, own, table)
    assert set(drawn[:500]) == {0} and (drawn[500:] == 3).all()  # the upper half of what is uniform
    drawn = flicker.shown_codes(np.full(1000, 3), uniform, np.ones(1000, int), own, table)
    assert np.bincount(drawn).tolist() == [0, 0, 400, 600]
    forced = np.zeros(1000, int)
    assert flicker.shown_codes(forced, uniform, np.ones(1000, int), own, table).tolist() == forced.tolist()
    band, shares = np.array([0, 1, 2, 2]), np.array([1, 1, 0.9, 0.1])
    event = flicker.shown_in_event(np.tile([0, 3], 500), uniform, band, shares)
    assert set(event[::2]) == {0} and np.bincount(event[1::2]).tolist() == [0, 0, 450, 50]


INTERVAL_S = 60.0
DATASET = DatasetConfig(
    features=(FeatureConfig(name="telemetry"), FeatureConfig(name="flag", kind="binary")),
    targets=("telemetry",),
    interval_s=INTERVAL_S,
    label="label",
)


@pytest.mark.heavy
def test_a_trained_model_shows_each_states_values_and_each_events() -> None:
    codes = pulses(120)
    place = np.arange(len(codes)) % (REST + PULSE)
    flag = (place >= REST + 10).astype(int)  # the pulse's end, which never shows the lower value
    codes = np.where(flag == 1, 3, codes).astype(np.int32)
    kind = ((np.arange(len(codes)) // (REST + PULSE) % 12 == 11) & (place >= REST)).astype(np.int32)
    codes = np.where((kind == 1) & (flag == 0), 2, codes)
    time_us = (np.arange(len(codes)) * INTERVAL_S * MICROSECONDS).astype(np.int64)
    segment = np.zeros(len(codes), np.int32)
    values = np.stack([LEVELS[codes], flag], axis=1)
    panel = Panel(time_us, segment, segment, values, kind, ("low",), {}, 1)
    config = SynthesizerTrainerConfig(dataset=DATASET, max_steps=0)
    ranges = {"telemetry": (-1.0, 1.0)}
    trained = train_synthesizer(panel, None, config, {}, ranges, 1, "locale=xx")
    synthesizer = Synthesizer(trained.module)
    (number,) = [v for v in synthesizer.metadata["variables"] if v["flicker"] >= 0]
    assert number["feature"] == 0 and number["band"] == [0, 1, 1]  # 0.5 is in no row
    grid = real_grid(time_us, segment, INTERVAL_S)
    sessions = synthesizer.plan_events(grid, {}, 2)
    made = synthesizer.sample(sessions, 3)[0]
    again = synthesizer.sample(sessions, 3)[0]
    assert made["values"].tobytes() == again["values"].tobytes()
    shown, on, event = made["values"][:, 0], made["values"][:, 1] == 1, made["kind"] > 0
    assert set(np.unique(shown)) == {-1.0, 0.99, 1.0}
    high = shown > 0
    assert (shown[high & ~on & ~event] == 1.0).mean() == pytest.approx(SHARE, abs=0.06)
    assert (shown[high & on & ~event] == 1.0).mean() > 0.97
    assert event.any() and (shown[high & event] == 0.99).mean() > 0.5
    # A value has no memory of the one before.
    pair = high[1:] & high[:-1] & ~on[1:] & ~on[:-1] & ~event[1:]
    one = shown[1:][pair] == 1.0
    before = shown[:-1][pair] == 1.0
    assert abs(one[before].mean() - one[~before].mean()) < 0.1
