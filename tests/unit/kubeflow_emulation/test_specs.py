"""Specs that the back end refuses, and those that it takes and reads otherwise than one expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubeflow.emulation import SpecError, checks
from tests.kubeflow.emulation.expression import ExpressionError, condition
from tests.kubeflow.emulation.spec import container_hash, load
from tests.support.kfp_specs import Pipeline, task


def changed(path: Path, *, document: int = 0, **parts: Any) -> Path:
    documents = list(yaml.safe_load_all(path.read_text()))
    documents[document] |= parts
    path.write_text(yaml.safe_dump_all(documents))
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    pipeline = Pipeline(n="NUMBER_INTEGER")
    pipeline.container("work", "true", platform={"activeDeadlineSeconds": 60})
    pipeline.dag("region", {"region-work": task("work")})
    return pipeline.write(tmp_path / "good.yaml", region=task("region"), last=task("work", after=("region",)))


def lines(path: Path, release: str = "2.14") -> list[str]:
    return checks.problems(load(path, release))


def test_a_good_spec(good):
    spec = load(good)
    assert checks.problems(spec) == []
    assert spec.name == "small"
    assert spec.kubernetes("work") == {"activeDeadlineSeconds": 60}
    assert spec.dags["root"]["last"].dependencies == ["region"]


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"schemaVersion": "2.0.0"}, "schemaVersion '2.0.0'"),
        ({"pipelineInfo": {}}, "pipelineInfo.name is empty"),
        ({"nonsense": 1}, "not a PipelineSpec"),
        ({"components": {"root": {}}}, "which is reserved"),
        ({"components": {}}, "component work: not in the spec"),
        ({"deploymentSpec": {"executors": {}}}, "executor exec-work is not in the spec"),
        ({"deploymentSpec": {"executors": {"exec-work": {"resolver": {}}}}}, "its executor is a resolver"),
    ],
)
def test_what_the_back_end_refuses(good, parts, message):
    with pytest.raises(SpecError, match=message):
        load(changed(good, **parts))


def test_a_third_document_and_a_platform_spec_that_is_none(good):
    with pytest.raises(SpecError, match="not a PlatformSpec"):
        load(changed(good, document=1, executors={}))
    good.write_text(good.read_text() + "---\na: 1\n")
    with pytest.raises(SpecError, match="3 documents"):
        load(good)


def test_circles(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    path = pipeline.write(tmp_path / "a.yaml", a=task("work", after=("b",)), b=task("work", after=("a",)))
    with pytest.raises(SpecError, match=r"root: its tasks a, b form a circle"):
        load(path)
    pipeline.dag("region", {"again": task("region")})
    with pytest.raises(SpecError, match="root > region > region"):
        load(pipeline.write(tmp_path / "b.yaml", a=task("region")))
    with pytest.raises(SpecError, match="depends on nobody, which is not in that DAG"):
        load(pipeline.write(tmp_path / "c.yaml", a=task("work", after=("nobody",))))


def test_names_over_nested_dags(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.dag("region", {"work": task("work")})
    pipeline.dag("other", {"work": task("work")})
    found = lines(pipeline.write(tmp_path / "a.yaml", a=task("region"), b=task("other"), c=task("region")))
    assert found == [
        "task work: is in region and other",
        "component region: used by root/a and root/c, its tasks' names are not unique",
    ]
    renamed = task("work") | {"taskInfo": {"name": "Work"}}
    assert "taskInfo.name is 'Work', not its key" in lines(pipeline.write(tmp_path / "b.yaml", a=renamed))[0]


def test_identical_containers_share_the_first_one_s_definitions(tmp_path):
    pipeline = Pipeline()
    for name, kind in (("one", "STRING"), ("two", "NUMBER_INTEGER")):
        pipeline.container(name, "true", parameters={"x": kind})
        pipeline.executors[f"exec-{name}"]["container"]["command"][3] = "same"
    path = pipeline.write(tmp_path / "a.yaml", a=task("one", {"x": "1"}), b=task("two", {"x": 1}))
    spec = load(path)
    assert container_hash(spec, "one") == container_hash(spec, "two")
    assert spec.as_stored("two") is spec.component("one")
    assert checks.problems(spec) == [
        "component two: its container equals that of one, whose definitions it gets"
    ]


def test_platform_settings(good):
    executors = {"exec-work": {"tolerationz": []}, "exec-gone": {}}
    path = changed(good, document=1, platforms={"kubernetes": {"deploymentSpec": {"executors": executors}}})
    assert lines(path) == [
        "platform spec: executor exec-gone is in no component",
        "platform spec: exec-work.tolerationz is no setting that the driver knows",
    ]


def test_defaults_that_are_lost(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true", parameters={"x": "STRING"})
    definition = pipeline.components["work"]["inputDefinitions"]["parameters"]["x"]
    definition["defaultValue"] = "kept"
    assert "the default is not used" in lines(pipeline.write(tmp_path / "a.yaml", a=task("work")))[0]
    definition["isOptional"] = True
    assert lines(pipeline.write(tmp_path / "a.yaml", a=task("work"))) == []


def test_names_that_argo_refuses(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.dag("d" * 110, {"fine": task("work"), "report-it": task("work", after=("fine",), on_exit=True)})
    tasks = {"3g": task("work"), "or": task("work"), "pt": task("work"), "pt-driver": task("work")}
    found = lines(pipeline.write(tmp_path / "a.yaml", long=task("d" * 110), **tasks))
    assert found == [
        f"component {'d' * 110}: letters, digits and hyphens, at most 128 with its hook",
        "task 3g of root: letters, digits and hyphens, not a digit at its beginning",
        "task or of root: a word of the language of Argo's expressions",
        "task pt-driver of root: the driver of pt has that name",
    ]
    named = changed(pipeline.write(tmp_path / "b.yaml", a=task("work")), pipelineInfo={"name": "My fleet"})
    assert lines(named) == ["pipeline My fleet: its name is no name of a Kubernetes object"]


def test_a_workflow_that_is_too_large(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true", "x" * 1_572_864)
    path = pipeline.write(tmp_path / "a.yaml", work=task("work"))
    assert lines(path)[0].startswith("the workflow has about 157")


def test_exit_tasks(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.container("other", "true", "x")
    pipeline.dag("region", {"region-work": task("work")})
    path = pipeline.write(
        tmp_path / "a.yaml",
        a=task("work"),
        b=task("work"),
        last=task("other", after=("a", "b"), on_exit=True),
        late=task("region", after=("a",), on_exit=True),
        never=task("other", after=("last",)),
    )
    assert lines(path) == [
        "task last of root: an exit task of 2 tasks runs once for each of them",
        "task late of root: last is an exit task of a too, one replaces the other",
        "task never of root: depends on the exit task last, which nothing can wait for",
    ]
    assert lines(path, "2.4")[0].startswith("task late of root: an exit task that is a DAG runs only where")
    only = pipeline.write(tmp_path / "b.yaml", a=task("work", on_exit=True))
    assert "component root: has exit tasks only" in lines(only)


def test_outputs_of_nested_dags_work_from_2_4(tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true", out_parameters={"n": "STRING"})
    pipeline.container("take", "true", parameters={"n": "STRING"})
    pipeline.dag(
        "region", {"region-work": task("work")}, out_parameters={"n": ("STRING", "region-work", "n")}
    )
    path = pipeline.write(tmp_path / "a.yaml", a=task("region"), b=task("take", {"n": ("a", "n")}))
    assert lines(path, "2.3") == ["task b of root: takes an output of the nested DAG a, which works from 2.4"]
    assert lines(path, "2.4") == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("inputs.parameter_values['n'] == 3", True),
        ("!(inputs.parameter_values['n'] > 3) && inputs.parameter_values['s'] == 'a && !b'", True),
        ("int(inputs.parameter_values['n']) == -3 || false", False),
        ("inputs.parameter_values['s'] != 'true'", True),
    ],
)
def test_conditions(text, expected):
    assert condition(text, {"n": 3, "s": "a && !b"}) is expected


@pytest.mark.parametrize("text", ["1 + 1 == 2", "inputs.parameter_values['x'] == 1", "(", "'text'"])
def test_conditions_that_are_none(text):
    with pytest.raises(ExpressionError):
        condition(text, {})
