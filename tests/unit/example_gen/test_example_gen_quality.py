"""What ExampleGen counts of missing values and outliers, and what it does with missing values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import split_io
from components.data_quality.config import QualityConfig
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core import ingest as ingesting
from components.example_gen.core import keys, quality, store
from components.example_gen.core.ingest import IngestReport, ingest

DATASET = DatasetConfig(
    timestamp="time",
    series=("device",),
    label="label",
    features=(
        FeatureConfig(name="x"),
        FeatureConfig(name="n", kind="integer"),
        FeatureConfig(name="b", kind="binary"),
        FeatureConfig(name="c", kind="categorical"),
    ),
    targets=("x",),
    interval_s=60,
)


def line(
    minute: int, device: str = "d", x: Any = 1, n: Any = 1, b: Any = 0, c: Any = "u", label: Any = 0
) -> str:
    return f"{1_704_067_200 + 60 * minute},{device},{x},{n},{b},{c},{label}"


def run(
    root: Path,
    lines: list[str] | None,
    policies: dict[str, str] | None,
    splits: Any = None,
    **imputation: Any,
) -> tuple[IngestReport, dict[str, Any] | None]:
    """Ingests lines; returns the report and the content of `quality.json`."""
    source = root / "rows.csv"
    if lines is not None:
        root.mkdir(parents=True, exist_ok=True)
        source.write_text("\n".join(["time,device,x,n,b,c,label", *lines]) + "\n")
    section = None
    if policies is not None:
        section = QualityConfig.model_validate({"imputation": {"features": policies, **imputation}})
    config = ExampleGenConfig.model_validate(
        {
            "dataset": DATASET,
            "sources": [{"pattern": str(source)}],
            "splits": splits or {"mode": "single", "name": "all"},
            "quality": section,
        }
    )
    report = ingest(config, root / "e", root / "q", seed=1)
    found = root / "q" / "quality.json"
    return report, json.loads(found.read_text()) if found.exists() else None


def column(root: Path, name: str, split: str = "all") -> list[Any]:
    return split_io.read_table(root / "e", split, dataset=DATASET)[name].to_pylist()


def fleet(seed: int = 0, rows: int = 900) -> list[str]:
    """Three devices with a tenth of the cells missing, in no order."""
    rng = np.random.default_rng(seed)
    lines = []
    for device in ("a", "b", "c"):
        for minute in range(rows // 3):
            cells = [f"{rng.normal():.3f}", rng.integers(9), rng.integers(2), rng.choice(["u", "v"])]
            cells = ["" if rng.random() < 0.1 else cell for cell in cells]
            lines.append(line(minute, device, *cells, label=int(rng.random() < 0.05)))
    rng.shuffle(lines)
    return lines


def test_by_default_the_stored_bytes_are_those_without_it(tmp_path):
    lines = fleet()
    splits = {"block_s": 600}
    plain, nothing = run(tmp_path / "a", lines, None, splits)
    counted, found = run(tmp_path / "b", lines, {}, splits)
    assert nothing is None
    assert plain.splits == counted.splits and plain.data_digest == counted.data_digest
    assert counted.rows_dropped == 0
    missing = sum(part == "" for text in lines for part in text.split(",")[2:6])
    columns = found["missingness"][0]["columns"]
    assert sum(sum(item["missing"].values()) for item in columns.values()) == missing
    assert found["imputation"][0]["policies"] == dict.fromkeys("xnbc", "none")
    assert found["imputation"][0]["columns"] == {}


@pytest.mark.parametrize(
    ("policy", "x", "n"),
    [
        ("none", [1, None, 4, 4, None], [2, None, 9, 9, None]),
        ("mean", [1, 3, 4, 4, 3], [2, 7, 9, 9, 7]),
        ("median", [1, 4, 4, 4, 4], [2, 9, 9, 9, 9]),
        ("mode", [1, 4, 4, 4, 4], [2, 9, 9, 9, 9]),
        ("interpolate", [1, 2.5, 4, 4, None], [2, 6, 9, 9, None]),
        ("drop", [1, 4, 4], [2, 9, 9]),
    ],
)
def test_each_policy(tmp_path, policy, x, n):
    cells = [(1, 2), ("", ""), (4, 9), (4, 9), ("", "")]
    lines = [line(minute, x=cell[0], n=cell[1]) for minute, cell in enumerate(cells)]
    report, found = run(tmp_path, lines, {"x": policy, "n": policy})
    assert column(tmp_path, "x") == x
    assert column(tmp_path, "n") == n  # 5.5 rounds to the even 6, 6.67 to 7
    assert report.rows_dropped == (2 if policy == "drop" else 0)
    assert report.rows_read == report.rows_kept + report.rows_quarantined + report.rows_dropped
    assert found["imputation"][0]["dropped"]["rows"] == {"all": report.rows_dropped}
    if policy != "none":
        counts = found["imputation"][0]["columns"]["x"]
        left = {"interpolate": 1}.get(policy, 0)
        assert counts["missing"] == {"all": 2}
        assert counts["left_missing"] == {"all": left}
        assert counts["filled"] == {"all": 0 if policy == "drop" else 2 - left}


def test_words_and_bits_are_filled_by_their_mode(tmp_path):
    lines = [line(0, c="v", b=1), line(1, c="", b=""), line(2, c="v", b=1), line(3, c="u", b=0)]
    run(tmp_path, lines, {"c": "mode", "b": "mode"})
    assert column(tmp_path, "c") == ["v", "v", "v", "u"]
    assert column(tmp_path, "b") == [1, 1, 1, 0]


def test_means_are_of_the_own_series_or_of_all(tmp_path):
    lines = [line(0, "a", 1), line(1, "a", ""), line(0, "b", 9), line(0, "c", ""), line(1, "c", "")]
    _, found = run(tmp_path / "own", lines, {"x": "mean"})
    assert column(tmp_path / "own", "x") == [1, 1, 9, 5, 5]
    assert found["imputation"][0]["columns"]["x"]["filled_from_all_series"] == {"all": 2}
    run(tmp_path / "all", lines, {"x": "mean"}, by="all")
    assert column(tmp_path / "all", "x") == [1, 5, 9, 5, 5]


def test_interpolation_stays_within_series_split_and_gap(tmp_path):
    # Series a ends missing, b begins missing; c has a gap of three that 2 intervals do not reach over.
    lines = [line(0, "a", 1), line(1, "a", ""), line(0, "b", ""), line(1, "b", 5)]
    lines += [line(minute, "c", {0: 1, 4: 5, 6: 7}.get(minute, "")) for minute in range(7)]
    run(tmp_path / "short", lines, {"x": "interpolate"}, max_gap_intervals=2)
    assert column(tmp_path / "short", "x") == [1, None, None, 5, 1, None, None, None, 5, 6, 7]
    run(tmp_path / "long", lines, {"x": "interpolate"}, max_gap_intervals=4)
    assert column(tmp_path / "long", "x") == [1, None, None, 5, 1, 2, 3, 4, 5, 6, 7]


def test_interpolation_does_not_reach_into_or_over_another_split(tmp_path):
    # Every block of ten minutes has its first and its last minute missing; inside, the fifth.
    lines = [line(m, x="" if m % 10 in (0, 5, 9) else m) for m in range(600)]
    splits = {"block_s": 600, "train_fraction": 0.5, "eval_fraction": 0, "holdout_fraction": 0.5}
    _, found = run(tmp_path, lines, {"x": "interpolate"}, splits, max_gap_intervals=1000)
    counts = found["imputation"][0]["columns"]["x"]
    for split in ("train", "holdout"):
        table = split_io.read_table(tmp_path / "e", split, dataset=DATASET)
        minute = (table["timestamp"].to_numpy() / 6e7).astype(int) - 1_704_067_200 // 60
        values = table["x"].to_numpy()
        blocks = set(minute // 10)
        for m, value in zip(minute, values, strict=True):
            block, place = divmod(m, 10)
            neighbour = block - 1 if place == 0 else block + 1
            if place in (0, 9) and neighbour not in blocks:
                assert np.isnan(value), f"minute {m} was filled from a block of another split"
            else:
                assert value == pytest.approx(m)
        assert counts["left_missing"][split] == np.isnan(values).sum() > 0


def test_fills_are_learned_from_the_training_split_alone(tmp_path):
    lines = [line(m, x="" if m % 7 == 0 else m) for m in range(600)]
    splits = {"block_s": 600, "train_fraction": 0.5, "eval_fraction": 0, "holdout_fraction": 0.5}
    _, found = run(tmp_path, lines, {"x": "mean"}, splits)
    assert found["imputation"][0]["learned_from"] == "train"
    per_split = {}
    for split in ("train", "holdout"):
        table = split_io.read_table(tmp_path / "e", split, dataset=DATASET)
        minute = (table["timestamp"].to_numpy() / 6e7).astype(int) - 1_704_067_200 // 60
        per_split[split] = minute, table["x"].to_numpy()
    minute, values = per_split["train"]
    mean = minute[minute % 7 != 0].mean()
    for minute, values in per_split.values():
        assert values[minute % 7 == 0] == pytest.approx(mean, rel=1e-6)


def test_dropped_rows_are_counted_with_their_labels(tmp_path):
    lines = [line(m, x="" if m in (2, 3, 7) else 1, label=int(m in (3, 5))) for m in range(10)]
    report, found = run(tmp_path, lines, {"x": "drop"})
    assert found["imputation"][0]["dropped"] == {"rows": {"all": 3}, "labelled_rows": 1}
    assert report.splits["all"]["rows"] == report.rows_kept == 7
    assert report.splits["all"]["labelled_rows"] == 1
    assert split_io.split_digest(tmp_path / "e", "all") == report.splits["all"]["digest"]
    # What is missing is counted as it came, before rows are dropped.
    assert found["missingness"][0]["columns"]["x"]["missing"] == {"all": 3}


def test_a_dropped_row_is_not_filled_and_teaches_nothing(tmp_path):
    lines = [line(0, x="", n=""), line(1, x="", n=50), line(2, n=""), line(3, n=4)]
    _, found = run(tmp_path, lines, {"x": "drop", "n": "mean"})
    assert column(tmp_path, "n") == [4, 4]
    assert found["imputation"][0]["columns"]["n"] == {
        "missing": {"all": 1},
        "filled": {"all": 1},
        "filled_from_all_series": {"all": 0},
        "left_missing": {"all": 0},
    }


def test_a_split_that_drop_would_empty_is_refused(tmp_path):
    with pytest.raises(DataError, match="split 'all': every row lacks a value of a feature whose policy is"):
        run(tmp_path, [line(m, x="") for m in range(5)], {"x": "drop"})


@pytest.mark.parametrize("policy", ["mean", "median", "mode", "interpolate"])
def test_a_feature_without_any_value_stays_missing_and_says_so(tmp_path, policy):
    _, found = run(tmp_path, [line(m, x="") for m in range(5)], {"x": policy})
    assert column(tmp_path, "x") == [None] * 5
    assert found["imputation"][0]["columns"]["x"]["left_missing"] == {"all": 5}
    assert found["missingness"][0]["columns"]["x"]["rate"] == 1.0


def test_one_row(tmp_path):
    _, found = run(tmp_path, [line(0, x="")], {"x": "mean", "n": "interpolate"})
    assert found["outliers"]["isolation_forest"]["status"] == "UNDEFINED"
    assert found["missingness"][0]["rows"] == {"all": 1}


def test_labels_are_counted_and_never_imputed(tmp_path):
    _, found = run(tmp_path, [line(m, label="" if m < 3 else 1) for m in range(6)], {"x": "mean"})
    assert column(tmp_path, "label") == [None] * 3 + [1] * 3
    assert found["missingness"][0]["columns"]["label"]["missing"] == {"all": 3}


def test_pieces_files_and_order_change_nothing(tmp_path, monkeypatch):
    policies = {"x": "interpolate", "n": "median", "b": "mode", "c": "drop"}
    lines, splits = fleet(3), {"block_s": 900}
    whole = run(tmp_path / "a", lines, policies, splits)
    monkeypatch.setattr(keys, "PIECE_ROWS", 101)
    monkeypatch.setattr(store, "STORED_ROWS", 50)
    monkeypatch.setattr(quality, "_LOOK_ROWS", 37)
    small = run(tmp_path / "b", lines, policies, splits)
    ordered = run(tmp_path / "c", sorted(lines, key=lambda text: text.split(",")[1::-1]), policies, splits)
    assert whole[0].splits == small[0].splits == ordered[0].splits
    assert whole[1] == small[1] == ordered[1]
    assert 0 < whole[0].rows_dropped < 200


def test_planted_outliers_are_counted_and_no_value_or_place_is_told(tmp_path):
    rng = np.random.default_rng(0)
    lines = [line(m, d, f"{rng.normal():.4f}", rng.integers(90, 110)) for d in "ab" for m in range(400)]
    planted = [10, 200, 777]
    for place in planted:
        lines[place] = line(place % 400, "ab"[place // 400], x=7319.25, label=1)
    _, found = run(tmp_path, lines, {"x": "mean"})
    outliers = found["outliers"]
    assert (outliers["rows"], outliers["of"], outliers["labelled_rows"]) == (800, 800, 3)
    assert outliers["robust_z"]["columns"]["x"]["labelled"] == 3
    assert 3 <= outliers["robust_z"]["columns"]["x"]["outliers"] <= 5
    assert outliers["isolation_forest"]["labelled"] == 3
    assert outliers["isolation_forest"]["outliers"] < 40
    text = (tmp_path / "q" / "quality.json").read_text()
    assert "7319" not in text and "1704" not in text and '"a"' not in text


def test_rows_beyond_the_limit_are_judged_evenly(tmp_path):
    config = {"outliers": {"max_rows": 100}}
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(["time,device,x,n,b,c,label", *fleet()]) + "\n")
    section = ExampleGenConfig(
        dataset=DATASET, sources=({"pattern": str(source)},), quality=config, splits={"mode": "single"}
    )
    ingest(section, tmp_path / "e", tmp_path / "q")
    outliers = json.loads((tmp_path / "q" / "quality.json").read_text())["outliers"]
    assert (outliers["rows"], outliers["of"]) == (100, 900)
    assert outliers["robust_z"]["columns"]["x"]["short_series"] == 0  # each of three series has its share


def test_sources_of_their_own_are_filled_and_counted_apart(tmp_path):
    for name, value in (("a", 1), ("b", 9)):
        rows = [line(0, x=value), line(1, x="")]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,device,x,n,b,c,label", *rows]) + "\n")
    config = ExampleGenConfig(
        dataset=DATASET,
        sources=tuple({"name": name, "pattern": f"{tmp_path}/{name}.csv"} for name in "ab"),
        splits={"mode": "per_source"},
        quality={"imputation": {"features": {"x": "mean"}}},
    )
    ingest(config, tmp_path / "e", tmp_path / "q")
    assert column(tmp_path, "x", "a") == [1, 1]
    assert column(tmp_path, "x", "b") == [9, 9]
    found = json.loads((tmp_path / "q" / "quality.json").read_text())["imputation"]
    assert [item["learned_from"] for item in found] == ["a", "b"]
    assert ingesting.QUALITY_FILE == "quality.json"


@pytest.mark.parametrize(
    ("imputation", "words"),
    [
        ({"features": {"y": "mean"}}, r"found 'y'; allowed: a feature of the data set \(x, n, b, c\)"),
        ({"default": "mean"}, "default: found 'mean' for 'b', which is binary; allowed: none, mode, drop"),
        ({"features": {"c": "interpolate"}}, "features.c: found 'interpolate' for 'c', which is categorical"),
    ],
)
def test_policies_that_do_not_fit_are_refused(imputation, words):
    with pytest.raises(ValueError, match=words):
        ExampleGenConfig(dataset=DATASET, sources=({"pattern": "x.csv"},), quality={"imputation": imputation})
