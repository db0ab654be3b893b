"""Categories that too few real supporters have: counted in the region, folded or refused before release.

A category is a name that a row bears: a value of a categorical feature, or the kind of an anomaly. Names
that the curated schema publishes were known before any row; any other name is itself a finding about the
locale's rows, and leaves only if enough of them have it.

Source: k-anonymity of a single attribute, Samarati and Sweeney (1998); minimum frequency rule,
Hundepool et al. (2012), Statistical Disclosure Control, ch. 5. It protects the name, not the rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import DatasetConfig
from components.egress.config import EgressConfig

#: What a category with too few supporters is called in a release.
OTHER = "other"
#: The count of supporters, beside the synthetic rows, in the region.
SUPPORT_FILE = "categories.json"

Support = dict[str, dict[str, int]]


def category_columns(dataset: DatasetConfig) -> tuple[str, ...]:
    """The columns whose values are names."""
    kind = (dataset.label_kind,) if dataset.label_kind else ()
    return (*dataset.feature_names("categorical"), *kind)


def category_support(table: pa.Table, dataset: DatasetConfig, supporters: str) -> Support:
    """Supporters of each category of real rows: rows, or different series.

    Args:
      table: Real training rows with the category and series columns.
      dataset: The columns.
      supporters: `rows` or `series`; without series columns every row is its own.
    """
    found: Support = {}
    series = [table.column(name) for name in dataset.series]
    for name in category_columns(dataset):
        column = table.column(name)
        if supporters == "series" and series:
            pairs = pa.table([column, *series], names=[f"c{i}" for i in range(len(series) + 1)])
            column = pairs.group_by(pairs.column_names).aggregate([]).column("c0")
        counts = pc.value_counts(column.drop_null()).to_pylist()
        found[name] = {item["values"]: int(item["counts"]) for item in counts if item["values"] != ""}
    return found


def rare_categories(
    support: Mapping[str, Mapping[str, int]], public: Mapping[str, frozenset[str]], policy: EgressConfig
) -> dict[str, list[str]]:
    """Categories that are not public and have too few supporters, by column; only those that have any."""
    found = {
        name: sorted(
            value
            for value, count in counts.items()
            if count < policy.min_supporters and value not in public.get(name, frozenset()) and value != OTHER
        )
        for name, counts in support.items()
    }
    return {name: values for name, values in found.items() if values}


def fold(table: pa.Table, rare: Mapping[str, list[str]]) -> pa.Table:
    """The rows with rare categories called `other`. Shape and types stay."""
    for name, values in rare.items():
        column = table.column(name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # an empty one stays chunked
            continue
        hit = pc.fill_null(pc.is_in(column, value_set=pa.array(values, pa.string())), False)
        if np.any(hit.to_numpy(zero_copy_only=False)):
            folded = pc.if_else(hit, pa.scalar(OTHER, pa.string()), column)
            table = table.set_column(table.schema.get_field_index(name), name, folded)
    return table
