"""Steps of a compiled pipeline: artifacts through KFP's store, executors, and a container as a process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tfx")

from google.protobuf import json_format, struct_pb2

from components import artifacts as own_types
from components.errors import DataError
from components.release.options import DEFAULT_OPTIONS
from components.tfx_shim import Artifact, artifact_utils, standard_artifacts
from pipeline import starter
from pipeline.compiler import zones
from pipeline.config.load import load_deployment
from pipeline.entrypoint import notices, step
from pipeline.entrypoint.arguments import Arguments
from pipeline.entrypoint.artifacts import KEY, described, load, new, restored
from pipeline.entrypoint.launcher import Invocation
from pipeline.entrypoint.running import content_digest
from tests.support import entrypoint_steps as tiny

pytestmark = pytest.mark.tfx

STANDARD = (
    "ExampleAnomalies",
    "ExampleStatistics",
    "Examples",
    "Model",
    "ModelBlessing",
    "ModelEvaluation",
    "PushedModel",
    "Schema",
)
OWN = (
    "DriftReport",
    "MergeReport",
    "MonitorReport",
    "PushedRelease",
    "Quarantine",
    "SkewReport",
    "SpanProfile",
)
TYPES = [f"tfx.types.standard_artifacts.{name}" for name in STANDARD]
TYPES += [f"components.artifacts.{name}" for name in OWN]


def stored(metadata: dict[str, Any]) -> dict[str, Any]:
    """What comes back from a store whose metadata are values of a protobuf `Struct`: numbers are floats."""
    message = struct_pb2.Struct()
    json_format.ParseDict(metadata, message)
    return json_format.MessageToDict(message)


def test_every_type_of_our_components_is_tried(tmp_path: Path) -> None:
    config = load_deployment(starter.write(tmp_path, size="small"))
    found = set()
    for graph in (
        *(zones.region_graph(config, locale.name) for locale in config.locales),
        zones.central_graph(config),
    ):
        for node in graph:
            found |= {*node.input_types.values(), *node.outputs.values()}
    assert found <= set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_an_artifact_comes_back_as_it_was_left(kind: str, tmp_path: Path) -> None:
    made = new(kind, tmp_path / "made")
    for name, declared in (load(kind).PROPERTIES or {}).items():
        values = {"INT": 3, "STRING": '["train", "eval"]', "FLOAT": 0.5}
        setattr(made, name, values[declared.type.name])
    made.set_string_custom_property("locale", "pt-BR ✓")
    made.set_string_custom_property("data_digest", "ab" * 32)
    made.set_int_custom_property("span", 2**53 + 1)  # more than a float holds
    made.set_float_custom_property("share", 0.1)
    made.set_json_value_custom_property("list", [1, "two", {"three": 3}])
    metadata = stored(described(kind, made))
    found = restored(kind, tmp_path / "there", metadata)
    assert type(found) is load(kind) and found.uri == str(tmp_path / "there")
    for name in load(kind).PROPERTIES or {}:
        assert getattr(found, name) == getattr(made, name)
    assert found.get_string_custom_property("locale") == "pt-BR ✓"
    assert found.get_int_custom_property("span") == 2**53 + 1
    assert found.get_float_custom_property("share") == 0.1
    assert found.get_json_value_custom_property("list") == [1, "two", {"three": 3}]
    assert described(kind, found) == described(kind, made)  # through as many steps as there are


def test_splits_are_those_that_were_written(tmp_path: Path) -> None:
    made = new(tiny.EXAMPLES, tmp_path)
    made.split_names = artifact_utils.encode_split_names(["train", "eval", "holdout"])
    found = restored(tiny.EXAMPLES, tmp_path, stored(described(tiny.EXAMPLES, made)))
    assert artifact_utils.decode_split_names(found.split_names) == ["train", "eval", "holdout"]


def test_nothing_of_the_makers_place_goes_along(tmp_path: Path) -> None:
    made = new(tiny.EXAMPLES, tmp_path / "a-secret-folder")
    made.set_string_custom_property("locale", "eu")
    assert "a-secret-folder" not in json.dumps(described(tiny.EXAMPLES, made))


def test_what_people_look_for_stands_beside_it(tmp_path: Path) -> None:
    made = new("components.artifacts.PushedRelease", tmp_path)
    made.set_string_custom_property("release_id", "0123")
    made.set_int_custom_property("span", 3)
    made.set_string_custom_property("other", "x")
    assert {k: v for k, v in described("components.artifacts.PushedRelease", made).items() if k != KEY} == {
        "release_id": "0123",
        "span": 3,
    }


def test_an_artifact_that_lost_what_was_said_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="came without what its maker said of it"):
        restored(tiny.EXAMPLES, tmp_path, {"span": 3})


def test_an_artifact_of_another_type_is_refused(tmp_path: Path) -> None:
    metadata = described(tiny.EXAMPLES, new(tiny.EXAMPLES, tmp_path))
    with pytest.raises(DataError, match=r"of type .*Examples came where .*Schema is declared"):
        restored("tfx.types.standard_artifacts.Schema", tmp_path, metadata)


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.run",
        "components",
        "componentsx.a.B",
        "tfx.orchestration.pipeline.Pipeline",
        "pipeline.cli.main",
        "",
        "tests.support.entrypoint_steps.call",
        ".components.a",
    ],
)
def test_a_spec_does_not_choose_what_is_imported(path: str) -> None:
    with pytest.raises(DataError, match="is no component and no TFX type; compile the deployment again"):
        load(path)


def test_our_components_and_tfx_types_are_loaded() -> None:
    assert load(tiny.EXAMPLES) is standard_artifacts.Examples
    assert load("components.artifacts.DriftReport") is own_types.DriftReport
    assert issubclass(load("components.artifacts.DriftReport"), Artifact)


@pytest.fixture
def executors(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, tiny.MODULE, tiny.module())


def run(
    root: Path, *kinds: str, store: str = "", state: str = "", **how: Any
) -> tuple[dict[str, Any], list[str]]:
    given = tiny.call(root, *kinds, **how)
    heard: list[str] = []
    sharing = "restricted"
    arguments = Arguments("eu-make", "make", "region", sharing, 0, store, state, json.dumps(given))
    step.run(arguments, Invocation(given), lambda node, seconds: heard.append(f"{node} {seconds is None}"))
    return json.loads(Path(given["outputs"]["outputFile"]).read_text()), heard


def test_a_step_of_two_executors_in_one_pod(executors, tmp_path: Path) -> None:
    found, heard = run(tmp_path, "Make", "Count")
    assert heard == ["Make True", "Make False", "Count True", "Count False"]
    folder = tmp_path / "make-count"
    assert (folder / "count-statistics" / "count.txt").read_text() == "2 of span 3 4711"
    outputs = {port: folder / port for port in ("make-examples", "count-statistics")}
    assert found["parameterValues"] == {"digest": content_digest(outputs)}
    assert (folder / "digest").read_text() == content_digest(outputs)
    (examples,) = found["artifacts"]["make-examples"]["artifacts"]
    assert examples["name"] == "projects/make-examples" and examples["metadata"]["locale"] == "eu"


def test_a_step_in_a_pod_each(executors, tmp_path: Path) -> None:
    first, _ = run(tmp_path, "Make")
    taken = {"make-examples": first["artifacts"]["make-examples"]}
    taken["make-examples"]["artifacts"][0]["metadata"] = stored(
        taken["make-examples"]["artifacts"][0]["metadata"]
    )
    run(tmp_path, "Count", inputs=taken)
    assert (tmp_path / "count" / "count-statistics" / "count.txt").read_text() == "2 of span 3 4711"


def test_the_digest_says_when_a_file_is_another(executors, tmp_path: Path) -> None:
    digests = [
        run(tmp_path / str(i), "Make", rows=rows)[0]["parameterValues"]["digest"]
        for i, rows in enumerate("aab")
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_retry_starts_from_nothing(executors, tmp_path: Path) -> None:
    left = tmp_path / "make" / "make-examples" / "Split-holdout"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    (tmp_path / "make" / "executor_output.json").write_text('{"parameterValues": {"digest": "old"}}')
    with pytest.raises(KeyError):
        run(tmp_path, "Make", fail="foreign")
    assert not (tmp_path / "make" / "executor_output.json").exists() and not left.exists()
    again = [run(root, "Make")[0]["parameterValues"]["digest"] for root in (tmp_path, tmp_path / "fresh")]
    assert again[0] == again[1]


def test_with_a_bucket_of_its_own_kfp_gets_references_only(executors, tmp_path: Path) -> None:
    store = json.dumps({"uri": f"file://{tmp_path}/bucket"})
    found, _ = run(tmp_path, "Make", rows="canary4711", store=store)
    (examples,) = found["artifacts"]["make-examples"]["artifacts"]
    assert "metadata" not in examples
    here = tmp_path / "make"
    assert [path.name for path in (here / "make-examples").rglob("*")] == ["reference.json"]
    assert "CANARY4711" not in texts(here)
    run(tmp_path, "Count", inputs={"make-examples": found["artifacts"]["make-examples"]}, store=store)
    (made,) = (tmp_path / "bucket").rglob("count.txt")
    assert made.read_text() == "2 of span 3 CANARY4711"
    assert "CANARY4711" not in texts(tmp_path / "count")


def texts(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def container(tmp_path: Path, sharing: str, **how: Any) -> tuple[int, str]:
    options = ("--role=region", f"--sharing={sharing}", f"--state={tmp_path / 'state'}")
    done = tiny.container(tiny.call(tmp_path, "Make", "Count", **how), *options)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_container_as_a_process(tmp_path: Path) -> None:
    status, printed = container(tmp_path, "restricted", rows="canary4711")
    assert status == 0 and "CANARY4711" not in printed, printed
    lines = [line.split(" of eu: ")[1] for line in printed.splitlines()]
    assert lines[0] == "started" and lines[-1].startswith("done; ") and lines[1] == "Make started"
    assert (tmp_path / "make-count" / "count-statistics" / "count.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("fail", "status"), [("own", 2), ("foreign", 3)])
def test_a_restricted_container_that_fails_tells_no_row(tmp_path: Path, fail: str, status: int) -> None:
    found, printed = container(tmp_path, "restricted", rows="canary4711", fail=fail)
    assert found == status and "CANARY4711" not in printed, printed
    assert all(" eu-make: step make of eu: " in line for line in printed.splitlines())
    log = (tmp_path / "state" / "eu" / "logs" / "eu-make.log").read_text()
    assert "row CANARY4711" in log and "Traceback" in log
    assert not (tmp_path / "make-count" / "executor_output.json").exists()


@pytest.mark.slow
def test_an_open_container_that_fails_prints_the_traceback(tmp_path: Path) -> None:
    found, printed = container(tmp_path, "open", rows="4711", fail="own")
    assert found == 2 and "Traceback (most recent call last)" in printed
    assert "failed: DataError: found 4711" in printed


HEAVY = (
    "tensorflow",
    "tfx",
    "apache_beam",
    "tensorflow_data_validation",
    "tensorflow_transform",
    "pandas",
    "sklearn",
)


def imported(tmp_path: Path, given: dict[str, Any], *options: str) -> set[str]:
    """The packages that a container had imported when its step was done."""
    file = tmp_path / "modules.json"
    note = f"import json, pathlib; pathlib.Path({str(file)!r}).write_text(json.dumps(sorted(sys.modules)))"
    done = tiny.container(given, *options, after=note)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name.split(".")[0] for name in json.loads(file.read_text())}


def other_step(
    tmp_path: Path, told: dict[str, Any], facts: tuple[str, ...], pages: tuple[str, ...], **more: Any
) -> Any:
    given = tiny.call(tmp_path)
    template = {"zone": "eu", "template": json.dumps(told), "own": "{}", "run": "run-1"}
    given["inputs"]["parameterValues"] = {**template, **more}
    given["outputs"]["parameters"] = {name: {"outputFile": str(tmp_path / "p" / name)} for name in facts}
    given["outputs"]["artifacts"] = {
        name: {
            "artifacts": [
                {"name": name, "uri": str(tmp_path / "pages" / name), "type": {"schemaTitle": kind}}
            ]
        }
        for name, kind in zip(pages, ("system.Markdown", "system.HTML"))
    }
    return given


@pytest.mark.slow
def test_a_first_step_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a\n1\n")
    told = {
        "question": {
            "zone": "region",
            "patterns": [f"{tmp_path}/data.csv"],
            "span": "latest",
            "pii": [],
            "baselines": {},
            "asked_span": {"$": "span"},
        }
    }
    given = other_step(tmp_path, told, zones._REGION_FACTS, (), span=-1)
    found = imported(tmp_path, given, "--role=region", "--sharing=open", f"--state={tmp_path / 'state'}")
    assert not found & set(HEAVY)


@pytest.mark.slow
def test_the_report_imports_nothing_heavy(tmp_path: Path) -> None:
    told = {
        "name": "fleet",
        "zones": [["eu", "restricted"], ["central", "central"]],
        "exchange": {"$": "exchange"},
        "storage": DEFAULT_OPTIONS.model_dump(mode="json"),
    }
    exchange = str(tmp_path / "exchange")
    notices.write(exchange, DEFAULT_OPTIONS, "run-1", {"zone": "eu", "outcome": "pushed", "span": 1})
    given = other_step(tmp_path, told, (), ("summary", "report"), exchange=exchange)
    found = imported(tmp_path, given, "--role=report", "--sharing=central")
    assert not found & set(HEAVY)
    assert "failed: central" in (tmp_path / "pages" / "summary").read_text()
    assert "failed: central" in (tmp_path / "pages" / "report").read_text()


@pytest.mark.slow
def test_a_step_without_beam_imports_no_beam(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        tiny.call(tmp_path, "Make", "Count"),
        "--role=region",
        "--sharing=restricted",
        f"--state={tmp_path / 'state'}",
    )
    assert not found & {"apache_beam", "tensorflow_data_validation", "tensorflow_transform"}
    assert "tfx" in found
