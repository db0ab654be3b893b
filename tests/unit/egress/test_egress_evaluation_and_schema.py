"""Only what is on the list leaves, and what is on no list is refused."""

from __future__ import annotations

import copy
import json

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.dataset import DatasetConfig, FeatureConfig
from components.egress.evaluation import gate_verdicts, released_evaluation
from components.egress.rows import NumericSummary, RowsSummary
from components.egress.schema import parse_schema, public_values, released_schema
from components.egress.statistics import check_are_of, check_listed
from components.errors import DataError, InternalError
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.gate import CheckResult
from components.release_evaluator.core.metrics import Interval, Metric

EVALUATION = {
    "metrics": [
        {
            "name": "acf_error",
            "value": 0.1,
            "range": [0, 1],
            "interval": {"low": 0.05, "high": 0.2, "confidence": 0.95, "method": "bootstrap"},
            "reason": "row 17 of ada@example.org",
            "control": float("nan"),
            "n": 12,
        }
    ],
    "gate": {
        "verdict": "BLESSED",
        "reasons": ["acf_error of ada"],
        "checks": [
            {"metric": "acf_error", "passed": True, "value": 0.1, "threshold": 0.2, "rule": "value <= 0.2"},
        ],
    },
    "n_train": 4711,
    "seconds": 3.25,
}


def changed(*path, value) -> dict:
    content = copy.deepcopy(EVALUATION)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return content


def test_only_listed_fields_leave():
    assert released_evaluation(EVALUATION) == {
        "metrics": [
            {
                "name": "acf_error",
                "value": 0.1,
                "range": [0, 1],
                "interval": {"low": 0.05, "high": 0.2, "confidence": 0.95, "method": "bootstrap"},
                "n": 12,
            }
        ],
        "gate": {
            "verdict": "BLESSED",
            "checks": [
                {
                    "metric": "acf_error",
                    "passed": True,
                    "value": 0.1,
                    "threshold": 0.2,
                    "rule": "value <= 0.2",
                }
            ],
        },
    }
    json.dumps(released_evaluation(EVALUATION), allow_nan=False)


@pytest.mark.parametrize(
    "content",
    [
        changed("curves", value={"real": [1, 2, 3]}),
        changed("minimum", value=3.25),
        changed("metrics", 0, "quantiles", value=[1.0, 2.0]),
        changed("metrics", 0, "interval", "draws", value=[1, 2]),
        changed("gate", "notes", value="secret"),
        changed("gate", "checks", 0, "rows", value=["secret"]),
        changed("metrics", 0, "value", value=[1.0, 2.0, 3.0]),
        changed("metrics", 0, "description", value="Lindqvist is the nearest record"),
        changed("metrics", 0, "description", value="x" * 301),
        changed("metrics", 0, "name", value="ada@example.org, Basel"),
        changed("metrics", 0, "name", value="Lindqvist"),
        changed("gate", "checks", 0, "metric", value="acf_error_Lindqvist"),
        changed("gate", "checks", 0, "name", value="Lindqvist"),
        changed("gate", "checks", 0, "rule", value="value <= Lindqvist"),
    ],
    ids=lambda content: str(sorted(set(map(str, content)) - set(EVALUATION))) + str(content)[:0],
)
def test_a_field_or_text_that_is_on_no_list_is_refused_without_being_quoted(content):
    with pytest.raises(InternalError, match="egress: ") as caught:
        released_evaluation(content)
    for secret in ("secret", "Lindqvist", "ada", "3.25"):
        assert secret not in str(caught.value)


def test_whatever_the_evaluator_says_of_every_metric_of_its_catalogue_may_leave():
    """A metric, a description or a method that the evaluator gains must pass, or be put on the list."""
    interval = Interval(0.0, 1.0, 0.95, "Wilson score")
    metrics = [Metric(name, spec, "OK", 0.5, "", interval, 0.25, 9) for name, spec in METRICS.items()]
    checks = [CheckResult(name, "high bound <= 0.7", 0.5, 0.7, True, "why", "OK") for name in METRICS]
    content = {
        "metrics": [metric.to_json() for metric in metrics],
        "gate": {"verdict": "BLESSED", "reasons": [], "checks": [check.to_json() for check in checks]},
    }
    released = released_evaluation(content)
    assert len(released["metrics"]) == len(released["gate"]["checks"]) == len(METRICS)
    assert released["metrics"][0]["description"] == metrics[0].spec.description


def test_a_locale_that_withholds_its_numbers_lets_verdicts_out():
    released = released_evaluation(EVALUATION, numbers=False)
    assert released["metrics"] == []
    (check,) = released["gate"]["checks"]
    assert check == {"metric": "acf_error", "passed": True, "threshold": 0.2, "rule": "value <= 0.2"}


def test_metrics_by_name_and_a_verdict_at_the_top_are_understood():
    found = released_evaluation({"metrics": {"acf_error": {"value": 1}}, "verdict": "NOT_BLESSED"})
    assert found == {
        "metrics": [{"name": "acf_error", "value": 1}],
        "gate": {"verdict": "NOT_BLESSED", "checks": []},
    }


@pytest.mark.parametrize(
    "odd", [{}, {"metrics": 3, "gate": []}, {"gate": {"verdict": "the secret", "checks": {}}}]
)
def test_odd_forms_leave_nothing(odd):
    assert released_evaluation(odd) == {"metrics": [], "gate": {"verdict": "NOT_EVALUATED", "checks": []}}


