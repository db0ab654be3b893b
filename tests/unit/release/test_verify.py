"""Attacks on a release: each is refused with one line that names what is wrong."""

from __future__ import annotations

import os
import shutil

import pytest

from components.errors import DataError, ReleaseError
from components.release.checks import ReleaseLimits
from components.release.exchange import ReleaseLocation
from components.release.keys import new_private_key
from components.release.manifest import FileEntry, build_manifest
from components.release.storage import open_store
from components.release.verify import checked_chunks, verify_copy, verify_release
from tests.support.releases import FILES, fields, publish_release

KEY, OTHER = new_private_key(), new_private_key()
TRUSTED = {"eu-west": [KEY.public], "us-east": [OTHER.public]}


class Release:
    def __init__(self, store, key=KEY, files=FILES, **change):
        self.store = store
        manifest = publish_release(store, key, files, **fields(**change)).manifest
        self.location = ReleaseLocation(
            manifest.locale, manifest.span, manifest.sequence, manifest.release_id
        )
        self.folder = self.location.folder
        self.path = store.path(self.folder)

    def verify(self, **kwargs):
        return verify_release(self.store, self.folder, TRUSTED, location=self.location, **kwargs)


@pytest.fixture
def local(tmp_path):
    return open_store(str(tmp_path / "exchange"))


def refused(release, match, **kwargs):
    with pytest.raises(ReleaseError, match=match) as caught:
        release.verify(**kwargs)
    assert "\n" not in str(caught.value)


def test_an_honest_release_says_what_was_checked(store):
    checks = Release(store).verify().checks
    assert len(checks) == 8
    assert all(check.endswith(".") for check in checks)
    assert f"signed (Ed25519) by key {KEY.public.key_id}" in checks[1]
    assert "SHA-256 of each of the 3 files" in checks[-2]


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("where", [0, -1])
def test_one_flipped_byte(store, name, where):
    release = Release(store)
    data = bytearray(FILES[name])
    data[where] ^= 1
    store.fs.pipe_file(f"{release.path}/{name}", bytes(data))
    refused(release, f"{name}: its SHA-256 is not the one in the manifest")


def test_every_byte_of_the_manifest_counts(store):
    release = Release(store)
    raw = store.fs.cat_file(f"{release.path}/manifest.json")
    for position in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[position] ^= 4
        store.fs.pipe_file(f"{release.path}/manifest.json", bytes(changed))
        refused(release, "manifest|signed|signature")


def test_shorter_longer_swapped_files(store):
    release = Release(store)
    store.fs.pipe_file(f"{release.path}/Split-train/b.gz", b"tw")
    refused(release, "2 bytes, the manifest says 3")
    store.fs.pipe_file(f"{release.path}/Split-train/b.gz", FILES["Split-train/a.gz"])
    refused(release, "3000 bytes, the manifest says 3")


def test_lost_and_extra_files_and_no_manifest(store):
    release = Release(store)
    store.fs.pipe_file(f"{release.path}/Split-train/raw.gz", b"real rows")
    refused(release, "not in its manifest: Split-train/raw.gz")
    store.fs.rm(f"{release.path}/Split-train/raw.gz")
    store.fs.rm(f"{release.path}/Split-train/a.gz")
    refused(release, "lacks files that its manifest lists: Split-train/a.gz")
    store.fs.rm(f"{release.path}/manifest.json")
    refused(release, "no manifest.json, so this is no release")


def test_signature_of_another_locale(store):
    release = Release(store, OTHER)
    refused(
        release, f"signed with the key of locale us-east.*trusted for locale eu-west: {KEY.public.key_id}"
    )


def test_signature_of_an_unknown_key_and_of_a_locale_without_a_key(store):
    refused(Release(store, new_private_key()), "signed with an unknown key")
    refused(Release(store, locale="ap-south"), "trusted for locale ap-south: none")


