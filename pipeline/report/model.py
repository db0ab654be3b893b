"""The typed content of a run report: what `report.json` holds and what the HTML page shows.

Nothing here can hold a row of a restricted region: only counts, metrics and binned curves. Where a
part of the run is absent, a `Part` carries the reason in words instead of the content.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import pydantic

#: What a reader of `report.json` checks first. The version rises whenever a key changes its meaning.
FORMAT: Literal["isthmus.report"] = "isthmus.report"
VERSION: Literal[1] = 1

CurveKind = Literal["density", "autocorrelation", "daily", "share"]

T = TypeVar("T")


class ReportModel(pydantic.BaseModel):
    """A frozen part of the report; no NaN and no infinity ever reaches it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Part(ReportModel, Generic[T]):
    """Content, or the reason why there is none.

    Attributes:
      content: What was read; None where it is absent.
      absent: The reason in words; empty where `content` is there.
    """

    content: T | None = None
    absent: str = ""


class Bounds(ReportModel):
    """A closed interval, in the unit of what it bounds."""

    lo: float
    hi: float


class ComponentRun(ReportModel):
    """One component of one pipeline.

    Attributes:
      id: Node id; unique within its pipeline.
      component: Class name.
      state: `executed`, `cached`, `failed`, or what the runner said.
      seconds: Wall time; None where it was not measured.
    """

    id: str
    component: str
    state: str
    seconds: float | None = None


class PipelineRun(ReportModel):
    """How one pipeline (a locale's or the centre's) went."""

    status: str
    error: str = ""
    log: str = ""
    seconds: float | None = None
    components: tuple[ComponentRun, ...] = ()


class RunHeader(ReportModel):
    """What ran and when. Times are ISO 8601 in UTC, durations in seconds.

    `exceptions`: sentences on what the border check let pass because the operator holds the rows.
    """

    run_id: str
    name: str
    started_at: str
    finished_at: str
    seconds: float | None = None
    config_digest: str
    seed: int | None = None
    exit_status: int | None = None
    versions: dict[str, str] = {}
    exceptions: tuple[str, ...] = ()


class Verdict(ReportModel):
    """The run in one sentence.

    Attributes:
      tone: `good`, `bad` (a verdict was negative), `broken` (an error), or `unknown`.
      sentence: What ran and how it ended.
      details: One sentence for each thing that a reader should know beside it.
    """

    tone: Literal["good", "bad", "broken", "unknown"]
    sentence: str
    details: tuple[str, ...] = ()


class Blessing(ReportModel):
    """A verdict of a gate, with its reasons."""

    verdict: str
    reasons: tuple[str, ...] = ()


class Ingest(ReportModel):
    """What ExampleGen read; counts of rows only.

    Attributes:
      reasons: Quarantined rows by reason.
      dropped_columns: Source columns that are not stored.
      pii: Action of the PII policy by column.
      splits: Rows by split.
    """

    rows_read: int | None = None
    rows_kept: int | None = None
    rows_quarantined: int | None = None
    reasons: dict[str, int] = {}
    dropped_columns: tuple[str, ...] = ()
    pii: dict[str, str] = {}
    splits: dict[str, int] = {}


class DriftRow(ReportModel):
    """One feature of this span against the previous one."""

    feature: str
    split: str
    measure: str
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    n: int | None = None
    n_baseline: int | None = None
    verdict: str
    reason: str = ""


class Anomaly(ReportModel):
    """One schema anomaly. The full description stays in the region: it may quote a value."""

    split: str
    feature: str
    severity: str
    short: str


