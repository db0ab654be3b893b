"""Peak memory of a process, whatever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.environment import ROOT

CHILD = """
from benchmarks.peers.memory import own_peak_mb
before = own_peak_mb()
held = bytearray(200_000_000)
held[::4096] = b"x" * len(held[::4096])
print(before, own_peak_mb())
"""


def test_a_childs_peak_is_its_own() -> None:
    if "VmHWM" not in Path("/proc/self/status").read_text():
        pytest.skip("this kernel does not say a program's own peak")
    big = np.ones(75_000_000)  # 600 MB, which the child is forked from
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 300 < big.nbytes / 1e6
    assert 195 < after - before < 300
