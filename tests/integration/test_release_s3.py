"""The exchange on S3: a real server over HTTP, then the same server answering 500, slow, or hanging up."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import resolve_releases
from components.pusher.config import ModelPusherConfig, PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.pusher.registry import ModelInputs, list_versions, push_model
from components.release.exchange import ReleaseLocation, list_releases, why_outdated
from components.release.keys import ensure_key_pair, new_private_key
from components.release.revoke import revoke_release
from components.release.storage import open_store
from components.release.verify import RevokedReleaseError, verify_copy, verify_release
from components.secrets import SecretRef
from components.split_io import write_split
from tests.support.releases import FILES, fields, publish_release

pytestmark = pytest.mark.e2e  # a server and hundreds of requests: seconds, not milliseconds

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = new_private_key()
TRUSTED = {"eu-west": [KEY.public]}
DATASET = DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)
FAULTS = ("500", "cut before", "cut after", "cut in body")


def verify_all(store) -> list[ReleaseLocation]:
    """What is visible must be whole."""
    found = list_releases(store, "eu-west")
    for location in found:
        verify_release(store, location.folder, TRUSTED, location=location)
    return found


def test_a_release_on_s3_is_published_once_and_verifies(s3):
    store = s3.open()
    first = publish_release(store, KEY, FILES, **fields())
    again = publish_release(store, KEY, FILES, **fields())
    assert (first.outcome, again.outcome) == ("published", "already published")
    assert len(verify_all(store)) == 1
    assert verify_copy(first.uri, [KEY.public], options=s3.options()).manifest == first.manifest
    push = {"pushed": True, "uri": first.uri, "locale": "eu-west", "span": 1}
    assert why_outdated(push, s3.options()) == ""
    publish_release(store, KEY, FILES, **fields(gates={}))
    assert "superseded by 2-" in why_outdated(push, s3.options())
    store.fs.rm(store.path("eu-west"), recursive=True)
    assert why_outdated(push, s3.options()) == f"{first.uri} is gone"


def test_a_large_file_goes_up_and_comes_back(s3, tmp_path):
    (tmp_path / "a.gz").write_bytes(bytes(range(256)) * 40_000)  # 10 MB: more than one request may carry
    store = s3.open()
    publish_release(store, KEY, {"Split-train/a.gz": tmp_path / "a.gz"}, **fields())
    assert len(verify_all(store)) == 1


def test_the_manifest_is_written_last_and_on_a_condition(s3, faulty_s3):
    store = open_store(f"{s3.uri}/exchange", options=s3.options(endpoint_url=faulty_s3.endpoint))
    publish_release(store, KEY, FILES, **fields())
    puts = [(path, conditional) for method, path, conditional in faulty_s3.requests if method == "PUT"]
    assert len(puts) == 4
    assert puts[-1][0].endswith("/manifest.json") and puts[-1][1]
    assert not any(conditional for _, conditional in puts[:-1])


def test_a_store_without_conditional_writes_is_served_by_convention(s3, faulty_s3):
    store = open_store(f"{s3.uri}/exchange", options=s3.options(endpoint_url=faulty_s3.endpoint))
    faulty_s3.reset(lambda number, method, path: "no conditions")
    assert publish_release(store, KEY, FILES, **fields()).outcome == "published"
    assert publish_release(store, KEY, FILES, **fields()).outcome == "already published"
    assert len(verify_all(s3.open())) == 1


@pytest.mark.parametrize("same_content", [True, False])
def test_publishers_at_once(s3, same_content):
    barrier, outcomes, failed = threading.Barrier(4), [], []

    def publish(number):
        barrier.wait()
        try:
            files = FILES if same_content else {**FILES, "evaluation.json": f"{number}".encode()}
            outcomes.append(publish_release(s3.open(), KEY, files, **fields()).outcome)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed
    assert len(verify_all(s3.open())) == (1 if same_content else 4)
    assert outcomes.count("published") == (1 if same_content else 4)  # the condition lets one write


def test_a_revocation_on_s3(s3):
    store = s3.open()
    done = publish_release(store, KEY, FILES, **fields())
    release = open_store(done.uri, options=s3.options())
    assert revoke_release(release, KEY, "leak").outcome == "revoked"
    assert revoke_release(release, KEY, "leak").outcome == "already revoked"
    with pytest.raises(RevokedReleaseError, match="leak"):
        verify_all(store)
    push = {"pushed": True, "uri": done.uri, "release_id": done.manifest.release_id}
    assert why_outdated(push, s3.options()) == f"release {done.manifest.release_id} was revoked"


def region(root, s3, **change):
    table = pa.table({"timestamp": [1, 2, 3], "x": pa.array([0.5, 1, 2], pa.float32())})
    write_split(root / "examples", "train", table)
    ensure_key_pair(root / "eu-west.key")
    config = PusherConfig(
        kind="open",
        exchange_uri=f"{s3.uri}/exchange",
        storage=s3.options(**change),
        signing_key=SecretRef(file=str(root / "eu-west.key")),
    )
    return config, RegionInputs(root / "examples")


def centre(root, s3, **change) -> MergeGenConfig:
    locale = MergeLocale(name="eu-west", sharing="open", trusted_key=str(root / "eu-west.key.pub"))
    return MergeGenConfig(
        dataset=DATASET,
        exchange_uri=f"{s3.uri}/exchange",
        storage=s3.options(**change),
        memory_uri=f"{s3.uri}/centre",
        locales=(locale,),
        quorum=1,
    )


def test_region_and_centre_meet_on_s3(s3, tmp_path):
    config, inputs = region(tmp_path, s3)
    assert push_region(config, "eu-west", 1, inputs)["uri"].startswith(f"{s3.uri}/exchange/eu-west/span-1/1-")
    settings = MergeGenConfig.from_exec_property(centre(tmp_path, s3).to_exec_property())
    assert "testing-secret" not in settings.to_exec_property()
    result = merge_releases(settings, resolve_releases(settings), tmp_path / "merged")
    assert [(item.locale, item.rows) for item in result.accepted] == [("eu-west", 3)]
    assert s3.open("centre").fs.exists(s3.open("centre").path("exchange-memory.json"))


def test_the_registry_on_s3(s3, tmp_path):
    for folder in ("model", "blessing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blessing" / "BLESSED").touch()
    (tmp_path / "model" / "detector.json").write_text("{}")
    config = ModelPusherConfig(registry_uri=f"{s3.uri}/registry", storage=s3.options())
    inputs = ModelInputs(tmp_path / "model", tmp_path / "blessing")
    assert [push_model(config, inputs)["outcome"] for _ in range(2)] == ["published", "already published"]
    assert list(list_versions(s3.open("registry"), "detector")) == [1]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_request_of_publishing(s3, faulty_s3, fault):
    """One attempt a request. What is visible after a fault is whole, and the rerun finishes."""
    through = s3.options(endpoint_url=faulty_s3.endpoint)
    publish_release(open_store(f"{s3.uri}/count", options=through), KEY, FILES, **fields())
    requests = len(faulty_s3.requests)
    assert requests >= 10
    failures = 0
    for point in range(1, requests + 1):
        place = f"exchange-{point}"
        faulty_s3.fail_at(point, fault)
        store = open_store(f"{s3.uri}/{place}", options=through)
        try:
            publish_release(store, KEY, FILES, **fields())
        except DataError as error:
            failures += 1
            assert "\n" not in str(error) and "run again" in str(error)
        direct = s3.open(place)
        seen = verify_all(direct)
        assert len(seen) <= 1
        faulty_s3.reset()
        again = publish_release(store, KEY, FILES, **fields())
        assert verify_all(direct) == [ReleaseLocation("eu-west", 1, 1, again.manifest.release_id)]
        if seen:
            assert again.outcome == "already published"
    assert failures >= requests // 2, "the faults did not reach the publisher"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_request_is_outlived_where_there_are_attempts(s3, faulty_s3, fault):
    through = s3.options(endpoint_url=faulty_s3.endpoint, attempts=3)
    publish_release(open_store(f"{s3.uri}/count", options=through), KEY, FILES, **fields())
    puts = [n for n, (method, _, _) in enumerate(faulty_s3.requests, 1) if method == "PUT"]
    for point in puts:
        place = f"exchange-{point}"
        faulty_s3.reset(lambda number, method, path, point=point: fault if number == point else "")
        store = open_store(f"{s3.uri}/{place}", options=through)
        # If the answer to the manifest is lost, the second attempt finds it there.
        done = publish_release(store, KEY, FILES, **fields())
        assert done.outcome in ("published", "already published")
        assert len(verify_all(s3.open(place))) == 1


def test_a_server_that_only_answers_500_is_one_line(s3, faulty_s3):
    faulty_s3.reset(lambda number, method, path: "500")
    store = open_store(f"{s3.uri}/exchange", options=s3.options(endpoint_url=faulty_s3.endpoint))
    with pytest.raises(DataError, match="run again") as caught:
        publish_release(store, KEY, FILES, **fields())
    assert "\n" not in str(caught.value) and "testing-secret" not in str(caught.value)
    assert list_releases(s3.open(), "eu-west") == []


def test_a_server_that_does_not_answer_is_given_up_after_the_time_that_was_set(s3, faulty_s3):
    faulty_s3.reset(lambda number, method, path: "silent" if method == "PUT" else "")
    faulty_s3.silence_s = 1.5
    options = s3.options(endpoint_url=faulty_s3.endpoint, read_timeout_s=0.3)
    store = open_store(f"{s3.uri}/exchange", options=options)
    with pytest.raises(DataError, match=r"(?i)time.*run again"):
        publish_release(store, KEY, FILES, **fields())
    assert len([1 for method, _, _ in faulty_s3.requests if method == "PUT"]) == 1
    assert list_releases(s3.open(), "eu-west") == []


@pytest.mark.parametrize("fault", ["500", "cut in body"])
def test_a_fault_at_every_request_of_merging(s3, faulty_s3, tmp_path, fault):
    """A release that could not be read is refused or the merge stops, in one line; nothing half is left."""
    config, inputs = region(tmp_path, s3)
    push_region(config, "eu-west", 1, inputs)
    faulty = centre(tmp_path, s3, endpoint_url=faulty_s3.endpoint)
    merge_releases(faulty, resolve_releases(faulty), tmp_path / "merged")
    requests = len(faulty_s3.requests)
    assert requests >= 8
    refused = 0
    for point in range(1, requests + 1):
        faulty_s3.fail_at(point, fault)
        output = tmp_path / f"merged-{point}"
        try:
            result = merge_releases(faulty, resolve_releases(faulty), output)
        except DataError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert result.missing == ()  # a fault must not look like a locale that has released nothing
            if result.refused:
                refused += 1
                assert "\n" not in result.refused[0]["reason"]
                assert not (output / "Split-eu-west").exists()
        faulty_s3.reset()
        again = merge_releases(faulty, resolve_releases(faulty), output)
        assert [item.rows for item in again.accepted] == [3]
    assert refused >= requests // 3, "the faults did not reach the merge"


#: Publishes in children that kill themselves before or after their N-th write to the server; what is
#: then there is looked at, and finished, by another child: a process that has used S3 cannot be forked.
KILLER = """
import os, signal, sys

