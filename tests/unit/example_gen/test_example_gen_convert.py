"""Time stamps, cells and the PII policy."""

from __future__ import annotations

import csv
import datetime
import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ConfigError
from components.example_gen.config import PiiRule
from components.example_gen.core import convert, pii
from components.example_gen.core.timestamps import detect_format, to_microseconds

DAY_US = 86_400_000_000
#: 2024-01-01: 54 years of 365 days and 13 leap days after 1970.
NEW_YEAR_US = (54 * 365 + 13) * DAY_US


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-01", 0),
        ("2024-01-01 00:00", 0),
        ("2024-01-01T00:00:00Z", 0),
        ("2024-01-01T01:00:00+01:00", 0),
        ("2024-01-01T01:00:00+0100", 0),
        ("2023-12-31T23:30:00-00:30", 0),
        ("20240101T000001", 1),
        ("2024-01-01T00:00:01.5", 1.5),
        ("2024-01-01T00:00:00.000001234", 0.000001),
        (" 2024-01-01T00:00:02 ", 2),
        ("2024-13-01", None),
        ("01/02/2024", None),
        ("now", None),
        ("", None),
        (None, None),
    ],
)
def test_iso_forms(text: str | None, seconds: float | None) -> None:
    expected = None if seconds is None else NEW_YEAR_US + round(seconds * 1e6)
    assert to_microseconds(pa.array([text], pa.string()), "iso", "UTC").to_pylist() == [expected]
    mixed = pa.array(["2024-01-01T00:00:00Z", text, "2024-01-01", "x"], pa.string())
    assert to_microseconds(mixed, "iso", "UTC").to_pylist() == [NEW_YEAR_US, expected, NEW_YEAR_US, None]


@pytest.mark.parametrize("mixed", [False, True])
def test_local_time_and_the_hours_of_a_clock_change(mixed: bool) -> None:
    # Berlin is UTC+1 in winter, UTC+2 in summer; 02:30 does not exist on 31 March 2024, twice on 27 October.
    texts = ["2024-01-01T01:00:00", "2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-07-01T02:00:00"]
    half_year = 182 * DAY_US
    expected = [NEW_YEAR_US, None, None, NEW_YEAR_US + half_year]
    if mixed:
        texts, expected = [*texts, "2024-01-01T00:00:00Z"], [*expected, NEW_YEAR_US]
    assert to_microseconds(pa.array(texts), "iso", "Europe/Berlin").to_pylist() == expected


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)]
)
def test_epoch_units_are_told_apart_and_read(unit: str, factor: int) -> None:
    stamps = [NEW_YEAR_US // 1_000_000 * factor, (NEW_YEAR_US // 1_000_000 + 1) * factor]
    for values in (pa.array(stamps), pa.array([str(stamp) for stamp in stamps])):
        assert detect_format(values) == unit
        assert to_microseconds(values, unit, "UTC").to_pylist() == [NEW_YEAR_US, NEW_YEAR_US + 1_000_000]  # type: ignore[arg-type]


def test_fractional_and_broken_epochs() -> None:
    values = pa.array(["1.5", "x", None, "1e400", "99999999999999999999"])
    assert to_microseconds(values, "s", "UTC").to_pylist() == [1_500_000, None, None, None, None]
    assert to_microseconds(pa.array([1.5, np.nan, np.inf]), "s", "UTC").to_pylist() == [1_500_000, None, None]
    assert to_microseconds(pa.array([1, 2**62]), "s", "UTC").to_pylist() == [1_000_000, None]


def test_detection_of_what_is_no_epoch() -> None:
    for values in (["20240101", "20240102"], ["2024-01-01"], ["x"], [None]):
        assert detect_format(pa.array(values, pa.string())) == "iso"
    assert detect_format(pa.array([datetime.datetime(2024, 1, 1)])) == "iso"
    assert detect_format(pa.array([np.nan])) == "iso"


def test_arrow_timestamps_and_dates() -> None:
    moment = datetime.datetime(2024, 1, 1)
    aware = pa.array([moment.replace(tzinfo=datetime.timezone.utc)], pa.timestamp("ms", "UTC"))
    assert to_microseconds(aware, "iso", "Europe/Berlin").to_pylist() == [NEW_YEAR_US]
    assert to_microseconds(pa.array([moment]), "iso", "Europe/Berlin").to_pylist() == [
        NEW_YEAR_US - 3_600_000_000
    ]
    assert to_microseconds(pa.array([moment.date(), None]), "iso", "UTC").to_pylist() == [NEW_YEAR_US, None]
    assert to_microseconds(pa.array([20240101]), "iso", "UTC").to_pylist() == [NEW_YEAR_US]


@given(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)))
def test_any_moment_survives_its_iso_form(moment: datetime.datetime) -> None:
    expected = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    assert to_microseconds(pa.array([moment.isoformat()]), "iso", "UTC").to_pylist() == [expected]


