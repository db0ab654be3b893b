"""The dev store of `kubeflow/dev-store`: the server itself, started as its manifest says."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.errors import DataError
from components.release.exchange import list_releases
from components.release.keys import new_private_key
from components.release.options import StorageOptions
from components.release.revoke import revoke_release
from components.release.storage import Store, open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from tests.support.releases import FILES, fields, publish_release
from tests.unit.kubeflow.conftest import KUBEFLOW, find_tool, render

pytestmark = [pytest.mark.kubeflow, pytest.mark.e2e]

KEY = new_private_key()
BUCKETS = (
    "isthmus-exchange",
    "isthmus-eu-west-artifacts",
    "isthmus-ap-south-artifacts",
    "isthmus-central-artifacts",
)


@dataclass
class DevStore:
    endpoint: str

    def open(self, who: str, place: str) -> Store:
        name = f"DEV_STORE_{who.upper().replace('-', '_')}"
        options = StorageOptions(
            endpoint_url=self.endpoint,
            access_key_id=SecretRef(env=f"{name}_KEY"),
            secret_access_key=SecretRef(env=f"{name}_SECRET"),
            attempts=2,
        )
        return open_store(f"s3://{place}", options=options)

    def may(self, who: str, action: str, path: str) -> bool:
        """Whether an identity gets through with one request."""
        fs = self.open(who, path).fs
        fs.invalidate_cache()
        try:
            {
                "write": lambda: fs.pipe_file(path, b"x"),
                "read": lambda: fs.cat_file(path),
                "list": lambda: fs.ls(path, refresh=True),
            }[action]()
        except PermissionError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Ports that nobody has, each with the one 10,000 above it, where the server puts its gRPC."""
    found: list[int] = []
    while len(found) < count:
        port = 20000 + secrets.randbelow(20000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
        found.append(port)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[DevStore]:
    """The server with the arguments of the StatefulSet; only folders and ports are this machine's."""
    folder: Path = tmp_path_factory.mktemp("dev-store")
    template = (KUBEFLOW / "dev-store" / "identities.json").read_text()
    keys = {name: secrets.token_hex(16) for name in re.findall(r"\$\{(\w+)\}", template)}
    (folder / "s3.json").write_text(re.sub(r"\$\{(\w+)\}", lambda found: keys[found.group(1)], template))
    (folder / "data").mkdir()
    (manifest,) = [x for x in render(KUBEFLOW / "dev-store") if x["kind"] == "StatefulSet"]
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    s3, master, volume, filer = free_ports(4)
    here = {"-dir=/data": f"-dir={folder}/data", "-s3.port=8333": f"-s3.port={s3}"}
    here["-s3.config=/etc/dev-store/s3.json"] = f"-s3.config={folder}/s3.json"
    assert set(here) <= set(container["args"])
    arguments = [here.get(x, x) for x in container["args"]]
    ports = [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
    with (folder / "log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        server = subprocess.Popen(
            [find_tool(*container["command"]), *arguments, *ports],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
        )
        try:
            made = DevStore(f"http://127.0.0.1:{s3}")
            _wait(made, server, folder / "log")
            yield made
        finally:
            server.terminate()
            server.wait(30)


def _wait(store: DevStore, server: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 90
    while True:
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            for bucket in BUCKETS:
                store.open("admin", bucket).fs.makedir(bucket)
            return
        except Exception as error:
            if "exist" in str(error).lower():
                return
            assert time.monotonic() < until, f"{error}\n{log.read_text(errors='replace')[-2000:]}"
            time.sleep(0.5)


def test_identities_have_no_keys_in_the_repository():
    text = (KUBEFLOW / "dev-store" / "identities.json").read_text()
    for identity in json.loads(text)["identities"]:
        for credentials in identity["credentials"]:
            assert all(re.fullmatch(r"\$\{DEV_STORE_[A-Z_]+\}", x) for x in credentials.values())


def test_a_region_publishes_and_revokes_and_the_centre_reads(store):
    exchange = "isthmus-exchange/releases"
    region = store.open("eu-west", exchange)
    done = publish_release(region, KEY, FILES, **fields())
    assert done.outcome == "published"
    assert publish_release(region, KEY, FILES, **fields()).outcome == "already published"
    centre = store.open("central", exchange)
    (location,) = list_releases(centre, "eu-west")
    verify_release(centre, location.folder, {"eu-west": [KEY.public]}, location=location)
    release = store.open("eu-west", done.uri.removeprefix("s3://"))
    assert revoke_release(release, KEY, "leak").outcome == "revoked"
    with pytest.raises(DataError):
        publish_release(centre, KEY, FILES, **fields(span=2))
    with pytest.raises(DataError):
        publish_release(store.open("ap-south", exchange), KEY, FILES, **fields(span=2))


@pytest.mark.parametrize(
    "who, action, path, wanted",
    [
        ("eu-west", "write", "isthmus-exchange/releases/eu-west/span-7/a", True),
        ("eu-west", "write", "isthmus-exchange/releases/ap-south/span-7/a", False),
        ("eu-west", "write", "isthmus-exchange/elsewhere", False),
        ("eu-west", "list", "isthmus-exchange", False),
        ("eu-west", "write", "isthmus-eu-west-artifacts/runs/a", True),
        ("eu-west", "read", "isthmus-eu-west-artifacts/runs/a", True),
        ("ap-south", "write", "isthmus-eu-west-artifacts/runs/a", False),
        ("ap-south", "read", "isthmus-eu-west-artifacts/runs/a", False),
        ("central", "read", "isthmus-exchange/releases/eu-west/span-7/a", True),
        ("eu-west", "write", "isthmus-exchange/releases/_notices/3c0b/eu-west.json", True),
        ("eu-west", "read", "isthmus-exchange/releases/_notices/3c0b/eu-west.json", True),
        ("eu-west", "list", "isthmus-exchange/releases/_notices/3c0b", True),
        ("eu-west", "write", "isthmus-exchange/releases/_notices/3c0b/ap-south.json", False),
        ("ap-south", "read", "isthmus-exchange/releases/_notices/3c0b/eu-west.json", False),
        ("central", "read", "isthmus-exchange/releases/_notices/3c0b/eu-west.json", True),
        ("central", "write", "isthmus-exchange/releases/_notices/3c0b/central.json", True),
        ("central", "write", "isthmus-exchange/releases/_notices/3c0b/_report.json", True),
        ("central", "write", "isthmus-exchange/releases/_notices/3c0b/eu-west.json", False),
        ("central", "write", "isthmus-exchange/releases/central/a", False),
        ("central", "read", "isthmus-eu-west-artifacts/runs/a", False),
        ("central", "write", "isthmus-central-artifacts/runs/a", True),
    ],
)
def test_an_identity_stays_in_its_own_place(store, who, action, path, wanted):
    assert store.may(who, action, path) is wanted
