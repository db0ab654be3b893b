"""Environment of a process that computes, whoever starts it. Imports nothing heavy."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """Environment that keeps libraries quiet, off the network and to one thread, set before their import.

    One thread each: locales run side by side, OpenMP's spinning threads cost ten times their work on a
    busy machine (measured), and sums in a fixed order give the same bytes on any number of cores.
    """
    # A container's runtime names the devices that a pod was given; elsewhere there are none for us.
    given = os.environ.get("NVIDIA_VISIBLE_DEVICES", "void") not in ("", "none", "void")
    devices = {} if given else {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "-1")}
    one = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        **devices,
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TFX_DISABLE_TELEMETRY": "1",
        **dict.fromkeys(one, "1"),
    }
