"""Trains every scenario's detectors, judges them on the same test rows, and gives the verdict."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from components.errors import DataError, InsufficientDataError, list_briefly
from components.fairness.core.measures import Sample
from components.fairness.core.report import judge_gate
from components.prophet_evaluator.config import DetectorName, ProphetEvaluatorConfig, ScenarioName
from components.prophet_evaluator.core import frames, metrics
from components.prophet_evaluator.core.detector import Cache, Detector, Judgement
from components.prophet_evaluator.core.fairness import draw_sample, fairness_of
from components.prophet_evaluator.core.fitting import fit_detector
from components.prophet_evaluator.core.frames import LABEL, LOCALE
from components.prophet_evaluator.core.missing import missing_values
from components.prophet_evaluator.core.scenarios import Pool, training_pool
from components.prophet_evaluator.core.slices import slice_metrics

BLESSED, NOT_BLESSED, NOT_EVALUATED = "BLESSED", "NOT_BLESSED", "NOT_EVALUATED"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives.

    Attributes:
      report: JSON-ready content of `evaluation.json`.
      verdict: BLESSED, NOT_BLESSED or NOT_EVALUATED.
      reasons: Why, one sentence each.
      detector: The detector to ship: of *Isthmus*, or of the best scenario that could be trained.
      detector_scenario: The scenario that it was trained in.
      test: The labelled test rows, sorted as they were judged.
      judgements: Scenario -> what its detectors say of `test`.
      fairness: JSON-ready content of `fairness.json`.
    """

    report: dict[str, Any]
    verdict: str
    reasons: list[str]
    detector: Detector
    detector_scenario: ScenarioName
    test: pd.DataFrame
    judgements: dict[ScenarioName, Judgement]
    fairness: dict[str, Any]


def prepare_test(table: pa.Table, config: ProphetEvaluatorConfig) -> pd.DataFrame:
    """The test set's rows, sorted, all labelled.

    Raises:
      DataError: there is no label column, an unlabelled row, no anomaly, or no normal row.
    """
    label = config.dataset.label
    remedy = "The test set needs a label column of 0 and 1 (dataset.label) and both values in it."
    if not label or label not in table.column_names:
        raise DataError(f"test_examples split=test: no label column ({label or 'none configured'}). {remedy}")
    test = frames.prepare(table, config.dataset, None, config.locale_column)
    found = test[LABEL]
    if not found.isin([0, 1]).all():
        raise DataError(
            f"test_examples split=test: {int((~found.isin([0, 1])).sum())} rows have no label of 0 or 1. "
            f"{remedy}"
        )
    if found.nunique() < 2:
        lacking = "anomalous" if not found.any() else "normal"
        raise DataError(f"test_examples split=test: none of {len(test)} rows is labelled {lacking}. {remedy}")
    return test


