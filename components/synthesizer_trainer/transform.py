"""Analysis of a table by tensorflow-transform: quantiles, ranges, vocabularies.

The analysers run over Arrow data in memory on Beam's DirectRunner; their results parameterise the
transform and its inverse that the synthesizer's SavedModel carries (`core/columns.py`).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig
from components.errors import DataError
from components.synthesizer_trainer.core.panel import check_columns, label_kinds

_ALL = "all_rows"
_NORMAL = "normal_rows"


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


def analyse(table: pa.Table, dataset: DatasetConfig, quantiles: int, place: str) -> Analysis:
    """Runs the analysers over the training table.

    Args:
      table: Training rows (decision 1).
      dataset: The columns.
      quantiles: K, number of quantile intervals.
      place: For messages.

    Returns:
      The analysis.

    Raises:
      DataError: a column is missing.

    Source: tft.quantiles (weighted sketch of tfx_bsl), tft.min, tft.max, tft.vocabulary.
    """
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tfx_bsl.tfxio import tensor_adapter

    check_columns(table, dataset, place)
    kind_names = label_kinds(table, dataset)
    numeric = dataset.feature_names("continuous", "integer", "binary")
    categorical = dataset.feature_names("categorical")
    values = np.empty((table.num_rows, len(numeric)), np.float32)
    for index, name in enumerate(numeric):
        # float32 carries the source's own precision; continuous features are float32 already.
        values[:, index] = table.column(name).to_pandas().to_numpy(dtype=np.float32, na_value=np.nan)
    values[~np.isfinite(values)] = np.nan
    normal = np.where((kind_names == "")[:, None], values, np.nan).astype(np.float32)
    observed = np.isfinite(normal).any(0)
    normal[:, ~observed] = 0  # the sketch has no answer for a column without a value
    columns: dict[str, pa.Array] = {}
    if numeric:
        columns[_ALL], columns[_NORMAL] = _as_lists(values), _as_lists(normal)
    for index, name in enumerate(categorical):
        texts = table.column(name).to_pandas().to_numpy(dtype=object)
        columns[_vocabulary_file(index)] = pa.array(
            [[] if text is None else [str(text).encode()] for text in texts], pa.large_list(pa.large_binary())
        )

    def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
        # Analysers' results are constants of the graph; one row of this output reads them all.
        results: dict[str, Any] = {}
        if numeric:
            # Whole matrices: an analyser costs a Beam stage, so one serves all features.
            known = tf.math.is_finite
            for tag, matrix in (("all", inputs[_ALL]), ("normal", inputs[_NORMAL])):
                low = tft.min(tf.where(known(matrix), matrix, np.inf), reduce_instance_dims=False)
                high = tft.max(tf.where(known(matrix), matrix, -np.inf), reduce_instance_dims=False)
                results[f"{tag}_low"], results[f"{tag}_high"] = low[None, :], high[None, :]
            # The sketch passes over NaN, which is how nulls arrive here.
            found = tft.quantiles(
                inputs[_NORMAL], quantiles, epsilon=0.1 / quantiles, reduce_instance_dims=False
            )
            results["quantiles"] = found[None, :, :]
        for index in range(len(categorical)):
            tft.vocabulary(inputs[_vocabulary_file(index)], vocab_filename=_vocabulary_file(index))
        results["one"] = tf.ones([1, 1])
        return results

    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    representations = {
        name: _representation(name, len(numeric) if name in (_ALL, _NORMAL) else 0) for name in columns
    }
    adapter = tensor_adapter.TensorAdapterConfig(batch.schema, representations)
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "transform")
        with (
            tft_beam.Context(temp_dir=folder),
            beam.Pipeline(runner="DirectRunner", options=_direct_options()) as pipeline,
        ):
            data = pipeline | beam.Create([batch], reshuffle=False)
            function = (data, adapter) | tft_beam.AnalyzeDataset(preprocessing_fn)
            _ = function | tft_beam.WriteTransformFn(target)
        output = tft.TFTransformOutput(target)
        one_row = {
            name: tf.fill([1, len(numeric)], np.float32(0))
            if name in (_ALL, _NORMAL)
            else tf.sparse.from_dense([["-"]])
            for name in columns
        }
        results = {k: np.asarray(v)[0] for k, v in output.transform_raw_features(one_row).items()}
        vocabularies = {
            name: tuple(value.decode() for value in output.vocabulary_by_name(_vocabulary_file(index)))
            for index, name in enumerate(categorical)
            if table.column(name).null_count < table.num_rows
        }
    edges: dict[str, np.ndarray] = {name: np.zeros(0) for name in numeric}
    ranges: dict[str, tuple[float, float]] = {}
    for index, name in enumerate(numeric):
        if np.isfinite(results["all_low"][index]):
            ranges[name] = (float(results["all_low"][index]), float(results["all_high"][index]))
        if observed[index]:
            ends = results["normal_low"][index : index + 1], results["normal_high"][index : index + 1]
            inner = np.sort(results["quantiles"][index])
            edges[name] = np.concatenate([ends[0], inner, ends[1]]).astype(np.float64)
    return Analysis(
        quantiles=edges,
        ranges=ranges,
        vocabularies={name: vocabularies.get(name, ()) for name in categorical},
        kinds=tuple(sorted({str(name) for name in kind_names if name})),
    )


def _vocabulary_file(index: int) -> str:
    """File name of a vocabulary; by position, because a feature's name may hold any character."""
    return f"vocabulary_{index}"


def _as_lists(matrix: np.ndarray) -> pa.Array:
    """A matrix as a column of lists of one length: the batch form that tfx_bsl's adapters read."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1]
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(matrix.ravel()))


def _direct_options() -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions(["--direct_running_mode=in_memory", "--direct_num_workers=1"])


def _representation(name: str, width: int) -> Any:
    """How the adapter shapes a column: [rows, width] dense, or sparse where `width` is 0."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    text = f'varlen_sparse_tensor {{ column_name: "{name}" }}'
    if width:
        text = f'dense_tensor {{ column_name: "{name}" shape {{ dim {{ size: {width} }} }} }}'
    return text_format.Parse(text, schema_pb2.TensorRepresentation())