def masks(converted: convert.Converted) -> dict[str, list[int]]:
    return {reason: np.flatnonzero(mask).tolist() for reason, mask in converted.bad.items()}


@pytest.mark.parametrize(
    ("kind", "values", "expected", "bad"),
    [
        ("continuous", ["1.5", " 2 ", "", None, "nan"], [1.5, 2, None, None, None], {}),
        (
            "continuous",
            ["+1", "abc", "inf", "1e39"],
            [1, None, None, None],
            {"number": [1], "infinite": [2, 3]},
        ),
        ("continuous", [1, 2], [1, 2], {}),
        ("continuous", [True, None], [1, None], {}),
        ("continuous", [np.inf, np.nan, 1.0], [None, None, 1], {"infinite": [0]}),
        ("continuous", [None, None], [None, None], {}),
        ("continuous", [datetime.date(2024, 1, 1)], [None], {"number": [0]}),
        (
            "integer",
            ["1", "2.0", "2.5", "x", "9" * 20],
            [1, 2, None, None, None],
            {"number": [3], "integer": [2, 4]},
        ),
        ("integer", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1], {}),
        ("integer", [1.0, np.nan, np.inf, 1.5], [1, None, None, None], {"integer": [2, 3]}),
        ("integer", [True, None], [1, None], {}),
        ("integer", [None], [None], {}),
        ("integer", [datetime.date(2024, 1, 1)], [None], {"integer": [0]}),
        ("binary", ["0", "1", "True", "false", "2", ""], [0, 1, 1, 0, None, None], {"0 or 1": [4]}),
        ("binary", [0, 1, -1, None], [0, 1, None, None], {"0 or 1": [2]}),
        ("categorical", ["a", "", "NA", None], ["a", None, None, None], {}),
        ("categorical", [3, None], ["3", None], {}),
        (
            "categorical",
            [b"a", b"\xff", b"b", b"\xff", None],
            ["a", None, "b", None, None],
            {"UTF-8": [1, 3]},
        ),
    ],
)
def test_cells(kind: str, values: list, expected: list, bad: dict[str, list[int]]) -> None:
    converted = convert.convert_feature(pa.array(values), kind, ("NA",))  # type: ignore[arg-type]
    assert converted.values.to_pylist() == expected
    found = masks(converted)
    assert len(found) == len(bad)
    for part, rows in bad.items():
        assert [rows] == [found[reason] for reason in found if part in reason]


def test_dictionaries_and_large_text_are_text() -> None:
    for values in (pa.array(["1", "x"]).dictionary_encode(), pa.array(["1", "x"], pa.large_string())):
        assert masks(convert.convert_feature(values, "continuous")) == {"not a number": [1]}
    assert convert.convert_feature(pa.array(["p"]).dictionary_encode(), "categorical").values.to_pylist() == [
        "p"
    ]


def test_uint64_beyond_int64_is_bad() -> None:
    converted = convert.convert_feature(pa.array([1, 2**63 + 1], pa.uint64()), "integer")
    assert masks(converted) == {convert.NOT_AN_INTEGER: [1]}


def test_keys_of_a_row_must_be_there() -> None:
    assert masks(convert.convert_series(pa.array(["a", "", None]))) == {convert.NO_SERIES: [1, 2]}
    stamps = convert.convert_timestamp(pa.array(["2024-01-01", "", "NA", "x"]), "iso", "UTC", ("NA",))
    assert masks(stamps) == {convert.NO_TIMESTAMP: [1, 2], convert.BAD_TIMESTAMP: [3]}
    floats = convert.convert_timestamp(pa.array([1.0, np.nan]), "s", "UTC")
    assert masks(floats) == {convert.NO_TIMESTAMP: [1]}


KEY = b"a key"


