"""`isthmus compile`: the deployment as specs of Kubeflow Pipelines."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from components.errors import ConfigError
from pipeline.commands.shared import ConfigArgument, JsonOption, load, print_json, simulation_warning
from pipeline.environment import environment
from pipeline.quiet import without_stderr


class LayoutChoice(str, Enum):
    """One spec, or one per cluster."""

    single = "single-cluster"
    multi = "multi-cluster"


def compile_command(
    config: ConfigArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="File to write; a folder where each region has its own spec.",
            show_default=False,
        ),
    ],
    layout: Annotated[
        Optional[LayoutChoice], typer.Option(help="Other than the deployment's kubeflow.layout.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compile the deployment for Kubeflow Pipelines v2: one spec, or one per region and the centre's."""
    from components.executor_base import write_atomically

    deployment = load(config)
    os.environ.update(environment())
    with without_stderr():
        from pipeline.compiler.compile import compile_deployment
        from pipeline.compiler.rules import check_size
        from pipeline.compiler.text import to_text

    try:
        specs, warnings = compile_deployment(deployment, layout.value if layout else None)  # type: ignore[arg-type]
        texts = {spec.name: to_text(spec) for spec in specs}
        for text in texts.values():
            warnings += check_size(len(text.encode()))
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from None
    files = {name: out if len(specs) == 1 else out / f"{name}.yaml" for name in texts}
    if len(specs) > 1 and out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file; allowed: a folder, for {len(specs)} specs")
    if len(specs) == 1 and out.is_dir():
        raise ConfigError(f"{out}: a folder; allowed: a file such as {out / (specs[0].name + '.yaml')}")
    if warning := simulation_warning(deployment, config):
        print(warning, file=sys.stderr)
    for line in warnings:
        print(f"WARNING: {config}: {line}", file=sys.stderr)
    try:
        for name, file in files.items():
            write_atomically(file, texts[name])
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from None
    found: list[dict[str, Any]] = [
        {
            "file": str(files[spec.name]),
            "pipeline": spec.name,
            "tasks": len(spec.pipeline["deploymentSpec"]["executors"]),
            "bytes": len(texts[spec.name].encode()),
        }
        for spec in specs
    ]
    if as_json:
        print_json({"specs": found, "warnings": warnings})
        return
    for item in found:
        print(
            f"{item['file']}: pipeline {item['pipeline']}, {item['tasks']} steps, {item['bytes'] >> 10} KiB"
        )
