"""A real S3 server as a process of its own, for pods that are processes too."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import boto3
import pytest

KEY_ID, SECRET = "testing", "testing-secret"
BUCKETS = ("mlpipeline", "exchange", "eu-west-own", "ap-south-own")


@pytest.fixture(scope="package")
def s3_endpoint() -> Iterator[str]:
    """moto's S3 over HTTP, with the buckets that the tests use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    for _ in range(120):
        with contextlib.suppress(Exception):
            client.list_buckets()
            break
        time.sleep(0.5)
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    yield endpoint
    server.terminate()
    server.wait()


@pytest.fixture(scope="package")
def s3_client(s3_endpoint):
    return boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


@pytest.fixture(scope="package", autouse=True)
def one_thread_each():
    """As in a pod of one core; and moto is on the loopback."""
    kept = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL")}
    os.environ.update(OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
    yield
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
