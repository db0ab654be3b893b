"""Revokes a release in its exchange: the act behind `isthmus revoke`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from components.errors import ConfigError, ReleaseError
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    ReleaseLocation,
    read_manifest_bytes,
)
from components.release.keys import PrivateKey
from components.release.manifest import MANIFEST_NAME, parse_manifest
from components.release.revocation import Revocation, new_revocation, write_revocation
from components.release.storage import Store

#: As in `schemas/revocation-1.schema.json`.
MAX_REASON = 500


@dataclass(frozen=True)
class Revoked:
    """What revoking came to.

    Attributes:
      note: The signed note that is beside the release now.
      uri: Its address.
      signer: Key id that the release itself is signed with.
      outcome: `revoked` or `already revoked`.
    """

    note: Revocation
    uri: str
    signer: str
    outcome: str


def revoke_release(release: Store, key: PrivateKey, reason: str) -> Revoked:
    """Lays a signed revocation beside a release; the release stays as it is.

    Args:
      release: The release's own folder, inside an exchange.
      key: A key of the locale.
      reason: Why, in words that may leave the locale: 1 to 500 characters on one line.

    Raises:
      ConfigError: the reason has no such form.
      ReleaseError: there is no release that can be named, or this is a copy outside an exchange.
      DataError: the exchange cannot be read or written.
    """
    text = reason.strip()
    if not 1 <= len(text) <= MAX_REASON or not text.isprintable():
        raise ConfigError(
            f"--reason: found {len(text)} characters; allowed: 1 to {MAX_REASON} printable ones, on one line"
        )
    raw = read_manifest_bytes(release, "")
    if raw is None:
        raise ReleaseError(f"{release.uri}: no {MANIFEST_NAME}, so there is no release here to revoke.")
    manifest = parse_manifest(raw, release.uri, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    location = ReleaseLocation(manifest.locale, manifest.span, manifest.sequence, manifest.release_id)
    if not release.root.endswith("/" + location.folder):
        raise ReleaseError(
            f"{release.uri}: a copy, or a release that was moved; revoke it where it was published, at "
            f"<exchange>/{location.folder}."
        )
    note = new_revocation(
        manifest.locale,
        manifest.span,
        manifest.sequence,
        manifest.release_id,
        manifest.content_digest,
        hashlib.sha256(raw).hexdigest(),
        text,
    )
    above = [address.rpartition("/")[0] for address in (release.root, release.uri)]
    parent = Store(release.fs, *above)
    present, written = write_revocation(parent, "", note, key)
    name = f"{present.sequence}-{present.release_id}.revoked-{key.public.key_id}.json"
    return Revoked(
        note=present,
        uri=parent.address(name),
        signer=manifest.signature.key_id if manifest.signature else "",
        outcome="revoked" if written else "already revoked",
    )
