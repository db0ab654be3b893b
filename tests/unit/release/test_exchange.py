"""Publishing: whole or not at all, once, by one or by many, on files and on an object store."""

from __future__ import annotations

import errno
import os
import threading
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from components.errors import ConfigError, DataError, ReleaseError
from components.release import atomic
from components.release.exchange import (
    ReleaseLocation,
    is_published,
    latest_release,
    list_releases,
    newer_release,
    read_manifest_bytes,
    why_outdated,
)
from components.release.keys import new_private_key
from components.release.storage import open_store
from components.release.verify import verify_release
from tests.support.releases import FILES, fields, publish_release


@pytest.fixture
def key():
    return new_private_key()


def test_published_release_is_listed_and_verifies(store, key):
    done = publish_release(store, key, FILES, **fields())
    location = ReleaseLocation("eu-west", 1, 1, done.manifest.release_id)
    assert done.outcome == "published"
    assert done.uri == f"{store.uri}/eu-west/span-1/1-{done.manifest.release_id}"
    assert list_releases(store, "eu-west") == [location]
    verify_release(store, location.folder, {"eu-west": [key.public]}, location=location)


def test_files_may_come_from_disk(store, key, tmp_path):
    (tmp_path / "a.gz").write_bytes(b"x" * 3_000_000)
    done = publish_release(store, key, {"Split-train/a.gz": tmp_path / "a.gz"}, **fields())
    folder = f"eu-west/span-1/1-{done.manifest.release_id}"
    found = verify_release(store, folder, {"eu-west": [key.public]})
    assert store.fs.cat_file(store.path(folder, "Split-train/a.gz")) == b"x" * 3_000_000
    assert found.manifest.files["Split-train/a.gz"].size_bytes == 3_000_000


def test_publishing_again_changes_nothing(store, key):
    first = publish_release(store, key, FILES, "2020-01-01T00:00:00Z", **fields())
    again = publish_release(store, key, FILES, "2021-01-01T00:00:00Z", **fields())
    assert again.outcome == "already published"
    assert again.manifest == first.manifest
    assert len(list_releases(store, "eu-west")) == 1


def test_a_new_key_publishes_the_same_content_as_the_next_release(store, key):
    first = publish_release(store, key, FILES, **fields())
    other = new_private_key()
    again = publish_release(store, other, FILES, **fields())
    assert (again.outcome, again.manifest.sequence) == ("published", 2)
    for done, signer in ((first, key), (again, other)):  # what was published stays as it is
        location = ReleaseLocation("eu-west", 1, done.manifest.sequence, done.manifest.release_id)
        verify_release(store, location.folder, {"eu-west": [signer.public]}, location=location)
    assert latest_release(store, "eu-west").sequence == 2


def test_content_that_comes_back_is_the_newest_again(store, key):
    outcomes = [
        publish_release(store, key, FILES, **fields(gates=gates)).manifest.sequence
        for gates in ({}, {"dcr": "passed"}, {"dcr": "passed"}, {})
    ]
    assert outcomes == [1, 2, 2, 3]


def test_a_clock_a_day_off_decides_nothing(store, key):
    """The later release says that it is a day older."""
    publish_release(store, key, FILES, "2030-01-02T00:00:00Z", **fields(gates={}))
    later = publish_release(store, key, FILES, "2030-01-01T00:00:00Z", **fields())
    assert latest_release(store, "eu-west").release_id == later.manifest.release_id


def test_a_release_altered_in_place_is_not_taken_for_published(store, key):
    done = publish_release(store, key, FILES, **fields())
    folder = f"eu-west/span-1/1-{done.manifest.release_id}"
    store.fs.pipe_file(store.path(folder, "Split-train/b.gz"), b"longer")
    with pytest.raises(ReleaseError, match="with other files"):
        publish_release(store, key, FILES, **fields())
    store.fs.pipe_file(store.path(folder, "manifest.json"), b"{}")
    with pytest.raises(ReleaseError, match="Something altered it"):
        publish_release(store, key, FILES, **fields())


@pytest.mark.parametrize("same_content", [True, False])
def test_many_publishers_at_once(store, key, same_content):
    barrier, done, failed = threading.Barrier(6), [], []

    def publish(number):
        barrier.wait()
        try:
            files = FILES if same_content else {**FILES, "evaluation.json": f"{number}".encode()}
            done.append(publish_release(store, key, files, **fields()))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed
    releases = list_releases(store, "eu-west")
    assert len(releases) == (1 if same_content else 6)
    for location in releases:
        verify_release(store, location.folder, {"eu-west": [key.public]}, location=location)
    if store.is_local and same_content:
        assert sorted(item.outcome for item in done) == ["already published"] * 5 + ["published"]
        assert os.listdir(store.path("eu-west", "span-1")) == [releases[0].name]


