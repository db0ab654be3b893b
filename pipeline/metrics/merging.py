"""Which releases the centre missed or refused, also where that made the merge fail."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from pipeline.metrics.words import Words
from pipeline.report.model import CentralReport

# A merge without a quorum leaves no list behind; its error has the names
# (`components.merge_gen.result.MergeResult.require_quorum`).
_MISSING = re.compile(r"[:;] ([\w-]+) has no release")
_REFUSED = re.compile(r"[:;] ([\w-]+) refused \(")


@dataclass(frozen=True)
class NotMerged:
    """What a merge did not take.

    Attributes:
      missing: Locales without a release.
      refused: Releases that were refused, by locale.
    """

    missing: frozenset[str]
    refused: Counter[str]


def not_merged(report: CentralReport, words: Words) -> NotMerged | None:
    """What the last merge did not take; None where there was none, or it failed for another reason."""
    merge, error = report.merge.content, report.run.error
    if merge is not None:
        missing, refused = list(merge.missing), [item.locale for item in merge.refused]
    elif report.run.status == "failed" and "central.quorum needs" in error:
        missing, refused = _MISSING.findall(error), _REFUSED.findall(error)
    else:
        return None
    return NotMerged(frozenset(map(words.locale, missing)), Counter(map(words.locale, refused)))
