"""Grids, shards and the configuration of SyntheticGen."""

from __future__ import annotations

import datetime
import tracemalloc

import numpy as np
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import ConfigError, DataError, InsufficientDataError
from components.split_io import arrow_schema
from components.synthesizer_trainer.core.planning import Session
from components.synthetic_gen.config import SyntheticGenConfig
from components.synthetic_gen.core import grid
from components.synthetic_gen.core.rows import check_conforms, synthetic_name, to_table

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(FeatureConfig(name="temp"), FeatureConfig(name="mode", kind="categorical")),
    targets=("temp",),
    interval_s=60,
)
MINUTE_US = 60_000_000


def _session(number: int, rows: int) -> Session:
    keep = np.arange(rows, dtype=np.int64)
    return Session(number, 0, keep, keep * MINUTE_US)


def test_the_real_grid_keeps_gaps_and_reads_no_value() -> None:
    minutes = np.array([0, 1, 5, 0, 2])
    table = pa.table({"timestamp": minutes * MINUTE_US, "asset": ["b", "b", "b", "a", "a"]})
    found = grid.grid_from_rows(table, DATASET, "locale=xx")
    assert [s.keep.tolist() for s in found] == [[0, 2], [0, 1, 5]]
    assert found[1].time_us.tolist() == [0, MINUTE_US, 5 * MINUTE_US] and found[1].number == 1


def test_an_empty_grid_is_refused() -> None:
    table = pa.table({"timestamp": pa.array([], pa.int64()), "asset": pa.array([], pa.string())})
    with pytest.raises(InsufficientDataError, match="locale=xx: no rows"):
        grid.grid_from_rows(table, DATASET, "locale=xx")


def test_a_regular_grid_covers_the_period_at_a_multiple() -> None:
    config = SyntheticGenConfig(dataset=DATASET, grid="regular", interval_s=120, sessions=2)
    found = grid.regular_grid(config, 5, 60.0, 0.0, 600.0, "x")
    assert len(found) == 2 and found[0].keep.tolist() == [0, 2, 4, 6, 8, 10]
    assert found[0].time_us[1] == 2 * MINUTE_US


def test_a_cadence_that_the_model_lacks_is_refused() -> None:
    config = SyntheticGenConfig(dataset=DATASET, grid="regular", interval_s=90)
    with pytest.raises(ConfigError, match="interval_s is 90, the synthesizer was trained at 60"):
        grid.regular_grid(config, 5, 60.0, 0.0, 600.0, "x")


def test_rows_are_exact_and_start_where_told() -> None:
    start = datetime.datetime(2024, 1, 1)
    config = SyntheticGenConfig(dataset=DATASET, grid="rows", rows=100, sessions=3, start=start)
    found = grid.limit_rows(grid.regular_grid(config, 5, 60.0, 0.0, 600.0, "x"), config.rows)
    assert sum(len(s.keep) for s in found) == 100
    assert found[0].start_us == int(start.replace(tzinfo=datetime.timezone.utc).timestamp()) * 10**6


@pytest.mark.parametrize("rows", [1, 7, 29, 30, 59, 60, None])
def test_limits_cut_the_longest_first(rows: int | None) -> None:
    found = grid.limit_rows([_session(0, 10), _session(1, 50)], rows)
    lengths = {s.number: len(s.keep) for s in found}
    assert sum(lengths.values()) == (60 if rows is None else rows)
    if rows == 30:
        assert lengths == {0: 10, 1: 20}


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(0, 100))
def test_limits_are_the_highest_level_that_fits(lengths: list[int], rows: int) -> None:
    found = grid.limit_rows([_session(n, length) for n, length in enumerate(lengths)], rows)
    kept = {s.number: len(s.keep) for s in found}
    level = max(level for level in range(14) if sum(min(n, level) for n in lengths) <= rows)
    assert sum(kept.values()) == min(rows, sum(lengths))
    for number, length in enumerate(lengths):
        assert kept.get(number, 0) - min(length, level) in ((0, 1) if length > level else (0,))


def test_limits_need_no_table_of_sessions_by_rows() -> None:
    sessions = [_session(n, 10) for n in range(400)] + [_session(400, 100_000)]
    tracemalloc.start()
    grid.limit_rows(sessions, 5000)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10 * 2**20  # such a table has 401 x 100,001 numbers of 8 bytes


def test_shards_follow_the_plan_alone() -> None:
    parts = grid.shards([_session(n, 100) for n in range(5)], 250)
    assert [[s.number for s in part] for part in parts] == [[0, 1], [2, 3], [4]]
    assert len(grid.shards([_session(0, 1000)], 250)) == 1
    assert max(len(p) for p in grid.shards([_session(n, 1) for n in range(100)], 10**6)) == grid.LANES


