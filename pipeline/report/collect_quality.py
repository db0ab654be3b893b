"""Reads `quality.json` of ExampleGen and `fairness.json` of ProphetEvaluator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.model import Part
from pipeline.report.model_quality import (
    DataQuality,
    Fairness,
    FairnessCut,
    QualityColumn,
    SliceGap,
    SliceRate,
    SliceScore,
)
from pipeline.report.reading import (
    PipelineFiles,
    as_bounds,
    as_count,
    as_counts,
    as_list,
    as_mapping,
    as_number,
    as_sentences,
    as_text,
)

#: Order of the disparities in the table: what is said of errors first, then of selection.
GAPS = (
    "equalised_odds_difference",
    "tpr_difference",
    "fpr_difference",
    "disparate_impact_ratio",
    "demographic_parity_difference",
)


def read_data_quality(files: PipelineFiles, component: str) -> Part[DataQuality]:
    """What an ExampleGen counted of missing values and outliers."""
    part = files.read(component, "quarantine", "quality.json", "count of missing values")
    if part.content is None:
        return Part[DataQuality](absent=part.absent)
    found = part.content
    counted = [as_mapping(item) for item in as_list(found.get("missingness"))]
    imputed = [as_mapping(item) for item in as_list(found.get("imputation"))]
    dropped = [as_mapping(item.get("dropped")) for item in imputed]
    outliers = as_mapping(found.get("outliers"))
    forest = as_mapping(outliers.get("isolation_forest"))
    scores = as_mapping(as_mapping(outliers.get("robust_z")).get("columns"))
    names = dict.fromkeys(name for item in imputed for name in as_mapping(item.get("policies")))
    names |= dict.fromkeys(name for item in counted for name in as_mapping(item.get("columns")))
    return Part[DataQuality](
        content=DataQuality(
            rows=sum(_total(item.get("rows")) for item in counted),
            complete_rows=sum(_total(item.get("complete_rows")) for item in counted),
            dropped_rows=sum(_total(item.get("rows")) for item in dropped),
            dropped_labelled=sum(as_count(item.get("labelled_rows")) or 0 for item in dropped),
            learned_from=tuple(as_text(item.get("learned_from")) for item in imputed),
            judged_rows=as_count(outliers.get("rows")),
            forest_outliers=as_count(forest.get("outliers")),
            forest_labelled=as_count(forest.get("labelled")),
            outliers_absent=as_text(outliers.get("reason")),
            columns=tuple(_column(name, counted, imputed, scores) for name in names),
        )
    )


def _total(counts: Any) -> int:
    return sum(as_counts(counts).values())


def _column(
    name: str, counted: list[dict[str, Any]], imputed: list[dict[str, Any]], scores: Mapping[str, Any]
) -> QualityColumn:
    own = [as_mapping(as_mapping(item.get("columns")).get(name)) for item in counted]
    done = [as_mapping(as_mapping(item.get("columns")).get(name)) for item in imputed]
    policies = {as_text(as_mapping(item.get("policies")).get(name)) for item in imputed}
    policy = ", ".join(sorted(policies - {""}))
    missing = sum(_total(item.get("missing")) for item in own)
    left = sum(_total(item.get("left_missing")) for item in done)
    hours = [[as_count(value) or 0 for value in as_list(item.get("by_hour"))] for item in own]
    gaps = [
        (as_count(item.get("longest_gap_rows")) or 0, as_number(item.get("longest_gap_s"))) for item in own
    ]
    longest = max(gaps, key=lambda gap: gap[0], default=(None, None))
    return QualityColumn(
        feature=name,
        policy=policy,
        missing=missing,
        filled=sum(_total(item.get("filled")) for item in done),
        left=missing if policy in ("", "none") else left,
        outliers=as_count(as_mapping(scores.get(name)).get("outliers")),
        longest_gap_rows=longest[0],
        longest_gap_s=longest[1],
        by_hour=tuple(map(sum, zip(*hours, strict=False))),
    )


def read_fairness(files: PipelineFiles) -> Part[Fairness]:
    """What every detector is worth on each slice of the test rows."""
    part = files.read("ProphetEvaluator", "evaluation", "fairness.json", "quality by slice")
    if part.content is None:
        return Part[Fairness](absent=part.absent)
    found = part.content
    cuts = tuple(_cuts(as_mapping(found.get("scenarios"))))
    if not cuts:
        return Part[Fairness](absent="fairness.json of ProphetEvaluator holds no slice.")
    return Part[Fairness](
        content=Fairness(
            cuts=cuts,
            confidence=as_number(found.get("confidence")),
            min_rows=as_count(found.get("min_rows")),
            min_events=as_count(found.get("min_events")),
            names_from=as_text(found.get("names_from")),
        )
    )


def _cuts(scenarios: Mapping[str, Any]) -> Iterator[FairnessCut]:
    for scenario, detectors in scenarios.items():
        for detector, columns in as_mapping(detectors).items():
            for column, value in as_mapping(columns).items():
                entry = as_mapping(value)
                gaps = as_mapping(entry.get("disparities"))
                slices = [as_mapping(item) for item in as_list(entry.get("slices"))]
                yield FairnessCut(
                    scenario=scenario.lower().replace(" ", "_"),
                    detector=detector,
                    column=column,
                    absent="" if slices else as_text(entry.get("reason"), "no slice was recorded"),
                    slices=tuple(map(_slice, slices)),
                    gaps=tuple(_gap(name, as_mapping(gaps[name])) for name in GAPS if name in gaps),
                )


def _slice(entry: Mapping[str, Any]) -> SliceScore:
    return SliceScore(
        name=as_text(entry.get("name"), "?"),
        rows=as_count(entry.get("rows")) or 0,
        events=as_count(entry.get("events")) or 0,
        selection_rate=_rate(entry.get("selection_rate")),
        tpr=_rate(entry.get("tpr")),
        fpr=_rate(entry.get("fpr")),
        precision=_rate(entry.get("precision")),
        f1=_rate(entry.get("f1")),
    )


def _rate(value: Any) -> SliceRate:
    found = as_mapping(value)
    return SliceRate(
        value=as_number(found.get("value")),
        interval=as_bounds(found.get("lower"), found.get("upper")),
        reason=as_text(found.get("reason")),
    )


def _gap(name: str, entry: Mapping[str, Any]) -> SliceGap:
    return SliceGap(
        name=name,
        value=_rate(entry),
        extremes=as_sentences(entry.get("extremes")),
        left_out=as_sentences(entry.get("left_out")),
    )
