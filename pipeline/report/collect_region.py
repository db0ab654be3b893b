"""Reads a region's artifacts into the report's model: metrics, counts and binned curves only.

`quarantine.csv`, the Examples and the descriptions of schema anomalies are never opened or passed
on: they can hold values of a restricted region's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.collect_governance import read_approval, read_budget, read_statement
from pipeline.report.collect_quality import read_data_quality
from pipeline.report.curves import read_curves
from pipeline.report.model import (
    Anomaly,
    Blessing,
    Curve,
    Drift,
    DriftRow,
    Evidence,
    GateCheck,
    Ingest,
    LocaleReport,
    Part,
    Push,
    ReleaseQuality,
    Training,
    TrainingCurve,
)
from pipeline.report.reading import (
    PipelineFiles,
    as_bounds,
    as_comparison,
    as_count,
    as_counts,
    as_list,
    as_mapping,
    as_number,
    as_numbers,
    as_sentences,
    as_text,
)

#: What stands for a word that the evaluator did not write.
NOT_RECORDED = "not recorded"

#: Steps of a training log that are drawn; beyond that every n-th.
_TRAINING_POINTS = 300


def collect_region(locale: str, entry: Any) -> LocaleReport:
    """One locale of `run.json` and the artifacts that it names.

    Args:
      locale: BCP 47 tag.
      entry: The locale's mapping in `run.json`; anything else reads as a locale that never started.
    """
    files = PipelineFiles(locale, entry)
    return LocaleReport(
        locale=locale,
        sharing=as_text(files.entry.get("sharing"), "unknown"),
        run=files.pipeline_run(),
        ingest=_ingest(files),
        drift=_drift(files),
        training=_training(files),
        quality=_quality(files),
        blessing=read_blessing(files, "ReleaseEvaluator"),
        budget=read_budget(files),
        approval=read_approval(files),
        statement=read_statement(files),
        curves=_curves(files),
        push=read_push(files, "Pusher"),
        data_quality=read_data_quality(files, "ExampleGen"),
    )


def _why_open(files: PipelineFiles) -> str:
    """Why an open locale has no synthesizer; empty where one is there, or should be."""
    if files.entry.get("sharing") == "open" and files.component("SynthesizerTrainer") is None:
        return f"{files.name} is open: it shares its validated rows, and no synthesizer is trained."
    return ""


def _quality(files: PipelineFiles) -> Part[ReleaseQuality]:
    part = files.read("ReleaseEvaluator", "evaluation", "evaluation.json", "evaluation of the release")
    if part.content is None:
        return Part[ReleaseQuality](absent=_why_open(files) or part.absent)
    return Part[ReleaseQuality](content=read_quality(part.content))


def _curves(files: PipelineFiles) -> Part[tuple[Curve, ...]]:
    part = files.read("ReleaseEvaluator", "evaluation", "plots.json", "curves of real against synthetic")
    if part.content is None:
        return Part[tuple[Curve, ...]](absent=_why_open(files) or part.absent)
    found = read_curves(part.content)
    return (
        Part[tuple[Curve, ...]](content=found)
        if found
        else Part[tuple[Curve, ...]](absent="plots.json of ReleaseEvaluator holds no curve.")
    )


def read_quality(evaluation: Mapping[str, Any]) -> ReleaseQuality:
    """`evaluation.json` of ReleaseEvaluator: each metric joined with the gate's checks of it."""
    gate = as_mapping(evaluation.get("gate"))
    checks: dict[str, list[GateCheck]] = {}
    for item in as_list(gate.get("checks")):
        checks.setdefault(as_text(as_mapping(item).get("metric"), "?"), []).append(_check(as_mapping(item)))
    metrics = [as_mapping(item) for item in as_list(evaluation.get("metrics"))]
    evidence = [_evidence(metric, checks.pop(as_text(metric.get("name")), [])) for metric in metrics]
    # A check of a metric that is not in the list (hence failed) is shown all the same.
    evidence += [_evidence({"name": name}, found) for name, found in checks.items()]
    return ReleaseQuality(
        verdict=as_text(gate.get("verdict"), "NOT_EVALUATED"),
        evidence=tuple(evidence),
    )


def _check(check: Mapping[str, Any]) -> GateCheck:
    return GateCheck(
        rule=as_text(check.get("rule")),
        value=as_number(check.get("value")),
        threshold=as_number(check.get("threshold")),
        passed=check.get("passed") is True,  # fails closed, as the gate does
        reason=as_text(check.get("reason")),
    )


def _evidence(metric: Mapping[str, Any], checks: list[GateCheck]) -> Evidence:
    name = as_text(metric.get("name"), "?")
    limits = as_numbers(metric.get("range"))
    interval = as_mapping(metric.get("interval"))
    return Evidence(
        name=name,
        family=as_text(metric.get("group"), NOT_RECORDED),
        description=as_text(metric.get("description")),
        value=as_number(metric.get("value")),
        status=as_text(metric.get("status"), "UNDEFINED"),
        reason=as_text(metric.get("reason")),
        direction=as_text(metric.get("direction")),
        range=(limits[0], limits[1]) if len(limits) == 2 else (None, None),
        interval=as_bounds(interval.get("low"), interval.get("high")),
        control=as_number(metric.get("control")),
        n=as_count(metric.get("n")),
        checks=tuple(checks),
    )


