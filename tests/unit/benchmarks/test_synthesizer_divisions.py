"""Several divisions of one period: each is made and measured by itself."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
import yaml

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, divisions, runners
from components.dataset import TIMESTAMP
from components.synthesizer_trainer.core.rare_events import count_windows
from tests.unit.benchmarks import pumps


def _source(rows: int = 4800) -> pa.Table:
    """Two pumps, of which every row is another."""
    table = pumps.source(rows)
    volts = np.random.default_rng(0).normal(size=rows) + 3 * table["on"].to_numpy()
    return table.set_column(table.column_names.index("volts"), "volts", pa.array(volts))


def _rows(values: list[list[float]]) -> data.Rows:
    own = np.array(values, float)
    return data.Rows(own, np.zeros(len(own), int), np.zeros(len(own), int))


def test_unseen_are_rows_of_which_no_training_row_has_the_flags_together() -> None:
    train = _rows([[0.1, 0, 1], [0.2, 1, 0], [0.3, 1, np.nan]])
    holdout = _rows([[0.9, 0, 1], [0.9, 1, 1], [0.9, 1, np.nan], [0.9, np.nan, 1]])
    assert divisions.unseen(train, holdout, [1, 2]) == 0.5
    assert divisions.unseen(train, holdout, []) == 0.0
    assert divisions.unseen(train, train, [0, 1, 2]) == 0.0


def test_states_that_few_rows_have_are_those_of_their_neighbours() -> None:
    states = [[0, 0, np.nan]] * 5 + [[1, 1, np.nan]] * 4 + [[1, 1, 2]] * 2 + [[0, 0, 2]]
    rows = _rows([[number, *flags] for number, flags in enumerate(states)])
    merged = divisions.rare_merged(rows, [1, 2, 3], 3)
    assert np.isnan(merged.values[:, 3]).all()
    assert merged.values[:, :3].tolist() == rows.values[:, :3].tolist()
    assert divisions.rare_merged(rows, [], 3) is rows
    same = divisions.rare_merged(rows, [1, 2, 3], 1)
    assert np.array_equal(same.values, rows.values, equal_nan=True)


def test_each_division_is_made_and_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    def shipped(names: tuple[str, ...], seed: int, root: Path) -> Iterator[data.Case]:
        assert names == ("smap",) and root == tmp_path
        yield data.divide("pumps", _source(), pumps.DATASET, seed)

    def run(name: str, case: data.Case, seed: int, config: Mapping[str, Any]) -> runners.Made:
        asked.append((name, seed))
        # Even seeds copy their training rows, which odd ones do not know.
        return runners.Made(case.train if seed % 2 == 0 else case.holdout, None, {})

    monkeypatch.setattr(data, "shipped", shipped)
    monkeypatch.setattr(runners, "run", run)
    out = tmp_path / "found.json"
    arguments = [
        "divisions",
        "--data",
        "smap",
        "--count",
        "4",
        "--smap-root",
        str(tmp_path),
        "--json",
        str(out),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    assert divisions.main() == 0
    assert asked == [("ours", seed) for seed in range(4)]
    found = json.loads(out.read_text())["pumps"]
    copied, unknown = [run["membership"] for run in found[::2]], [run["membership"] for run in found[1::2]]
    assert min(copied) > 0.3 and max(unknown) < -0.3
    assert len(found) == 4 and all(0 <= run["unseen"] < 0.01 for run in found)
    assert all(run["pair"] > 0.9 and run["pair, rare merged"] > 0.9 for run in found)
    said = capsys.readouterr()
    assert said.err.count("pumps, division") == 4
    header, _, row = said.out.strip().splitlines()
    assert header.startswith(
        "| data | divisions | marginal | worst column | pair | ACF | local ACF | step KS |"
    )
    assert header.endswith("| membership | by row | recall kept | unseen | pair, rare merged |")
    assert row.startswith("| pumps | 4 | 0.9") and " | – | – | " in row  # no column by itself
    assert " | – | 0.0" in row  # nor anomalies


def test_where_events_are_labelled_the_recall_kept_is_told_by_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = _source()
    volts = table["volts"].to_numpy() + 20 * table["label"].to_numpy()
    table = table.set_column(table.column_names.index("volts"), "volts", pa.array(volts))

    def shipped(names: tuple[str, ...], seed: int, root: Path) -> Iterator[data.Case]:
        assert names == ("fleet",)
        case = data.divide("pumps", table, pumps.DATASET, seed)
        events = data.flatten(table[:800], pumps.DATASET)
        yield dataclasses.replace(case, train=case.period, labelled=events)

    def run(name: str, case: data.Case, seed: int, config: Mapping[str, Any]) -> runners.Made:
        calm = case.train.filter(pc.equal(case.train["label"], 0))
        return runners.Made(calm, case.train, {})  # anomalies are in the release alone

    monkeypatch.setattr(data, "shipped", shipped)
    monkeypatch.setattr(runners, "run", run)
    monkeypatch.setattr(sys, "argv", ["divisions", "--data", "fleet", "--count", "1"])
    assert divisions.main() == 0
    header, _, row, _, kinds, _, kept = capsys.readouterr().out.strip().splitlines()
    cells = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert cells["recall kept"] == "1.000 (1.000 to 1.000)"
    assert kinds.startswith("| pumps: anomalies | kind | events |")
    assert kept.startswith("| ours | ramp | 2 |") and "**1.000**" in kept


def test_the_long_history_has_ten_windows_of_every_kind_to_train_on() -> None:
    for seed in range(5):
        (case,) = data.shipped(("history",), seed)
        found = count_windows(case.train, case.dataset, "")
        assert len(found) == 4 and min(found.values()) >= 10, (seed, found)
        # What is sought in is later than all that was trained on.
        assert case.labelled is not None
        assert case.labelled[TIMESTAMP].to_numpy().min() > case.period[TIMESTAMP].to_numpy().max()


def test_one_division_has_no_interval() -> None:
    run = dict.fromkeys(divisions.COLUMNS, 0.25) | {"pair": 0.98}
    cells = divisions.render({"pumps": [run]}).splitlines()[2].strip("| ").split(" | ")
    assert cells[:2] == ["pumps", "1"] and cells[4] == "0.980 (0.980 to 0.980)"
    assert cells[2:4] + cells[5:] == ["0.250 (0.250 to 0.250)"] * (len(divisions.COLUMNS) - 1)


def test_other_sources_of_the_same_kinds_are_divided_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A channel whose analogue value never moves has none to be judged by itself."""
    names = ["feature_0", "feature_1"]
    for channel, folder in data.OTHER_CHANNELS.items():
        if channel == "E-9":
            continue
        rows = 600
        example = yaml.safe_load((data.ROOT / "examples" / f"{folder}.yaml").read_text())["dataset"]
        columns = {feature["name"]: np.zeros(rows) for feature in example["features"]}
        columns["feature_1"] = np.arange(rows) % 2
        columns["feature_0"] = np.ones(rows) if channel == "A-1" else np.arange(rows) / rows
        first = np.datetime64("2026-01-01T00:00:00")
        stamps = first + np.arange(rows) * np.timedelta64(int(example["interval_s"]), "s")
        lead = {example["timestamp"]: [f"{stamp}Z" for stamp in stamps]}
        lead |= {name: [channel] * rows for name in example.get("series", [])}
        lead[example["label"]] = np.zeros(rows, int)
        place = tmp_path / folder / "train"
        place.mkdir(parents=True, exist_ok=True)
        pyarrow.csv.write_csv(pa.table(lead | columns), place / f"{channel}.csv")
    cases = {case.name: case for case in data.shipped(("others",), 1, tmp_path)}
    assert list(cases) == ["simulated us-east", "simulated ap-south", "SMAP A-1", "SMAP E-6"]
    assert [cases[f"SMAP {name}"].alone for name in ("A-1", "E-6")] == [None, names[0]]
    assert all(len(case.train) > 0 and len(case.holdout) > 0 for case in cases.values())
    assert "skipped SMAP E-9" in capsys.readouterr().out
