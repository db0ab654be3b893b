"""What the template iterates over: rows and grids derived from the report, without markup."""

from __future__ import annotations

from typing import Any

from pipeline.report.model import (
    CentralReport,
    ComponentRun,
    Detection,
    Drift,
    DriftRow,
    Evidence,
    FairnessCut,
    ForecastPanel,
    Forecasts,
    PipelineRun,
    ReleaseQuality,
    RunReport,
    ScenarioScore,
    Skew,
    SkewPair,
)

#: Verdicts of a comparison that found nothing.
_WELL = ("OK", "NO_DRIFT", "PASSED", "NORMAL", "NONE")
#: What the distances between slices are called.
GAP_NAMES = {
    "equalised_odds_difference": "equalised odds difference",
    "tpr_difference": "difference in true positive rate",
    "fpr_difference": "difference in false positive rate",
    "disparate_impact_ratio": "disparate impact ratio",
    "demographic_parity_difference": "difference in selection rate",
}
_FAMILY_ORDER = ("fidelity", "temporal", "utility", "privacy")


def evidence_rows(quality: ReleaseQuality, privacy: bool) -> list[Evidence]:
    """The privacy rows, or all the others: gated ones first, then by family, in the evaluator's order."""
    rows = [row for row in quality.evidence if (row.family == "privacy") == privacy]
    order = {family: rank for rank, family in enumerate(_FAMILY_ORDER)}
    return sorted(rows, key=lambda row: (order.get(row.family, len(order)), not row.checks))


def locales_of_scores(detection: Detection) -> list[str]:
    """Every locale that some scenario has a slice of, in order of appearance."""
    return list(dict.fromkeys(name for row in detection.scenarios for name in row.by_locale))


def has_scores(detection: Detection) -> bool:
    """Whether any scenario has an F1."""
    return any(row.overall.f1.value is not None for row in detection.scenarios)


def by_scenario(detection: Detection) -> list[tuple[str, list[ScenarioScore]]]:
    """The scores of each scenario, in the table's order."""
    names = dict.fromkeys(row.scenario for row in detection.scenarios)
    return [(name, [row for row in detection.scenarios if row.scenario == name]) for name in names]


def by_detector(detection: Detection) -> list[ScenarioScore]:
    """All scores, those of one detector side by side."""
    detectors = list(dict.fromkeys(row.detector for row in detection.scenarios))
    return sorted(detection.scenarios, key=lambda row: detectors.index(row.detector))


def by_locale(forecasts: Forecasts) -> list[tuple[str, list[ForecastPanel]]]:
    """The panels of each locale, in order of appearance."""
    names = dict.fromkeys(panel.locale for panel in forecasts.panels)
    return [(name, [panel for panel in forecasts.panels if panel.locale == name]) for name in names]


def kinds_of_scores(detection: Detection) -> list[str]:
    """Every kind of anomaly that some scenario has a rate of, in order of appearance."""
    return list(dict.fromkeys(kind for row in detection.scenarios for kind in row.by_kind))


def deciding_cuts(central: CentralReport) -> list[FairnessCut]:
    """The slices of the detector that the verdict rests on; of *Isthmus*, else of the next best."""
    cuts = central.fairness.content.cuts if central.fairness.content else ()
    deciding = central.detection.content.deciding_detector if central.detection.content else ""
    for scenario in ("isthmus", "no_sharing", "naive_synthetic", "ideal"):
        own = [cut for cut in cuts if cut.scenario == scenario]
        found = [cut for cut in own if cut.detector == deciding]
        if own:
            return found or [cut for cut in own if cut.detector == own[0].detector]
    return list(cuts)


def other_cuts(central: CentralReport) -> list[FairnessCut]:
    """The cuts of all scenarios and detectors that have slices, column by column."""
    cuts = [cut for cut in (central.fairness.content.cuts if central.fairness.content else ()) if cut.gaps]
    ranks = [list(dict.fromkeys(getattr(cut, key) for cut in cuts)) for key in ("column", "detector")]
    order = ["no_sharing", "naive_synthetic", "isthmus", "ideal"]
    return sorted(
        cuts,
        key=lambda cut: (
            ranks[0].index(cut.column),
            order.index(cut.scenario) if cut.scenario in order else len(order),
            -ranks[1].index(cut.detector),  # a file has its keys sorted; the forecaster's own rule is first
        ),
    )


