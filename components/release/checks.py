"""The checks of a manifest that need nothing but the manifest: who signed, where it lies, what it claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta, timezone

from components.config_base import ComponentConfig
from components.errors import ReleaseError, list_briefly
from components.release.exchange import MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH, ReleaseLocation
from components.release.keys import PublicKey
from components.release.manifest import ALLOWED_FILES, SCHEMA_VALIDATED, Manifest
from components.release.storage import describe_strangers

#: A release made further ahead of this machine's clock than this gets a warning, and nothing else.
CLOCK_SLACK = timedelta(minutes=5)


class ReleaseLimits(ComponentConfig):
    """What a foreign release may cost us before it is refused.

    Attributes:
      max_manifest_bytes: A manifest of ours is a few kB.
      max_manifest_depth: A manifest of ours is 3 deep.
      max_files: Shards of all splits; ExampleGen writes a handful.
      max_side_file_bytes: Schema, statistics or evaluation; ours are some hundred kB.
      max_total_bytes: All files as they lie in the exchange.
      max_decompressed_bytes: One file after decompression.
      max_compression_ratio: Decompressed over compressed. Deflate cannot exceed 1,032; 24 constant
        columns of tf.Example measure 36 (76 at gzip level 9), 24 columns of noise 3.
    """

    max_manifest_bytes: int = MAX_MANIFEST_BYTES
    max_manifest_depth: int = MAX_MANIFEST_DEPTH
    max_files: int = 4096
    max_side_file_bytes: int = 64 << 20
    max_total_bytes: int = 64 << 30
    max_decompressed_bytes: int = 64 << 30
    max_compression_ratio: float = 250.0


DEFAULT_LIMITS = ReleaseLimits()


def check_signature(
    manifest: Manifest, trusted: Mapping[str, Collection[PublicKey]], uri: str, now: datetime
) -> str:
    """Whether a key that is trusted for the locale, and still is at `now`, signed the manifest.

    Returns:
      What was checked, in a sentence.

    Raises:
      ReleaseError: it does not hold.
    """
    if manifest.signature is None:
        raise ReleaseError(f"{uri}: not signed. Have locale {manifest.locale} release again with its key.")
    key_id = manifest.signature.key_id
    keys = trusted.get(manifest.locale) or ()
    matching = [key for key in keys if key.key_id == key_id]
    if not matching:
        owners = [name for name, others in trusted.items() if any(key.key_id == key_id for key in others)]
        whose = f"the key of locale {owners[0]}" if owners else "an unknown key"
        known = list_briefly(key.key_id for key in keys) or "none"
        raise ReleaseError(
            f"{uri}: signed with {whose} ({key_id}); trusted for locale {manifest.locale}: {known}. "
            "If the locale changed its key, put the new public key into the configuration."
        )
    if not matching[0].verifies(manifest):
        raise ReleaseError(f"{uri}: the signature by key {key_id} does not fit the manifest; it was altered.")
    if why := matching[0].why_not_now(now):
        raise ReleaseError(
            f"{uri}: signed with key {key_id}, which is {why}. Have locale {manifest.locale} release again "
            "with its present key."
        )
    return f"The manifest is signed (Ed25519) by key {key_id}, which is trusted for locale {manifest.locale}."


def check_location(manifest: Manifest, location: ReleaseLocation, uri: str) -> str:
    """Whether the manifest says the locale, span, sequence and id that its path says.

    Returns:
      What was checked, in a sentence.

    Raises:
      ReleaseError: it does not hold.
    """
    claimed = ReleaseLocation(manifest.locale, manifest.span, manifest.sequence, manifest.release_id)
    if claimed != location:
        raise ReleaseError(
            f"{uri}: the manifest is that of {claimed.folder}; a release was moved, copied or replayed."
        )
    return (
        f"It lies where it says: locale {location.locale}, span {location.span}, sequence "
        f"{location.sequence}, id {location.release_id}."
    )


def check_claims(manifest: Manifest, uri: str) -> str:
    """Whether what the manifest claims may be published at all.

    Returns:
      What was checked, in a sentence.

    Raises:
      ReleaseError: it does not hold.
    """
    wanted = "BLESSED" if manifest.kind == "synthetic" else SCHEMA_VALIDATED
    if manifest.verdict != wanted:
        raise ReleaseError(f"{uri}: {manifest.kind} rows with verdict {manifest.verdict}, allowed: {wanted}.")
    failed = sorted(name for name, verdict in manifest.gates.items() if verdict == "failed")
    if failed:
        raise ReleaseError(f"{uri}: released in spite of failed gates: {list_briefly(failed)}.")
    rows = f"{manifest.total_rows} {manifest.kind} rows"
    return f"It claims {rows}, verdict {manifest.verdict}; of {len(manifest.gates)} gates none failed."


def check_names(manifest: Manifest, limits: ReleaseLimits, uri: str) -> str:
    """Whether the listed files are of allowed kinds, sizes and splits, and climb nowhere.

    Returns:
      What was checked, in a sentence.

    Raises:
      ReleaseError: it does not hold.
    """
    names = list(manifest.files)
    if len(names) > limits.max_files:
        raise ReleaseError(f"{uri}: lists {len(names)} files, allowed {limits.max_files}.")
    strangers = [name for name in names if not ALLOWED_FILES.fullmatch(name)]
    if strangers:
        raise ReleaseError(f"{uri}: lists files that no release may hold: {describe_strangers(strangers)}.")
    if len({name.casefold() for name in names}) != len(names):
        raise ReleaseError(f"{uri}: lists files whose names differ only in case.")
    large = sorted(
        name
        for name, entry in manifest.files.items()
        if not name.startswith("Split-") and entry.size_bytes > limits.max_side_file_bytes
    )
    if large:
        raise ReleaseError(f"{uri}: {large[0]} is larger than {limits.max_side_file_bytes} bytes (limits).")
    if manifest.total_bytes > limits.max_total_bytes:
        raise ReleaseError(f"{uri}: holds {manifest.total_bytes} bytes, allowed {limits.max_total_bytes}.")
    splits = {match.group("split") for match in map(ALLOWED_FILES.fullmatch, names) if match}
    if splits - {None} != set(manifest.rows):
        raise ReleaseError(f"{uri}: the splits of its files are not those of its row counts.")
    return f"All {len(names)} file names are of kinds that a release may hold; none climbs out of its folder."


def clock_warning(manifest: Manifest, uri: str, now: datetime) -> tuple[str, ...]:
    """A warning if the manifest is from the future; a clock that is behind cannot be told from age."""
    made = datetime.strptime(manifest.created_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    if made - now <= CLOCK_SLACK:
        return ()
    hours = (made - now).total_seconds() / 3600
    return (
        f"{uri}: made at {manifest.created_at} by its publisher's clock, {hours:.1f} h ahead of this "
        "machine's; one of the two is wrong. Nothing is decided by it.",
    )
