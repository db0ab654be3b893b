"""What of a locale's `monitor.json` may leave: the listed fields, rounded counts, texts of this program.

The numbers are distances between real rows and other rows, thresholds, and what sampling noise would give;
no bin, no edge, no course over time, no evidence of a cause. Counts are rounded to the policy's
`min_supporters`, so that one row more or less does not show; times are those of a cause's begin and end, to
the hour.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

import pydantic

from components.dataset import DatasetConfig
from components.drift.findings import (
    ALL_FEATURES,
    WHOLE_SPAN,
    Cause,
    Finding,
    Measurement,
    MonitorReport,
    Null,
)
from components.egress import lists
from components.egress.config import EgressConfig
from components.egress.words import WITHHELD, outward, words_of
from components.errors import InternalError, ReleaseError

OUTWARD_FILE = "outward.json"
#: In a release.
RELEASE_FILE = "monitor.json"
MAX_BYTES = 16 << 20
#: Reasons and the words of a cause are sentences.
MAX_TEXT = 400
_DIGITS = 4
#: What a finding is compared with, besides names of locales.
_AGAINST = re.compile(r"span \d{1,12}|spans \d{1,12} to \d{1,12}|synthetic|test|(no|the) [a-z ]{1,40}")
_HOUR = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:00:00\+00:00)?")
#: What a sentence says in addition, where some of it was withheld.
_WITHHELD_ASIDE = re.compile(rf" \([^()]*{WITHHELD}[^()]*\)")
#: Units that measures have of themselves; others are those of features.
_UNITS = ("", "bit", "nat", "s", "h", "1")
_FIELDS: dict[type[pydantic.BaseModel], tuple[frozenset[str], frozenset[str]]] = {
    MonitorReport: (lists.MONITOR_FIELDS, frozenset()),
    Finding: (lists.FINDING_FIELDS, lists.FINDING_STAYS),
    Measurement: (lists.MEASUREMENT_FIELDS, frozenset()),
    Null: (lists.NULL_FIELDS, frozenset()),
    Cause: (lists.CAUSE_FIELDS, lists.CAUSE_STAYS),
}


def outward_report(report: MonitorReport, dataset: DatasetConfig, policy: EgressConfig) -> MonitorReport:
    """A report as it may leave: less what stays, counts and numbers rounded, texts judged.

    Args:
      report: A locale's, whole.
      dataset: Its names are public.
      policy: Of the locale.
    """
    names = public_names(report, dataset)
    units, features = _known_units(dataset), {*dataset.compared_names(), ALL_FEATURES}

    def unit(item: Measurement) -> Measurement:
        return item if item.unit in units else item.model_copy(update={"unit": ""})

    def text(value: str) -> str:
        return outward(value, names)[:MAX_TEXT]

    def cause(found: Cause | None) -> Cause | None:
        if found is None:
            return None
        return Cause(
            name=found.name,
            words=_whole(outward(found.words, names))[:MAX_TEXT],
            begin=_to_hour(found.begin),
            end=_to_hour(found.end),
        )

    def finding(found: Finding) -> Finding:
        return found.model_copy(
            update={
                "measurements": tuple(unit(_rounded(item, policy, text)) for item in found.measurements),
                "cause": cause(found.cause),
                "distribution": None,
                "time_line": None,
                "reason": text(found.reason),
            }
        )

    kept = [found for found in report.findings if found.feature in features]
    update = {"findings": tuple(map(finding, kept)), "reason": text(report.reason)}
    return report.model_copy(update=update)


def to_json(report: MonitorReport) -> dict[str, Any]:
    """JSON values of an outward report: the fields that leave, and no other."""
    found = _kept(report)
    assert isinstance(found, dict)
    return found


def released_monitor(raw: bytes, dataset: DatasetConfig, policy: EgressConfig, locale: str) -> bytes:
    """Checks the `outward.json` that goes into a release.

    Args:
      raw: Its bytes, as DriftMonitor or GeneratorMonitor wrote them.
      dataset: The columns.
      policy: Of the locale.
      locale: Whose it must be.

    Returns:
      The bytes of `monitor.json`.

    Raises:
      InternalError: a field that is on no list, a text that is not one of ours, a count that is not rounded.
        Whoever adds a field decides in `components.egress.lists` whether it leaves.
    """
    try:
        content = json.loads(raw)
        report = MonitorReport.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = outward(".".join(str(part) for part in first["loc"]))
        raise InternalError(
            f"egress: {OUTWARD_FILE} {where}: is on no list of what may leave, or of another form; nothing "
            "was released"
        ) from None
    except ValueError:
        raise InternalError(f"egress: {OUTWARD_FILE} is not JSON; nothing was released") from None
    if report.zone != locale:
        raise InternalError(f"egress: {OUTWARD_FILE} is not of locale {locale}; nothing was released")
    if why := _why_not(report, dataset):
        raise InternalError(f"egress: {OUTWARD_FILE} {why}; nothing was released")
    if to_json(outward_report(report, dataset, policy)) != content:
        raise InternalError(
            f"egress: {OUTWARD_FILE} holds a field that stays, a text that is not one of this program's own, "
            "or a number that is not rounded; nothing was released"
        )
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def accepted_monitor(raw: bytes, dataset: DatasetConfig, locale: str, span: int, uri: str) -> MonitorReport:
    """Reads the `monitor.json` of another's release, which is signed but not ours.

    Args:
      raw: Its bytes.
      dataset: The columns.
      locale, span: Whose release it lies in.
      uri: For messages.

    Raises:
      ReleaseError: it is of another form, of another locale or span, names what the data set does not have,
        or holds what no release may: bins, courses over time, evidence.
    """
    place = f"{uri}/{RELEASE_FILE}"
    if len(raw) > MAX_BYTES:
        raise ReleaseError(f"{place}: larger than {MAX_BYTES} bytes; refused unread.")
    try:
        report = MonitorReport.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        depth = ".".join(ascii(str(part))[1:-1][:40] for part in first["loc"]) or "top level"
        raise ReleaseError(f"{place}: not a monitoring report ({depth}: {first['type']}).") from None
    if (report.zone, report.span) != (locale, span):
        raise ReleaseError(f"{place}: is not of locale {locale} span {span}.")
    if why := _why_not(report, dataset):
        raise ReleaseError(f"{place}: {why}.")
    names = public_names(report, dataset)
    # A region with a newer program may say something in words that this one does not know.
    findings = tuple(
        item.model_copy(
            update={
                "reason": outward(item.reason, names)[:MAX_TEXT],
                "cause": item.cause.model_copy(
                    update={"words": _whole(outward(item.cause.words, names))[:MAX_TEXT]}
                )
                if item.cause
                else None,
            }
        )
        for item in report.findings
    )
    reason = outward(report.reason, names)[:MAX_TEXT]
    return report.model_copy(update={"findings": findings, "reason": reason})


def public_names(report: MonitorReport, dataset: DatasetConfig) -> frozenset[str]:
    """Words of names that both sides of the border have: columns and the locale's own."""
    return words_of([*dataset.compared_names(), *dataset.series, dataset.timestamp, report.zone])


