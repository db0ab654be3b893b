"""Rows of a locale, divided into training rows and held-out ones as ExampleGen does it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.dataset import TIMESTAMP, DatasetConfig
from components.example_gen.config import SplitConfig
from components.example_gen.core.keys import Keys
from components.example_gen.core.splits import assign_rows
from components.simulator.config import dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import default_fleet
from components.split_io import arrow_schema

#: Seed of the split, which is the same for every seed of the models.
SPLIT_SEED = 0


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Rows of one locale.

    Attributes:
      name: For the table.
      dataset: The columns.
      train: Training rows, sorted by series, then time.
      holdout: Rows that no side sees.
    """

    name: str
    dataset: DatasetConfig
    train: pa.Table
    holdout: pa.Table


def split(name: str, table: pa.Table, dataset: DatasetConfig, rows: int | None) -> Fleet:
    """Casts a source table to its flat columns and splits it as ExampleGen does.

    Args:
      name: For the table.
      table: The source's rows; timestamps as text or as Arrow timestamps.
      dataset: The columns.
      rows: Keep the first so many in time; None keeps all.
    """
    stamps = table.column(dataset.timestamp)
    if pa.types.is_string(stamps.type):
        stamps = pc.strptime(stamps, format="%Y-%m-%dT%H:%M:%SZ", unit="us")
    stamps = stamps.cast(pa.timestamp("us")).cast(pa.int64())
    names = [field.name for field in arrow_schema(dataset)][1:]
    flat = pa.table({TIMESTAMP: stamps, **{n: table.column(n) for n in names}}).cast(arrow_schema(dataset))
    flat = flat.sort_by([(TIMESTAMP, "ascending")]).slice(0, rows)
    flat = flat.sort_by([(n, "ascending") for n in (*dataset.series, TIMESTAMP)]).combine_chunks()
    series = np.zeros(flat.num_rows, np.int64)
    if dataset.series:
        frame = flat.select(dataset.series).to_pandas()
        series = frame.groupby(list(dataset.series), sort=False).ngroup().to_numpy()
    label = flat[dataset.label].fill_null(0).to_numpy() if dataset.label else None
    keys = Keys(series, flat[TIMESTAMP].to_numpy(), label)
    config = SplitConfig()
    assigned = assign_rows([keys], config, dataset.interval_s, SPLIT_SEED).of(0, flat.num_rows)
    names = list(config.fractions())
    train, holdout = (flat.filter(pa.array(assigned == names.index(name))) for name in ("train", "holdout"))
    return Fleet(name, dataset, train, holdout)


def simulated(rows: int | None) -> Fleet:
    """The restricted locale eu-west of the demonstration's fleet."""
    fleet = default_fleet("demo")
    dataset = dataset_config(fleet).model_copy(update={"schema_name": "simulated_fleet"})
    return split("simulated eu-west", simulate_locale(fleet, "eu-west", 0), dataset, rows)
