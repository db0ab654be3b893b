"""The erasure drill: what one subject's rows went into, from source to detector, and taking it all back.

A subject is one value of a series column, as it is at the source. Inside the locale it is looked for
in the form that the PII policy stores: a pseudonym is computed with the locale's key, and with the one before
during a rotation; where subjects are generalised to one form, all rows of that form count.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components import split_io
from components.errors import ConfigError, DataError
from components.example_gen.config import PiiRule
from components.example_gen.core.pii import apply_rule
from components.example_gen.core.reading import read_blocks
from components.example_gen.core.spans import resolve_sources
from components.executor_base import read_json, write_atomically
from components.governance.core.spending import open_audit_log
from components.release.exchange import is_revoked
from components.release.keys import load_private_key
from components.release.manifest import utc_now
from components.release.revoke import revoke_release
from components.release.storage import open_store
from pipeline.config.model import Deployment
from pipeline.config.resolve import governance_config, regional_configs
from pipeline.evidence import Evidence, subject_digest, words
from pipeline.history import sections
from pipeline.retaining import artifact_folders, delete_folder
from pipeline.revoked import registry_versions

_SALT_BYTES = 16
_KEYED = "pseudonymise"


@dataclasses.dataclass(frozen=True)
class Influence:
    """Where a subject's rows went; as in `Evidence`."""

    stored_as: str
    examples: dict[str, dict[str, int]]
    artifacts: list[str]
    pushes: list[dict[str, Any]]
    sources: dict[str, int]
    notes: list[str]


def trace(deployment: Deployment, locale: str, column: str, subject: str) -> Influence:
    """Follows a subject through everything that a locale holds and has released.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      column: A series column of the data set.
      subject: The value at the source.

    Raises:
      ConfigError: the column is no series column, or the pseudonym's key cannot be read.
      DataError: an artifact or a source cannot be read.
    """
    series = deployment.dataset.series
    if column not in series:
        raise ConfigError(
            f"--column: found '{column}'; allowed: {', '.join(series) or 'no column: no series'}"
        )
    forms, how = stored_forms(deployment, locale, column, subject)
    # A pseudonym begins with the id of its key.
    prefixes = {form.split("-")[0] for form in forms} if how == _KEYED else set()
    examples, notes = {}, []
    for folder in artifact_folders(Path(deployment.root) / locale, ("ExampleGen",)):
        if folder.parent.name != "examples":
            continue
        rows, foreign = _rows_per_split(folder, column, forms, prefixes)
        if sum(rows.values()):
            examples[str(folder)] = rows
        if foreign:
            notes.append(
                f"{folder}: {foreign} rows have pseudonyms of a key that is not configured; whose they are "
                "cannot be told (the PII rule's old_key names the key before)"
            )
    artifacts, pushes, gone = _downstream(deployment, locale, set(examples))
    notes += [
        f"{push['uri']}: the examples that it was made from were deleted, so whose rows it had cannot be told"
        for push in gone
    ]
    sources = _source_rows(deployment, locale, column, subject)
    return Influence(how, examples, artifacts, pushes, sources, notes)


def stored_forms(deployment: Deployment, locale: str, column: str, subject: str) -> tuple[list[str], str]:
    """What the subject may be stored as, and how it came to that form.

    Raises:
      ConfigError: the pseudonym's key cannot be read.
    """
    rules: tuple[PiiRule, ...] = regional_configs(deployment, locale).example_gen.pii
    rule = next((rule for rule in rules if rule.column == column), None)
    if rule is None or rule.action is None:
        return [subject], "as it is"
    keys: list[bytes | None] = [key.read() for key in (rule.key, rule.old_key) if key is not None]
    values = pa.array([subject])
    forms = [str(apply_rule(rule, values, key).to_pylist()[0]) for key in keys or [None]]
    shared = " (with all others of the same form)" if rule.action == "generalise" else ""
    return forms, rule.action + shared


def _rows_per_split(
    folder: Path, column: str, forms: list[str], prefixes: set[str]
) -> tuple[dict[str, int], int]:
    """Rows of the subject per split; rows whose pseudonyms begin with none of the prefixes."""
    found, foreign = {}, 0
    for split in split_io.list_splits(folder):
        count = 0
        for batch in split_io.read_batches(folder, split, columns=[column]):
            values = batch.column(0).cast(pa.string())
            count += int(pc.sum(pc.is_in(values, pa.array(forms))).as_py() or 0)
            for prefix in prefixes:
                # What is left after the last one is of none of the keys.
                values = values.filter(pc.invert(pc.starts_with(values, pattern=f"{prefix}-")))
            foreign += len(values.drop_null()) if prefixes else 0
        found[split] = count
    return found, foreign


