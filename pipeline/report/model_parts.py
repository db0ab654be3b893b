"""What the parts of a report have in common: presence, intervals, runs, verdicts, pushes, comparisons."""

from __future__ import annotations

from typing import Generic, TypeVar

import pydantic

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


class Blessing(ReportModel):
    """A verdict of a gate, with its reasons."""

    verdict: str
    reasons: tuple[str, ...] = ()


class Comparison(ReportModel):
    """One feature on two sides; `reason` says why `value` is None."""

    feature: str
    measure: str
    value: float | None = None
    threshold: float | None = None
    verdict: str
    reason: str = ""


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
