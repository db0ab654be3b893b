"""Each kind of anomaly does what it says: the same seed with and without it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.simulator.config import ANOMALY_KINDS, AnomalyConfig, FleetConfig, LocaleConfig
from components.simulator.core import anomalies
from components.simulator.core.fleet import simulate_locale
from components.simulator.plant_config import SensorConfig, ThermalConfig

PLANT_KINDS = ("heater_loss", "cell_loss")
COLD = ThermalConfig(ambient_mean_c=0.0, ambient_amplitude_c=2.0)


def fleet(kind: str | None, look: AnomalyConfig | None = None) -> FleetConfig:
    where = LocaleConfig(
        name="lab",
        sharing="restricted",
        assets=2,
        days=4,
        thermal=COLD,
        events={} if kind is None else {kind: 0.5},
        sensors={"temp_c": SensorConfig(noise_std=0.05)},
        missing_row_fraction=0.0,
        missing_cell_fraction=0.0,
    )
    return FleetConfig(seed=3, locales=(where,), anomalies={} if look is None else {kind: look})


def both(kind: str, look: AnomalyConfig | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Series by asset, then time: without and with the kind."""
    plain, hit = (
        simulate_locale(config, "lab", 0).to_pandas() for config in (fleet(None), fleet(kind, look))
    )
    order = ["asset", "timestamp"]
    return plain.sort_values(order, ignore_index=True), hit.sort_values(order, ignore_index=True)


