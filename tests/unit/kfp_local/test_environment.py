"""The environment of a current kfp, and which variables a container is given; no kfp is needed here."""

from __future__ import annotations

import re

from tests.kubeflow.kfp_local import docker_standin
from tests.support import kfp_local


def test_every_requirement_has_hashes_and_none_names_a_host() -> None:
    text = (kfp_local.PROGRAMS / "requirements.txt").read_text()
    requirements = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", requirement), requirement
    assert "://" not in text and "--index-url" not in text and "--find-links" not in text


def test_the_requirements_are_those_of_the_project_file() -> None:
    asked = re.findall(r'"(kfp[a-z-]*==[0-9.]+)"', (kfp_local.PROGRAMS / "pyproject.toml").read_text())
    text = (kfp_local.PROGRAMS / "requirements.txt").read_text()
    assert len(asked) == 2 and all(f"\n{one} \\\n" in text for one in asked)


def test_a_longer_prefix_wins_over_a_shorter_one_and_over_all() -> None:
    told = {
        "de-de-": {"A": "region", "B": "region"},
        "de-de-release": {"B": "task"},
        "*": {"A": "all", "C": "all"},
        "fr-fr-": {"C": "other"},
    }
    assert docker_standin.environment_of("de-de-release", told) == {"A": "region", "B": "task", "C": "all"}
    assert docker_standin.environment_of("centre", told) == {"A": "all", "C": "all"}


def test_a_task_is_named_by_its_argument_else_by_its_folder_else_by_number() -> None:
    executor_input = {"outputs": {"outputFile": "/root/run/de-de-train/executor_output.json"}}
    component = docker_standin.component_of(executor_input)
    assert component == "comp-de-de-train"
    assert docker_standin.task_name(["python", "--task=a-b"], component, 3) == "a-b"
    assert docker_standin.task_name(["python"], component, 3) == "de-de-train"
    assert docker_standin.task_name(["python"], docker_standin.component_of({}), 3) == "container-3"


def test_the_executor_input_is_found_among_the_arguments() -> None:
    given = '{"inputs": {}, "outputs": {"outputFile": "/a/b"}}'
    assert docker_standin.executor_input_in(["python", '{"outputs": 1', given])["outputs"] == {
        "outputFile": "/a/b"
    }
    assert docker_standin.executor_input_in(["python", '{"rows": 1}', "{"]) == {}
