"""Reads the centre's artifacts: merge, scenario table, forecasts, skew, registry."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    Picture,
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
    as_count,
    as_list,
    as_mapping,
    as_number,
    as_text,
    first_of,
)

#: Order of the scenarios in the table, from least to most that the centre may know.
SCENARIOS = ("no_sharing", "naive_synthetic", "isthmus", "ideal")

#: Order of the detectors in the table.
DETECTORS = ("interval", "classifier")

#: Forecast panels in a page of many locales; the rest is counted, and is in `forecast.json`.
_MAX_PANELS = 24
#: PNG files are embedded only where no series was written; this bounds the page.
_MAX_PICTURE_BYTES = 1_500_000


def collect_centre(entry: Any, run_dir: Path) -> CentralReport:
    """The `central` mapping of `run.json` and the artifacts that it names."""
    files = PipelineFiles("the centre", entry, run_dir)
    return CentralReport(
        run=files.pipeline_run(),
        merge=_merge(files),
        detection=_detection(files),
        blessing=read_blessing(files, "ProphetEvaluator"),
        forecasts=_forecasts(files),
        skew=_skew(files),
        push=read_push(files, "ModelPusher"),
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
            quorum=_quorum(found.get("quorum")),
            accepted=tuple(
                AcceptedRelease(
                    locale=as_text(item.get("locale"), "?"),
                    release_id=as_text(item.get("release_id"), "?"),
                    span=as_count(item.get("span")),
                    rows=as_count(item.get("rows")),
                    key_id=as_text(item.get("key_id")),
                    digest=as_text(first_of(item, "digest", "content_digest")),
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
            missing=tuple(
                as_text(first_of(item, "locale", default=item), "?") for item in as_list(found.get("missing"))
            ),
        )
    )


def _quorum(value: Any) -> str:
    if isinstance(value, Mapping):
        needed = as_text(first_of(value, "required", "needed", "quorum"))
        had = first_of(value, "accepted", "found")
        return f"{as_text(had)} of {needed} required" if had is not None else needed
    return as_text(value)


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
        absent = as_text(first_of(entry, "reason", "absent"), "it was not evaluated in this run")
        training = as_text(entry.get("training"))
        for detector in detectors or ("interval",):
            value = as_mapping(entry.get(detector))
            if not _is_scored(value):
                why = as_text(first_of(value, "reason", "absent"), absent)
                yield ScenarioScore(scenario=key, detector=detector, training=training, absent=why)
                continue
            yield ScenarioScore(
                scenario=key,
                detector=detector,
                training=training,
                overall=_score(first_of(value, "overall", "metrics", default=value)),
                by_locale=_slices(first_of(value, "by_locale", "per_locale", "locales", "slices")),
                by_kind=_recalls(first_of(value, "by_kind", "per_kind", "kinds")),
            )


def scenario_key(name: str) -> str:
    """`No sharing` and `no-sharing` as `no_sharing`; `naive` as `naive_synthetic`."""
    key = name.strip().lower().replace(" ", "_").replace("-", "_")
    return "naive_synthetic" if key == "naive" else key


def _is_scored(value: Mapping[str, Any]) -> bool:
    overall = as_mapping(first_of(value, "overall", "metrics", default=value))
    return any(key in overall for key in ("f1", "confusion", "confusion_matrix", "tp"))


def _score(value: Any) -> Score:
    entry = as_mapping(value)
    confusion = as_mapping(first_of(entry, "confusion", "confusion_matrix", "counts", default=entry))
    return Score(
        f1=_rate(entry, "f1"),
        precision=_rate(entry, "precision"),
        tpr=_rate(entry, "tpr", "recall", "true_positive_rate"),
        fpr=_rate(entry, "fpr", "false_positive_rate"),
        accuracy=_rate(entry, "accuracy"),
        tp=as_count(first_of(confusion, "tp", "true_positives")),
        fp=as_count(first_of(confusion, "fp", "false_positives")),
        tn=as_count(first_of(confusion, "tn", "true_negatives")),
        fn=as_count(first_of(confusion, "fn", "false_negatives")),
        events=_events(entry),
    )


def _rate(entry: Mapping[str, Any], *names: str) -> Rate:
    """A rate given as a number, or as `{"value", "lower", "upper"}` with a reason where undefined."""
    found = first_of(entry, *names)
    if not isinstance(found, Mapping):
        return Rate(value=as_number(found), interval=as_bounds(first_of(entry, f"{names[0]}_interval")))
    return Rate(
        value=as_number(found.get("value")),
        interval=as_bounds(first_of(found, "interval", "ci", default=found)),
        reason=as_text(found.get("reason")),
    )


def _events(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    events = as_mapping(entry.get("events"))
    found, total = as_count(events.get("detected")), as_count(events.get("total"))
    return None if found is None or total is None else (found, total)


def _slices(value: Any) -> dict[str, Score]:
    return {name: _score(entry) for name, entry in as_mapping(value).items() if isinstance(entry, Mapping)}


def _recalls(value: Any) -> dict[str, Rate]:
    """True positive rate per kind of anomaly."""
    found = {}
    for name, entry in as_mapping(value).items():
        nested = isinstance(entry, Mapping) and "value" not in entry
        found[name] = _rate(entry if nested else {"tpr": entry}, "tpr", "recall")
    return found


def _differences(rows: list[Any]) -> Iterator[Difference]:
    for row in map(as_mapping, rows):
        difference = _rate({"f1": row}, "f1")
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
    pictures = _pictures(files)
    if pictures:
        return Part[Forecasts](content=Forecasts(pictures=pictures))
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


def _pictures(files: PipelineFiles) -> tuple[Picture, ...]:
    folder = files.folder("ProphetEvaluator", "evaluation")
    pictures, total = [], 0
    for path in sorted((folder / "plots").glob("*.png")) if folder is not None else []:
        total += path.stat().st_size
        if total > _MAX_PICTURE_BYTES:
            break
        title = path.stem.replace("_", " ")
        pictures.append(
            Picture(
                title=title,
                alt=f"Plot drawn by ProphetEvaluator: {title}.",
                png_base64=base64.b64encode(path.read_bytes()).decode(),
            )
        )
    return tuple(pictures)


def _skew(files: PipelineFiles) -> Part[Skew]:
    part = files.read("SkewValidator", "skew", "skew.json", "skew matrix")
    if part.content is None:
        return Part[Skew](absent=part.absent)
    rows = [as_mapping(item) for item in as_list(part.content.get("pairs"))]
    pairs = tuple(
        SkewPair(
            a=as_text(row.get("a"), "?"),
            b=as_text(row.get("b"), "?"),
            feature=as_text(row.get("feature"), "?"),
            measure=as_text(row.get("measure")),
            value=as_number(row.get("value")),
            threshold=as_number(row.get("threshold")),
            verdict=as_text(row.get("verdict")),
            reason=as_text(row.get("reason")),
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
            locales=tuple(locales or dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b))),
            features=tuple(features or dict.fromkeys(pair.feature for pair in pairs)),
            pairs=pairs,
        )
    )
