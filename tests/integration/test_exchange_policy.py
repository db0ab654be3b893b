"""The exchange's bucket policy against what the code asks of S3: every request is judged first."""

from __future__ import annotations

import json
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import werkzeug.serving

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.resolution import resolve_releases
from components.release.exchange import list_releases
from components.release.keys import ensure_key_pair, new_private_key
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.publish import draft_release
from components.release.revoke import revoke_release
from components.release.storage import Store, open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from pipeline.entrypoint import notices
from tests.support.releases import FILES, fields, publish_release
from tests.unit.kubeflow.s3_model import Request, allowed

pytestmark = pytest.mark.e2e  # a server and its requests

ROOT = Path(__file__).parents[2]
KEY = new_private_key()
ROLES = {
    "eu-west": "arn:aws:iam::333333333333:role/isthmus-eu-west",
    "ap-south": "arn:aws:iam::444444444444:role/isthmus-ap-south",
    "central": "arn:aws:iam::111111111111:role/isthmus-central",
}
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def asked(environ: dict[str, Any]) -> Request:
    """What S3 would judge a request as; the access key's id stands for the role."""
    path = urllib.parse.unquote(environ["PATH_INFO"]).lstrip("/")
    bucket, _, key = path.partition("/")
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    method = environ["REQUEST_METHOD"]
    context = {}
    if not key:
        action = {"GET": "ListBucket", "HEAD": "ListBucket", "POST": "DeleteObject", "PUT": "CreateBucket"}[
            method
        ]
        if "prefix" in query:
            context["s3:prefix"] = query["prefix"][0]
    elif method == "DELETE":
        action = "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    else:
        action = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject"}[method]
    if "HTTP_IF_NONE_MATCH" in environ:
        context["s3:if-none-match"] = environ["HTTP_IF_NONE_MATCH"]
    caller = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/")[0]
    resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
    if action == "DeleteObject" and not key:
        resource += "/*"
    return Request(ROLES.get(caller), f"s3:{action}", resource, context)


class Guarded:
    """A bucket behind the rendered policy."""

    def __init__(self, endpoint: str, bucket: str, denied: list[Request]):
        self.endpoint, self.bucket, self.denied = endpoint, bucket, denied

    def options(self, who: str) -> StorageOptions:
        return StorageOptions(
            endpoint_url=self.endpoint,
            region="eu-west-1",
            access_key_id=SecretRef(env=f"TEST_KEY_{who.replace('-', '_')}"),
            secret_access_key=SecretRef(env="TEST_SECRET"),
            attempts=1,
        )

    def open(self, who: str, below: str = "releases") -> Store:
        return open_store(f"s3://{self.bucket}/{below}", options=self.options(who))


@pytest.fixture
def guarded(monkeypatch) -> Iterator[Guarded]:
    """moto's server behind the policy that is rendered for the demo fleet."""
    from moto.moto_server import werkzeug_app as backend

    bucket = f"exchange-{uuid.uuid4().hex[:12]}"
    text = (ROOT / "kubeflow/exchange/s3-bucket-policy.json").read_text()
    policy = json.loads(
        text.replace("isthmus-exchange/", f"{bucket}/").replace('isthmus-exchange"', f'{bucket}"')
    )
    application = backend.DomainDispatcherApplication(backend.create_backend_app)
    denied: list[Request] = []
    made_by_hand = threading.Event()
    writing = threading.Lock()

    def serve(environ, start_response):
        request = asked(environ)
        if made_by_hand.is_set() and not allowed(request, policy):
            denied.append(request)
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [DENIED]
        with writing:
            return [*application(environ, start_response)]

    server = werkzeug.serving.make_server(
        "127.0.0.1", 0, serve, threaded=True, request_handler=backend.MotoRequestHandler
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("TEST_SECRET", "secret")
    for who in (*ROLES, "nobody"):
        monkeypatch.setenv(f"TEST_KEY_{who.replace('-', '_')}", who)
    made = Guarded(f"http://127.0.0.1:{server.server_port}", bucket, denied)
    made.open("eu-west").fs.mkdir(bucket)
    made_by_hand.set()
    yield made
    server.shutdown()
    thread.join()


def test_a_region_publishes_again_and_revokes_within_its_policy(guarded, tmp_path):
    store = guarded.open("eu-west")
    large = tmp_path / "large.gz"
    large.write_bytes(bytes(range(256)) * 40_000)  # in parts
    done = publish_release(store, KEY, {**FILES, "Split-train/large.gz": large}, **fields())
    assert done.outcome == "published"
    again = publish_release(store, KEY, {**FILES, "Split-train/large.gz": large}, **fields())
    assert again.outcome == "already published"
    assert publish_release(store, KEY, FILES, **fields(span=2)).outcome == "published"
    release = open_store(done.uri, options=guarded.options("eu-west"))
    assert revoke_release(release, KEY, "leak").outcome == "revoked"
    assert revoke_release(release, KEY, "leak").outcome == "already revoked"
    assert guarded.denied == []


def test_a_publisher_that_was_killed_writes_its_files_again(guarded):
    store = guarded.open("eu-west")
    folder = f"eu-west/span-1/1-{draft_release(FILES, **fields()).manifest.release_id}"
    for name in FILES:
        store.fs.pipe_file(store.path(folder, name), b"half")
    assert list_releases(store, "eu-west") == []
    done = publish_release(store, KEY, FILES, **fields())
    assert (done.outcome, done.uri) == ("published", store.address(folder))
    with pytest.raises(PermissionError):  # by itself, a region cannot change what it has published
        store.fs.pipe_file(store.path(folder, "manifest.json"), b"{}")


def test_a_stranger_s_file_among_them_takes_an_administrator(guarded):
    store = guarded.open("eu-west")
    folder = f"eu-west/span-1/1-{draft_release(FILES, **fields()).manifest.release_id}"
    store.fs.pipe_file(store.path(folder, "stranger"), b"x")
    with pytest.raises(DataError, match="nothing was published"):
        publish_release(store, KEY, FILES, **fields())


def test_the_centre_reads_within_its_policy_and_cannot_write(guarded, tmp_path):
    ensure_key_pair(tmp_path / "eu-west.key")
    done = publish_release(guarded.open("eu-west"), KEY, FILES, **fields())
    store = guarded.open("central")
    (location,) = list_releases(store, "eu-west")
    verify_release(store, location.folder, {"eu-west": [KEY.public]}, location=location)
    assert list_releases(store, "ap-south") == []
    config = MergeGenConfig(
        dataset=DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60),
        exchange_uri=f"s3://{guarded.bucket}/releases",
        storage=guarded.options("central"),
        locales=(MergeLocale(name="eu-west", sharing="open", trusted_key=str(tmp_path / "eu-west.key.pub")),),
        quorum=1,
    )
    assert done.manifest.release_id in repr(resolve_releases(config))
    with pytest.raises(DataError, match="cannot publish"):
        publish_release(store, KEY, {"a.gz": b"x"}, **fields())


