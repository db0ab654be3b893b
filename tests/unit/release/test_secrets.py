"""Secrets by reference."""

from __future__ import annotations

import pydantic
import pytest

from components.errors import ConfigError
from components.secrets import MAX_SECRET_BYTES, SecretRef


def test_from_the_environment_and_from_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("A_SECRET", " abc\n")
    (tmp_path / "s").write_bytes(b"abc\n")
    assert SecretRef(env="A_SECRET").read() == b"abc"
    assert SecretRef(file=str(tmp_path / "s")).read() == b"abc"


def test_exactly_one_place():
    with pytest.raises(pydantic.ValidationError, match="found neither"):
        SecretRef()
    with pytest.raises(pydantic.ValidationError, match="found both"):
        SecretRef(env="A", file="b")


def test_absent_empty_too_large(monkeypatch, tmp_path):
    monkeypatch.delenv("A_SECRET", raising=False)
    with pytest.raises(ConfigError, match="A_SECRET is not set"):
        SecretRef(env="A_SECRET").read()
    with pytest.raises(ConfigError, match="No such file"):
        SecretRef(file=str(tmp_path / "absent")).read()
    (tmp_path / "empty").write_bytes(b" \n")
    with pytest.raises(ConfigError, match="is empty"):
        SecretRef(file=str(tmp_path / "empty")).read()
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    with pytest.raises(ConfigError, match="more than") as caught:
        SecretRef(file=str(tmp_path / "large")).read()
    assert "xxx" not in str(caught.value)


def test_round_trip_of_the_reference():
    ref = SecretRef(env="A_SECRET")
    assert SecretRef.from_exec_property(ref.to_exec_property()) == ref


def test_a_secret_in_the_place_of_its_name_is_not_shown():
    for secret in ("hO8s/1Vn+q3sYxkzC0ZkS2u1bq5lqz4d6h1h7m3o9tE=", "-----BEGIN PRIVATE KEY-----\nMC4CAQ"):
        with pytest.raises(ConfigError, match=r"^secret: environment variable is not set") as caught:
            SecretRef(env=secret).read()
        assert secret[:20] not in str(caught.value)
    with pytest.raises(ConfigError, match=r"^secret: file cannot be read") as caught:
        SecretRef(file="/etc/-----BEGIN PRIVATE KEY-----\nMC4CAQ").read()
    assert "MC4CAQ" not in str(caught.value)
