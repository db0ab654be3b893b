"""The centre's part of a report: merge, scenario table, forecasts, skew, push."""

from __future__ import annotations

from pipeline.report.model_parts import Blessing, Bounds, Comparison, Part, PipelineRun, Push, ReportModel
from pipeline.report.model_quality import DataQuality, Fairness


class Rate(ReportModel):
    """A rate in [0, 1] with its bootstrap interval; `reason` says why `value` is None."""

    value: float | None = None
    interval: Bounds | None = None
    reason: str = ""


class Score(ReportModel):
    """Detection quality over labelled test rows.

    Attributes:
      f1: 2 TP / (2 TP + FP + FN).
      tpr: True positive rate, TP / (TP + FN).
      fpr: False positive rate, FP / (FP + TN).
      accuracy: (TP + TN) / all rows.
      events: Labelled events of which at least one row was flagged, and all events.
    """

    f1: Rate = Rate()
    precision: Rate = Rate()
    tpr: Rate = Rate()
    fpr: Rate = Rate()
    accuracy: Rate = Rate()
    tp: int | None = None
    fp: int | None = None
    tn: int | None = None
    fn: int | None = None
    events: tuple[int, int] | None = None


class ScenarioScore(ReportModel):
    """One detector in one scenario: overall, per locale and per kind of anomaly.

    Attributes:
      training: What the detector was trained on, in a sentence.
      absent: Why there is no score; empty where there is one.
    """

    scenario: str
    detector: str
    training: str = ""
    absent: str = ""
    overall: Score = Score()
    by_locale: dict[str, Score] = {}
    by_kind: dict[str, Rate] = {}


class Difference(ReportModel):
    """A paired difference of F1 between two scenarios with its bootstrap interval."""

    detector: str
    scenario: str
    baseline: str
    value: float | None = None
    interval: Bounds | None = None
    reason: str = ""


class Detection(ReportModel):
    """The scenario table."""

    scenarios: tuple[ScenarioScore, ...]
    differences: tuple[Difference, ...] = ()
    test_rows: int | None = None
    test_anomalies: int | None = None
    test_events: int | None = None
    confidence: float | None = None
    deciding_detector: str = ""


class ForecastPanel(ReportModel):
    """One target of one series of the labelled test set at the centre, thinned for drawing.

    Attributes:
      timestamp_us: Microseconds since the epoch, UTC. Shape [points].
      y: True value. Shape [points], in the target's unit.
      yhat: Forecast; `lower` and `upper` bound its interval. Shapes [points].
      mark: Per point one of `""`, `tp`, `fp`, `fn`. Shape [points].
    """

    locale: str
    series: str
    target: str
    detector: str
    scenario: str
    unit: str = ""
    timestamp_us: tuple[int, ...]
    y: tuple[float | None, ...]
    yhat: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    mark: tuple[str, ...]
    points_total: int


class Forecasts(ReportModel):
    """Forecast plots per locale."""

    panels: tuple[ForecastPanel, ...] = ()
    left_out: int = 0


class SkewPair(Comparison):
    """One feature of locale `a` against locale `b`."""

    a: str
    b: str
    n_a: int | None = None
    n_b: int | None = None


class Skew(ReportModel):
    """Locale against locale, per feature."""

    locales: tuple[str, ...]
    features: tuple[str, ...]
    pairs: tuple[SkewPair, ...] = ()


class AcceptedRelease(ReportModel):
    """A release that the centre verified and merged."""

    locale: str
    release_id: str
    span: int | None = None
    rows: int | None = None
    key_id: str = ""
    digest: str = ""
    uri: str = ""


class RefusedRelease(ReportModel):
    """A release that the centre did not take, and why."""

    locale: str
    uri: str = ""
    reason: str


class Merge(ReportModel):
    """What MergeGen took; `warnings` are of what is odd in the exchange and decided nothing."""

    verdict: str
    quorum: str = ""
    accepted: tuple[AcceptedRelease, ...] = ()
    refused: tuple[RefusedRelease, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: Part[tuple[str, ...]]


class CentralReport(ReportModel):
    """The centre."""

    run: PipelineRun
    merge: Part[Merge]
    detection: Part[Detection]
    blessing: Part[Blessing]
    forecasts: Part[Forecasts]
    skew: Part[Skew]
    push: Part[Push]
    fairness: Part[Fairness] = Part[Fairness](absent="Not recorded.")
    test_quality: Part[DataQuality] = Part[DataQuality](absent="Not recorded.")
