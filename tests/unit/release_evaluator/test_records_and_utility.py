"""Segments, chunks, windows, nearest neighbours, utility: brute force and known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score, f1_score

from components.errors import UndefinedMetricError
from components.release_evaluator.core import frames, records, utility
from components.release_evaluator.core.attacks import base, replay
from components.release_evaluator.core.frames import Columns, Encoder, chunk_ids, segment_ids, window_starts

MINUTE = 60_000_000


def simple(time, series=None, label=None, **numeric):
    time = np.asarray(time, np.int64)
    series = np.zeros(len(time), np.int64) if series is None else np.asarray(series)
    return Columns({k: np.asarray(v, float) for k, v in numeric.items()}, {}, {}, time, series, label)


def test_segments_break_at_gaps_and_series():
    time = np.array([0, 1, 2, 4, 5, 0, 1, 1]) * MINUTE
    found = segment_ids(simple(time, [0, 0, 0, 0, 0, 1, 1, 1]), 60)
    assert found.tolist() == [0, 0, 0, 1, 1, 2, 2, 3]
    assert len(segment_ids(simple([]), 60)) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 20))
def test_chunks_are_even_and_never_cross_blocks(sizes, length):
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    chunks = chunk_ids(blocks, length)
    frame = pd.DataFrame({"block": blocks, "chunk": chunks})
    assert (frame.groupby("chunk").block.nunique() == 1).all()
    assert set(np.diff(chunks)) <= {0, 1} and chunks[0] == 0
    counts = frame.groupby("block").chunk.value_counts()
    assert all(part.max() - part.min() <= 1 for _, part in counts.groupby(level=0))


def test_windows_stay_inside_segments():
    assert window_starts(np.array([0, 0, 0, 1, 1]), 2).tolist() == [0, 1, 3]
    assert len(window_starts(np.array([0, 0]), 3)) == 0
    label = np.array([False, False, True, False, False, False])
    found = records.make_records(np.zeros((6, 1)), np.zeros(6, int), np.array([0, 0, 0, 0, 1, 1]), label, 2)
    assert found.starts.tolist() == [0, 1, 2, 4]
    assert found.rare.tolist() == [False, True, True, False]
    assert found.chunk.tolist() == [0, 0, 0, 1]


def test_encoder_scales_by_range_marks_missing_and_keeps_categories_apart():
    rng = np.random.default_rng(0)
    real = Columns(
        {
            "a": np.r_[rng.uniform(0, 10, 999), 1e6],
            "flat": np.full(1000, 3.0),
            "gap": np.r_[np.nan, np.zeros(999)],
        },
        {"m": np.arange(1000) % 3, "b": np.arange(1000) % 2},
        {"m": 3, "b": 2},
        np.arange(1000),
        np.zeros(1000, int),
        None,
    )
    points = Encoder.fit([real]).encode(real)
    # a, mark of gap, three of m, one of b
    assert points.shape == (1000, 6)
    assert np.ptp(points[:999, 0]) == pytest.approx(1, abs=0.05)  # the spike does not set the scale
    assert points[0, 1] == 1 and points[1:, 1].sum() == 0
    assert np.linalg.norm(points[0, 2:5] - points[1, 2:5]) == pytest.approx(1)


def test_rare_categories_share_a_code():
    import pyarrow as pa

    from components.dataset import DatasetConfig, FeatureConfig

    names = [f"c{i:03d}" for i in range(100)]
    table = pa.table({"timestamp": np.arange(100, dtype=np.int64), "a": np.ones(100, np.float32), "m": names})
    dataset = DatasetConfig(
        features=(FeatureConfig(name="a"), FeatureConfig(name="m", kind="categorical")),
        targets=("a",),
        interval_s=1,
    )
    found = frames.read_columns({"t": table}, dataset)["t"]
    assert found.sizes["m"] == frames.MAX_CATEGORIES + 1
    assert (found.codes["m"] == frames.MAX_CATEGORIES).sum() == 100 - frames.MAX_CATEGORIES


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_nearest_equals_brute_force(seed, length):
    rng = np.random.default_rng(seed)

    def make(rows):
        points = np.round(rng.normal(size=(rows, 2)), 1)
        return records.make_records(points, np.arange(rows) // 25, np.arange(rows) // 5, None, length)

    queries, candidates = make(50), make(75)
    table = cdist(queries.flat(), candidates.flat())
    distance, position = records.nearest(queries, candidates)
    np.testing.assert_allclose(distance, table.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(table[np.arange(len(queries)), position], table.min(axis=1), atol=1e-9)
    excluded = queries.chunk
    table[candidates.chunk[None, :] == excluded[:, None]] = np.inf
    np.testing.assert_allclose(
        records.nearest(queries, candidates, excluded)[0], table.min(axis=1), atol=1e-9
    )


def test_nearest_in_blocks_and_with_nothing_left(monkeypatch):
    monkeypatch.setattr(records, "BLOCK_NUMBERS", 40)
    points = np.random.default_rng(0).normal(size=(60, 4))
    some = records.make_records(points, np.zeros(60, int), np.zeros(60, int), None, 1)
    assert (records.nearest(some, some)[0] == 0).all()
    assert np.isinf(records.nearest(some, some, some.chunk)[0]).all()


def test_nearest_finds_copies_that_single_precision_cannot_tell_apart():
    rng = np.random.default_rng(0)
    points = 100 + 1e-3 * rng.normal(size=(400, 6))  # far from the origin, close to one another
    some = records.make_records(points, np.zeros(400, int), np.arange(400), None, 1)
    found = records.neighbours(some, some)
    assert (found.distance == 0).all() and (found.position == np.arange(400)).all()


def test_kth_neighbour_and_count_equal_brute_force():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3))
    chunk = np.arange(300) // 10
    some = records.make_records(points, np.zeros(300, int), chunk, None, 1)
    table = cdist(points, points)
    table[chunk[:, None] == chunk[None, :]] = np.inf
    found = records.neighbours(some, some, chunk, k=5, radius=np.full(300, 0.7))
    np.testing.assert_allclose(found.kth, np.sort(table, axis=1)[:, 4], rtol=1e-4)
    assert np.abs(found.count - (table <= 0.7).sum(axis=1)).max() <= 1
    # candidates in any order
    order = rng.permutation(300)
    mixed = some.take(order)
    again = records.neighbours(some, mixed, chunk)
    np.testing.assert_allclose(again.distance, found.distance)


def test_hashes_tell_order_and_nothing_else():
    one = records.make_records(np.zeros((4, 1)), np.zeros(4, int), np.zeros(4, int), None, 2)
    found = one.hashes(np.array([1, 2, 1, 2], np.uint64))
    assert found[0] == found[2] != found[1]
    a = replay.row_hashes(simple([0, 1, 2], x=[0.1, np.float32(0.1), -0.0]))
    b = replay.row_hashes(simple([7], x=[0.0]))
    assert a[0] == a[1] and a[2] == b[0]


def sides(train, holdout, synthetic, length=1, per_chunk=25):
    made, offset = [], 0
    for points in (train, holdout, synthetic):
        part = records.make_records(
            points, np.zeros(len(points), int), offset + np.arange(len(points)) // per_chunk, None, length
        )
        offset = int(part.chunk.max()) + 1
        made.append(part)
    hashes = {
        name: pd.util.hash_pandas_object(pd.DataFrame(points), index=False).to_numpy()
        for name, points in zip(("train", "holdout", "synthetic"), (train, holdout, synthetic))
    }
    return base.Sides(*made, hashes)


def test_next_step_error_of_a_predictable_series():
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(1200) / 7)[:, None]
    some = sides(wave, wave, rng.permutation(wave), length=4)
    pair = utility.next_step(some.train, some.holdout, some.synthetic, np.array([0]), 100, 0.95, rng)
    assert pair.trtr < 0.05  # sin is a linear recurrence of order two; the ridge shrinks it a little
    assert pair.tstr > 0.3 and pair.change > 20
    with pytest.raises(UndefinedMetricError, match="no numeric feature varies"):
        utility.next_step(some.train, some.holdout, some.synthetic, np.array([], int), 100, 0.95, rng)
    with pytest.raises(UndefinedMetricError, match="needs at least 100"):
        few = some.train.take(np.arange(10))
        utility.next_step(few, some.holdout, some.synthetic, np.array([0]), 100, 0.95, rng)


def test_label_utility_of_visible_anomalies():
    rng = np.random.default_rng(0)

    def make(signal):
        label = np.zeros(2000, bool)
        for start in range(50, 1950, 200):
            label[start : start + 20] = True
        points = rng.normal(size=(2000, 2)) + 5 * signal * label[:, None]
        return points, label

    made = {name: make(signal) for name, signal in (("train", 1), ("holdout", 1), ("synthetic", 0))}
    some = sides(*(points for points, _ in made.values()), length=4)
    labels = {name: label for name, (_, label) in made.items()}
    found = utility.label(some.train, some.holdout, some.synthetic, labels, 100, 0.95, rng)
    assert found.average_precision.trtr > 0.9 > 0.5 > found.average_precision.tstr
    assert found.f1.change < -0.3
    labels["holdout"] = np.zeros(2000, bool)
    with pytest.raises(UndefinedMetricError, match="holdout has 0 labelled"):
        utility.label(some.train, some.holdout, some.synthetic, labels, 100, 0.95, rng)


def test_weighted_scores_equal_sklearn():
    rng = np.random.default_rng(0)
    truth, score = rng.random(200) < 0.3, np.round(rng.random(200), 1)  # with ties
    weight = rng.integers(0, 3, (5, 200)).astype(float)
    precision = utility.weighted_average_precision(truth, score, weight)
    f1 = utility.weighted_f1(truth, score, weight)
    for draw in range(5):
        expected = average_precision_score(truth, score, sample_weight=weight[draw])
        assert precision[draw] == pytest.approx(expected)
        assert f1[draw] == pytest.approx(f1_score(truth, score >= 0.5, sample_weight=weight[draw]))
