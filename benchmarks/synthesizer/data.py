"""The data sets of the table, each divided alike: period, train, interleaved holdout, later test rows.

The last 30 % of every series' time is `test`: what a forecaster is tried on. Of the time before it, the
`period`, every fifth hour (by seed) is `holdout`: no generator sees it, and it is the control of the
membership attack. The rest is `train`. Fidelity is measured against the whole period.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import yaml

from benchmarks.peers.environment import ROOT
from benchmarks.synthesizer import dense, measures, twins
from components.dataset import TIMESTAMP, DatasetConfig, FeatureConfig
from components.simulator.config import dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import default_fleet
from components.split_io import arrow_schema
from components.synthesizer_trainer.core.panel import segments, series_numbers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TEST_SHARE = 0.3
#: Rows of a block that is held out whole, and one block in so many is.
BLOCK_ROWS = 60
HOLDOUT_EVERY = 5
#: Rows of the dense stand-in: 9,072 of them before the test rows.
DENSE_ROWS = 12_960
#: Later spans of the simulated fleet whose events are sought: 24 of a kind, and half as many spikes.
LABELLED_SPANS = 3
#: Days of the fleet's long history: of every kind of anomaly at least ten windows to train on.
HISTORY_DAYS = 70
SMAP = ROOT.parent / "shared" / "data" / "smap"
SMAP_CHANNELS = {"A-2": "smap_freeze", "E-10": "smap_stuck"}
#: Sources of the same kinds that the tables do not have. (Of A-6 a single column varies.)
OTHER_CHANNELS = {"A-1": "smap_freeze", "E-6": "smap_stuck", "E-9": "smap_stuck"}
OTHER_LOCALES = ("us-east", "ap-south")


@dataclasses.dataclass(frozen=True)
class Case:
    """One data set, divided; tables are sorted by series, then time.

    Attributes:
      name: For the table.
      dataset: The columns.
      period: All rows before the test rows.
      train: Of the period, what generators see.
      holdout: Of the period, what they do not.
      test: Later rows.
      alone: A feature that is judged by itself as well, or None.
      labelled: Other rows with labelled events that are none of the period's (`twins`), segments in order, to
        look for anomalies in; None where there are none.
      again: Other real rows of the same source, as many as `train`, or None.
      another: Another span of the same source, as long as the period, or None.
    """

    name: str
    dataset: DatasetConfig
    period: pa.Table
    train: pa.Table
    holdout: pa.Table
    test: pa.Table
    alone: str | None = None
    labelled: pa.Table | None = None
    again: pa.Table | None = None
    another: pa.Table | None = None


@dataclasses.dataclass(frozen=True)
class Rows:
    """Normal rows as numbers.

    Attributes:
      values: Categories by their place in the sorted vocabulary of the period; NaN is null. Shape [N, F].
      segment: Runs of neighbouring rows. Shape [N].
      hour: Parity of the row's hour of data. Shape [N].
    """

    values: Floats
    segment: Ints
    hour: Ints


def flatten(table: pa.Table, dataset: DatasetConfig) -> pa.Table:
    """A source table with Isthmus's columns and types, sorted by series, then time."""
    stamps = table.column(dataset.timestamp)
    if pa.types.is_string(stamps.type):
        stamps = pc.strptime(pc.replace_substring(stamps, " ", "T"), format="%Y-%m-%dT%H:%M:%SZ", unit="us")
    stamps = stamps.cast(pa.timestamp("us")).cast(pa.int64())
    names = [field.name for field in arrow_schema(dataset)][1:]
    flat = pa.table({TIMESTAMP: stamps, **{n: table.column(n) for n in names}}).cast(arrow_schema(dataset))
    return flat.sort_by([(n, "ascending") for n in (*dataset.series, TIMESTAMP)]).combine_chunks()


