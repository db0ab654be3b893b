"""What becomes of missing values, decided row by row as rows come by in order, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.data_quality.config import ImputationConfig, Policy
from components.data_quality.core.imputation import GapFiller, learn_fill
from components.data_quality.core.plan import FillPlan
from components.dataset import DatasetConfig

if TYPE_CHECKING:
    from components.example_gen.core.quality import Piece

_LEARNED: tuple[Policy, ...] = ("mean", "median", "mode")


class Filling:
    """Gathers what the policies need, makes the plan, and counts what it does.

    Held in memory: the missing cells of features with a policy, and, of features that are filled by mean,
    median or mode, the known values of the split that is learned from.
    """

    def __init__(
        self, config: ImputationConfig, dataset: DatasetConfig, splits: list[str], learn_from: int
    ) -> None:
        """Args: config, dataset: the policies; splits: their names; learn_from: number of one of them."""
        self._config, self._splits, self._learn_from = config, splits, learn_from
        self._policies = {name: p for name, p in config.policies(dataset).items() if p != "none"}
        self._kinds = {feature.name: feature.kind for feature in dataset.features}
        longest_us = (config.max_gap_intervals + 0.5) * dataset.interval_s * 1e6
        self._gaps = {n: GapFiller(longest_us) for n, p in self._policies.items() if p == "interpolate"}
        # Each begins with no row, so that a source without rows has something to join.
        ids, numbers = np.zeros(0, np.int64), np.zeros(0)
        self._closed: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
            name: [(ids, numbers)] for name in self._gaps
        }
        self._known: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
            name: [(numbers if self._kinds[name] != "categorical" else numbers.astype(object), ids)]
            for name, policy in self._policies.items()
            if policy in _LEARNED
        }
        self._missing: dict[str, list[tuple[np.ndarray, ...]]] = {
            name: [(ids, ids, ids)] for name in self._policies
        }
        self._dropped: list[np.ndarray] = [ids]
        self._rows = np.zeros(len(splits), np.int64)
        self._dropped_rows = np.zeros(len(splits), np.int64)
        self._dropped_labelled = 0
        self._last: tuple[int, int, int] = (-1, -1, 0)  # series, split and run of the last row
        self._counts: dict[str, dict[str, np.ndarray]] = {}

    @property
    def rows_dropped(self) -> int:
        """Rows that are not stored."""
        return int(self._dropped_rows.sum())

    def emptied(self) -> str:
        """A split of which every row is dropped, or ""."""
        gone = (self._rows > 0) & (self._dropped_rows == self._rows)
        return self._splits[int(np.argmax(gone))] if gone.any() else ""

    def add(self, piece: Piece, masks: dict[str, np.ndarray]) -> None:
        """Takes the next rows and where their features are missing."""
        if not self._policies or not len(piece.ids):
            return
        self._rows += np.bincount(piece.split, minlength=len(self._splits))
        gone = np.zeros(len(piece.ids), bool)
        for name, policy in self._policies.items():
            if policy == "drop":
                gone |= masks[name]
                self._note(name, piece, masks[name])
        self._dropped.append(piece.ids[gone])
        self._dropped_rows += np.bincount(piece.split[gone], minlength=len(self._splits))
        self._dropped_labelled += int((gone & piece.labelled).sum())
        run = self._runs(piece)
        stays = ~gone
        for name, policy in self._policies.items():
            if policy == "drop":
                continue
            self._note(name, piece, masks[name] & stays)
            if policy == "interpolate":
                numbers = self._column(piece.table, name)
                closed = self._gaps[name].add(
                    piece.ids[stays], piece.time_us[stays], numbers[stays], run[stays]
                )
                self._closed[name].append(closed)
            else:
                known = stays & ~masks[name] & (piece.split == self._learn_from)
                self._known[name].append((self._column(piece.table, name)[known], piece.series[known]))

    def _note(self, name: str, piece: Piece, mask: np.ndarray) -> None:
        self._missing[name].append((piece.ids[mask], piece.series[mask], piece.split[mask]))

    def _column(self, table: pa.Table, name: str) -> np.ndarray:
        if self._kinds[name] == "categorical":
            return table[name].to_pandas().to_numpy(dtype=object)
        return np.asarray(table[name].cast(pa.float64()).to_numpy())

    def _runs(self, piece: Piece) -> np.ndarray:
        """Number of the span of consecutive rows of one series and one split that each row is in."""
        series, split, run = self._last
        before = np.append(series, piece.series[:-1]), np.append(split, piece.split[:-1])
        runs = run + np.cumsum((before[0] != piece.series) | (before[1] != piece.split))
        self._last = int(piece.series[-1]), int(piece.split[-1]), int(runs[-1])
        return np.asarray(runs)

    def plan(self) -> FillPlan | None:
        """What the writer is to do; None where it is to store what arrived. Once, after the last row."""
        fills = {}
        for name, policy in self._policies.items():
            ids, series, split = (np.concatenate(parts) for parts in zip(*self._missing[name], strict=True))
            stood_in = np.zeros(len(ids), bool)
            if policy == "drop":
                filled = np.zeros(len(ids), bool)
            elif policy == "interpolate":
                places, values = (np.concatenate(parts) for parts in zip(*self._closed[name], strict=True))
                filled = np.isin(ids, places)
                fills[name] = self._sorted(name, places, values)
            else:
                known, owners = (np.concatenate(parts) for parts in zip(*self._known[name], strict=True))
                whole = self._kinds[name] == "integer"
                found, stood_in = learn_fill(known, owners, policy, self._config.by, whole).values(series)
                filled = ~pd.isna(found)
                fills[name] = self._sorted(name, ids[filled], found[filled])
            self._counts[name] = {
                "missing": self._by_split(split),
                "filled": self._by_split(split[filled]),
                "filled_from_all_series": self._by_split(split[stood_in]),
                "left_missing": self._by_split(split[~filled] if policy != "drop" else split[:0]),
            }
        self._missing, self._known, self._closed = {}, {}, {}
        if not self._policies:
            return None
        return FillPlan(np.sort(np.concatenate(self._dropped)), fills)

    def _sorted(self, name: str, ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(ids)
        if self._kinds[name] != "categorical":
            values = values.astype(np.float64)
            values = np.rint(values) if self._kinds[name] in ("integer", "binary") else values
        return ids[order], values[order]

    def _by_split(self, split: np.ndarray) -> np.ndarray:
        return np.bincount(split.astype(np.int64), minlength=len(self._splits))

    def report(self) -> dict[str, Any]:
        """JSON-ready: policy by feature, and counts by split of what it did; no value, no place of a row."""
        return {
            "policies": {name: self._policies.get(name, "none") for name in self._kinds},
            "by": self._config.by,
            "max_gap_intervals": self._config.max_gap_intervals,
            "learned_from": self._splits[self._learn_from],
            "dropped": {"rows": self._named(self._dropped_rows), "labelled_rows": self._dropped_labelled},
            "columns": {
                name: {key: self._named(counts) for key, counts in found.items()}
                for name, found in self._counts.items()
            },
        }

    def _named(self, counts: np.ndarray) -> dict[str, int]:
        return dict(zip(self._splits, counts.tolist(), strict=True))
