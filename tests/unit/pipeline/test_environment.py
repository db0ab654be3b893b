"""What a computing process is started with."""

from __future__ import annotations

import pytest

from pipeline.environment import environment


@pytest.mark.parametrize("given", [None, "", "none", "void"])
def test_no_device_is_used_where_none_was_given(monkeypatch, given):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", given)
    assert environment()["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_pod_uses_the_devices_that_it_was_given(monkeypatch):
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "GPU-0")
    assert "CUDA_VISIBLE_DEVICES" not in environment()


def test_every_library_computes_with_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert environment()["OMP_NUM_THREADS"] == environment()["TF_NUM_INTRAOP_THREADS"] == "1"
