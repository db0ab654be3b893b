"""Rendered overlays, and the tools that render and check them."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
KUBEFLOW = ROOT / "kubeflow"
TOOLS = ROOT / ".venvs" / "kubeflow-tools" / "bin"
NAMESPACED = ("us-east", "eu-west", "ap-south", "central")
OVERLAYS = (*NAMESPACED, "single-cluster")


def find_tool(name: str) -> str:
    """Path of a program that `make kubeflow-tools` installs, or the machine's own.

    Without it a test is skipped; where ISTHMUS_KUBEFLOW_TOOLS is `required` (`make kubeflow-test`), it fails.
    """
    own = TOOLS / name
    found = str(own) if own.exists() else shutil.which(name)
    if found:
        return found
    why = f"{name}: not found; `make kubeflow-tools` installs it into {TOOLS.relative_to(ROOT)}"
    if os.environ.get("ISTHMUS_KUBEFLOW_TOOLS") == "required":
        pytest.fail(why)
    pytest.skip(why)


@cache
def render(folder: Path) -> tuple[dict, ...]:
    """The objects that `kubectl kustomize` makes of a folder."""
    done = subprocess.run(
        [find_tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="session")
def fleet_manifests() -> list[dict]:
    """Every object of the four namespaces of the demo fleet, as one cluster would hold them."""
    return [x for name in NAMESPACED for x in render(KUBEFLOW / "overlays" / name)]


@pytest.fixture(scope="session")
def single_manifests() -> list[dict]:
    """Every object of the layout single-cluster."""
    return list(render(KUBEFLOW / "overlays" / "single-cluster"))
