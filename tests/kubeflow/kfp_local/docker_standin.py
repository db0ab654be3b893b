"""A stand-in for the `docker` module: a container's command runs as a process of this machine.

kfp.local's DockerRunner (kfp 2.17.0, `kfp/local/docker_task_handler.py` and `config.py`) uses of docker-py
`docker.DockerClient` (an annotation), `docker.errors.NotFound` and `docker.from_env()`; of a client `info()`,
`images.list()`, `images.pull()`, `containers.run(...)` and `close()`; of a container `logs(stream=True)` and
`wait()`. Only these are here, with the arguments that it gives; anything else ends in a TypeError or an
AttributeError.

What is not a container's: images are not pulled, paths are the machine's own (kfp.local mounts its folders at
the same path inside), and resource limits do not hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What a container has without being told; the rest of this process's environment stays outside.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def executor_input_in(command: list[str]) -> dict[str, Any]:
    """Returns the ExecutorInput that kfp put in place of `{{$}}`, or an empty mapping where there is none."""
    for argument in command:
        if argument.startswith("{") and '"outputs"' in argument:
            try:
                found = json.loads(argument)
            except ValueError:
                continue
            if isinstance(found, dict) and "outputFile" in found.get("outputs", {}):
                return found
    return {}


def component_of(executor_input: dict[str, Any]) -> str | None:
    """Returns the component's name: kfp.local calls a task's folder by it, less `comp-`."""
    output_file = executor_input.get("outputs", {}).get("outputFile")
    return f"comp-{Path(output_file).parent.name}" if output_file else None


def task_name(command: list[str], component: str | None, number: int) -> str:
    """Returns `--task=`'s value, else the component's name less `comp-`, else the container's number."""
    for argument in command:
        if argument.startswith("--task="):
            return argument.partition("=")[2]
    return component.removeprefix("comp-") if component else f"container-{number}"


def environment_of(task: str, by_prefix: dict[str, dict[str, str]]) -> dict[str, str]:
    """Returns the variables of every prefix of `task`; a longer prefix wins, `*` stands for every task."""
    found: dict[str, str] = {}
    for prefix in sorted(by_prefix, key=lambda prefix: (prefix != "*", len(prefix))):
        if prefix == "*" or task.startswith(prefix):
            found |= by_prefix[prefix]
    return found


class Containers:
    """Starts the processes and keeps what they left; one for a run of a pipeline.

    Args:
        folder: where logs and the containers' working folders go.
        python: the Python that `python` and `python3` mean in a container.
        environment: variables by prefix of the task's name (`*` for all).
        limit_s: a container is killed after so many seconds; its exit code is 137 as docker's.
        outputs_of: reads what a task wrote, from its ExecutorInput.
    """

    def __init__(
        self,
        folder: Path,
        python: Path,
        environment: dict[str, dict[str, str]],
        limit_s: float,
        outputs_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.folder, self.python, self.environment = folder, python, environment
        self.limit_s, self.outputs_of = limit_s, outputs_of
        self.records: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def run(
        self,
        *,
        image: str,
        command: list[str],
        volumes: dict[str, dict[str, str]],
        environment: dict[str, str] | None = None,
        detach: bool,
        stdout: bool,
        stderr: bool,
        auto_remove: bool,
    ) -> Container:
        """Starts `command`.

        Raises:
            RuntimeError: a mount whose path inside differs from the one outside, which only a container has;
                kfp.local's workspace is one, and is let pass as long as the command does not name it.
        """
        for outside, mount in volumes.items():
            if outside != mount["bind"] and any(mount["bind"] in argument for argument in command):
                raise RuntimeError(f"docker stand-in: {mount['bind']} is used but cannot be mounted here")
        executor_input = executor_input_in(command)
        with self._lock:
            component = component_of(executor_input)
            task = task_name(command, component, len(self.records) + 1)
            attempt = 1 + sum(record["task"] == task for record in self.records)
            record: dict[str, Any] = {
                "task": task,
                "component": component,
                "attempt": attempt,
                "image": image,
            }
            self.records.append(record)
        log = self.folder / "logs" / f"{task.replace('/', '_')}.{attempt}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        # Each container starts in an empty folder of its own: what it leaves there, no other finds.
        work = self.folder / "work" / f"{task.replace('/', '_')}.{attempt}"
        work.mkdir(parents=True)
        variables = {"PATH": f"{self.python.parent}:{SYSTEM_PATH}", "HOME": str(work), "LANG": "C.UTF-8"}
        variables |= environment_of(task, self.environment) | (environment or {})
        return Container(self, command, executor_input, record, log, work, variables)


class Container:
    """One process, with docker-py's `logs` and `wait`."""

    def __init__(
        self,
        owner: Containers,
        command: list[str],
        executor_input: dict[str, Any],
        record: dict[str, Any],
        log: Path,
        work: Path,
        variables: dict[str, str],
    ) -> None:
        self.owner, self.record, self.executor_input = owner, record, executor_input
        self.log, self.work, self.started = log, work, time.monotonic()
        self.record["started"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.process = subprocess.Popen(
            command,
            cwd=work,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.timer = threading.Timer(owner.limit_s, self._kill)
        self.timer.start()

    def _kill(self) -> None:
        self.record["killed_after_s"] = self.owner.limit_s
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def logs(self, *, stream: bool) -> Iterator[bytes]:
        """Yields the process's lines and writes them to its log file."""
        assert self.process.stdout is not None
        with self.log.open("wb") as file:
            for line in self.process.stdout:
                file.write(line)
                file.flush()
                # kfp decodes strictly; a log need not be UTF-8.
                yield line.decode(errors="replace").encode()

    def wait(self) -> dict[str, int]:
        """Waits for the process; returns its status as docker does (128 + n where signal n ended it)."""
        _, state, usage = os.wait4(self.process.pid, 0)
        self.timer.cancel()
        code = os.waitstatus_to_exitcode(state)
        self.process.returncode = code
        self.record |= {
            "exit_code": code if code >= 0 else 128 - code,
            "seconds": round(time.monotonic() - self.started, 3),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "log": str(self.log),
        }
        if code == 0:
            self.record |= self.owner.outputs_of(self.executor_input)
        shutil.rmtree(self.work, ignore_errors=True)
        return {"StatusCode": self.record["exit_code"]}


class Images:
    """What is installed beside `python` stands for every image."""

    def list(self) -> list[Any]:
        """Returns no image, so that kfp asks for a pull."""
        return []

    def pull(self, image: str) -> None:
        """Pulls nothing."""


class DockerClient:
    """What `docker.from_env()` returns; kfp takes a new one for each task."""

    def __init__(self, containers: Containers) -> None:
        self.images, self.containers = Images(), containers

    def info(self) -> dict[str, Any]:
        """Returns no security option: mounts need no SELinux label."""
        return {}

    def close(self) -> None:
        """There is no connection."""


def register(containers: Containers) -> None:
    """Puts the stand-in in place of `docker`; to be called before kfp.local is imported."""
    module, errors = types.ModuleType("docker"), types.ModuleType("docker.errors")
    errors.NotFound = type("NotFound", (Exception,), {})  # type: ignore[attr-defined]
    module.errors, module.DockerClient = errors, DockerClient  # type: ignore[attr-defined]
    module.from_env = lambda: DockerClient(containers)  # type: ignore[attr-defined]
    sys.modules["docker"], sys.modules["docker.errors"] = module, errors
