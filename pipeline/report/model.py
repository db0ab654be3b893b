"""The typed content of a run report: what `report.json` holds and what the HTML page shows.

Nothing here can hold a row of a restricted region: only counts, metrics and binned curves. Where a
part of the run is absent, a `Part` carries the reason in words instead of the content.
"""

from __future__ import annotations

from typing import Literal

from pipeline.report.model_centre import (
    AcceptedRelease,
    CentralReport,
    Detection,
    Difference,
    ForecastPanel,
    Forecasts,
    Merge,
    Rate,
    RefusedRelease,
    ScenarioScore,
    Score,
    Skew,
    SkewPair,
)
from pipeline.report.model_parts import (
    Blessing,
    Bounds,
    Comparison,
    ComponentRun,
    Part,
    PipelineRun,
    Push,
    ReportModel,
)
from pipeline.report.model_quality import DataQuality, Fairness, FairnessCut, QualityColumn
from pipeline.report.model_region import (
    Anomaly,
    Approval,
    Budget,
    Curve,
    CurveKind,
    Decision,
    Drift,
    DriftRow,
    Evidence,
    GateCheck,
    Ingest,
    LocaleReport,
    ReleaseQuality,
    Statement,
    Training,
    TrainingCurve,
)

#: Every type of the report can be imported from here, wherever it stands.
__all__ = [
    "AcceptedRelease",
    "Anomaly",
    "Approval",
    "Blessing",
    "Bounds",
    "Budget",
    "CentralReport",
    "Comparison",
    "ComponentRun",
    "Curve",
    "CurveKind",
    "DataQuality",
    "Decision",
    "Detection",
    "Difference",
    "Drift",
    "DriftRow",
    "Evidence",
    "FORMAT",
    "Fairness",
    "FairnessCut",
    "ForecastPanel",
    "Forecasts",
    "GateCheck",
    "Ingest",
    "LineageEdge",
    "LocaleReport",
    "Merge",
    "Part",
    "PipelineRun",
    "Push",
    "QualityColumn",
    "Rate",
    "RefusedRelease",
    "ReleaseQuality",
    "ReportModel",
    "RunHeader",
    "RunReport",
    "ScenarioScore",
    "Score",
    "Skew",
    "SkewPair",
    "Statement",
    "Training",
    "TrainingCurve",
    "VERSION",
    "Verdict",
]

#: What a reader of `report.json` checks first. The version rises whenever a key changes its meaning.
FORMAT: Literal["isthmus.report"] = "isthmus.report"
VERSION: Literal[1] = 1


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
