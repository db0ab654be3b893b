"""Revocation on the region's side: what was revoked is not published again, and the cache knows."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import ReleaseError
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.release.exchange import is_revoked, list_releases, why_outdated
from components.release.keys import PrivateKey, ensure_key_pair
from components.release.revocation import find_revocations, parse_revocation
from components.release.revoke import revoke_release
from components.release.storage import open_store
from components.secrets import SecretRef
from components.split_io import write_split


@pytest.fixture(params=["file", "memory"])
def exchange(request, tmp_path):
    return str(tmp_path / "exchange") if request.param == "file" else f"memory://exchange-{uuid.uuid4().hex}"


@pytest.fixture
def key(tmp_path) -> PrivateKey:
    return ensure_key_pair(tmp_path / "eu.key")


def push(root: Path, exchange: str, value: float = 1.0, span: int = 1) -> dict:
    table = pa.table({"timestamp": [1, 2], "x": pa.array([value, 2.0], pa.float32())})
    write_split(root / f"examples-{value}", "train", table)
    config = PusherConfig(
        kind="open", exchange_uri=exchange, signing_key=SecretRef(file=str(root / "eu.key"))
    )
    return push_region(config, "eu-west", span, RegionInputs(root / f"examples-{value}"))


def test_revoked_content_is_not_published_again(tmp_path, exchange, key):
    first = push(tmp_path, exchange)
    revoke_release(open_store(first["uri"]), key, "a row was real")
    again = push(tmp_path, exchange)
    assert (again["pushed"], again["outcome"]) == (False, "revoked")
    assert "a row was real" in again["reason"] and "\n" not in again["reason"]
    assert again["release_id"] == first["release_id"]
    other = push(tmp_path, exchange, value=3.0)
    assert (other["outcome"], other["sequence"]) == ("published", 2)
    # Not even under the next number, when the revoked one is no longer the newest.
    assert push(tmp_path, exchange)["outcome"] == "revoked"
    assert len(list_releases(open_store(exchange), "eu-west")) == 2


def test_a_push_that_was_revoked_is_looked_at_again_and_then_cached(tmp_path, exchange, key):
    first = push(tmp_path, exchange)
    assert (why_outdated(first), is_revoked(first)) == ("", False)
    revoke_release(open_store(first["uri"]), key, "leak")
    assert why_outdated(first) == f"release {first['release_id']} was revoked" and is_revoked(first)
    again = push(tmp_path, exchange)
    assert again["outcome"] == "revoked"
    assert why_outdated(again) == ""  # nothing was pushed, and that answer may be cached


def test_one_revocation_holds_for_one_span_and_content(tmp_path, exchange, key):
    first, second = push(tmp_path, exchange), push(tmp_path, exchange, span=2)
    revoke_release(open_store(first["uri"]), key, "leak")
    store = open_store(exchange)
    noted = {
        place.span: find_revocations(store, place, [key.public]) for place in list_releases(store, "eu-west")
    }
    assert [note.reason for note in noted[1].valid] == ["leak"] and noted[2].valid == ()
    assert not is_revoked(second)


def test_where_there_is_no_release_there_is_nothing_to_revoke(tmp_path, exchange, key):
    push(tmp_path, exchange)
    with pytest.raises(ReleaseError, match="no release here to revoke"):
        revoke_release(open_store(f"{exchange}/eu-west/span-1/7-0123456789ab"), key, "leak")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((b'"span":1', b'"span":"1"'), "span: is not of type integer"),
        ((b'"reason":"leak"', b'"reason":""'), "reason: breaks minLength 1"),
        ((b'"reason":"leak"', b'"reason":"a\\nb"'), "reason: breaks pattern"),
        ((b'"format_version":1', b'"format_version":2'), "format_version: breaks const 1"),
        ((b'{"content', b'{ "content'), "not in canonical form"),
    ],
)
def test_a_revocation_in_another_form_is_refused(tmp_path, key, change, expected):
    done = revoke_release(open_store(push(tmp_path, str(tmp_path / "exchange"))["uri"]), key, "leak")
    raw = Path(done.uri).read_bytes()
    assert parse_revocation(raw, "here") == done.note
    altered = raw.replace(*change)
    assert altered != raw
    with pytest.raises(ReleaseError, match=expected):
        parse_revocation(altered, "here")
