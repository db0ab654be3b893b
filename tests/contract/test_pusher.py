"""Both Pushers as TFX components: they construct, survive serialisation, and write what they promise."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("tfx")

from components.artifacts import MergeReport, PushedRelease
from components.errors import DataError, InternalError
from components.pusher import executor as region_executor
from components.pusher import model_executor
from components.pusher.component import Pusher
from components.pusher.config import ModelPusherConfig, PusherConfig
from components.pusher.model_component import ModelPusher
from components.release.keys import ensure_key_pair
from components.secrets import SecretRef
from components.split_io import write_split
from components.tfx_shim import Channel, standard_artifacts

pytestmark = pytest.mark.tfx


def artifact(kind, path: Path):
    made = kind()
    path.mkdir(parents=True, exist_ok=True)
    made.uri = str(path)
    return made


def blessing(root: Path, verdict: str = "BLESSED"):
    made = artifact(standard_artifacts.ModelBlessing, root / "blessing")
    (root / "blessing" / verdict).touch()
    return made


def examples(root: Path, locale: str = "eu-west"):
    made = artifact(standard_artifacts.Examples, root / "examples")
    write_split(
        made.uri, "train", pa.table({"timestamp": [1, 2, 3], "x": pa.array([0.5, 1, 2], pa.float32())})
    )
    made.set_string_custom_property("locale", locale)
    return made


def region_config(root: Path) -> PusherConfig:
    ensure_key_pair(root / "k")
    return PusherConfig(
        kind="synthetic",
        exchange_uri=str(root / "exchange"),
        signing_key=SecretRef(file=str(root / "k")),
    )


def run_region(root: Path, inputs, config=None):
    pushed = artifact(PushedRelease, root / "pushed")
    component = Pusher(
        config=config or region_config(root),
        examples=Channel(type=standard_artifacts.Examples),
        blessing=Channel(type=standard_artifacts.ModelBlessing),
        locale="eu-west",
        span=4,
    )
    properties = dict(component.exec_properties)
    region_executor.Executor().Do(inputs, {"pushed": [pushed]}, properties)
    return json.loads((root / "pushed" / "push.json").read_text()), pushed


def test_pusher_publishes_and_says_so(tmp_path):
    report, pushed = run_region(
        tmp_path, {"examples": [examples(tmp_path)], "blessing": [blessing(tmp_path)]}
    )
    assert report["pushed"] and report["rows"] == 3 and report["span"] == 4
    assert (Path(report["uri"]) / "manifest.json").exists()
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("release_id") == report["release_id"]
    again, _ = run_region(tmp_path, {"examples": [examples(tmp_path)], "blessing": [blessing(tmp_path)]})
    assert {**again, "outcome": ""} == {**report, "outcome": ""}


def test_pusher_without_a_blessing_pushes_nothing(tmp_path):
    report, pushed = run_region(tmp_path, {"examples": [examples(tmp_path)]})
    assert not report["pushed"]
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "exchange").exists()


def test_pusher_refuses_the_examples_of_another_locale_and_their_absence(tmp_path):
    with pytest.raises(DataError, match="the examples are of locale us-east"):
        run_region(tmp_path, {"examples": [examples(tmp_path, "us-east")], "blessing": [blessing(tmp_path)]})
    with pytest.raises(InternalError, match="channel 'examples' holds 0 artifacts"):
        run_region(tmp_path, {"blessing": [blessing(tmp_path)]})


def test_pusher_leaves_unconnected_channels_out(tmp_path):
    component = Pusher(
        config=region_config(tmp_path),
        examples=Channel(type=standard_artifacts.Examples),
        locale="eu-west",
        span=4,
    )
    assert list(component.inputs) == ["examples"]
    assert list(component.outputs) == ["pushed"]
    assert PusherConfig.from_exec_property(component.exec_properties["config"]) == region_config(tmp_path)
    assert component.exec_properties["locale"] == "eu-west"


def test_pusher_refuses_a_channel_of_another_type(tmp_path):
    with pytest.raises(TypeError):
        Pusher(
            config=region_config(tmp_path),
            examples=Channel(type=standard_artifacts.Schema),
            locale="eu-west",
            span=4,
        )


def test_model_pusher_publishes_only_what_is_blessed(tmp_path):
    model = artifact(standard_artifacts.Model, tmp_path / "model")
    (tmp_path / "model" / "detector.json").write_text("{}")
    merge = artifact(MergeReport, tmp_path / "merge")
    release = {"locale": "eu", "span": 1, "release_id": "0" * 12, "digest": "0" * 64}
    (tmp_path / "merge" / "merge.json").write_text(json.dumps({"accepted": [release]}))
    component = ModelPusher(
        config=ModelPusherConfig(registry_uri=str(tmp_path / "registry")),
        model=Channel(type=standard_artifacts.Model),
        merge_report=Channel(type=MergeReport),
    )
    assert sorted(component.inputs) == ["merge_report", "model"]
    for inputs, pushed in (({}, False), ({"blessing": [blessing(tmp_path)]}, True)):
        output = artifact(standard_artifacts.PushedModel, tmp_path / f"pushed-{pushed}")
        model_executor.Executor().Do(
            {"model": [model], "merge_report": [merge], **inputs},
            {"pushed": [output]},
            dict(component.exec_properties),
        )
        report = json.loads((Path(output.uri) / "push.json").read_text())
        assert report["pushed"] is pushed
        assert output.get_int_custom_property("version") == int(pushed)
        assert report["releases"] == [release]
    assert (tmp_path / "registry" / "detector" / "1" / "manifest.json").exists()
