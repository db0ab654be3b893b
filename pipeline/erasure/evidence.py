"""The evidence of an erasure: a signed document that is written before anything is changed, and completed."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import ClassVar, Literal

import pydantic

from components.config_base import ComponentConfig
from components.executor_base import write_atomically
from components.release.keys import PublicKey
from components.release.signature import Signed

_SALT_BYTES = 16
EVIDENCE_FILE = "evidence.json"


class SpanSearch(ComponentConfig):
    """One span of the locale, and whether its source was searched.

    Attributes:
      span: Its number.
      traces: What says that the locale has worked on it; empty where only the source has it.
      files: Source files that were looked at, replaced versions among them.
      rows: Rows of the subject in them.
      searched: Whether all of it was searched.
      why: Why not.
      stated_gone: The operator states that the source of this span was destroyed.
    """

    span: int
    traces: tuple[str, ...]
    files: int
    rows: int
    searched: bool
    why: str = ""
    stated_gone: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing is open about this span's source."""
        return (self.searched and not self.rows) or (not self.searched and self.stated_gone and not self.rows)


class Retraining(ComponentConfig):
    """What was made again in place of what was erased.

    Attributes:
      state: `not needed`, `left to be done` or `done`.
      why: Why it is left, or what `done` does not cover.
      run_id: Of the run that made it.
      exit_status: Of that run.
      releases: `uri`, `release_id`, `span` and `content_digest` (SHA-256) of each new release.
      detectors: `name`, `version`, `uri` and `content_digest` (SHA-256) of each new detector.
    """

    state: Literal["not needed", "left to be done", "done"]
    why: str = ""
    run_id: str = ""
    exit_status: int | None = None
    releases: tuple[dict[str, str], ...] = ()
    detectors: tuple[dict[str, str], ...] = ()


class Evidence(Signed):
    """What an erasure found and did; signed by the locale. Holds no name of the subject.

    Attributes:
      erasure_id: Of this erasure; a rerun that goes on with it keeps it.
      begun: Whether this is more than a drill: something is, or was, to be changed.
      applied: Whether all that was found is revoked and deleted.
      subject_salt, subject_sha256: SHA-256 of salt and subject, so that whoever knows the name can check.
      stored_as: `as it is`, or the action of the PII rule; under `generalise` with others of its form.
      examples: Per Examples artifact, rows per split.
      artifacts: Everything that was made from them.
      compared: What was made from other rows but measured against them: anomalies and drift results of
        later spans, evaluations and blessings of later releases.
      releases: Per release that was made from them `uri`, `content_digest` and `outcome`.
      compared_releases: Releases whose evaluation is in `compared`; their rows are not the subject's.
      detectors: Detectors that were built on `releases`.
      central: What lies at the centre and was made from `releases`; named, not deleted.
      spans: Every span, and whether its source was searched.
      sources: Per source file that still has rows of the subject, how many.
      deleted: Artifacts that were deleted.
      retrain: What has to be made again.
      retraining: What became of that.
      complete: Whether the source of every span was searched, or stated to be gone, and has no such row.
      notes: What could not be looked at.
    """

    signing_context: ClassVar[bytes] = b"isthmus-erasure-v2\n"

    format: Literal["isthmus-erasure"] = "isthmus-erasure"
    version: Literal[2] = 2
    erasure_id: str
    at: str
    locale: str
    column: str
    subject_salt: str
    subject_sha256: str
    stored_as: str
    begun: bool
    applied: bool
    examples: dict[str, dict[str, int]]
    artifacts: tuple[str, ...]
    compared: tuple[str, ...]
    releases: tuple[dict[str, str], ...]
    compared_releases: tuple[str, ...]
    detectors: tuple[dict[str, str], ...]
    central: tuple[str, ...]
    spans: tuple[SpanSearch, ...]
    sources: dict[str, int]
    deleted: tuple[str, ...]
    retrain: tuple[str, ...]
    retraining: Retraining
    complete: bool
    notes: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether a rerun has something to go on with."""
        left = self.retraining.state == "left to be done"
        return self.begun and not (self.applied and self.complete and not left)


def subject_digest(salt: str, subject: str) -> str:
    """SHA-256 (hex) that stands for the subject in the evidence."""
    return hashlib.sha256(f"{salt}\0{subject}".encode()).hexdigest()


def new_salt() -> str:
    """A salt for `subject_digest`: 16 random bytes, hex."""
    return secrets.token_hex(_SALT_BYTES)


def write_pack(root: Path, evidence: Evidence) -> Path:
    """Writes signed evidence below a locale's root, for machines and for people; returns the folder."""
    from pipeline.erasure.words import words

    folder = _packs(root) / evidence.erasure_id
    write_atomically(folder / EVIDENCE_FILE, evidence.to_bytes())
    write_atomically(folder / "evidence.md", "\n".join(words(evidence)) + "\n")
    return folder


def open_pack(root: Path, column: str, subject: str, keys: list[PublicKey]) -> Evidence | None:
    """The evidence of an erasure of this subject that was begun and has something left; None for none.

    What does not parse, or is not signed by one of the keys, is not gone on with.
    """
    for file in sorted(_packs(root).glob(f"*/{EVIDENCE_FILE}")):
        try:
            found = Evidence.model_validate_json(file.read_bytes())
        except pydantic.ValidationError:
            continue
        same = found.column == column and found.subject_sha256 == subject_digest(found.subject_salt, subject)
        if same and found.open and any(key.verifies(found) for key in keys):
            return found
    return None


def _packs(root: Path) -> Path:
    return root / "governance" / "erasures"
