"""The evidence of an erasure: a signed document, and the same for people."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

from components.release.signature import Signed


class Evidence(Signed):
    """What an erasure found and did; signed by the locale. Holds no name of the subject.

    Attributes:
      erasure_id: Of this erasure.
      subject_salt, subject_sha256: SHA-256 of salt and subject, so that whoever knows the name can check.
      stored_as: `as it is`, or the action of the PII rule; under `generalise` with others of its form.
      examples: Per Examples artifact, rows per split.
      artifacts: Everything that was made from them.
      releases: Per release `uri`, `content_digest` and `outcome`.
      detectors: Detectors that were built on those releases.
      sources: Per source file that still has rows of the subject, how many.
      deleted: Artifacts that were deleted.
      retrain: What has to be made again.
      complete: Whether no source has rows of the subject any more.
      notes: What could not be looked at.
    """

    signing_context: ClassVar[bytes] = b"isthmus-erasure-v1\n"

    format: Literal["isthmus-erasure"] = "isthmus-erasure"
    version: Literal[1] = 1
    erasure_id: str
    at: str
    locale: str
    column: str
    subject_salt: str
    subject_sha256: str
    stored_as: str
    applied: bool
    examples: dict[str, dict[str, int]]
    artifacts: tuple[str, ...]
    releases: tuple[dict[str, str], ...]
    detectors: tuple[dict[str, str], ...]
    sources: dict[str, int]
    deleted: tuple[str, ...]
    retrain: tuple[str, ...]
    complete: bool
    notes: tuple[str, ...] = ()


def subject_digest(salt: str, subject: str) -> str:
    """SHA-256 (hex) that stands for the subject in the evidence."""
    return hashlib.sha256(f"{salt}\0{subject}".encode()).hexdigest()


def words(evidence: Evidence) -> list[str]:
    """The evidence as Markdown, for people."""
    rows = {uri: sum(splits.values()) for uri, splits in evidence.examples.items()}
    signed = f" by key {evidence.signature.key_id}" if evidence.signature else ""
    done = "deleted" if evidence.applied else "would be deleted"
    lines = [
        f"# Erasure {evidence.erasure_id} in locale {evidence.locale}",
        "",
        f"{evidence.at}; signed{signed} in `evidence.json`. "
        + ("Applied." if evidence.applied else "A drill: nothing was changed."),
        "",
        f"Subject: a value of `{evidence.column}`, stored {evidence.stored_as}; SHA-256 of salt "
        f"`{evidence.subject_salt}`, a zero byte and the value: `{evidence.subject_sha256}`.",
        "",
        f"- Examples with rows of the subject: {len(rows)} ({sum(rows.values())} rows).",
        f"- Artifacts made from them, {done}: {len(evidence.artifacts)}.",
        f"- Releases made from them: {len(evidence.releases)}.",
        *(f"  - {release['uri']}: {release['outcome']}" for release in evidence.releases),
        f"- Detectors built on those releases: {len(evidence.detectors)}.",
        *(f"  - {detector['uri']}" for detector in evidence.detectors),
        f"- To be made again: {len(evidence.retrain)}.",
        *(f"  - {uri}" for uri in evidence.retrain),
        *(f"- Note: {note}" for note in evidence.notes),
    ]
    if evidence.sources:
        lines.append(
            "- NOT complete: source files still have rows of the subject; remove them, then run again:"
        )
        lines += [f"  - {name}: {count} rows" for name, count in sorted(evidence.sources.items())]
    else:
        lines.append("- The sources of the current span have no row of the subject.")
    return lines
