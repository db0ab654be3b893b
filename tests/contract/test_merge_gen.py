"""MergeGen as a TFX component."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("tfx")

from components.artifacts import MergeReport
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.merge_gen.component import MergeGen
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.executor import Executor
from components.merge_gen.resolution import resolve_releases
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.release.keys import ensure_key_pair
from components.secrets import SecretRef
from components.split_io import read_table, write_split
from components.tfx_shim import artifact_utils, standard_artifacts

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)


def push(root: Path, locale: str, value: float) -> None:
    data = pa.table({"timestamp": [1, 2, 3], "x": pa.array([value] * 3, pa.float32())})
    write_split(root / locale, "train", data)
    ensure_key_pair(root / f"{locale}.key")
    config = PusherConfig(
        kind="open",
        exchange_uri=str(root / "exchange"),
        signing_key=SecretRef(file=str(root / f"{locale}.key")),
    )
    push_region(config, locale, 2, RegionInputs(root / locale))


def config(root: Path, **change) -> MergeGenConfig:
    locales = tuple(
        MergeLocale(name=name, sharing="open", trusted_key=str(root / f"{name}.key.pub"))
        for name in ("a", "b")
    )
    return MergeGenConfig(
        **{
            "dataset": DATASET,
            "exchange_uri": str(root / "exchange"),
            "locales": locales,
            "quorum": 2,
            **change,
        }
    )


def run(root: Path, component: MergeGen):
    outputs = {"examples": [standard_artifacts.Examples()], "merge_report": [MergeReport()]}
    for key, made in outputs.items():
        shutil.rmtree(root / "out" / key, ignore_errors=True)
        (root / "out" / key).mkdir(parents=True)
        made[0].uri = str(root / "out" / key)
    Executor().Do({}, outputs, dict(component.exec_properties))
    return outputs["examples"][0], json.loads((root / "out" / "merge_report" / "merge.json").read_text())


@pytest.mark.parametrize("pinned", [True, False])
def test_merges_and_carries_splits_span_and_digest(tmp_path, pinned):
    push(tmp_path, "a", 1.0)
    push(tmp_path, "b", 2.0)
    settings = config(tmp_path)
    resolution = resolve_releases(settings) if pinned else None
    component = MergeGen(config=settings, resolution=resolution, fingerprint="f")
    assert component.exec_properties["fingerprint"] == (resolution.fingerprint if resolution else "f")
    examples, report = run(tmp_path, component)
    assert artifact_utils.decode_split_names(examples.split_names) == ["a", "b"]
    assert examples.get_int_custom_property("span") == 2
    assert examples.get_string_custom_property("data_digest") == report["data_digest"]
    assert set(json.loads(examples.get_string_custom_property("releases"))) == {"a", "b"}
    assert read_table(examples.uri, "b", dataset=DATASET)["x"].to_pylist() == [2.0] * 3
    _, again = run(tmp_path, component)
    assert again == report


def test_a_pinned_merge_does_not_take_what_came_later(tmp_path):
    push(tmp_path, "a", 1.0)
    settings = config(tmp_path, quorum=1)
    component = MergeGen(config=settings, resolution=resolve_releases(settings))
    push(tmp_path, "b", 2.0)
    _, report = run(tmp_path, component)
    assert ([item["locale"] for item in report["accepted"]], report["missing"]) == (["a"], ["b"])


def test_quorum_not_met_fails_and_reports(tmp_path):
    push(tmp_path, "a", 1.0)
    with pytest.raises(DataError, match=r"central\.quorum needs 2: b has no release"):
        run(tmp_path, MergeGen(config=config(tmp_path)))
    report = json.loads((tmp_path / "out" / "merge_report" / "merge.json").read_text())
    assert report["verdict"] == "quorum not met" and report["missing"] == ["b"]


def test_disk_trouble_is_one_line(tmp_path):
    push(tmp_path, "a", 1.0)
    push(tmp_path, "b", 1.0)
    component = MergeGen(config=config(tmp_path))
    outputs = {"examples": [standard_artifacts.Examples()], "merge_report": [MergeReport()]}
    (tmp_path / "file").write_text("")
    outputs["examples"][0].uri = str(tmp_path / "file")
    outputs["merge_report"][0].uri = str(tmp_path / "report")
    with pytest.raises(DataError, match=r"^merge: .*run again\.$"):
        Executor().Do({}, outputs, dict(component.exec_properties))
