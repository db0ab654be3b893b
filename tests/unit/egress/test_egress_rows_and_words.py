"""Rows and texts of a restricted locale: made-up names, well-supported categories, our own words."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.egress import categories
from components.egress.config import EgressConfig
from components.egress.rows import check_columns, check_values, summarise
from components.egress.words import outward, words_of
from components.errors import DataError, InternalError

DATASET = DatasetConfig(
    series=("device",),
    label="label",
    label_kind="kind",
    features=(FeatureConfig(name="x"), FeatureConfig(name="mode", kind="categorical")),
    targets=("x",),
    interval_s=60,
)
POLICY = EgressConfig(min_supporters=3)


def rows(device="syn-0001", mode=("sun",), kind=("",)) -> pa.Table:
    count = max(len(mode), len(kind))
    return pa.table(
        {
            "timestamp": pa.array(range(count), pa.int64()),
            "device": [device] * count,
            "x": pa.array([1.5] * count, pa.float32()),
            "mode": list(mode) * (count // len(mode)),
            "label": pa.array([0] * count, pa.int64()),
            "kind": list(kind) * (count // len(kind)),
        }
    )


def judge(table: pa.Table, tmp_path, policy=POLICY, public=None, support=None) -> None:
    file = tmp_path / categories.SUPPORT_FILE
    if support is not None:
        file.write_text(json.dumps(support))
    check_values(summarise(iter(table.to_batches())), DATASET, policy, public or {}, file, "locale=eu")


def test_supporters_are_rows_or_series():
    real = pa.table(
        {
            "device": ["a", "a", "a", "b"],
            "mode": ["sun", "sun", "rare", "sun"],
            "kind": ["", "spike", "spike", None],
        }
    )
    assert categories.category_support(real, DATASET, "rows") == {
        "mode": {"sun": 3, "rare": 1},
        "kind": {"spike": 2},
    }
    assert categories.category_support(real, DATASET, "series") == {
        "mode": {"sun": 2, "rare": 1},
        "kind": {"spike": 1},
    }


def test_a_category_with_too_few_supporters_is_rare_unless_it_is_public():
    support = {"mode": {"sun": 3, "villa-ada": 2, "safe": 1}, "kind": {"spike": 9}}
    public = {"mode": frozenset({"safe"})}
    assert categories.rare_categories(support, public, POLICY) == {"mode": ["villa-ada"]}


def test_folding_calls_rare_categories_other_and_changes_nothing_else():
    table = rows(mode=("sun", "villa-ada", None, "sun"))
    folded = categories.fold(table, {"mode": ["villa-ada"]})
    assert folded["mode"].to_pylist() == ["sun", "other", None, "sun"]
    assert folded.drop(["mode"]).equals(table.drop(["mode"])) and folded.schema == table.schema


def test_rows_with_made_up_series_and_supported_categories_pass(tmp_path):
    judge(rows(mode=("sun", "other", "", "sun")), tmp_path, support={"mode": {"sun": 3}, "kind": {}})
    judge(rows(mode=("sun",)), tmp_path, public={"mode": frozenset({"sun"})})


def test_a_rare_category_that_was_not_folded_is_refused_without_being_named(tmp_path):
    with pytest.raises(DataError, match="1 categories of column 'mode' have fewer than 3") as caught:
        judge(rows(mode=("sun", "villa-ada")), tmp_path, support={"mode": {"sun": 9, "villa-ada": 2}})
    assert "villa" not in str(caught.value)
    with pytest.raises(DataError, match="column 'kind'"):
        judge(rows(kind=("never-counted",)), tmp_path, support={"mode": {"sun": 9}, "kind": {}})


def test_categories_that_nobody_counted_are_refused(tmp_path):
    with pytest.raises(InternalError, match="nobody counted"):
        judge(rows(mode=("sun",)), tmp_path)


def test_a_real_series_among_synthetic_rows_is_refused_without_being_named(tmp_path):
    with pytest.raises(InternalError, match="1 series in column 'device'") as caught:
        judge(rows(device="villa-ada"), tmp_path, public={"mode": frozenset({"sun"})})
    assert "villa" not in str(caught.value)


def test_a_column_that_the_data_set_does_not_name():
    check_columns(["timestamp", "device", "x", "mode", "label", "kind"], DATASET, "here")
    with pytest.raises(InternalError, match="does not name") as caught:
        check_columns(["timestamp", "villa-ada"], DATASET, "here")
    assert "villa" not in str(caught.value)


NAMES = words_of(["eu-west", "temp_c", "data/eu-west/span-{SPAN}/*.csv"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "data.csv: column 'temp_c' is text throughout (1234 rows), its kind is continuous.",
            "data.csv: column 'temp_c' is text throughout (1234 rows), its kind is continuous.",
        ),
        ("12 of 100 rows (12.0%) are bad", "12 of 100 rows (12.0%) are bad"),
        ("locale=eu-west span=7 split=train: 41 series", "locale=eu-west span=7 split=train: 41 series"),
        ("kunde-Zyxwold/data.csv row 17: value 93.71828", "…/data.csv row 17: value …"),
        ("column 'temp_c': Lindqvist-Okafor Maria", "column 'temp_c': …"),
        ("value 918273645 at 48.1374", "value … at …"),
        # Serial numbers of five to nine digits beside words that say nothing about a number.
        (
            "column 'temp_c' value of 482913371 and 5551234 at least 99182",
            "column 'temp_c' value of … and … at least …",
        ),
        ("expected 482913, code 5551234, exactly 918273", "expected …, code …, exactly …"),
        ("allowed 48291: 5551234 most 91827", "allowed …: … most …"),
        ("row 482913371, span=482913371, 918273645 rows", "row …, span=…, … rows"),
        ("5551234 files, 5551234 of 5551234 series", "… files, … of … series"),
        ("row of 48291, rows: 48291, value 48291 of the series", "row of …, rows: …, value … of the series"),
        ("about 93.7 of 93.71 times, 4829137 of holdout", "about … of … times, … of holdout"),
        # Words of our docstrings, and telling names of columns, are no words of our messages.
        (
            "column 'temp_c' holds Ada, Benno, Cleo, pump, patient, driver",
            "column 'temp_c' holds …, …, …, …, …, …",
        ),
        # Nor are those of a search, which speaks to its operator in the region only.
        ("the objective of a challenger, orange or grey", "the … of a …, … or …"),
        ("the file holds\nada@zyxwold.org", "the file holds …"),
        ("No such file or directory: '/srv/Zyxwold/x.csv'", "No such file or directory: '/…/x.csv'"),
    ],
)
def test_a_message_leaves_word_by_word(text, expected):
    assert outward(text, NAMES) == expected


def test_no_form_of_a_value_passes():
    import base64
    import urllib.parse

    for value in ("Zyxwold", "zyxwold-7Q", "93.71828", "0.9371828", "4f2a9c77", "Żółć"):
        for form in (value, value.encode().hex(), base64.b64encode(value.encode()).decode()):
            for text in (f"column 'temp_c' holds {form}", f"{form}", f"x={urllib.parse.quote(form)};"):
                assert form not in outward(text, NAMES), (form, outward(text, NAMES))


READABLE = (
    "data.csv: 41203 of 1234567 rows (3.3%) are bad, allowed 1.0% (max_bad_fraction): 4123 times not a "
    "number. First: file data.csv row 1048576 column 'temp_c'",
    "locale=eu-west span=20411: 412 rows of normal operation, synthesizer_trainer needs at least 640 "
    "(min_train_rows). Widen the span, or share this locale's data another way.",
    "locale=eu-west span=20411 split=train: kinds of anomaly with fewer than 40 windows "
    "(rare_events.min_windows): 3; nothing was trained. Widen the span, set synthesizer.rare_events.below: "
    "merge, take method: dp_linear, or lower the minimum.",
    "holdout has 117 distinctive rows in 131 time blocks, needs at least 100 in 8",
    "844 records of train and 239 of holdout, clustered in time, were looked at, about 1.7 times as many are "
    "needed: widen the span",
    "train has 113 labelled of 8123 windows, needs at least 20 of either kind",
    "of 8123 rows of train only 117 are distinctive: the others repeat elsewhere and identify nobody",
    "column 'temp_c' (and 112 more columns): a restricted locale does not store an undeclared identifier.",
    "column 'temp_c': telephone number (61% of 4123 values)",
    "eu-west: the worker ended with exit code 137 (out of memory)",
    "data.csv: truncated TFRecord (5123 bytes left over). Make the file again.",
    "the release waits for approval (1 of 2)",
)


@pytest.mark.parametrize("text", READABLE)
def test_what_our_messages_count_stays_readable(text):
    assert outward(text, NAMES) == text