def drift_alarms(drift: Drift) -> list[DriftRow]:
    """The comparisons whose verdict is not that all is well."""
    return [row for row in drift.features if row.verdict.upper() not in _WELL]


def skew_grids(skew: Skew) -> list[dict[str, Any]]:
    """Per measure and feature a square of pairs; features with the largest value first.

    Returns:
      Mappings with `feature`, `measure`, `worst` and `cells` (locale × locale of SkewPair or None).
    """
    grids = []
    for measure in dict.fromkeys(pair.measure for pair in skew.pairs):
        for feature in skew.features:
            found: dict[tuple[str, str], SkewPair] = {}
            for pair in skew.pairs:
                if pair.measure == measure and pair.feature == feature:
                    found[(pair.a, pair.b)] = pair
                    found.setdefault((pair.b, pair.a), pair)
            if not found:
                continue
            values = [pair.value for pair in found.values() if pair.value is not None]
            grids.append(
                {
                    "feature": feature,
                    "measure": measure,
                    "worst": max(values, default=-1.0),
                    "cells": [[found.get((a, b)) for b in skew.locales] for a in skew.locales],
                }
            )
    return sorted(grids, key=lambda grid: -grid["worst"])


def heat_level(value: float | None) -> int:
    """Percentage of full colour for a divergence in [0, 1]; the square root spreads small values."""
    return 0 if value is None else round(100 * min(1.0, max(0.0, value)) ** 0.5)


def timing_rows(report: RunReport) -> list[dict[str, Any]]:
    """One row per component with its share of the longest one, pipeline by pipeline."""
    pipelines: list[tuple[str, PipelineRun]] = [(item.locale, item.run) for item in report.locales]
    pipelines.append(("centre", report.central.run))
    components: list[tuple[str, ComponentRun]] = [
        (name, component) for name, run in pipelines for component in run.components
    ]
    longest = max((component.seconds or 0.0 for _, component in components), default=0.0)
    return [
        {
            "pipeline": name,
            "run": run,
            "components": [
                {"component": item, "percent": round(100 * (item.seconds or 0.0) / longest) if longest else 0}
                for item in run.components
            ],
        }
        for name, run in pipelines
    ]


def flow_rows(report: RunReport) -> list[dict[str, Any]]:
    """Per locale: what it released, what became of it at the centre, and which detector it fed."""
    merge = report.central.merge.content
    fed = {edge.locale: edge for edge in report.lineage}
    refused = {item.locale: item.reason for item in merge.refused} if merge else {}
    rows = []
    for item in report.locales:
        edge = fed.pop(item.locale, None)
        push = item.push.content
        if edge is not None:
            fate = "merged"
        elif item.locale in refused:
            fate = "refused"
        elif merge is not None and item.locale in merge.missing:
            fate = "missing"
        else:
            fate = "not merged"
        rows.append(
            {
                "locale": item.locale,
                "sharing": item.sharing,
                "release_id": edge.release_id if edge else push.release_id if push else "",
                "digest": edge.digest if edge else push.digest if push else "",
                "rows": edge.rows if edge else push.rows if push else None,
                "span": edge.span if edge else None,
                "fate": fate,
                "reason": refused.get(item.locale)
                or (push.reason if push and not push.pushed else "")
                or ("" if edge else item.push.absent),
                "detector": edge.detector if edge else "",
            }
        )
    # A release of an earlier run, of a locale that this run does not name.
    rows += [
        {
            "locale": edge.locale,
            "sharing": "",
            "release_id": edge.release_id,
            "digest": edge.digest,
            "rows": edge.rows,
            "span": edge.span,
            "fate": "merged",
            "reason": "",
            "detector": edge.detector,
        }
        for edge in fed.values()
    ]
    return rows