def test_rows_become_a_flat_table() -> None:
    dataset = DatasetConfig(
        series=("site", "asset"),
        label="label",
        label_kind="kind",
        features=(
            FeatureConfig(name="temp"),
            FeatureConfig(name="count", kind="integer"),
            FeatureConfig(name="mode", kind="categorical"),
            FeatureConfig(name="void", kind="categorical"),
        ),
        targets=("temp",),
        interval_s=60,
    )

    class Model:
        metadata = {"vocabularies": {"mode": ["a", "b"], "void": []}}
        kinds = ("spike",)

    nan = np.nan
    values = np.array([[1.5, 2.0, 1.0, nan], [nan, nan, nan, nan], [0.5, 3.0, 0.0, nan]])
    sessions = [_session(0, 2), _session(4, 1)]
    parts = [
        {"values": values[:2], "kind": np.array([0, 1])},
        {"values": values[2:], "kind": np.array([0])},
    ]
    table = to_table(Model(), dataset, sessions, parts)  # type: ignore[arg-type]
    assert table.schema.types == arrow_schema(dataset).types
    assert table.to_pydict() == {
        "timestamp": [0, MINUTE_US, 0],
        "site": ["syn-0001", "syn-0001", "syn-0005"],
        "asset": ["syn-0001", "syn-0001", "syn-0005"],
        "temp": [1.5, None, 0.5],
        "count": [2, None, 3],
        "mode": ["b", None, "a"],
        "void": [None, None, None],
        "label": [0, 1, 0],
        "kind": ["", "spike", ""],
    }


def test_names_are_synthetic() -> None:
    assert synthetic_name(0) == "syn-0001"


def test_amplification_by_kind_or_for_all() -> None:
    one = SyntheticGenConfig(dataset=DATASET, label_amplification=2.5)
    assert one.amplification(("a", "b")) == {"a": 2.5, "b": 2.5}
    some = SyntheticGenConfig(dataset=DATASET, label_amplification={"a": 4.0})
    assert some.amplification(("a", "b")) == {"a": 4.0, "b": 1.0}
    assert SyntheticGenConfig.from_exec_property(some.to_exec_property()) == some
    assert one.unmet_factors(("a",)) == [] and some.unmet_factors(("b",)) == ["a"]
    assert some.unmet_factors(("a", "b")) == []


def test_bad_configurations_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="grid 'rows' needs rows"):
        SyntheticGenConfig(dataset=DATASET, grid="rows")
    with pytest.raises(pydantic.ValidationError, match="factors from 0 to 1000"):
        SyntheticGenConfig(dataset=DATASET, label_amplification=-1.0)


def _schema() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    temp = schema.feature.add(name="temp")
    temp.float_domain.min, temp.float_domain.max = 0.0, 10.0
    temp.presence.min_fraction = 1.0
    schema.feature.add(name="mode", domain="modes")
    schema.string_domain.add(name="modes", value=["a", "b"])
    schema.feature.add(name="label").int_domain.max = 1
    return schema


def _rows(temp: list[float | None], mode: list[str], label: int = 0) -> pa.Table:
    return pa.table(
        {
            "temp": pa.array(temp, pa.float32()),
            "mode": mode,
            "label": pa.array([label] * len(temp), pa.int64()),
        }
    )


def test_rows_that_conform_pass() -> None:
    check_conforms(_rows([0.0, 10.0], ["a", "b"]), _schema(), DATASET, "x")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (_rows([-1.0, 5.0], ["a", "b"]), r"temp \(below its domain\)"),
        (_rows([1.0, 50.0], ["a", "b"]), r"temp \(above its domain\)"),
        (_rows([1.0, None], ["a", "b"]), r"temp \(null in 1 rows"),
        (_rows([1.0, 2.0], ["a", "c"]), r"mode \(1 values outside its domain\)"),
        (_rows([1.0, 2.0], ["a", "b"], label=2), r"label \(above its domain\)"),
    ],
)
def test_rows_that_do_not_conform_are_refused(rows: pa.Table, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_conforms(rows, _schema(), DATASET, "locale=xx")


def test_a_feature_that_the_schema_lacks_is_named() -> None:
    with pytest.raises(DataError, match=r"temp \(not in the schema\)"):
        check_conforms(_rows([1.0], ["a"]), schema_pb2.Schema(), DATASET, "locale=xx")
