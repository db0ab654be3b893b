"""Why a locale's run came to no monitor, in a form that alerts, metrics and pages can tell.

It is known where the error is: in the locale's own process, or where its source was looked at. What leaves
is a cause of ours, the name of a column that the deployment has, and a span's number.
"""

from __future__ import annotations

from typing import Any

from components.drift.findings import ALL_FEATURES, DATA_FAULTS, CauseName, Measure
from components.errors import ColumnError, DataError, IsthmusError
from components.example_gen.core.spans import resolve_sources
from components.monitoring import MonitoringConfig
from pipeline.config.model import Deployment
from pipeline.config.sections import SectionError, monitoring_of
from pipeline.run_state import RunState


def refusal_of(deployment: Deployment, locale: str, error: BaseException | None = None) -> dict[str, Any]:
    """What became of a locale whose run failed, as `run.json` has it.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      error: What ended its run; None where it ended without one (its process was killed).

    Returns:
      `cause`: `schema_change` where the source's columns are not the data set's, `span_refused` where
      something else is wrong with the data, `run_failed` otherwise. `feature`: the column that the error
      names, if the deployment has it, else `(all)`. `span`: its number; None where it is not known.
      `severity`, `alpha`, `correction`: as the section `monitoring` says.
    """
    cause: CauseName = "run_failed"
    if isinstance(error, ColumnError):
        cause = "schema_change"
    elif isinstance(error, DataError):
        cause = "span_refused"
    feature = _column(deployment, error)
    try:
        monitoring = monitoring_of(deployment, locale)
    except (IsthmusError, SectionError):  # the section may be what is wrong
        monitoring = MonitoringConfig()
    measures: list[Measure] = ["schema"] if cause == "schema_change" else []
    return {
        "cause": cause,
        "feature": feature,
        "span": _span(deployment, locale),
        "severity": monitoring.severity.of(feature, measures, is_fault=cause in DATA_FAULTS),
        "alpha": monitoring.alpha,
        "correction": monitoring.correction,
    }


def fill(deployment: Deployment, state: RunState) -> None:
    """Gives every locale that failed without an error of its own, as one that was killed, its refusal."""
    for name, section in state.locales.items():
        if section.status == "failed" and not section.refusal:
            section.refusal = refusal_of(deployment, name)


def _column(deployment: Deployment, error: BaseException | None) -> str:
    """The column that an error names, if it is one of the deployment's: a source's own names stay with it."""
    data = deployment.dataset
    known = {data.timestamp, *data.series, *data.feature_names(), data.label, data.label_kind}
    return error.column if isinstance(error, ColumnError) and error.column in known else ALL_FEATURES


def _span(deployment: Deployment, locale: str) -> int | None:
    section = deployment.locale(locale)
    try:
        return resolve_sources([section.source.pattern], section.span)[0]
    except Exception:  # the store that cannot be listed may be why the run failed; this must not hide it
        return section.span if isinstance(section.span, int) else None