def windows(hit: pd.DataFrame) -> list[slice]:
    """Labelled windows as positions; no window touches the seam between assets here."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hit["label"], [0]])))
    return [slice(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("kind", ANOMALY_KINDS)
def test_only_labelled_rows_change(kind: str) -> None:
    plain, hit = both(kind)
    assert len(windows(hit)) == 4  # 0.5 x 2 assets x 4 days
    changed = plain["temp_c"] != hit["temp_c"]
    inside = hit["label"] == 1
    assert (hit.loc[inside, "kind"] == kind).all() and (hit.loc[~inside, "kind"] == "").all()
    assert changed[inside].mean() > 0.6
    if kind not in PLANT_KINDS:  # a plant that was disturbed goes on differing a little
        assert not changed[~inside].any()
        same = ["heater_on", "soc", "bus_voltage_v", "current_a", "pressure_kpa", "flow_lpm", "mode"]
        pd.testing.assert_frame_equal(plain[same], hit[same])


@pytest.mark.parametrize("kind", ["spike", "level_shift"])
def test_shift_is_constant_and_within_the_magnitude(kind: str) -> None:
    plain, hit = both(kind, AnomalyConfig(duration_min=(30, 60), magnitude=(3.0, 4.0)))
    for window in windows(hit):
        delta = (hit["temp_c"] - plain["temp_c"])[window]
        assert delta.std() < 1e-5
        assert 3.0 <= abs(delta.iloc[0]) <= 4.0
        assert 6 <= len(delta) <= 12  # 30 to 60 minutes at 5


def test_ramp_grows_linearly_to_its_magnitude() -> None:
    plain, hit = both("ramp", AnomalyConfig(duration_min=(100, 100), magnitude=(8.0, 8.0)))
    for window in windows(hit):
        delta = (hit["temp_c"] - plain["temp_c"])[window].abs().to_numpy()
        np.testing.assert_allclose(delta, 8.0 * np.arange(1, 21) / 20, atol=1e-5)


def test_stuck_repeats_one_reading() -> None:
    plain, hit = both("stuck")
    for window in windows(hit):
        assert hit["temp_c"][window].nunique() == 1
        assert hit["temp_c"].iloc[window.start] == plain["temp_c"].iloc[window.start]
        assert plain["temp_c"][window].nunique() > 5


def test_variance_adds_the_deviation_it_says() -> None:
    plain, hit = both("variance", AnomalyConfig(duration_min=(300, 300), magnitude=(2.0, 2.0)))
    delta = np.concatenate([(hit["temp_c"] - plain["temp_c"])[window] for window in windows(hit)])
    # 240 draws: standard error of the deviation is 2 / sqrt(480) = 0.09.
    assert delta.std() == pytest.approx(2.0, abs=0.4)
    assert abs(delta.mean()) < 0.6


def test_oscillation_has_its_amplitude_and_a_period_of_five_to_eight_rows() -> None:
    plain, hit = both("oscillation", AnomalyConfig(duration_min=(320, 320), magnitude=(4.0, 4.0)))
    for window in windows(hit):
        delta = (hit["temp_c"] - plain["temp_c"])[window].to_numpy()
        assert 3.4 < np.abs(delta).max() <= 4.0 + 1e-5
        spectrum = np.abs(np.fft.rfft(delta, 1024))
        assert 5.0 - 0.4 <= 1024 / spectrum.argmax() <= 8.0 + 0.6


def test_phase_break_reads_the_past() -> None:
    plain, hit = both("phase_break", AnomalyConfig(duration_min=(60, 60), magnitude=(6.0, 6.0)))
    for window in windows(hit):
        past = slice(window.start - 72, window.stop - 72)
        if past.start % (4 * 288) > window.start % (4 * 288):
            continue  # the past lies before the period
        difference = hit["temp_c"][window].to_numpy() - plain["temp_c"][past].to_numpy()
        assert np.abs(difference).max() < 0.05 * 9  # noise of two readings
        assert np.abs(difference).mean() > 0.0  # the value is old, the noise is new


def test_heater_loss_cools_at_local_night() -> None:
    plain, hit = both("heater_loss")
    for window in windows(hit):
        cause = slice(window.start, window.start + round(0.75 * (window.stop - window.start)))
        assert (hit["temp_c"] - plain["temp_c"])[cause].min() < -1.5
        hour = pd.Timestamp(hit["timestamp"].iloc[window.start]).hour
        # A slot begins in 20..4 h and holds an event of up to 3.5 h at any place in it.
        assert hour >= 20 or hour <= 8


def test_cell_loss_lowers_the_bus_and_warms() -> None:
    plain, hit = both("cell_loss")
    for window in windows(hit):
        middle = slice(window.start, window.start + (window.stop - window.start) // 2)
        assert ((hit["bus_voltage_v"] - plain["bus_voltage_v"])[middle] < -2.0).all()
        assert (hit["temp_c"] - plain["temp_c"])[window].max() > 2.0


def test_an_anomaly_may_hit_another_channel() -> None:
    look = AnomalyConfig(duration_min=(60, 60), magnitude=(30.0, 30.0), channel="pressure_kpa")
    plain, hit = both("level_shift", look)
    inside = hit["label"] == 1
    delta = (hit["pressure_kpa"] - plain["pressure_kpa"]).abs()
    np.testing.assert_allclose(delta[inside], 30.0, atol=1e-5)
    assert (delta[~inside] == 0).all()
    pd.testing.assert_series_equal(plain["temp_c"], hit["temp_c"])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    assets=st.integers(1, 4),
    days=st.integers(2, 6),
    rates=st.dictionaries(st.sampled_from(ANOMALY_KINDS), st.floats(0, 0.4), max_size=4),
)
def test_events_never_overlap_and_stay_inside(seed, assets, days, rates) -> None:
    where = LocaleConfig(name="lab", sharing="open", assets=assets, days=days)
    config = FleetConfig(locales=(where,))
    events = anomalies.schedule(config, where, rates, 0, days, np.random.default_rng(seed))
    assert len(events) == sum(round(rate * assets * days) for rate in rates.values())
    total = days * where.steps_per_day
    for event in events:
        assert 0 <= event.start < event.stop <= total
        look = config.anomaly(event.kind)
        minutes = (event.stop - event.start) * where.interval_s / 60
        assert look.duration_min[0] - 2.5 <= minutes <= look.duration_min[1] + 2.5
        assert look.magnitude[0] <= event.magnitude <= look.magnitude[1]
    for asset in range(assets):
        mine = [event for event in events if event.asset == asset]
        assert all(a.stop + 6 <= b.start for a, b in itertools.pairwise(mine))
    codes = anomalies.labels(events, total, assets)
    assert (codes > 0).sum() == sum(event.stop - event.start for event in events)


def test_crowded_events_keep_their_distance() -> None:
    # 60 minutes are 12 rows, with the gap 18: 16 slots a day, all of them taken.
    where = LocaleConfig(name="lab", sharing="open", assets=1, days=1)
    look = AnomalyConfig(duration_min=(60, 60))
    config = FleetConfig(locales=(where,), anomalies={"stuck": look})
    events = anomalies.schedule(config, where, {"stuck": 16.0}, 0, 1, np.random.default_rng(0))
    assert [b.start - a.stop for a, b in itertools.pairwise(events)] == [6] * 15


def test_cause_ends_before_the_label_does() -> None:
    event = anomalies.Event("heater_loss", 1, 10, 30, 1.0, 1.0)
    mask = anomalies.cause_mask((event,), "heater_loss", 50, 2)
    assert np.flatnonzero(mask[:, 1]).tolist() == list(range(10, 25))  # 20 rows less a quarter
    assert not mask[:, 0].any()
    assert not anomalies.cause_mask((event,), "cell_loss", 50, 2).any()
