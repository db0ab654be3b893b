"""A small compiled pipeline of Isthmus's shape: two regions in a group, then the centre and the report.

`documents` writes it by hand, at once; `compiled` lets KFP's own DSL make it, in five seconds. A test holds
the two against each other. The platform document is written by hand, kfp-kubernetes 1.0 cannot.
"""

# No `from __future__ import annotations`: KFP's DSL reads the annotations of the functions below.
import tempfile
from pathlib import Path
from typing import Any

import yaml

REGIONS = ("ap-south", "eu-west")
STEPS = ("onboard", "train")


def text() -> str:
    """The YAML file: the pipeline spec, then the platform spec."""
    return yaml.safe_dump_all(documents(), sort_keys=False)


def documents() -> list[dict[str, Any]]:
    """Pipeline spec and platform spec, written by hand."""
    components: dict[str, Any] = {}
    executors: dict[str, Any] = {}

    def step(name: str) -> None:
        components[f"comp-{name}"] = {"executorLabel": f"exec-{name}", "inputDefinitions": _SPAN}
        executors[f"exec-{name}"] = {"container": _container(name)}

    def group(name: str, tasks: dict[str, Any]) -> None:
        components[f"comp-{name}"] = {"dag": {"tasks": tasks}, "inputDefinitions": _SPAN}

    for name, steps in {**dict.fromkeys(REGIONS, STEPS), "central": ("merge",)}.items():
        own = [f"{name}-{short}" for short in steps]
        group(name, {task: _task(task, own[:number][-1:]) for number, task in enumerate(own)})
        for task in own:
            step(task)
    step("report")
    group("regions", {name: _task(name, []) for name in REGIONS})
    group("after", {"central": _task("central", []), "report": _task("report", ["central"])})
    root = {"regions": _task("regions", []), "after": _task("after", ["regions"])}
    pipeline = {
        "components": components,
        "deploymentSpec": {"executors": executors},
        "pipelineInfo": {"name": "isthmus"},
        "root": {"dag": {"tasks": root}, "inputDefinitions": {"parameters": _PARAMETERS}},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.5.0",
    }
    placed = {label: {"nodeSelector": {"labels": {"zone": "made-up"}}} for label in executors}
    return [pipeline, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": placed}}}}]


_SPAN = {"parameters": {"span": {"parameterType": "NUMBER_INTEGER"}}}
_PARAMETERS = {
    "span": {"parameterType": "NUMBER_INTEGER"},
    "exchange": {"parameterType": "STRING"},
    "seed": {"parameterType": "NUMBER_INTEGER", "defaultValue": 7.0, "isOptional": True},
    "ratio": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5, "isOptional": True},
    "small": {"parameterType": "BOOLEAN", "defaultValue": False, "isOptional": True},
}


def _task(name: str, after: list[str]) -> dict[str, Any]:
    task = {
        "cachingOptions": {"enableCache": True},
        "componentRef": {"name": f"comp-{name}"},
        "inputs": {"parameters": {"span": {"componentInputParameter": "span"}}},
        "taskInfo": {"name": name},
    }
    return {**task, "dependentTasks": after} if after else task


def _container(step: str) -> dict[str, Any]:
    span = "{{$.inputs.parameters['span']}}"
    command = ["python", "-m", "pipeline.entrypoint", f"--task={step}", "--span", span]
    return {"image": "isthmus:test", "command": command}


def compiled() -> dict[str, Any]:
    """The pipeline spec as KFP's compiler makes it."""
    from kfp import compiler, dsl

    def step(name: str) -> Any:
        def command(span: int) -> dsl.ContainerSpec:
            arguments = ["-m", "pipeline.entrypoint", f"--task={name}", "--span", span]
            return dsl.ContainerSpec(image="isthmus:test", command=["python", *arguments])

        command.__name__ = name.replace("-", "_")
        return dsl.container_component(command)

    def group(name: str, steps: tuple[str, ...]) -> Any:
        parts = [step(f"{name}-{short}") for short in steps]

        def dag(span: int):  # type: ignore[no-untyped-def]
            before = None
            for part in parts:
                task = part(span=span)
                if before is not None:
                    task.after(before)
                before = task

        dag.__name__ = name.replace("-", "_")
        return dsl.pipeline(dag)

    regions = [group(name, STEPS) for name in REGIONS]
    centre, report = group("central", ("merge",)), step("report")

    @dsl.pipeline
    def regions_(span: int):  # type: ignore[no-untyped-def]
        for region in regions:
            region(span=span)

    @dsl.pipeline
    def after(span: int):  # type: ignore[no-untyped-def]
        task = centre(span=span)
        report(span=span).after(task)

    def isthmus(span: int, exchange: str, seed: int = 7, ratio: float = 0.5, small: bool = False):  # type: ignore[no-untyped-def]
        task = regions_(span=span)
        after(span=span).after(task)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "isthmus.yaml"
        compiler.Compiler().compile(dsl.pipeline(isthmus), str(file))
        found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found
