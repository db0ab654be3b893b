"""Deployments compiled in this process, and their specs as the emulation of the back end reads them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.compiler.compile import compile_deployment
from pipeline.compiler.lower import Compiled
from pipeline.compiler.reading import Leaf, leaves
from pipeline.config.kubeflow import Layout
from tests.support.deployments import Change, Data, deployment, golden


def compiled(*changes: Change, layout: Layout | None = None) -> list[Compiled]:
    """The specs of the golden deployment, changed."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_deployment(deployment(Path(folder), *changes), layout)[0]


def replaced(data: Data) -> Change:
    """The change to another deployment altogether."""

    def change(found: Data) -> None:
        found.clear()
        found.update(data)

    return change


def fused(how: str) -> Change:
    """The change to another `fuse`; no step has resources of its own."""

    def change(data: Data) -> None:
        data["kubeflow"]["fuse"] = how
        data["locales"][0]["placement"].pop("steps")

    return change


def named(*names: str) -> Change:
    """The change to locales of these names; they are otherwise as the golden second one."""

    def change(data: Data) -> None:
        model = golden()["locales"][1]
        data["locales"] = [
            {**model, "name": name, "source": {"pattern": f"/data/pt-BR/{name}/*.csv"}} for name in names
        ]
        data["central"]["quorum"] = 1

    return change


def tasks(spec: Compiled) -> dict[str, Leaf]:
    """Container tasks by name."""
    return {leaf.path.rpartition("/")[2]: leaf for leaf in leaves(spec.pipeline)}


def executors(spec: Compiled) -> Data:
    """The platform spec by executor."""
    return dict(spec.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])


def graphs(spec: Compiled) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and tasks of every graph."""
    yield "root", spec.pipeline["root"]["dag"]["tasks"]
    for name, component in spec.pipeline["components"].items():
        if "dag" in component:
            yield name, component["dag"]["tasks"]
