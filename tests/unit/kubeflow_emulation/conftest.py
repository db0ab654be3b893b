"""An emulated back end over a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.conftest import s3_server  # noqa: F401
from tests.kubeflow.emulation import Backend, RunRecord


@dataclass
class Cluster:
    """A bucket of its own, a state that lasts over the test's runs."""

    endpoint: str
    bucket: str
    folder: Path

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing-secret",
            region_name="us-east-1",
        )

    def backend(self, **change: Any) -> Backend:
        given: dict[str, Any] = {"grace_s": 1.0, "backoff": 0.0, "publish_logs": False} | change
        return Backend(self.endpoint, self.folder / "state", self.folder / "work", **given)

    def run(self, spec: Path, parameters: dict[str, Any] | None = None, **change: Any) -> RunRecord:
        scheme = change.pop("scheme", "minio")
        return self.backend(**change).run(spec, parameters, f"{scheme}://{self.bucket}/v2/artifacts")

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.split("://", 1)[1].partition("/")
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.fixture
def cluster(s3_server: str, tmp_path: Path) -> Cluster:  # noqa: F811
    made = Cluster(s3_server, f"bucket-{uuid.uuid4().hex[:12]}", tmp_path)
    made.client.create_bucket(Bucket=made.bucket)
    return made


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[str]]:
    """The lines that the containers wrote to `$LOG`, in order."""
    path = tmp_path / "order.log"
    return lambda: path.read_text().split() if path.exists() else []
