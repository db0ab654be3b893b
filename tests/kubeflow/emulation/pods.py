"""A pod: folders of its own, an environment of its own, a process tree that ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SUCCEEDED, FAILED, ERROR = "Succeeded", "Failed", "Error"
_POLL_S = 0.05


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a task's pod.

    Attributes:
      kind: "exit": the container ends with `code` at once. "hang": it does nothing, for ever. "kill": it
        gets SIGKILL `after_s` after its start, with all its processes (out of memory; the pod fails).
        "lost": the same, but the pod is gone with its node (Argo's Error, which is not retried). "deny":
        the object store refuses the launcher. "driver": the task's driver fails.
      attempts: Of which pods, from 1; empty for all.
      buckets: Of "deny": which; empty for all.
    """

    kind: str
    attempts: tuple[int, ...] = ()
    code: int = 1
    after_s: float = 0.5
    buckets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("exit", "hang", "kill", "lost", "deny", "driver"):
            raise ValueError(f"fault {self.kind}: exit, hang, kill, lost, deny or driver")

    def strikes(self, attempt: int) -> bool:
        """Whether it does so to that pod."""
        return not self.attempts or attempt in self.attempts


@dataclass
class Ended:
    """How a container ended."""

    phase: str
    exit_code: int | None
    reason: str
    started: float
    ended: float


@dataclass
class Pod:
    """One attempt of a task.

    Attributes:
      folder: Holds the log and the root.
      environment: The container's own variables.
      deadline_s: activeDeadlineSeconds; None for none.
      grace_s: Between SIGTERM and SIGKILL.
      stopped: Set where the whole run is stopped.
    """

    folder: Path
    name: str
    environment: dict[str, str]
    deadline_s: float | None
    grace_s: float
    stopped: threading.Event
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.time)

    @property
    def root(self) -> Path:
        """What stands for the pod's file system: /minio, /s3, /gcs, /tmp, mounts."""
        return self.folder / "root"

    @property
    def log(self) -> Path:
        """Standard output and error of the container, and the launcher's words."""
        return self.folder / "main.log"

    def prepare(self) -> None:
        """Makes the folders that are mounted into every pod (container.go: emptyDir volumes, /tmp)."""
        for name in ("minio", "s3", "gcs", "tmp", ".cache", ".config", ".local"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def say(self, text: str) -> None:
        """Adds a line of the launcher's to the log."""
        with self.log.open("a") as file:
            file.write(f"[launcher] {text}\n")

    def variables(self) -> dict[str, str]:
        """The whole environment: nothing of the calling process but what makes Python run."""
        kept = ("LANG", "LC_ALL", "OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "TZ")
        variables = {name: os.environ[name] for name in kept if name in os.environ}
        binaries = str(Path(sys.executable).parent)
        variables |= {
            "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root),
            "TMPDIR": str(self.root / "tmp"),
            "KFP_POD_NAME": self.name,
            "KFP_POD_UID": self.uid,
            "ISTHMUS_LAUNCHER_ROOT": str(self.root),
            "ISTHMUS_MOUNT_ROOT": str(self.root),
        }
        return variables | self.environment

    def run(self, command: list[str], fault: Fault | None) -> Ended:
        """Runs the container's command to its end.

        A deadline counts from the pod's beginning, so that the download is in it.
        """
        if fault and fault.kind == "exit":
            command = ["sh", "-c", f"echo fault: exit {fault.code} >&2; exit {fault.code}"]
        elif fault and fault.kind == "hang":
            command = ["sleep", "86400"]
        started = time.time()
        with self.log.open("ab") as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.root,
                    env=self.variables(),
                    start_new_session=True,
                )
            except OSError as error:
                return Ended(FAILED, None, f"exec {command[0]}: {error.strerror}", started, time.time())
        try:
            phase, reason = self._wait(process, started, fault)
        finally:
            # Whatever the container started ends with its pod.
            self._signal(process, signal.SIGKILL)
            process.wait()
        return Ended(phase, process.returncode, reason, started, time.time())

    def _wait(self, process: subprocess.Popen[bytes], started: float, fault: Fault | None) -> tuple[str, str]:
        deadline = self.began + self.deadline_s if self.deadline_s is not None else float("inf")
        strike = started + fault.after_s if fault and fault.kind in ("kill", "lost") else float("inf")
        while process.poll() is None:
            now = time.time()
            if now >= strike and fault:
                self._signal(process, signal.SIGKILL)
                process.wait()
                lost = fault.kind == "lost"
                return (ERROR, "the pod was deleted: node lost") if lost else (FAILED, "killed by signal 9")
            if now >= deadline or self.stopped.is_set():
                self._end(process)
                if self.stopped.is_set():
                    return ERROR, "the run was stopped"
                return FAILED, f"DeadlineExceeded: active longer than {self.deadline_s:g} s"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
        if process.returncode == 0:
            return SUCCEEDED, ""
        what = "exit status" if process.returncode > 0 else "signal"
        return FAILED, f"{what} {abs(process.returncode)}"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self._signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.grace_s)

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Signals the container's process group, and what left the group: it has the pod's mark."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        for pid in self._marked():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _marked(self) -> list[int]:
        mark = f"KFP_POD_UID={self.uid}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
        return found


def sleeping(stopped: threading.Event) -> Callable[[float], None]:
    """A sleep that the end of the run cuts short."""
    return lambda seconds: (stopped.wait(seconds), None)[1]
