"""Revocations: a locale takes back a release. Nothing is deleted; a signed note is laid beside it.

`<release folder>.revoked-<key id>.json`, canonical JSON, signed by a key of the locale. It names the
content, so that the same rows published again under another sequence number are revoked too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import pydantic

from components.errors import ReleaseError
from components.release.atomic import create_file, replace_file
from components.release.canonical import check_schema, is_canonical, parse_json, printable
from components.release.exchange import ReleaseLocation
from components.release.keys import PrivateKey, PublicKey
from components.release.manifest import LOCALE_PATTERN, MAX_NUMBER, TIME_PATTERN, Sha256, utc_now
from components.release.signature import Signed
from components.release.storage import Store, child_names, read_bounded

SCHEMA = "revocation-1"
REVOCATION_FILE = re.compile(r"([1-9][0-9]{0,11}-)?([0-9a-f]{12})\.revoked-([0-9a-f]{16})\.json")
MAX_REVOCATION_BYTES = 16 << 10
MAX_REVOCATION_DEPTH = 4
#: More notes than this beside one release by keys that are trusted is an attack: each can be read once.
MAX_REVOCATIONS = 64


class Revocation(Signed):
    """What is revoked, and why. See `schemas/revocation-1.schema.json`.

    Attributes:
      locale, span, sequence, release_id: The revoked release.
      content_digest: Its content, whatever its sequence number.
      manifest_sha256: Digest of its manifest's bytes.
      reason: In words; it leaves the locale, so it must not hold anything of the data.
      revoked_at: UTC, by the clock of who revoked; it informs only.
    """

    signing_context: ClassVar[bytes] = b"isthmus-revocation-v1\n"

    format: Literal["isthmus-revocation"] = "isthmus-revocation"
    format_version: Literal[1] = 1
    locale: str = pydantic.Field(pattern=LOCALE_PATTERN)
    span: int = pydantic.Field(ge=0, le=MAX_NUMBER)
    sequence: int = pydantic.Field(ge=1, le=MAX_NUMBER)
    release_id: str = pydantic.Field(pattern=r"^[0-9a-f]{12}$")
    content_digest: Sha256
    manifest_sha256: Sha256
    reason: str = pydantic.Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")
    revoked_at: str = pydantic.Field(pattern=TIME_PATTERN)

    @property
    def key_id(self) -> str:
        """Key id of the signature; empty before it is signed."""
        return self.signature.key_id if self.signature else ""


@dataclass(frozen=True)
class Revocations:
    """The notes beside a release.

    Attributes:
      valid: Signed by one of the keys and about this release's id.
      ignored: One line for each that is not, and why.
    """

    valid: tuple[Revocation, ...]
    ignored: tuple[str, ...]


def parse_revocation(raw: bytes, place: str) -> Revocation:
    """Parses an untrusted revocation; who signed it is not looked at.

    Raises:
      ReleaseError: too large, too deep, not JSON, not of this form or version, not canonical.
    """
    fields = parse_json(raw, place, "revocation", MAX_REVOCATION_BYTES, MAX_REVOCATION_DEPTH)
    check_schema(fields, SCHEMA, place, "revocation")
    try:
        revocation = Revocation.model_validate_json(raw)
    except pydantic.ValidationError as error:
        where = ".".join(printable(str(part)) for part in error.errors()[0]["loc"])
        raise ReleaseError(f"{place}: not a revocation ({where}).") from None
    if not is_canonical(fields, raw) or revocation.to_bytes() != raw:
        raise ReleaseError(f"{place}: revocation is not in canonical form; it was edited.")
    return revocation


def revocation_names(names: Iterable[str], release_id: str) -> list[str]:
    """Which of the names in a span's folder are of revocations of this content, sorted."""
    matches = ((name, REVOCATION_FILE.fullmatch(name)) for name in names)
    return sorted(name for name, match in matches if match and match.group(2) == release_id)