def divide(
    name: str, table: pa.Table, dataset: DatasetConfig, seed: int = 0, alone: str | None = None
) -> Case:
    """Divides a data set.

    Args:
      name: For the table.
      table: The source's rows.
      dataset: The columns.
      seed: Chooses the hours that are held out.
      alone: A feature that is judged by itself as well.
    """
    flat = flatten(table, dataset)
    series = series_numbers(flat, dataset)
    stamps = flat[TIMESTAMP].to_numpy()
    rng = np.random.default_rng([seed, 77])
    later, held = np.zeros(len(stamps), bool), np.zeros(len(stamps), bool)
    for one in np.unique(series):
        rows = np.flatnonzero(series == one)
        first, last = stamps[rows[0]], stamps[rows[-1]]
        later[rows] = stamps[rows] > first + (1 - TEST_SHARE) * (last - first)
        block = ((stamps[rows] - first) / (dataset.interval_s * 1e6 * BLOCK_ROWS)).astype(np.int64)
        # One of every five hours in turn: the holdout is spread evenly over the period.
        fives = block // HOLDOUT_EVERY
        pick = rng.integers(0, HOLDOUT_EVERY, int(fives.max()) + 1)
        held[rows] = block % HOLDOUT_EVERY == pick[fives]
    take = {
        "period": ~later,
        "train": ~later & ~held,
        "holdout": ~later & held,
        "test": later,
    }
    parts = {key: flat.filter(pa.array(mask)) for key, mask in take.items()}
    return Case(name, dataset, alone=alone, **parts)


def numbers(table: pa.Table, case: Case) -> Floats:
    """Features of all rows as numbers, as `Rows.values`. Shape [N, F]."""
    columns = []
    for feature in case.dataset.features:
        column = table[feature.name]
        if feature.kind == "categorical":
            vocabulary = sorted(set(case.period[feature.name].drop_null().to_pylist()))
            place = {value: float(index) for index, value in enumerate(vocabulary)}
            columns.append(np.array([place.get(v, np.nan) for v in column.to_pylist()], float))
        else:
            columns.append(column.cast(pa.float64()).to_numpy())
    return np.stack(columns, 1).astype(np.float64)


def rows_of(table: pa.Table, case: Case) -> Rows:
    """A table's normal rows as numbers; a labelled row ends its segment."""
    dataset = case.dataset
    stamps = table[TIMESTAMP].to_numpy().astype(np.int64)
    series = series_numbers(table, dataset)
    values = numbers(table, case)
    calm = np.ones(len(stamps), bool)
    if dataset.label:
        calm = table[dataset.label].fill_null(0).to_numpy() == 0
    values, stamps, series = values[calm], stamps[calm], series[calm]
    segment = segments(stamps, series, dataset.interval_s)
    hour = stamps // round(dataset.interval_s * 1e6 * BLOCK_ROWS) % 2
    return Rows(values, segment.astype(np.int64), hour.astype(np.int64))


def named(path: Path, interval_s: float, timestamp: str) -> Case:
    """A CSV of the user's: one series, a time column, every other column a number.

    Args:
      path: The file.
      interval_s: Its cadence.
      timestamp: Its time column.
    """
    table = pyarrow.csv.read_csv(path)
    names = [name for name in table.column_names if name != timestamp]
    for place, name in enumerate(table.column_names):
        if name != timestamp:  # whole numbers beyond float32's are rounded, not refused
            table = table.set_column(place, name, table[name].cast(pa.float64()))
    return divide(path.stem, table, _numbers(names, interval_s, timestamp))


def _numbers(names: list[str], interval_s: float, timestamp: str) -> DatasetConfig:
    return DatasetConfig(
        timestamp=timestamp,
        features=tuple(FeatureConfig(name=name) for name in names),
        targets=(names[0],),
        interval_s=interval_s,
    )


