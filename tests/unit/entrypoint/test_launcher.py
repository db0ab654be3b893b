"""What KFP's launcher hands to a container, and what it gets back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import InternalError
from pipeline.entrypoint.launcher import ROOT_VARIABLE, Invocation, local_path


def artifact(
    uri: str, kind: str = "system.Dataset", name: str | None = "projects/1/a", **metadata: Any
) -> Any:
    found = {"uri": uri, "type": {"schemaTitle": kind, "schemaVersion": "0.0.1"}, "metadata": metadata}
    return {"artifacts": [found | ({"name": name} if name else {})]}


def call(
    root: Path, outputs: dict[str, Any] | None = None, parameters: tuple[str, ...] = (), **given: Any
) -> Invocation:
    return Invocation(
        {
            "inputs": given,
            "outputs": {
                "artifacts": outputs or {},
                "parameters": {name: {"outputFile": str(root / "out" / "p" / name)} for name in parameters},
                "outputFile": str(root / "out" / "executor_output.json"),
            },
        }
    )


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://bucket/root/a", "/minio/bucket/root/a"),
        ("s3://bucket/root/a", "/s3/bucket/root/a"),
        ("gs://bucket/root/a", "/gcs/bucket/root/a"),
        ("/mnt/root/a", "/mnt/root/a"),
        ("outputs/root/a", "outputs/root/a"),
        ("file:///mnt/root/a", "/mnt/root/a"),
    ],
)
def test_an_address_stands_for_the_launchers_folder(monkeypatch, uri: str, path: str) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert local_path(uri) == Path(path)


def test_several_pods_can_share_a_file_system(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert local_path("s3://bucket/a") == tmp_path / "s3" / "bucket" / "a"
    assert local_path("/mnt/root/a") == Path("/mnt/root/a")


def test_an_unknown_scheme_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(
        InternalError, match=r"^entrypoint: .* az://, which .* allowed: gs://, minio://, s3://$"
    ):
        local_path("az://container/a")


@pytest.mark.parametrize(
    "uri",
    [
        "minio://b/../../etc",
        "/a/../etc",
        "file:///a/..",
        "s3://bucket",
        "s3://bucket/",
        "minio://",
        "/",
        "",
        ".",
    ],
)
def test_no_address_leads_out_of_its_folder_or_to_a_whole_bucket(uri: str) -> None:
    """The folder is removed before the step starts."""
    with pytest.raises(InternalError, match="allowed: below a bucket or folder, without"):
        local_path(uri)


def test_a_traversing_output_is_refused_before_anything_is_removed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "root"))
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(InternalError, match="without"):
        call(tmp_path, {"a": artifact("minio://bucket/../../../kept")})
    assert kept.is_dir()


def test_an_artifact_keeps_the_name_that_the_store_knows_it_by(tmp_path: Path) -> None:
    given = {"a": artifact(f"{tmp_path}/a"), "b": artifact(f"{tmp_path}/b", name=None)}
    made = call(tmp_path, given, artifacts={"c": artifact(f"{tmp_path}/c", name="../../c")})
    assert made.outputs["a"].name == "projects/1/a" and made.outputs["b"].name == "b"
    # A name is handed back, and never made a path of.
    assert made.inputs["c"].name == "../../c" and made.inputs["c"].path == tmp_path / "c"


def test_the_launchers_own_log_is_no_output_of_ours(tmp_path: Path) -> None:
    made = call(tmp_path, {"executor-logs": artifact(f"{tmp_path}/logs"), "a": artifact(f"{tmp_path}/a")})
    made.prepare()
    made.finish({}, {})
    assert set(made.outputs) == {"a"} and not (tmp_path / "logs").exists()
    assert set(json.loads(made.output_file.read_text())["artifacts"]) == {"a"}


def test_lists_and_mappings_are_unwrapped(tmp_path: Path) -> None:
    found = artifact(
        f"{tmp_path}/a", rows={"list": [1, 2]}, sizes={"struct": {"a": 1}}, n=3, both={"list": 1, "x": 2}
    )
    made = call(tmp_path, artifacts={"a": found})
    assert made.inputs["a"].metadata == {
        "rows": [1, 2],
        "sizes": {"a": 1},
        "n": 3,
        "both": {"list": 1, "x": 2},
    }


def test_two_artifacts_or_none_are_refused(tmp_path: Path) -> None:
    one = artifact(f"{tmp_path}/a")["artifacts"]
    for found in (one * 2, []):
        with pytest.raises(InternalError, match=f"'a' holds {len(found)} artifacts, expected exactly 1"):
            call(tmp_path, artifacts={"a": {"artifacts": found}})


def test_an_input_may_lack_everything_but_its_place(tmp_path: Path) -> None:
    made = Invocation({"inputs": {"artifacts": {"a": {"artifacts": [{"uri": f"{tmp_path}/a"}]}}}})
    assert made.inputs["a"].metadata == {} and made.inputs["a"].name == "a"
    assert made.outputs == {} and made.parameters == {}
    assert made.output_file == Path("/tmp/kfp_outputs/output_metadata.json")
    assert Invocation({}).inputs == {} and Invocation({"outputs": None, "inputs": None}).outputs == {}


def test_what_a_failed_attempt_left_is_cleared_and_kinds_are_made(tmp_path: Path) -> None:
    kinds = {
        "data": "system.Dataset",
        "page": "system.HTML",
        "text": "system.Markdown",
        "metrics": "system.Metrics",
    }
    places = {name: tmp_path / "deep" / "er" / name for name in kinds}
    made = call(tmp_path, {n: artifact(str(places[n]), kind) for n, kind in kinds.items()}, ("digest",))
    (places["data"]).mkdir(parents=True)
    (places["data"] / "half.gz").write_text("half")
    places["page"].write_text("old")
    places["text"].mkdir()
    parameter = tmp_path / "out" / "p" / "digest"
    parameter.parent.mkdir(parents=True)
    parameter.write_text("old")
    made.output_file.write_text("{}")
    made.prepare()
    assert places["data"].is_dir() and not list(places["data"].iterdir())
    for name in ("page", "text", "metrics"):
        assert not places[name].exists() and places[name].parent.is_dir()
    assert not parameter.exists() and not made.output_file.exists() and parameter.parent.is_dir()


def test_a_failed_step_leaves_no_executor_output(tmp_path: Path) -> None:
    made = call(tmp_path, {"a": artifact(f"{tmp_path}/a/a")}, ("digest",))
    made.prepare()
    assert not made.output_file.exists()
    with pytest.raises(InternalError):
        made.finish({}, {})
    assert not made.output_file.exists() and not list((tmp_path / "out" / "p").iterdir())


def test_the_executor_output_is_written_last(tmp_path: Path, monkeypatch) -> None:
    from pipeline.entrypoint import launcher

    order: list[str] = []
    write = launcher.write_atomically

    def note(path: Any, data: Any) -> None:
        order.append(Path(path).name)
        write(path, data)

    monkeypatch.setattr(launcher, "write_atomically", note)
    made = call(tmp_path, {}, ("digest", "span"))
    made.prepare()
    made.finish({"span": 3, "digest": "abc"}, {})
    assert order[-1] == "executor_output.json" and sorted(order[:-1]) == ["digest", "span"]


def test_what_is_handed_back(tmp_path: Path) -> None:
    remote = {"a": artifact("s3://bucket/a"), "b": artifact("s3://bucket/b")}
    made = call(tmp_path, remote, ("digest", "span", "empty"))
    kept = {
        "n": 1,
        "zero": 0,
        "no": False,
        "text": "x",
        "none": None,
        "void": "",
        "d": {},
        "l": [],
        "nan": float("nan"),
    }
    made.output_file.parent.mkdir(parents=True)
    made.finish({"digest": "abc", "span": 3, "empty": ""}, {"a": kept})
    found = json.loads(made.output_file.read_text())
    assert found["parameterValues"] == {"digest": "abc", "span": 3, "empty": "none"}
    (a,) = found["artifacts"]["a"]["artifacts"]
    assert a == {
        "name": "projects/1/a",
        "uri": "s3://bucket/a",  # with a local one it would not be uploaded
        "metadata": {"n": 1, "zero": 0, "no": False, "text": "x"},
    }
    assert "metadata" not in found["artifacts"]["b"]["artifacts"][0]
    assert (tmp_path / "out" / "p" / "span").read_text() == "3"
    assert (tmp_path / "out" / "p" / "empty").read_text() == "none"


@pytest.mark.parametrize("given", [{}, {"digest": "a", "more": "b"}, {"other": "a"}])
def test_output_parameters_must_be_those_that_were_asked_for(tmp_path: Path, given: dict[str, str]) -> None:
    made = call(tmp_path, {}, ("digest",))
    with pytest.raises(InternalError, match="given or asked for alone"):
        made.finish(given, {})


def test_none_stands_for_an_empty_text() -> None:
    made = Invocation({"inputs": {"parameterValues": {"a": "none", "b": "x", "c": "", "d": 3}}})
    assert [made.text(name) for name in "abc"] == ["", "x", ""] and made.text("missing") == ""
    called = Invocation({"inputs": {"parameterValues": {"zone": "none"}}})
    assert called.text("zone") == "none"  # a locale of that name keeps its own state
    with pytest.raises(InternalError, match="parameter 'd' is int, expected text"):
        made.text("d")


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), (3.0, 3), ("3", 3), (-1.0, -1), (1987654321.0, 1987654321)]
)
def test_a_number_that_comes_back_as_a_float_is_the_number(value: Any, number: int) -> None:
    found = Invocation({"inputs": {"parameterValues": {"span": value}}}).whole("span")
    assert found == number and type(found) is int


@pytest.mark.parametrize("value", [1.5, "x", "1.5", "", None, True, [1], float("nan"), float("inf")])
def test_what_is_no_whole_number_is_refused_not_cut(value: Any) -> None:
    with pytest.raises(InternalError, match=r"parameter 'span' is .* expected a whole number"):
        Invocation({"inputs": {"parameterValues": {"span": value}}}).whole("span")
