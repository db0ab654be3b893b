"""Splits: blocks of consecutive time, interleaved, with their share of the anomalies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.config import SplitConfig
from components.example_gen.core import splits
from components.example_gen.core.keys import Keys

MINUTE_US = 60_000_000


def minutes(rows: int, series: int = 1, label: np.ndarray | None = None) -> Keys:
    """Series of so many one-minute rows each."""
    numbers = np.repeat(np.arange(series), rows)
    stamps = np.tile(np.arange(rows) * MINUTE_US, series)
    return Keys(numbers, stamps, label)


def in_pieces(keys: Keys, size: int) -> list[Keys]:
    parts = [slice(start, start + size) for start in range(0, max(len(keys.series), 1), size)]
    label = keys.label
    return [
        Keys(keys.series[part], keys.timestamp[part], None if label is None else label[part])
        for part in parts
    ]


def assign_rows(
    keys: Keys, config: SplitConfig, interval_s: float, seed: int, size: int = 1 << 20
) -> tuple[np.ndarray, float]:
    """Split number of each row, and the length of a block."""
    found = splits.assign_rows(in_pieces(keys, size), config, interval_s, seed)
    assert found.block_s is not None
    return found.of(0, found.rows), found.block_s


def choose_block_s(keys: Keys, interval_s: float) -> float:
    whole = splits.choose_block_s([keys], interval_s)
    assert splits.choose_block_s(in_pieces(keys, 999), interval_s) == whole
    return whole


def test_hourly_blocks_and_their_shares() -> None:
    keys = minutes(6_000)  # 100 hours
    assigned, block_s = assign_rows(keys, SplitConfig(block_s=3_600), 60, seed=1)
    assert block_s == 3_600
    blocks = assigned.reshape(100, 60)
    assert (blocks == blocks[:, :1]).all()  # no block is torn
    assert np.bincount(blocks[:, 0]).tolist() == [70, 10, 20]
    # Interleaved: every ten hours hold two of holdout, so it lies nowhere in one piece.
    assert [(part[:, 0] == 2).sum() for part in np.split(blocks, 10)] == [2] * 10


def test_same_seed_same_splits_another_seed_others() -> None:
    keys = minutes(6_000, series=3)
    config = SplitConfig(block_s=3_600)
    first, again, other = (assign_rows(keys, config, 60, seed)[0] for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_an_event_is_not_cut_but_a_long_one_is() -> None:
    label = np.zeros(6_000, dtype=np.int64)
    label[50:75] = 1  # across the first hour's end
    label[600:960] = 1  # six hours
    assigned, _ = assign_rows(minutes(6_000, label=label), SplitConfig(block_s=3_600), 60, seed=0)
    changes = np.flatnonzero(np.diff(assigned)) + 1
    assert not ((changes > 50) & (changes < 75)).any()
    assert set(changes.tolist()) - {75} <= set(range(0, 6_000, 60))  # otherwise the hours stand
    assert len(set(assigned[600:960].tolist())) > 1


def test_events_of_neighbouring_series_are_two_events() -> None:
    label = np.zeros(120, dtype=np.int64)
    label[55:65] = 1  # end of the first series, beginning of the second
    keys = Keys(np.repeat([0, 1], 60), np.tile(np.arange(60) * MINUTE_US, 2), label)
    assigned, _ = assign_rows(keys, SplitConfig(block_s=3_600, train_fraction=0.5, eval_fraction=0,
                                                holdout_fraction=0.5), 60, seed=0)  # fmt: skip
    assert (assigned[:60] == assigned[0]).all() and (assigned[60:] == assigned[60]).all()
    assert assigned[0] != assigned[60]


@pytest.mark.parametrize("events", [3, 4, 30])
def test_every_split_gets_labelled_events_when_there_are_enough(events: int) -> None:
    label = np.zeros(60_000, dtype=np.int64)
    for event in range(events):
        label[event * 1_200 + 10 : event * 1_200 + 20] = 1
    for seed in range(5):
        assigned, _ = assign_rows(minutes(60_000, label=label), SplitConfig(block_s=3_600), 60, seed)
        counts = np.bincount(assigned[label == 1], minlength=3)
        assert (counts > 0).all()
        assert counts.argmax() == 0 or events == 3


def test_block_length_by_the_data() -> None:
    assert choose_block_s(minutes(100_000), 60) == 256 * 60
    assert choose_block_s(minutes(1_440_000), 1) == 3_600  # an hour at least
    assert choose_block_s(minutes(1_000), 60) == 1_000 * 60 / 20  # twenty blocks of a short series
    assert choose_block_s(minutes(10), 60) == 16 * 60
    empty = Keys(np.zeros(0, np.int32), np.zeros(0, np.int64), None)
    assert choose_block_s(empty, 60) == 3_600
    assert len(assign_rows(empty, SplitConfig(), 60, 0)[0]) == 0


def test_one_row_goes_to_train() -> None:
    assert assign_rows(minutes(1), SplitConfig(), 60, 0)[0].tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=6),
    fractions=st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0), (0.34, 0.33, 0.33)]),
    seed=st.integers(0, 9),
    block_min=st.integers(1, 90),
)
def test_blocks_keep_time_together_and_fractions_hold(
    lengths: list[int], fractions: tuple[float, float, float], seed: int, block_min: int
) -> None:
    rng = np.random.default_rng(seed)
    series = np.repeat(np.arange(len(lengths)), lengths)
    stamps = (
        np.concatenate([np.sort(rng.choice(1_000, length, replace=False)) for length in lengths]) * MINUTE_US
    )
    label = (rng.random(len(series)) < 0.05).astype(np.int64)
    train, evaluation, holdout = fractions
    config = SplitConfig(
        train_fraction=train, eval_fraction=evaluation, holdout_fraction=holdout, block_s=block_min * 60
    )
    assigned, _ = assign_rows(Keys(series, stamps, label), config, 60, seed)
    assert set(assigned.tolist()) <= set(range(len(config.fractions())))
    hour = stamps // (block_min * MINUTE_US)
    # Within a series and a block of the clock, the split changes at most where a moved event ends.
    same = (np.diff(series) == 0) & (np.diff(hour) == 0)
    torn = np.flatnonzero(same & (np.diff(assigned) != 0))
    assert all(label[row] == 1 for row in torn)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.integers(1, 40), share=st.sampled_from([0.0, 0.1, 0.6]))
def test_pieces_do_not_matter(seed: int, size: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, 4)
    stamps = np.concatenate([np.sort(rng.choice(200, length, replace=False)) for length in lengths])
    label = (rng.random(len(stamps)) < share).astype(np.int64)
    keys = Keys(np.repeat(np.arange(4), lengths), stamps * MINUTE_US, label)
    config = SplitConfig(block_s=10 * 60)
    whole, _ = assign_rows(keys, config, 60, seed)
    cut, _ = assign_rows(keys, config, 60, seed, size=size)
    assert (whole == cut).all()
    found = splits.assign_rows([keys], config, 60, seed)
    parts = [found.of(start, min(start + size, found.rows)) for start in range(0, found.rows, size)]
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("gone", [0, 700, 1999])
def test_dealt_by_time_a_row_less_moves_no_other_row(gone: int) -> None:
    label = np.zeros(2_000, np.int8)
    label[gone] = 1
    series = np.repeat(np.arange(2), 1_000)
    stamps = np.tile(np.arange(1_000) * MINUTE_US, 2)
    config = SplitConfig(deal="by_time", block_s=600)
    whole = Keys(series, stamps, label)
    keep = np.arange(2_000) != gone
    less = Keys(series[keep], stamps[keep], label[keep])
    left, _ = assign_rows(whole, config, 60, 3)
    # In pieces, as large sources come.
    right, _ = assign_rows(less, config, 60, 3, size=900)
    assert np.array_equal(left[keep], right)
    # The balanced deal does move others: that is why there are two.
    if gone == 700:
        before, after = (assign_rows(k, SplitConfig(block_s=600), 60, 3)[0] for k in (whole, less))
        assert not np.array_equal(before[keep], after)


def test_dealt_by_time_the_shares_are_met() -> None:
    keys = Keys(np.zeros(40_000, np.int32), np.arange(40_000) * MINUTE_US, None)
    assigned = assign_rows(keys, SplitConfig(deal="by_time", block_s=600), 60, 1)[0]
    assert np.bincount(assigned) / 40_000 == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    empty = Keys(np.zeros(0, np.int32), np.zeros(0, np.int64), None)
    assert len(assign_rows(empty, SplitConfig(deal="by_time"), 60, 1)[0]) == 0
