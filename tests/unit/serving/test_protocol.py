"""Requests of both protocols, good and bad: what is refused is named without a value of a row."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from components.errors import DataError
from pipeline.serving.protocol import metadata_v2, parse_v1, parse_v2, select
from pipeline.serving.rows import to_table
from tests.unit.prophet_evaluator.conftest import DATASET

#: Stands in every bad cell; must never come back in a message.
SECRET = "s3cr3t"


def row(minute: int = 0, **changes):
    cells = {
        "timestamp": f"2024-01-01T00:{minute:02}:00Z",
        "device": "d0",
        "temp": 20.5,
        "load": 3,
        "on": 1,
        "mode": "a",
    }
    return {**cells, **changes}


def v1(*rows, **more):
    return json.dumps({"instances": list(rows), **more}).encode()


def tensor(name, data, datatype, shape=None):
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


def v2(changes=(), **more):
    inputs = {
        "timestamp": tensor("timestamp", ["2024-01-01T00:00:00Z", "2024-01-01T00:15:00Z"], "BYTES"),
        "device": tensor("device", ["d0", "d0"], "BYTES"),
        "temp": tensor("temp", [20.5, None], "FP64"),
        "load": tensor("load", [3, 4], "INT32"),
        "on": tensor("on", [True, False], "BOOL"),
        "mode": tensor("mode", ["a", "b"], "BYTES"),
    }
    inputs.update(changes)
    return json.dumps({"inputs": list(inputs.values()), **more}).encode()


def table(request):
    return to_table(request.columns, DATASET)


def test_both_protocols_give_the_table_that_files_would(tmp_path):
    from components.example_gen.config import ExampleGenConfig, SourceConfig, SplitConfig
    from components.example_gen.core.ingest import ingest
    from components.split_io import read_table

    (tmp_path / "rows.csv").write_text(
        "timestamp,device,temp,load,on,mode\n"
        "2024-01-01T00:00:00Z,d0,20.5,3,1,a\n2024-01-01T00:15:00Z,d0,,4,0,b\n"
    )
    dataset = DATASET.model_copy(update={"label": None, "label_kind": None})
    config = ExampleGenConfig(
        dataset=dataset,
        sources=(SourceConfig(pattern=str(tmp_path / "rows.csv")),),
        splits=SplitConfig(mode="single", name="rows"),
    )
    ingest(config, tmp_path / "out", tmp_path / "bad", locale="", span=None)
    expected = read_table(tmp_path / "out", "rows", dataset=dataset).to_pydict()
    first = parse_v1(v1(row(), row(15, temp=None, load=4, on=0, mode="b")), 10)
    second = parse_v2(v2(parameters={"locale": "eu"}, id="a", outputs=[{"name": "interval_flag"}]), 10)
    assert table(first).to_pydict() == table(second).to_pydict() == expected
    assert (second.locale, second.request_id, second.outputs) == ("eu", "a", ("interval_flag",))
    assert (first.locale, first.request_id, first.outputs) == ("", None, ())


def test_the_fields_that_kserves_client_adds_are_taken():
    assert parse_v2(v2(model_name="detector", model_version=None), 10).rows == 2
    with pytest.raises(DataError, match="modelname: Extra inputs are not permitted"):
        parse_v2(v2(modelname="detector"), 10)


def test_tensors_may_have_one_column_and_times_may_be_numbers():
    stamps = tensor("timestamp", [[1704067200], [1704068100]], "INT64", [2, 1])
    assert table(parse_v2(v2({"timestamp": stamps}), 10)).to_pydict() == table(parse_v2(v2(), 10)).to_pydict()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", "the body: Input should be a valid dictionary"),
        (b"{}", "instances: Field required"),
        (v1(), "instances: List should have at least 1 item"),
        (v1(row(), SECRET), "instances.1: Input should be a valid dictionary"),
        (v1(row(), more=SECRET), "more: Extra inputs are not permitted"),
        (v1(row(), parameters={"locale": 7}), "parameters.locale: Input should be a valid string"),
        (v1(row(), {"timestamp": SECRET}), "instances.1: its columns are not those of instances.0"),
        (v1(*[row(minute) for minute in range(11)]), "11 rows; allowed: 1 to 10 in one request"),
        (
            v1(row(), row(15, temp=SECRET)),
            "column 'temp': a value is of another type; allowed: one type of 64 bits",
        ),
        (v1(row(temp=10**30)), "column 'temp': a value is of another type"),
        (v1(row(temp=float("nan"))), "the body holds NaN, which is not JSON; allowed: null"),
        (v1(row(mode="\ud800")), "column 'mode': a value is of another type"),
    ],
)
def test_a_bad_v1_request_is_refused_in_a_line(body, message):
    with pytest.raises(DataError) as refusal:
        parse_v1(body, 10)
    check(refusal, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"temp": tensor("temp", [SECRET, 1], "FP64")},
            "column 'temp': a value is of another type; allowed: FP64",
        ),
        (
            {"load": tensor("load", [1.5, 2], "INT64")},
            "column 'load': a value is of another type; allowed: INT64",
        ),
        (
            {"load": tensor("load", [300, 2], "INT8")},
            "column 'load': a value is of another type; allowed: INT8",
        ),
        ({"on": tensor("on", [1, 0], "BOOL")}, "column 'on': a value is of another type; allowed: BOOL"),
        ({"temp": tensor("temp", [1, 2], "FP16")}, "input 'temp': datatype is not known; allowed: BOOL"),
        ({"temp": tensor("temp", [1, 2], "FP64", [3])}, "input 'temp': shape [3]; allowed: [2] or [2, 1]"),
        ({"temp": tensor("temp", [1], "FP64", [2])}, "input 'temp': 1 values for shape [2]"),
        ({"twice": tensor("temp", [1, 2], "FP64")}, "input 'temp' is given twice"),
        ({"temp": {"name": "temp", "shape": [2], "datatype": "FP64"}}, "inputs.2.data: Field required"),
        ({"timestamp": tensor("timestamp", [], "BYTES", [0])}, "0 rows; allowed: 1 to 10"),
    ],
)
def test_a_bad_v2_request_is_refused_in_a_line(changes, message):
    with pytest.raises(DataError) as refusal:
        parse_v2(v2(changes), 10)
    check(refusal, message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row(tmep=1)],
            "column 'tmep' is not of this model (did you mean 'temp'?); allowed: timestamp, device",
        ),
        (
            [{k: v for k, v in row().items() if k not in ("on", "mode")}],
            "column on, mode is missing; needed: ",
        ),
        ([row(temp="20.5")], "column 'temp': found text; allowed: numbers"),
        ([row(mode=3)], "column 'mode': found int64; allowed: text"),
        ([row(mode=[SECRET])], "column 'mode': found list<item: string>; allowed: text"),
        ([row(temp=[1.5])], "column 'temp': not a number in 1 rows, the first is row 0"),
        (
            [row(), row(15, temp=1e39)],
            "column 'temp': infinite, or beyond float32 in 1 rows, the first is row 1",
        ),
        ([row(), row(15, load=3.5)], "column 'load': not a 64-bit integer in 1 rows, the first is row 1"),
        ([row(on=2)], "column 'on': not 0 or 1 in 1 rows, the first is row 0"),
        ([row(device="")], "column 'device': no series in 1 rows, the first is row 0"),
        (
            [row(timestamp=SECRET)],
            "column 'timestamp': timestamp does not parse in 1 rows, the first is row 0",
        ),
        ([row(timestamp=None)], "column 'timestamp': found null; allowed: ISO 8601 text, or whole numbers"),
        ([row(timestamp=1.5)], "column 'timestamp': found double; allowed: ISO 8601 text, or whole numbers"),
        ([row(15), row(0)], "column 'timestamp': row 1 is not later than the row of its series before it"),
        ([row(0), row(15, device="d1"), row(0)], "row 2 is not later"),
        ([row(minute) for minute in range(10)], "the rows come every 60 s; allowed: every 900 s, with gaps"),
    ],
)
def test_rows_that_the_model_cannot_take_are_refused_in_a_line(rows, message):
    with pytest.raises(DataError) as refusal:
        table(parse_v1(v1(*rows), 10))
    check(refusal, message)


def check(refusal, message):
    words = str(refusal.value)
    assert message in words and SECRET not in words and "\n" not in words


def test_series_may_be_mixed_and_nothing_is_sorted():
    rows = [row(0), row(0, device="d1"), row(15), row(15, device="d1")]
    found = table(parse_v1(v1(*rows), 10))
    assert found["device"].to_pylist() == ["d0", "d1", "d0", "d1"]


def test_an_answer_holds_what_is_wanted_else_scores_and_flags():
    names = [
        "timestamp",
        "temp_yhat",
        "interval_score",
        "interval_flag",
        "classifier_score",
        "classifier_flag",
    ]
    scores = pa.table({name: [1.0] for name in names})
    assert select(scores, ()) == names[2:]
    assert select(scores, ("temp_yhat",)) == ["temp_yhat"]
    with pytest.raises(DataError, match="output 'nothing' is not known; allowed: temp_yhat, interval_score"):
        select(scores, ("nothing",))


def test_the_metadata_name_every_column():
    found = metadata_v2(DATASET, "m", 3, has_classifier=False)
    kinds = [(item["name"], item["datatype"]) for item in found["inputs"]]
    assert kinds == [
        ("timestamp", "BYTES"),
        ("device", "BYTES"),
        ("temp", "FP64"),
        ("load", "INT64"),
        ("on", "INT64"),
        ("mode", "BYTES"),
    ]
    outputs = [item["name"] for item in found["outputs"]]
    assert outputs == ["interval_score", "interval_flag", "temp_yhat", "temp_lower", "temp_upper"]
    assert found["versions"] == ["3"]
