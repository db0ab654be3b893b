"""Which releases a merge will take, found before the graph runs so that its cache sees new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timezone

import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.errors import ReleaseError
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.release.canonical import printable
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    RELEASE_FOLDER,
    SPAN_FOLDER,
    ReleaseLocation,
    latest_release,
    read_manifest_bytes,
)
from components.release.manifest import Manifest, parse_manifest
from components.release.memory import ExchangeMemory, load_memory
from components.release.revocation import MAX_REVOCATION_BYTES, MAX_REVOCATIONS, revocation_names
from components.release.storage import Store, child_names, open_store, read_bounded
from components.release.trust import load_keys


class ResolvedRelease(ComponentConfig):
    """One release, named exactly, unverified.

    Attributes:
      locale, span, sequence, release_id: What its path claims.
      uri: Where it is.
      manifest_sha256: Digest of its manifest's bytes.
      revocations_sha256: Digest of the revocations beside it, whoever signed them; empty without any.
    """

    locale: str
    span: int
    sequence: int
    release_id: str
    uri: str
    manifest_sha256: str
    revocations_sha256: str = ""

    @property
    def location(self) -> ReleaseLocation:
        """Its place in the exchange."""
        return ReleaseLocation(self.locale, self.span, self.sequence, self.release_id)


class Refusal(ComponentConfig):
    """A locale whose release is refused before it is read: `reason` is one line."""

    locale: str
    uri: str
    reason: str


class Resolution(ComponentConfig):
    """What `resolve_releases` found.

    Attributes:
      releases: One release per locale that has one, in the order of the configuration.
      refused: Locales whose newest release cannot be the right one, and why.
      missing: Locales without a release.
      key_ids: Key ids that are believed for each locale now; a key that cannot be read has none.
      warnings: What is odd in the exchange, but decides nothing.
    """

    releases: tuple[ResolvedRelease, ...] = ()
    refused: tuple[Refusal, ...] = ()
    missing: tuple[str, ...] = ()
    key_ids: dict[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything above except the addresses and warnings."""
        content = self.model_dump(mode="json", exclude={"warnings"})
        for item in (*content["releases"], *content["refused"]):
            del item["uri"]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def open_memory(config: MergeGenConfig) -> Store | None:
    """Where the centre keeps what it saw; None if it keeps nothing."""
    if not config.memory_uri:
        return None
    # A memory in the same kind of store is reached the same way as the exchange.
    same = config.memory_uri.split("://")[0] == config.exchange_uri.split("://")[0]
    options = {"options": config.storage} if same and "://" in config.memory_uri else {}
    return open_store(config.memory_uri, "central memory", **options)


def resolve_releases(config: MergeGenConfig, now: datetime | None = None) -> Resolution:
    """The newest release of each locale (of its given span), by reading the exchange; verifies nothing.

    Only the newest is taken: falling back to an older one when the newest does not verify would let
    whoever can write to the exchange choose which release is merged.

    Args:
      config: The exchange, the locales, their keys and spans, the centre's memory.
      now: This machine's time, UTC; decides which keys are believed.

    Raises:
      DataError: the exchange or the memory cannot be read.
      ConfigError: its protocol is unknown.
    """
    store = open_store(config.exchange_uri, options=config.storage)
    memory = load_memory(open_memory(config))
    now = now or datetime.now(timezone.utc)
    top = child_names(store, "")
    releases, refused, missing, warnings = [], [], [], []
    for locale in config.locales:
        span = None if config.spans == "latest" else config.spans.get(locale.name)
        warnings += list(_odd_names(store, locale, top))
        location = latest_release(store, locale.name, span)
        raw = read_manifest_bytes(store, location.folder, MAX_MANIFEST_BYTES) if location else None
        if location is None or raw is None:
            other = _other_case(locale.name, top)
            if other:
                reason = f"{store.address(other)}: differs from locale {locale.name} in case; refused."
                refused.append(Refusal(locale=locale.name, uri=store.address(other), reason=reason))
            else:
                missing.append(locale.name)
            continue
        why = memory.why_stale(location, locale.name, span)
        manifest = _parsed(raw, location)
        if not why and manifest is not None:
            why = _remembered_revocation(memory, manifest)
        if why:
            uri = store.address(location.folder)
            refused.append(Refusal(locale=locale.name, uri=uri, reason=f"{why}; refused."))
            continue
        warnings += _backward_clock(memory, manifest)
        releases.append(
            ResolvedRelease(
                locale=locale.name,
                span=location.span,
                sequence=location.sequence,
                release_id=location.release_id,
                uri=store.address(location.folder),
                manifest_sha256=hashlib.sha256(raw).hexdigest(),
                revocations_sha256=_revocations_digest(store, location),
            )
        )
    return Resolution(
        releases=tuple(releases),
        refused=tuple(refused),
        missing=tuple(missing),
        key_ids={locale.name: _key_ids(locale, now) for locale in config.locales},
        warnings=tuple(warnings),
    )


