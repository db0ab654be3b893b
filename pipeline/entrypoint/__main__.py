"""Runs one step of a compiled pipeline: `python -m pipeline.entrypoint`, called by KFP's launcher.

Exit status: 0 done, 1 a verdict was negative, 2 bad input, 3 our fault, 124 out of time, 143 ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

_STARTED = time.time()

if TYPE_CHECKING:
    from pipeline.entrypoint.arguments import Arguments

OUT_OF_TIME, ENDED = 124, 143


class _Ended(BaseException):
    """The pod is being taken away."""


def main() -> int:
    """Runs the step; returns the exit status."""
    # Before TensorFlow and OpenMP are imported, which read it then.
    from pipeline.environment import environment

    os.environ.update(environment())
    from pipeline.entrypoint.arguments import parse

    arguments = parse()
    signal.signal(signal.SIGTERM, _end)
    _watch(arguments)
    output = _Output(arguments)
    try:
        return _run(arguments, output)
    except _Ended:
        output.say("ended by SIGTERM; nothing was handed on")
        return ENDED
    except BaseException as error:
        traceback.print_exc()
        return output.failed(error)


def _run(arguments: Arguments, output: _Output) -> int:
    from pipeline.entrypoint import step
    from pipeline.entrypoint.launcher import Invocation

    invocation = Invocation(json.loads(arguments.executor_input))
    output.open(invocation)
    ready = time.time()
    nodes: dict[str, float] = {}

    def on_node(node: str, seconds: float | None) -> None:
        nonlocal ready
        if seconds is None:
            if not nodes:
                ready = time.time()
            output.say(f"{node} started")
        else:
            nodes[node] = round(seconds, 3)
            output.say(f"{node} done in {seconds:.1f} s")

    step.run(arguments, invocation, on_node)
    timings = {"started": _STARTED, "ready": ready, "done": time.time(), "nodes": nodes}
    # For whoever measures; the launcher looks for its own file only.
    (invocation.output_file.parent / "timings.json").write_text(json.dumps(timings))
    output.say(f"done; {ready - _STARTED:.1f} s of start-up, {time.time() - ready:.1f} s of work")
    return 0


class _Output:
    """What a pod prints: our own lines. What libraries and executors print of a restricted locale's rows
    goes to a file of the locale's own, because a cluster keeps pods' logs where all of it reads them."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._stream = os.fdopen(os.dup(1), "w", buffering=1)
        self._names: frozenset[str] = frozenset()
        self._log = ""
        if arguments.sharing == "restricted":
            self._divert(arguments)

    def open(self, invocation: Any) -> None:
        """Learns the words that both sides of the border have."""
        from components.egress.words import words_of

        texts = [str(value) for value in invocation.parameters.values()]
        self._names = words_of([*texts, self._arguments.task, self._arguments.step])
        zone = invocation.parameters.get("zone", "")
        self.say(f"step {self._arguments.step} of {zone}")

    def say(self, text: str) -> None:
        """One line with the time."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        print(f"{now} {self._arguments.task}: {text}", file=self._stream, flush=True)

    def failed(self, error: BaseException) -> int:
        """Says why, in words that may leave; returns the exit status."""
        from components.egress.words import outward
        from components.errors import IsthmusError
        from pipeline.own_error import own_error

        cause = own_error(error)
        if cause is None:
            self.say(f"failed: {type(error).__name__} (see {self._log or 'the traceback'}); our fault")
            return 3
        text = str(cause)
        if self._arguments.sharing == "restricted":
            text = outward(text, self._names)
        self.say(f"failed: {type(cause).__name__}: {text}")
        return cause.exit_status if isinstance(cause, IsthmusError) else 3

    def _divert(self, arguments: Arguments) -> None:
        state = arguments.state if arguments.state and "://" not in arguments.state else "/tmp/isthmus-state"
        folder = Path(state) / "logs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = str(folder / f"{arguments.task}.log")
            handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            self._log, handle = "", os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(handle, stream)
        os.close(handle)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _end(signum: int, frame: Any) -> None:
    raise _Ended


def _watch(arguments: Arguments) -> None:
    """Ends the process when its time is over, whatever native code it is in: KFP has no such limit."""
    if arguments.timeout_s <= 0:
        return
    told = os.dup(2)

    def end() -> None:
        line = f"{arguments.task}: failed: not done after {arguments.timeout_s} s (kubeflow.step_timeout_s)\n"
        os.write(told, line.encode())
        os._exit(OUT_OF_TIME)

    timer = threading.Timer(arguments.timeout_s, end)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # As in `pipeline.cli.main`: native libraries now and then abort while they are torn down.
    os._exit(status)
