"""What the centre has seen in the exchange, so that whoever can write there cannot turn it back.

Signatures prove who made a release, not that it is the newest: an exchange that was set back to an
earlier state verifies. The centre therefore keeps, in its own root, the newest sequence number per
locale and span that it merged, and every content that was revoked.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.errors import DataError
from components.release.atomic import replace_file
from components.release.exchange import ReleaseLocation
from components.release.storage import Store, read_bounded

MEMORY_FILE = "exchange-memory.json"
_MAX_BYTES = 32 << 20


class SeenRelease(ComponentConfig):
    """The newest release of a span that was merged; `created_at` is what its manifest said."""

    sequence: int
    release_id: str
    created_at: str


class SeenRevocation(ComponentConfig):
    """A revocation that verified."""

    release_id: str
    key_id: str
    revoked_at: str
    reason: str


class ExchangeMemory(ComponentConfig):
    """What was seen.

    Attributes:
      newest: Locale to span (as text) to the newest release that was merged.
      revoked: Locale to content digest to the revocation.
    """

    format: Literal["isthmus-exchange-memory"] = "isthmus-exchange-memory"
    format_version: Literal[1] = 1
    newest: dict[str, dict[str, SeenRelease]] = pydantic.Field(default_factory=dict)
    revoked: dict[str, dict[str, SeenRevocation]] = pydantic.Field(default_factory=dict)

    def why_stale(self, found: ReleaseLocation | None, locale: str, span: int | None) -> str:
        """Why what is newest in the exchange cannot be the newest; empty if nothing speaks against it.

        Args:
          found: The newest release in the exchange; None where there is none, which is no rollback to
            anything and is reported as missing.
          locale: The locale.
          span: The one span that is asked for; None is the highest.
        """
        if found is None:
            return ""
        seen = self.newest.get(locale, {})
        spans = [found.span] if span is not None else [max(map(int, seen), default=found.span), found.span]
        number = max(spans)
        known = seen.get(str(number))
        if known is None or (number, known.sequence) <= (found.span, found.sequence):
            return ""
        return (
            f"{found.folder}: this centre has merged span {number} sequence {known.sequence} "
            f"({known.release_id}) of locale {locale} before; the exchange was set back, or cleaned"
        )

    def with_release(self, location: ReleaseLocation, created_at: str) -> ExchangeMemory:
        """The memory after a merge took this release."""
        spans = dict(self.newest.get(location.locale, {}))
        known = spans.get(str(location.span))
        if known is not None and known.sequence > location.sequence:
            return self
        spans[str(location.span)] = SeenRelease(
            sequence=location.sequence, release_id=location.release_id, created_at=created_at
        )
        return self.model_copy(update={"newest": {**self.newest, location.locale: spans}})

    def with_revocation(self, locale: str, content_digest: str, seen: SeenRevocation) -> ExchangeMemory:
        """The memory after a revocation was seen; the first one stays."""
        known = self.revoked.get(locale, {})
        if content_digest in known:
            return self
        return self.model_copy(update={"revoked": {**self.revoked, locale: {**known, content_digest: seen}}})


def load_memory(store: Store | None) -> ExchangeMemory:
    """What the centre remembers; nothing where it has no memory yet, or keeps none.

    Raises:
      DataError: the file is there but is no memory: starting anew would forget what was revoked.
    """
    raw = read_bounded(store, MEMORY_FILE, _MAX_BYTES) if store is not None else None
    if store is None or raw is None:
        return ExchangeMemory()
    try:
        return ExchangeMemory.model_validate_json(raw)
    except pydantic.ValidationError:
        raise DataError(
            f"{store.address(MEMORY_FILE)}: does not parse, so what the exchange held before is not known. "
            "Restore it from a backup, or remove it to start anew."
        ) from None


def save_memory(store: Store | None, memory: ExchangeMemory) -> None:
    """Writes the memory in one step, if the centre keeps one and something changed.

    Raises:
      DataError: it cannot be written.
    """
    if store is not None and memory != load_memory(store):
        replace_file(store, MEMORY_FILE, (memory.to_exec_property() + "\n").encode())