from aiobotocore.httpsession import AIOHTTPSession
from components.release.exchange import list_releases
from components.release.keys import load_private_key
from components.release.manifest import PrivacyStatement, Versions
from components.release.options import StorageOptions
from components.release.publish import draft_release, publish_draft
from components.release.storage import open_store
from components.release.verify import verify_release
from components.secrets import SecretRef

uri, options, key_file = sys.argv[1], StorageOptions.from_exec_property(sys.argv[2]), sys.argv[3]
key = load_private_key(SecretRef(file=key_file))
files = {"Split-train/a.gz": b"one" * 2000, "Split-train/b.gz": b"two", "evaluation.json": b"{}"}
fields = dict(
    locale="eu-west", span=1, kind="synthetic", rows={"train": 4}, columns={"timestamp": "int64"},
    versions=Versions(isthmus="1", tfx="2", tensorflow="3"), config_digest="",
    privacy=PrivacyStatement(sentences=("One.",)), verdict="BLESSED", gates={},
)

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(work())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return "killed"
    assert os.WEXITSTATUS(status) != 99
    return os.WEXITSTATUS(status)

def publish(place, point):
    seen = 0
    real = AIOHTTPSession.send
    async def send(self, request):
        nonlocal seen
        if request.method != "PUT":
            return await real(self, request)
        seen += 1
        if 2 * seen - 1 == point:
            os.kill(os.getpid(), signal.SIGKILL)  # before the server has seen it
        answer = await real(self, request)
        if 2 * seen == point:
            os.kill(os.getpid(), signal.SIGKILL)  # when the server has done it
        return answer
    AIOHTTPSession.send = send
    publish_draft(open_store(place, options=options), key, draft_release(files, **fields))
    return 0

