"""The model registry: `<registry>/<name>/<version>/` with `model/`, `evaluation.json`, `manifest.json`.

A version is published whole or not at all. The highest version is the detector that the centre blessed
last: its content is not published again, older content that comes back gets the next version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config_base import canonical_json
from components.errors import DataError, list_briefly
from components.pusher.config import ModelPusherConfig
from components.pusher.verdict import read_verdict
from components.release.atomic import create_file, publish_directory
from components.release.exchange import is_published, read_manifest_bytes
from components.release.keys import PrivateKey, PublicKey, load_private_key
from components.release.manifest import MANIFEST_NAME, FileEntry, utc_now
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.storage import (
    Source,
    Store,
    file_entry,
    list_files,
    open_store,
    read_bounded,
    storage_errors,
)
from components.version import __version__

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
#: Another pusher can take the version that we are about to take; more than this many in a row is a fault.
_ATTEMPTS = 20
_CLAIMS = ".claims"
_SIGNING_CONTEXT = b"isthmus-model-v1\n"


@dataclass(frozen=True)
class ModelInputs:
    """Folders of the input artifacts; None where a channel is not connected."""

    model: Path
    blessing: Path | None = None
    evaluation: Path | None = None
    merge_report: Path | None = None


def push_model(config: ModelPusherConfig, inputs: ModelInputs) -> dict[str, Any]:
    """Publishes a blessed detector as the registry's next version, or says why not.

    Where the newest version is the same, nothing is published.

    Returns:
      The content of `push.json`.

    Raises:
      DataError: the model is empty, or the registry cannot be written.
    """
    verdict, why = read_verdict(inputs.blessing)
    base = {"name": config.name, "verdict": verdict, "releases": _releases(inputs.merge_report)}
    if verdict != "BLESSED":
        refusal = {"pushed": False, "outcome": "refused", "reason": f"{why}; only BLESSED is pushed"}
        return {**base, **refusal, "uri": "", "version": 0, "content_digest": "", "files": {}}
    files: dict[str, Source] = {
        f"model/{path.relative_to(inputs.model).as_posix()}": path
        for path in sorted(inputs.model.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    if not files:
        raise DataError(f"model {config.name}: the model artifact holds no file; nothing was pushed.")
    if inputs.evaluation is not None:
        files["evaluation.json"] = inputs.evaluation / "evaluation.json"
    manifest: dict[str, Any] = {
        "format": "isthmus-model",
        "format_version": 1,
        "name": config.name,
        "files": {name: file_entry(source).model_dump() for name, source in files.items()},
        "releases": base["releases"],
        "evaluation": _summary(inputs.evaluation),
        "verdict": verdict,
        "isthmus_version": __version__,
        "config_digest": config.config_digest,
    }
    manifest["content_digest"] = hashlib.sha256(canonical_json(manifest).encode()).hexdigest()
    store = open_store(config.registry_uri, "registry", config.storage)
    key = load_private_key(config.signing_key) if config.signing_key else None
    version, outcome = _publish(store, config.name, files, manifest, key)
    return {
        **base,
        "pushed": True,
        "outcome": outcome,
        "reason": why,
        "uri": store.address(config.name, str(version)),
        "version": version,
        "content_digest": manifest["content_digest"],
        "files": {name: entry["sha256"] for name, entry in manifest["files"].items()},
    }


def list_versions(store: Store, name: str) -> dict[int, dict[str, Any]]:
    """Published versions of a model and their manifests.

    Raises:
      DataError: the registry cannot be read.
    """
    found: dict[int, dict[str, Any]] = {}
    with storage_errors("cannot list", store.address(name)):
        store.fs.invalidate_cache()
        try:
            children = store.fs.ls(store.path(name), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return {}
    for child in children:
        version = child.rstrip("/").rsplit("/", 1)[-1]
        raw = read_manifest_bytes(store, f"{name}/{version}") if _VERSION.fullmatch(version) else None
        if raw is not None:
            try:
                manifest = json.loads(raw)
            except ValueError:
                manifest = None
            if not isinstance(manifest, dict):
                raise DataError(
                    f"{store.address(name, version)}: {MANIFEST_NAME} is no JSON object; "
                    "move that version away."
                )
            found[int(version)] = manifest
    return dict(sorted(found.items()))


def why_outdated(push: Mapping[str, Any], options: StorageOptions = DEFAULT_OPTIONS) -> str:
    """Why what a ModelPusher answered earlier is no longer true, in words; empty while it is.

    Whoever loads the highest version gets the detector of the latest run, also after a change of the
    configuration was taken back.

    Args:
      push: The `push.json` of the answer.
      options: How to reach the registry.
    """
    if not push.get("pushed"):
        return ""
    if not is_published(push, options):
        return f"{push['uri']} is gone"
    root = str(push["uri"]).removesuffix(f"/{push['name']}/{push['version']}")
    try:
        newest = max(list_versions(open_store(root, "registry", options), str(push["name"])), default=0)
    except DataError:
        return ""
    return f"version {push['version']} is superseded by {newest}" if newest > push["version"] else ""


def _publish(
    store: Store,
    name: str,
    files: Mapping[str, Source],
    manifest: dict[str, Any],
    key: PrivateKey | None,
) -> tuple[int, str]:
    entries = {path: FileEntry(**entry) for path, entry in manifest["files"].items()}
    digest = manifest["content_digest"]
    taken: set[int] = set()
    for _ in range(_ATTEMPTS):
        versions = list_versions(store, name)
        newest = max(versions, default=0)
        if newest and versions[newest].get("content_digest") == digest:
            _check_intact(store, name, newest, entries)
            return newest, "already published"
        version = max([newest, *taken]) + 1
        if not store.is_local and not _claim(store, name, version, digest):
            taken.add(version)
            continue
        body = {**manifest, "version": version, "created_at": utc_now()}
        signed = (canonical_json({**body, "signature": _signature(body, key)}) + "\n").encode()
        if publish_directory(store, f"{name}/{version}", files, entries, signed):
            return version, "published"
    raise DataError(f"{store.address(name)}: {_ATTEMPTS} other pushers took the next version; run again.")


def _signature(body: Mapping[str, Any], key: PrivateKey | None) -> dict[str, str] | None:
    if key is None:
        return None
    return {
        "algorithm": "ed25519",
        "key_id": key.public.key_id,
        "value": key.sign_bytes(_signed_bytes(body)),
    }


def _signed_bytes(manifest: Mapping[str, Any]) -> bytes:
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    return _SIGNING_CONTEXT + canonical_json(unsigned).encode()


def signed_by(manifest: Mapping[str, Any], keys: Collection[PublicKey] = ()) -> str:
    """What a version's signature is worth, in words.

    Args:
      manifest: A version's manifest, as `list_versions` gives it.
      keys: The centre's public keys; without any, the signature cannot be checked.
    """
    signature = manifest.get("signature")
    if not isinstance(signature, Mapping):
        return "not signed"
    key_id = str(signature.get("key_id"))[:16]
    for key in keys:
        if key.key_id == key_id:
            fits = key.verifies_bytes(_signed_bytes(manifest), str(signature.get("value")))
            return (
                f"signed by key {key_id}" if fits else f"ALTERED: the signature by key {key_id} does not fit"
            )
    return f"signed by key {key_id}, not checked"


def _claim(store: Store, name: str, version: int, digest: str) -> bool:
    """Takes a version number on a store without rename; a killed pusher's own claim is taken up again."""
    claim = f"{name}/{_CLAIMS}/{version}"
    if create_file(store, claim, digest.encode()):
        return True
    return read_bounded(store, claim, len(digest)) == digest.encode()