def test_no_signature_and_a_signature_of_something_else(store):
    release = Release(store)
    entries = {name: FileEntry(sha256="a" * 64, size_bytes=1) for name in FILES}
    draft = build_manifest(files=entries, **fields())
    store.fs.pipe_file(f"{release.path}/manifest.json", draft.to_bytes())
    refused(release, "not signed")
    stolen = release_signature(store, release)
    store.fs.pipe_file(f"{release.path}/manifest.json", stolen)
    refused(release, "does not fit the manifest")


def release_signature(store, release):
    entries = {name: FileEntry(sha256="a" * 64, size_bytes=1) for name in FILES}
    other = build_manifest(files=entries, **fields(span=2))
    draft = build_manifest(files=entries, **fields())
    return draft.model_copy(update={"signature": KEY.sign(other).signature}).to_bytes()


@pytest.mark.parametrize(
    "moved",
    [
        ReleaseLocation("eu-west", 2, 1, ""),
        ReleaseLocation("EU-west", 1, 1, ""),
        ReleaseLocation("eu-west", 1, 2, ""),
        ReleaseLocation("eu-west", 1, 1, "0" * 12),
    ],
)
def test_replayed_under_another_span_case_or_id(tmp_path, store, moved):
    release = Release(store)
    to = ReleaseLocation(
        moved.locale, moved.span, moved.sequence, moved.release_id or release.location.release_id
    )
    for name in [*FILES, "manifest.json"]:
        store.fs.makedirs(os.path.dirname(store.path(to.folder, name)), exist_ok=True)
        store.fs.pipe_file(store.path(to.folder, name), store.fs.cat_file(f"{release.path}/{name}"))
    with pytest.raises(ReleaseError, match="moved, copied or replayed"):
        verify_release(store, to.folder, TRUSTED, location=to)


@pytest.mark.parametrize(
    "name",
    [
        "../../../evil.gz",
        "/etc/passwd",
        "Split-train/../x.gz",
        "Split-train\\x.gz",
        "plots.json",
        "model.h5",
        "x" * 500,
    ],
)
def test_paths_that_climb_or_are_of_no_allowed_kind(store, name):
    release = Release(store)
    entries = {
        name: FileEntry(sha256="a" * 64, size_bytes=1),
        "Split-train/a.gz": FileEntry(sha256="a" * 64, size_bytes=1),
    }
    forged = KEY.sign(build_manifest(files=entries, **fields()))
    folder = f"eu-west/span-1/1-{forged.release_id}"
    store.fs.makedirs(store.path(folder), exist_ok=True)
    store.fs.pipe_file(store.path(folder, "manifest.json"), forged.to_bytes())
    release.folder, release.location = folder, ReleaseLocation("eu-west", 1, 1, forged.release_id)
    refused(release, "files that no release may hold")


def forged(store, release, entries, **change):
    manifest = KEY.sign(build_manifest(files=entries, **fields(**change)))
    release.folder = f"eu-west/span-1/1-{manifest.release_id}"
    release.location = ReleaseLocation("eu-west", 1, 1, manifest.release_id)
    store.fs.makedirs(store.path(release.folder), exist_ok=True)
    store.fs.pipe_file(store.path(release.folder, "manifest.json"), manifest.to_bytes())
    return release


def test_limits_case_and_splits(store):
    release, entry = Release(store), FileEntry(sha256="a" * 64, size_bytes=10)
    refused(forged(store, release, {"Split-train/a.gz": entry, "Split-train/A.gz": entry}), "only in case")
    refused(
        forged(store, release, {"Split-train/a.gz": entry, "Split-train/b.gz": entry}),
        "lists 2 files, allowed 1",
        limits=ReleaseLimits(max_files=1),
    )
    refused(
        forged(store, release, {"Split-train/a.gz": entry}),
        "10 bytes, allowed 9",
        limits=ReleaseLimits(max_total_bytes=9),
    )
    refused(forged(store, release, {"Split-eval/a.gz": entry}), "splits of its files")
    refused(release, "manifest is larger than 100", limits=ReleaseLimits(max_manifest_bytes=100))
    refused(release, "deep, allowed 1", limits=ReleaseLimits(max_manifest_depth=1))


