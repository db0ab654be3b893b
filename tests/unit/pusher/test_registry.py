"""The centre's Pusher: versions appear whole, once, and only for a blessed detector."""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid

import pytest

from components.errors import DataError
from components.pusher import registry
from components.pusher.config import ModelPusherConfig
from components.pusher.registry import ModelInputs, list_versions, push_model, signed_by, why_outdated
from components.release import atomic
from components.release.keys import ensure_key_pair
from components.release.storage import open_store
from components.secrets import SecretRef


@pytest.fixture(params=["file", "memory"])
def uri(request, tmp_path):
    return str(tmp_path / "registry") if request.param == "file" else f"memory://registry-{uuid.uuid4().hex}"


def inputs(root, text="one", verdict="BLESSED"):
    for folder in ("model/prophet", "blessing", "evaluation", "merge"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("BLESSED", "NOT_BLESSED", "NOT_EVALUATED"):
        (root / "blessing" / name).unlink(missing_ok=True)
    (root / "blessing" / verdict).touch()
    (root / "model" / "detector.json").write_text(text)
    (root / "model" / "prophet" / "a.json").write_text("{}")
    (root / "evaluation" / "evaluation.json").write_text('{"verdict": "BLESSED", "f1": 0.5, "curve": [1, 2]}')
    release = {"locale": "eu", "span": 1, "release_id": "0" * 12, "digest": "0" * 64, "rows": 3}
    (root / "merge" / "merge.json").write_text(json.dumps({"accepted": [release]}))
    return ModelInputs(root / "model", root / "blessing", root / "evaluation", root / "merge")


def test_a_version_holds_the_model_and_what_it_was_built_on(uri, tmp_path):
    report = push_model(ModelPusherConfig(registry_uri=uri), inputs(tmp_path))
    assert (report["pushed"], report["version"], report["outcome"]) == (True, 1, "published")
    assert report["uri"] == f"{uri}/detector/1"
    store = open_store(uri)
    manifest = list_versions(store, "detector")[1]
    assert sorted(manifest["files"]) == ["evaluation.json", "model/detector.json", "model/prophet/a.json"]
    assert manifest["releases"] == [{"locale": "eu", "span": 1, "release_id": "0" * 12, "digest": "0" * 64}]
    assert manifest["evaluation"] == {"verdict": "BLESSED", "f1": 0.5}
    assert store.fs.cat_file(store.path("detector/1/model/detector.json")) == b"one"


def test_the_newest_content_keeps_its_version_content_that_comes_back_gets_the_next(uri, tmp_path):
    """Whoever loads the highest version gets the detector that was blessed last."""
    config = ModelPusherConfig(registry_uri=uri)
    reports = [push_model(config, inputs(tmp_path, text)) for text in ("one", "one", "two", "one", "one")]
    assert [report["version"] for report in reports] == [1, 1, 2, 3, 3]
    assert [report["outcome"] for report in reports[2:]] == ["published", "published", "already published"]
    versions = list_versions(open_store(uri), "detector")
    assert list(versions) == [1, 2, 3]
    assert versions[1]["content_digest"] == versions[3]["content_digest"] != versions[2]["content_digest"]


def test_an_answer_is_outdated_when_its_version_is_gone_or_no_longer_the_highest(uri, tmp_path):
    config = ModelPusherConfig(registry_uri=uri)
    first = push_model(config, inputs(tmp_path, "one"))
    refused = push_model(config, inputs(tmp_path, verdict="NOT_BLESSED"))
    assert why_outdated(first) == why_outdated(refused) == ""
    second = push_model(config, inputs(tmp_path, "two"))
    assert why_outdated(first) == "version 1 is superseded by 2"
    again = push_model(config, inputs(tmp_path, "one"))
    assert why_outdated(again) == ""  # it settles
    assert why_outdated(second) == "version 2 is superseded by 3"
    store = open_store(uri)
    store.fs.rm(store.path("detector"), recursive=True)
    assert why_outdated(again) == f"{again['uri']} is gone"


def test_a_version_is_signed_where_the_centre_has_a_key(uri, tmp_path):
    key = ensure_key_pair(tmp_path / "centre.key")
    config = ModelPusherConfig(registry_uri=uri, signing_key=SecretRef(file=str(tmp_path / "centre.key")))
    push_model(config, inputs(tmp_path))
    manifest = list_versions(open_store(uri), "detector")[1]
    assert signed_by(manifest, [key.public]) == f"signed by key {key.public.key_id}"
    assert signed_by(manifest).endswith("not checked")
    for change in ({"version": 2}, {"releases": []}, {"created_at": "2020-01-01T00:00:00Z"}):
        assert signed_by({**manifest, **change}, [key.public]).startswith("ALTERED")
    push_model(ModelPusherConfig(registry_uri=uri, name="other"), inputs(tmp_path))
    assert signed_by(list_versions(open_store(uri), "other")[1], [key.public]) == "not signed"


@pytest.mark.parametrize("verdict", ["NOT_BLESSED", "NOT_EVALUATED"])
def test_only_blessed_is_pushed(uri, tmp_path, verdict):
    report = push_model(ModelPusherConfig(registry_uri=uri), inputs(tmp_path, verdict=verdict))
    assert not report["pushed"] and report["reason"].endswith("only BLESSED is pushed")
    assert list_versions(open_store(uri), "detector") == {}


def test_no_blessing_no_push_and_no_merge_report_no_releases(uri, tmp_path):
    found = inputs(tmp_path)
    assert not push_model(ModelPusherConfig(registry_uri=uri), ModelInputs(found.model))["pushed"]
    report = push_model(ModelPusherConfig(registry_uri=uri), ModelInputs(found.model, found.blessing))
    assert report["pushed"] and report["releases"] == []


def test_an_empty_model_is_refused(uri, tmp_path):
    found = inputs(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no file"):
        push_model(ModelPusherConfig(registry_uri=uri), ModelInputs(tmp_path / "none", found.blessing))


@pytest.mark.parametrize("same", [True, False])
def test_many_pushers_at_once(uri, tmp_path, same):
    barrier, reports, failed = threading.Barrier(5), [], []
    prepared = [inputs(tmp_path / str(number), "same" if same else str(number)) for number in range(5)]

    def push(found):
        barrier.wait()
        try:
            reports.append(push_model(ModelPusherConfig(registry_uri=uri), found))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=push, args=(found,)) for found in prepared]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed
    versions = list_versions(open_store(uri), "detector")
    assert (
        len({entry["content_digest"] for entry in versions.values()}) == len(versions) == (1 if same else 5)
    )
    assert all(
        versions[report["version"]]["content_digest"] == report["content_digest"] for report in reports
    )


