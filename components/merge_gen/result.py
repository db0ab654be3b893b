"""What a merge came to: releases accepted, refused, missing."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from components.config_base import canonical_json
from components.errors import QuorumError

#: Beside `merge.json`: what each region's monitoring released, `<locale>.json`.
MONITORS_FOLDER = "monitors"
#: Likewise: sketches of real rows, `<locale>.json`.
SKETCHES_FOLDER = "sketches"


@dataclass(frozen=True)
class Accepted:
    """A release that was merged; a row of `merge.json`."""

    locale: str
    sharing: str
    kind: str
    span: int
    sequence: int
    release_id: str
    uri: str
    manifest_sha256: str
    key_id: str
    digest: str
    rows: int
    bytes: int
    created_at: str
    checks: tuple[str, ...]


@dataclass(frozen=True)
class MergeResult:
    """What a merge came to.

    Attributes:
      accepted: Releases that were merged.
      refused: `locale`, `uri` and `reason` of each release that did not verify.
      missing: Locales that have no release.
      quorum: How many releases were needed.
      verdict: `merged` or `quorum not met`.
      warnings: What is odd, but decided nothing: clocks, forged revocations, names that differ in case.
    """

    accepted: tuple[Accepted, ...]
    refused: tuple[dict[str, str], ...]
    missing: tuple[str, ...]
    quorum: int
    verdict: str
    warnings: tuple[str, ...] = ()

    @property
    def data_digest(self) -> str:
        """SHA-256 over locale, span and content digest of what was merged."""
        content = [[item.locale, item.span, item.digest] for item in self.accepted]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The content of `merge.json`."""
        return {
            "quorum": self.quorum,
            "accepted": [{**asdict(item), "checks": list(item.checks)} for item in self.accepted],
            "refused": list(self.refused),
            "missing": list(self.missing),
            "verdict": self.verdict,
            "warnings": list(self.warnings),
            "data_digest": self.data_digest,
        }

    def require_quorum(self) -> None:
        """Raises if too few releases were merged.

        Raises:
          QuorumError: names what is missing and what was refused, and why.
        """
        if self.verdict == "merged":
            return
        reasons = [f"{name} has no release" for name in self.missing]
        reasons += [f"{item['locale']} refused ({item['reason']})" for item in self.refused]
        raise QuorumError(
            f"merge: {len(self.accepted)} releases verify, central.quorum needs {self.quorum}: "
            f"{'; '.join(reasons)}. Mend these regions or lower the quorum."
        )
