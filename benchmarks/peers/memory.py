"""Peak memory of processes."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
from pathlib import Path

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


def own_peak_mb() -> float:
    """The most that this process ever held, in MB; Linux only.

    `ru_maxrss` of a process is at least what its parent held when it started it (Linux keeps it over `exec`):
    a child of a test session of 3 GB would have needed 3 GB. `VmHWM` begins anew with the program; sandboxes
    that lack it fall back to the other.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e6