def _why_not(report: MonitorReport, dataset: DatasetConfig) -> str:
    """What in a report does not leave; empty where all does. Values are not quoted."""
    features = {*dataset.compared_names(), ALL_FEATURES}
    units = _known_units(dataset)
    for number, finding in enumerate(report.findings):
        place = f"findings {number}"
        if finding.distribution is not None:
            return f"{place}: holds bins, which stay in the region"
        if finding.time_line is not None:
            return f"{place}: holds a course over time, which stays in the region"
        if finding.feature not in features:
            return f"{place}: names a feature that the data set does not have"
        if finding.locale != report.zone or finding.split != WHOLE_SPAN:
            return f"{place}: is of another locale or split"
        if not _AGAINST.fullmatch(finding.against):
            return f"{place}: says in free text what it is compared with"
        if any(item.unit not in units for item in finding.measurements):
            return f"{place}: has a unit that the data set does not have"
        if len(finding.reason) > MAX_TEXT or any(
            len(item.reason) > MAX_TEXT for item in finding.measurements
        ):
            return f"{place}: has a reason of more than {MAX_TEXT} characters"
        cause = finding.cause
        if cause is not None and cause.evidence:
            return f"{place}: holds evidence of its cause, which stays in the region"
        if cause is not None and not (_HOUR.fullmatch(cause.begin) and _HOUR.fullmatch(cause.end)):
            return f"{place}: its cause begins or ends at another time than a whole hour"
        if cause is not None and len(cause.words) > MAX_TEXT:
            return f"{place}: has a cause of more than {MAX_TEXT} characters"
    return ""


def _known_units(dataset: DatasetConfig) -> set[str]:
    return {*_UNITS, *(feature.unit for feature in dataset.features if feature.unit)}


def _rounded(item: Measurement, policy: EgressConfig, text: Any) -> Measurement:
    null = item.null
    rounded = null and null.model_copy(
        update={"mean": _digits(null.mean), "limit": _digits(null.limit), "block_s": _digits(null.block_s)}
    )
    return item.model_copy(
        update={
            **{name: _digits(getattr(item, name)) for name in ("value", "threshold", "p_value", "q_value")},
            **{name: _count(getattr(item, name), policy.min_supporters) for name in ("n", "n_baseline")},
            "null": rounded,
            "reason": text(item.reason),
        }
    )


def _whole(words: str) -> str:
    """A sentence less the parentheses of which something was withheld: it holds without them."""
    return _WITHHELD_ASIDE.sub("", words)


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def _count(value: int | None, step: int) -> int | None:
    return None if value is None else step * round(value / step)


def _to_hour(stamp: str) -> str:
    """A time of ISO 8601, to the hour; empty where there is none, or it is none."""
    try:
        found = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return ""
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.timezone.utc)
    hour = found.astimezone(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    return hour.isoformat(timespec="seconds")


def _kept(value: Any) -> Any:
    """JSON values with the listed fields of each model.

    Raises:
      InternalError: a model has a field that is on no list.
    """
    if isinstance(value, pydantic.BaseModel):
        leaves, stays = _FIELDS[type(value)]
        for name in type(value).model_fields:
            if name not in leaves | stays:
                raise InternalError(
                    f"egress: {type(value).__name__}.{name} is on no list of what may leave; name it in "
                    "components.egress.lists"
                )
        return {name: _kept(getattr(value, name)) for name in sorted(leaves)}
    if isinstance(value, Mapping):
        return {str(key): _kept(item) for key, item in value.items()}
    return [_kept(item) for item in value] if isinstance(value, (list, tuple)) else value
