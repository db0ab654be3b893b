"""Runs one step of a compiled pipeline: `python -m pipeline.entrypoint`, called by KFP's launcher.

Exit status: 0 done, 1 a verdict was negative, 2 bad input, 3 our fault, 124 out of time, 143 ended;
128 and more: the system ended it by that signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.entrypoint.guard import ENDED, Ended, Ending, guarded

_STARTED = time.time()

if TYPE_CHECKING:
    from pipeline.entrypoint.arguments import Arguments

#: Where the log of a zone goes that has no volume of its own: gone with the pod.
_SCRATCH = "/tmp/isthmus-state"


def main() -> int:
    """Runs the step; returns the exit status."""
    # Before TensorFlow and OpenMP are imported, which read it then.
    from pipeline.environment import environment

    os.environ.update(environment())
    from pipeline.entrypoint.arguments import parse

    arguments = parse()
    zone = _zone(arguments.executor_input)
    say = _Speaker(arguments, zone)
    return guarded(lambda ending: _work(arguments, zone, say, ending), say, arguments.timeout_s)


def _work(arguments: Arguments, zone: str, say: _Speaker, ending: Ending) -> int:
    log = ""
    try:
        if arguments.sharing == "restricted":
            log = _divert(arguments, zone)
        import faulthandler

        faulthandler.enable()
        return _run(arguments, say, ending)
    except Ended:
        return ENDED
    except BaseException as error:
        import traceback

        traceback.print_exc()
        if log:
            log = _kept(arguments, log)
            say(f"the locale's own log: {log}")
        return _failed(error, arguments, say, log)


def _run(arguments: Arguments, say: _Speaker, ending: Ending) -> int:
    say("started")
    from pipeline.entrypoint import step
    from pipeline.entrypoint.launcher import Invocation

    invocation = Invocation(json.loads(arguments.executor_input))
    ready = time.time()
    nodes: dict[str, float] = {}

    def on_node(node: str, seconds: float | None) -> None:
        nonlocal ready
        ending.check()
        if seconds is None:
            if not nodes:
                ready = time.time()
            say(f"{node} started")
        else:
            nodes[node] = round(seconds, 3)
            say(f"{node} done in {seconds:.1f} s")

    step.run(arguments, invocation, on_node)
    timings = {"started": _STARTED, "ready": ready, "done": time.time(), "nodes": nodes}
    # For whoever measures; the launcher looks for its own file only.
    (invocation.output_file.parent / "timings.json").write_text(json.dumps(timings))
    say(f"done; {ready - _STARTED:.1f} s of start-up, {time.time() - ready:.1f} s of work")
    return 0


class _Speaker:
    """Prints our own lines, on the pod's output. What libraries and executors print of a restricted
    locale's rows goes to a file of the locale's own, because a cluster keeps pods' logs where all of it
    reads them."""

    def __init__(self, arguments: Arguments, zone: str) -> None:
        self._start = f"{arguments.task}: step {arguments.step} of {zone or 'no zone'}"
        self._stream = os.dup(1)

    def __call__(self, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):  # a closed pipe must not end a step that works
            os.write(self._stream, f"{now} {self._start}: {text}\n".encode(errors="replace"))


def _failed(error: BaseException, arguments: Arguments, say: _Speaker, log: str) -> int:
    """Says why, in one line of words that may leave; returns the exit status."""
    from components.errors import IsthmusError
    from pipeline.own_error import own_error

    cause = own_error(error)
    if cause is None:
        say(f"failed: {type(error).__name__} (see {log or 'the traceback'}); our fault")
        return 3
    text = " ".join(str(cause).split())
    if arguments.sharing == "restricted":
        from components.egress.words import outward

        text = outward(text, _names(arguments))
    say(f"failed: {type(cause).__name__}: {text}")
    return cause.exit_status if isinstance(cause, IsthmusError) else 3


def _names(arguments: Arguments) -> frozenset[str]:
    """The words that both sides of the border have: those of the compiled spec."""
    from components.egress.words import words_of

    try:
        given = json.loads(arguments.executor_input)["inputs"]["parameterValues"]
    except (ValueError, KeyError, TypeError):
        given = {}
    return words_of([*map(str, given.values()), arguments.task, arguments.step])


def _zone(executor_input: str) -> str:
    """The zone's name, looked for before anything can fail; "" where there is none."""
    try:
        found = json.loads(executor_input)["inputs"]["parameterValues"]["zone"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found) else ""


def _divert(arguments: Arguments, zone: str) -> str:
    """Sends the streams to the zone's own log, where there is one; returns its path."""
    state = arguments.state if arguments.state and "://" not in arguments.state else _SCRATCH
    folder = Path(state) / (zone or "unknown") / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = str(folder / f"{arguments.task}.log")
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        log, handle = "", os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    return log


def _kept(arguments: Arguments, log: str) -> str:
    """Where the log of a step that failed can be read: one that goes with the pod is kept in the zone's
    bucket, if it has one."""
    if not log.startswith(f"{_SCRATCH}/") or not arguments.store:
        return log
    from pipeline.config.placement import RegionStore
    from pipeline.entrypoint.own_store import OwnStore

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        store = OwnStore(RegionStore.model_validate_json(arguments.store))
        return store.keep_log(arguments.task, Path(log))
    except Exception:  # the step's own failure is what counts
        return log


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
