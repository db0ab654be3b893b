"""A step's container as a process, with a body of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
#: In place of `step.run`; the first lines are the test's.
_DRIVER = """
import runpy, sys
from pipeline.entrypoint import guard, step
{body}
step.run = run
runpy.run_module("pipeline.entrypoint", run_name="__main__", alter_sys=True)
"""


@dataclass
class Pod:
    """A started container.

    Attributes:
      process: Its process.
      state: Its zone's state.
      output: Its ExecutorOutput.
    """

    process: subprocess.Popen[str]
    state: Path
    output: Path

    def end(self, timeout_s: float = 60) -> tuple[int, str]:
        """Waits; gives the exit status and all that it printed."""
        printed, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, printed

    @property
    def log(self) -> str:
        """The locale's own log; empty where there is none."""
        found = list((self.state / "eu" / "logs").glob("*.log"))
        return "".join(path.read_text() for path in found)


@pytest.fixture
def pod(tmp_path: Path) -> Callable[..., Pod]:
    """Starts a container whose step is `def run(arguments, invocation, listener)` of the given body."""

    def start(
        body: str, sharing: str = "restricted", *options: str, volume: bool = True, **parameters: Any
    ) -> Pod:
        state, output = tmp_path / "state", tmp_path / "out" / "executor_output.json"
        given = {"zone": "eu", "template": json.dumps({"column": "pressure"}), **parameters}
        executor_input = {
            "inputs": {"parameterValues": given},
            "outputs": {"outputFile": str(output)},
        }
        script = _DRIVER.format(body=textwrap.dedent(body))
        command = [sys.executable, "-c", script, "--task=eu-onboard", "--step=onboard", "--role=region"]
        command += [f"--sharing={sharing}", *([f"--state={state}"] if volume else []), *options]
        command += ["--executor_input", json.dumps(executor_input)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )
        return Pod(process, state, output)

    return start
