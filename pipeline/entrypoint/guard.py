"""Ends a step for certain: a bare process waits for the one that works.

A Python process cannot promise its own end. A handler runs between two bytecodes of the main thread, an
executor may swallow what it raises, a timer's thread needs the interpreter's lock, and the system's
out-of-memory killer asks nobody. The waiting process has imported nothing and holds no lock.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import time
from collections.abc import Callable

OUT_OF_TIME, ENDED = 124, 143
#: Seconds from SIGTERM to SIGKILL; Kubernetes itself waits 30 (`terminationGracePeriodSeconds`).
GRACE_S = 20.0
_OURS = {signal.SIGCHLD, signal.SIGTERM}
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Ended(BaseException):
    """The pod is being taken away."""


class Ending:
    """Hears SIGTERM in the working process."""

    def __init__(self) -> None:
        """Takes the signal over."""
        self.asked = False
        signal.signal(signal.SIGTERM, self._hear)

    def check(self) -> None:
        """Raises again what somebody swallowed: nothing is handed on that was made after the signal.

        Raises:
          Ended: the signal came.
        """
        if self.asked:
            raise Ended

    def _hear(self, signum: int, frame: object) -> None:
        if not self.asked:  # the second of two signals must not hit whoever handles the first
            self.asked = True
            raise Ended


def guarded(
    work: Callable[[Ending], int], say: Callable[[str], None], timeout_s: float, grace_s: float | None = None
) -> int:
    """Runs work in a process of its own; gives its exit status, or says why there is none.

    Args:
      work: Returns the exit status; its process ends with it.
      say: Prints a line.
      timeout_s: Seconds after which the work is killed; 0 for never.
      grace_s: Seconds between SIGTERM and the end; `GRACE_S` if None.

    Returns:
      The work's own status, `OUT_OF_TIME`, `ENDED`, or 128 and the number of the signal that killed it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    child = os.fork()
    if child == 0:
        status = 3
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(ENDED)
            ending = Ending()
            # A signal that came in between is pending until here.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            status = work(ending)
        except Ended:
            status = ENDED
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            # As in `pipeline.cli.main`: native libraries now and then abort while they are torn down.
            os._exit(status)
    try:
        return _wait(child, say, timeout_s, GRACE_S if grace_s is None else grace_s)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _wait(child: int, say: Callable[[str], None], timeout_s: float, grace_s: float) -> int:
    asked = False
    end = time.monotonic() + timeout_s if timeout_s > 0 else math.inf
    while True:
        found = signal.sigtimedwait(_OURS, max(0.0, min(end - time.monotonic(), 3600.0)))
        if found is not None and found.si_signo == signal.SIGTERM and not asked:
            asked = True
            end = min(end, time.monotonic() + grace_s)
            os.kill(child, signal.SIGTERM)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if not asked:
                say(f"failed: not done after {timeout_s:g} s (kubeflow.step_timeout_s)")
                return OUT_OF_TIME
            break
    if asked:
        say("ended by SIGTERM; nothing was handed on")
        return ENDED
    if os.WIFSIGNALED(status):
        killer = signal.Signals(os.WTERMSIG(status))
        why = "; most often there was too little memory (placement.memory_gib)" if killer.value == 9 else ""
        say(f"failed: its process was ended by {killer.name}{why}")
        return 128 + killer
    return os.WEXITSTATUS(status)