def find_revocations(store: Store, location: ReleaseLocation, keys: Collection[PublicKey]) -> Revocations:
    """The revocations of a release, or of the same content under another sequence number.

    A key whose time is over still revokes: a revocation can only take away.

    Args:
      store: The exchange.
      location: The release.
      keys: The locale's public keys.

    Raises:
      ReleaseError: more notes by trusted key ids than can be honest.
      DataError: the exchange cannot be read.
    """
    parent = f"{location.locale}/span-{location.span}"
    return read_revocations(
        store,
        parent,
        revocation_names(child_names(store, parent), location.release_id),
        keys,
        f"locale {location.locale}",
        (location.locale, location.span, location.release_id),
    )


def read_revocations(
    store: Store,
    parent: str,
    names: list[str],
    keys: Collection[PublicKey],
    whose: str,
    about: tuple[str, int, str],
) -> Revocations:
    """Reads the named notes in a folder; `about` is the locale, span and release id that they must name."""
    known = {key.key_id: key for key in keys}
    valid: list[Revocation] = []
    ignored: list[str] = []
    read = 0
    for name in names:
        place = store.address(parent, name)
        match = REVOCATION_FILE.fullmatch(name)
        key = known.get(match.group(3)) if match else None
        if key is None:
            # Not even read: only what a trusted key signed counts, and there may be any number of these.
            if len(ignored) < MAX_REVOCATIONS:
                ignored.append(f"{place}: revocation by a key that is not trusted for {whose}; ignored.")
            continue
        read += 1
        if read > MAX_REVOCATIONS:
            raise ReleaseError(f"{place}: more than {MAX_REVOCATIONS} revocations of one release; refused.")
        raw = read_bounded(store, f"{parent}/{name}" if parent else name, MAX_REVOCATION_BYTES)
        try:
            note = parse_revocation(raw or b"", place)
        except ReleaseError as error:
            ignored.append(f"{error} Ignored.")
            continue
        if not key.verifies(note):
            ignored.append(f"{place}: the signature by key {key.key_id} does not fit; forged, and ignored.")
        elif (note.locale, note.span, note.release_id) != about:
            ignored.append(f"{place}: a revocation of another release; moved or copied here, and ignored.")
        else:
            valid.append(note)
    return Revocations(tuple(valid), tuple(ignored))


def write_revocation(store: Store, parent: str, note: Revocation, key: PrivateKey) -> tuple[Revocation, bool]:
    """Signs a revocation and lays it beside its release; a note that is there and verifies stays.

    Args:
      store: The exchange, or any store.
      parent: Folder that the release's folder is in, below the store's root.
      note: The unsigned revocation.
      key: A key of the locale.

    Returns:
      The note that is there now, and whether this call wrote it.

    Raises:
      DataError: the store cannot be written.
    """
    signed = key.sign(note)
    name = f"{note.sequence}-{note.release_id}.revoked-{key.public.key_id}.json"
    path = f"{parent}/{name}" if parent else name
    if create_file(store, path, signed.to_bytes()):
        return signed, True
    about = (note.locale, note.span, note.release_id)
    present = read_revocations(store, parent, [name], [key.public], f"locale {note.locale}", about)
    if present.valid and present.valid[0].content_digest == note.content_digest:
        return present.valid[0], False
    replace_file(store, path, signed.to_bytes())  # what was there is no revocation: someone held the place
    return signed, True


def new_revocation(
    locale: str, span: int, sequence: int, release_id: str, content_digest: str, manifest: str, reason: str
) -> Revocation:
    """An unsigned revocation with the time filled in; `manifest` is the SHA-256 of the manifest's bytes."""
    return Revocation(
        locale=locale,
        span=span,
        sequence=sequence,
        release_id=release_id,
        content_digest=content_digest,
        manifest_sha256=manifest,
        reason=reason,
        revoked_at=utc_now(),
    )
