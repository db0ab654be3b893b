"""Which releases a merge will take, found before the graph runs so that its cache sees new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.errors import ConfigError
from components.merge_gen.config import MergeLocale
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    ReleaseLocation,
    latest_release,
    read_manifest_bytes,
)
from components.release.keys import load_public_key
from components.release.storage import open_store


class ResolvedRelease(ComponentConfig):
    """One release, named exactly, unverified.

    Attributes:
      locale, span, release_id: What its path claims.
      uri: Where it is.
      manifest_sha256: Digest of its manifest's bytes.
    """

    locale: str
    span: int
    release_id: str
    uri: str
    manifest_sha256: str

    @property
    def location(self) -> ReleaseLocation:
        """Its place in the exchange."""
        return ReleaseLocation(self.locale, self.span, self.release_id)


class Resolution(ComponentConfig):
    """What `resolve_releases` found.

    Attributes:
      releases: One release per locale that has one, in the order of the configuration.
      missing: Locales without a release.
      key_ids: Key id of each locale's trusted key; empty where the key cannot be read.
    """

    releases: tuple[ResolvedRelease, ...] = ()
    missing: tuple[str, ...] = ()
    key_ids: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything above except the addresses."""
        content = self.model_dump(mode="json")
        for release in content["releases"]:
            del release["uri"]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def resolve_releases(
    exchange_uri: str,
    locales: Sequence[MergeLocale],
    spans: Literal["latest"] | Mapping[str, int] = "latest",
) -> Resolution:
    """The newest release of each locale (of its given span), by reading the exchange; verifies nothing.

    Only the newest is taken: falling back to an older one when the newest does not verify would let
    whoever can write to the exchange choose which release is merged.

    Raises:
      DataError: the exchange cannot be read.
      ConfigError: its protocol is unknown.
    """
    store = open_store(exchange_uri)
    releases, missing, key_ids = [], [], {}
    for locale in locales:
        key_ids[locale.name] = _key_id(locale)
        span = None if spans == "latest" else spans.get(locale.name)  # type: ignore[union-attr]
        location = latest_release(store, locale.name, span)
        raw = read_manifest_bytes(store, location.folder, MAX_MANIFEST_BYTES) if location else None
        if location is None or raw is None:
            missing.append(locale.name)
            continue
        releases.append(
            ResolvedRelease(
                locale=locale.name,
                span=location.span,
                release_id=location.release_id,
                uri=store.address(location.folder),
                manifest_sha256=hashlib.sha256(raw).hexdigest(),
            )
        )
    return Resolution(releases=tuple(releases), missing=tuple(missing), key_ids=key_ids)


def _key_id(locale: MergeLocale) -> str:
    try:
        return load_public_key(locale.trusted_key).key_id
    except ConfigError:
        return ""
