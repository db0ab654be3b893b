"""Identifiers at the door: each kind is found, telemetry is left alone, no value is told."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.errors import DataError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.ingest import ingest
from components.pii.detect import find_identifiers, refuse_identifiers
from components.pii.kinds import is_card, is_ip, is_phone, is_vin, kind_by_name

SMAP = Path(__file__).parents[4] / "shared" / "data" / "smap"
RNG = random.Random(7)


def card() -> str:
    from stdnum import luhn

    stem = "4" + "".join(RNG.choice("0123456789") for _ in range(14))
    return stem + luhn.calc_check_digit(stem)


def imei() -> str:
    from stdnum import luhn

    stem = "35" + "".join(RNG.choice("0123456789") for _ in range(12))
    return stem + luhn.calc_check_digit(stem)


VALUES = {
    "e-mail address": [f"user{i}@mail.example.org" for i in range(9)],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"],
    "telephone number": ["+49 30 22730000", "+1 650-253-0000", "0044 20 7031 3000", "+33 1 42 68 53 00"],
    "MAC address": ["00:1A:2B:3C:4D:5E", "00-1a-2b-3c-4d-5f"],
    "IP address": ["192.168.17.4", "172.16.254.9", "2001:db8::8a2e:370:7334"],
    "geographic position": ["48.137431, 11.575490", "(40.71277, -74.00597)", "52.52000;13.40495"],
    "payment card number": [card() for _ in range(9)],
    "IMEI": [imei() for _ in range(9)],
    "vehicle identification number": ["1M8GDM9AXKP042788", "1HGCM82633A004352", "5GZCZ43D13S812715"],
    "national identity number": ["536-90-4399", "131052-308T", "54362315K", "X2482300W", "756.9217.0769.85"],
}


@pytest.mark.parametrize("kind", VALUES)
def test_each_kind_is_found_among_other_columns(kind):
    columns = {
        "temp_c": pa.array(np.linspace(0, 1, 9), pa.float32()),
        "contact": pa.array(VALUES[kind]),
        "mode": pa.array(["sun", "eclipse"]),
    }
    (finding,) = find_identifiers(columns)
    assert (finding.column, finding.kind) == ("contact", kind)
    assert finding.share == pytest.approx(1.0) and finding.sampled == len(VALUES[kind])


def test_digits_are_found_in_columns_of_whole_numbers():
    (finding,) = find_identifiers({"number": pa.array([int(card()) for _ in range(50)])})
    assert finding.kind == "payment card number"
    from stdnum.de import idnr

    tax = ["36574261809", "86095742719", "47036892816", "65929970489", "57549285017", "25768131411"]
    assert all(map(idnr.is_valid, tax)), "the test's own numbers are valid ones"
    (finding,) = find_identifiers({"number": pa.array([int(tax[i % 6]) for i in range(60)])})
    assert finding.kind == "national identity number"


def test_one_address_among_thousands_of_words_is_enough():
    texts = ["pump ok"] * 1_500 + ["write to ada@example.org"] + ["pump ok"] * 400
    (finding,) = find_identifiers({"note": pa.array(texts)})
    assert finding.kind == "e-mail address" and 0 < finding.share < 0.001


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("customerEmail", "e-mail address"),
        ("phone_1", "telephone number"),
        ("Last Name", "person's name"),
        ("operator", "person's name"),
        ("date_of_birth", "date of birth"),
        ("home_address", "postal address"),
        ("VIN", "identity number"),
        ("mail_flow_lpm", "e-mail address"),
        ("memory_address", ""),
        ("ramp_rate", ""),
        ("vinyl", ""),
        ("latency_ms", ""),
        ("device", ""),
    ],
)
def test_what_a_columns_name_says(column, kind):
    assert kind_by_name(column, text=True) == kind


def test_names_of_people_are_claimed_by_text_columns_only():
    assert find_identifiers({"operator": pa.array(["Ada", "Bob"])})[0].kind == "person's name"
    assert find_identifiers({"operator": pa.array([0, 1, 1])}) == []


def test_a_latitude_beside_a_longitude():
    lat, lon = pa.array([48.137431, 48.137502]), pa.array([11.575490, 11.575511])
    (finding,) = find_identifiers({"lat": lat, "gps_lon": lon})
    assert finding.kind == "geographic position"
    assert find_identifiers({"lat": lat, "x": lon}) == []
    # Lateral and longitudinal readings in whole tenths are no position.
    assert find_identifiers({"lat": pa.array([1.5, 2.5]), "long": pa.array([1.5, 2.5])}) == []


def test_validators():
    assert is_card("4111 1111 1111 1111") and not is_card("4111 1111 1111 1112") and not is_card("1" * 16)
    assert is_phone("+1 650-253-0000") and not is_phone("+49 1") and not is_phone("+12.5")
    assert is_ip("192.168.0.1") and not is_ip("2.16.1.0") and not is_ip("10.2.4.1") and not is_ip("1.2.3")
    assert is_vin("1M8GDM9AXKP042788") and not is_vin("1M8GDM9A1KP042788") and not is_vin("1" * 17)


# --- what is no identifier ---------------------------------------------------------------------------


def test_counters_serials_and_random_digits_are_left_alone():
    rng = np.random.default_rng(5)
    columns = {f"digits_{n}": pa.array(rng.integers(10 ** (n - 1), 10**n, 2_000)) for n in range(8, 19)}
    columns |= {f"text_{name}": array.cast(pa.string()) for name, array in columns.items()}
    columns["epoch_us"] = pa.array(1_709_251_200_000_000 + np.arange(2_000) * 60_000_000)
    columns["uptime"] = pa.array(np.arange(100_000_000, 100_002_000))
    columns["firmware"] = pa.array(["1.2.3.4", "2.0.11.1", "10.4.0.2"] * 100)
    columns["serial"] = pa.array([f"SN-{n:06d}" for n in rng.integers(0, 10**6, 2_000)])
    columns["hash"] = pa.array([bytes(rng.bytes(8)).hex() for _ in range(2_000)])
    columns["hex17"] = pa.array([bytes(rng.bytes(9)).hex()[:17] for _ in range(2_000)])
    columns["state"] = pa.array(["AB12CD34", "ok", "8:30", "00:12:30", "12-30", "2024-03-01"] * 50)
    assert [str(finding) for finding in find_identifiers(columns)] == []


def test_no_false_alarm_on_simulated_telemetry(tmp_path):
    from components.simulator.config import dataset_config
    from components.simulator.core.fleet import simulate_fleet
    from components.simulator.presets import default_fleet

    fleet = default_fleet("small", 7)
    simulate_fleet(fleet, tmp_path)
    dataset = dataset_config(fleet)
    names = ["asset", *dataset.feature_names(), "label", "kind"]
    for file in sorted(tmp_path.rglob("*.csv")):
        frame = pd.read_csv(file, keep_default_na=False)
        columns = {name: pa.array(frame[name]) for name in names if name in frame}
        assert [str(finding) for finding in find_identifiers(columns)] == [], file
    # What the deployment drops by rule would have been found.
    people = pa.array(pd.read_csv(file, keep_default_na=False)["operator"]) if "operator" in frame else None
    if people is not None:
        assert find_identifiers({"operator": people})


@pytest.mark.skipif(not SMAP.is_dir(), reason="SMAP telemetry is not at hand")
def test_no_false_alarm_on_real_telemetry():
    files = sorted(SMAP.rglob("*.csv"))
    assert files
    for file in files:
        frame = pd.read_csv(file, nrows=20_000)
        columns = {name: pa.array(frame[name], from_pandas=True) for name in frame}
        assert [str(finding) for finding in find_identifiers(columns)] == [], file


# --- at the door --------------------------------------------------------------------------------------


def test_the_refusal_is_one_line_with_file_column_kind_and_share_and_no_value():
    columns = {"contact": pa.array(["ada@example.org", "x"]), "phone": pa.array(["1", "2"])}
    with pytest.raises(DataError) as caught:
        refuse_identifiers(columns, {"phone"}, "locale=eu span=0", "data.csv")
    text = str(caught.value)
    assert text.startswith("locale=eu span=0 data.csv: column 'contact': e-mail address (50% of 2 values)")
    assert "pii rule" in text and "not_personal" in text and "ada" not in text and "\n" not in text
    refuse_identifiers(columns, {"phone", "contact"}, "", "")


def _door(tmp_path: Path, **change) -> ExampleGenConfig:
    source = tmp_path / "data.csv"
    rows = [f"2024-01-01T00:{i // 60:02d}:{i % 60:02d}Z,a,{i}.5,user{i}@example.org" for i in range(100)]
    source.write_text("\n".join(["timestamp,device,x,contact", *rows]) + "\n")
    return ExampleGenConfig.model_validate(
        {
            "dataset": {
                "series": ["device"],
                "features": [{"name": "x"}, {"name": "contact", "kind": "categorical"}],
                "targets": ["x"],
                "interval_s": 1,
            },
            "sources": [{"pattern": str(source)}],
            "refuse_identifiers": True,
            **change,
        }
    )


def test_the_door_refuses_an_undeclared_identifier(tmp_path):
    with pytest.raises(
        DataError, match=r"data\.csv: column 'contact': e-mail address \(100% of 100 values\)"
    ):
        ingest(_door(tmp_path), tmp_path / "e", tmp_path / "q", locale="eu")
    assert not list((tmp_path / "e").rglob("*.gz"))


@pytest.mark.parametrize(
    "rule",
    [
        {"column": "contact", "action": "redact"},
        {"column": "contact", "declare": "not_personal"},
    ],
)
def test_a_rule_or_a_declaration_opens_the_door(tmp_path, rule):
    report = ingest(_door(tmp_path, pii=[rule]), tmp_path / "e", tmp_path / "q", locale="eu")
    assert report.rows_kept == 100
    assert report.pii == {"contact": rule.get("action", "not personal")}


def test_an_open_locale_is_not_asked(tmp_path):
    config = _door(tmp_path, refuse_identifiers=False)
    assert ingest(config, tmp_path / "e", tmp_path / "q", locale="us").rows_kept == 100