def _ingest(files: PipelineFiles) -> Part[Ingest]:
    part = files.read("ExampleGen", "quarantine", "ingest.json", "count of rows read")
    if part.content is None:
        return Part[Ingest](absent=part.absent)
    found = part.content
    reasons = as_counts(found.get("quarantined_by_reason"))
    pii = {column: as_text(action) for column, action in as_mapping(found.get("pii")).items()}
    splits = {
        name: as_count(as_mapping(entry).get("rows"))
        for name, entry in as_mapping(found.get("splits")).items()
    }
    return Part[Ingest](
        content=Ingest(
            rows_read=as_count(found.get("rows_read")),
            rows_kept=as_count(found.get("rows_kept")),
            rows_quarantined=as_count(found.get("rows_quarantined")),
            reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
            dropped_columns=tuple(as_text(name) for name in as_list(found.get("columns_dropped"))),
            pii=pii,
            splits={name: rows for name, rows in splits.items() if rows is not None},
        )
    )


def _drift(files: PipelineFiles) -> Part[Drift]:
    part = files.read("ExampleValidator", "drift", "drift.json", "drift report")
    if part.content is None:
        return Part[Drift](absent=part.absent)
    rows = (as_mapping(item) for item in as_list(part.content.get("features")))
    anomalies = (as_mapping(item) for item in as_list(part.content.get("anomalies")))
    return Part[Drift](
        content=Drift(
            status=as_text(part.content.get("status"), "unknown"),
            reason=as_text(part.content.get("reason")),
            features=tuple(
                DriftRow(
                    **as_comparison(row),
                    split=as_text(row.get("split")),
                    p_value=as_number(row.get("p_value")),
                    n=as_count(row.get("n")),
                    n_baseline=as_count(row.get("n_baseline")),
                )
                for row in rows
            ),
            anomalies=tuple(
                Anomaly(
                    split=as_text(row.get("split")),
                    feature=as_text(row.get("feature"), "?"),
                    severity=as_text(row.get("severity"), "unknown"),
                    short=as_text(row.get("short")),
                )
                for row in anomalies
            ),
        )
    )


#: By the decision in the training report. Kinds and counts of their windows stay in the locale.
_RARE_EVENTS = {
    "no labelled window": "No training row is labelled as an anomaly.",
    "every kind by itself": "Every kind of anomaly has the fewest real windows that were asked for, or more.",
    "merged": "Kinds of anomaly with too few real windows were released as one kind, other.",
    "dp": "Kinds of anomaly come from noisy counts; no real window was counted.",
}


def _training(files: PipelineFiles) -> Part[Training]:
    part = files.read("SynthesizerTrainer", "model", "synthesizer.json", "training log")
    if part.content is None:
        return Part[Training](absent=_why_open(files) or part.absent)
    found = part.content
    outcome, seconds = as_mapping(found.get("training")), as_mapping(found.get("seconds"))
    sizes = [as_count(found.get(key)) for key in ("core_parameters", "network_parameters")]
    facts = {
        "rows": as_count(found.get("rows")),
        "series": as_count(found.get("series")),
        "fidelity of the linear core": as_number(as_mapping(found.get("fidelity_core")).get("score")),
        "fidelity of the best step": as_number(as_mapping(found.get("fidelity_best")).get("score")),
        "best step": as_count(outcome.get("best_step")),
        "features with a residual": as_count(outcome.get("features")),
        "steps": as_count(outcome.get("steps")),
    }
    return Part[Training](
        content=Training(
            seconds=as_number(seconds.get("total")),
            parameters=sum(size for size in sizes if size is not None) or None,
            stopped=as_text(outcome.get("stopped")),
            judged_on=as_text(found.get("judged_on")),
            rare_events=_RARE_EVENTS.get(as_text(as_mapping(found.get("rare_events")).get("outcome")), ""),
            facts={name: value for name, value in facts.items() if value is not None},
            curves=training_curves(outcome.get("log")),
        )
    )


def training_curves(log: Any) -> tuple[TrainingCurve, ...]:
    """Curves from a log, a list of points with `step` and quantities by name; at most 300 points each."""
    points = [as_mapping(item) for item in as_list(log)]
    steps = as_numbers([point.get("step") for point in points])
    names = [name for name in dict.fromkeys(name for point in points for name in point) if name != "step"]
    columns = {name: [point.get(name) for point in points] for name in names}
    length = len(points)
    stride = max(1, -(-length // _TRAINING_POINTS))
    curves = []
    for name, values in columns.items():
        numbers = as_numbers(values)
        kept = [
            (step, value)
            for step, value in list(zip(steps, numbers, strict=False))[::stride]
            if step is not None and value is not None
        ]
        if len(kept) > 1:
            curves.append(
                TrainingCurve(name=name, step=tuple(s for s, _ in kept), value=tuple(v for _, v in kept))
            )
    return tuple(curves)


def read_blessing(files: PipelineFiles, component: str) -> Part[Blessing]:
    """`verdict.json` of a blessing."""
    part = files.read(component, "blessing", "verdict.json", "verdict")
    if part.content is None:
        return Part[Blessing](absent=_why_open(files) or part.absent)
    return Part[Blessing](
        content=Blessing(
            verdict=as_text(part.content.get("verdict"), "NOT_EVALUATED"),
            reasons=as_sentences(part.content.get("reasons")),
        )
    )


def read_push(files: PipelineFiles, component: str) -> Part[Push]:
    """`push.json` of either Pusher."""
    part = files.read(component, "pushed", "push.json", "record of what was pushed")
    if part.content is None:
        return Part[Push](absent=part.absent)
    found = part.content
    return Part[Push](
        content=Push(
            pushed=found.get("pushed") is True,
            reason=as_text(found.get("reason")),
            uri=as_text(found.get("uri")),
            release_id=as_text(found.get("release_id")),
            digest=as_text(found.get("content_digest")),
            rows=as_count(found.get("rows")),
            name=as_text(found.get("name")),
            version=as_text(found.get("version")),
        )
    )
