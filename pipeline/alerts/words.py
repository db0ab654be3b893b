"""The words of a message: ours only. What a finding says in words of its own is never forwarded."""

from __future__ import annotations

from components.drift.findings import SEVERITIES, CauseName, Comparison, Measure, Severity

CAUSE_WORDS: dict[CauseName, str] = {
    "real_regional_difference": "The locales differ in their real rows, and the generator follows them.",
    "generator_error": "The synthetic rows differ from the real ones that they stand for.",
    "drift_in_time": "The rows differ from those of earlier spans; no fault of the data path was found.",
    "sampling_noise": "The distance is within what sampling alone explains.",
    "stuck_sensor": "A fault of the data: a sensor repeats one reading.",
    "unit_change": "A fault of the data: readings come in another unit or on another scale.",
    "clock_shift": "A fault of the data: timestamps are shifted.",
    "silent_gap": "A fault of the data: rows are missing without a word.",
    "schema_change": "A fault of the data: columns or their types changed.",
    "span_refused": "A fault of the data: the span was refused before it could be compared with anything.",
    "run_failed": "The run of the locale failed before its monitor; nothing is known of the span.",
    "unknown": "No cause could be told from the distances.",
}
COMPARISON_WORDS: dict[Comparison, str] = {
    "drift": "now against earlier",
    "skew": "locale against locale",
    "generator": "real against synthetic",
    "serving": "training against serving",
    "intake": "taking the span in",
}
BASELINE_WORDS = {
    "previous": "the span before",
    "window": "a window of earlier spans",
    "reference": "the pinned reference",
}
MEASURE_WORDS: dict[Measure, str] = {
    "infinity_norm": "largest difference of shares (L-infinity)",
    "jensen_shannon_divergence": "Jensen-Shannon divergence",
    "kolmogorov_smirnov": "Kolmogorov-Smirnov distance",
    "anderson_darling": "Anderson-Darling statistic",
    "wasserstein": "Wasserstein distance",
    "population_stability_index": "population stability index",
    "chi_squared": "chi-squared statistic",
    "missing_rate": "change of the missing rate",
    "cadence": "change of the cadence",
    "maximum_mean_discrepancy": "maximum mean discrepancy",
    "label_shift": "label shift",
    "concept_shift": "concept shift",
    "schema": "schema differences",
}
KIND_WORDS = {
    "alert": "alert",
    "escalated": "more severe now",
    "reminder": "still so",
    "resolved": "resolved",
    "closed": "closed by hand",
    "digest": "held back in quiet hours",
    "test": "TEST",
}
#: Stand in for names that the deployment does not have: they may be values.
OTHER_FEATURE = "(a column that the deployment does not name)"
OTHER_SPLIT = "(another split)"
OTHER_LOCALE = "(a locale that the deployment does not name)"

NO_READINGS = (
    "Numbers are distances, thresholds, counts and times; a unit beside a distance is the distance's. "
    "No reading and no category is in this message."
)


def rank(severity: Severity) -> int:
    """0 for the least severe."""
    return SEVERITIES.index(severity)


def worst(severities: list[Severity]) -> Severity:
    """The most severe of some; `info` of none."""
    return max(severities, key=rank, default="info")


def number(value: float | None) -> str:
    """Four digits, without an exponent where that stays short."""
    return "undefined" if value is None else f"{value:.4g}"
