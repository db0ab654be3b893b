"""Physical models: ambient and sun, thermal network with thermostat, battery, pump.

Everything is an array [time, asset]. Only the thermostat and the battery, which switch and
saturate, need a loop over time; the loop is vectorised over assets.

Sources: lumped thermal networks and their exact discretisation under zero-order hold as in any text
on state space (e.g. Franklin, Powell & Workman, Digital Control of Dynamic Systems, ch. 4); pump and
system curve as in any text on centrifugal pumps.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.linalg import expm
from scipy.signal import lfilter

from components.simulator.config import LocaleConfig
from components.simulator.plant_config import BatteryConfig, ThermalConfig

DAY_S = 86_400.0
CLOUD_CORRELATION_S = 6 * 3600.0  # overcast comes and goes within a day
VALVE_CORRELATION_S = 1800.0
#: Relative charging curve of a cell: steep at both ends, flat between (LiFePO4 in outline).
_CURVE_SOC = np.array([0.0, 0.1, 0.3, 0.7, 0.9, 1.0])
_CURVE_V = np.array([0.0, 0.45, 0.6, 0.7, 0.8, 1.0])


@dataclasses.dataclass(frozen=True)
class Plant:
    """True values of the plant, each [time, asset]; `heater_on` and `safe` are booleans.

    `current_a` is into the battery (charging is positive). `irradiance` is in [0, 1].
    """

    temp_c: np.ndarray
    heater_on: np.ndarray
    soc: np.ndarray
    bus_voltage_v: np.ndarray
    current_a: np.ndarray
    pressure_kpa: np.ndarray
    flow_lpm: np.ndarray
    safe: np.ndarray
    irradiance: np.ndarray


def autoregressive(white: np.ndarray, correlation_s: float, interval_s: float) -> np.ndarray:
    """AR(1) noise of unit variance from white noise of unit variance, along axis 0."""
    phi = np.exp(-interval_s / correlation_s)
    return lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], white, axis=0)


def local_phase(time_s: np.ndarray, locale: LocaleConfig) -> np.ndarray:
    """Phase of the locale's cycle in turns, [0, 1): 0 is local midnight. `time_s` is UTC, [time]."""
    return (time_s / (locale.cycle_h * 3600.0) + locale.longitude_deg / 360.0) % 1.0


def irradiance(phase: np.ndarray, sunlit_fraction: float) -> np.ndarray:
    """Sun in [0, 1] over the cycle: a half wave of `sunlit_fraction` of it, highest at phase 0.5."""
    if sunlit_fraction == 0:
        return np.zeros_like(phase)
    turn = (phase - 0.5) / sunlit_fraction
    return np.where(np.abs(turn) < 0.5, np.cos(np.pi * turn), 0.0)


def ambient_c(time_s: np.ndarray, weather: np.ndarray, locale: LocaleConfig) -> np.ndarray:
    """Ambient temperature [time, asset]: mean, season, two harmonics (warmest after noon), weather."""
    thermal = locale.thermal
    turn = 2 * np.pi * (local_phase(time_s, locale) - 0.625)  # 0.625 of a day: 15 h
    cycle = thermal.ambient_amplitude_c * (np.cos(turn) + 0.2 * np.cos(2 * turn))
    mean = thermal.ambient_mean_c + thermal.ambient_trend_c_per_day * time_s / DAY_S
    return (mean + cycle)[:, None] + thermal.weather_std_c * weather


