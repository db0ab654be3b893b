"""Compiled pipelines under KFP's own local orchestrator, for tests with the marker `kubeflow`.

Both helpers start programs of tests/kubeflow/kfp_local by the Python of `.venvs/kfp`; the README there says
what they do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = REPOSITORY / "tests" / "kubeflow" / "kfp_local"


def kfp_python() -> Path:
    """Returns the Python that has a current kfp; without it the test fails and names the command."""
    python = REPOSITORY / ".venvs" / "kfp" / "bin" / "python"
    if not python.exists():
        pytest.fail(f"no current kfp: {python} is missing; `make kubeflow-env` installs it", pytrace=False)
    return python


def check_spec(spec: Path) -> list[str]:
    """Returns what a current kfp finds wrong with a compiled pipeline, a line each; none when it is right."""
    return check_specs([spec])[spec]


def check_specs(specs: list[Path]) -> dict[Path, list[str]]:
    """Checks several pipelines in one process, which saves kfp's start, two seconds each."""
    done = _start("check_spec.py", *map(str, specs))
    right = {json.loads(line)["spec"] for line in done.stdout.splitlines()}
    found = {spec: [] for spec in specs}
    for spec in specs:
        mark = f"{spec}: "
        lines = [line for line in done.stderr.splitlines() if line.startswith(mark)]
        found[spec] = [line.removeprefix(mark) for line in lines]
        # Neither right nor wrong: the program itself fell over.
        assert bool(lines) != (str(spec) in right), done.stderr
    return found


@dataclass(frozen=True)
class LocalRun:
    """A finished run: the exit status, what was printed, and the record."""

    status: int
    printed: str
    errors: str
    record: dict[str, Any] = field(default_factory=dict)

    def attempts(self, task: str) -> list[dict[str, Any]]:
        """Returns the records of a task's containers, in order."""
        return [one for one in self.record["tasks"] if one["task"] == task]


def run_spec(
    spec: Path,
    root: Path,
    parameters: dict[str, Any] | None = None,
    environment: dict[str, dict[str, str]] | None = None,
    python: Path | str = sys.executable,
    options: tuple[str, ...] = (),
) -> LocalRun:
    """Runs a compiled pipeline.

    Args:
        spec: the compiled pipeline.
        root: an empty or new folder for outputs, logs and the record.
        parameters: the pipeline's.
        environment: variables of the containers by prefix of the task's name, `*` for all.
        python: what `python` is in the containers.
        options: further options of run_spec.py.
    """
    told = ["--parameters", json.dumps(parameters or {}), "--environment", json.dumps(environment or {})]
    done = _start("run_spec.py", str(spec), "--root", str(root), "--python", str(python), *told, *options)
    place = root / "record.json"
    record = json.loads(place.read_text()) if done.returncode in (0, 1) else {}
    return LocalRun(done.returncode, done.stdout, done.stderr, record)


def _start(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(kfp_python()), str(PROGRAMS / program), *arguments], capture_output=True, text=True, check=False
    )
