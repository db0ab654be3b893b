"""The fleet as files and tables: columns, bytes, counts, clock, gaps, faults."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pydantic
import pytest

from components.dataset import DatasetConfig
from components.errors import ConfigError, InsufficientDataError
from components.simulator.config import (
    ANOMALY_KINDS,
    CHANNELS,
    COLUMNS,
    AnomalyConfig,
    FaultConfig,
    FleetConfig,
    LocaleConfig,
    dataset_config,
)
from components.simulator.core import fleet as fleet_module
from components.simulator.core.fleet import simulate_fleet, simulate_locale, simulate_test
from components.simulator.plant_config import BatteryConfig, ChangeConfig, SensorConfig
from components.simulator.presets import default_fleet

NO_GAPS = {"missing_row_fraction": 0.0, "missing_cell_fraction": 0.0}


def tiny(seed: int = 0, faults: tuple[FaultConfig, ...] = (), **locale) -> FleetConfig:
    settings = {"name": "eu-west", "sharing": "restricted", "assets": 2, "days": 3, "interval_s": 600}
    return FleetConfig(seed=seed, locales=(LocaleConfig(**(settings | locale)),), test_days=3, faults=faults)


def rows(config: FleetConfig, span: int = 0) -> pd.DataFrame:
    return simulate_locale(config, config.locales[0].name, span).to_pandas()


def test_columns_and_types_are_the_contract() -> None:
    table = simulate_locale(default_fleet("small"), "eu-west", 0)
    assert tuple(table.column_names) == COLUMNS
    frame = table.to_pandas()
    assert frame["timestamp"].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    assert set(frame["asset"]) == {"eu-west-pump-01", "eu-west-pump-02"}
    assert set(frame["heater_on"]) == {0, 1}
    assert set(frame["mode"]) <= {"eclipse", "sun", "safe"} and {"eclipse", "sun"} <= set(frame["mode"])
    assert table["label"].null_count == table["kind"].null_count == table["timestamp"].null_count == 0
    ordered = frame.sort_values(["timestamp", "asset"], kind="stable")
    pd.testing.assert_frame_equal(frame, ordered)


def test_dataset_config_names_columns_that_exist() -> None:
    dataset = dataset_config(default_fleet("small"))
    names = {dataset.timestamp, dataset.label, dataset.label_kind, *dataset.series, *dataset.feature_names()}
    assert set(COLUMNS) - names == {"operator", "serial"}  # left to the PII policy
    assert names <= set(COLUMNS)
    assert dataset.interval_s == 600.0


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path) -> None:
    fleet = default_fleet("small", seed=5)
    first = simulate_fleet(fleet, tmp_path / "a", spans=2)
    again = simulate_fleet(fleet, tmp_path / "b", spans=2)
    other = simulate_fleet(default_fleet("small", seed=6), tmp_path / "c", spans=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 3 * 2 + 2
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
        assert (tmp_path / "a" / path).read_bytes() != (tmp_path / "c" / path).read_bytes()
    assert first == again != other


@pytest.mark.slow
def test_same_bytes_in_another_process(tmp_path) -> None:
    # Another hash seed: nothing may hang on `hash` or on the order of a set.
    script = (
        "import sys; from components.simulator.core.fleet import simulate_fleet;"
        "from components.simulator.config import FleetConfig;"
        "simulate_fleet(FleetConfig.from_exec_property(sys.argv[1]), sys.argv[2])"
    )
    fleet = tiny(events={"spike": 1.0})
    simulate_fleet(fleet, tmp_path / "here")
    root = Path(__file__).resolve().parents[3]
    subprocess.run(
        [sys.executable, "-c", script, fleet.to_exec_property(), str(tmp_path / "there")],
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    for path in ("fleet.json", "eu-west/span-0/data.csv", "test/test.csv"):
        assert (tmp_path / "here" / path).read_bytes() == (tmp_path / "there" / path).read_bytes()


def test_charge_reads_within_its_bounds_whatever_the_noise() -> None:
    soc = rows(tiny(sensors={"soc": SensorConfig(noise_std=0.5, step=0.001)}))["soc"]
    assert soc.min() == 0.0 and soc.max() == 1.0


def test_a_locale_does_not_depend_on_its_neighbours() -> None:
    fleet = default_fleet("small", seed=2)
    alone = fleet.model_copy(update={"locales": (fleet.locale("ap-south"),)})
    assert simulate_locale(fleet, "ap-south", 0).equals(simulate_locale(alone, "ap-south", 0))


def test_fleet_json_describes_the_files(tmp_path) -> None:
    calls = []
    fleet = default_fleet("small")
    report = simulate_fleet(fleet, tmp_path, progress=lambda *call: calls.append(call))
    assert json.loads((tmp_path / "fleet.json").read_text()) == report
    assert [call[1:] for call in calls] == [(number, 7) for number in range(1, 8)]
    assert report["config_digest"] == fleet.digest()
    DatasetConfig.model_validate(report["dataset"])
    assert [(entry["name"], entry["sharing"]) for entry in report["locales"]] == [
        ("us-east", "open"),
        ("eu-west", "restricted"),
        ("ap-south", "restricted"),
    ]
    for file in [report["test"], *(file for entry in report["locales"] for file in entry["files"])]:
        data = (tmp_path / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        frame = pd.read_csv(tmp_path / file["path"], keep_default_na=False)
        assert len(frame) == file["rows"]
        assert (frame["label"] == 1).sum() == file["anomalous_rows"]
        counts = frame.loc[frame["kind"] != "", "kind"].value_counts().to_dict()
        assert counts == file["rows_by_kind"]
    assert list(pd.read_csv(tmp_path / "test/test.csv", nrows=1)) == ["locale", *COLUMNS]
    assert not list(tmp_path.rglob(".*"))  # no temporary file is left


def test_parquet_holds_what_csv_holds(tmp_path) -> None:
    fleet = tiny(events={"stuck": 1.0})
    simulate_fleet(fleet, tmp_path / "csv")
    simulate_fleet(fleet, tmp_path / "parquet", file_format="parquet")
    from_csv = pyarrow.csv.read_csv(
        tmp_path / "csv/eu-west/span-0/data.csv",
        convert_options=pyarrow.csv.ConvertOptions(column_types={"timestamp": "string"}),
    )
    assert from_csv.equals(pyarrow.parquet.read_table(tmp_path / "parquet/eu-west/span-0/data.parquet"))


def test_zero_test_days_write_no_test_file(tmp_path) -> None:
    report = simulate_fleet(tiny(), tmp_path, test_days=0)
    assert report["test"] is None and not (tmp_path / "test").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    simulate_fleet(tiny(seed=1), tmp_path, test_days=0)
    before = (tmp_path / "eu-west/span-0/data.csv").read_bytes()

    def fail(table, path):
        path = Path(path)
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(fleet_module.pa.csv, "write_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_fleet(tiny(seed=2), tmp_path, test_days=0)
    assert (tmp_path / "eu-west/span-0/data.csv").read_bytes() == before
    assert not list(tmp_path.rglob(".*"))


def test_spans_and_test_continue_the_time_line() -> None:
    config = tiny(**NO_GAPS)
    stamps = [pd.to_datetime(rows(config, span)["timestamp"]) for span in (0, 1)]
    test = pd.to_datetime(simulate_test(config, "eu-west", 2).to_pandas()["timestamp"])
    step = pd.Timedelta(seconds=600)
    assert stamps[0].iloc[0] == pd.Timestamp("2024-03-01", tz="UTC")
    assert stamps[1].iloc[0] - stamps[0].iloc[-1] == step
    assert test.iloc[0] - stamps[1].iloc[-1] == step
    assert len(test) == 2 * 3 * 144


def test_span_one_continues_the_state_of_span_zero() -> None:
    # One span of six days against two of three: warm-up has to forget the initial state. The
    # charge is the slowest state; a thermostat may be one switch apart, so temperature is compared
    # by its mean.
    long = rows(tiny(days=6, **NO_GAPS))
    second = rows(tiny(days=3, **NO_GAPS), span=1)
    tail = long[long["timestamp"] >= second["timestamp"].iloc[0]].reset_index(drop=True)
    assert len(tail) == len(second)
    assert (tail["soc"] - second["soc"]).abs().max() < 0.02
    assert (tail["temp_c"] - second["temp_c"]).abs().mean() < 0.1


def test_seasonal_trend_warms_later_spans() -> None:
    thermal = {"ambient_trend_c_per_day": 1.0}
    config = tiny(thermal=thermal)
    assert rows(config, 3)["temp_c"].mean() > rows(config, 0)["temp_c"].mean() + 3.0


def test_clock_offset_moves_the_stamps_and_nothing_else() -> None:
    plain, shifted = rows(tiny()), rows(tiny(clock_offset_s=-12.25))
    delta = pd.to_datetime(shifted["timestamp"]) - pd.to_datetime(plain["timestamp"])
    assert (delta == pd.Timedelta(seconds=-12.25)).all()
    assert shifted["timestamp"].str.endswith("47.750Z").all()
    pd.testing.assert_frame_equal(plain.drop(columns="timestamp"), shifted.drop(columns="timestamp"))


def test_missing_fractions() -> None:
    config = tiny(days=60, missing_row_fraction=0.05, gap_rows=4, missing_cell_fraction=0.02)
    frame = rows(config)
    grid = 60 * 144 * 2
    # 17,280 rows: gaps of 4 make about 216 independent events, so 0.05 +- 5 sigma of 0.0034.
    assert 1 - len(frame) / grid == pytest.approx(0.05, abs=0.017)
    for channel in CHANNELS:
        assert frame[channel].isna().mean() == pytest.approx(0.02, abs=0.006)
    assert not rows(tiny(**NO_GAPS)).isna().any().any()


def test_readings_are_multiples_of_the_quantiser() -> None:
    config = tiny()
    frame = rows(config)
    for channel, sensor in config.locales[0].sensors.items():
        ratio = frame[channel].dropna() / sensor.step
        assert np.abs(ratio - ratio.round()).max() < 1e-6
    assert rows(tiny(sensors={}))["temp_c"].nunique() > 1.5 * frame["temp_c"].nunique()


def test_labels_and_kinds_agree_and_counts_are_exact() -> None:
    rates = {"level_shift": 1.0, "ramp": 0.5, "cell_loss": 0.34}
    frame = rows(tiny(events=rates, **NO_GAPS))
    assert ((frame["label"] == 1) == (frame["kind"] != "")).all()
    for kind, rate in rates.items():
        runs = 0
        for _, series in frame.groupby("asset"):
            mine = (series["kind"] == kind).astype(int)
            runs += int((mine.diff().fillna(mine.iloc[0]) == 1).sum())
        assert runs == round(rate * 2 * 3), kind
    assert set(frame["kind"]) == {"", *rates}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_demo_fleet_is_what_the_story_needs(seed: int) -> None:
    fleet = default_fleet("demo", seed)
    seen = {}
    for locale in fleet.locales:
        frame = rows(fleet.model_copy(update={"locales": (locale,)}))
        seen[locale.name] = set(frame["kind"]) - {""}
        assert 0.02 <= frame["label"].mean() <= 0.075
        test = simulate_test(fleet, locale.name, 1).to_pandas()
        assert set(test["kind"]) == {"", *ANOMALY_KINDS}
        assert (test["locale"] == locale.name).all()
        if locale.sharing == "restricted":
            for kind in seen[locale.name] - {"spike"}:
                assert round(locale.events[kind] * locale.assets * locale.days) >= 8
    restricted = seen["eu-west"] | seen["ap-south"]
    assert restricted - seen["us-east"] == set(ANOMALY_KINDS) - {"spike", "level_shift"}
    assert not (seen["eu-west"] & seen["ap-south"]) - {"spike"}


def test_sizes_differ_in_rows_only() -> None:
    small, demo, large = (default_fleet(size) for size in ("small", "demo", "large"))
    per_locale = [
        c.locales[0].assets * c.locales[0].days * c.locales[0].steps_per_day for c in (small, demo, large)
    ]
    assert per_locale == [1_728, 12_096, 1_728_000]
    assert [locale.events for locale in small.locales] == [locale.events for locale in large.locales]


def test_more_events_than_fit_are_refused() -> None:
    with pytest.raises(
        InsufficientDataError, match=r"locale=eu-west days=0..3: 60 events of kind ramp.*Lower"
    ):
        rows(tiny(events={"ramp": 10.0}))


def test_unknown_locale_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no locale 'eu-wst' .*did you mean 'eu-west'"):
        simulate_locale(tiny(), "eu-wst", 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: tiny(interval_s=7 * 60), "does not divide a day"),
        (lambda: tiny(faults=(FaultConfig(kind="silent_gap", locale="xx", span=0),)), "unknown locales: xx"),
        (
            lambda: FaultConfig(kind="silent_gap", locale="xx", span=0, begin=0.5, end=0.5),
            "is not after begin",
        ),
        (lambda: AnomalyConfig(duration_min=(9, 5)), "duration_min: the least"),
        (lambda: BatteryConfig(safe_soc=0.5, resume_soc=0.4), "below safe_soc"),
        (lambda: BatteryConfig(cell_empty_v=3.5), "cell_full_v must exceed"),
        (lambda: FleetConfig(locales=tiny().locales * 2), "locale named twice: eu-west"),
        (lambda: FleetConfig(locales=()), "at least 1 item"),
        (lambda: tiny(events={"meteor": 1.0}), "meteor|literal_error|Input should be"),
    ],
)
def test_bad_configurations_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_configuration_survives_the_exec_property() -> None:
    fleet = default_fleet("large", seed=9)
    assert FleetConfig.from_exec_property(fleet.to_exec_property()) == fleet


def fault(kind: str, **settings) -> FaultConfig:
    return FaultConfig(kind=kind, locale="eu-west", span=1, **settings)


def pair(broken: FaultConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Span 1 without and with the fault; span 0 must stay as it was."""
    healthy, faulty = tiny(**NO_GAPS), tiny(faults=(broken,), **NO_GAPS)
    pd.testing.assert_frame_equal(rows(healthy, 0), rows(faulty, 0))
    return rows(healthy, 1), rows(faulty, 1)