def discretise(thermal: ThermalConfig, scale: np.ndarray, interval_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact one-step matrices of the two-node network under zero-order hold.

    Args:
      thermal: The network.
      scale: Factor on the heat capacities per asset. Shape [asset].
      interval_s: Step.

    Returns:
      Transition [asset, 2, 2] (dimensionless) and input matrix [asset, 2, 2] (K per W into node,
      K per W into wall).
    """
    inner, outer = thermal.node_wall_w_per_k, thermal.wall_ambient_w_per_k
    transitions, inputs = [], []
    for factor in scale:
        capacity = np.array([thermal.node_j_per_k, thermal.wall_j_per_k]) * factor
        rate = np.array([[-inner, inner], [inner, -(inner + outer)]]) / capacity[:, None]
        transition = expm(rate * interval_s)
        transitions.append(transition)
        inputs.append(np.linalg.solve(rate, transition - np.eye(2)) / capacity[None, :])
    return np.stack(transitions), np.stack(inputs)


def cell_voltage(soc: np.ndarray, battery: BatteryConfig) -> np.ndarray:
    """Open-circuit voltage of a cell, in volts; any shape."""
    return battery.cell_empty_v + (battery.cell_full_v - battery.cell_empty_v) * np.interp(
        soc, _CURVE_SOC, _CURVE_V
    )


def simulate_plant(
    locale: LocaleConfig,
    time_s: np.ndarray,
    white: np.ndarray,
    spread: np.ndarray,
    heater_lost: np.ndarray,
    cell_lost: np.ndarray,
) -> Plant:
    """The plant's true values.

    Args:
      locale: Physics.
      time_s: UTC seconds since the fleet's first day, evenly spaced. Shape [time].
      white: Standard normal noise: weather, clouds, valves. Shape [time, asset, 3].
      spread: Standard normal deviations of the assets' parameters: heat capacity, set point,
        dissipation, battery capacity, pump speed. Shape [asset, 5].
      heater_lost: Heater without power. Shape [time, asset], bool.
      cell_lost: One cell shorted. Shape [time, asset], bool.

    Returns:
      The plant.
    """
    thermal, battery, interval_s = locale.thermal, locale.battery, float(locale.interval_s)
    steps, assets = heater_lost.shape
    factor = np.exp(locale.asset_spread * spread)  # positive, median 1
    weather = autoregressive(white[:, :, 0], thermal.weather_correlation_h * 3600.0, interval_s)
    outside = ambient_c(time_s, weather, locale)
    clear_sky = irradiance(local_phase(time_s, locale), locale.sunlit_fraction)
    clouds = autoregressive(white[:, :, 1], CLOUD_CORRELATION_S, interval_s)
    sun = clear_sky[:, None] * np.exp(-locale.cloud_depth * np.maximum(0.0, clouds))

    transition, inputs = discretise(thermal, factor[:, 0], interval_s)
    node_heat = thermal.dissipation_w * factor[:, 2] + battery.short_w * cell_lost
    wall_heat = thermal.solar_gain_w * sun + thermal.wall_ambient_w_per_k * outside
    forced = inputs[None, :, :, 0] * node_heat[:, :, None] + inputs[None, :, :, 1] * wall_heat[:, :, None]

    set_point = thermal.set_point_c + 10 * (factor[:, 1] - 1)  # spread 0.03: assets differ by 0.3 K
    low, high = set_point - thermal.hysteresis_c, set_point + thermal.hysteresis_c
    heater_w = np.where(heater_lost, 0.0, thermal.heater_w)
    array_w = battery.solar_w * sun
    coulombs = battery.capacity_ah * 3600.0 * factor[:, 3]
    cells = battery.cells - cell_lost.astype(float)
    nominal_v = cells * (battery.cell_empty_v + battery.cell_full_v) / 2

    # The loop is the simulator's cost: two plain vectors are cheaper than a batch of 2 x 2 products.
    (node_node, node_wall), (wall_node, wall_wall) = transition.transpose(1, 2, 0)
    node_input, wall_input = inputs[:, 0, 0], inputs[:, 1, 0]
    node_forced, wall_forced = forced[:, :, 0].copy(), forced[:, :, 1].copy()
    temperature, wall = set_point.copy(), set_point.copy()
    charge_per_w = interval_s / (nominal_v * coulombs)
    on = np.zeros(assets, bool)
    safe = np.zeros(assets, bool)
    soc = np.full(assets, 0.7)
    temps, ons, socs = np.empty((steps, assets)), np.empty((steps, assets), bool), np.empty((steps, assets))
    safes = np.empty((steps, assets), bool)
    for step in range(steps):
        on = (temperature < low) | (on & (temperature <= high))
        safe = (soc < battery.safe_soc) | (safe & (soc < battery.resume_soc))
        temps[step], ons[step], socs[step], safes[step] = temperature, on, soc, safe
        heat = on * heater_w[step]
        payload = thermal.payload_w * ~safe
        extra = heat + payload
        power = array_w[step] - battery.base_load_w - extra
        soc = np.minimum(1.0, np.maximum(0.0, soc + power * charge_per_w[step]))
        temperature, wall = (
            node_node * temperature + node_wall * wall + node_forced[step] + node_input * extra,
            wall_node * temperature + wall_wall * wall + wall_forced[step] + wall_input * extra,
        )

    # The current that really flowed: a full battery takes none, an empty one gives none.
    change = np.diff(socs, axis=0, append=soc[None, :])
    current = change * coulombs / interval_s
    voltage = cells * cell_voltage(socs, battery) + battery.resistance_ohm * current
    pressure, flow = pump_working_point(locale, time_s, white[:, :, 2], factor[:, 4])
    return Plant(
        temp_c=temps,
        heater_on=ons,
        soc=socs,
        bus_voltage_v=voltage,
        current_a=current,
        pressure_kpa=pressure,
        flow_lpm=flow,
        safe=safes,
        irradiance=sun,
    )


def pump_working_point(
    locale: LocaleConfig, time_s: np.ndarray, white: np.ndarray, speed_factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pressure (kPa) and flow (l/min) where pump curve and network meet, each [time, asset]."""
    pump = locale.pump
    turn = 2 * np.pi * local_phase(time_s, locale)
    # Demand: a morning and an evening peak.
    demand = -0.6 * np.cos(turn) - 0.4 * np.cos(2 * turn + 0.5)
    speed = (pump.speed_mean + pump.speed_amplitude * demand)[:, None] * speed_factor
    valves = np.exp(pump.valve_std * autoregressive(white, VALVE_CORRELATION_S, float(locale.interval_s)))
    network = pump.network_kpa_per_lpm2 * valves
    head = np.maximum(0.0, pump.shutoff_kpa * speed**2 - pump.static_kpa)
    flow = np.sqrt(head / (pump.curve_kpa_per_lpm2 + network))
    return pump.static_kpa + network * flow**2, flow
