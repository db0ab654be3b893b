"""Analysis of a table by tensorflow-transform: quantiles, ranges, vocabularies.

Their results parameterise the transform and its inverse that the synthesizer's SavedModel carries
(`core/columns.py`). With an engine they run on its workers, one element for each block of columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig
from components.errors import DataError
from components.synthesizer_trainer.analysers import analyse_block, blocks
from components.synthesizer_trainer.core.panel import check_columns, label_kinds

if TYPE_CHECKING:
    from components.synthesizer_trainer.beam_analysis import Engine

#: Columns of a block: the analysers' own cost, a second or two, is paid once for so many.
BLOCK_WIDTH = 64


@dataclass(frozen=True)
class Analysis:
    """What the analysers found.

    Attributes:
      quantiles: Numeric feature name to its quantiles at probabilities 0, 1/K ... 1 over normal rows,
        ties repeated. Shape [K + 1], float64; empty where every value is null.
      ranges: Numeric feature name to (min, max) over all rows.
      vocabularies: Categorical feature name to its values, most frequent first.
      kinds: Anomaly kinds, sorted.
    """

    quantiles: dict[str, np.ndarray]
    ranges: dict[str, tuple[float, float]]
    vocabularies: dict[str, tuple[str, ...]]
    kinds: tuple[str, ...]


def check_vocabularies(table: pa.Table, dataset: DatasetConfig, max_vocabulary: int, place: str) -> None:
    """Refuses a categorical feature with too many values, at the start.

    Raises:
      DataError: names the feature, how many values it has and the remedy.
    """
    for name in dataset.feature_names("categorical"):
        found = pc.count_distinct(table.column(name)).as_py()
        if found > max_vocabulary:
            raise DataError(
                f"{place} feature={name}: {found} different values, synthesizer_trainer takes at most "
                f"{max_vocabulary} (max_vocabulary). Drop the column or generalise it at the door (pii)."
            )


def analyse(
    table: pa.Table, dataset: DatasetConfig, quantiles: int, place: str, engine: Engine | None = None
) -> Analysis:
    """Runs the analysers over the training table.

    Args:
      table: Training rows (decision 1).
      dataset: The columns.
      quantiles: K, number of quantile intervals.
      place: For messages.
      engine: Whose workers do it; None is this process. The result is the same to the last bit.

    Returns:
      The analysis.

    Raises:
      DataError: a column is missing, or the engine's folder cannot be read or written.
      ConfigError: the engine's workers and this process share no folder.
    """
    check_columns(table, dataset, place)
    kind_names = label_kinds(table, dataset)
    numeric = dataset.feature_names("continuous", "integer", "binary")
    categorical = dataset.feature_names("categorical")
    values = np.empty((table.num_rows, len(numeric)), np.float32)
    for index, name in enumerate(numeric):
        # float32 carries the source's own precision; continuous features are float32 already.
        values[:, index] = table.column(name).to_pandas().to_numpy(dtype=np.float32, na_value=np.nan)
    values[~np.isfinite(values)] = np.nan
    texts = [table.column(name).cast(pa.string()).combine_chunks() for name in categorical]
    parts = blocks(values, kind_names == "", texts, BLOCK_WIDTH)
    if engine is None:
        found = [analyse_block(part, quantiles) for part in parts]
    else:
        from components.synthesizer_trainer.beam_analysis import analyse_on

        found = analyse_on(engine, parts, quantiles, place)
    ranges = np.concatenate([part.ranges for part in found])
    quantiles_of = np.concatenate([part.quantiles for part in found])
    observed = np.concatenate([part.observed for part in found])
    vocabularies = [words for part in found for words in part.vocabularies]
    return Analysis(
        quantiles={
            name: quantiles_of[index] if observed[index] else np.zeros(0)
            for index, name in enumerate(numeric)
        },
        ranges={
            name: (float(ranges[index, 0]), float(ranges[index, 1]))
            for index, name in enumerate(numeric)
            if np.isfinite(ranges[index, 0])
        },
        vocabularies=dict(zip(categorical, vocabularies)),
        kinds=tuple(sorted({str(name) for name in kind_names if name})),
    )
