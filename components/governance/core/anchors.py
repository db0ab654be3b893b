"""What lies outside a locale's logs and shows that they were put back: its own published releases.

A release that states a privacy loss was committed in the ledger before it was published; one that
names an approver has the decision in the audit log. Whoever puts an older state of a log back cannot
take what was published since out of the exchange unseen by whoever reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.errors import ReleaseError
from components.governance.core.entries import ChainError, Entry
from components.governance.core.ledger_state import LedgerState
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    list_releases,
    read_manifest_bytes,
)
from components.release.keys import PublicKey
from components.release.manifest import Manifest, parse_manifest
from components.release.storage import Store


def own_releases(store: Store, locale: str, keys: Sequence[PublicKey]) -> Iterator[Manifest]:
    """The locale's published releases that its own keys signed, oldest first; others are not its own.

    Raises:
      DataError: the exchange cannot be read.
    """
    for location in list_releases(store, locale):
        raw = read_manifest_bytes(store, location.folder) or b""
        try:
            manifest = parse_manifest(raw, location.folder, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
        except ReleaseError:
            continue  # the merge refuses it; it shows nothing about a log
        if manifest.locale == locale and any(key.verifies(manifest) for key in keys):
            yield manifest


def check_ledger(releases: Sequence[Manifest], state: LedgerState, place: str) -> None:
    """Checks that the ledger counts every release that states a privacy loss.

    Raises:
      ChainError: it does not.
    """
    counted = {digest for found in state.reservations.values() for digest in found.content_digests}
    for manifest in releases:
        if manifest.privacy.epsilon is not None and manifest.content_digest not in counted:
            raise ChainError(
                f"{place}: release {manifest.release_id} of span {manifest.span} is published with a privacy "
                "loss that the ledger does not count; the ledger was put back or removed. Restore a copy."
            )


def check_audit(releases: Sequence[Manifest], entries: Sequence[Entry], place: str) -> None:
    """Checks that the audit log has the decision that each release names.

    Raises:
      ChainError: it does not.
    """
    known = {entry.line_digest for entry in entries}
    for manifest in releases:
        if manifest.approver is not None and manifest.approver.decision_digest not in known:
            raise ChainError(
                f"{place}: release {manifest.release_id} of span {manifest.span} names a decision that the "
                "log does not have; the log was put back or removed. Restore it from a copy."
            )
