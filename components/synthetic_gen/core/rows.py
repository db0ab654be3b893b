"""Sampled arrays as a table, and whether it conforms to the schema."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import TIMESTAMP, DatasetConfig
from components.egress.categories import OTHER
from components.errors import DataError, list_briefly
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import Synthesizer

_INTEGERS = ("integer", "binary")


def synthetic_name(number: int) -> str:
    """The id of a synthetic series: `syn-0001`. Never a real one."""
    return f"syn-{number + 1:04d}"


def to_table(
    synthesizer: Synthesizer, dataset: DatasetConfig, sessions: list[Session], parts: list[dict[str, Any]]
) -> pa.Table:
    """Rows of several sessions as a flat table (decision 1), by session, then time.

    Args:
      synthesizer: Gives vocabularies and kinds.
      dataset: The columns.
      sessions: What was sampled.
      parts: What `Synthesizer.sample` returned.
    """
    values = np.concatenate([part["values"] for part in parts])
    kind = np.concatenate([part["kind"] for part in parts])
    counts = [len(session.keep) for session in sessions]
    names = pa.array(np.repeat([synthetic_name(s.number) for s in sessions], counts), pa.string())
    columns: dict[str, pa.Array] = {TIMESTAMP: pa.array(np.concatenate([s.time_us for s in sessions]))}
    columns.update(dict.fromkeys(dataset.series, names))
    for index, feature in enumerate(dataset.features):
        column = values[:, index]
        null = np.isnan(column)
        # Without a mask Arrow takes the values as they are.
        missing = null if null.any() else None
        if missing is not None:
            column = np.where(null, 0, column)
        if feature.kind == "categorical":
            vocabulary = pa.array(synthesizer.metadata["vocabularies"][feature.name], pa.string())
            codes = pa.array(column.astype(np.int32), mask=missing)
            columns[feature.name] = (
                pa.DictionaryArray.from_arrays(codes, vocabulary).cast(pa.string())
                if len(vocabulary)
                else pa.nulls(len(column), pa.string())
            )
        elif feature.kind in _INTEGERS:
            columns[feature.name] = pa.array(np.rint(column).astype(np.int64), mask=missing)
        else:
            columns[feature.name] = pa.array(column.astype(np.float32), mask=missing)
    if dataset.label:
        columns[dataset.label] = pa.array((kind > 0).astype(np.int64))
    if dataset.label_kind:
        texts = np.array(["", *synthesizer.kinds], dtype=object)
        columns[dataset.label_kind] = pa.array(texts[kind], pa.string())
    return pa.table(columns)


def check_conforms(table: pa.Table, schema: schema_pb2.Schema, dataset: DatasetConfig, place: str) -> None:
    """Checks features and labels against the schema's types, domains and presence.

    Series columns are left out: their domain lists real ids, which no synthetic row may bear.

    Raises:
      DataError: names the features and the rule broken.
    """
    domains = {domain.name: domain for domain in schema.string_domain}
    specs = {feature.name: feature for feature in schema.feature}
    broken = []
    wanted = [*dataset.feature_names(), *(n for n in (dataset.label, dataset.label_kind) if n)]
    for name in wanted:
        if name not in specs:
            broken.append(f"{name} (not in the schema)")
            continue
        spec, column = specs[name], table.column(name)
        present = 1 - column.null_count / max(table.num_rows, 1)
        if spec.HasField("presence") and spec.presence.min_fraction == 1.0 and present < 1.0:
            broken.append(f"{name} (null in {column.null_count} rows, the schema wants it in all)")
        if column.null_count == table.num_rows:
            continue
        for kind in ("int_domain", "float_domain"):
            if spec.HasField(kind):
                domain, ends = getattr(spec, kind), pc.min_max(column).as_py()
                # float32 rows against float64 bounds: a rounding of the last place is no breach.
                slack = 1e-6 * max(abs(ends["min"]), abs(ends["max"])) if kind == "float_domain" else 0
                if domain.HasField("min") and ends["min"] < domain.min - slack:
                    broken.append(f"{name} (below its domain)")
                if domain.HasField("max") and ends["max"] > domain.max + slack:
                    broken.append(f"{name} (above its domain)")
        allowed = domains.get(spec.domain) or (spec.string_domain if spec.HasField("string_domain") else None)
        if allowed is not None and allowed.value and pa.types.is_string(column.type):
            unknown = set(pc.unique(column.drop_null()).to_pylist()) - set(allowed.value)
            if name == dataset.label_kind and not dataset.schema_name:
                unknown.discard(OTHER)  # the name of merged kinds, in no domain that was found in rows
            if unknown:
                broken.append(f"{name} ({len(unknown)} values outside its domain)")
    if broken:
        raise DataError(
            f"{place}: synthetic rows do not conform to the schema: {list_briefly(broken)}. "
            "Train the synthesizer again with this schema."
        )
