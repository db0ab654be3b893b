"""What monitoring found: the one form that components write, and that reports, alerts and metrics read.

`monitor.json` is a `MonitorReport` of one pipeline (a locale's or the centre's); a `MonitorRun` gathers those
of one run. Every comparison is kept, green or red, with what decided it. No value of a row is ever in one:
distances, counts, times rounded to a bucket, and names.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import pydantic

#: Of the JSON form. A reader refuses a number that it does not know.
SCHEMA_VERSION: Final = 1
#: Stands for all features together (the multivariate test, the cadence), and for all splits.
ALL_FEATURES = "(all)"
WHOLE_SPAN = "(span)"

#: What is compared: a span with earlier ones, a locale with another, the real rows of a locale with its
#: synthetic ones (inside the region), the training rows with what the deployed detector sees. `intake` is no
#: comparison of rows: the span did not come to its monitor.
Comparison = Literal["drift", "skew", "generator", "serving", "intake"]
Measure = Literal[
    "infinity_norm",
    "jensen_shannon_divergence",
    "kolmogorov_smirnov",
    "anderson_darling",
    "wasserstein",
    "population_stability_index",
    "chi_squared",
    "missing_rate",
    "cadence",
    "maximum_mean_discrepancy",
    "label_shift",
    "concept_shift",
    "schema",
]
CauseName = Literal[
    "real_regional_difference",
    "generator_error",
    "drift_in_time",
    "sampling_noise",
    "stuck_sensor",
    "unit_change",
    "clock_shift",
    "silent_gap",
    "schema_change",
    "span_refused",
    "run_failed",
    "unknown",
]
Verdict = Literal["OK", "ALERT", "UNDEFINED"]
Severity = Literal["info", "warning", "critical"]

MEASURES: tuple[Measure, ...] = get_args(Measure)
CAUSES: tuple[CauseName, ...] = get_args(CauseName)
#: Least severe first.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
#: Causes that are faults of the data path, not of the plant or the generator.
DATA_FAULTS: tuple[CauseName, ...] = (
    "stuck_sensor",
    "unit_change",
    "clock_shift",
    "silent_gap",
    "schema_change",
    "span_refused",
)
#: Causes of an `intake` finding, which `pipeline.refusals` names.
INTAKE_CAUSES: tuple[CauseName, ...] = ("schema_change", "span_refused", "run_failed")
#: What such a finding is held against.
EXPECTED: Final = "what the deployment expects"


class FindingModel(pydantic.BaseModel):
    """A frozen part of a report; no NaN and no infinity ever reaches it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Null(FindingModel):
    """What sampling noise alone does to a measure: the block-resampling null.

    Attributes:
      mean: Of the measure under the null, in the measure's unit.
      limit: Its quantile at 1 - alpha.
      draws: Resamplings.
      blocks: Blocks on both sides together.
      block_s: Length of a block, in seconds.
    """

    mean: float
    limit: float
    draws: int
    blocks: int
    block_s: float


class Measurement(FindingModel):
    """One measure of one comparison, whatever its colour.

    Attributes:
      measure: Its name; `components.drift.glossary` has formula, range and source.
      value: In `unit`, or None where it is undefined; then `reason` says why.
      unit: Empty where dimensionless; `bit`, `s`, the feature's own.
      threshold: Largest value that passes, in `unit`; None where only the noise decides.
      rule: `number`: a threshold was configured. `noise`: beyond sampling noise at `alpha`, after the
        false-discovery control. `kept`: recorded, judges nothing.
      n: Values on the first side (rows with a value; rows for `(all)`).
      n_baseline: Values on the other side.
      bins: Bins or categories that it was computed on; None where it needs none.
      p_value: Under the null, in (0, 1].
      q_value: After the false-discovery control over the family of tests.
      null: The null of sampling noise, where it was drawn.
      verdict: `OK`, `ALERT`, or `UNDEFINED`.
      reason: Why it is undefined, or a remark; else empty.
    """

    measure: Measure
    value: float | None = None
    unit: str = ""
    threshold: float | None = None
    rule: Literal["number", "noise", "kept"] = "kept"
    n: int | None = None
    n_baseline: int | None = None
    bins: int | None = None
    p_value: float | None = None
    q_value: float | None = None
    null: Null | None = None
    verdict: Verdict = "OK"
    reason: str = ""


class Cause(FindingModel):
    """What an alert most likely is, and what speaks for it.

    Attributes:
      name: One of `CAUSES`.
      words: One sentence, without a value of a row.
      evidence: Distances and shares that decided, by name.
      begin: ISO 8601 in UTC: when it began, to the bucket of the time line; empty where unknown. Of a drift
        that was there from the beginning of the span, the span's.
      end: When it ended; empty where it has not, or is unknown. Of a drift the end of the span, up to which
        it was seen.
    """

    name: CauseName
    words: str
    evidence: dict[str, float] = {}
    begin: str = ""
    end: str = ""


