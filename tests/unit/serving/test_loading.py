"""A detector is served only where its signature and every digest fit, and nothing behind it was revoked."""

from __future__ import annotations

import json

import pytest

from components.errors import ConfigError, DataError, ReleaseError
from components.release.keys import ensure_key_pair, new_private_key
from components.release.revocation import new_revocation, write_revocation
from components.release.storage import open_store
from pipeline.serving.loading import load_served
from pipeline.serving.revocation import revocation_list

pytestmark = pytest.mark.heavy


def test_a_version_is_loaded_from_its_folder(world, public_key):
    served = load_served(str(world.version), [new_private_key().public, public_key])
    assert (served.version, served.key_id) == (1, public_key.key_id)
    assert sorted(served.detector.info["training_locales"]) == ["eu-west", "us-east"]
    assert [item["locale"] for item in served.releases] == ["us-east", "eu-west"]
    assert load_served(f"{world.version}/", [public_key], served.content_digest).version == 1


@pytest.mark.parametrize("name", ["model/detector.json", "model/classifier.skops", "model/prophet"])
def test_an_altered_or_missing_file_is_refused(world, public_key, name):
    path = world.version / name
    if path.is_dir():
        next(path.iterdir()).unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match="missing or altered"):
        load_served(str(world.version), [public_key])


def test_a_manifest_is_believed_by_its_signature_only(world, public_key):
    with pytest.raises(ReleaseError, match=r"not checked; trusted: .* It is not served"):
        load_served(str(world.version), [new_private_key().public])
    path = world.version / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(ReleaseError, match="ALTERED"):
        load_served(str(world.version), [public_key])
    path.write_text(json.dumps({**manifest, "signature": None}))
    with pytest.raises(ReleaseError, match="not signed"):
        load_served(str(world.version), [public_key])
    with pytest.raises(ConfigError, match="--trusted-key: none given"):
        load_served(str(world.version), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "not of a version"), ('{"format": "isthmus-release"}', "not of a version")],
)
def test_a_manifest_of_something_else_is_refused(world, public_key, text, message):
    (world.version / "manifest.json").write_text(text)
    with pytest.raises(ReleaseError, match=message):
        load_served(str(world.version), [public_key])


def test_a_folder_without_a_manifest_is_named(world, public_key):
    with pytest.raises(ReleaseError, match=r"no manifest.json; allowed: the folder of one version"):
        load_served(str(world.version.parent), [public_key])


def test_a_signed_version_in_the_place_of_another_is_seen_by_its_digest(world, public_key):
    """Whoever can write to the bucket can put an old, signed version where a new one was."""
    with pytest.raises(ReleaseError, match=r"content digest \w{12}, expected 000000000000"):
        load_served(str(world.version), [public_key], "0" * 64)


def _revoke(world, key_name="eu-west", digest=None):
    entry = world.releases[1]
    note = new_revocation(
        "eu-west",
        3,
        1,
        entry["release_id"],
        digest or entry["digest"],
        entry["manifest_sha256"],
        "a sensor lied",
    )
    key = ensure_key_pair(world.root / "keys" / f"{key_name}.pem")
    write_revocation(open_store(str(world.root / "exchange")), "eu-west/span-3", note, key)


def _list(world):
    keys = [f"{name}={world.root}/keys/{name}.pem.pub" for name in ("us-east", "eu-west")]
    found = revocation_list(str(world.root / "exchange"), keys)
    assert found is not None
    return found


def test_a_revocation_by_the_locales_key_is_found(world):
    assert _list(world).first(world.releases) == ""
    _revoke(world)
    folder = f"eu-west/span-3/1-{world.releases[1]['release_id']}"
    assert _list(world).first(world.releases) == f"{folder} was revoked (a sensor lied)"


def test_a_revocation_by_a_stranger_or_of_other_content_is_none(world):
    _revoke(world, key_name="us-east")
    assert _list(world).first(world.releases) == ""
    _revoke(world, digest="0" * 64)
    assert _list(world).first(world.releases) == ""


def test_the_list_needs_the_key_of_every_locale(world):
    some = revocation_list(str(world.root / "exchange"), [f"us-east={world.root}/keys/us-east.pem.pub"])
    assert some is not None
    with pytest.raises(ConfigError, match="--locale-key: none for eu-west"):
        some.first(world.releases)
    with pytest.raises(ConfigError, match="LOCALE=KEY"):
        revocation_list("x", ["eu-west"])
    with pytest.raises(ConfigError, match="needs --exchange"):
        revocation_list("", [f"us-east={world.root}/keys/us-east.pem.pub"])
    assert revocation_list("", []) is None


def test_an_exchange_that_cannot_be_read_is_not_an_empty_list(world, monkeypatch):
    found = _list(world)

    def fail(*_, **__):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(found.exchange.fs, "ls", fail)
    with pytest.raises(DataError, match="cannot list"):
        found.first(world.releases)
