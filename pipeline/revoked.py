"""Follows revocations to every detector that was built on what was revoked."""

from __future__ import annotations

from typing import Any

from components.errors import IsthmusError
from components.pusher.registry import list_versions, signed_by
from components.release.exchange import list_spans
from components.release.keys import PublicKey, load_private_key
from components.release.memory import load_memory
from components.release.revocation import REVOCATION_FILE, Revocation, read_revocations
from components.release.storage import Store, child_names, open_store
from components.release.trust import load_keys
from pipeline.config.model import Deployment, LocaleSection
from pipeline.config.resolve import central_configs


def revocations(deployment: Deployment) -> dict[str, Any]:
    """What was revoked, and the versions in the registry that stand on it.

    Returns:
      JSON-able: `revoked` (per content `locale`, `span`, `release`, `release_id`, `content_digest`,
      `reason`, `revoked_at`, `key_id`, `in_exchange`, and `detectors`, each with `name`, `version`, `uri`
      and `signature`), `ignored` (revocations that do not verify, one line each), `unknown` (what could
      not be read).
    """
    ignored: list[str] = []
    unknown: list[str] = []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    options = deployment.exchange.storage_options
    try:
        exchange = open_store(deployment.exchange.uri, options=options)
        for locale in deployment.locales:
            valid, odd = _of_locale(exchange, locale)
            ignored += odd
            for note in valid:
                found.setdefault((note.locale, note.content_digest), _entry(note))
    except IsthmusError as error:
        unknown.append(f"the exchange cannot be read, so revocations in it are not shown: {error}")
    try:
        _add_remembered(found, deployment)
        detectors = registry_versions(deployment)
    except IsthmusError as error:
        unknown.append(str(error))
        detectors = []
    for (name, digest), entry in found.items():
        entry["detectors"] = [
            {key: detector[key] for key in ("name", "version", "uri", "signature")}
            for detector in detectors
            if any(
                item.get("locale") == name and item.get("digest") == digest for item in detector["releases"]
            )
        ]
    return {"revoked": list(found.values()), "ignored": ignored, "unknown": unknown}


def _of_locale(exchange: Store, locale: LocaleSection) -> tuple[list[Revocation], list[str]]:
    keys, _ = load_keys(locale.trusted_key)
    valid: list[Revocation] = []
    ignored: list[str] = []
    for span in list_spans(exchange, locale.name):
        parent = f"{locale.name}/span-{span}"
        by_release: dict[str, list[str]] = {}
        for name in child_names(exchange, parent):
            if match := REVOCATION_FILE.fullmatch(name):
                by_release.setdefault(match.group(2), []).append(name)
        for release_id, names in sorted(by_release.items()):
            about = (locale.name, span, release_id)
            notes = read_revocations(exchange, parent, names, keys, f"locale {locale.name}", about)
            valid += notes.valid
            ignored += notes.ignored
    return valid, ignored


def _entry(note: Revocation) -> dict[str, Any]:
    return {
        "locale": note.locale,
        "span": note.span,
        "release": f"{note.locale}/span-{note.span}/{note.sequence}-{note.release_id}",
        "release_id": note.release_id,
        "content_digest": note.content_digest,
        "reason": note.reason,
        "revoked_at": note.revoked_at,
        "key_id": note.key_id,
        "in_exchange": True,
    }


def _add_remembered(found: dict[tuple[str, str], dict[str, Any]], deployment: Deployment) -> None:
    """Revocations that a merge saw and that someone has taken out of the exchange since."""
    from components.merge_gen.resolution import open_memory

    memory = load_memory(open_memory(central_configs(deployment).merge_gen))
    for locale, contents in memory.revoked.items():
        for digest, seen in contents.items():
            found.setdefault(
                (locale, digest),
                {
                    "locale": locale,
                    "span": None,
                    "release": f"{locale} {seen.release_id} (the note is gone from the exchange)",
                    "release_id": seen.release_id,
                    "content_digest": digest,
                    "reason": seen.reason,
                    "revoked_at": seen.revoked_at,
                    "key_id": seen.key_id,
                    "in_exchange": False,
                },
            )


def registry_versions(deployment: Deployment) -> list[dict[str, Any]]:
    """Versions of the deployment's detector: `name`, `version`, `uri`, `signature`, `releases`.

    Raises:
      DataError: the registry cannot be read.
    """
    central = deployment.central
    registry = open_store(central.registry, "registry", central.registry_storage_options)
    keys = registry_keys(deployment)
    return [
        {
            "name": central.model_name,
            "version": version,
            "uri": registry.address(central.model_name, str(version)),
            "signature": signed_by(manifest, keys),
            "releases": manifest.get("releases", []),
        }
        for version, manifest in list_versions(registry, central.model_name).items()
    ]


def registry_keys(deployment: Deployment) -> list[PublicKey]:
    """The key that the centre signs its detectors with; none where it signs none."""
    key = deployment.central.signing_key
    return [load_private_key(key).public] if key is not None else []
