"""What a version of the registry is, in the words and numbers that another registry shows of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from components.config_base import canonical_json
from components.errors import DataError, ReleaseError
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    ReleaseLocation,
    read_manifest_bytes,
)
from components.release.manifest import parse_manifest
from components.release.storage import Store, file_entry, open_store, read_bounded
from pipeline.config.model import Deployment
from pipeline.registry_version import RegistryVersion

Property = str | float
_MAX_EVALUATION_BYTES = 16 << 20


def describe(found: RegistryVersion, deployment: Deployment) -> tuple[dict[str, Property], list[str]]:
    """Properties of a version, and one line for each that could not be had.

    Returns:
      `content_digest`, `config_digest`, `release_set_digest` (SHA-256, hex, over the digests of the
      releases), `signing_key_id`, `verdict`, `isthmus_version`, `created_at`, `locales`, `deciding_detector`,
      `f1` and `fpr` (fractions, of that detector over all test rows), and per locale `epsilon.<locale>` and
      `delta.<locale>`; a locale whose release states none has neither.

    Raises:
      ReleaseError: the evaluation was altered.
      DataError: the registry cannot be read.
    """
    manifest = found.manifest
    releases = manifest.get("releases", [])
    digests = sorted((str(item["locale"]), str(item["digest"])) for item in releases)
    properties: dict[str, Property] = {
        "content_digest": str(manifest["content_digest"]),
        "config_digest": str(manifest.get("config_digest", "")),
        "release_set_digest": hashlib.sha256(canonical_json(digests).encode()).hexdigest(),
        "signing_key_id": str((manifest.get("signature") or {}).get("key_id", "")),
        "verdict": str(manifest.get("verdict", "")),
        "isthmus_version": str(manifest.get("isthmus_version", "")),
        "created_at": str(manifest.get("created_at", "")),
        "locales": ",".join(sorted({locale for locale, _ in digests})),
    }
    properties |= _quality(found)
    losses, notes = _losses(releases, deployment)
    named = {name: value for name, value in {**properties, **losses}.items() if value != ""}
    return named, notes


def _quality(found: RegistryVersion) -> dict[str, Property]:
    """F1 and false positive rate of the detector that decided, from `evaluation.json` beside the model."""
    entry = found.manifest.get("files", {}).get("evaluation.json")
    if entry is None:
        return {}
    raw = read_bounded(found.registry, f"{found.folder}/evaluation.json", _MAX_EVALUATION_BYTES)
    if raw is None or file_entry(raw).sha256 != entry["sha256"]:
        raise ReleaseError(f"{found.uri}: evaluation.json is missing or altered (SHA-256). Do not use it.")
    evaluation = json.loads(raw)
    deciding = str(evaluation.get("deciding_detector", ""))
    overall = evaluation.get("scenarios", {}).get("Isthmus", {}).get(deciding, {}).get("overall", {})
    values = {name: overall.get(name, {}).get("value") for name in ("f1", "fpr")}
    rates: dict[str, Property] = {name: float(value) for name, value in values.items() if value is not None}
    return {"deciding_detector": deciding, **rates}


def _losses(releases: list[dict[str, Any]], deployment: Deployment) -> tuple[dict[str, Property], list[str]]:
    """Epsilon and delta by locale: the worst of its releases. The manifests are found by their digests."""
    losses: dict[str, Property] = {}
    notes: list[str] = []
    try:
        exchange = open_store(deployment.exchange.uri, options=deployment.exchange.storage_options)
        for release in releases:
            _add_loss(losses, notes, exchange, release)
    except DataError as error:
        notes.append(f"epsilon not known: {error}")
    return losses, notes


def _add_loss(
    losses: dict[str, Property], notes: list[str], exchange: Store, release: dict[str, Any]
) -> None:
    locale = str(release["locale"])
    location = ReleaseLocation(
        locale, int(release["span"]), int(release.get("sequence", 1)), str(release["release_id"])
    )
    raw = read_manifest_bytes(exchange, location.folder)
    place = exchange.address(location.folder)
    # The detector's manifest names this digest; whose key signed the release was asked when it was merged.
    if raw is None or hashlib.sha256(raw).hexdigest() != release.get("manifest_sha256"):
        notes.append(f"epsilon of {locale} not known: {place}: no manifest with the digest that was merged")
        return
    privacy = parse_manifest(raw, place, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH).privacy
    for name, value in (("epsilon", privacy.epsilon), ("delta", privacy.delta)):
        if value is not None:
            losses[f"{name}.{locale}"] = max(value, float(losses.get(f"{name}.{locale}", 0.0)))
