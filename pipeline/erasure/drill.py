"""The erasure drill: what one subject's rows went into, from source to detector, and taking it all back.

The evidence is on disk before anything is changed, and again after every step. A rerun for the same subject
finds it, goes on with what is left, and keeps its number; so a kill at any point loses nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from components.errors import DataError, ReleaseError
from components.executor_base import read_json
from components.governance.core.spending import open_audit_log
from components.release.exchange import read_manifest_bytes
from components.release.keys import PrivateKey, load_private_key
from components.release.manifest import utc_now
from components.release.revoke import revoke_release
from components.release.storage import open_store
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import governance_config
from pipeline.erasure.evidence import (
    Evidence,
    Retraining,
    new_salt,
    open_pack,
    subject_digest,
    write_pack,
)
from pipeline.erasure.tracing import Influence, trace
from pipeline.history import sections
from pipeline.retaining import delete_folder, sweep
from pipeline.revoked import registry_versions

WOULD_BE, TO_BE, REVOKED, ALREADY, VANISHED = (
    "would be revoked",
    "to be revoked",
    "revoked",
    "already revoked",
    "no longer in the exchange",
)


def erase(
    deployment: Deployment,
    locale: str,
    column: str,
    subject: str,
    *,
    apply: bool,
    gone: Collection[int] = (),
) -> tuple[Evidence, Path | None]:
    """Traces a subject and, with `apply`, revokes and deletes everything that its rows went into.

    Sources are not touched: they are the locale's own systems. While they hold rows of the subject, the
    evidence is not complete, and the next run would take them in again. Nothing is made again here;
    `retraining.retrain` does that.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      column: A series column of the data set.
      subject: The value at the source.
      apply: Whether anything is changed.
      gone: Spans whose source was destroyed, as the operator states.

    Returns:
      The signed evidence and, with `apply`, the folder of the evidence pack (`evidence.json`, `.md`).

    Raises:
      ConfigError, DataError: as `trace`; the exchange cannot be written.
    """
    key = load_private_key(deployment.locale(locale).signing_key)
    root = Path(deployment.root) / locale
    if apply:
        sweep(root)  # folders that a kill left half deleted
    found = trace(deployment, locale, column, subject, gone)
    before = open_pack(root, column, subject, [key.public])
    if not apply:
        if before:
            found.notes.append(f"erasure {before.erasure_id} of this subject {_left(before)}")
        return key.sign(_evidence(deployment, locale, column, subject, found, None, apply)), None
    evidence = _evidence(deployment, locale, column, subject, found, before, apply)
    # Before anything is changed: what says what was released is among what goes.
    write_pack(root, key.sign(evidence))
    evidence = evidence.model_copy(update={"releases": tuple(_revoke(deployment, key, evidence))})
    write_pack(root, key.sign(evidence))
    for uri in (*evidence.artifacts, *evidence.compared):
        _delete(Path(uri))
    deleted = _union(evidence.artifacts, evidence.compared)
    changed = {"deleted": deleted, "applied": True, "at": utc_now()}
    return conclude(deployment, key, evidence.model_copy(update=changed))


def conclude(deployment: Deployment, key: PrivateKey, evidence: Evidence) -> tuple[Evidence, Path]:
    """Signs evidence, records it in the audit log, where the locale has one, and writes its pack."""
    evidence = key.sign(evidence)
    settings = governance_config(deployment, evidence.locale)
    if settings is not None and settings.policy:
        digest = hashlib.sha256(evidence.to_bytes()).hexdigest()
        body = {"erasure_id": evidence.erasure_id, "evidence_sha256": digest}
        open_audit_log(settings).record(key, "erasure", body)
    # Last: a pack with nothing left to do is never gone on with, so the log must have it by then.
    return evidence, write_pack(Path(deployment.root) / evidence.locale, evidence)


def _evidence(
    deployment: Deployment,
    locale: str,
    column: str,
    subject: str,
    found: Influence,
    before: Evidence | None,
    apply: bool,
) -> Evidence:
    """What was found now, together with what an erasure that was begun before had found."""
    salt = before.subject_salt if before else new_salt()
    known = {release["uri"]: release for release in before.releases} if before else {}
    outcome = TO_BE if apply else WOULD_BE
    for push in found.pushes:
        digest = str(push["content_digest"])
        new = {"uri": str(push["uri"]), "content_digest": digest, "outcome": outcome}
        known.setdefault(new["uri"], new)
    releases = tuple(known[uri] for uri in sorted(known))
    artifacts = _union(before.artifacts if before else (), found.artifacts)
    digests = {release["content_digest"] for release in releases}
    notes = list(found.notes)
    try:
        detectors = _detectors(deployment, digests)
    except DataError as error:
        detectors = list(before.detectors) if before else []
        notes.append(f"detectors were not looked for: {error}")
    models = [uri for uri in artifacts if Path(uri).parent.name == "model"]
    needed = bool(models or detectors or releases)
    return Evidence(
        erasure_id=before.erasure_id if before else secrets.token_hex(6),
        at=utc_now(),
        locale=locale,
        column=column,
        subject_salt=salt,
        subject_sha256=subject_digest(salt, subject),
        stored_as=found.stored_as,
        begun=apply,
        applied=False,
        examples={**(before.examples if before else {}), **found.examples},
        artifacts=artifacts,
        compared=tuple(
            uri
            for uri in _union(before.compared if before else (), found.compared)
            if uri not in set(artifacts)
        ),
        releases=releases,
        compared_releases=tuple(
            uri
            for uri in _union(before.compared_releases if before else (), found.compared_releases)
            if uri not in known
        ),
        detectors=tuple(detectors),
        central=_union(before.central if before else (), _central(deployment, digests)),
        spans=tuple(found.spans),
        sources=found.sources,
        deleted=before.deleted if before else (),
        retrain=(*models, *(detector["uri"] for detector in detectors)),
        retraining=_retraining(found, before, needed),
        complete=all(span.settled for span in found.spans) and not found.sources,
        notes=tuple(notes),
    )


def _left(evidence: Evidence) -> str:
    """What an erasure that was begun has left, in words."""
    if not evidence.applied:
        return "was begun and not finished: run it again with --apply"
    if not evidence.complete:
        return "is applied and not complete: run it again with --apply"
    return "is applied, and what was deleted has not been made again: run it again with --apply --retrain"


def _retraining(found: Influence, before: Evidence | None, needed: bool) -> Retraining:
    if before and before.retraining.state == "done" and not (found.artifacts or found.pushes):
        return before.retraining
    if not needed:
        return Retraining(state="not needed")
    if found.sources:
        return Retraining(state="left to be done", why="the sources still have rows of the subject")
    return Retraining(state="left to be done", why="`isthmus erase ... --apply --retrain`, or `isthmus run`")


def _union(before: Iterable[str], now: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*before, *now}))


def _revoke(deployment: Deployment, key: PrivateKey, evidence: Evidence) -> list[dict[str, str]]:
    """Revokes the releases; what was revoked before stays as it was said."""
    releases = []
    for release in evidence.releases:
        store = open_store(release["uri"], "release", deployment.exchange.storage_options)
        try:
            # The reason leaves the locale: it names nothing of the subject.
            outcome = revoke_release(store, key, f"erasure {evidence.erasure_id}").outcome
        except ReleaseError:
            if read_manifest_bytes(store, "") is not None:
                raise
            outcome = VANISHED
        if outcome == ALREADY and release["outcome"] == REVOKED:
            outcome = REVOKED
        releases.append({**release, "outcome": outcome})
    return releases


def _delete(path: Path) -> None:
    """Deletes a folder or a file, if it is there."""
    if path.is_dir():
        delete_folder(path)
    else:
        path.unlink(missing_ok=True)


def _detectors(deployment: Deployment, digests: set[str]) -> list[dict[str, str]]:
    """Detectors in the registry that were built on releases of these contents."""
    found = {}
    for version in registry_versions(deployment):
        if any(release.get("digest") in digests for release in version["releases"]):
            found[version["uri"]] = {key: str(version[key]) for key in ("name", "version", "uri")}
    return [found[uri] for uri in sorted(found)]


def _central(deployment: Deployment, digests: set[str]) -> list[str]:
    """Artifacts at the centre, of every merge that took one of these contents."""
    found: set[str] = set()
    for section in sections(Path(deployment.root), "central"):
        # The test set, and the raw rows of a simulation, are made from no release.
        outputs = [
            component.get("outputs") or {}
            for component in section["components"]
            if not str(component.get("id")).endswith("ExampleGen")
        ]
        accepted: list[dict[str, Any]] = []
        for uris in outputs:
            report = Path(uris.get("merge_report") or "") / "merge.json"
            if uris.get("merge_report") and report.exists():
                accepted += read_json(report).get("accepted", [])
        if any(release.get("digest") in digests for release in accepted):
            found.update(uri for uris in outputs for uri in uris.values() if uri and Path(uri).exists())
    return sorted(found)
