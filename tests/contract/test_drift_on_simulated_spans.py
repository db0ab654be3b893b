"""Drift at default thresholds: a stationary fleet is quiet, an injected shift is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components import split_io
from components.example_gen.config import ExampleGenConfig, SourceConfig
from components.example_gen.core.ingest import ingest
from components.monitoring import MonitoringConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.statistics_io import read_span_statistics
from components.statistics_gen.summary import Comparator, FeatureSummary, compare, summarise

pytestmark = pytest.mark.tfx

LOCALE = "eu-west"
DRIFT = MonitoringConfig().drift


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from components.simulator.core.fleet import simulate_fleet
    from components.simulator.presets import default_fleet

    folder = tmp_path_factory.mktemp("drift")
    simulate_fleet(default_fleet("small", 7), folder, spans=2)
    return folder


def statistics_of(fleet: Path, span: int, root: Path, source: Path | None = None) -> Any:
    """Runs ExampleGen's core and StatisticsGen's executor on one span; returns the artifact's folder."""
    from components.simulator.config import dataset_config
    from components.simulator.presets import default_fleet
    from components.statistics_gen.executor import Executor
    from components.tfx_shim import artifact_utils, standard_artifacts

    dataset = dataset_config(default_fleet("small", 7))
    pattern = str(source or fleet / LOCALE / f"span-{span}" / "data.csv")
    config = ExampleGenConfig(dataset=dataset, sources=(SourceConfig(pattern=pattern),))
    ingest(config, root / "examples", root / "quarantine", locale=LOCALE, seed=7)
    examples, output = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    examples.uri, output.uri = str(root / "examples"), str(root / "statistics")
    examples.split_names = artifact_utils.encode_split_names(split_io.list_splits(examples.uri))
    properties = {"config": StatisticsGenConfig(dataset=dataset).to_exec_property()}
    Executor().Do({"examples": [examples]}, {"statistics": [output]}, properties)
    return output.uri


def drifted(current: dict[str, FeatureSummary], previous: dict[str, FeatureSummary]) -> set[str]:
    found = set()
    for name, summary in current.items():
        if name in ("timestamp", "asset", "label", "kind"):
            continue
        measure = "jensen_shannon_divergence" if summary.numeric else "infinity_norm"
        comparison = compare(summary, previous[name], Comparator(measure, getattr(DRIFT, measure)))
        assert comparison.exceeded is not None, comparison.reason
        found |= {name} if comparison.exceeded else set()
    return found


def test_a_stationary_fleet_is_quiet_and_an_injected_shift_is_not(fleet: Path, tmp_path: Path) -> None:
    before = summarise(read_span_statistics(statistics_of(fleet, 0, tmp_path / "0")))
    after = summarise(read_span_statistics(statistics_of(fleet, 1, tmp_path / "1")))
    assert {"temp_c", "mode", "current_a", "heater_on"} <= set(after)
    assert drifted(after, before) == set()

    frame = pd.read_csv(fleet / LOCALE / "span-1" / "data.csv", keep_default_na=False, na_values=[""])
    frame["temp_c"] += 2 * frame["temp_c"].std()
    frame["mode"] = np.where(np.arange(len(frame)) % 3 == 0, "safe", frame["mode"])
    frame.to_csv(tmp_path / "shifted.csv", index=False)
    shifted = summarise(
        read_span_statistics(statistics_of(fleet, 1, tmp_path / "2", tmp_path / "shifted.csv"))
    )
    assert drifted(shifted, before) == {"temp_c", "mode"}


def test_the_span_has_the_rows_of_all_splits(fleet: Path, tmp_path: Path) -> None:
    from components.statistics_gen.statistics_io import read_statistics

    root = statistics_of(fleet, 0, tmp_path)
    splits = [summarise(read_statistics(root, split)) for split in ("train", "eval", "holdout")]
    whole = summarise(read_span_statistics(root))
    for name, summary in whole.items():
        parts = [split[name] for split in splits]
        assert summary.num_present == sum(part.num_present for part in parts)
        assert summary.num_missing == sum(part.num_missing for part in parts)
        assert sum(summary.counts.values()) == sum(sum(part.counts.values()) for part in parts)
        if summary.histogram is not None:
            edges = [part.histogram for part in parts if part.histogram is not None]
            assert summary.histogram.low[0] == min(edge.low[0] for edge in edges)
            assert summary.histogram.high[-1] == max(edge.high[-1] for edge in edges)