def test_a_folder_without_a_manifest_is_no_release_and_is_replaced(store, key):
    done = publish_release(store, key, FILES, **fields())
    folder = f"eu-west/span-1/1-{done.manifest.release_id}"
    store.fs.rm(store.path(folder, "manifest.json"))
    store.fs.pipe_file(store.path(folder, "Split-train/left.gz"), b"half")
    assert list_releases(store, "eu-west") == []
    assert read_manifest_bytes(store, folder) is None
    assert publish_release(store, key, FILES, **fields()).outcome == "published"
    verify_release(store, folder, {"eu-west": [key.public]})


def test_names_that_are_no_release_are_not_listed(store, key):
    done = publish_release(store, key, FILES, **fields())
    id_ = "0123456789ab"
    for name in (f"span-01/1-{id_}", f"span-x/1-{id_}", f"span-2/1-{id_.upper()}", "span-2/.staging-1"):
        store.fs.makedirs(store.path("eu-west", name), exist_ok=True)
        store.fs.pipe_file(store.path("eu-west", name, "manifest.json"), b"{}")
    assert [item.release_id for item in list_releases(store, "eu-west")] == [done.manifest.release_id]
    assert list_releases(store, "nowhere") == []


def test_the_latest_is_of_the_highest_span_then_the_highest_sequence(store, key):
    assert latest_release(store, "eu-west") is None
    publish_release(store, key, FILES, "2030-01-01T00:00:00Z", **fields(span=9))
    publish_release(store, key, FILES, "2020-01-02T00:00:00Z", **fields(span=10))
    newest = publish_release(store, key, FILES, "2020-01-01T00:00:00Z", **fields(span=10, gates={}))
    assert latest_release(store, "eu-west").release_id == newest.manifest.release_id
    assert latest_release(store, "eu-west", 9).span == 9
    assert latest_release(store, "eu-west", 8) is None


def test_a_damaged_newest_release_does_not_bring_an_older_one_back(store, key):
    publish_release(store, key, FILES, **fields())
    newest = publish_release(store, key, FILES, **fields(gates={}))
    place = ReleaseLocation("eu-west", 1, 2, newest.manifest.release_id)
    store.fs.pipe_file(store.path(place.folder, "manifest.json"), b"junk")
    assert latest_release(store, "eu-west") == place


def pushed(done):
    manifest = done.manifest
    named = {"locale": manifest.locale, "span": manifest.span, "release_id": manifest.release_id}
    return {"pushed": True, "uri": done.uri, **named}


def test_an_answer_is_outdated_when_its_release_is_gone(store, key):
    push = pushed(publish_release(store, key, FILES, **fields()))
    assert is_published(push)
    assert why_outdated(push) == why_outdated({"pushed": False}) == ""
    store.fs.rm(store.path("eu-west"), recursive=True)
    assert not is_published(push)
    assert why_outdated(push) == f"{push['uri']} is gone"


def test_an_answer_is_outdated_when_another_release_of_its_span_is_newer(store, key):
    """A configuration, another, and the first again: the first answer names a release nobody merges."""
    first = pushed(publish_release(store, key, FILES, **fields()))
    publish_release(store, key, FILES, **fields(span=2, gates={}))  # another span takes nothing from it
    assert (newer_release(first), why_outdated(first)) == ("", "")
    second = pushed(publish_release(store, key, FILES, **fields(gates={})))
    newer = second["uri"].rsplit("/", 1)[1]
    assert newer_release(first) == newer and newer.startswith("2-")
    assert why_outdated(first) == f"release {first['release_id']} is superseded by {newer}"
    again = publish_release(store, key, FILES, **fields())
    assert again.manifest.sequence == 3
    # It settles: the new answer holds, and both others do not.
    assert why_outdated(pushed(again)) == ""
    assert why_outdated(first) and why_outdated(second)


def test_disk_full_while_copying_leaves_nothing(tmp_path, key, monkeypatch):
    store = open_store(str(tmp_path / "exchange"))
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(
        DataError, match=r"no space left on device\. Free space there, then run again"
    ) as caught:
        publish_release(store, key, FILES, **fields())
    assert "\n" not in str(caught.value)
    assert os.listdir(store.path("eu-west", "span-1")) == []
    assert publish_release(store, key, FILES, **fields()).outcome == "published"


