"""A region's part of a report: counts, metrics and binned curves; never a row."""

from __future__ import annotations

from typing import Literal

from pipeline.report.model_parts import Blessing, Bounds, Comparison, Part, PipelineRun, Push, ReportModel
from pipeline.report.model_quality import DataQuality

CurveKind = Literal["density", "autocorrelation", "daily", "share"]


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


class DriftRow(Comparison):
    """One feature of this span against the previous one."""

    split: str
    p_value: float | None = None
    n: int | None = None
    n_baseline: int | None = None


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
      rare_events: What became of kinds of anomaly with few real windows, as a sentence that names none.
      facts: Counts and scores by name.
    """

    seconds: float | None = None
    parameters: int | None = None
    stopped: str = ""
    judged_on: str = ""
    rare_events: str = ""
    facts: dict[str, int | float] = {}
    curves: tuple[TrainingCurve, ...] = ()


class Budget(ReportModel):
    """A locale's privacy budget at the end of the run, from its ledger; epsilons at `delta`, dimensionless.

    Attributes:
      epsilon: The budget.
      unit: Whose presence is protected: `record`, `window` or `series`.
      neighboring_relation: What neighbouring data sets are.
      spent: By what was published; None where no bound is finite.
      counted: With what is reserved, which counts as spent.
      left: `epsilon` less `counted`.
      releases: Models that were paid for.
      reserved: Reservations that are open.
      refused: Reservations that the budget did not allow.
    """

    epsilon: float
    delta: float
    unit: str
    neighboring_relation: str = ""
    spent: float | None = None
    counted: float | None = None
    left: float | None = None
    releases: int | None = None
    reserved: int | None = None
    refused: int | None = None


class Decision(ReportModel):
    """One person's decision; `at` is ISO 8601 in UTC."""

    who: str
    at: str
    decision: str


class Approval(ReportModel):
    """What people decided about the release of this run.

    Attributes:
      state: `approved`, `rejected` or `waiting for approval`.
      required: Approvals that a release needs.
    """

    state: str
    required: int | None = None
    decisions: tuple[Decision, ...] = ()


class Statement(ReportModel):
    """The privacy statement of this run's release, as its signed manifest holds it.

    Attributes:
      mechanism: Of differential privacy; says itself where there is none, and the next four are absent then.
      epsilon: Dimensionless, per `unit`.
      unit: Whose presence is protected: `record`, `window` or `series`.
      adjacency: What neighbouring data sets are.
      sentences: What is covered, and what is not.
    """

    mechanism: str
    epsilon: float | None = None
    delta: float | None = None
    unit: str = ""
    adjacency: str = ""
    sentences: tuple[str, ...] = ()


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
    budget: Part[Budget]
    approval: Part[Approval]
    statement: Part[Statement]
    curves: Part[tuple[Curve, ...]]
    push: Part[Push]
    data_quality: Part[DataQuality] = Part[DataQuality](absent="Not recorded.")
