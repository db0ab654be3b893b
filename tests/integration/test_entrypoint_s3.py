"""What pods keep in buckets: a zone's state, its artifacts, and notices, on a real S3 server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.errors import DataError
from pipeline.config.placement import RegionStore
from pipeline.entrypoint import notices
from pipeline.entrypoint.own_store import OwnStore
from pipeline.entrypoint.state import RELEASE, STATISTICS, State

pytestmark = pytest.mark.e2e  # a server and dozens of requests


def artifact(folder: Path, text: str = "one") -> Path:
    for split in ("train", "eval"):
        (folder / f"Split-{split}").mkdir(parents=True)
        (folder / f"Split-{split}" / "FeatureStats.pb").write_text(f"{text} {split}")
    return folder


def files(folder: str | Path) -> dict[str, str]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_a_state_in_a_bucket(s3, tmp_path):
    state = State(f"{s3.uri}/state", "eu", s3.options())
    first, second = artifact(tmp_path / "a"), artifact(tmp_path / "b", "two")
    for span, made in ((1, first), (3, second)):
        state.remember(STATISTICS, span, made)
    state.remember(RELEASE, 1, first)
    assert State(f"{s3.uri}/state", "us", s3.options()).before(STATISTICS, 9) == ("", "")
    again = State(f"{s3.uri}/state", "eu", s3.options())
    assert again.before(STATISTICS, 1) == ("", "")
    assert again.before(STATISTICS, 3) != again.before(STATISTICS, 4)
    assert files(again.fetch(STATISTICS, *again.before(STATISTICS, 3))) == files(first)
    assert files(again.fetch(STATISTICS, *again.before(STATISTICS, 4))) == files(second)
    assert list(files(again.fetch(RELEASE, *again.before(RELEASE, 9)))) == ["Split-train/FeatureStats.pb"]

    old = again.before(STATISTICS, 3)
    state.remember(STATISTICS, 1, second)
    assert files(again.fetch(STATISTICS, *again.before(STATISTICS, 3))) == files(second)
    with pytest.raises(DataError, match="replaced during this run"):
        again.fetch(STATISTICS, *old)
    folder = s3.open("state/eu/history/span-1")
    kept = {path.split("/span-1/")[1].split("/")[0] for path in folder.fs.find(folder.root, refresh=True)}
    assert sorted(name.split("-")[0] for name in kept) == [
        "release",
        "release.json",
        "statistics",
        "statistics.json",
    ]
    folder.fs.rm_file(folder.path("statistics.json"))
    assert State(f"{s3.uri}/state", "eu", s3.options()).before(STATISTICS, 3) == ("", "")


def test_artifacts_in_a_bucket_of_the_locales_own(s3, tmp_path):
    store = RegionStore(uri=f"{s3.uri}/own", storage_options=s3.options())
    made = artifact(tmp_path / "a")
    for attempt in ("one", "two"):
        OwnStore(store).keep("eu-onboard", "examples", made, tmp_path / attempt, {"tfx": "{}", "n": 1})
    assert list(files(tmp_path / "one")) == ["reference.json"]
    places = [json.loads(files(tmp_path / x)["reference.json"])["artifact"] for x in ("one", "two")]
    assert len(set(places)) == 2
    found, metadata = OwnStore(store).fetch(tmp_path / "one", "examples")
    assert files(found) == files(made) and metadata == {"tfx": "{}", "n": 1}

    bucket = s3.open("own")
    bucket.fs.pipe_file(bucket.path(places[0], "Split-train/FeatureStats.pb"), b"other")
    with pytest.raises(DataError, match="is not what was written there"):
        OwnStore(store).fetch(tmp_path / "one", "examples")
    assert files(OwnStore(store).fetch(tmp_path / "two", "examples")[0]) == files(made)
    bucket.fs.rm(bucket.path(places[1]), recursive=True)
    with pytest.raises(DataError, match="cannot read") as caught:
        OwnStore(store).fetch(tmp_path / "two", "examples")
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_one_line_and_is_not_made(s3, tmp_path):
    made = artifact(tmp_path / "a")
    store = RegionStore(uri="s3://bucket-that-is-nowhere/own", storage_options=s3.options())
    with pytest.raises(DataError, match="cannot write to") as caught:
        OwnStore(store).keep("eu-onboard", "examples", made, tmp_path / "reference", {})
    assert "\n" not in str(caught.value) and not (tmp_path / "reference").exists()
    with pytest.raises(DataError) as caught:
        State("s3://bucket-that-is-nowhere/state", "eu", s3.options()).remember(STATISTICS, 1, made)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError):
        notices.write("s3://bucket-that-is-nowhere", s3.options(), "run", {"zone": "eu", "outcome": "pushed"})
    assert not s3.open().fs.exists("bucket-that-is-nowhere")  # none was made, wherever the server likes


def test_notices_in_an_exchange(s3):
    exchange = f"{s3.uri}/exchange"
    notices.write(exchange, s3.options(), "run-1", {"zone": "eu", "outcome": "pushed", "span": 2})
    notices.write(exchange, s3.options(), "run-1", {"zone": "us", "outcome": "refused"})
    found = notices.read(exchange, s3.options(), "run-1")
    assert {zone: notice["outcome"] for zone, notice in found.items()} == {"eu": "pushed", "us": "refused"}
    assert notices.read(exchange, s3.options(), "run-2") == {}


def test_an_exchange_that_nobody_reaches_is_one_line(s3):
    gone = s3.options(endpoint_url="http://127.0.0.1:9", connect_timeout_s=1)
    for call in (
        lambda: notices.read(f"{s3.uri}/exchange", gone, "run-1"),
        lambda: notices.write(f"{s3.uri}/exchange", gone, "run-1", {"zone": "eu", "outcome": "pushed"}),
    ):
        with pytest.raises(DataError) as caught:
            call()
        assert "\n" not in str(caught.value) and "testing-secret" not in str(caught.value)