def _check_intact(store: Store, name: str, version: int, entries: Mapping[str, FileEntry]) -> None:
    """Refuses a version whose files are not, byte for byte, those that its manifest names."""
    base = f"{name}/{version}"
    with storage_errors("cannot read", store.address(base)):
        sizes = list_files(store, base)

    def holds(path: str, entry: FileEntry) -> bool:
        if sizes.get(path) != entry.size_bytes:
            return False  # known without reading it
        content = read_bounded(store, f"{base}/{path}", entry.size_bytes)
        return content is not None and file_entry(content) == entry

    wrong = sorted(path for path, entry in entries.items() if not holds(path, entry))
    if wrong:
        raise DataError(
            f"{store.address(name, str(version))}: altered after publication: {list_briefly(wrong)}. "
            "Move that version away and run again."
        )


def _releases(merge_report: Path | None) -> list[dict[str, Any]]:
    """The releases that the detector was built on: what `lineage` follows."""
    if merge_report is None:
        return []
    report = json.loads((merge_report / "merge.json").read_text())
    keys = ("locale", "span", "sequence", "release_id", "digest", "manifest_sha256")
    return [{key: release[key] for key in keys if key in release} for release in report["accepted"]]


def _summary(evaluation: Path | None) -> dict[str, Any]:
    """Top-level numbers and words of the evaluation; the whole is in `evaluation.json` beside it."""
    if evaluation is None:
        return {}
    content = json.loads((evaluation / "evaluation.json").read_text())
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, (str, int, float, bool))}
