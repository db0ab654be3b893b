"""The entries of a log, its head, and what is kept of it elsewhere; see `chain`."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.errors import DataError
from components.release.manifest import Sha256
from components.release.signature import Signature

#: The digest before the first entry.
GENESIS = "0" * 64
_HEAD_CONTEXT = b"isthmus-chain-head-v1\n"

Purpose = Literal["isthmus-ledger", "isthmus-audit"]


class ChainError(DataError):
    """A log does not verify: it was altered, cut off, or signed by a key that may not write it."""


class Entry(ComponentConfig):
    """One signed line of a log.

    Attributes:
      format, name: Which log this is, so that no entry of one can be put into another.
      sequence: 1 for the first entry.
      previous: SHA-256 (hex) of the line before, without its line end; `GENESIS` for the first.
      at: UTC by the writer's clock; for people, not for order.
      kind, body: What is recorded.
      signature: Over everything else.
    """

    format: Purpose
    version: Literal[1] = 1
    name: str
    sequence: int = pydantic.Field(ge=1)
    previous: Sha256
    at: str
    kind: str
    body: dict[str, Any]
    signature: Signature | None = None

    def signed_bytes(self) -> bytes:
        """What the signature is over; begins with the log's format."""
        unsigned = self.model_dump(mode="json", exclude={"signature"})
        return f"{self.format}-v1\n{canonical_json(unsigned)}".encode()

    @property
    def line_digest(self) -> str:
        """SHA-256 (hex) of the line."""
        return hashlib.sha256(self.to_exec_property().encode()).hexdigest()


class Head(ComponentConfig):
    """How many entries a log has, and the digest of the last; signed by the writer of that one."""

    format: Purpose
    name: str
    entries: int = pydantic.Field(ge=1)
    last_digest: Sha256
    signature: Signature | None = None

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return _HEAD_CONTEXT + canonical_json(self.model_dump(mode="json", exclude={"signature"})).encode()


class Anchor(ComponentConfig):
    """A log's length and the digest of its last entry, at some moment."""

    entries: int = pydantic.Field(ge=1)
    last_digest: Sha256
