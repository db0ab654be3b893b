"""Keys: made once, stored with mode 0600, loaded from every form, never shown."""

from __future__ import annotations

import base64
import os
import stat
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from components.errors import ConfigError, DataError
from components.release.keys import (
    ensure_key_pair,
    load_private_key,
    load_public_key,
    new_private_key,
    public_key_path,
)
from components.release.manifest import FileEntry, PrivacyStatement, Versions, build_manifest
from components.release.signature import Signature
from components.secrets import SecretRef

PEM, RAW = serialization.Encoding.PEM, serialization.Encoding.Raw


def manifest():
    return build_manifest(
        locale="a",
        span=0,
        kind="open",
        rows={"train": 1},
        columns={"x": "int64"},
        files={"Split-train/a.gz": FileEntry(sha256="a" * 64, size_bytes=5)},
        versions=Versions(isthmus="1", tfx="2", tensorflow="3"),
        config_digest="",
        privacy=PrivacyStatement(sentences=("One.",)),
        verdict="schema-validated",
        gates={},
    )


def test_rfc_8032_test_vector_1(monkeypatch):
    # RFC 8032, section 7.1, TEST 1: secret and public key.
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    monkeypatch.setenv("KEY", base64.b64encode(secret).decode())
    assert load_private_key(SecretRef(env="KEY")).public.raw.hex() == public


def test_a_signature_verifies_and_any_change_or_other_key_does_not():
    key, other = new_private_key(), new_private_key()
    signed = key.sign(manifest())
    assert key.public.verifies(signed)
    assert not other.public.verifies(signed)
    assert not key.public.verifies(signed.model_copy(update={"span": 1}))
    assert not key.public.verifies(manifest())
    for value in ("", "!!", base64.b64encode(bytes(64)).decode()):
        broken = Signature(key_id=key.public.key_id, value=value)
        assert not key.public.verifies(signed.model_copy(update={"signature": broken}))


def test_signing_twice_gives_the_same_bytes():
    key, draft = new_private_key(), manifest()
    assert key.sign(draft).to_bytes() == key.sign(key.sign(draft)).to_bytes()


def test_key_pair_is_made_once_private_and_whole(tmp_path):
    path = tmp_path / "sub" / "eu.key"
    made = ensure_key_pair(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(public_key_path(path).stat().st_mode) == 0o644
    assert ensure_key_pair(path).public == made.public
    assert load_public_key(str(public_key_path(path))) == made.public
    assert sorted(os.listdir(tmp_path / "sub")) == ["eu.key", "eu.key.pub"]


def test_a_lost_public_half_is_written_again(tmp_path):
    key = ensure_key_pair(tmp_path / "k")
    public_key_path(tmp_path / "k").write_text("stale")
    ensure_key_pair(tmp_path / "k")
    assert load_public_key(str(tmp_path / "k.pub")) == key.public


def test_of_many_that_make_a_key_at_once_all_get_the_same(tmp_path):
    found, barrier = [], threading.Barrier(8)

    def make():
        barrier.wait()
        found.append(ensure_key_pair(tmp_path / "k").public.key_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 8 and len(set(found)) == 1


def test_public_key_forms():
    key = new_private_key().public
    pem = (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert load_public_key(key.to_text()) == key
    assert load_public_key(f"  {key.to_text()}\n") == key
    assert key.to_text().startswith("ed25519:")
    assert load_public_key(key.to_text().removeprefix("ed25519:")) == key
    assert len(load_public_key(pem.decode()).raw) == 32


def test_what_is_no_public_key(tmp_path):
    rsa = generate_private_key(65537, 1024).public_key()
    pem = rsa.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ConfigError, match="not an Ed25519 public key"):
        load_public_key(pem)
    with pytest.raises(ConfigError, match="neither PEM, nor base64"):
        load_public_key(str(tmp_path / "absent.pub"))
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(ConfigError, match="not an Ed25519 public key"):
        load_public_key(str(tmp_path / "junk"))


@pytest.mark.parametrize("content", ["hunter2secret", base64.b64encode(b"short").decode(), "-----BEGIN junk"])
def test_what_is_no_private_key_is_never_shown(tmp_path, content):
    (tmp_path / "k").write_text(content)
    with pytest.raises(ConfigError, match="not an Ed25519 private key") as caught:
        load_private_key(SecretRef(file=str(tmp_path / "k")))
    assert content not in str(caught.value)


def test_an_rsa_private_key_is_refused(tmp_path):
    pem = generate_private_key(65537, 1024).private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "k").write_bytes(pem)
    with pytest.raises(ConfigError, match="not an Ed25519 private key"):
        load_private_key(SecretRef(file=str(tmp_path / "k")))


def private_forms() -> dict[str, str]:
    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    return {
        "pem": pem,
        "in one line": pem.replace("\n", " "),
        "below a folder": "/etc/fleet.d/" + pem.replace("\n", ""),
        "body alone": pem.splitlines()[1],
        "body below a folder": "/etc/fleet.d/" + pem.splitlines()[1],
        "hexadecimal": key.private_bytes(RAW, serialization.PrivateFormat.Raw, plain).hex(),
    }


def shown(message: str, secret: str) -> list[str]:
    body = max(secret.replace("-----", " ").split(), key=len).rsplit("/fleet.d/")[-1]
    return [body[i : i + 8] for i in range(len(body) - 7) if body[i : i + 8] in message]


@pytest.mark.parametrize("form", private_forms())
def test_a_private_key_in_the_place_of_a_public_one_is_never_quoted(tmp_path, form):
    text = private_forms()[form]
    with pytest.raises(ConfigError, match="public key") as caught:
        load_public_key(text)
    assert not shown(str(caught.value), text)
    (tmp_path / "eu.key").write_text(text)
    with pytest.raises(ConfigError, match=r"public key '.*eu\.key'") as caught:
        load_public_key(str(tmp_path / "eu.key"))
    assert not shown(str(caught.value), text)


def test_a_private_key_in_the_place_of_a_public_one_is_called_so(tmp_path):
    ensure_key_pair(tmp_path / "eu.key")
    for given in ((tmp_path / "eu.key").read_text(), str(tmp_path / "eu.key")):
        with pytest.raises(
            ConfigError, match=r"found a private key; allowed: the public one \(the `\.pub` file"
        ):
            load_public_key(given)


def test_repr_shows_the_key_id_only():
    key = new_private_key()
    assert repr(key) == f"PrivateKey(key_id={key.public.key_id})"


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        ensure_key_pair(tmp_path / "file" / "k")


def test_a_signature_over_bytes_holds_for_those_bytes_and_that_key_alone() -> None:
    key, other = new_private_key(), new_private_key()
    value = key.sign_bytes(b"isthmus-ledger-v1\nentry")
    assert key.public.verifies_bytes(b"isthmus-ledger-v1\nentry", value)
    assert not key.public.verifies_bytes(b"isthmus-audit-v1\nentry", value)
    assert not other.public.verifies_bytes(b"isthmus-ledger-v1\nentry", value)
    assert not key.public.verifies_bytes(b"isthmus-ledger-v1\nentry", value[:-2] + "==x")
    assert not key.public.verifies_bytes(b"isthmus-ledger-v1\nentry", "not base64")
