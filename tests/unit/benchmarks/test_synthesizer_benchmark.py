"""The synthesizer's benchmark: what each side gets, how its rows are laid out, who is ahead."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.peers import environment
from benchmarks.synthesizer import ctgan as synthesizer
from components.dataset import TIMESTAMP, DatasetConfig, FeatureConfig

DATASET = DatasetConfig(
    timestamp="when",
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(FeatureConfig(name="volts"), FeatureConfig(name="on", kind="binary")),
    targets=("volts",),
    interval_s=60,
)


def _source(rows: int = 1200) -> pa.Table:
    """Two assets, row by row in turn, a row a minute each; one event of 20 rows."""
    step = np.arange(rows) // 2
    stamps = np.datetime64("2024-03-01T00:00:00") + step.astype("timedelta64[m]")
    label = ((step >= 100) & (step < 110)).astype(int)
    return pa.table(
        {
            "when": [f"{stamp}Z" for stamp in stamps],
            "asset": [f"pump-{row % 2}" for row in range(rows)],
            "volts": np.round(np.sin(step / 9), 2),
            "on": (step // 5) % 2,
            "label": label,
            "kind": np.where(label == 1, "ramp", ""),
            "serial": ["SN-1"] * rows,
        }
    )


def test_a_source_becomes_two_disjoint_splits_without_other_columns() -> None:
    fleet = synthesizer.split("pumps", _source(), DATASET, None)
    assert fleet.train.column_names == [TIMESTAMP, "asset", "volts", "on", "label", "kind"]
    keys = [set(zip(t["asset"].to_pylist(), t[TIMESTAMP].to_pylist())) for t in (fleet.train, fleet.holdout)]
    assert not keys[0] & keys[1]
    # ExampleGen's fractions: 0.7 and 0.2 of 1,200 rows, by whole blocks of about 30.
    assert abs(len(keys[0]) - 840) <= 60 and abs(len(keys[1]) - 240) <= 60


def test_a_source_without_series_is_one_series() -> None:
    alone = _source().filter(pa.array(np.arange(1200) % 2 == 0)).drop(["asset"])
    fleet = synthesizer.split("pump", alone, DATASET.model_copy(update={"series": ()}), None)
    assert 0.6 < fleet.train.num_rows / 600 < 0.8 and 0.1 < fleet.holdout.num_rows / 600 < 0.3


def test_rows_keeps_the_first_in_time_of_all_series() -> None:
    fleet = synthesizer.split("pumps", _source(), DATASET, 800)
    first = 1_709_251_200_000_000  # 2024-03-01T00:00:00Z
    # 800 rows of two assets are the first 400 minutes.
    last = max(max(t[TIMESTAMP].to_pylist()) for t in (fleet.train, fleet.holdout))
    assert last <= first + 399 * 60_000_000
    assert set(fleet.train["asset"].to_pylist()) == {"pump-0", "pump-1"}


def test_ctgan_gets_features_and_labels_and_the_sources_rounding() -> None:
    table = synthesizer.split("pumps", _source(), DATASET, None).train
    learned, kinds = synthesizer.ctgan_table(table, DATASET)
    assert kinds == {"volts": "numerical", "on": "categorical", "label": "categorical", "kind": "categorical"}
    assert learned.column_names == list(kinds)
    values = learned["volts"].cast(pa.float64()).to_numpy()
    assert (values == np.round(values, 2)).all()  # two decimals in the source, float32 in between


def test_independent_rows_keep_their_order_and_anomalous_ones_come_last() -> None:
    train = pa.table({TIMESTAMP: [1, 2, 3, 4], "asset": ["a", "a", "b", "b"]})
    sampled = pa.table(
        {
            "volts": [1.5, 2.5, 3.5, 4.5],
            "on": [0, 1, 0, 1],
            "label": [0, 1, 0, 0],
            "kind": ["", "ramp", "", ""],
        }
    )
    laid = synthesizer.lay_out(sampled, train, DATASET)
    assert laid["volts"].to_pylist() == [1.5, 3.5, 4.5, 2.5]
    assert laid["kind"].to_pylist() == ["", "", "", "ramp"]
    assert laid["asset"].to_pylist() == ["a", "a", "b", "b"]
    assert laid[TIMESTAMP].to_pylist() == [1, 2, 3, 4]


def _run(side: float) -> dict[str, float]:
    return {key: side for key, *_ in synthesizer.COLUMNS}


def test_ahead_means_more_fidelity_and_less_error_and_cost() -> None:
    runs = [
        {"ours": _run(2.0), "ctgan": _run(1.0), "train": {}},
        {"ours": _run(4.0), "ctgan": _run(2.0), "train": {}},
    ]
    rows = {row["key"]: row for row in synthesizer.compare(runs)}
    # Means 3 and 1.5: twice as much, which is ahead only where more is better.
    assert rows["marginal_fidelity"]["ours"] == 3.0
    assert rows["marginal_fidelity"]["ahead"] and rows["marginal_fidelity"]["factor"] == 2.0
    for key in ("acf_error", "train_cpu_s", "peak_mb"):
        assert not rows[key]["ahead"] and rows[key]["factor"] == 0.5
    equal = synthesizer.compare([{"ours": _run(1.0), "ctgan": _run(1.0), "train": {}}])
    assert not any(row["ahead"] for row in equal)


def test_an_undefined_column_is_never_ahead() -> None:
    ours = _run(2.0)
    del ours["pairwise_fidelity"]
    rows = synthesizer.compare([{"ours": ours, "ctgan": _run(1.0), "train": {}}])
    row = next(row for row in rows if row["key"] == "pairwise_fidelity")
    assert not row["ahead"]
    text = synthesizer.render("pumps", rows)
    assert re.search(r"pair correlation +- +1\.000 +- +- +NO\n", text)
    assert "NO (not a goal)" in text.splitlines()[-1]


def test_a_channel_that_is_absent_is_skipped_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synthesizer.smap(tmp_path, None) == []
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["skipped SMAP A-2", "skipped SMAP E-10"]
    assert said[0].endswith("smap_freeze/train")


def test_requirements_are_names_and_versions_alone() -> None:
    lines = environment.REQUIREMENTS.read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+==[0-9][0-9A-Za-z.]*", line) for line in pinned)
    assert {"sdv", "ctgan", "torch", "pyarrow"} <= {line.split("==")[0] for line in pinned}


def test_an_environment_of_another_list_is_not_ready(tmp_path: Path) -> None:
    listed = tmp_path / "requirements.txt"
    listed.write_text("sdv==2.0.0\n")
    assert not environment.ready(tmp_path, listed)
    (tmp_path / "made_from.txt").write_text(hashlib.sha256(b"sdv==2.0.0\n").hexdigest())
    assert environment.ready(tmp_path, listed)
    listed.write_text("sdv==2.0.1\n")
    assert not environment.ready(tmp_path, listed)