def test_fault_unit_change() -> None:
    plain, changed = pair(fault("unit_change", begin=0.5))
    half = len(plain) // 2
    np.testing.assert_allclose(changed["temp_c"][half:], plain["temp_c"][half:] * 1.8 + 32.0, atol=1e-4)
    pd.testing.assert_frame_equal(plain[:half], changed[:half])
    plain, changed = pair(fault("unit_change", column="pressure_kpa"))
    np.testing.assert_allclose(changed["pressure_kpa"], plain["pressure_kpa"] * 10.0)


def test_fault_clock_shift() -> None:
    plain, changed = pair(fault("clock_shift", seconds=1800.0))
    delta = pd.to_datetime(changed["timestamp"]) - pd.to_datetime(plain["timestamp"])
    assert (delta == pd.Timedelta(minutes=30)).all()


def test_fault_stuck_sensor() -> None:
    plain, changed = pair(fault("stuck_sensor", column="flow_lpm", begin=0.25))
    late = changed[len(changed) // 4 :]
    assert (late.groupby("asset")["flow_lpm"].nunique() == 1).all()
    assert late["flow_lpm"].nunique() == 2  # each asset holds its own value
    pd.testing.assert_frame_equal(plain.drop(columns="flow_lpm"), changed.drop(columns="flow_lpm"))


def test_fault_silent_gap() -> None:
    plain, changed = pair(fault("silent_gap", begin=0.25, end=0.5))
    assert len(changed) == len(plain) * 3 // 4
    assert set(changed["timestamp"]) < set(plain["timestamp"])


def test_fault_schema_change() -> None:
    plain, changed = pair(fault("schema_change", column="soc"))
    pd.testing.assert_frame_equal(plain.rename(columns={"soc": "soc_v2"}), changed)


def test_a_change_of_the_plant_lasts_from_its_span_on_and_into_the_test_period() -> None:
    change = ChangeConfig(locale="eu-west", span=1, parameter="pump.speed_mean", factor=0.8, offset=0.05)
    plain = tiny()
    changed = plain.model_copy(update={"changes": (change,)})
    pd.testing.assert_frame_equal(rows(changed, 0), rows(plain, 0))
    for span in (1, 2):
        before, after = rows(plain, span), rows(changed, span)
        assert after["flow_lpm"].mean() < 0.9 * before["flow_lpm"].mean()
        pd.testing.assert_series_equal(after["temp_c"], before["temp_c"])
    test = simulate_test(changed, "eu-west", 1).to_pandas()
    assert test["flow_lpm"].mean() < 0.9 * simulate_test(plain, "eu-west", 1).to_pandas()["flow_lpm"].mean()
    assert changed.locale_in("eu-west", 1).pump.speed_mean == pytest.approx(0.8 * 0.8 + 0.05)
    assert changed.locale_in("eu-west", 0) == plain.locales[0]


def test_a_change_from_span_0_is_a_regional_difference() -> None:
    change = ChangeConfig(locale="eu-west", parameter="thermal.set_point_c", offset=3.0)
    changed = tiny().model_copy(update={"changes": (change,)})
    # The nights, when the thermostat decides.
    cold, warm = (rows(fleet)["temp_c"].quantile(0.1) for fleet in (tiny(), changed))
    assert warm == pytest.approx(cold + 3.0, abs=0.3)


def test_an_unknown_parameter_or_value_or_locale_of_a_change_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"no 'pump.speed' in the plant"):
        ChangeConfig(locale="eu-west", parameter="pump.speed")
    with pytest.raises(pydantic.ValidationError, match="changes name unknown locales: us; known: eu-west"):
        FleetConfig(locales=tiny().locales, changes=(ChangeConfig(locale="us", parameter="pump.speed_mean"),))
    too_fast = ChangeConfig(locale="eu-west", parameter="pump.speed_mean", factor=2.0)
    with pytest.raises(
        ConfigError, match=r"locale=eu-west: pump.speed_mean becomes 1.6: .*less than or equal"
    ):
        rows(tiny().model_copy(update={"changes": (too_fast,)}))


def test_a_fault_of_one_asset_and_of_a_unit_of_its_own() -> None:
    hit = FaultConfig(kind="unit_change", locale="eu-west", span=0, unit=(1.0, 273.15), assets=1)
    plain, faulty = rows(tiny(**NO_GAPS)), rows(tiny(faults=(hit,), **NO_GAPS))
    apart = (faulty["temp_c"] - plain["temp_c"]).groupby(plain["asset"]).agg(["min", "max"])
    np.testing.assert_allclose(apart.to_numpy(), [[273.15, 273.15], [0.0, 0.0]], atol=1e-9)
