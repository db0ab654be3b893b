"""Several divisions of one period: each is made and measured by itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import data, divisions, runners
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
    assert all(run["pair"] > 0.9 for run in found)
    said = capsys.readouterr()
    assert said.err.count("pumps, division") == 4
    header, _, row = said.out.strip().splitlines()
    assert header == "| data | divisions | pair | membership | by row | unseen |"
    assert row.startswith("| pumps | 4 | 0.9")


def test_one_division_has_no_interval() -> None:
    run = {"pair": 0.98, "membership": 0.01, "by row": 0.0, "unseen": 0.25}
    assert divisions.render({"pumps": [run]}).splitlines()[2] == (
        "| pumps | 1 | 0.9800 (0.9800 to 0.9800) | 0.0100 (0.0100 to 0.0100) | 0.0000 (0.0000 to 0.0000) |"
        " 0.2500 (0.2500 to 0.2500) |"
    )
