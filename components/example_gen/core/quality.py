"""One look at all rows before they are written: missing values, outliers, and what becomes of the former.

The look is taken in the order of series and time, over all splits at once, because a gap that a split's
border cuts is still one gap; what is learned and filled stays within a split. `quality.json` holds counts
and durations, no value and no place of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components.data_quality.core.missingness import Missingness
from components.data_quality.core.outliers import forest_scores, robust_z
from components.data_quality.core.plan import FillPlan
from components.dataset import FeatureKind
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.filling import Filling
from components.example_gen.core.rows import RowGroup, Tally
from components.example_gen.core.splits import Assignment

QUALITY_FILE = "quality.json"
VERSION = 1
#: The split that fills are learned from, where there is more than one.
TRAIN = "train"
_LOOK_ROWS = 65_536
_JUDGED_KINDS: tuple[FeatureKind, ...] = ("continuous", "integer")


@dataclass(frozen=True)
class Piece:
    """Consecutive rows in order of series and time.

    Attributes:
      ids: Number of each row among those that arrived. Shape [row], int64.
      series: Number of its series. Shape [row], int.
      time_us: Microseconds UTC. Shape [row], int64.
      labelled: Whether it is labelled anomalous. Shape [row], bool.
      split: Number of its split. Shape [row], int64.
      first: Position of the first of them among all rows.
      table: Their columns.
    """

    ids: np.ndarray
    series: np.ndarray
    time_us: np.ndarray
    labelled: np.ndarray
    split: np.ndarray
    first: int
    table: pa.Table

    def missing(self, column: str) -> np.ndarray:
        """Where a column has no value. Shape [row], bool."""
        nulls = self.table[column].is_null(nan_is_null=True)
        return np.asarray(nulls.to_numpy()).astype(bool)


class QualityPass:
    """Looks at the rows of each group of sources; then reports on all of them."""

    def __init__(self, config: ExampleGenConfig, tally: Tally, seed: int) -> None:
        """Args: config: what to look for; tally: knows the span's ends; seed: of the forest."""
        self._config, self._tally, self._seed = config, tally, seed
        self._missingness: list[dict[str, Any]] = []
        self._filling: list[Filling] = []
        self._samples: list[dict[str, np.ndarray]] = []
        self._rows = self._series = 0

    @property
    def rows_dropped(self) -> int:
        """Rows that are not stored for want of a value."""
        return sum(filling.rows_dropped for filling in self._filling)

    def look(
        self, rows: RowGroup, count: int, names: Sequence[str], assignment: Assignment, place: str
    ) -> FillPlan | None:
        """Looks at the rows of a group and decides what becomes of their missing values.

        Args:
          rows: Sorted.
          count: How many.
          names: Of the splits.
          assignment: Which row goes where.
          place: For messages.

        Returns:
          What `RowGroup.write` is to do; None where it is to store what arrived.

        Raises:
          DataError: every row of a split is to be dropped.
        """
        quality = self._config.quality
        if quality is None:
            return None
        dataset, tally = self._config.dataset, self._tally
        watched = [*dataset.feature_names(), *([dataset.label] if dataset.label else [])]
        missingness = Missingness(list(names), tally.first, tally.last, dataset.interval_s)
        learn_from = names.index(TRAIN) if TRAIN in names else 0
        filling = Filling(quality.imputation, dataset, list(names), learn_from)
        spread = np.unique(np.linspace(0, max(count - 1, 0), min(count, quality.outliers.max_rows)).round())
        for piece in _pieces(rows, assignment):
            masks = {name: piece.missing(name) for name in watched}
            missingness.add(masks, piece.series, piece.time_us, piece.split)
            filling.add(piece, masks)
            if quality.outliers.enabled:
                low, high = np.searchsorted(spread, [piece.first, piece.first + len(piece.ids)])
                self._keep(piece, (spread[low:high] - piece.first).astype(np.int64))
        self._rows += count
        self._series += 1 + max(
            (int(sample["series"].max(initial=-1)) for sample in self._samples), default=0
        )
        self._missingness.append(missingness.report())
        self._filling.append(filling)
        plan = filling.plan()
        gone = filling.emptied()
        if gone:
            raise DataError(
                f"{place}: split '{gone}': every row lacks a value of a feature whose policy is 'drop' "
                "(quality.imputation). Choose another policy, or mend the source."
            )
        return plan

    def _keep(self, piece: Piece, chosen: np.ndarray) -> None:
        numeric = self._config.dataset.feature_names(*_JUDGED_KINDS)
        part = piece.table.select(list(numeric)).take(pa.array(chosen))
        values = [part[name].cast(pa.float64()).to_numpy() for name in numeric]
        self._samples.append(
            {
                "series": piece.series[chosen].astype(np.int64) + self._series,
                "labelled": piece.labelled[chosen],
                "values": np.stack(values, axis=1) if values else np.zeros((len(chosen), 0)),
            }
        )

    def report(self) -> dict[str, Any]:
        """Content of `quality.json`."""
        assert self._config.quality is not None
        return {
            "version": VERSION,
            "missingness": self._missingness,
            "imputation": [filling.report() for filling in self._filling],
            "outliers": self._outliers(),
        }

    def _outliers(self) -> dict[str, Any]:
        assert self._config.quality is not None
        rules = self._config.quality.outliers
        if not rules.enabled:
            return {"status": "NOT_EVALUATED", "reason": "quality.outliers.enabled is false"}
        numeric = self._config.dataset.feature_names(*_JUDGED_KINDS)
        if not self._samples or not numeric:
            what = "rows" if numeric else "continuous or integer features"
            return {"status": "UNDEFINED", "reason": f"there are no {what}"}
        series, labelled, values = (
            np.concatenate([sample[key] for sample in self._samples])
            for key in ("series", "labelled", "values")
        )
        columns, scores = {}, []
        for index, name in enumerate(numeric):
            found = robust_z(values[:, index], series)
            with np.errstate(invalid="ignore"):
                out = np.abs(found.z) > rules.robust_z
            columns[name] = {
                "values": int(np.isfinite(found.z).sum() + np.isinf(found.z).sum()),
                "outliers": int(out.sum()),
                "labelled": int((out & labelled).sum()),
                "constant_series": found.constant,
                "short_series": found.short,
            }
            scores.append(found.z)
        score = forest_scores(
            np.stack(scores, axis=1), trees=rules.trees, tree_rows=rules.tree_rows, seed=self._seed
        )
        forest: dict[str, Any] = {"threshold": rules.forest_score, "trees": rules.trees, "seed": self._seed}
        if np.isfinite(score).all() and len(score):
            out = score > rules.forest_score
            forest |= {"outliers": int(out.sum()), "labelled": int((out & labelled).sum())}
        else:
            forest |= {"status": "UNDEFINED", "reason": "fewer than two rows, or no column varies"}
        return {
            "status": "OK",
            "rows": len(series),
            "of": self._rows,
            "labelled_rows": int(labelled.sum()),
            "robust_z": {"threshold": rules.robust_z, "columns": columns},
            "isolation_forest": forest,
        }


def _pieces(rows: RowGroup, assignment: Assignment) -> Iterator[Piece]:
    first = 0
    for keys in rows.keys:
        assert keys.order is not None
        for start in range(0, len(keys.order), _LOOK_ROWS):
            part = slice(start, start + _LOOK_ROWS)
            ids = keys.order[part]
            labelled = np.zeros(len(ids), bool) if keys.label is None else keys.label[part] == 1
            split = assignment.of(first, first + len(ids)).astype(np.int64)
            yield Piece(ids, keys.series[part], keys.timestamp[part], labelled, split, first, rows.take(ids))
            first += len(ids)