def test_gate_verdicts_of_two_checks_of_one_metric_the_failed_one_counts():
    checks = [
        {"metric": "a", "passed": False},
        {"metric": "a", "passed": True},
        {"metric": "b", "passed": None},
        {"name": "c", "passed": True},
        {"metric": "d", "passed": True, "status": "NOT_APPLICABLE"},
        {"metric": "e", "passed": False, "status": "NOT_APPLICABLE"},
    ]
    released = {"gate": {"checks": checks}}
    assert gate_verdicts(released) == {
        "a": "failed",
        "b": "not applicable",
        "c": "passed",
        "d": "not applicable",
        "e": "failed",
    }


SCHEMA = """
feature { name: "site" type: BYTES presence { min_fraction: 0.9753 min_count: 1 } domain: "sites"
          skew_comparator { infinity_norm { threshold: 0.1 } } }
feature { name: "x" type: FLOAT float_domain { min: -3.25 max: 7.5 } shape { dim { size: 1 } } }
string_domain { name: "sites" value: "villa-ada" }
default_environment: "secret"
"""
CURATED = """
feature { name: "site" type: BYTES presence { min_fraction: 1 } domain: "known" }
feature { name: "x" type: FLOAT float_domain { min: -100 max: 100 } }
string_domain { name: "known" value: "north" value: "south" }
"""


DATASET = DatasetConfig(series=("site",), features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60)


def schema(text: str) -> schema_pb2.Schema:
    return text_format.Parse(text, schema_pb2.Schema())


def test_domains_found_in_rows_never_leave():
    text = released_schema(schema(SCHEMA))
    kept = parse_schema(text, "here")
    assert [(f.name, f.type) for f in kept.feature] == [("site", schema_pb2.BYTES), ("x", schema_pb2.FLOAT)]
    assert kept.feature[1].shape.dim[0].size == 1
    for secret in ("villa", "3.25", "7.5", "0.9753", "secret", "comparator", "domain"):
        assert secret not in text


def test_domains_that_leave_are_those_of_the_curated_schema():
    text = released_schema(schema(SCHEMA), schema(CURATED))
    kept = parse_schema(text, "here")
    assert list(kept.feature[0].string_domain.value) == ["north", "south"]
    assert (kept.feature[1].float_domain.min, kept.feature[1].float_domain.max) == (-100, 100)
    for secret in ("villa", "3.25", "0.9753"):
        assert secret not in text
    assert "north" not in released_schema(schema(SCHEMA), schema(CURATED), DATASET)
    assert public_values(schema(CURATED)) == {"site": {"north", "south"}}
    assert public_values(None) == {}


def test_a_column_that_the_data_set_does_not_name_is_refused_without_being_named():
    unnamed = schema(SCHEMA + 'feature { name: "ada_lindqvist" type: INT }')
    with pytest.raises(
        InternalError, match=r"^eu-west: schema.pbtxt: egress: there is a column '…'"
    ) as caught:
        released_schema(unnamed, None, DATASET, "eu-west")
    assert "ada" not in str(caught.value)


def test_a_schema_that_does_not_parse_is_not_quoted():
    with pytest.raises(DataError, match="not a schema") as caught:
        parse_schema("ada@example.org", "here")
    assert "ada" not in str(caught.value)


# --- statistics ------------------------------------------------------------------------------------

ROWS = RowsSummary(4, {"x": NumericSummary(4, 0, 1.0, 4.0, 10.0)}, {"site": {"north", "south"}}, {"site": 0})
STATISTICS = """
num_examples: 4
features { name: "x" type: FLOAT num_stats { common_stats { num_non_missing: 4 } mean: 2.5 min: 1 max: 4
  histograms { buckets { low_value: 1 high_value: 4 sample_count: 4 } } } }
features { name: "site" type: STRING string_stats { unique: 2 top_values { value: "north" frequency: 3 }
  rank_histogram { buckets { label: "south" sample_count: 1 } } } }
"""


def statistics(text: str = STATISTICS) -> statistics_pb2.DatasetFeatureStatistics:
    return text_format.Parse(text, statistics_pb2.DatasetFeatureStatistics())


def test_statistics_of_the_released_rows_leave():
    check_listed(statistics(), "here")
    check_are_of(statistics(), ROWS, "here")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("max: 4", "max: 93.71828", "the range"),
        ("mean: 2.5", "mean: 2.6", "the mean"),
        ("num_non_missing: 4", "num_non_missing: 5", "the number of values"),
        ("high_value: 4", "high_value: 93.71828", "a histogram's edge"),
        ('"south"', '"villa-ada"', "the vocabulary"),
        ('"north"', '"villa-ada"', "the vocabulary"),
        ('name: "x"', 'name: "salary"', "the set of columns"),
    ],
)
def test_statistics_of_as_many_other_rows_do_not(old, new, what):
    with pytest.raises(DataError, match=what) as caught:
        check_are_of(statistics(STATISTICS.replace(old, new, 1)), ROWS, "here")
    for secret in ("93.7", "villa", "salary"):
        assert secret not in str(caught.value)


def test_a_field_of_the_statistics_that_is_on_no_list():
    odd = statistics(STATISTICS + 'features { name: "y" custom_stats { name: "rows" str: "ada" } }')
    with pytest.raises(InternalError, match=r"FeatureNameStatistics\.custom_stats") as caught:
        check_listed(odd, "here")
    assert "ada" not in str(caught.value)
