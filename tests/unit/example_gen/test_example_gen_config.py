"""ExampleGenConfig: round trip, and every rule with its message."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.example_gen.config import ExampleGenConfig, PiiRule, SourceConfig, SplitConfig

DATASET = DatasetConfig(
    timestamp="time",
    series=("device",),
    label="label",
    features=(
        FeatureConfig(name="x"),
        FeatureConfig(name="b", kind="binary"),
        FeatureConfig(name="c", kind="categorical"),
    ),
    targets=("x",),
    interval_s=60,
)


def make(**changes: Any) -> ExampleGenConfig:
    return ExampleGenConfig(**{"dataset": DATASET, "sources": [{"pattern": "a.csv"}], **changes})


def test_round_trip_and_the_key_is_only_a_reference() -> None:
    rule = {"column": "device", "action": "pseudonymise", "key": {"env": "PII_KEY"}}
    config = make(pii=[rule], splits={"mode": "single", "name": "test"})
    text = config.to_exec_property()
    assert ExampleGenConfig.from_exec_property(text) == config
    assert "PII_KEY" in text


def test_fractions_leave_out_zeros() -> None:
    assert SplitConfig(train_fraction=0.75, eval_fraction=0, holdout_fraction=0.25).fractions() == {
        "train": 0.75,
        "holdout": 0.25,
    }


def test_locale_column_joins_the_series_key() -> None:
    config = make(sources=[{"pattern": "a", "locale_column": "locale"}])
    assert config.series_columns() == ("locale", "device")
    assert make(sources=[{"pattern": "a", "locale_column": "device"}]).series_columns() == ("device",)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SourceConfig(pattern="a", name="x/y"), "source name 'x/y'"),
        (lambda: SourceConfig(pattern="a", timezone="Mars/Base"), "timezone 'Mars/Base' is not known"),
        (lambda: SourceConfig(pattern="a", rename={"p": "x", "q": "x"}), "two columns become 'x'"),
        (lambda: SourceConfig(pattern="a", delimiter=";;"), "at most 1 character"),
        (lambda: SplitConfig(train_fraction=0.9), "add up to 1.2, must be 1"),
        (lambda: SplitConfig(mode="single", name="a b"), "split name 'a b'"),
        (lambda: PiiRule(column="x", action="generalise"), "exactly one of 'width' and 'mapping'"),
        (lambda: PiiRule(column="x", action="generalise", width=0), "greater than 0"),
        (lambda: PiiRule(column="x", action="redact", width=2), "belong to action generalise"),
        (lambda: PiiRule(column="x", action="pseudonymise"), "'key' is needed by pseudonymise"),
        (lambda: PiiRule(column="x"), "give either an action or 'declare: not_personal'"),
        (lambda: PiiRule(column="x", action="drop", declare="not_personal"), "give either an action"),
        (lambda: PiiRule(column="x", action="drop", old_key={"env": "K"}), "belongs to action pseudonymise"),
        (lambda: PiiRule(column="x", action="drop", key={"env": "K"}), "and only there"),
        (lambda: make(sources=[{"pattern": "a"}, {"pattern": "b"}]), "source named twice: data"),
        (
            lambda: make(sources=[{"pattern": "a"}, {"name": "b", "pattern": "b", "locale_column": "l"}]),
            "locale_column differs",
        ),
        (lambda: make(sources=[{"pattern": "a", "locale_column": "x"}]), "locale_column 'x' is already"),
        (lambda: make(sources=[{"pattern": "a", "may_lack": ["device"]}]), "'device' cannot be missing"),
        (lambda: make(pii=[{"column": "x", "action": "redact"}] * 2), "two rules for column x"),
        (
            lambda: make(pii=[{"column": "label", "action": "redact"}]),
            "no rule may change the time or the label",
        ),
        (lambda: make(pii=[{"column": "device", "action": "redact"}]), "pseudonymised or mapped only"),
        (lambda: make(pii=[{"column": "x", "action": "drop"}]), "remove it from the data set"),
        (
            lambda: make(pii=[{"column": "x", "action": "pseudonymise", "key": {"env": "K"}}]),
            "only text can be pseudonymised, it is continuous",
        ),
        (
            lambda: make(pii=[{"column": "c", "action": "generalise", "width": 2}]),
            "text is generalised by 'mapping'",
        ),
        (
            lambda: make(pii=[{"column": "b", "action": "generalise", "width": 2}]),
            "binary column has no buckets",
        ),
        (lambda: make(max_bad_fraction=-0.1), "greater than or equal to 0"),
        (lambda: make(max_bad=0.1), "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(build: Any, message: str) -> None:
    assert make().series_columns() == ("device",)  # without the change nothing is refused
    with pytest.raises(pydantic.ValidationError, match=message):
        build()
