"""Peak memory of a process and its children, seen from outside."""

from __future__ import annotations

import contextlib
import subprocess

import psutil

#: Between two looks. A peak that is shorter is missed.
_EVERY_S = 0.1


def watch_memory(process: subprocess.Popen[str]) -> float:
    """Waits for the end of a process that writes less than a pipe holds.

    Returns:
      The most that it and its children held together, in MB: proportional set sizes (PSS), so that pages that
      forked processes share count once. Interpreter and imports are among it.
    """
    most = 0.0
    while process.poll() is None:
        held = 0
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(process.pid)
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    held += one.memory_full_info().pss
        most = max(most, held / 1e6)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_EVERY_S)
    return most