def test_pseudonyms_are_keyed_and_stable() -> None:
    rule = PiiRule(column="c", action="pseudonymise", key={"env": "K"}, hex_digits=12)
    values = pa.array(["bob", None, "eve", "bob"])
    expected = f"{pii.key_id(KEY)}-{hmac.new(KEY, b'bob', hashlib.sha256).hexdigest()[:12]}"
    stored = pii.apply_rule(rule, values, KEY).to_pylist()
    assert stored[0] == stored[3] == expected and stored[1] is None and stored[2] != expected
    other = pii.apply_rule(rule, values, b"another").to_pylist()[0]
    # Another key makes another pseudonym, and says that it is another key.
    assert other[-12:] != expected[-12:] and other.split("-")[0] == pii.key_id(b"another") != pii.key_id(KEY)
    assert pii.pseudonym("bob", KEY, 12) == expected


def test_redaction_hides_even_what_is_missing() -> None:
    rule = PiiRule(column="c", action="redact")
    assert pii.apply_rule(rule, pa.array(["bob", None])).to_pylist() == ["REDACTED", "REDACTED"]
    assert pii.apply_rule(rule, pa.array([1.5, 2.5])).to_pylist() == [None, None]
    drop = PiiRule(column="c", action="drop")
    assert pii.apply_rule(drop, pa.array(["bob"])).to_pylist() == [None]


def test_generalising() -> None:
    width = PiiRule(column="age", action="generalise", width=10)
    assert pii.apply_rule(width, pa.array([39, 40, -1, None])).to_pylist() == [30, 40, -10, None]
    assert pii.apply_rule(width, pa.array([39.5, None], pa.float32())).to_pylist() == [30.0, None]
    mapping = PiiRule(column="city", action="generalise", mapping={"Berlin": "DE"}, otherwise="elsewhere")
    assert pii.apply_rule(mapping, pa.array(["Berlin", "Rome", None])).to_pylist() == [
        "DE",
        "elsewhere",
        None,
    ]


def test_policy_on_raw_text_of_a_bad_row() -> None:
    width = PiiRule(column="age", action="generalise", width=10)
    values = pa.array(["39", " +41 ", "thirty", None])
    assert pii.apply_rule_to_text(width, values).to_pylist() == ["30", "40", "REDACTED", "REDACTED"]
    redact = PiiRule(column="age", action="redact")
    assert pii.apply_rule_to_text(redact, values).to_pylist() == ["REDACTED"] * 4


def test_keys_come_from_their_place_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (
        PiiRule(column="c", action="pseudonymise", key={"env": "ISTHMUS_TEST_PII"}),
        PiiRule(column="d", action="redact"),
    )
    monkeypatch.delenv("ISTHMUS_TEST_PII", raising=False)
    with pytest.raises(ConfigError, match="environment variable ISTHMUS_TEST_PII is not set"):
        pii.read_keys(rules)
    monkeypatch.setenv("ISTHMUS_TEST_PII", "s3cret")
    assert pii.read_keys(rules) == {"c": b"s3cret"}
    planned = pii.with_key_ids(rules)
    assert planned[0].key_id == pii.key_id(b"s3cret") and planned[1] == rules[1]
    assert pii.read_keys(planned) == {"c": b"s3cret"}
    monkeypatch.setenv("ISTHMUS_TEST_PII", "rotated")
    with pytest.raises(ConfigError, match="the key has changed since the run was planned"):
        pii.read_keys(planned)


def test_rotating_a_key_says_in_the_region_which_pseudonym_became_which(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NEW", "new")
    monkeypatch.setenv("OLD", "old")
    rule = PiiRule(column="c", action="pseudonymise", key={"env": "NEW"}, old_key={"env": "OLD"})
    rekeying = pii.Rekeying((rule,), pii.read_keys((rule,)))
    rekeying.add("c", pa.array(["bob", "eve", "bob", None]))
    rekeying.add("d", pa.array(["ada"]))
    rekeying.write(tmp_path / "rekey.csv")
    lines = (tmp_path / "rekey.csv").read_text().splitlines()
    wanted = {f"c,{pii.pseudonym(name, b'old')},{pii.pseudonym(name, b'new')}" for name in ("bob", "eve")}
    assert lines[0] == "column,old,new" and set(lines[1:]) == wanted and len(lines) == 3
    odd = rule.model_copy(update={"column": 'unit, "main"'})
    rekeying = pii.Rekeying((odd,), pii.read_keys((odd,)))
    rekeying.add(odd.column, pa.array(["bob"]))
    rekeying.write(tmp_path / "odd.csv")
    with (tmp_path / "odd.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [odd.column, pii.pseudonym("bob", b"old"), pii.pseudonym("bob", b"new")]
    pii.Rekeying((), {}).write(tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()
