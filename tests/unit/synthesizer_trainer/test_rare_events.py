"""Kinds of anomaly with few real windows: how they are counted, refused and merged."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pydantic
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import DataError, InsufficientDataError
from components.synthesizer_trainer.config import RareEventsConfig, SynthesizerTrainerConfig
from components.synthesizer_trainer.core.rare_events import count_windows, decide, merge
from components.synthetic_gen.core.rows import check_conforms

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(FeatureConfig(name="x"),),
    targets=("x",),
    interval_s=60,
)
ONE_KIND = DATASET.model_copy(update={"label_kind": None})
DP: dict[str, Any] = {"epsilon": 1, "delta": 1e-6, "bounds": {"x": (0, 1)}}


def _table(**windows: int) -> pa.Table:
    """One series; each window is two labelled rows, and a normal row stands between any two."""
    kinds = [kind for kind, count in windows.items() for _ in range(count)]
    names = [name for kind in kinds for name in ("", kind, kind)]
    return _rows([("a", name) for name in (*names, "")])


def _rows(named: list[tuple[str, str]]) -> pa.Table:
    """Rows of (series, kind) at one minute's distance."""
    kinds = [kind for _, kind in named]
    return pa.table(
        {
            "timestamp": np.arange(len(named), dtype=np.int64) * 60_000_000,
            "asset": [series for series, _ in named],
            "x": np.zeros(len(named), np.float32),
            "label": [int(kind != "") for kind in kinds],
            "kind": pa.array([kind or None for kind in kinds], pa.string()),
        }
    )


def test_a_window_is_a_run_of_one_kind_in_one_series() -> None:
    # As they come: a b a b …; by series: a: jam jam - jam, b: jam leak leak.
    table = _rows(
        [("a", "jam"), ("b", "jam"), ("a", "jam"), ("b", "leak"), ("a", ""), ("b", "leak"), ("a", "jam")]
    )
    assert count_windows(table, DATASET, "x") == {"jam": 3, "leak": 1}
    assert count_windows(table.take([6, 2, 0, 5, 1, 4, 3]), DATASET, "x") == {"jam": 3, "leak": 1}
    assert count_windows(table, ONE_KIND, "x") == {"anomaly": 3}


def test_what_the_holdout_cuts_out_of_an_event_makes_no_second_window() -> None:
    event = _rows([("a", "")] + [("a", "jam")] * 6 + [("a", "")])
    cut = event.filter(pa.array([True, True, True, False, False, True, True, True]))
    assert count_windows(cut, DATASET, "x") == {"jam": 1}


def test_a_rare_kind_is_refused_without_its_name_or_count_in_the_message(caplog) -> None:
    table = _table(jam=10, leak=9, stall=3)
    with pytest.raises(InsufficientDataError) as caught, caplog.at_level(logging.WARNING):
        decide(table, DATASET, RareEventsConfig(), "locale=eu-west split=train")
    message = str(caught.value)
    assert message.startswith(
        "locale=eu-west split=train: kinds of anomaly with fewer than 10 windows "
        "(rare_events.min_windows): 2;"
    )
    assert "rare_events.below: merge" in message and "\n" not in message
    assert not any(word in message for word in ("jam", "leak", "stall", " 9", "3"))
    # The locale's own log says which.
    assert "leak 9, stall 3" in caplog.text and "jam" not in caplog.text


def test_at_the_minimum_a_kind_stands_by_itself(caplog) -> None:
    with caplog.at_level(logging.INFO):
        found = decide(_table(jam=10, leak=11), DATASET, RareEventsConfig(), "x")
    assert (found.outcome, found.windows, found.merged) == (
        "every kind by itself",
        {"jam": 10, "leak": 11},
        (),
    )
    assert "every kind by itself" in caplog.text
    assert decide(_table(), DATASET, RareEventsConfig(), "x").outcome == "no labelled window"
    with pytest.raises(InsufficientDataError, match="fewer than 11 windows"):
        decide(_table(jam=10), DATASET, RareEventsConfig(min_windows=11), "x")