@pytest.mark.parametrize("other_comes_between", [False, True])
def test_a_killed_pusher_takes_its_own_claim_up_again(tmp_path, monkeypatch, other_comes_between):
    uri = f"memory://registry-{uuid.uuid4().hex}"
    config = ModelPusherConfig(registry_uri=uri)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "publish_directory", killed)
        with pytest.raises(KeyboardInterrupt):
            push_model(config, inputs(tmp_path, "one"))
    assert list_versions(open_store(uri), "detector") == {}
    if other_comes_between:  # a claimed number is never given to other content
        assert push_model(config, inputs(tmp_path, "two"))["version"] == 2
    assert push_model(config, inputs(tmp_path, "one"))["version"] == (3 if other_comes_between else 1)


def test_altered_and_unreadable_versions_are_named(uri, tmp_path):
    config = ModelPusherConfig(registry_uri=uri)
    report = push_model(config, inputs(tmp_path))
    store = open_store(uri)
    for altered in (b"longer than before", b"eno"):  # the second is as long as what was there
        store.fs.pipe_file(store.path("detector/1/model/detector.json"), altered)
        with pytest.raises(DataError, match=r"altered after publication: model/detector\.json"):
            push_model(config, inputs(tmp_path))
    for manifest in (b"{", b"[1]", b"null", b"3"):
        store.fs.pipe_file(store.path("detector/1/manifest.json"), manifest)
        with pytest.raises(DataError, match=r"detector/1: manifest\.json is no JSON object"):
            push_model(config, inputs(tmp_path))
    assert report["version"] == 1


def test_disk_full_shows_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = ModelPusherConfig(registry_uri=str(tmp_path / "registry"))
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(DataError, match="no space left on device"):
            push_model(config, inputs(tmp_path))
    assert os.listdir(tmp_path / "registry" / "detector") == []
    assert push_model(config, inputs(tmp_path))["version"] == 1


def test_an_endless_race_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "publish_directory", lambda *args: False)
    with pytest.raises(DataError, match="20 other pushers took the next version"):
        push_model(ModelPusherConfig(registry_uri=str(tmp_path / "registry")), inputs(tmp_path))


def test_an_evaluation_of_another_form_has_no_summary(tmp_path):
    (tmp_path / "evaluation.json").write_text("[]")
    assert registry._summary(tmp_path) == {}