def evaluate(
    examples: Mapping[str, pa.Table],
    test_table: pa.Table,
    ideal_examples: Mapping[str, pa.Table] | None,
    config: ProphetEvaluatorConfig,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Evaluation:
    """Trains, judges, compares, blesses.

    Args:
      examples: Locale -> merged rows: real for open locales, synthetic for restricted ones.
      test_table: Labelled test rows of all locales.
      ideal_examples: Locale -> raw rows of restricted locales; None outside a simulation.
      config: The whole configuration.
      progress: Told the stage, how many scenarios are done, and of how many.

    Raises:
      DataError: the test set is not labelled, or no scenario can be trained.
    """
    began = time.monotonic()
    test = prepare_test(test_table, config)
    strangers = sorted(set(examples) - set(config.open_locales) - set(config.restricted_locales))
    if strangers:
        raise DataError(
            f"examples: locale {list_briefly(strangers)} is neither open nor restricted in the configuration"
        )
    prepared = {
        name: frames.prepare(table, config.dataset, name)
        for name, table in examples.items()
        if table.num_rows
    }
    opened = {name: prepared[name] for name in config.open_locales if name in prepared}
    released = {name: prepared[name] for name in config.restricted_locales if name in prepared}
    ideal = None
    if ideal_examples is not None:
        ideal = {
            name: frames.prepare(ideal_examples[name], config.dataset, name)
            for name in config.restricted_locales
            if name in ideal_examples and ideal_examples[name].num_rows
        }
    cache, seconds = Cache(), {}
    pools: dict[ScenarioName, Pool] = {}
    detectors: dict[ScenarioName, Detector] = {}
    judgements: dict[ScenarioName, Judgement] = {}
    for done, name in enumerate(config.scenarios):
        start = time.monotonic()
        progress(f"scenario {name}", done, len(config.scenarios))
        scenario = training_pool(name, opened, released, ideal, config.dataset, config.seed)
        if not scenario.reason:
            try:
                # Only a detector that may be shipped must be ready for locales that the test lacks.
                foreign = name == "Isthmus" or not set(test[LOCALE]) <= set(scenario.frames)
                detectors[name] = fit_detector(scenario.frames, config, scenario.tags, cache, foreign)
                judgements[name] = detectors[name].judge(test, "test", cache)
            except InsufficientDataError as error:
                scenario = dataclasses.replace(scenario, reason=str(error))
        pools[name] = scenario
        seconds[name] = round(time.monotonic() - start, 3)
    if not detectors:
        raise DataError(
            "no scenario can be trained: "
            + "; ".join(f"{name}: {pool.reason}" for name, pool in pools.items())
            + ". Connect at least one open locale or one release."
        )
    sample, n_events = draw_sample(test, config)
    report = _report(config, test, pools, detectors, judgements, sample, n_events)
    missing = sorted((set(config.open_locales) | set(config.restricted_locales)) - set(prepared))
    report["missing_values"] = missing_values(
        test, {name: pool.frames for name, pool in pools.items() if pool.frames}, config.dataset
    )
    report |= {"missing_locales": missing, "scenario_seconds": seconds}
    fairness = fairness_of(test, test_table, judgements, sample, config)
    verdict, reasons = bless(report, config, fairness)
    if missing:
        reasons.append(f"missing at the merge: {list_briefly(missing)}")
    preferred: tuple[ScenarioName, ...] = ("Isthmus", "No sharing", "Naive synthetic", "Ideal")
    shipped = next(name for name in preferred if name in detectors)
    report |= {
        "blessing": {"verdict": verdict, "reasons": reasons},
        "detector_scenario": shipped,
        "seconds": round(time.monotonic() - began, 3),
    }
    return Evaluation(report, verdict, reasons, detectors[shipped], shipped, test, judgements, fairness)


def deciding_detector(
    config: ProphetEvaluatorConfig, judged: Mapping[str, Any], labelled: bool
) -> DetectorName:
    """The detector that the verdict rests on."""
    if config.blessing.detector:
        return config.blessing.detector
    return "classifier" if labelled and "classifier" in judged else "interval"


def bless(
    report: Mapping[str, Any], config: ProphetEvaluatorConfig, fairness: Mapping[str, Any] | None = None
) -> tuple[str, list[str]]:
    """The verdict: *Isthmus* must beat the baseline by more than the paired bootstrap interval, and meet
    every limit of `fairness.gate` that is on.

    Returns:
      BLESSED, NOT_BLESSED or NOT_EVALUATED, and its reasons.
    """
    baseline, scenarios = config.blessing.baseline, report["scenarios"]
    for name in ("Isthmus", baseline):
        found = scenarios.get(name)
        if found is None or found.get("status") == NOT_EVALUATED:
            return NOT_EVALUATED, [f"scenario {name}: {found['reason'] if found else 'not configured'}"]
    detector = report["deciding_detector"]
    gains = [
        entry
        for entry in report["differences"]
        if (entry["detector"], entry["scenario"]) == (detector, "Isthmus")
    ]
    if not gains:
        return NOT_EVALUATED, [f"detector {detector} is switched off"]
    gain = gains[0]
    if gain.get("lower") is None:
        reason = gain.get("reason") or "too few replicates are defined for an interval"
        return NOT_EVALUATED, [f"{detector}: F1 difference to {baseline} is UNDEFINED: {reason}"]
    text = (
        f"{detector}: F1 of Isthmus minus {baseline} is {gain['value']:+.3f}, "
        f"{config.confidence:.0%} interval [{gain['lower']:+.3f}, {gain['upper']:+.3f}]; "
        f"required: lower bound above {config.blessing.min_difference:g}"
    )
    fair, said = judge_gate(fairness or {"scenarios": {}}, detector, config.fairness)
    better = gain["lower"] > config.blessing.min_difference
    return (BLESSED if better and fair else NOT_BLESSED), [text, *said]


def _report(
    config: ProphetEvaluatorConfig,
    test: pd.DataFrame,
    pools: Mapping[ScenarioName, Pool],
    detectors: Mapping[ScenarioName, Detector],
    judgements: Mapping[ScenarioName, Judgement],
    sample: Sample,
    n_events: int,
) -> dict[str, Any]:
    label, code, units, weights = sample.label, sample.segment, sample.units, sample.weights
    n_units = weights.shape[1]
    scenarios: dict[str, Any] = {}
    counts: dict[tuple[str, str], np.ndarray] = {}
    for name, pool in pools.items():
        if name not in judgements:
            scenarios[name] = {"status": NOT_EVALUATED, "reason": pool.reason, "training": pool.description}
            continue
        judged, detector = judgements[name], detectors[name]
        found: dict[str, Any] = {"training": pool.description, "locales": detector.info["training_locales"]}
        for kind in ("interval", "classifier"):
            if kind == "classifier" and detector.classifier is None:
                continue
            flag = judged.flag(kind)
            counts[name, kind] = metrics.unit_counts(label, flag, units, n_units)
            found[kind] = slice_metrics(
                test, code, flag, judged.score(kind), units, weights, config.confidence
            )
        if detector.classifier is not None:
            found["classifier"] |= {
                "threshold": detector.classifier.threshold,
                "note": detector.classifier.note,
            }
            if detector.foreign is not None:
                found["classifier"] |= {
                    "foreign_threshold": detector.foreign.threshold,
                    "foreign_note": detector.foreign.note,
                }
        scenarios[name] = found
    baseline = config.blessing.baseline
    differences = [
        {"detector": kind, "scenario": name, "baseline": baseline, "metric": "f1"}
        | metrics.paired_difference(
            counts[name, kind], counts[baseline, kind], weights, config.confidence
        ).to_json()
        for name, kind in counts
        if name != baseline and (baseline, kind) in counts
    ]
    judged_on = scenarios.get("Isthmus", {})
    locales = judged_on.get("locales", {})
    labelled = any(rows["anomalous_rows"] for rows in locales.values())
    return {
        "scenarios": scenarios,
        "baseline": baseline,
        "differences": differences,
        "deciding_detector": deciding_detector(config, judged_on, labelled),
        "test": {"rows": len(test), "anomalies": int(label.sum()), "events": n_events},
        "n_test_rows": len(test),
        "n_events": n_events,
        "n_bootstrap_units": n_units,
        "bootstrap_samples": config.bootstrap_samples,
        "confidence": config.confidence,
        "interval_mode": config.interval.mode,
        "interval_level": config.interval.level,
        "seed": config.seed,
    }