def _downstream(
    deployment: Deployment, locale: str, examples: set[str]
) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """Artifacts and releases of every run that read one of these Examples; releases that may have."""
    artifacts: set[str] = set()
    pushes: dict[str, dict[str, Any]] = {}
    gone: dict[str, dict[str, Any]] = {}
    for section in sections(Path(deployment.root), locale):
        outputs = [component.get("outputs", {}) for component in section["components"]]
        read = {uris["examples"] for uris in outputs if "examples" in uris}
        influenced = bool(read & examples)
        if not influenced and all(Path(uri).exists() for uri in read):
            continue
        for uris in outputs:
            if influenced:
                artifacts.update(uri for uri in uris.values() if Path(uri).exists())
            push = Path(uris.get("pushed") or "") / "push.json"
            if uris.get("pushed") and push.exists():
                content = dict(read_json(push))
                if content.get("pushed"):
                    (pushes if influenced else gone)[str(content["uri"])] = content
    options = deployment.exchange.storage_options
    unsure = [push for uri, push in gone.items() if uri not in pushes and not is_revoked(push, options)]
    return sorted(artifacts), [pushes[uri] for uri in sorted(pushes)], unsure


def _source_rows(deployment: Deployment, locale: str, column: str, subject: str) -> dict[str, int]:
    """Rows of the subject in the files of the locale's current span."""
    config = regional_configs(deployment, locale).example_gen
    patterns = [source.pattern for source in config.sources]
    try:
        _, resolved, _ = resolve_sources(patterns, deployment.locale(locale).span)
    except DataError:
        return {}  # the span is gone, so nobody's rows are there
    found: dict[str, int] = {}
    for source, span in zip(config.sources, resolved, strict=True):
        for file in span.files:
            count = 0
            for block in read_blocks(source, file, span.filesystem, config):
                values = block.columns.get(column)
                if values is not None:
                    matches = pc.equal(values.cast(pa.string()), pa.scalar(subject))
                    count += int(pc.sum(matches).as_py() or 0)
            if count:
                found[file.name] = count
    return found


def erase(
    deployment: Deployment, locale: str, column: str, subject: str, *, apply: bool
) -> tuple[Evidence, Path | None]:
    """Traces a subject and, with `apply`, revokes and deletes everything that its rows went into.

    Sources are not touched: they are the locale's own systems. While they hold rows of the subject, the
    evidence is not complete, and the next run would take them in again.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      column: A series column of the data set.
      subject: The value at the source.
      apply: Whether anything is changed.

    Returns:
      The signed evidence and, with `apply`, the folder of the evidence pack (`evidence.json`, `.md`).

    Raises:
      ConfigError, DataError: as `trace`; the exchange cannot be written.
    """
    section = deployment.locale(locale)
    key = load_private_key(section.signing_key)
    found = trace(deployment, locale, column, subject)
    erasure_id = secrets.token_hex(6)
    releases = []
    for push in found.pushes:
        outcome = "would be revoked"
        if apply:
            # The reason leaves the locale: it names nothing of the subject.
            store = open_store(str(push["uri"]), "release", deployment.exchange.storage_options)
            outcome = revoke_release(store, key, f"erasure {erasure_id}").outcome
        releases.append(
            {"uri": str(push["uri"]), "content_digest": str(push["content_digest"]), "outcome": outcome}
        )
    notes = list(found.notes)
    try:
        detectors = _detectors(deployment, {release["content_digest"] for release in releases})
    except DataError as error:
        detectors = []
        notes.append(f"detectors were not looked for: {error}")
    salt = secrets.token_hex(_SALT_BYTES)
    evidence = Evidence(
        erasure_id=erasure_id,
        at=utc_now(),
        locale=locale,
        column=column,
        subject_salt=salt,
        subject_sha256=subject_digest(salt, subject),
        stored_as=found.stored_as,
        applied=apply,
        examples=found.examples,
        artifacts=tuple(found.artifacts),
        releases=tuple(releases),
        detectors=tuple(detectors),
        sources=found.sources,
        deleted=(),
        retrain=_to_retrain(found, detectors),
        complete=not found.sources,
        notes=tuple(notes),
    )
    if not apply:
        return key.sign(evidence), None
    # Before anything is deleted: the record of what was released is among what goes.
    _write_pack(deployment, key.sign(evidence))
    for uri in found.artifacts:
        delete_folder(Path(uri))
    evidence = key.sign(evidence.model_copy(update={"deleted": tuple(found.artifacts)}))
    folder = _write_pack(deployment, evidence)
    settings = governance_config(deployment, locale)
    if settings is not None and settings.policy:
        digest = hashlib.sha256(evidence.to_bytes()).hexdigest()
        body = {"erasure_id": erasure_id, "evidence_sha256": digest}
        open_audit_log(settings).record(key, "erasure", body)
    return evidence, folder


def _detectors(deployment: Deployment, digests: set[str]) -> list[dict[str, str]]:
    """Detectors in the registry that were built on releases of these contents."""
    found = {}
    for version in registry_versions(deployment):
        if any(release.get("digest") in digests for release in version["releases"]):
            found[version["uri"]] = {key: str(version[key]) for key in ("name", "version", "uri")}
    return [found[uri] for uri in sorted(found)]


def _to_retrain(found: Influence, detectors: list[dict[str, str]]) -> tuple[str, ...]:
    models = [uri for uri in found.artifacts if Path(uri).parent.name == "model"]
    return (*models, *(detector["uri"] for detector in detectors))


def _write_pack(deployment: Deployment, evidence: Evidence) -> Path:
    folder = Path(deployment.root) / evidence.locale / "governance" / "erasures" / evidence.erasure_id
    write_atomically(folder / "evidence.json", evidence.to_bytes())
    write_atomically(folder / "evidence.md", "\n".join(words(evidence)) + "\n")
    return folder