def test_an_object_store_that_fails_in_mid_upload_shows_nothing(key, monkeypatch):
    store = open_store(f"memory://exchange-{uuid.uuid4().hex}")
    real, calls = type(store.fs).pipe_file, []

    def lossy(self, path, value, **kwargs):
        calls.append(path)
        if len(calls) == 2:
            raise RuntimeError("connection lost\nwith details")
        return real(self, path, value, **kwargs)

    monkeypatch.setattr(type(store.fs), "pipe_file", lossy)
    with pytest.raises(DataError, match=r"RuntimeError: connection lost\. Mend the connection") as caught:
        publish_release(store, key, FILES, **fields())
    assert "\n" not in str(caught.value)
    assert list_releases(store, "eu-west") == []
    assert publish_release(store, key, FILES, **fields()).outcome == "published"


def test_a_truncated_upload_is_noticed(key, monkeypatch):
    store = open_store(f"memory://exchange-{uuid.uuid4().hex}")
    real = type(store.fs).pipe_file
    monkeypatch.setattr(
        type(store.fs), "pipe_file", lambda self, path, value, **kw: real(self, path, value[:1], **kw)
    )
    with pytest.raises(DataError, match="ended at byte 1 of"):
        publish_release(store, key, FILES, **fields())
    assert list_releases(store, "eu-west") == []


def test_a_file_that_changes_while_it_is_published_is_refused(store, key, tmp_path, monkeypatch):
    source = tmp_path / "a.gz"
    source.write_bytes(b"before")
    real = atomic.publish_directory

    def change_then_publish(*args):
        source.write_bytes(b"after!")
        return real(*args)

    monkeypatch.setattr("components.release.publish.publish_directory", change_then_publish)
    with pytest.raises(DataError, match="changed while it was being published"):
        publish_release(store, key, {"Split-train/a.gz": source}, **fields())
    assert list_releases(store, "eu-west") == []


def test_exchange_that_is_a_file_is_one_clear_line(tmp_path, key):
    (tmp_path / "exchange").write_text("")
    with pytest.raises(DataError, match=r"cannot publish to .*nothing was published"):
        publish_release(open_store(str(tmp_path / "exchange")), key, FILES, **fields())


def test_staging_of_a_killed_publisher_is_removed_that_of_a_living_one_is_not(tmp_path, key, monkeypatch):
    store = open_store(str(tmp_path / "exchange"))
    span = tmp_path / "exchange" / "eu-west" / "span-1"
    for name in ("dead", "alive", "young"):
        (span / f".staging-{name}").mkdir(parents=True)
        (span / f".staging-{name}" / "x").write_text("")
    (span / ".staging-manifest-dead").write_text("")
    old = time.time() - 3600
    for name in ("dead", "alive", "manifest-dead"):
        os.utime(span / f".staging-{name}", (old, old))
    with atomic._held(span / ".staging-alive"):
        publish_release(store, key, FILES, **fields())
    left = sorted(name for name in os.listdir(span) if name.startswith("."))
    assert left == [".staging-alive", ".staging-young"]


def test_protocols():
    with pytest.raises(ConfigError, match=r"'fil' is not known \(did you mean 'file'\?\)"):
        open_store("fil://x")
    assert open_store("/tmp/x/").root == "/tmp/x"
    assert open_store("memory://a/b/").address("c", "", "d") == "memory://a/b/c/d"


def test_a_protocol_whose_package_is_absent(monkeypatch):
    def absent(uri, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(ConfigError, match=r"exchange s3://b: Install s3fs to access S3\."):
        open_store("s3://b")


def test_something_that_keeps_appearing_is_no_endless_loop(tmp_path, monkeypatch):
    target = tmp_path / "t"
    target.mkdir()
    (target / "x").write_text("")
    staging = tmp_path / "s"
    staging.mkdir()
    monkeypatch.setattr(
        Path, "rename", lambda self, other: (_ for _ in ()).throw(OSError(errno.ENOTEMPTY, "x"))
    )
    with pytest.raises(OSError):
        atomic._rename_into_place(staging, target)


def test_a_folder_that_cannot_be_synced_is_no_error_other_faults_are(tmp_path, monkeypatch):
    def fails(code):
        def fsync(handle):
            raise OSError(code, "x")

        return fsync

    monkeypatch.setattr(atomic.os, "fsync", fails(errno.EINVAL))
    atomic._sync_folder(tmp_path)
    monkeypatch.setattr(atomic.os, "fsync", fails(errno.EIO))
    with pytest.raises(OSError):
        atomic._sync_folder(tmp_path)
