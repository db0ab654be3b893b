"""Physics: bounds, balances, steady states derived by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.simulator.config import LocaleConfig
from components.simulator.core import physics, sensors
from components.simulator.core.physics import Plant, simulate_plant
from components.simulator.plant_config import BatteryConfig, SensorConfig, ThermalConfig

INTERVAL_S = 300


def locale(**settings) -> LocaleConfig:
    return LocaleConfig(name="lab", sharing="open", interval_s=INTERVAL_S, asset_spread=0.0, **settings)


def plant(
    where: LocaleConfig,
    days: int = 3,
    assets: int = 1,
    noise: int | None = None,
    heater_lost=None,
    cell_lost=None,
) -> Plant:
    steps = days * where.steps_per_day
    shape = (steps, assets)
    white = (
        np.zeros((*shape, 3)) if noise is None else np.random.default_rng(noise).standard_normal((*shape, 3))
    )
    none = np.zeros(shape, bool)
    return simulate_plant(
        where,
        np.arange(steps) * float(INTERVAL_S),
        white,
        np.zeros((assets, 5)),
        none if heater_lost is None else heater_lost,
        none if cell_lost is None else cell_lost,
    )


def test_steady_state_without_heater_is_ambient_plus_heat_over_conductance() -> None:
    # Constant ambient 10, no sun, heat 30 + 18 W: over 8 and 5 W/K in series (40/13 W/K) the node
    # stands 48 x 13/40 = 15.6 K above ambient, above the thermostat's 20 + 0.5.
    where = locale(
        sunlit_fraction=0.0,
        thermal=ThermalConfig(
            ambient_mean_c=10.0,
            ambient_amplitude_c=0.0,
            ambient_trend_c_per_day=0.0,
            dissipation_w=30.0,
            payload_w=18.0,
            node_wall_w_per_k=8.0,
            wall_ambient_w_per_k=5.0,
        ),
        battery=BatteryConfig(capacity_ah=10_000.0),  # never empty, so the payload stays on
    )
    result = plant(where)
    assert result.temp_c[-1, 0] == pytest.approx(25.6, abs=1e-6)
    assert not result.heater_on[100:].any()


def test_discretisation_equals_small_steps() -> None:
    # Oracle: explicit Euler with steps of 0.1 s.
    thermal = ThermalConfig()
    transition, inputs = physics.discretise(thermal, np.array([1.0, 1.3]), INTERVAL_S)
    for index, factor in enumerate((1.0, 1.3)):
        state = np.array([25.0, 5.0])
        heat = np.array([40.0, 30.0])
        expected = transition[index] @ state + inputs[index] @ heat
        inner, outer = thermal.node_wall_w_per_k, thermal.wall_ambient_w_per_k
        for _ in range(INTERVAL_S * 10):
            flow = inner * (state[0] - state[1])
            rate = np.array(
                [
                    (heat[0] - flow) / (thermal.node_j_per_k * factor),
                    (heat[1] + flow - outer * state[1]) / (thermal.wall_j_per_k * factor),
                ]
            )
            state = state + 0.1 * rate
        np.testing.assert_allclose(expected, state, rtol=1e-4)


def test_thermostat_keeps_the_band() -> None:
    result = plant(locale(thermal=ThermalConfig(ambient_mean_c=-2.0)), noise=0)
    settled = result.temp_c[144:]
    assert result.heater_on[144:].mean() > 0.2
    # One step of cooling below 19.5: the heater is off until the sample that sees it.
    assert settled.min() > 18.5
    # Switching: on below the band, off above it, and never otherwise.
    on, temperature = result.heater_on[:, 0], result.temp_c[:, 0]
    assert on[temperature < 19.5].all() and not on[temperature > 20.5].any()
    changed = np.flatnonzero(np.diff(on.astype(int)))
    inside = (temperature >= 19.5) & (temperature <= 20.5)
    assert not inside[changed + 1].any()


@settings(max_examples=15, deadline=None)
@given(
    solar_w=st.floats(1, 2000),
    load_w=st.floats(0, 400),
    capacity_ah=st.floats(1, 200),
    seed=st.integers(0, 2**16),
)
def test_charge_stays_in_bounds_and_balances(solar_w, load_w, capacity_ah, seed) -> None:
    where = locale(battery=BatteryConfig(solar_w=solar_w, base_load_w=load_w, capacity_ah=capacity_ah))
    result = plant(where, days=2, assets=2, noise=seed)
    assert result.soc.min() >= 0.0 and result.soc.max() <= 1.0
    # Charge balance: what the current carries is what the charge gains, to the sign and the amount.
    gained = np.diff(result.soc, axis=0) * capacity_ah * 3600.0
    np.testing.assert_allclose(result.current_a[:-1] * INTERVAL_S, gained, atol=1e-6 * capacity_ah * 3600)
    # It only ever charges in the sun.
    assert (result.current_a[result.irradiance == 0] <= 1e-9).all()
    assert np.isfinite(result.temp_c).all()


def test_the_battery_pays_for_base_load_payload_and_heater() -> None:
    # Dark and neither full nor empty: current x nominal voltage (8 x 3.2 V) is minus the load.
    battery = BatteryConfig(base_load_w=45.0, capacity_ah=10_000.0, safe_soc=0.5, resume_soc=0.6)
    thermal = ThermalConfig(payload_w=20.0, heater_w=70.0, ambient_mean_c=-5.0)
    where = locale(battery=battery, thermal=thermal, sunlit_fraction=0.0)
    result = plant(where, days=1)
    assert result.heater_on.any() and not result.heater_on.all() and not result.safe.any()
    np.testing.assert_allclose(result.current_a * 25.6, -(65.0 + 70.0 * result.heater_on))
    shed = locale(
        battery=battery.model_copy(update={"safe_soc": 0.8, "resume_soc": 0.9}),  # starts at 0.7
        thermal=thermal,
        sunlit_fraction=0.0,
    )
    result = plant(shed, days=1)
    assert result.safe.all()
    np.testing.assert_allclose(result.current_a * 25.6, -(45.0 + 70.0 * result.heater_on))


def test_safe_mode_sheds_the_payload_with_hysteresis() -> None:
    battery = BatteryConfig(capacity_ah=25.0, safe_soc=0.3, resume_soc=0.6)
    result = plant(locale(battery=battery), days=4)
    safe, soc = result.safe[:, 0], result.soc[:, 0]
    assert safe.any() and not safe.all()
    assert safe[soc < 0.3].all() and not safe[soc >= 0.6].any()
    entered = np.flatnonzero(np.diff(safe.astype(int)) == 1) + 1
    assert (soc[entered] < 0.3).all()


def test_irradiance_is_a_half_wave_around_noon() -> None:
    phase = np.array([0.0, 0.25, 0.375, 0.5, 0.625, 0.75, 0.9])
    expected = [0.0, 0.0, np.sqrt(0.5), 1.0, np.sqrt(0.5), 0.0, 0.0]
    np.testing.assert_allclose(physics.irradiance(phase, 0.5), expected, atol=1e-12)
    assert (physics.irradiance(phase, 0.5)[[0, 1, 5, 6]] == 0.0).all()  # exactly dark, not 1e-17
    assert (physics.irradiance(phase, 0.0) == 0.0).all()


def test_longitude_sets_local_noon_and_orbit_its_period() -> None:
    hours = np.arange(24)
    sun = physics.irradiance(physics.local_phase(hours * 3600.0, locale(longitude_deg=90.0)), 0.5)
    assert hours[sun.argmax()] == 6  # 90 degrees east is six hours ahead: noon at 06 UTC
    minutes = np.arange(0, 1440.0)
    orbit = physics.local_phase(minutes * 60.0, locale(cycle_h=1.6, sunlit_fraction=0.6))
    assert (np.diff(orbit) < 0).sum() == 14  # 24 / 1.6 = 15 orbits a day


def test_ambient_is_warmest_at_three_in_the_afternoon() -> None:
    time_s = np.arange(0, 86_400.0, 300.0)
    ambient = physics.ambient_c(time_s, np.zeros((288, 1)), locale())
    assert time_s[ambient[:, 0].argmax()] / 3600 == pytest.approx(15.0, abs=0.1)


def test_autoregressive_noise_has_the_correlation_it_says() -> None:
    white = np.random.default_rng(0).standard_normal((200_000, 1))
    noise = physics.autoregressive(white, correlation_s=3000.0, interval_s=300.0)[1000:, 0]
    assert noise.std() == pytest.approx(1.0, abs=0.03)
    # exp(-10 steps x 300 / 3000) = 1/e
    assert np.corrcoef(noise[:-10], noise[10:])[0, 1] == pytest.approx(np.exp(-1), abs=0.03)


def test_pump_works_where_the_curves_meet() -> None:
    where = locale()
    pump = where.pump
    time_s = np.arange(288) * 300.0
    pressure, flow = physics.pump_working_point(where, time_s, np.zeros((288, 1)), np.ones(1))
    network = pump.static_kpa + pump.network_kpa_per_lpm2 * flow**2
    np.testing.assert_allclose(pressure, network)
    speed = np.sqrt((pressure + pump.curve_kpa_per_lpm2 * flow**2) / pump.shutoff_kpa)
    assert pump.speed_mean - 2 * pump.speed_amplitude < speed.min() < speed.max() < 1.0
    assert np.corrcoef(pressure[:, 0], flow[:, 0])[0, 1] > 0.99


def test_pump_that_cannot_lift_the_static_head_gives_no_flow() -> None:
    where = locale(pump={"shutoff_kpa": 50.0, "static_kpa": 60.0})
    pressure, flow = physics.pump_working_point(where, np.arange(10.0), np.zeros((10, 1)), np.ones(1))
    assert (flow == 0).all() and (pressure == 60.0).all()


def test_heater_loss_cools_and_is_made_up_for_afterwards() -> None:
    where = locale(thermal=ThermalConfig(ambient_mean_c=-2.0, ambient_amplitude_c=0.0))
    lost = np.zeros((3 * 288, 1), bool)
    lost[400:430] = True
    healthy, broken = plant(where), plant(where, heater_lost=lost)
    np.testing.assert_array_equal(healthy.temp_c[:401], broken.temp_c[:401])
    assert broken.temp_c[430, 0] < healthy.temp_c[430, 0] - 1.5
    assert broken.heater_on[415:430].all()  # the thermostat calls, nothing comes
    assert broken.temp_c[460, 0] > 19.0


def test_cell_loss_drops_the_voltage_by_a_cell_and_heats() -> None:
    where = locale()
    lost = np.zeros((3 * 288, 1), bool)
    lost[400:430] = True
    healthy, broken = plant(where), plant(where, cell_lost=lost)
    ratio = broken.bus_voltage_v[400, 0] / healthy.bus_voltage_v[400, 0]
    assert ratio == pytest.approx(7 / 8, abs=0.01)
    assert broken.temp_c[430, 0] > healthy.temp_c[430, 0] + 2.0
    after = broken.bus_voltage_v[431:, 0] - healthy.bus_voltage_v[431:, 0]
    assert np.abs(after).max() < 0.6  # the charge that was drawn faster remains drawn


def test_quantise_prints_short_decimals() -> None:
    read = sensors.quantise(np.array([21.4499, -0.01, 0.30001, np.nan]), SensorConfig(step=0.05))
    assert [repr(float(value)) for value in read] == ["21.45", "0.0", "0.3", "nan"]
    np.testing.assert_array_equal(sensors.quantise(np.array([1.23456789]), SensorConfig()), [1.234568])
    np.testing.assert_array_equal(sensors.quantise(np.array([13.0]), SensorConfig(step=5.0)), [15.0])


def test_noise_has_the_deviation_it_says() -> None:
    white = np.random.default_rng(0).standard_normal(100_000)
    assert sensors.add_noise(np.zeros(100_000), SensorConfig(noise_std=0.3), white).std() == pytest.approx(
        0.3, abs=0.003
    )


def test_gaps_have_their_length_and_share() -> None:
    uniform = np.random.default_rng(1).random((200_000, 1))
    gone = sensors.missing_rows(uniform, 0.02, 5)
    assert gone.mean() == pytest.approx(0.02, abs=0.002)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gone[:, 0].astype(int), [0]])))
    lengths = edges[1::2] - edges[::2]
    assert np.median(lengths) == 5 and lengths[:-1].min() == 5
    assert not sensors.missing_rows(uniform, 0.0, 5).any()
