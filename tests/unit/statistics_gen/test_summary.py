"""Summaries of statistics protos and their comparison: every obstacle has its reason."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.statistics_gen import core
from components.statistics_gen.summary import (
    Comparator,
    FeatureSummary,
    comparators,
    compare,
    single_dataset,
    summarise,
)
from tests.support.histograms import histogram as make_histogram

JSD = Comparator("jensen_shannon_divergence", 0.1)
LINF = Comparator("infinity_norm", 0.1)
SIDES = ("here", "there")

STATISTICS = """
datasets {
  name: "train" num_examples: 10
  features {
    path { step: "x" } type: FLOAT
    num_stats {
      common_stats { num_non_missing: 8 num_missing: 2 }
      histograms { type: STANDARD num_nan: 1
        buckets { low_value: 0 high_value: 1 sample_count: 6 }
        buckets { low_value: 1 high_value: 2 sample_count: 2 } }
      histograms { type: QUANTILES
        buckets { low_value: 0 high_value: 0.5 sample_count: 4 }
        buckets { low_value: 0.5 high_value: 2 sample_count: 4 } }
    }
  }
  features {
    name: "mode" type: STRING
    string_stats {
      common_stats { num_non_missing: 10 }
      rank_histogram { buckets { label: "sun" sample_count: 7 } buckets { label: "safe" sample_count: 3 } }
    }
  }
  features { path { step: "void" } type: FLOAT num_stats { common_stats { num_missing: 10 } } }
}
"""


def _numeric(low: float, high: float, n: int, missing: int = 0) -> FeatureSummary:
    edges = np.linspace(low, high, 11)
    return FeatureSummary(
        "x",
        True,
        n,
        missing,
        histogram=make_histogram(edges, [n / 10] * 10),
        cdf=core.StepCdf(edges, np.linspace(0, 1, 11)),
    )


def _counted(n: int, **counts: float) -> FeatureSummary:
    return FeatureSummary("m", False, n, 0, counts=counts)


def test_summarise_reads_both_kinds() -> None:
    found = summarise(text_format.Parse(STATISTICS, statistics_pb2.DatasetFeatureStatisticsList()))
    x, mode, void = found["x"], found["mode"], found["void"]
    assert (x.numeric, x.num_present, x.num_missing) == (True, 8, 2)
    assert x.histogram is not None and x.cdf is not None
    assert x.histogram.counts.tolist() == [6, 2] and x.histogram.num_nan == 1
    assert x.cdf.knots.tolist() == [0, 0.5, 2] and x.cdf.levels.tolist() == [0, 0.5, 1]
    assert mode.counts == {"sun": 7, "safe": 3} and not mode.numeric
    assert (void.num_present, void.num_missing, void.histogram, void.cdf) == (0, 10, None, None)


def test_single_dataset_of_an_empty_file() -> None:
    assert single_dataset(statistics_pb2.DatasetFeatureStatisticsList()).num_examples == 0


def test_comparators_are_read_per_kind() -> None:
    schema = schema_pb2.Schema()
    x, m, _ = (schema.feature.add(name=name) for name in ("x", "m", "asset"))
    x.drift_comparator.jensen_shannon_divergence.threshold = 0.3
    x.skew_comparator.jensen_shannon_divergence.threshold = 0.4
    m.drift_comparator.infinity_norm.threshold = 0.0
    assert comparators(schema, "drift") == {
        "x": Comparator("jensen_shannon_divergence", 0.3),
        "m": Comparator("infinity_norm", 0.0),
    }
    assert comparators(schema, "skew") == {"x": Comparator("jensen_shannon_divergence", 0.4)}


def test_compare_numeric() -> None:
    # Uniform on [0, 1] against uniform on [0.5, 1.5]: half of each side overlaps, so M is P on the shared
    # half; JSD = (1/2 * log2(1 / (1/2)) over the lone halves) = 1/2 bit.
    result = compare(_numeric(0, 1, 1000), _numeric(0.5, 1.5, 2000), JSD, sides=SIDES)
    assert result.value == pytest.approx(0.5)
    assert (result.exceeded, result.n, result.n_baseline, result.reason) == (True, 1000, 2000, "")
    assert result.test == "kolmogorov_smirnov" and result.statistic == pytest.approx(0.5)
    assert result.p_value is not None and result.p_value < 1e-6


def test_compare_counted() -> None:
    result = compare(_counted(100, a=50, b=50), _counted(100, a=60, b=40), LINF, sides=SIDES)
    assert result.value == pytest.approx(0.1)
    assert (result.test, result.exceeded) == ("chi_square", result.value > 0.1)


def test_a_value_at_the_threshold_passes() -> None:
    # TFDV: anomalous is what lies above, not at the threshold. 3/4 - 1/2 is exact in binary.
    at = compare(_counted(4, a=3, b=1), _counted(4, a=2, b=2), Comparator("infinity_norm", 0.25), sides=SIDES)
    assert at.value == 0.25 and at.exceeded is False


def test_compare_keeps_the_value_where_only_the_test_is_undefined() -> None:
    result = compare(_counted(4, a=3, b=1), _counted(4, a=2, b=2), LINF, sides=SIDES)
    assert result.value == 0.25 and result.p_value is None
    assert result.reason.startswith("p-value: ") and "expected counts below 5" in result.reason
    no_quantiles = FeatureSummary("x", True, 5, 0, histogram=_numeric(0, 1, 5).histogram)
    result = compare(no_quantiles, _numeric(0, 1, 5), JSD, sides=SIDES)
    assert result.value == pytest.approx(0.0) and result.reason == "p-value: no quantiles"


@pytest.mark.parametrize(
    ("current", "baseline", "comparator", "reason"),
    [
        (None, _numeric(0, 1, 5), JSD, "feature is absent from here"),
        (_numeric(0, 1, 5), None, JSD, "feature is absent from there"),
        (None, None, JSD, "feature is absent from here and there"),
        (FeatureSummary("x", True, 0, 9), _numeric(0, 1, 5), JSD, "here: all 9 rows lack a value"),
        (_numeric(0, 1, 5), FeatureSummary("x", True, 0, 0), JSD, "there: the split is empty"),
        (_numeric(0, 1, 5), _numeric(0, 1, 4), JSD, "there: 4 values, fewer than min_count 5"),
        (
            _numeric(0, 1, 5),
            _counted(5, a=5),
            JSD,
            "there: jensen_shannon_divergence does not apply to categorical",
        ),
        (_numeric(0, 1, 5), _numeric(0, 1, 5), LINF, "here: infinity_norm does not apply to numeric"),
        (FeatureSummary("x", True, 5, 0), _numeric(0, 1, 5), JSD, "no finite values"),
    ],
)
def test_what_cannot_be_compared_says_why(
    current: FeatureSummary | None, baseline: FeatureSummary | None, comparator: Comparator, reason: str
) -> None:
    result = compare(current, baseline, comparator, min_count=5, sides=SIDES)
    assert result.value is None and result.exceeded is None and result.p_value is None
    assert reason in result.reason
