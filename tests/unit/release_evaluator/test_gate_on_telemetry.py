"""The gate's default rules on simulated telemetry and, where it is at hand, on SMAP: several seeds each.

An honest release of perfect fidelity is a second draw of the same process: another seed of the simulator,
or, for SMAP, real blocks that were set apart. The others know their training rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
import yaml

from components.dataset import TIMESTAMP, DatasetConfig
from components.example_gen.config import SplitConfig
from components.example_gen.core.splits import Keys, assign_rows
from components.release_evaluator.core.attacks.control import stand_in
from components.release_evaluator.core.blocks import chunks
from components.release_evaluator.core.frames import read_columns
from components.simulator.config import dataset_config
from components.simulator.core.fleet import simulate_locale
from components.simulator.presets import default_fleet
from components.split_io import arrow_schema

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[3]
SMAP = ROOT.parent / "shared" / "data" / "smap" / "smap_freeze" / "train" / "A-2.csv"
SEEDS = (1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow))
#: The modes that the simulated fleet's curated schema publishes.
PUBLIC = {"mode": ("eclipse", "safe", "sun")}


def flat(table: pa.Table, dataset: DatasetConfig) -> pa.Table:
    """A source's rows as the evaluator gets them, sorted by series, then time."""
    stamps = table[dataset.timestamp]
    if pa.types.is_string(stamps.type):
        stamps = pc.strptime(stamps, format="%Y-%m-%dT%H:%M:%SZ", unit="us")
    stamps = stamps.cast(pa.timestamp("us")).cast(pa.int64())
    schema = arrow_schema(dataset)
    columns = {name: table[name] for name in schema.names if name != TIMESTAMP}
    made = pa.table({TIMESTAMP: stamps, **columns}).cast(schema)
    return made.sort_by([(name, "ascending") for name in (*dataset.series, TIMESTAMP)]).combine_chunks()


def dealt(table: pa.Table, dataset: DatasetConfig, seed: int) -> tuple[pa.Table, pa.Table]:
    """Train and holdout as ExampleGen deals them."""
    series = table.select(dataset.series).to_pandas()
    number = series.groupby(list(dataset.series)).ngroup().to_numpy() if dataset.series else None
    keys = Keys(
        np.zeros(table.num_rows, np.int64) if number is None else number,
        table[TIMESTAMP].to_numpy(),
        table[dataset.label].to_numpy(),
    )
    config = SplitConfig()
    assigned = assign_rows([keys], config, dataset.interval_s, seed).of(0, table.num_rows)
    names = list(config.fractions())
    train, holdout = (table.filter(pa.array(assigned == names.index(name))) for name in ("train", "holdout"))
    return train, holdout


def telemetry(seed: int) -> tuple[pa.Table, DatasetConfig]:
    """Two assets of the locale eu-west over ten days."""
    fleet = default_fleet("demo", seed)
    locales = [locale.model_copy(update={"days": 10, "assets": 2}) for locale in fleet.locales]
    fleet = fleet.model_copy(update={"locales": tuple(locales)})
    dataset = dataset_config(fleet)
    return flat(simulate_locale(fleet, "eu-west", 0), dataset), dataset


@pytest.fixture(scope="module", params=SEEDS)
def simulated(request):
    """Train, holdout, an honest release and the data set."""
    real, dataset = telemetry(request.param)
    train, holdout = dealt(real, dataset, request.param)
    return train, holdout, telemetry(1_000 + request.param)[0], dataset


def jittered(table: pa.Table, dataset: DatasetConfig, rng: np.random.Generator) -> pa.Table:
    """Noise of a twentieth of each continuous column's spread."""
    for name in dataset.feature_names("continuous"):
        values = table[name].to_numpy()
        values = values + 0.05 * np.nanstd(values) * rng.normal(size=len(values))
        table = table.set_column(
            table.column_names.index(name), name, pa.array(values, table.schema.field(name).type)
        )
    return table


