"""Shared test set-up: quiet libraries, no accelerator, the same seeds everywhere."""

from __future__ import annotations

import gc
import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# One thread for each process: the core tests run in one process per core.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")


def pytest_sessionstart() -> None:
    """Hides pytest's own options from absl, which TFX lets read `sys.argv` (`-v` would be a verbosity).

    And lets Ctrl-C through.
    """
    sys.argv = sys.argv[:1]
    # A shell starts a command in the background with SIGINT ignored, and processes of the tests inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Takes what the imports left (a million objects) out of every later garbage collection."""
    gc.freeze()
