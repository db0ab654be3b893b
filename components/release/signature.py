"""A document that carries one Ed25519 signature over everything else in it."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic

from components.config_base import ComponentConfig, canonical_json


class Signature(ComponentConfig):
    """An Ed25519 signature; `value` is base64, `key_id` names the public key."""

    key_id: str = pydantic.Field(pattern=r"^[0-9a-f]{16}$")
    algorithm: Literal["ed25519"] = "ed25519"
    value: str = pydantic.Field(max_length=128)


class Signed(ComponentConfig):
    """The base of signed documents.

    A document has one byte form: canonical JSON and a newline. The signature is over a context line,
    which no two kinds of document share, so that no signature made for one purpose can be presented
    for another, and the canonical form without the signature itself.
    """

    signing_context: ClassVar[bytes]

    signature: Signature | None = None

    def signed_bytes(self) -> bytes:
        """What the signature is over: everything but the signature itself."""
        content = canonical_json(self.model_dump(mode="json", exclude={"signature"}))
        return self.signing_context + content.encode()

    def to_bytes(self) -> bytes:
        """The one byte form of this document."""
        return (self.to_exec_property() + "\n").encode()
