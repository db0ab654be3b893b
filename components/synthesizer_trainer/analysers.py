"""The analysers of tensorflow-transform over one block of columns: quantiles, ranges, vocabularies.

An analyser works feature by feature, so blocks of features give what the whole table would. It is never
given a part of the rows: a merged quantile sketch depends on how rows were dealt out, and then the model
would depend on the engine.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

_ALL = "all_rows"
_NORMAL = "normal_rows"


@dataclass(frozen=True)
class Block:
    """Columns to analyse, by position: a feature's name may hold any character.

    Attributes:
      values: Numeric columns, NaN where there is no value. Shape [rows, numeric], float32.
      normal: Rows without an anomaly, whose quantiles count. Shape [rows], bool.
      texts: Categorical columns, null where there is no value. Each [rows].
    """

    values: np.ndarray
    normal: np.ndarray
    texts: tuple[pa.StringArray, ...]

    def to_bytes(self) -> bytes:
        """As an Arrow file."""
        columns = {f"n{index}": pa.array(self.values[:, index]) for index in range(self.values.shape[1])}
        columns |= {f"t{index}": text for index, text in enumerate(self.texts)}
        table = pa.table({"normal": pa.array(self.normal), **columns})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Block:
        """The inverse of `to_bytes`."""
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all().combine_chunks()
        names = [name for name in table.column_names if name.startswith("n") and name != "normal"]
        values = np.empty((table.num_rows, len(names)), np.float32)
        for index in range(len(names)):
            values[:, index] = table.column(f"n{index}").to_numpy()
        texts = [_whole(table.column(name)) for name in table.column_names if name.startswith("t")]
        return cls(values, np.asarray(table.column("normal").to_numpy()), tuple(texts))


def _whole(column: pa.ChunkedArray) -> pa.StringArray:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())


@dataclass(frozen=True)
class BlockAnalysis:
    """What the analysers found in a block.

    Attributes:
      ranges: Least and greatest value over all rows; infinite where there is none. Shape [numeric, 2].
      quantiles: At probabilities 0, 1/K ... 1 over normal rows; zeros where `observed` is False.
        Shape [numeric, K + 1], float64.
      observed: Whether a normal row has a value. Shape [numeric].
      vocabularies: Values of each categorical column, most frequent first.
    """

    ranges: np.ndarray
    quantiles: np.ndarray
    observed: np.ndarray
    vocabularies: tuple[tuple[str, ...], ...]

    def to_bytes(self) -> bytes:
        """As an uncompressed archive of arrays, without pickle."""
        file = io.BytesIO()
        words = json.dumps(self.vocabularies).encode()
        np.savez(
            file,
            ranges=self.ranges,
            quantiles=self.quantiles,
            observed=self.observed,
            vocabularies=np.frombuffer(words, np.uint8),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockAnalysis:
        """The inverse of `to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            words = json.loads(found["vocabularies"].tobytes())
            arrays = (found["ranges"], found["quantiles"], found["observed"])
            return cls(*arrays, tuple(tuple(each) for each in words))


def analyse_block(block: Block, quantiles: int) -> BlockAnalysis:
    """Runs the analysers over a block.

    tensorflow-transform has them as a Beam pipeline only; this one holds a single batch, and runs in the
    calling process on Beam's in-memory runner.

    Args:
      block: The columns.
      quantiles: K, number of quantile intervals.

    Source: tft.quantiles (weighted sketch of tfx_bsl), tft.min, tft.max, tft.vocabulary.
    """
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tfx_bsl.tfxio import tensor_adapter

    numeric, categorical = block.values.shape[1], len(block.texts)
    normal = np.where(block.normal[:, None], block.values, np.nan).astype(np.float32)
    observed = np.isfinite(normal).any(0)
    normal[:, ~observed] = 0  # the sketch has no answer for a column without a value
    columns: dict[str, pa.Array] = {}
    if numeric:
        columns[_ALL], columns[_NORMAL] = _as_lists(block.values), _as_lists(normal)
    for index, texts in enumerate(block.texts):
        columns[_vocabulary_file(index)] = _as_bytes(texts)

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
        for index in range(categorical):
            tft.vocabulary(inputs[_vocabulary_file(index)], vocab_filename=_vocabulary_file(index))
        results["one"] = tf.ones([1, 1])
        return results

    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    dense = (_ALL, _NORMAL)
    representations = {name: _representation(name, numeric if name in dense else 0) for name in columns}
    adapter = tensor_adapter.TensorAdapterConfig(batch.schema, representations)
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "transform")
        with (
            tft_beam.Context(temp_dir=folder),
            beam.Pipeline(runner="DirectRunner", options=_in_memory()) as pipeline,
        ):
            data = pipeline | beam.Create([batch], reshuffle=False)
            function = (data, adapter) | tft_beam.AnalyzeDataset(preprocessing_fn)
            _ = function | tft_beam.WriteTransformFn(target)
        output = tft.TFTransformOutput(target)
        one_row = {
            name: tf.fill([1, numeric], np.float32(0)) if name in dense else tf.sparse.from_dense([["-"]])
            for name in columns
        }
        results = {k: np.asarray(v)[0] for k, v in output.transform_raw_features(one_row).items()}
        vocabularies = tuple(
            tuple(value.decode() for value in output.vocabulary_by_name(_vocabulary_file(index)))
            if texts.null_count < len(texts)
            else ()
            for index, texts in enumerate(block.texts)
        )
    if not numeric:
        nothing = np.zeros((0, 2), np.float32), np.zeros((0, quantiles + 1)), np.zeros(0, bool)
        return BlockAnalysis(*nothing, vocabularies)
    found = np.column_stack(
        [results["normal_low"], np.sort(results["quantiles"], axis=1), results["normal_high"]]
    )
    ranges = np.column_stack([results["all_low"], results["all_high"]])
    return BlockAnalysis(ranges, found.astype(np.float64), observed, vocabularies)


def _vocabulary_file(index: int) -> str:
    """File name of a vocabulary."""
    return f"vocabulary_{index}"


def _as_lists(matrix: np.ndarray) -> pa.Array:
    """A matrix as a column of lists of one length: the batch form that tfx_bsl's adapters read."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1]
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(matrix.ravel()))


def _as_bytes(texts: pa.StringArray) -> pa.Array:
    """Texts as lists of one value, empty where there is none."""
    known = np.asarray(texts.is_valid())
    offsets = np.concatenate([[0], np.cumsum(known)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), texts.drop_null().cast(pa.large_binary()))


def _in_memory() -> Any:
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


def blocks(
    values: np.ndarray, normal: np.ndarray, texts: Sequence[pa.StringArray], width: int
) -> list[Block]:
    """Deals columns out: numeric ones first, at most `width` columns of both kinds to a block.

    Args:
      values: Shape [rows, numeric], float32.
      normal: Shape [rows], bool.
      texts: Categorical columns.
      width: Columns of a block, at least 1.
    """
    numeric, total = values.shape[1], values.shape[1] + len(texts)
    return [
        Block(
            values[:, min(begin, numeric) : min(begin + width, numeric)],
            normal,
            tuple(texts[max(0, begin - numeric) : max(0, begin + width - numeric)]),
        )
        for begin in range(0, total, width)
    ]
