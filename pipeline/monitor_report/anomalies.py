"""Findings as TFDV's `Anomalies`, which `tfdv.load_anomalies_text` opens, and `load_anomalies_binary` of
TFDV's `anomalies_util`.

What TFDV has a comparator for carries that comparator's type (`anomalies.proto` of TensorFlow Metadata
1.16); what it has none for is a `CUSTOM_VALIDATION`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.drift.findings import ALL_FEATURES, WHOLE_SPAN, Finding, Measure, Measurement, MonitorReport
from components.executor_base import write_atomically
from pipeline.monitor_report import words

TEXT_FILE = "anomalies.pbtxt"
#: Name of the file that TFX's ExampleValidator writes.
BINARY_FILE = "SchemaDiff.pb"

_Reason: TypeAlias = anomalies_pb2.AnomalyInfo.Reason
_Kind = anomalies_pb2.AnomalyInfo.Type
_DRIFT_KIND = anomalies_pb2.DriftSkewInfo.Measurement.Type
_COMPARATORS: dict[Measure, tuple[int, int, str]] = {
    "infinity_norm": (_Kind.COMPARATOR_L_INFTY_HIGH, _DRIFT_KIND.L_INFTY, "Linfty distance"),
    "jensen_shannon_divergence": (
        _Kind.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH,
        _DRIFT_KIND.JENSEN_SHANNON_DIVERGENCE,
        "approximate Jensen-Shannon divergence",
    ),
}


def folder_of(split: str) -> str:
    """Folder of a split as TFX lays it out; that of all splits together is `span`."""
    return "span" if split == WHOLE_SPAN else f"Split-{split}"


def write_anomalies(report: MonitorReport, folder: Path) -> list[Path]:
    """Writes both forms for every split of a report.

    Args:
      report: One zone's.
      folder: Gets `<folder_of(split)>/anomalies.pbtxt` and `SchemaDiff.pb`.

    Returns:
      The files written.
    """
    written = []
    for split in dict.fromkeys(finding.split for finding in report.findings):
        found = anomalies_of(report.findings, split)
        place = folder / folder_of(split)
        write_atomically(place / TEXT_FILE, text_format.MessageToString(found))
        write_atomically(place / BINARY_FILE, found.SerializeToString(deterministic=True))
        written += [place / TEXT_FILE, place / BINARY_FILE]
    return written


def anomalies_of(findings: Sequence[Finding], split: str) -> anomalies_pb2.Anomalies:
    """The proto of one split.

    `drift_skew_info` holds every L-infinity and Jensen-Shannon distance, also those within limits: drift
    among the drift measurements, all other comparisons among the skew measurements. Where only the noise
    decides, the limit of the noise stands as the threshold. `anomaly_info` holds the alerts, and as TFDV does
    the comparisons whose one side has no data; findings on all features are the `dataset_anomaly_info`.
    """
    found = anomalies_pb2.Anomalies(
        anomaly_name_format=anomalies_pb2.Anomalies.AnomalyNameFormat.SERIALIZED_PATH
    )
    by_feature: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.split == split:
            by_feature.setdefault(finding.feature, []).append(finding)
    for feature, group in by_feature.items():
        if feature != ALL_FEATURES:
            _distances(found, feature, group)
        reasons = [reason for finding in group for reason in _reasons(finding)]
        if reasons:
            whole = feature == ALL_FEATURES
            info = found.dataset_anomaly_info if whole else found.anomaly_info[feature]
            _describe(info, feature, group, reasons)
    return found


def table_rows(report: MonitorReport) -> list[dict[str, str]]:
    """The anomaly table as TFDV displays it, split by split.

    Returns:
      Mappings with `split`, `feature`, `short`, `long` and `severity`.
    """
    rows = []
    for split in dict.fromkeys(finding.split for finding in report.findings):
        found = anomalies_of(report.findings, split)
        infos = list(found.anomaly_info.items())
        if found.HasField("dataset_anomaly_info"):
            infos.append(("[dataset anomaly]", found.dataset_anomaly_info))
        rows += [
            {
                "split": split,
                "feature": feature,
                "short": info.short_description,
                "long": info.description,
                "severity": anomalies_pb2.AnomalyInfo.Severity.Name(info.severity).lower(),
            }
            for feature, info in infos
        ]
    return rows


def _distances(found: anomalies_pb2.Anomalies, feature: str, group: Iterable[Finding]) -> None:
    info = anomalies_pb2.DriftSkewInfo()
    info.path.step.append(feature)
    for finding in group:
        rows = info.drift_measurements if finding.comparison == "drift" else info.skew_measurements
        for item in finding.measurements:
            known = _COMPARATORS.get(item.measure)
            if known is not None and item.value is not None:
                rows.add(type=known[1], value=item.value, threshold=words.limit(item) or 0.0)
    if info.drift_measurements or info.skew_measurements:
        found.drift_skew_info.append(info)


def _describe(
    info: anomalies_pb2.AnomalyInfo, feature: str, group: Sequence[Finding], reasons: Sequence[_Reason]
) -> None:
    if feature != ALL_FEATURES:
        info.path.step.append(feature)
    critical = any(item.verdict == "ALERT" and item.severity == "critical" for item in group)
    severity = anomalies_pb2.AnomalyInfo.Severity
    info.severity = severity.ERROR if critical else severity.WARNING
    info.reason.extend(reasons)
    # TFDV says "Multiple errors" here and joins the long descriptions.
    short = list(dict.fromkeys(reason.short_description for reason in reasons))
    info.short_description = short[0] if len(short) == 1 else "Multiple errors"
    causes = [f"Cause: {words.cause_name(item)}." for item in group if item.cause is not None]
    info.description = " ".join(dict.fromkeys([*(reason.description for reason in reasons), *causes]))


def _reasons(finding: Finding) -> list[_Reason]:
    if finding.verdict == "ALERT":
        alerting = [item for item in finding.measurements if item.verdict == "ALERT"]
        return [_alert(finding, item) for item in alerting] or [_other(finding)]
    if finding.verdict == "UNDEFINED":
        return _no_data(finding)
    return []


def _between(finding: Finding) -> str:
    return {
        "drift": "current and previous",
        "skew": f"{finding.locale} and {finding.against}",
        "generator": "real and synthetic",
        "serving": "training and serving",
        "intake": "the span and what is expected",
    }[finding.comparison]


def _alert(finding: Finding, item: Measurement) -> _Reason:
    known = _COMPARATORS.get(item.measure)
    kind, name = (
        (known[0], known[2]) if known else (_Kind.CUSTOM_VALIDATION, words.MEASURE_NAMES[item.measure])
    )
    between, held_against = _between(finding), words.limit(item)
    text = f"The {name} between {between} is {item.value:.6g}" if item.value is not None else f"{name} alerts"
    if held_against is not None and item.value is not None:
        what = "threshold" if item.threshold is not None else "limit of sampling noise"
        text += f" (up to six significant digits), above the {what} {held_against:.6g}"
    return _Reason(type=kind, short_description=f"High {name} between {between}", description=f"{text}.")


def _other(finding: Finding) -> _Reason:
    """An alert that no measurement carries, such as a data fault found without a distance."""
    name = words.cause_name(finding)
    told = finding.cause.words if finding.cause is not None else finding.reason
    return _Reason(
        type=_Kind.CUSTOM_VALIDATION, short_description=name.capitalize(), description=told or name
    )


def _no_data(finding: Finding) -> list[_Reason]:
    """As TFDV has it, a side without data is an anomaly of its own."""
    ours = [item.n for item in finding.measurements if item.n is not None]
    theirs = [item.n_baseline for item in finding.measurements if item.n_baseline is not None]
    why = words.reason_of(finding)
    if ours and not any(ours):
        return [
            _Reason(
                type=_Kind.COMPARATOR_TREATMENT_DATA_MISSING,
                short_description="Comparator treatment data missing",
                description=why,
            )
        ]
    if not theirs or not any(theirs):
        return [
            _Reason(
                type=_Kind.COMPARATOR_CONTROL_DATA_MISSING,
                short_description="Comparator control data missing",
                description=why,
            )
        ]
    return []
