"""Artifacts between an S3 server and a pod's folders, as the launcher moves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

# component/launcher_v2.go, LocalPathForURI.
_LOCAL = {"gs://": "gcs", "minio://": "minio", "s3://": "s3"}


class ObjectError(RuntimeError):
    """The object store refuses, or a URI is not in it."""


def local_path(uri: str, root: Path) -> Path | None:
    """Where the launcher puts a URI, below a pod's root; None for a scheme that it does not know."""
    for scheme, folder in _LOCAL.items():
        if uri.startswith(scheme):
            return root / folder / uri[len(scheme) :]
    return None


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI.

    Raises:
      ObjectError: It has no key.
    """
    bucket, _, key = uri.split("://", 1)[-1].partition("/")
    if not key:
        raise ObjectError(f"URI {uri!r} has empty key")
    return bucket, key


@dataclass(frozen=True)
class S3Account:
    """An S3 server and how to get in.

    Attributes:
      endpoint: Its address, http://host:port.
      access_key: The launcher's; a task's own come from its secrets.
    """

    endpoint: str
    access_key: str = "testing"
    secret_key: str = "testing-secret"
    region: str = "us-east-1"


def connect(account: S3Account) -> Any:
    """A client, safe for threads."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=account.endpoint,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        region_name=account.region,
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            retries={"max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    # botocore asks before each upload whether it may; where a busy server answers late, it waits a minute.
    client.meta.events.register("before-sign.s3.PutObject", _drop_expect)
    return client


def _drop_expect(request: Any, **_: Any) -> None:
    del request.headers["Expect"]  # none is no error


@dataclass(frozen=True)
class Objects:
    """The launcher's access to the object store.

    Attributes:
      client: Of `connect`.
      denied: Buckets that refuse everything, "*" for all: a fault of a test.
    """

    client: Any
    denied: frozenset[str] = frozenset()

    def _check(self, bucket: str) -> None:
        if "*" in self.denied or bucket in self.denied:
            raise ObjectError(f"bucket {bucket}: AccessDenied")

    def upload(self, path: Path, uri: str, root: str) -> bool:
        """object_store.go, UploadBlob. False where there is nothing at `path`: that is no error.

        Args:
          path: A file, or a folder, of which empty folders are lost.
          uri: The artifact's.
          root: The run's root; the launcher writes below it only (config.go, KeyFromURI).

        Raises:
          ObjectError: The store refuses, or the URI is outside the root.
        """
        if not uri.startswith(root):
            raise ObjectError(f"URI {uri!r} does not have expected bucket prefix {root!r}")
        bucket, key = split(uri)
        self._check(bucket)
        if not path.exists():
            return False
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if not file.is_dir())
        for file in files:
            name = key if file == path else f"{key}/{file.relative_to(path).as_posix()}"
            try:
                self.client.put_object(Bucket=bucket, Key=name, Body=file.read_bytes())
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                raise ObjectError(f"upload {uri}: {error}") from None
        return True

    def download(self, uri: str, path: Path) -> int:
        """object_store.go, DownloadBlob. Returns the number of files; none is no error.

        Raises:
          ObjectError: The store refuses.
        """
        bucket, key = split(uri)
        self._check(bucket)
        number = 0
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            for found in (item["Key"] for page in pages for item in page.get("Contents", [])):
                if found != key and not found.startswith(key.rstrip("/") + "/"):
                    continue
                relative = found[len(key) :].lstrip("/")
                if ".." in relative.split("/"):
                    raise ObjectError(f"path traversal detected: blob key {found!r}")
                target = path / relative if relative else path
                target.parent.mkdir(parents=True, exist_ok=True)
                self.client.download_file(bucket, found, str(target))
                number += 1
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise ObjectError(f"download {uri}: {error}") from None
        return number
