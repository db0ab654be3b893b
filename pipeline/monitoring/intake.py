"""The report of a locale that came to no monitor: why, as a finding like any other.

Made of what `run.json` holds, which has left the locale already (`pipeline.refusals`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydantic

from components.drift.findings import ALL_FEATURES, EXPECTED, Cause, CauseName, Finding, MonitorReport

#: Our own sentences; the error itself stands in the finding's reason, judged by the locale's border.
_WORDS: dict[CauseName, str] = {
    "schema_change": "the span was refused, since {what} is gone from the source, there twice, or of another "
    "type.",
    "span_refused": "the span was refused before it could be compared with anything.",
    "run_failed": "the run failed before its monitor, so nothing is known of the span.",
}
_NO_SPAN = "Which span it was is not known; the last one that was seen stands for it."


def intake_report(
    zone: str, sharing: str, refusal: dict[str, Any], why: str, last_span: Callable[[], int]
) -> MonitorReport | None:
    """A report with the one alert that the span did not come to its monitor.

    Args:
      zone: The locale.
      sharing: `restricted` or `open`.
      refusal: Of the locale's section in `run.json`.
      why: Why there is no report, in a sentence that may leave.
      last_span: The highest span of the locale that an earlier run judged, or 0; asked where the refusal
        knows none.

    Returns:
      NOT_EVALUATED, with the finding. None where the refusal is of another form: written by another version.
    """
    span = refusal.get("span")
    try:
        words = _WORDS[refusal["cause"]]
        feature = str(refusal["feature"])
        what = "a column" if feature == ALL_FEATURES else f"column {feature}"
        number = span if isinstance(span, int) else last_span()
        finding = Finding(
            comparison="intake",
            locale=zone,
            against=EXPECTED,
            feature=feature,
            span=number,
            verdict="ALERT",
            severity=refusal["severity"],
            cause=Cause(name=refusal["cause"], words=f"{zone}: {words.format(what=what)}"),
            reason=why if isinstance(span, int) else f"{why} {_NO_SPAN}",
        )
        return MonitorReport(
            zone=zone,
            sharing="open" if sharing == "open" else "restricted",
            span=number,
            alpha=refusal["alpha"],
            correction=refusal["correction"],
            status="NOT_EVALUATED",
            reason=why,
            findings=(finding,),
        )
    except (KeyError, pydantic.ValidationError):
        return None