def check(place):
    store = open_store(place, options=options)
    def verified():
        found = list_releases(store, "eu-west")
        for location in found:
            verify_release(store, location.folder, {"eu-west": [key.public]}, location=location)
        return found
    before = verified()
    done = publish_draft(store, key, draft_release(files, **fields))
    assert len(before) <= 1 and len(verified()) == 1
    assert done.outcome == ("already published" if before else "published")
    return len(before)

point, visible = 0, []
while True:
    point += 1
    place = f"{uri}/kill-{point}"
    ended = child(lambda: publish(place, point))
    visible.append(child(lambda: check(place)))
    if ended != "killed":
        break
print(point - 1, *visible)
"""


def test_killed_at_every_write_of_publishing(s3, tmp_path):
    ensure_key_pair(tmp_path / "eu-west.key")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLER,
            s3.uri,
            s3.options().to_exec_property(),
            str(tmp_path / "eu-west.key"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    points, *visible = map(int, done.stdout.split())
    assert points == 8  # three files and the manifest, each before and after
    # Nothing is visible until the last request, which writes the manifest, has been done.
    assert visible == [0] * 7 + [1, 1]


def test_the_canary_searches_an_exchange_on_s3(s3, tmp_path):
    from components.egress.canary import needles
    from pipeline.commands.canary import search_store

    store = s3.open()
    wanted = needles({"name": "zyxwold-pump-01"}, {})
    release = publish_release(store, KEY, FILES, **fields())
    count, leaks = search_store(store, wanted)
    assert (count, leaks) == (len(FILES) + 1, [])
    (tmp_path / "a").write_bytes(b"x" * 6_000_000 + b"zyxwold-pump-01")
    store.fs.put_file(str(tmp_path / "a"), store.path("eu-west", "a"))
    count, (leak,) = search_store(store, wanted)
    assert count == len(FILES) + 2 and leak.file == f"{store.uri}/eu-west/a"
    assert release.uri.startswith(store.uri)
    with pytest.raises(DataError, match="cannot search s3://no-such-bucket-at-all/x"):
        search_store(open_store("s3://no-such-bucket-at-all/x", options=s3.options()), wanted)
