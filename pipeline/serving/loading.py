"""One version of the registry, verified and loaded: who serves it needs no deployment file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import ConfigError, ReleaseError
from components.prophet_evaluator.core.detector import Detector
from components.prophet_evaluator.core.storage import load_detector
from components.pusher.fetching import fetch_model
from components.pusher.registry import signed_by
from components.release.canonical import parse_json
from components.release.exchange import MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH, read_manifest_bytes
from components.release.keys import PublicKey
from components.release.storage import open_store

_FORMAT = ("isthmus-model", 1)


@dataclass(frozen=True)
class Served:
    """A detector that may answer.

    Attributes:
      detector: Loaded from a private copy.
      version: Its number in the registry.
      content_digest: SHA-256 (hex) of what the version holds.
      key_id: Of the key that signed it.
      releases: The releases that it was built on, as the manifest names them.
    """

    detector: Detector
    version: int
    content_digest: str
    key_id: str
    releases: tuple[dict[str, Any], ...]


def load_served(place: str, keys: Collection[PublicKey], content_digest: str = "") -> Served:
    """Reads one version of the registry, or of a copy of it such as KServe's `/mnt/models`.

    Args:
      place: Folder or URI of the version: the one that holds `manifest.json`.
      keys: Public keys of the centre; one of them must have signed the manifest.
      content_digest: The digest that the version must have; empty takes any that is signed. A signed older
        version that was laid in the place of a newer one is seen only by this.

    Raises:
      ConfigError: there is no key.
      ReleaseError: no version, not signed by a key, another content, or a file is missing or altered.
      DataError: the place cannot be read.
    """
    if not keys:
        raise ConfigError("--trusted-key: none given; a detector that nobody vouches for is not served")
    store = open_store(place, "model folder")
    raw = read_manifest_bytes(store, "")
    if raw is None:
        raise ReleaseError(
            f"{store.uri}: no manifest.json; allowed: the folder of one version, <registry>/<name>/<version>."
        )
    manifest = parse_json(raw, store.uri, "manifest", MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
    if not isinstance(manifest, dict) or (manifest.get("format"), manifest.get("format_version")) != _FORMAT:
        raise ReleaseError(f"{store.uri}: manifest.json is not of a version of the model registry.")
    signed = signed_by(manifest, keys)
    by = [key.key_id for key in keys if signed == f"signed by key {key.key_id}"]
    if not by:
        trusted = ", ".join(key.key_id for key in keys)
        raise ReleaseError(f"{store.uri}: {signed}; trusted: {trusted}. It is not served.")
    found = str(manifest["content_digest"])
    if content_digest and found != content_digest:
        raise ReleaseError(
            f"{store.uri}: content digest {found[:12]}, expected {content_digest[:12]}. It is not served."
        )
    with tempfile.TemporaryDirectory(prefix="isthmus-serve-") as folder:
        copy = Path(folder) / "model"
        copy.mkdir()
        fetch_model(store, "", manifest, copy)
        detector = load_detector(copy)
    return Served(detector, int(manifest["version"]), found, by[0], tuple(manifest.get("releases", ())))
