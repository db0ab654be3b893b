"""Every metric that Isthmus exports: name, kind, unit, labels, meaning. Page, rules and dashboards follow it.

Names are of prometheus.io/docs/practices/naming and the OpenMetrics 1.0 specification: one prefix, base
units, the unit last, `_total` on counters. The detector's own `/metrics` (`pipeline.serving`) is another
process with names of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "isthmus_"
#: On every series: the deployment's name. On those of a pipeline also its zone: a locale, or `central`.
DEPLOYMENT, ZONE = "deployment", "zone"
#: One comparison of one feature.
FINDING_LABELS = ("locale", "comparison", "against", "feature", "split")
_MEASURED = (*FINDING_LABELS, "measure")
_WITH_UNIT = (*_MEASURED, "unit")
_SCORED = ("detector", "scenario", "locale")

Kind = Literal["gauge", "counter", "info"]


@dataclass(frozen=True)
class MetricSpec:
    """One metric.

    Attributes:
      name: As a series has it (`_total` of a counter, `_info` of an information included).
      kind: How it may be read: a gauge goes up and down, a counter only up, an information is always 1.
      labels: Beside `deployment` and, where `per` is `zone`, `zone`.
      help: What it means, one sentence; the unit is the name's last word where it has one.
      per: `run`: once for the deployment; `zone`: for each pipeline that ran.
      unit: A base unit; empty where dimensionless, or where the label `unit` says it.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    per: Literal["run", "zone"] = "zone"
    unit: str = ""

    @property
    def family(self) -> str:
        """Name without what the kind appends."""
        return self.name.removesuffix({"counter": "_total", "info": "_info"}.get(self.kind, ""))

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The labels in the order of a series."""
        return (DEPLOYMENT, *((ZONE,) if self.per == "zone" else ()), *self.labels)


CATALOGUE: tuple[MetricSpec, ...] = (
    MetricSpec("isthmus_build_info", "info", ("version",), "The version that made the run; always 1.", "run"),
    MetricSpec(
        "isthmus_last_run_timestamp_seconds",
        "gauge",
        (),
        "When the last run ended, whatever became of it.",
        "run",
        "seconds",
    ),
    MetricSpec(
        "isthmus_last_success_timestamp_seconds",
        "gauge",
        (),
        "When the last run ended with exit status 0; absent before the first.",
        "run",
        "seconds",
    ),
    MetricSpec("isthmus_run_duration_seconds", "gauge", (), "Wall time of the last run.", "run", "seconds"),
    MetricSpec(
        "isthmus_run_exit_status",
        "gauge",
        (),
        "Of the last run: 0 done, 1 a verdict was negative, 2 bad input, 3 our fault.",
        "run",
    ),
    MetricSpec("isthmus_runs_total", "counter", ("exit_status",), "Runs that ended.", "run"),
    MetricSpec(
        "isthmus_zone_success", "gauge", (), "1 if the zone's pipeline succeeded in its last run, else 0."
    ),
    MetricSpec(
        "isthmus_zone_last_success_timestamp_seconds",
        "gauge",
        (),
        "When a run ended in which the zone's pipeline succeeded; absent before the first.",
        unit="seconds",
    ),
    MetricSpec(
        "isthmus_zone_duration_seconds", "gauge", (), "Wall time of the zone's last pipeline.", unit="seconds"
    ),
    MetricSpec("isthmus_zone_failures_total", "counter", (), "Pipelines of the zone that failed."),
    MetricSpec("isthmus_ingest_rows", "gauge", ("outcome",), "Rows read, by what became of them."),
    MetricSpec(
        "isthmus_release_published",
        "gauge",
        ("locale",),
        "1 if the last run's release was published, else 0.",
    ),
    MetricSpec("isthmus_release_rows", "gauge", ("locale",), "Rows of the release that was published last."),
    MetricSpec(
        "isthmus_releases_published_total", "counter", ("locale",), "Releases that crossed the border."
    ),
    MetricSpec(
        "isthmus_gate_failures_total", "counter", ("locale",), "Releases that the gate did not bless."
    ),
    MetricSpec(
        "isthmus_release_missing", "gauge", ("locale",), "1 if the last merge had no release of the locale."
    ),
    MetricSpec(
        "isthmus_release_refused", "gauge", ("locale",), "Releases that the last merge refused to take."
    ),
    MetricSpec(
        "isthmus_releases_refused_total", "counter", ("locale",), "Releases that merges refused to take."
    ),
    MetricSpec(
        "isthmus_privacy_epsilon_spent",
        "gauge",
        ("locale", "unit"),
        "Privacy loss of what was published, composed, for the unit of protection that paid most.",
    ),
    MetricSpec(
        "isthmus_privacy_epsilon_counted",
        "gauge",
        ("locale", "unit"),
        "Privacy loss with what is set aside for open reservations, which counts as spent.",
    ),
    MetricSpec(
        "isthmus_privacy_epsilon_budget", "gauge", ("locale", "unit"), "Largest privacy loss allowed."
    ),
    MetricSpec(
        "isthmus_privacy_reservations_refused_total",
        "counter",
        ("locale",),
        "Releases that the privacy budget did not allow; from the locale's ledger.",
    ),
    MetricSpec(
        "isthmus_detector_f1_ratio", "gauge", _SCORED, "F1 over labelled test rows, 0 to 1.", unit="ratio"
    ),
    MetricSpec(
        "isthmus_detector_true_positive_ratio",
        "gauge",
        _SCORED,
        "Anomalous rows that were flagged.",
        unit="ratio",
    ),
    MetricSpec(
        "isthmus_detector_false_positive_ratio",
        "gauge",
        _SCORED,
        "Normal rows that were flagged.",
        unit="ratio",
    ),
    MetricSpec("isthmus_detector_blessed", "gauge", (), "1 if the detector was blessed, else 0."),
    MetricSpec(
        "isthmus_monitor_evaluated",
        "gauge",
        (),
        "1 if the zone's monitoring compared anything in the last run; 0: no baseline, or it did not run.",
    ),
    MetricSpec("isthmus_monitor_span", "gauge", (), "Number of the span that was judged last."),
    MetricSpec(
        "isthmus_monitor_findings",
        "gauge",
        ("verdict",),
        "Comparisons of the last run by verdict; UNDEFINED is no clearance.",
    ),
    MetricSpec(
        "isthmus_monitor_alerts",
        "gauge",
        ("locale", "cause", "severity"),
        "Comparisons that alert in the last run; absent where there is none.",
    ),
    MetricSpec(
        "isthmus_drift_findings_left_out",
        "gauge",
        ("locale", "comparison"),
        "Comparisons without series of their own, beyond the limits of the section metrics.",
    ),
    MetricSpec("isthmus_drift_alert", "gauge", FINDING_LABELS, "1 if the comparison alerts, 0 if it is OK."),
    MetricSpec(
        "isthmus_drift_distance_ratio",
        "gauge",
        _MEASURED,
        "Distance of a measure that lies in [0, 1]; Jensen-Shannon to base 2, whose most is 1 bit.",
        unit="ratio",
    ),
    MetricSpec(
        "isthmus_drift_threshold_ratio",
        "gauge",
        _MEASURED,
        "Largest such distance that passes.",
        unit="ratio",
    ),
    MetricSpec(
        "isthmus_drift_noise_limit_ratio",
        "gauge",
        _MEASURED,
        "What sampling noise alone exceeds with probability alpha.",
        unit="ratio",
    ),
    MetricSpec(
        "isthmus_drift_statistic", "gauge", _MEASURED, "Value of a measure without a unit or an upper end."
    ),
    MetricSpec("isthmus_drift_statistic_threshold", "gauge", _MEASURED, "Largest such value that passes."),
    MetricSpec(
        "isthmus_drift_statistic_noise_limit",
        "gauge",
        _MEASURED,
        "What sampling noise alone exceeds with probability alpha.",
    ),
    MetricSpec(
        "isthmus_drift_shift", "gauge", _WITH_UNIT, "Distance in the unit of the label unit (Wasserstein)."
    ),
    MetricSpec("isthmus_drift_shift_threshold", "gauge", _WITH_UNIT, "Largest such distance that passes."),
    MetricSpec(
        "isthmus_drift_shift_noise_limit",
        "gauge",
        _WITH_UNIT,
        "What sampling noise alone exceeds with probability alpha.",
    ),
    MetricSpec("isthmus_drift_p_value", "gauge", _MEASURED, "Probability of as much under sampling noise."),
    MetricSpec(
        "isthmus_drift_q_value", "gauge", _MEASURED, "The p-value after the control of false discoveries."
    ),
)

BY_NAME = {metric.name: metric for metric in CATALOGUE}
