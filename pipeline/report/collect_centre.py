"""Reads the centre's artifacts: merge, scenario table, forecasts, skew, registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.collect_quality import read_data_quality, read_fairness
from pipeline.report.collect_region import read_blessing, read_push
from pipeline.report.forecasts import read_panels
from pipeline.report.model import (
    AcceptedRelease,
    CentralReport,
    Detection,
    Difference,
    Forecasts,
    Merge,
    Part,
    Rate,
    RefusedRelease,
    ScenarioScore,
    Score,
    Skew,
    SkewPair,
)
from pipeline.report.reading import (
    PipelineFiles,
    as_bounds,
    as_comparison,
    as_count,
    as_list,
    as_mapping,
    as_number,
    as_sentences,
    as_text,
)

#: Order of the scenarios in the table, from least to most that the centre may know.
SCENARIOS = ("no_sharing", "naive_synthetic", "isthmus", "ideal")

#: Order of the detectors in the table.
DETECTORS = ("interval", "classifier")

#: Forecast panels in a page of many locales; the rest is counted, and is in `forecast.json`.
_MAX_PANELS = 24


def collect_centre(entry: Any) -> CentralReport:
    """The `central` mapping of `run.json` and the artifacts that it names."""
    files = PipelineFiles("the centre", entry)
    return CentralReport(
        run=files.pipeline_run(),
        merge=_merge(files),
        detection=_detection(files),
        blessing=read_blessing(files, "ProphetEvaluator"),
        forecasts=_forecasts(files),
        skew=_skew(files),
        push=read_push(files, "ModelPusher"),
        fairness=read_fairness(files),
        test_quality=read_data_quality(files, "TestExampleGen"),
    )


def _merge(files: PipelineFiles) -> Part[Merge]:
    part = files.read("MergeGen", "merge_report", "merge.json", "list of releases")
    if part.content is None:
        return Part[Merge](absent=part.absent)
    found = part.content
    accepted = [as_mapping(item) for item in as_list(found.get("accepted"))]
    refused = [as_mapping(item) for item in as_list(found.get("refused"))]
    return Part[Merge](
        content=Merge(
            verdict=as_text(found.get("verdict"), "unknown"),
            quorum=as_text(found.get("quorum")),
            accepted=tuple(
                AcceptedRelease(
                    locale=as_text(item.get("locale"), "?"),
                    release_id=as_text(item.get("release_id"), "?"),
                    span=as_count(item.get("span")),
                    rows=as_count(item.get("rows")),
                    key_id=as_text(item.get("key_id")),
                    digest=as_text(item.get("digest")),
                    uri=as_text(item.get("uri")),
                )
                for item in accepted
            ),
            refused=tuple(
                RefusedRelease(
                    locale=as_text(item.get("locale"), "?"),
                    uri=as_text(item.get("uri")),
                    reason=as_text(item.get("reason"), "no reason was recorded"),
                )
                for item in refused
            ),
            missing=as_sentences(found.get("missing")),
            warnings=Part[tuple[str, ...]](content=as_sentences(found["warnings"]))
            if "warnings" in found
            else Part[tuple[str, ...]](absent="merge.json does not say whether the merge had warnings."),
        )
    )


def _detection(files: PipelineFiles) -> Part[Detection]:
    part = files.read("ProphetEvaluator", "evaluation", "evaluation.json", "scenario table")
    if part.content is None:
        return Part[Detection](absent=part.absent)
    detection = read_detection(part.content)
    if not detection.scenarios:
        return Part[Detection](absent="evaluation.json of ProphetEvaluator names no scenario.")
    return Part[Detection](content=detection)


def read_detection(evaluation: Mapping[str, Any]) -> Detection:
    """`evaluation.json` of ProphetEvaluator."""
    test = as_mapping(evaluation.get("test"))
    return Detection(
        scenarios=tuple(_scenario_scores(as_mapping(evaluation.get("scenarios")))),
        differences=tuple(_differences(as_list(evaluation.get("differences")))),
        test_rows=as_count(test.get("rows")),
        test_anomalies=as_count(test.get("anomalies")),
        test_events=as_count(test.get("events")),
        confidence=as_number(evaluation.get("confidence")),
        deciding_detector=as_text(evaluation.get("deciding_detector")),
    )


def _scenario_scores(scenarios: Mapping[str, Any]) -> Iterator[ScenarioScore]:
    known = {scenario_key(name): name for name in scenarios}
    order = [key for key in SCENARIOS if key in known] + [key for key in known if key not in SCENARIOS]
    found = dict.fromkeys(
        detector
        for entry in scenarios.values()
        for detector, value in as_mapping(entry).items()
        if isinstance(value, Mapping) and _is_scored(value)
    )
    # JSON files have sorted keys; the table has the forecaster's own rule first.
    detectors = [name for name in DETECTORS if name in found]
    detectors += [name for name in found if name not in DETECTORS]
    for key in order:
        entry = as_mapping(scenarios[known[key]])
        absent = as_text(entry.get("reason"), "it was not evaluated in this run")
        training = as_text(entry.get("training"))
        for detector in detectors or ("interval",):
            value = as_mapping(entry.get(detector))
            if not _is_scored(value):
                yield ScenarioScore(scenario=key, detector=detector, training=training, absent=absent)
                continue
            yield ScenarioScore(
                scenario=key,
                detector=detector,
                training=training,
                overall=_score(value.get("overall")),
                by_locale={
                    name: _score(found) for name, found in as_mapping(value.get("per_locale")).items()
                },
                by_kind={
                    name: _rate(as_mapping(found).get("recall"))
                    for name, found in as_mapping(value.get("per_kind")).items()
                },
            )


def scenario_key(name: str) -> str:
    """`No sharing` as `no_sharing`."""
    return name.lower().replace(" ", "_")


def _is_scored(value: Mapping[str, Any]) -> bool:
    return "f1" in as_mapping(value.get("overall"))


def _score(value: Any) -> Score:
    entry = as_mapping(value)
    confusion = as_mapping(entry.get("confusion"))
    return Score(
        f1=_rate(entry.get("f1")),
        precision=_rate(entry.get("precision")),
        tpr=_rate(entry.get("tpr")),
        fpr=_rate(entry.get("fpr")),
        accuracy=_rate(entry.get("accuracy")),
        tp=as_count(confusion.get("tp")),
        fp=as_count(confusion.get("fp")),
        tn=as_count(confusion.get("tn")),
        fn=as_count(confusion.get("fn")),
        events=_events(entry),
    )


def _rate(value: Any) -> Rate:
    """`{"value", "lower", "upper"}`, or `{"value": null, "reason"}` where it is undefined."""
    found = as_mapping(value)
    return Rate(
        value=as_number(found.get("value")),
        interval=as_bounds(found.get("lower"), found.get("upper")),
        reason=as_text(found.get("reason")),
    )


def _events(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    events = as_mapping(entry.get("events"))
    found, total = as_count(events.get("detected")), as_count(events.get("total"))
    return None if found is None or total is None else (found, total)


def _differences(rows: list[Any]) -> Iterator[Difference]:
    for row in map(as_mapping, rows):
        difference = _rate(row)
        yield Difference(
            detector=as_text(row.get("detector")),
            scenario=scenario_key(as_text(row.get("scenario"), "?")),
            baseline=scenario_key(as_text(row.get("baseline"), "?")),
            value=difference.value,
            interval=difference.interval,
            reason=difference.reason,
        )


def _forecasts(files: PipelineFiles) -> Part[Forecasts]:
    part = files.read("ProphetEvaluator", "evaluation", "forecast.json", "forecast plot")
    panels = read_panels(part.content) if part.content is not None else ()
    if panels:
        kept = _spread(panels)
        return Part[Forecasts](content=Forecasts(panels=tuple(kept), left_out=len(panels) - len(kept)))
    return Part[Forecasts](absent=part.absent or "forecast.json of ProphetEvaluator holds no series.")


def _spread(panels: tuple[Any, ...]) -> list[Any]:
    """At most `_MAX_PANELS`, taken in turn from every locale, so that none is left out for another."""
    ranks: dict[str, int] = {}
    ranked = []
    for panel in panels:
        rank = ranks.get(panel.locale, 0)
        ranks[panel.locale] = rank + 1
        ranked.append((rank, panel))
    allowed = max(1, min(4, _MAX_PANELS // max(1, len(ranks))))
    return [panel for rank, panel in ranked if rank < allowed]


def _skew(files: PipelineFiles) -> Part[Skew]:
    part = files.read("SkewValidator", "skew", "skew.json", "skew matrix")
    if part.content is None:
        return Part[Skew](absent=part.absent)
    rows = [as_mapping(item) for item in as_list(part.content.get("pairs"))]
    pairs = tuple(
        SkewPair(
            **as_comparison(row),
            a=as_text(row.get("a"), "?"),
            b=as_text(row.get("b"), "?"),
            n_a=as_count(row.get("n_a")),
            n_b=as_count(row.get("n_b")),
        )
        for row in rows
    )
    locales = [as_text(name) for name in as_list(part.content.get("locales"))]
    features = [as_text(name) for name in as_list(part.content.get("features"))]
    if not pairs:
        reason = as_text(part.content.get("reason"))
        nothing = "SkewValidator compared no pair of locales"
        return Part[Skew](absent=f"{nothing}: {reason}" if reason else f"{nothing}.")
    return Part[Skew](
        content=Skew(
            locales=tuple(locales),
            features=tuple(features),
            pairs=pairs,
        )
    )
