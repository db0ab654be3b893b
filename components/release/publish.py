"""Publishes a release: signs it, gives it the next sequence number, and brings it into the exchange once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from components.errors import ReleaseError
from components.release.atomic import publish_directory
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    ReleaseLocation,
    latest_release,
    read_manifest_bytes,
)
from components.release.keys import PrivateKey
from components.release.manifest import (
    MANIFEST_NAME,
    Approver,
    FileEntry,
    Manifest,
    build_manifest,
    parse_manifest,
    utc_now,
)
from components.release.revocation import find_revocations
from components.release.storage import Source, Store, file_entry, list_files, storage_errors


class RevokedContentError(ReleaseError):
    """The same content was published before and revoked."""


@dataclass(frozen=True)
class Draft:
    """A release before it is signed: its content is settled, its sequence number is not.

    Attributes:
      manifest: Unsigned; `sequence` 1 and `created_at` are placeholders, everything else stands.
      files: Path inside the release to what goes there.
    """

    manifest: Manifest
    files: Mapping[str, Source]


@dataclass(frozen=True)
class Clearance:
    """Whether a draft may be published.

    Attributes:
      refusal: Why not, in one line; empty where it may.
      approver: Who approved it, for the manifest.
    """

    refusal: str = ""
    approver: Approver | None = None


#: Asked right before a draft is published. Enter: look at budget and approvals, answer with a
#: `Clearance`. Leave without an exception after a clearance that was no refusal: the release is in the
#: exchange (published now, or by an earlier attempt with the same content digest): commit, once per
#: content digest. Leave with an exception: nothing was published by this attempt, as far as is known.
BeforePublish = Callable[[Draft], AbstractContextManager[Clearance]]


@dataclass(frozen=True)
class PublishedRelease:
    """What publishing came to.

    Attributes:
      manifest: The signed manifest that is in the exchange now.
      uri: Its folder.
      outcome: `published` or `already published`.
    """

    manifest: Manifest
    uri: str
    outcome: str


def draft_release(files: Mapping[str, Source], **fields: Any) -> Draft:
    """Digests the files and fills in what follows from the content.

    Args:
      files: Path inside the release to what goes there.
      **fields: The manifest's other fields (`locale`, `span`, `kind`, `rows`, `columns`, ...).

    Raises:
      ReleaseError: the centre would refuse a manifest like this one.
    """
    entries: dict[str, FileEntry] = {name: file_entry(source) for name, source in files.items()}
    manifest = build_manifest(files=entries, **fields)
    parse_manifest(manifest.to_bytes(), "this release", MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    return Draft(manifest, files)


def publish_draft(
    store: Store,
    key: PrivateKey,
    draft: Draft,
    approver: Approver | None = None,
    created_at: str | None = None,
) -> PublishedRelease:
    """Signs and publishes a draft; where the newest release of its span is the same, changes nothing.

    Args:
      store: The exchange.
      key: The locale's signing key.
      draft: The release.
      approver: Who approved it.
      created_at: UTC time of the manifest; now when None.

    Raises:
      DataError: not writable, full or unreachable; nothing half-visible is left.
      RevokedContentError: this content was revoked.
      ReleaseError: something altered the release that is there.
    """
    content = draft.manifest
    _refuse_revoked(store, key, content)
    newest = latest_release(store, content.locale, content.span)
    if newest is not None and newest.release_id == content.release_id:
        present = _present_manifest(store, newest, content)
        if key.public.verifies(present):
            return PublishedRelease(present, store.address(newest.folder), "already published")
    sequence = newest.sequence + 1 if newest else 1
    manifest = key.sign(
        content.model_copy(
            update={"sequence": sequence, "approver": approver, "created_at": created_at or utc_now()}
        )
    )
    location = ReleaseLocation(content.locale, content.span, sequence, content.release_id)
    uri = store.address(location.folder)
    if publish_directory(store, location.folder, draft.files, content.files, manifest.to_bytes()):
        return PublishedRelease(manifest, uri, "published")
    # Another publisher of the same content was first, or an earlier attempt of ours whose answer was lost.
    present = _present_manifest(store, location, content)
    if not key.public.verifies(present):
        raise ReleaseError(f"{uri}: another key published the same content at the same time; run again.")
    return PublishedRelease(present, uri, "already published")


def _refuse_revoked(store: Store, key: PrivateKey, content: Manifest) -> None:
    location = ReleaseLocation(content.locale, content.span, content.sequence, content.release_id)
    for revocation in find_revocations(store, location, [key.public]).valid:
        if revocation.content_digest == content.content_digest:
            raise RevokedContentError(
                f"locale={content.locale} span={content.span}: this content (release "
                f"{content.release_id}) was revoked at {revocation.revoked_at}: {revocation.reason}. "
                "Change what it is made from; the same rows are not published again."
            )


def _present_manifest(store: Store, location: ReleaseLocation, ours: Manifest) -> Manifest:
    """The manifest that is there, after a check that the folder holds what ours would."""
    uri = store.address(location.folder)
    raw = read_manifest_bytes(store, location.folder)
    remedy = "Something altered it. Move that folder away and run again."
    try:
        present = parse_manifest(raw or b"", uri, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    except ReleaseError as error:
        raise ReleaseError(f"{error} {remedy}") from None
    with storage_errors("cannot read", uri):
        sizes = list_files(store, location.folder)
    sizes.pop(MANIFEST_NAME, None)
    wanted = {name: entry.size_bytes for name, entry in ours.files.items()}
    if present.content_digest != ours.content_digest or sizes != wanted:
        raise ReleaseError(f"{uri}: a release of this id is there, but with other files. {remedy}")
    return present
