"""A made-up run of monitoring: four locales and a centre, an alert of each cause, thirty spans."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from components.drift.findings import (
    ALL_FEATURES,
    CAUSES,
    Cause,
    Distribution,
    Finding,
    Measurement,
    MonitorReport,
    MonitorRun,
    Null,
    TimeLine,
)

SPAN = 30
START = datetime.datetime(2026, 11, 8, tzinfo=datetime.timezone.utc)
UNITS = {"temperature": "°C", "vibration": "mm/s", "pressure": "bar", "flow": "l/min", "rpm": "1/min"}
#: A text that must never leave a restricted locale.
SECRET_CATEGORY = "Ludmilla Havranek"
SECRET_EDGE = 17.62584931


def _null(limit: float) -> Null:
    return Null(mean=limit / 2.2, limit=limit, draws=400, blocks=56, block_s=21_600)


def measurements(level: float, unit: str, n: int = 40_320, numeric: bool = True) -> tuple[Measurement, ...]:
    """All measures at `level` times their limits."""
    alert = level > 1
    common: dict[str, Any] = {"n": n, "n_baseline": 3 * n, "verdict": "ALERT" if alert else "OK"}
    p = 1 / 401 if alert else min(1.0, 0.9 - 0.6 * level)
    noise = {**common, "rule": "noise", "p_value": p, "q_value": min(1.0, 3 * p)}
    kept = {**common, "rule": "kept", "verdict": "OK", "p_value": p}
    found = [
        Measurement(
            measure="jensen_shannon_divergence",
            value=0.1 * level,
            threshold=0.1,
            rule="number",
            bins=32,
            null=_null(0.03),
            unit="bit",
            **common,
        ),
        Measurement(measure="infinity_norm", value=0.04 * level, bins=32, null=_null(0.05), **kept),
        Measurement(measure="population_stability_index", value=0.08 * level, bins=32, **kept),
        Measurement(measure="missing_rate", value=0.002, null=_null(0.006), **{**noise, "verdict": "OK"}),
    ]
    if numeric:
        found += [
            Measurement(measure="kolmogorov_smirnov", value=0.061 * level, null=_null(0.07), **noise),
            Measurement(measure="anderson_darling", value=11.4 * level, null=_null(13.0), **noise),
            Measurement(measure="wasserstein", value=0.8 * level, null=_null(0.9), unit=unit, **noise),
        ]
    else:
        found.append(
            Measurement(measure="chi_squared", value=310.0 * level, bins=4, null=_null(340), **noise)
        )
    return tuple(found)


def numeric_distribution(shift: float, scale: float = 1.0, seed: int = 1, tail: bool = False) -> Distribution:
    """Two normal sides on quantile bins; the first is moved and stretched."""
    rng = np.random.default_rng(seed)
    baseline = rng.normal(SECRET_EDGE, 2, 6000)
    current = rng.normal(SECRET_EDGE + shift, 2 * scale, 4000)
    edges = np.quantile(np.concatenate([baseline, current]), np.linspace(0, 1, 33))
    if tail:
        edges[-1] += 900
    edges[np.argmin(np.abs(edges - SECRET_EDGE))] = SECRET_EDGE
    shares = [np.histogram(side, edges)[0] / len(side) for side in (current, baseline)]
    return Distribution(
        edges=tuple(edges), share=tuple(shares[0]), share_baseline=tuple(shares[1] / shares[1].sum())
    )


def categorical_distribution() -> Distribution:
    return Distribution(
        labels=(
            "running",
            "idle",
            "maintenance and inspection",
            SECRET_CATEGORY,
            "standby",
            "off",
            "(other)",
        ),
        share=(0.42, 0.31, 0.12, 0.08, 0.04, 0.02, 0.01),
        share_baseline=(0.61, 0.2, 0.09, 0.06, 0.02, 0.01, 0.01),
    )


def time_line(level: float, change: int | None = 40, seed: int = 3) -> TimeLine:
    """Six-hour buckets over two weeks; two have too few values."""
    rng = np.random.default_rng(seed)
    value: list[float | None] = list(np.round(0.02 + 0.012 * rng.random(56), 6))
    if change is not None:
        value[change:] = list(np.round(0.1 * level + 0.02 * rng.random(56 - change), 6))
    value[12] = value[13] = None
    begin = [(START + datetime.timedelta(hours=6 * i)).strftime("%Y-%m-%dT%H:%M:%SZ") for i in range(56)]
    return TimeLine(
        begin=tuple(begin),
        bucket_s=21_600,
        measure="jensen_shannon_divergence",
        value=tuple(value),
        change_points=() if change is None else (change,),
    )


WORDS = {
    "real_regional_difference": "The real rows of both locales part; each is like its own synthetic rows.",
    "generator_error": "The synthetic rows part from the real rows that they were made from.",
    "drift_in_time": "The distribution moved slowly from the 18th on, and has not come back.",
    "sampling_noise": "The limit was passed in one bucket of few values; noise explains it.",
    "stuck_sensor": "One value was repeated for 26 hours.",
    "unit_change": "The spread and the centre changed by one factor from one bucket to the next.",
    "clock_shift": "The daily course is the same one, five hours later.",
    "silent_gap": "No row came for 31 hours.",
    "schema_change": "The category of one value in four is new.",
    "unknown": "None of the known causes explains the distances.",
}


def finding(
    feature: str,
    locale: str,
    level: float,
    comparison: str = "drift",
    cause: str = "",
    shapes: bool = True,
    span: int = SPAN,
    **more: Any,
) -> Finding:
    """One finding at `level` times its limits; an alert above 1."""
    numeric = feature != "mode"
    alert = level > 1
    shape = None
    if shapes and feature != ALL_FEATURES:
        shape = numeric_distribution(2.2 * (level - 0.3), tail=feature == "flow")
        shape = shape if numeric else categorical_distribution()
    defaults: dict[str, Any] = {
        "against": {
            "drift": "spans 27 to 29",
            "skew": "us-east",
            "generator": "synthetic",
            "serving": "test",
        }[comparison],
        "baseline": "window" if comparison == "drift" else "",
        "measurements": measurements(level, UNITS.get(feature, ""), numeric=numeric),
        "severity": "critical" if level > 3 else "warning",
        "time_line": time_line(level, 40 if alert else None) if shapes and comparison == "drift" else None,
    }
    if alert:
        begin = (START + datetime.timedelta(hours=240)).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = cause or "unknown"
        defaults["cause"] = Cause(
            name=name,  # type: ignore[arg-type]
            words=WORDS[name],
            evidence={"jensen_shannon_divergence": 0.1 * level, "share_of_buckets": 0.29},
            begin=begin if comparison == "drift" else "",
        )
    return Finding(
        comparison=comparison,  # type: ignore[arg-type]
        locale=locale,
        feature=feature,
        span=span,
        verdict="ALERT" if alert else "OK",
        distribution=shape,
        **{**defaults, **more},
    )


def undefined(feature: str, locale: str, reason: str, span: int = SPAN, **more: Any) -> Finding:
    item = Measurement(
        measure="jensen_shannon_divergence", n=40_320, n_baseline=0, verdict="UNDEFINED", reason=reason
    )
    values = {"against": "span 1", "baseline": "reference", "measurements": (item,), **more}
    return Finding(
        comparison="drift",
        locale=locale,
        feature=feature,
        span=span,
        verdict="UNDEFINED",
        reason=reason,
        **values,
    )


def _locale(
    name: str, sharing: str, alerts: dict[str, tuple[float, str, str]], span: int, seed: int
) -> MonitorReport:
    rng = np.random.default_rng(1000 * seed + span)
    findings = []
    for feature in (*UNITS, "mode", ALL_FEATURES):
        for comparison in ("drift", "generator", "serving"):
            if comparison == "generator" and sharing == "open":
                continue
            level, cause, where = alerts.get(feature, (0.0, "", ""))
            if where != comparison:
                level, cause = float(0.25 + 0.6 * rng.random()), ""
            findings.append(finding(feature, name, level, comparison, cause, span=span, shapes=span == SPAN))
    findings.append(undefined("torque", name, "no value on the other side; the feature is new", span))
    findings.sort(key=lambda item: item.verdict != "ALERT")
    return MonitorReport(
        zone=name,
        sharing=sharing,  # type: ignore[arg-type]
        span=span,
        alpha=0.05,
        status="EVALUATED",
        findings=tuple(findings),
    )


def make_run(span: int = SPAN) -> MonitorRun:
    """The run over a span; its alerts begin at span 28, one of eu-west's at 24."""
    late = span >= 28
    eu = {"temperature": (4.1, "unit_change", "drift"), "mode": (1.8, "schema_change", "drift")}
    if not late:
        eu = {"temperature": (1.3, "drift_in_time", "drift")} if span in (24, 25) else {}
    ap = {
        "vibration": (2.4, "stuck_sensor", "drift"),
        "flow": (3.2, "generator_error", "generator"),
        "pressure": (1.1, "sampling_noise", "drift"),
        ALL_FEATURES: (1.5, "silent_gap", "drift"),
    }
    us = {
        "rpm": (1.6, "clock_shift", "drift"),
        "temperature": (1.2, "unknown", "serving"),
        "flow": (2.0, "drift_in_time", "drift"),
    }
    locales = (
        _locale("eu-west", "restricted", eu, span, 1),
        _locale("ap-south", "restricted", ap if late else {}, span, 2),
        _locale("us-east", "open", us if late else {}, span, 3),
    )
    new = MonitorReport(
        zone="sa-north",
        sharing="restricted",
        span=0,
        alpha=0.05,
        status="NOT_EVALUATED",
        reason="the first span of the locale: there is no baseline to compare it with",
    )
    pairs = [
        finding(feature, locale, 0.3 + 0.08 * i, "skew", span=span, shapes=span == SPAN)
        for i, feature in enumerate(("temperature", "pressure", "vibration"))
        for locale in ("eu-west", "ap-south")
    ]
    if late:
        pairs.insert(0, finding("rpm", "eu-west", 1.9, "skew", "real_regional_difference", span=span))
    central = MonitorReport(
        zone="central", sharing="central", span=span, alpha=0.05, status="EVALUATED", findings=tuple(pairs)
    )
    day = datetime.datetime(2026, 10, 22, 4, 10, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=span)
    return MonitorRun(
        deployment="three-plants",
        run_id=f"20261121-041{span:02d}",
        finished=day.strftime("%Y-%m-%dT%H:%M:%SZ"),
        isthmus_version="0.1.0",
        reports=(*locales, new, central),
        missing={"me-central": "the locale failed before it was monitored"},
    )


def make_history() -> list[MonitorRun]:
    """The thirty runs before; span 11 is missing."""
    return [make_run(span) for span in range(SPAN) if span != 11]


def causes_of(run: MonitorRun) -> set[str]:
    """Names of the causes that the run's alerts have."""
    named = {f.cause.name for report in run.reports for f in report.findings if f.cause is not None}
    return named & set(CAUSES)


def wide_run(features: int = 500) -> MonitorRun:
    """A locale with many features, a tenth of them alerting; shapes are shared, so making it is quick."""
    loud = finding("a", "us-east", 2.0, cause="drift_in_time")
    quiet = finding("a", "us-east", 0.4)
    findings = [
        (loud if i % 10 == 0 else quiet).model_copy(
            update={"feature": f"channel_{i:03d}", "baseline": baseline}
        )
        for i in range(features)
        for baseline in ("previous", "window", "reference")
    ]
    report = MonitorReport(
        zone="us-east", sharing="open", span=SPAN, alpha=0.05, status="EVALUATED", findings=tuple(findings)
    )
    return MonitorRun(
        deployment="wide",
        run_id="wide-1",
        finished="2026-11-21T04:10:00Z",
        isthmus_version="0.1.0",
        reports=(report,),
    )