def test_rare_kinds_are_merged_into_one_and_the_others_stay(caplog) -> None:
    policy = RareEventsConfig(below="merge")
    table = _table(jam=12, leak=6, stall=4)
    with caplog.at_level(logging.WARNING):
        decision = decide(table, DATASET, policy, "x")
    assert decision.outcome == "merged" and decision.merged == ("leak", "stall")
    assert decision.to_json()["windows"] == {"jam": 12, "leak": 6, "stall": 4}
    assert "leak, stall are released as one kind" in caplog.text
    merged = merge(table, DATASET, decision)
    assert count_windows(merged, DATASET, "x") == {"jam": 12, "other": 10}
    assert merged.schema == table.schema and merged.drop(["kind"]) == table.drop(["kind"])
    assert merged["kind"].null_count == table["kind"].null_count


def test_labelled_rows_without_a_kind_are_merged_as_well() -> None:
    table = _table(jam=6, nameless=6)
    kind = ["" if name == "nameless" else name for name in table["kind"].to_pylist()]
    table = table.set_column(4, "kind", pa.array(kind, pa.string()))
    decision = decide(table, DATASET, RareEventsConfig(below="merge"), "x")
    assert decision.merged == ("anomaly", "jam")
    assert count_windows(merge(table, DATASET, decision), DATASET, "x") == {"other": 12}


def test_a_kind_that_is_called_other_already_is_part_of_the_merged_one() -> None:
    table = _table(jam=4, other=20)
    decision = decide(table, DATASET, RareEventsConfig(below="merge"), "x")
    assert decision.merged == ("jam", "other")
    assert count_windows(merge(table, DATASET, decision), DATASET, "x") == {"other": 24}


def test_merged_and_still_too_few_is_refused() -> None:
    for few in (_table(jam=12, leak=5, stall=4), _table(jam=12, leak=9)):
        with pytest.raises(InsufficientDataError, match="merged they are too few as well") as caught:
            decide(few, DATASET, RareEventsConfig(below="merge"), "x")
        assert "leak" not in str(caught.value)


def test_nothing_merged_changes_no_row() -> None:
    table = _table(jam=10)
    decision = decide(table, DATASET, RareEventsConfig(below="merge"), "x")
    assert merge(table, DATASET, decision) is table


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"rare_events": {"below": "dp"}}, "found 'dp' with method 'gan'"),
        (
            {"method": "dp_linear", "dp": DP, "rare_events": {"below": "merge"}},
            "found 'merge' with method 'dp_",
        ),
        (
            {"method": "dp_linear", "dp": DP, "rare_events": {"below": "refuse"}},
            "found 'refuse' with method 'dp_",
        ),
        ({"rare_events": {"min_windows": 0}}, "min_windows"),
        ({"rare_events": {"below": "ignore"}}, "below"),
        ({"rare_events": {"fewest": 3}}, "fewest"),
    ],
)
def test_what_does_not_go_together_is_refused(said: dict[str, Any], expected: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=expected):
        SynthesizerTrainerConfig(dataset=DATASET, **said)


def test_what_goes_together() -> None:
    for said in (
        {},
        {"rare_events": {"below": "merge"}},
        {"method": "dp_linear", "dp": DP},
        {"method": "dp_linear", "dp": DP, "rare_events": {"below": "dp"}},
    ):
        config = SynthesizerTrainerConfig(dataset=DATASET, **said)
        assert SynthesizerTrainerConfig.from_exec_property(config.to_exec_property()) == config
    with pytest.raises(pydantic.ValidationError, match=r"dataset\.label_kind names no column"):
        SynthesizerTrainerConfig(dataset=ONE_KIND, rare_events={"below": "merge"})


def test_the_merged_kind_conforms_to_a_schema_inferred_from_rows_only() -> None:
    schema = text_format.Parse(
        'feature { name: "x" type: FLOAT } feature { name: "label" type: INT } '
        'feature { name: "kind" type: BYTES string_domain { value: "jam" value: "leak" } }',
        schema_pb2.Schema(),
    )
    merged = _table(jam=1, other=1)
    check_conforms(merged, schema, DATASET, "x")
    with pytest.raises(DataError, match=r"kind \(1 values outside its domain\)"):
        check_conforms(_table(jam=1, stall=1), schema, DATASET, "x")
    with pytest.raises(DataError, match=r"kind \(1 values outside its domain\)"):
        check_conforms(merged, schema, DATASET.model_copy(update={"schema_name": "curated"}), "x")