def shipped(names: tuple[str, ...], seed: int, smap_root: Path = SMAP) -> Iterator[Case]:
    """The data sets by name (`dense`, `fleet`, `smap`, and those that the table does not have: `history`,
    the fleet for longer, and `others`); says which SMAP channels are not there.

    Of the `others` no labelled rows are given.

    Args:
      names: Which ones.
      seed: Of simulated rows and of the split.
      smap_root: Folder of the SMAP fleets.
    """
    if "dense" in names:
        table = dense.simulate(DENSE_ROWS, seed)
        columns = [name for name in table.column_names if name != "timestamp"]
        dataset = _numbers(columns, dense.INTERVAL_S, "timestamp")
        other = divide("", dense.simulate(DENSE_ROWS, seed + 1), dataset, seed)
        yield dataclasses.replace(
            divide("dense (simulated server)", table, dataset, seed), another=other.period
        )
    fleet = default_fleet("demo")
    fleet_dataset = dataset_config(fleet).model_copy(update={"schema_name": "simulated_fleet"})
    if "fleet" in names:
        first, *spans, last = (simulate_locale(fleet, "eu-west", span) for span in range(LABELLED_SPANS + 2))
        case = divide("simulated eu-west", first, fleet_dataset, seed)
        later = flatten(pa.concat_tables(spans), fleet_dataset)
        other = divide("", last, fleet_dataset, seed)
        yield dataclasses.replace(case, labelled=later, again=other.train, another=other.period)
    if "history" in names:
        days = {"days": HISTORY_DAYS}
        locales = tuple(locale.model_copy(update=days) for locale in fleet.locales)
        longer = fleet.model_copy(update={"locales": locales})
        spans = [simulate_locale(longer, "eu-west", span) for span in range(2)]
        case = divide(f"simulated eu-west, {HISTORY_DAYS} days", spans[0], fleet_dataset, seed)
        yield dataclasses.replace(case, labelled=flatten(spans[1], fleet_dataset))
    for channel, folder in SMAP_CHANNELS.items() if "smap" in names else ():
        for case in _channel(channel, smap_root / folder, seed):
            yield dataclasses.replace(case, labelled=_channels(smap_root / folder / "test.csv", case))
    if "others" in names:
        for locale in OTHER_LOCALES:
            yield divide(f"simulated {locale}", simulate_locale(fleet, locale, 0), fleet_dataset, seed)
        for channel, folder in OTHER_CHANNELS.items():
            yield from _channel(channel, smap_root / folder, seed)


def _channel(channel: str, folder: Path, seed: int) -> Iterator[Case]:
    """A training channel of a SMAP fleet, divided; none if it is not there."""
    path = folder / "train" / f"{channel}.csv"
    if not path.exists():
        print(f"skipped SMAP {channel}: {path.name} is not under {folder.name}/train of the named folder")
        return
    example = yaml.safe_load((ROOT / "examples" / f"{folder.name}.yaml").read_text())
    dataset = DatasetConfig.model_validate(example["dataset"])
    case = divide(f"SMAP {channel}", pyarrow.csv.read_csv(path), dataset, seed)
    alone = dataset.targets[0]
    varies = dataset.feature_names().index(alone) in measures.varying(rows_of(case.period, case).values)
    yield dataclasses.replace(case, alone=alone if varies else None)


def _channels(path: Path, case: Case) -> pa.Table | None:
    """Rows of a fleet's test channels, one below the other, but for twins of the case's own channel."""
    if not path.exists():
        return None
    table = pyarrow.csv.read_csv(path)
    kept, known = [], _labelled_values(case.period, case)
    for name in table["location"].unique().to_pylist():
        rows = flatten(table.filter(pc.equal(table["location"], name)), case.dataset)
        if twins.is_twin(*_labelled_values(rows, case), *known):
            print(f"left out {name}: its labelled events are those of {case.name}, row for row")
        else:
            kept.append(rows)
    return pa.concat_tables(kept) if kept else None


def _labelled_values(table: pa.Table, case: Case) -> tuple[Floats, npt.NDArray[np.bool_]]:
    return numbers(table, case), table[case.dataset.label].fill_null(0).to_numpy() > 0
