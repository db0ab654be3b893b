"""The check of compiled specs against a current kfp: each mistake is found, in a line that names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import kfp_local
from tests.unit.kfp_local.conftest import write_spec

pytestmark = pytest.mark.kubeflow

Spec = Callable[..., Path]
Document = dict[str, Any]


def test_the_spec_is_right(spec: Spec) -> None:
    assert kfp_local.check_spec(spec()) == []


def misspelt_field(pipeline: Document, _: Document) -> None:
    pipeline["root"]["dag"]["tasks"]["north"]["dependantTasks"] = []


def misspelt_container_field(pipeline: Document, _: Document) -> None:
    pipeline["deploymentSpec"]["executors"]["exec-report"]["container"]["arguments"] = []


def misspelt_setting(_: Document, platform: Document) -> None:
    settings(platform)["exec-north-release"]["nodeSelectors"] = {}


def wrong_type_of_setting(_: Document, platform: Document) -> None:
    settings(platform)["exec-north-release"]["tolerations"] = {"key": "a"}


def settings_of_no_executor(_: Document, platform: Document) -> None:
    settings(platform)["exec-west"] = {}


def other_platform(_: Document, platform: Document) -> None:
    platform["platforms"]["vertex"] = {}


def old_schema(pipeline: Document, _: Document) -> None:
    pipeline["schemaVersion"] = "2.0.0"


def no_component(pipeline: Document, _: Document) -> None:
    del pipeline["components"]["comp-report"]


def no_executor(pipeline: Document, _: Document) -> None:
    del pipeline["deploymentSpec"]["executors"]["exec-report"]


def no_such_task(pipeline: Document, _: Document) -> None:
    pipeline["root"]["dag"]["tasks"]["report"]["dependentTasks"] = ["west"]


def producer_not_waited_for(pipeline: Document, _: Document) -> None:
    pipeline["root"]["dag"]["tasks"]["centre"]["dependentTasks"] = ["north"]


def no_such_output(pipeline: Document, _: Document) -> None:
    artifacts = pipeline["root"]["dag"]["tasks"]["centre"]["inputs"]["artifacts"]
    artifacts["north"]["taskOutputArtifact"]["outputArtifactKey"] = "releases"


def no_such_outer_input(pipeline: Document, _: Document) -> None:
    parameters = pipeline["root"]["dag"]["tasks"]["north"]["inputs"]["parameters"]
    parameters["span"]["componentInputParameter"] = "spam"


def input_of_nothing(pipeline: Document, _: Document) -> None:
    parameters = pipeline["root"]["dag"]["tasks"]["north"]["inputs"]["parameters"]
    parameters["seed"] = {"runtimeValue": {"constant": 1}}


def input_left_open(pipeline: Document, _: Document) -> None:
    del pipeline["root"]["dag"]["tasks"]["north"]["inputs"]["parameters"]["span"]


def circle(pipeline: Document, _: Document) -> None:
    pipeline["root"]["dag"]["tasks"]["north"]["dependentTasks"] = ["centre"]


def output_of_no_task(pipeline: Document, _: Document) -> None:
    selectors = pipeline["components"]["comp-north"]["dag"]["outputs"]["artifacts"]["release"][
        "artifactSelectors"
    ]
    selectors[0]["producerSubtask"] = "south-release"


def output_not_defined(pipeline: Document, _: Document) -> None:
    del pipeline["components"]["comp-north"]["outputDefinitions"]


def no_name(pipeline: Document, _: Document) -> None:
    del pipeline["pipelineInfo"]


def settings(platform: Document) -> Document:
    found = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert isinstance(found, dict)
    return found


MISTAKES: list[tuple[Callable[[Document, Document], None], str]] = [
    (
        misspelt_field,
        'pipeline spec: Failed to parse root field: .*"dependantTasks"',
    ),
    (misspelt_container_field, 'deploymentSpec: .*"arguments"'),
    (misspelt_setting, 'kubernetes.deploymentSpec.executors.exec-north-release: .*"nodeSelectors"'),
    (wrong_type_of_setting, "executors.exec-north-release: .*tolerations"),
    (settings_of_no_executor, "executors.exec-west: the pipeline has no such executor"),
    (other_platform, "platforms.vertex: unknown, kubernetes is allowed"),
    (old_schema, "schemaVersion: found '2.0.0', the back end takes 2.1.0"),
    (no_component, "root/report: no component comp-report"),
    (no_executor, "components.comp-report: no executor exec-report"),
    (no_such_task, "root/report: dependentTasks names west, which is no task here"),
    (producer_not_waited_for, "root/centre: input south: its producer south is not among dependentTasks"),
    (no_such_output, "root/centre: input north: north has no output releases"),
    (no_such_outer_input, "root/north: input span: the DAG has no input spam"),
    (input_of_nothing, "root/north: comp-north has no input seed"),
    (input_left_open, "root/north: input span of comp-north is not given"),
    (circle, "root: north depends on itself"),
    (output_of_no_task, "comp-north: output release: south-release is no task here"),
    (output_not_defined, "comp-north: output release is selected but not defined"),
    (no_name, "kfp's loader: KeyError: 'pipelineInfo'"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is found in each changed spec, all checked by one process."""
    folder = tmp_path_factory.mktemp("mistakes")
    paths = [write_spec(folder / f"{change.__name__}.yaml", change) for change, _ in MISTAKES]
    return {path.stem: lines for path, lines in kfp_local.check_specs(paths).items()}


@pytest.mark.parametrize(("change", "words"), MISTAKES, ids=[change.__name__ for change, _ in MISTAKES])
def test_a_mistake_is_found(
    found: dict[str, list[str]], change: Callable[[Document, Document], None], words: str
) -> None:
    lines = found[change.__name__]
    assert any(re.search(words, line) for line in lines), lines


def test_what_is_no_spec_is_refused(tmp_path: Path) -> None:
    texts = {
        "twice": ("a: 1\na: 2\n", "key 'a' twice"),
        "broken": ("a: [\n", "YAML: "),
        "three": ("a: 1\n---\nb: 1\n---\nc: 1\n", "found 3 documents, one or two mappings are allowed"),
        "list": ("- a\n", "one or two mappings are allowed"),
    }
    for name, (text, _) in texts.items():
        (tmp_path / name).write_text(text)
    found = kfp_local.check_specs([tmp_path / name for name in [*texts, "missing"]])
    for name, (_, words) in texts.items():
        (line,) = found[tmp_path / name]
        assert words in line
    (line,) = found[tmp_path / "missing"]
    assert "No such file" in line
