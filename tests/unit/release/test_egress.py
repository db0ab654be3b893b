"""Only what is on the list leaves."""

from __future__ import annotations

import json

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.errors import DataError
from components.release.egress import gate_verdicts, parse_schema, released_evaluation, released_schema

EVALUATION = {
    "metrics": [
        {
            "name": "jsd",
            "value": 0.1,
            "range": [0, 1],
            "interval": {
                "low": 0.05,
                "high": 0.2,
                "confidence": 0.95,
                "method": "bootstrap",
                "draws": [1, 2],
            },
            "reason": "row 17 of ada@example.org",
            "values": [1.0, 2.0, 3.0],
            "histogram": {"edges": [1.0], "counts": [4]},
            "description": "x" * 301,
            "control": float("nan"),
            "n": 12,
        }
    ],
    "gate": {
        "verdict": "BLESSED",
        "checks": [
            {"metric": "jsd", "passed": True, "threshold": 0.2, "rule": "jsd <= 0.2", "rows": ["secret"]}
        ],
        "notes": "secret",
    },
    "curves": {"real": [1, 2, 3]},
    "minimum": 3.25,
}


def test_only_listed_fields_leave():
    assert released_evaluation(EVALUATION) == {
        "metrics": [
            {
                "name": "jsd",
                "value": 0.1,
                "range": [0, 1],
                "interval": {"low": 0.05, "high": 0.2, "confidence": 0.95, "method": "bootstrap"},
                "n": 12,
            }
        ],
        "gate": {
            "verdict": "BLESSED",
            "checks": [{"metric": "jsd", "passed": True, "threshold": 0.2, "rule": "jsd <= 0.2"}],
        },
    }


def test_metrics_by_name_and_a_verdict_at_the_top_are_understood():
    found = released_evaluation({"metrics": {"jsd": {"value": 1}}, "verdict": "NOT_BLESSED"})
    assert found == {
        "metrics": [{"name": "jsd", "value": 1}],
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


def test_schema_loses_its_domains_and_comparators():
    schema = text_format.Parse(
        """
        feature { name: "site" type: BYTES presence { min_fraction: 1 min_count: 1 } domain: "sites"
                  skew_comparator { infinity_norm { threshold: 0.1 } } }
        feature { name: "x" type: FLOAT float_domain { min: -3.25 max: 7.5 } shape { dim { size: 1 } } }
        string_domain { name: "sites" value: "villa-ada" }
        default_environment: "secret"
        """,
        schema_pb2.Schema(),
    )
    text = released_schema(schema)
    kept = parse_schema(text, "here")
    assert [(f.name, f.type) for f in kept.feature] == [("site", schema_pb2.BYTES), ("x", schema_pb2.FLOAT)]
    assert kept.feature[0].presence.min_count == 1
    for secret in ("villa", "3.25", "7.5", "secret", "comparator", "domain"):
        assert secret not in text


def test_a_schema_that_does_not_parse_is_not_quoted():
    with pytest.raises(DataError, match="not a schema") as caught:
        parse_schema("ada@example.org", "here")
    assert "ada" not in str(caught.value)


def test_the_result_is_json_without_nan():
    json.dumps(released_evaluation(EVALUATION), allow_nan=False)
