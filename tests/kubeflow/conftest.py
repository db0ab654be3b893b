"""A real S3 server as a process of its own, for pods that are processes too."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.integration.test_dev_store import free_ports
from tests.unit.kubeflow.conftest import find_tool

KEY_ID, SECRET = "testing", "testing-secret"
BUCKETS = ("mlpipeline", "exchange", "eu-west-own", "ap-south-own")


@pytest.fixture(scope="package")
def s3_endpoint(tmp_path_factory) -> Iterator[str]:
    """SeaweedFS's S3, the server of `kubeflow/dev-store`, with the buckets that the tests use."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "data").mkdir()
    identity = {
        "name": "everybody",
        "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    s3, master, volume, filer = free_ports(4)
    command = [
        find_tool("weed"),
        "server",
        f"-dir={folder}/data",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=40",
        "-s3",
        f"-s3.port={s3}",
        # Catalogues on fixed ports, over which two runs on one machine would meet.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder}/s3.json",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
    ]
    endpoint = f"http://127.0.0.1:{s3}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "HOME": str(folder)}
        )
        try:
            _make_buckets(connect(endpoint), server, folder / "log")
            yield endpoint
        finally:
            server.terminate()
            server.wait(30)


def connect(endpoint: str):
    """A client for a test's own looks."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


def _make_buckets(client, server: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 90
    for bucket in BUCKETS:
        while True:
            assert server.poll() is None, log.read_text(errors="replace")[-2000:]
            try:
                client.create_bucket(Bucket=bucket)
                break
            except Exception as error:  # not up yet, in whatever way the client says that
                assert time.monotonic() < until, f"{error}\n{log.read_text(errors='replace')[-2000:]}"
                time.sleep(0.5)


@pytest.fixture(scope="package")
def s3_client(s3_endpoint):
    return connect(s3_endpoint)


@pytest.fixture(scope="package", autouse=True)
def one_thread_each():
    """As in a pod of one core."""
    kept = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL")}
    os.environ.update(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    yield
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
