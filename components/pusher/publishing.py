"""The last step of a region's Pusher: ask whoever must be asked, then publish."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from components.pusher.config import PusherConfig
from components.release.keys import load_private_key
from components.release.publish import (
    BeforePublish,
    Clearance,
    Draft,
    RevokedContentError,
    publish_draft,
)
from components.release.storage import open_store

#: The part of `push.json` about a release that there is not.
NOTHING: dict[str, Any] = {
    "pushed": False,
    "outcome": "refused",
    "uri": "",
    "release_id": "",
    "sequence": 0,
    "content_digest": "",
    "key_id": "",
    "rows": 0,
    "rows_per_split": {},
    "bytes": 0,
    "files": {},
}


@contextlib.contextmanager
def cleared_by_nobody(draft: Draft) -> Iterator[Clearance]:
    """A `BeforePublish` for locales without a budget or an approver: the gate's verdict is enough."""
    yield Clearance()


def publish_cleared(config: PusherConfig, draft: Draft, before_publish: BeforePublish) -> dict[str, Any]:
    """Publishes a draft if it is cleared.

    Args:
      config: Where to, with which key.
      draft: The release.
      before_publish: Asked first; see `components.release.publish.BeforePublish`.

    Returns:
      The content of `push.json` about the release.

    Raises:
      DataError: the exchange cannot be written.
      ConfigError: the signing key cannot be read.
    """
    store = open_store(config.exchange_uri, options=config.storage)
    key = load_private_key(config.signing_key)
    try:
        with before_publish(draft) as clearance:
            if clearance.refusal:
                # The digest says which release people are asked about.
                digest = draft.manifest.content_digest
                return {**NOTHING, "reason": clearance.refusal, "content_digest": digest}
            published = publish_draft(store, key, draft, clearance.approver)
    except RevokedContentError as error:
        # Outside the clearance, so that whoever gave it sees that nothing was published.
        return {
            **NOTHING,
            "outcome": "revoked",
            "reason": str(error),
            "release_id": draft.manifest.release_id,
        }
    manifest = published.manifest
    return {
        "pushed": True,
        "outcome": published.outcome,
        "reason": f"the verdict is {manifest.verdict}",
        "uri": published.uri,
        "release_id": manifest.release_id,
        "sequence": manifest.sequence,
        "content_digest": manifest.content_digest,
        "key_id": manifest.signature.key_id if manifest.signature else "",
        "rows": manifest.total_rows,
        "rows_per_split": dict(manifest.rows),
        "bytes": manifest.total_bytes,
        "files": {name: entry.sha256 for name, entry in sorted(manifest.files.items())},
        "privacy": manifest.privacy.model_dump(mode="json"),
    }
