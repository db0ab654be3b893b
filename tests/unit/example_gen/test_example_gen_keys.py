"""The key store: the same order whatever fits into memory, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.core.keys import ColumnStore, KeyStore


def sort(folder: Path, code, stamp, rank, piece_rows, label=None, block=5):
    """Everything that a store gives back, as whole columns."""
    with KeyStore(folder, labelled=label is not None, piece_rows=piece_rows) as store:
        for start in range(0, len(code), block):
            part = slice(start, start + block)
            rows = np.arange(len(code))[part] + 2
            store.add(code[part], stamp[part], rows, None if label is None else label[part])
        repeated, rows = store.sort(np.asarray(rank, dtype=np.int32))
        pieces = list(store.pieces())
        assert [len(piece.series) for piece in pieces[:-1]] == [piece_rows] * (len(pieces) - 1)
        names = ("series", "timestamp", "order") + (("label",) if label is not None else ())
        joined = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
        assert sum(len(piece.series) for piece in store.pieces()) == len(store) == len(joined["order"])
        return joined, repeated, rows


def expected(code, stamp, rank):
    """By brute force: rows in order, and those whose key came before."""
    series = np.asarray(rank)[code]
    first: dict[tuple[int, int], int] = {}
    repeated = []
    for row, key in enumerate(zip(series.tolist(), stamp.tolist())):
        if key in first:
            repeated.append(row)
        first.setdefault(key, row)
    return [first[key] for key in sorted(first)], repeated


@settings(max_examples=30, deadline=None)
@given(data=st.data(), piece_rows=st.sampled_from([1, 3, 8, 64]), in_order=st.booleans())
def test_order_and_repeated_rows_are_those_of_brute_force(tmp_path_factory, data, piece_rows, in_order):
    keys = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 12)), min_size=1, max_size=60))
    code, stamp = (np.array(column) for column in zip(*keys))
    rank = np.array(data.draw(st.permutations(range(4))))
    if in_order:
        place = np.lexsort((stamp, rank[code]))
        code, stamp = code[place], stamp[place]
    label = np.arange(len(code)) % 2
    found, repeated, rows = sort(tmp_path_factory.mktemp("k"), code, stamp, rank, piece_rows, label)
    order, again = expected(code, stamp, rank)
    assert found["order"].tolist() == order
    assert repeated.tolist() == again and rows.tolist() == [row + 2 for row in again]
    assert (found["series"] == rank[code][order]).all() and (found["timestamp"] == stamp[order]).all()
    assert (found["label"] == label[order]).all()


def test_many_buckets_of_interleaved_series(tmp_path):
    rng = np.random.default_rng(0)
    stamp = np.repeat(np.arange(600), 5)
    code = np.tile(rng.permutation(5), 600)
    shuffled = rng.permutation(len(code))
    rank = np.arange(5)
    for chosen in (slice(None), shuffled):
        found, repeated, _ = sort(tmp_path, code[chosen], stamp[chosen], rank, 128, block=99)
        assert not len(repeated)
        assert (found["series"] == np.repeat(np.arange(5), 600)).all()
        assert (found["timestamp"] == np.tile(np.arange(600), 5)).all()


def test_memory_is_bounded_by_the_piece(tmp_path, monkeypatch):
    held = []
    append = ColumnStore.append

    def watched(self, **columns):
        append(self, **columns)
        held.append(self._held)

    monkeypatch.setattr(ColumnStore, "append", watched)
    code = np.zeros(5_000, dtype=np.int64)
    sort(tmp_path, code, np.arange(5_000)[::-1], [0], 100, block=50)
    assert len(held) > 100 and max(held) <= 100


def test_files_vanish_with_the_store(tmp_path):
    code, stamp = np.zeros(100, dtype=np.int64), np.arange(100)[::-1]
    with KeyStore(tmp_path, labelled=False, piece_rows=10) as store:
        store.add(code, stamp, stamp, None)
        assert list(tmp_path.rglob("*.bin"))
        store.sort(np.zeros(1, dtype=np.int32))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_has_no_keys(tmp_path):
    with KeyStore(tmp_path, labelled=True) as store:
        repeated, rows = store.sort(np.zeros(0, dtype=np.int32))
        assert (len(repeated), len(rows), len(store)) == (0, 0, 0)
        assert sum(len(piece.series) for piece in store.pieces()) == 0


@pytest.mark.parametrize("limit", [3, 1_000])
def test_reading_across_what_is_on_disk(tmp_path, limit):
    store = ColumnStore(tmp_path / "s", {"a": np.int64}, limit)
    for start in range(0, 20, 4):
        store.append(a=np.arange(start, start + 4))
    store.finish()
    assert store.read(3, 17)["a"].tolist() == list(range(3, 17))
    assert [(start, len(part["a"])) for start, part in store.pieces(8)] == [(0, 8), (8, 8), (16, 4)]