def test_a_region_neither_reads_nor_writes_another_s(guarded):
    publish_release(guarded.open("eu-west"), KEY, FILES, **fields())
    store = guarded.open("ap-south")
    with pytest.raises(DataError, match="denied"):
        list_releases(store, "eu-west")
    with pytest.raises(DataError):
        publish_release(store, KEY, FILES, **fields())
    with pytest.raises(DataError):
        list_releases(guarded.open("nobody"), "eu-west")
    with pytest.raises(PermissionError):
        guarded.open("eu-west").fs.rm(f"{guarded.bucket}/releases/eu-west", recursive=True)
    assert len(list_releases(guarded.open("eu-west"), "eu-west")) == 1


def test_notices_are_written_again_and_read_within_the_policies(guarded):
    place = f"s3://{guarded.bucket}/releases"
    for locale in ("eu-west", "ap-south"):
        for outcome in ("started", "pushed"):  # a retry of the step writes it again
            notices.write(place, guarded.options(locale), "3c0b", {"zone": locale, "outcome": outcome})
    for zone in ("central", "_report"):
        notices.write(place, guarded.options("central"), "3c0b", {"zone": zone, "outcome": "pushed"})
    found = notices.read(place, guarded.options("central"), "3c0b")
    assert {zone: notice["outcome"] for zone, notice in found.items()} == dict.fromkeys(
        ("eu-west", "ap-south", "central", "_report"), "pushed"
    )
    assert guarded.denied == []


def test_a_region_reads_the_notices_of_its_own_run(guarded):
    """Layout multi-cluster: a run of its own per region, and a report with the region's credentials."""
    place = f"s3://{guarded.bucket}/releases"
    assert notices.read(place, guarded.options("eu-west"), "9d41") == {}
    notices.write(place, guarded.options("eu-west"), "9d41", {"zone": "eu-west", "outcome": "pushed"})
    assert set(notices.read(place, guarded.options("eu-west"), "9d41")) == {"eu-west"}
    # Of an empty folder s3fs asks whether it is a file, and takes a refusal for a no.
    assert {x.context.get("s3:prefix") for x in guarded.denied} <= {"releases/_notices/"}


@pytest.mark.parametrize("zone", ["ap-south", "central", "_report"])
def test_a_region_gives_no_notice_of_another_zone_and_reads_none(guarded, zone):
    place = f"s3://{guarded.bucket}/releases"
    with pytest.raises(DataError, match="denied"):
        notices.write(place, guarded.options("eu-west"), "3c0b", {"zone": zone, "outcome": "pushed"})
    notices.write(
        place,
        guarded.options("ap-south" if zone == "ap-south" else "central"),
        "3c0b",
        {"zone": zone, "outcome": "pushed"},
    )
    with pytest.raises(DataError, match="denied"):
        notices.read(place, guarded.options("eu-west"), "3c0b")
    with pytest.raises(DataError, match="denied"):
        notices.write(place, guarded.options("central"), "3c0b", {"zone": "eu-west", "outcome": "pushed"})


@pytest.mark.parametrize("who", ["eu-west", "central"])
def test_a_report_writes_no_more_than_its_zone_may(guarded, tmp_path, who):
    from pipeline.entrypoint.launcher import Invocation
    from pipeline.entrypoint.step import _report

    names = ["summary", "report"]
    outputs = {
        name: {"artifacts": [{"name": name, "uri": str(tmp_path / name), "type": {"schemaTitle": kind}}]}
        for name, kind in zip(names, ("system.Markdown", "system.HTML"))
    }
    invocation = Invocation(
        {
            "inputs": {"parameterValues": {"run": "9d41"}},
            "outputs": {"artifacts": outputs, "outputFile": str(tmp_path / "out.json")},
        }
    )
    place = f"s3://{guarded.bucket}/releases"
    notices.write(place, guarded.options(who), "9d41", {"zone": who, "outcome": "pushed"})
    told = {
        "name": "fleet",
        "zones": [[who, "central" if who == "central" else "restricted"]],
        "exchange": place,
        "storage": guarded.options(who).model_dump(mode="json"),
    }
    _report(told, {}, invocation, ("", DEFAULT_OPTIONS))
    assert (tmp_path / "out.json").exists() and who in (tmp_path / "summary").read_text()
    found = set(notices.read(place, guarded.options("central"), "9d41"))
    assert found == {who} | ({"_report"} if who == "central" else set())
    assert guarded.denied == []
