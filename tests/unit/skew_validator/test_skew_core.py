"""Skew reports: every pair and feature has an outcome; matrices are symmetric."""

from __future__ import annotations

import numpy as np
import pytest

from components.skew_validator.config import SkewValidatorConfig
from components.skew_validator.core import make_report
from components.statistics_gen import core
from components.statistics_gen.summary import Comparator, FeatureSummary
from tests.support.histograms import histogram as make_histogram

COMPARATORS = {"temp": Comparator("jensen_shannon_divergence", 0.4), "on": Comparator("infinity_norm", 0.1)}


def _locale(low: float, on: int) -> dict[str, FeatureSummary]:
    """100 rows: `temp` uniform on [low, low + 1], `on` set in `on` rows."""
    edges = np.linspace(low, low + 1, 11)
    histogram = make_histogram(edges, [10] * 10)
    cdf = core.StepCdf(edges, np.linspace(0, 1, 11))
    return {
        "temp": FeatureSummary("temp", True, 100, 0, histogram=histogram, cdf=cdf),
        "on": FeatureSummary("on", False, 100, 0, counts={"0": 100 - on, "1": on}),
    }


def test_pairs_and_matrices() -> None:
    summaries = {"north": _locale(0, 20), "south": _locale(0.5, 25), "west": _locale(2, 20)}
    report = make_report(summaries, COMPARATORS, {("north", "south", "temp"): 0.5}, min_count=10)
    assert (report.status, report.reason) == ("EVALUATED", "")
    assert (report.locales, report.features) == (("north", "south", "west"), ("temp", "on"))
    found = {(p.a, p.b, p.feature): p for p in report.pairs}
    assert len(found) == 6
    # Half of each uniform lies where the other has nothing: half a bit.
    near = found["north", "south", "temp"]
    assert near.value == pytest.approx(0.5) and near.tfdv_value == 0.5 and near.verdict == "SKEW"
    assert found["north", "west", "temp"].value == 1.0
    assert found["north", "west", "temp"].tfdv_value is None
    small = found["north", "south", "on"]
    assert small.value == pytest.approx(0.05) and small.verdict == "OK"
    assert (small.n_a, small.n_b, small.test) == (100, 100, "chi_square")
    matrix = np.array(report.matrix["jensen_shannon_divergence"]["temp"])
    np.testing.assert_allclose(matrix, [[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]])
    assert np.array_equal(matrix, matrix.T)
    np.testing.assert_allclose(
        report.matrix["kolmogorov_smirnov"]["temp"], [[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]]
    )
    assert set(report.matrix["infinity_norm"]) == {"on"}


def test_a_locale_without_a_feature_is_undefined_not_silent() -> None:
    summaries = {"north": _locale(0, 20), "south": {"on": _locale(0, 20)["on"]}}
    report = make_report(summaries, COMPARATORS, {}, min_count=10)
    pair = next(p for p in report.pairs if p.feature == "temp")
    assert (pair.verdict, pair.value, pair.reason) == ("UNDEFINED", None, "feature is absent from south")
    assert report.matrix["jensen_shannon_divergence"]["temp"] == [[0.0, None], [None, None]]
    assert report.matrix["kolmogorov_smirnov"]["temp"] == [[0.0, None], [None, None]]


@pytest.mark.parametrize(
    ("locales", "comparators", "reason"),
    [
        (["north"], COMPARATORS, "a skew needs two locales, found 1 (north)"),
        ([], COMPARATORS, "a skew needs two locales, found 0 (none)"),
        (["north", "south"], {}, "the schema carries no skew comparator"),
    ],
)
def test_not_evaluated_says_why(locales: list[str], comparators: dict[str, Comparator], reason: str) -> None:
    report = make_report({name: _locale(0, 20) for name in locales}, comparators, {}, min_count=10)
    assert (report.status, report.reason, report.pairs, report.matrix) == ("NOT_EVALUATED", reason, (), {})
    assert report.to_json()["reason"] == reason


def test_config_round_trip() -> None:
    config = SkewValidatorConfig()
    assert SkewValidatorConfig.from_exec_property(config.to_exec_property()) == config