class Drift(ReportModel):
    """What ExampleValidator found."""

    status: str
    reason: str = ""
    features: tuple[DriftRow, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


class GateCheck(ReportModel):
    """One rule of the release gate, judged.

    Attributes:
      rule: In words, such as `high bound <= 0.7`.
      value: What was compared; None where there was nothing to compare.
      threshold: The limit alone.
      reason: Why it failed, or why the limit is what it is.
    """

    rule: str
    value: float | None = None
    threshold: float | None = None
    passed: bool
    reason: str = ""


class Evidence(ReportModel):
    """One metric of a release with the gate's checks of it.

    Attributes:
      family: `fidelity`, `temporal`, `utility`, `privacy`, or another word that the evaluator uses.
      value: None where `status` is UNDEFINED (a failure) or NOT_APPLICABLE; then `reason` says why.
      direction: `higher` or `lower` is better.
      range: Least and greatest possible value; None where unbounded or unknown.
      interval: Confidence interval of `value`.
      control: The same quantity of a control that cannot leak (holdout rows, a naive attack).
      n: Rows, windows or series that the metric was computed from.
      checks: Empty where the gate does not look at this metric.
    """

    name: str
    family: str
    description: str = ""
    value: float | None = None
    status: str = "OK"
    reason: str = ""
    direction: str = ""
    range: tuple[float | None, float | None] = (None, None)
    interval: Bounds | None = None
    control: float | None = None
    n: int | None = None
    checks: tuple[GateCheck, ...] = ()


class Curve(ReportModel):
    """One binned curve pair, real against synthetic, over a shared grid.

    Attributes:
      kind: `density`, `autocorrelation`, `daily` (mean by hour of day) or `share` (of each category).
      feature: Feature name.
      unit: Unit of the feature; empty where dimensionless or unknown.
      x: Grid: values of the feature (density), lags in steps (autocorrelation) or hours (daily).
      labels: Ranks of the categories instead of `x` for `share`.
      real: Curve of the real rows. Shape [grid].
      synthetic: Curve of the synthetic rows. Shape [grid].
    """

    kind: CurveKind
    feature: str
    unit: str = ""
    x: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    real: tuple[float | None, ...] = ()
    synthetic: tuple[float | None, ...] = ()


class ReleaseQuality(ReportModel):
    """What ReleaseEvaluator measured and decided."""

    verdict: str
    evidence: tuple[Evidence, ...] = ()


class TrainingCurve(ReportModel):
    """One logged quantity over training. Shapes [points]."""

    name: str
    step: tuple[float, ...]
    value: tuple[float | None, ...]


class Training(ReportModel):
    """The synthesizer's training log.

    Attributes:
      stopped: Why training ended, in the trainer's word.
      judged_on: The split that fidelity was measured on.
      facts: Counts and scores by name.
    """

    seconds: float | None = None
    parameters: int | None = None
    stopped: str = ""
    judged_on: str = ""
    facts: dict[str, int | float] = {}
    curves: tuple[TrainingCurve, ...] = ()


class Push(ReportModel):
    """What a Pusher did."""

    pushed: bool
    reason: str = ""
    uri: str = ""
    release_id: str = ""
    digest: str = ""
    rows: int | None = None
    name: str = ""
    version: str = ""


class LocaleReport(ReportModel):
    """One region."""

    locale: str
    sharing: str
    run: PipelineRun
    ingest: Part[Ingest]
    drift: Part[Drift]
    training: Part[Training]
    quality: Part[ReleaseQuality]
    blessing: Part[Blessing]
    curves: Part[tuple[Curve, ...]]
    push: Part[Push]


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


class Picture(ReportModel):
    """A PNG that a component drew, embedded as it is."""

    title: str
    alt: str
    png_base64: str


class Forecasts(ReportModel):
    """Forecast plots per locale."""

    panels: tuple[ForecastPanel, ...] = ()
    pictures: tuple[Picture, ...] = ()
    left_out: int = 0


class SkewPair(ReportModel):
    """One feature of locale `a` against locale `b`."""

    a: str
    b: str
    feature: str
    measure: str
    value: float | None = None
    threshold: float | None = None
    verdict: str = ""
    reason: str = ""
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
    """What MergeGen took."""

    verdict: str
    quorum: str = ""
    accepted: tuple[AcceptedRelease, ...] = ()
    refused: tuple[RefusedRelease, ...] = ()
    missing: tuple[str, ...] = ()


class CentralReport(ReportModel):
    """The centre."""

    run: PipelineRun
    merge: Part[Merge]
    detection: Part[Detection]
    blessing: Part[Blessing]
    forecasts: Part[Forecasts]
    skew: Part[Skew]
    push: Part[Push]


class LineageEdge(ReportModel):
    """One release and the detector it fed."""

    locale: str
    release_id: str
    digest: str
    span: int | None = None
    rows: int | None = None
    detector: str


class RunReport(ReportModel):
    """A whole run."""

    format: Literal["isthmus.report"] = FORMAT
    format_version: Literal[1] = VERSION
    isthmus_version: str
    run: RunHeader
    verdict: Verdict
    locales: tuple[LocaleReport, ...]
    central: CentralReport
    lineage: tuple[LineageEdge, ...] = ()