def test_claims_that_a_release_must_not_make(store):
    refused(Release(store, verdict="schema-validated"), "synthetic rows with verdict schema-validated")
    refused(Release(store, kind="open"), "open rows with verdict BLESSED")
    refused(Release(store, gates={"dcr": "failed"}), "in spite of failed gates: dcr")


def test_symlinks(local, tmp_path):
    release = Release(local)
    target = f"{release.path}/Split-train/b.gz"
    shutil.move(target, tmp_path / "elsewhere.gz")
    os.symlink(tmp_path / "elsewhere.gz", target)
    refused(release, "symlink, empty folder or special file: Split-train/b.gz")
    os.unlink(target)
    shutil.move(tmp_path / "elsewhere.gz", target)
    release.verify()
    os.symlink(tmp_path, f"{release.path}/extra")
    refused(release, "special file: extra")
    os.unlink(f"{release.path}/extra")
    os.rename(local.path("eu-west"), tmp_path / "moved")
    os.symlink(tmp_path / "moved", local.path("eu-west"))
    refused(release, "eu-west is a symlink")


def test_a_manifest_that_is_a_symlink(local, tmp_path):
    release = Release(local)
    shutil.move(f"{release.path}/manifest.json", tmp_path / "m")
    os.symlink(tmp_path / "m", f"{release.path}/manifest.json")
    refused(release, "manifest.json is no plain file")


def test_special_file_and_empty_folder(local):
    release = Release(local)
    os.mkfifo(f"{release.path}/pipe")
    os.mkdir(f"{release.path}/empty")
    refused(release, "special file: empty, pipe")


def test_names_in_messages_are_printable(local):
    release = Release(local)
    with open(f"{release.path}/a\nb\x1b[31m", "w"):
        pass
    refused(release, r"manifest: a\\nb\\x1b\[31m")


def test_a_copy_anywhere_verifies_with_the_public_key_alone(store, tmp_path):
    release = Release(store)
    for name in [*FILES, "manifest.json"]:
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.fs.cat_file(f"{release.path}/{name}"))
    found = verify_copy(str(tmp_path / "copy"), [KEY.public])
    assert found.manifest.locale == "eu-west"
    with pytest.raises(ReleaseError, match="unknown key"):
        verify_copy(str(tmp_path / "copy"), [OTHER.public])


def test_without_contents_a_flipped_byte_is_left_to_the_copy(store):
    release = Release(store)
    store.fs.pipe_file(f"{release.path}/Split-train/b.gz", b"twx")
    found = release.verify(contents=False)
    with pytest.raises(ReleaseError, match="SHA-256"):
        list(
            checked_chunks(
                store, release.folder, "Split-train/b.gz", found.manifest.files["Split-train/b.gz"]
            )
        )


def test_a_file_that_grows_or_vanishes_while_it_is_read(store):
    release = Release(store)
    entry = release.verify().manifest.files["Split-train/b.gz"]
    store.fs.pipe_file(f"{release.path}/Split-train/b.gz", b"x" * 5_000_000)
    with pytest.raises(ReleaseError, match="SHA-256"):
        list(checked_chunks(store, release.folder, "Split-train/b.gz", entry))
    store.fs.rm(f"{release.path}/Split-train/b.gz")
    with pytest.raises(ReleaseError, match="vanished"):
        list(checked_chunks(store, release.folder, "Split-train/b.gz", entry))


def test_a_store_that_cannot_be_read_is_no_refusal(store, monkeypatch):
    release = Release(store)

    def broken(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(store.fs), "open", broken)
    with pytest.raises(DataError, match="input/output error") as caught:
        release.verify()
    assert not isinstance(caught.value, ReleaseError)