def _key_ids(locale: MergeLocale, now: datetime) -> tuple[str, ...]:
    keys, _ = load_keys(locale.trusted_key)
    return tuple(sorted(key.key_id for key in keys if not key.why_not_now(now)))


def _parsed(raw: bytes, location: ReleaseLocation) -> Manifest | None:
    """The manifest, or None where it does not parse: the merge says why when it refuses it."""
    try:
        return parse_manifest(raw, location.folder, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    except ReleaseError:
        return None


def _remembered_revocation(memory: ExchangeMemory, manifest: Manifest) -> str:
    seen = memory.revoked.get(manifest.locale, {}).get(manifest.content_digest)
    if seen is None:
        return ""
    return (
        f"release {manifest.release_id} of locale {manifest.locale} was revoked at {seen.revoked_at} by key "
        f"{seen.key_id} ({seen.reason})"
    )


def _backward_clock(memory: ExchangeMemory, manifest: Manifest | None) -> list[str]:
    """A warning where a newer sequence number says that it is older: a publisher's clock was wrong."""
    known = memory.newest.get(manifest.locale, {}).get(str(manifest.span)) if manifest else None
    if manifest is None or known is None or known.sequence >= manifest.sequence:
        return []
    if known.created_at <= manifest.created_at:
        return []
    return [
        f"locale {manifest.locale} span {manifest.span}: sequence {manifest.sequence} says it was made at "
        f"{manifest.created_at}, before sequence {known.sequence} ({known.created_at}); a clock was wrong. "
        "The sequence decides."
    ]


def _revocations_digest(store: Store, location: ReleaseLocation) -> str:
    parent = f"{location.locale}/span-{location.span}"
    names = revocation_names(child_names(store, parent), location.release_id)
    if not names:
        return ""
    digest = hashlib.sha256(canonical_json(names).encode())
    for name in names[: 4 * MAX_REVOCATIONS]:
        raw = read_bounded(store, f"{parent}/{name}", MAX_REVOCATION_BYTES) or b""
        digest.update(hashlib.sha256(raw).digest())
    return digest.hexdigest()


def _other_case(locale: str, names: Iterable[str]) -> str:
    return next((name for name in names if name != locale and name.casefold() == locale.casefold()), "")


def _odd_names(store: Store, locale: MergeLocale, top: list[str]) -> Iterable[str]:
    """Names that a person, or a file system without case, would take for the locale's, a span's or a
    release's: they are left alone, and said."""
    for name in top:
        if name != locale.name and name.casefold() == locale.name.casefold():
            yield f"{store.address(name)}: differs from locale {locale.name} in case only; not read."
    if locale.name not in top:
        return
    for span in child_names(store, locale.name):
        if not SPAN_FOLDER.fullmatch(span):
            if SPAN_FOLDER.fullmatch(span.lower()):
                place = store.address(locale.name, printable(span))
                yield f"{place}: differs from a span's folder in case only; not read."
            continue
        for name in child_names(store, f"{locale.name}/{span}"):
            if not RELEASE_FOLDER.fullmatch(name) and RELEASE_FOLDER.fullmatch(name.lower()):
                place = store.address(locale.name, span, printable(name))
                yield f"{place}: differs from a release's folder in case only; not read."
