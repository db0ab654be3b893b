"""Skew: every locale against every other, feature by feature. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

from components.statistics_gen.summary import Comparator, FeatureSummary, compare, outcome

Matrix = list[list[float | None]]

#: What the matrix calls the statistic of the two-sample test on numeric features.
KOLMOGOROV_SMIRNOV = "kolmogorov_smirnov"


@dataclass(frozen=True)
class SkewPair:
    """One feature in two locales.

    Attributes:
      a: First locale.
      b: Second locale.
      feature: Feature name.
      measure: `jensen_shannon_divergence` or `infinity_norm`, in [0, 1].
      value: The measure, or None where it is undefined.
      tfdv_value: The same measure by TFDV's validator, or None where it reports nothing.
      threshold: Largest value that passes.
      n_a: Values in `a`.
      n_b: Values in `b`.
      test: `kolmogorov_smirnov` or `chi_square`, or None.
      statistic: Statistic of the test, or None.
      p_value: p-value of the test under independent rows, or None.
      verdict: `OK`, `SKEW` or `UNDEFINED`.
      reason: Why something is undefined; else empty.
    """

    a: str
    b: str
    feature: str
    measure: str
    value: float | None
    tfdv_value: float | None
    threshold: float
    n_a: int
    n_b: int
    test: str | None
    statistic: float | None
    p_value: float | None
    verdict: Literal["OK", "SKEW", "UNDEFINED"]
    reason: str


@dataclass(frozen=True)
class SkewReport:
    """What SkewValidator found; `skew.json`.

    Attributes:
      status: `EVALUATED`, or `NOT_EVALUATED` with the reason.
      reason: Why it was not evaluated; else empty.
      locales: Locales, in the order of rows and columns of the matrices.
      features: Features that the schema watches.
      pairs: Each pair of locales, each feature.
      matrix: Measure, feature, then [locale, locale]; None where undefined, 0 on the diagonal where
        the locale has values.
    """

    status: Literal["EVALUATED", "NOT_EVALUATED"]
    reason: str
    locales: tuple[str, ...]
    features: tuple[str, ...]
    pairs: tuple[SkewPair, ...]
    matrix: dict[str, dict[str, Matrix]]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def make_report(
    summaries: Mapping[str, Mapping[str, FeatureSummary]],
    comparators: Mapping[str, Comparator],
    tfdv_values: Mapping[tuple[str, str, str], float],
    min_count: int,
) -> SkewReport:
    """Compares every pair of locales on every feature that the schema watches.

    Args:
      summaries: Locale, then feature.
      comparators: The schema's skew comparators, by feature.
      tfdv_values: TFDV's distances, keyed by (a, b, feature) with a before b.
      min_count: Fewest values on a side for a distance.

    Returns:
      The report; what cannot be compared is UNDEFINED with its reason.
    """
    locales, features = tuple(summaries), tuple(comparators)
    if len(locales) < 2:
        names = ", ".join(locales) or "none"
        return _not_evaluated(f"a skew needs two locales, found {len(locales)} ({names})", locales, features)
    if not comparators:
        return _not_evaluated("the schema carries no skew comparator", locales, features)
    pairs = tuple(
        _pair(a, b, name, summaries, comparator, tfdv_values.get((a, b, name)), min_count)
        for a, b in combinations(locales, 2)
        for name, comparator in comparators.items()
    )
    return SkewReport("EVALUATED", "", locales, features, pairs, _matrices(locales, summaries, pairs))


def _not_evaluated(reason: str, locales: tuple[str, ...], features: tuple[str, ...]) -> SkewReport:
    return SkewReport("NOT_EVALUATED", reason, locales, features, (), {})


def _pair(
    a: str,
    b: str,
    name: str,
    summaries: Mapping[str, Mapping[str, FeatureSummary]],
    comparator: Comparator,
    tfdv_value: float | None,
    min_count: int,
) -> SkewPair:
    result = compare(
        summaries[a].get(name), summaries[b].get(name), comparator, min_count=min_count, sides=(a, b)
    )
    return SkewPair(
        a=a,
        b=b,
        feature=name,
        tfdv_value=tfdv_value,
        n_a=result.n,
        n_b=result.n_baseline,
        **outcome(result, "SKEW"),
    )


def _matrices(
    locales: Sequence[str], summaries: Mapping[str, Mapping[str, FeatureSummary]], pairs: Sequence[SkewPair]
) -> dict[str, dict[str, Matrix]]:
    """Symmetric matrices per measure and feature; the Kolmogorov-Smirnov statistic beside the measure."""
    index = {locale: position for position, locale in enumerate(locales)}
    matrices: dict[str, dict[str, Matrix]] = {}
    for pair in pairs:
        values = {pair.measure: pair.value}
        if pair.measure == "jensen_shannon_divergence":
            values[KOLMOGOROV_SMIRNOV] = pair.statistic
        for measure, value in values.items():
            by_feature = matrices.setdefault(measure, {})
            if pair.feature not in by_feature:
                by_feature[pair.feature] = _empty_matrix(locales, summaries, pair.feature)
            matrix = by_feature[pair.feature]
            row, column = index[pair.a], index[pair.b]
            matrix[row][column] = matrix[column][row] = value
    return matrices


def _empty_matrix(
    locales: Sequence[str], summaries: Mapping[str, Mapping[str, FeatureSummary]], feature: str
) -> Matrix:
    matrix: Matrix = [[None] * len(locales) for _ in locales]
    for position, locale in enumerate(locales):
        summary = summaries[locale].get(feature)
        if summary is not None and summary.num_present:
            matrix[position][position] = 0.0
    return matrix
