"""Flat Arrow columns to and from the list-typed ones that tf.Example and TFDV have (decision 1)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import DataError
from components.tf_example import to_example_type

_ARROW_TYPES = {
    "continuous": pa.float32(),
    "integer": pa.int64(),
    "binary": pa.int64(),
    "categorical": pa.string(),
}


def arrow_schema(dataset: DatasetConfig) -> pa.Schema:
    """Flat Arrow schema of a data set: timestamp, series, features, label, label kind (decision 1)."""
    fields = [pa.field(TIMESTAMP, pa.int64(), nullable=False)]
    fields += [pa.field(name, pa.string()) for name in dataset.series]
    fields += [pa.field(feature.name, _ARROW_TYPES[feature.kind]) for feature in dataset.features]
    if dataset.label:
        fields.append(pa.field(dataset.label, pa.int64()))
    if dataset.label_kind:
        fields.append(pa.field(dataset.label_kind, pa.string()))
    return pa.schema(fields)


def listify_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Flat columns to `list<float32 | int64 | binary>`, one value a row; null and NaN to a null list.

    Raises:
      DataError: a column has a type that tf.Example cannot hold.
    """
    return pa.RecordBatch.from_arrays(
        [_listify(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)],
        batch.schema.names,
    )


def _listify(name: str, column: pa.Array) -> pa.Array:
    values = to_example_type(name, column)
    if not values.null_count:
        return pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32), values)
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(valid)]).astype(np.int32)
    # A null offset marks a null list; the last offset closes the array and is never null.
    masked = pa.array(offsets, mask=np.append(~valid, False))
    return pa.ListArray.from_arrays(masked, values.drop_null())


def flatten_batch(batch: pa.RecordBatch, schema: pa.Schema | None = None) -> pa.RecordBatch:
    """List-typed columns, at most one value a row, to flat ones; an empty or null list is null.

    Args:
      batch: List-typed columns, as tfx_bsl decodes them.
      schema: Flat names and types to return, in order; an absent column is all null. None keeps the
        batch's columns and infers: float32, int64, string, or null where nothing is known.

    Raises:
      DataError: a row holds several values, text is not UTF-8, or a type is not the schema's.
    """
    columns = {
        name: flatten_column(name, column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    if schema is None:
        schema = pa.schema([(name, flat_type(column.type)) for name, column in columns.items()])
    return conform(columns, batch.num_rows, schema)


def flatten_column(name: str, column: pa.Array) -> pa.Array:
    """One list-typed column, at most one value a row, as a flat one.

    Raises:
      DataError: a row holds several values.
    """
    if pa.types.is_null(column.type):
        return column
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if lengths.size and lengths.max() > 1:
        raise DataError(f"column '{name}': {int((lengths > 1).sum())} rows hold several values, allowed: one")
    values = column.flatten()
    if len(values) == len(column):
        return values
    present = lengths == 1
    return values.take(pa.array(np.cumsum(present) - 1, mask=~present))


def flat_type(kind: pa.DataType) -> pa.DataType:
    """The flat type of a stored one: bytes are text."""
    return pa.string() if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else kind


def conform(columns: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """The schema's columns, cast; those that are absent or of null type are all null.

    Raises:
      DataError: a column is not of the schema's type.
    """
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None or pa.types.is_null(values.type):
            arrays.append(pa.nulls(rows, field.type))
            continue
        try:
            if pa.types.is_integer(values.type) and not pa.types.is_integer(field.type):
                raise pa.ArrowInvalid("an integer column is not read as another type")
            if pa.types.is_large_binary(values.type):
                values = values.cast(pa.binary())
            arrays.append(values.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column '{field.name}': stored as {values.type}, expected {field.type}"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=nullable(schema))


def nullable(schema: pa.Schema) -> pa.Schema:
    """The schema with every column nullable."""
    return pa.schema([field.with_nullable(True) for field in schema])