def with_rare_windows(
    honest: pa.Table, train: pa.Table, dataset: DatasetConfig, rng: np.random.Generator
) -> pa.Table:
    """Honest, but every labelled window of train stands in it, verbatim, with the rows around it."""
    label = train[dataset.label].to_numpy()
    edge = np.diff(label, prepend=0, append=0)
    frame, source = honest.to_pandas(), train.to_pandas()
    columns = [*dataset.feature_names(), dataset.label]
    for begin, end in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)):
        begin, end = max(0, begin - 6), min(len(source), end + 6)
        at = int(rng.integers(0, len(frame) - (end - begin)))
        frame.loc[at : at + end - begin - 1, columns] = source.loc[begin : end - 1, columns].to_numpy()
    return pa.Table.from_pandas(frame, schema=honest.schema, preserve_index=False)


def refusals(result) -> set[str]:
    return {check.metric for check in result.checks if check.outcome == "REFUSED"}


def test_an_honest_release_of_simulated_telemetry_passes_every_attack(sim, simulated):
    train, holdout, honest, dataset = simulated
    _, result = sim.attacked(train, holdout, honest, dataset=dataset, public=PUBLIC)
    assert result.verdict == "BLESSED", result.reasons


@pytest.mark.parametrize("evil", ["copy", "jitter", "rare", "trained_on_holdout"])
def test_releases_that_know_simulated_telemetry_are_refused(sim, simulated, evil):
    train, holdout, honest, dataset = simulated
    rng = np.random.default_rng(0)
    release, wanted = {
        "copy": (train, {"exact_copy_risk_rows", "exact_copy_risk_windows", "replay_risk_windows"}),
        "jitter": (jittered(train, dataset, rng), {"replay_risk_windows", "near_copy_risk_windows"}),
        "rare": (with_rare_windows(honest, train, dataset, rng), {"rare_window_replay_risk"}),
        "trained_on_holdout": (jittered(holdout, dataset, rng), {"holdout_exposure_windows"}),
    }[evil]
    names = {
        "copy": ["exact_copies", "replay"],
        "jitter": ["replay", "closeness"],
        "rare": ["rare_windows"],
        "trained_on_holdout": ["holdout_exposure"],
    }[evil]
    _, result = sim.attacked(train, holdout, release, names, dataset=dataset, public=PUBLIC)
    assert refusals(result) >= wanted, result.reasons


@pytest.fixture(scope="module")
def smap():
    """A-2 of SMAP: train, holdout, real blocks that were set apart, and the data set."""
    if not SMAP.exists():
        pytest.skip("SMAP is not at hand (../shared/data/smap)")
    example = yaml.safe_load((ROOT / "examples" / "smap_freeze.yaml").read_text())
    dataset = DatasetConfig.model_validate(example["dataset"])
    train, holdout = dealt(flat(pyarrow.csv.read_csv(SMAP), dataset), dataset, 7)
    columns = read_columns({"train": train, "holdout": holdout}, dataset)
    chunk = chunks(columns["train"], 100, dataset.interval_s)
    parts = stand_in(columns, chunk, np.random.default_rng(4))
    known, apart = (
        train.filter(pa.array(np.isin(train[TIMESTAMP].to_numpy(), parts[name].time)))
        for name in ("train", "synthetic")
    )
    return known, holdout, apart, dataset


def test_real_rows_that_were_set_apart_pass_on_smap(sim, smap):
    train, holdout, apart, dataset = smap
    _, result = sim.attacked(train, holdout, apart, dataset=dataset, max_records=2_000)
    assert result.verdict == "BLESSED", result.reasons
    assert sum(check.outcome == "PASSED" for check in result.checks) > 20


def test_copies_and_jitter_are_refused_on_smap(sim, smap):
    train, holdout, _, dataset = smap
    names = ["exact_copies", "replay"]
    _, result = sim.attacked(train, holdout, train, names, dataset=dataset)
    assert {"exact_copy_risk_windows", "replay_risk_windows"} <= refusals(result), result.reasons
    noisy = jittered(train, dataset, np.random.default_rng(0))
    _, result = sim.attacked(train, holdout, noisy, ["replay"], dataset=dataset)
    assert result.verdict == "NOT_BLESSED" and refusals(result), result.reasons
