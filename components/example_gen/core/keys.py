"""The keys of the rows, in order, in memory that does not grow with their number.

A key is a row's series, timestamp and label, 21 bytes with the row's place in the source. Up to a
million are held in memory; beyond, they are in files beside the output that vanish with the store, and are
read back in pieces of at most a million. Keys that arrive sorted by series and time are not sorted again;
others are dealt into buckets by key, so that equal keys meet in one, and sorted bucket by bucket. What does
grow: 16 bytes per repeated row, and a bucket that one single key fills (rows that are then all repeated).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

#: Rows in memory at a time.
PIECE_ROWS = 1 << 20
#: Keys looked at per bucket, to choose its bounds: buckets are then even to some ten percent.
_SAMPLES_PER_BUCKET = 64

_ARRIVED: dict[str, type] = {"code": np.int32, "timestamp": np.int64, "row": np.int64, "label": np.int8}
_SORTED: dict[str, type] = {"order": np.int64, "series": np.int32, "timestamp": np.int64, "label": np.int8}


@dataclass(frozen=True)
class Keys:
    """What decides about some rows: sorted by series, then time.

    Attributes:
      series: Number of the row's series. Shape [row], integer, ascending.
      timestamp: Microseconds UTC. Shape [row], int64, ascending within a series.
      label: 1 where the row is anomalous. Shape [row], or None without labels.
      order: Number of the row among those that arrived. Shape [row], int64, or None where not asked for.
    """

    series: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray | None
    order: np.ndarray | None = None


class ColumnStore:
    """Columns of fixed width, appended to and then read by row number."""

    def __init__(self, folder: Path, columns: dict[str, type], limit: int) -> None:
        """Args: folder: gets the files; columns: NumPy type by name; limit: rows held in memory."""
        self._folder, self._types, self._limit = folder, columns, limit
        self._waiting: dict[str, list[np.ndarray]] = {name: [] for name in columns}
        self._held = self._filed = 0

    def __len__(self) -> int:
        return self._filed + self._held

    def append(self, **columns: np.ndarray) -> None:
        """Adds rows; every column, each of shape [row]."""
        for name, values in columns.items():
            self._waiting[name].append(values.astype(self._types[name], copy=False))
        self._held += len(next(iter(columns.values())))
        if self._held > self._limit:
            self._flush()

    def _flush(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, parts in self._waiting.items():
            with self._path(name).open("ab") as file:
                for part in parts:
                    part.tofile(file)
            parts.clear()
        self._filed, self._held = self._filed + self._held, 0

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"

    def finish(self) -> None:
        """Ends the appending."""
        if self._filed and self._held:
            self._flush()
        for name, parts in self._waiting.items():
            if not self._filed:
                joined = np.concatenate(parts) if parts else np.zeros(0, self._types[name])
                self._waiting[name] = [joined]

    def read(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Rows from `start` to before `stop`, by column."""
        if not self._filed:
            return {name: parts[0][start:stop] for name, parts in self._waiting.items()}
        return {
            name: np.fromfile(
                self._path(name), kind, count=stop - start, offset=start * np.dtype(kind).itemsize
            )
            for name, kind in self._types.items()
        }

    def pieces(self, size: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """All rows in pieces of at most so many, each with the number of its first row."""
        for start in range(0, len(self), size):
            yield start, self.read(start, min(start + size, len(self)))

    def remove(self) -> None:
        """Forgets the rows and removes the files."""
        for name in self._types:
            self._path(name).unlink(missing_ok=True)
            self._waiting[name] = []
        self._held = self._filed = 0


class KeyStore:
    """Takes keys in any order; gives them back sorted, without the repeated ones."""

    def __init__(self, folder: Path, *, labelled: bool, piece_rows: int | None = None) -> None:
        """Args: folder: beside which files go; labelled: whether keys have a label."""
        self._parent, self._labelled = folder, labelled
        self._size = piece_rows or PIECE_ROWS
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._arrived = self._store("arrived", _ARRIVED)
        self._sorted: ColumnStore | None = None
        self._rank = np.zeros(0, dtype=np.int32)

    def __enter__(self) -> KeyStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            self._directory.cleanup()

    def _store(self, name: str, columns: dict[str, type], limit: int | None = None) -> ColumnStore:
        if self._directory is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            self._directory = tempfile.TemporaryDirectory(dir=self._parent, prefix=".keys.")
        kept = {key: kind for key, kind in columns.items() if key != "label" or self._labelled}
        return ColumnStore(Path(self._directory.name) / name, kept, limit or self._size)

    def __len__(self) -> int:
        """Rows that arrived; after `sort`, those that stay."""
        return len(self._arrived if self._sorted is None else self._sorted)

    def add(self, code: np.ndarray, timestamp: np.ndarray, row: np.ndarray, label: np.ndarray | None) -> None:
        """Adds keys in the order of arrival.

        Args:
          code: Number of each row's series, in order of appearance. Shape [row].
          timestamp: Microseconds. Shape [row], int64.
          row: Number of the row in its file. Shape [row].
          label: 1 where anomalous. Shape [row]; None without labels.
        """
        extra = {} if label is None else {"label": label}
        self._arrived.append(code=code, timestamp=timestamp, row=row, **extra)

    def sort(self, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sorts by series, then time; of equal keys the first to arrive stays.

        Args:
          rank: Place of each series code in the order of series. Shape [series], int32.

        Returns:
          The rows that do not stay, in order of arrival: number among the arrived, and number in their
          file. Each of shape [repeated], int64.
        """
        self._arrived.finish()
        self._rank = rank
        none = np.zeros(0, dtype=np.int64)
        if self._in_order():
            return none, none
        self._sorted = self._store("sorted", _SORTED)
        repeated: list[np.ndarray] = [none]
        rows: list[np.ndarray] = [none]
        for bucket in self._buckets():
            keys = bucket.read(0, len(bucket))
            bucket.remove()
            place = np.lexsort((keys["timestamp"], keys["series"]))  # stable: the first to arrive is first
            row = keys.pop("row")[place]
            keys = {name: values[place] for name, values in keys.items()}
            same = (np.diff(keys["series"]) == 0) & (np.diff(keys["timestamp"]) == 0)
            again = np.append(False, same) if len(place) else same
            repeated.append(keys["order"][again])
            rows.append(row[again])
            self._sorted.append(**{name: values[~again] for name, values in keys.items()})
        self._sorted.finish()
        self._arrived.remove()
        number, row = np.concatenate(repeated), np.concatenate(rows)
        by_arrival = np.argsort(number)
        return number[by_arrival], row[by_arrival]

    def pieces(self) -> Iterator[Keys]:
        """The keys in order, in pieces of at most a million; can be called again."""
        if self._sorted is None:
            for start, part in self._arrived.pieces(self._size):
                order = np.arange(start, start + len(part["code"]), dtype=np.int64)
                yield Keys(self._rank[part["code"]], part["timestamp"], part.get("label"), order)
            return
        for _, part in self._sorted.pieces(self._size):
            yield Keys(part["series"], part["timestamp"], part.get("label"), part["order"])

    def _in_order(self) -> bool:
        last: tuple[int, int] | None = None
        for _, part in self._arrived.pieces(self._size):
            series, stamp = self._rank[part["code"]], part["timestamp"]
            if last is not None and (int(series[0]), int(stamp[0])) <= last:
                return False
            step = np.diff(series)
            if not ((step > 0) | ((step == 0) & (stamp[1:] > stamp[:-1]))).all():
                return False
            last = int(series[-1]), int(stamp[-1])
        return True

    def _buckets(self) -> Iterator[ColumnStore]:
        """The arrived keys by ranges of the key, ranges ascending, in order of arrival within each."""
        count = -(-len(self._arrived) // self._size)
        series, stamp = self._bounds(count)
        known = np.unique(stamp)
        bounds = series * (len(known) + 1) + np.searchsorted(known, stamp, side="right")
        columns, limit = {**_SORTED, "row": np.int64}, max(1, self._size // count)  # a piece for all of them
        stores = [self._store(f"bucket-{number}", columns, limit) for number in range(count)]
        for start, part in self._arrived.pieces(self._size):
            rank = self._rank[part.pop("code")]
            # A key is at or above a bound exactly if its place among series and bounds' times is.
            place = rank.astype(np.int64) * (len(known) + 1)
            place += np.searchsorted(known, part["timestamp"], side="right")
            home = np.searchsorted(bounds, place, side="right")
            part |= {"series": rank, "order": np.arange(start, start + len(rank), dtype=np.int64)}
            for number in np.unique(home):
                chosen = home == number
                stores[number].append(**{name: values[chosen] for name, values in part.items()})
        for store in stores:
            store.finish()
            yield store

    def _bounds(self, buckets: int) -> tuple[np.ndarray, np.ndarray]:
        """Series and timestamp at which a bucket begins, but the first. Each of shape [buckets - 1]."""
        every = max(1, len(self._arrived) // (buckets * _SAMPLES_PER_BUCKET))
        series, stamps = [], []
        for start, part in self._arrived.pieces(self._size):
            first = -start % every
            series.append(self._rank[part["code"][first::every]].astype(np.int64))
            stamps.append(part["timestamp"][first::every])
        one, two = np.concatenate(series), np.concatenate(stamps)
        place = np.lexsort((two, one))
        chosen = place[(np.arange(1, buckets) * len(place)) // buckets]
        return one[chosen], two[chosen]