class Distribution(FindingModel):
    """Both sides of a feature, binned, for a picture; not for a restricted locale's outward form.

    Attributes:
      edges: Of the bins of a numeric feature, in its unit, ascending. Shape [bins + 1].
      labels: The categories of another one, in place of `edges`. Shape [bins].
      share: Of the first side in each bin. Shape [bins]. Sums to 1.
      share_baseline: Of the other side.
    """

    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    share: tuple[float, ...]
    share_baseline: tuple[float, ...]


class TimeLine(FindingModel):
    """A distance from the baseline along the span, bucket by bucket.

    Attributes:
      begin: Start of each bucket, ISO 8601 in UTC. Shape [buckets].
      bucket_s: Length of a bucket, in seconds.
      measure: What is drawn.
      value: None where a bucket has too few values. Shape [buckets].
      change_points: Positions in `begin` at which the level changes.
    """

    begin: tuple[str, ...]
    bucket_s: float
    measure: Measure
    value: tuple[float | None, ...]
    change_points: tuple[int, ...] = ()


class Finding(FindingModel):
    """One feature in one comparison.

    Attributes:
      comparison: What kind.
      locale: The locale that is judged.
      against: In words what with: `span 3`, `spans 0 to 3`, another locale's name, `synthetic`, `test`, or
        `EXPECTED`.
      baseline: Of a drift: `previous`, `window` or `reference`; else empty.
      feature: Name, or `(all)`.
      split: Name, or `(span)`.
      span: Number of the span that is judged.
      measurements: All of them.
      verdict: `ALERT` where one of them alerts; `UNDEFINED` where none is defined.
      severity: Of an alert.
      cause: Of an alert; else None.
      distribution: For the report inside the region, or of what crossed; else None.
      time_line: Where times are known.
      reason: Why nothing could be compared; else empty.
      basis: Of a skew, what it stands on: `releases` (what crossed: a restricted locale's synthetic rows, an
        open one's own), or `sketches` (counts of real rows that a restricted locale released). Else empty.
    """

    comparison: Comparison
    locale: str
    against: str
    baseline: Literal["", "previous", "window", "reference"] = ""
    feature: str
    split: str = WHOLE_SPAN
    span: int
    measurements: tuple[Measurement, ...] = ()
    verdict: Verdict
    severity: Severity = "warning"
    cause: Cause | None = None
    distribution: Distribution | None = None
    time_line: TimeLine | None = None
    reason: str = ""
    basis: Literal["", "releases", "sketches"] = ""

    @property
    def key(self) -> str:
        """What stays the same from span to span: an alert and its resolution have the same key."""
        parts = (self.comparison, self.locale, self.baseline or self.against, self.feature, self.split)
        return "/".join(parts)


class MonitorReport(FindingModel):
    """What one pipeline's monitoring found; `monitor.json`.

    Attributes:
      version: `SCHEMA_VERSION`.
      zone: The locale, or `central`.
      sharing: `restricted`, `open`, or `central`.
      span: Number of the span; the highest of those merged at the centre.
      alpha: Level of the noise rule.
      correction: `benjamini_hochberg` or `benjamini_yekutieli`.
      status: `EVALUATED`, or `NOT_EVALUATED` with the reason (no baseline, say).
      reason: Why nothing was evaluated; else empty.
      findings: All of them, the worst first.
    """

    version: Literal[1] = SCHEMA_VERSION
    zone: str
    sharing: Literal["restricted", "open", "central"]
    span: int
    alpha: float
    correction: Literal["benjamini_hochberg", "benjamini_yekutieli"] = "benjamini_hochberg"
    status: Literal["EVALUATED", "NOT_EVALUATED"]
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def alerts(self) -> tuple[Finding, ...]:
        """The findings that alert."""
        return tuple(finding for finding in self.findings if finding.verdict == "ALERT")


class MonitorRun(FindingModel):
    """The monitoring of one run: what reports, alerts and metrics are made from.

    Attributes:
      version: `SCHEMA_VERSION`.
      deployment: Name of the deployment.
      run_id: Of the run.
      finished: ISO 8601 in UTC.
      isthmus_version: What made it.
      reports: Of the zones that were monitored, locales first, `central` last.
      missing: Zone to why there is no report of it (failed, not monitored, written by an older version).
    """

    version: Literal[1] = SCHEMA_VERSION
    deployment: str
    run_id: str
    finished: str
    isthmus_version: str
    reports: tuple[MonitorReport, ...] = ()
    missing: dict[str, str] = {}
