"""The simulated plant's parameters: thermal network, battery, pump, sensors."""

from __future__ import annotations

from typing import Annotated, TypeVar

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError, list_briefly, nearest_name

Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
Positive = Annotated[float, pydantic.Field(gt=0)]
NonNegative = Annotated[float, pydantic.Field(ge=0)]


class ThermalConfig(ComponentConfig):
    """Two thermal nodes in a row: equipment (heated, measured) - wall - ambient.

    Attributes:
      set_point_c: Middle of the thermostat's band.
      hysteresis_c: Half width of the band: on below set point - h, off above set point + h.
      heater_w: Heater power.
      dissipation_w: Heat of the electronics that are always on.
      payload_w: Electrical power of the payload, all of it heat in the equipment node.
      node_j_per_k: Heat capacity of the equipment.
      wall_j_per_k: Heat capacity of the wall.
      node_wall_w_per_k: Conductance between equipment and wall.
      wall_ambient_w_per_k: Conductance between wall and ambient.
      solar_gain_w: Heat into the wall at full irradiance.
      ambient_mean_c: Mean of the ambient temperature on day 0.
      ambient_amplitude_c: Amplitude of its daily cycle.
      ambient_trend_c_per_day: Seasonal drift, so that span n is not span n - 1.
      weather_std_c: Standard deviation of the ambient's AR(1) weather.
      weather_correlation_h: Correlation time of the weather.
    """

    set_point_c: float = 20.0
    hysteresis_c: Positive = 0.5
    heater_w: Positive = 70.0  # about three times what a cold night needs, so that it recovers
    dissipation_w: NonNegative = 25.0
    payload_w: NonNegative = 20.0
    node_j_per_k: Positive = 16_000.0  # 1.2 h time constant to ambient: several steps of 5 minutes
    wall_j_per_k: Positive = 10_000.0
    node_wall_w_per_k: Positive = 8.0
    wall_ambient_w_per_k: Positive = 5.0
    solar_gain_w: NonNegative = 10.0
    ambient_mean_c: float = 4.0
    ambient_amplitude_c: NonNegative = 6.0
    ambient_trend_c_per_day: float = 0.02
    weather_std_c: NonNegative = 0.9
    weather_correlation_h: Positive = 4.0


class BatteryConfig(ComponentConfig):
    """A string of cells charged by the sun.

    Attributes:
      capacity_ah: Charge of the string.
      cells: Cells in series; `cell_loss` shorts one of them.
      cell_empty_v: Open-circuit voltage of an empty cell.
      cell_full_v: The same of a full cell.
      resistance_ohm: Internal resistance of the string.
      solar_w: Array power at full irradiance.
      base_load_w: Electrical load that is always on (includes `dissipation_w`).
      safe_soc: Below this state of charge the payload is switched off (mode `safe`).
      resume_soc: Above this one it is switched on again.
      short_w: Heat that a shorted cell gives to the equipment node.
    """

    capacity_ah: Positive = 60.0
    cells: int = pydantic.Field(default=8, ge=2)  # LiFePO4: 8 x 3.2 V, the usual 24 V string
    cell_empty_v: Positive = 3.0
    cell_full_v: Positive = 3.4
    resistance_ohm: NonNegative = 0.04
    solar_w: Positive = 340.0
    base_load_w: NonNegative = 45.0
    safe_soc: Fraction = 0.2
    resume_soc: Fraction = 0.35
    short_w: NonNegative = 45.0

    @pydantic.model_validator(mode="after")
    def _check(self) -> BatteryConfig:
        if self.resume_soc < self.safe_soc:
            raise ValueError(f"resume_soc {self.resume_soc} is below safe_soc {self.safe_soc}; raise it")
        if self.cell_full_v <= self.cell_empty_v:
            raise ValueError("cell_full_v must exceed cell_empty_v")
        return self


class PumpConfig(ComponentConfig):
    """A centrifugal pump on a hydraulic network.

    Pump curve `head = a speed^2 - b flow^2`, network `head = static + c flow^2` with a slowly
    wandering `c` (valves): the working point is where they meet.

    Attributes:
      shutoff_kpa: Head at full speed and no flow (a).
      curve_kpa_per_lpm2: Fall of the pump curve (b).
      static_kpa: Static head of the network.
      network_kpa_per_lpm2: Resistance of the network (c).
      valve_std: Relative standard deviation of `c`.
      speed_mean: Mean relative speed.
      speed_amplitude: Amplitude of the demand cycle in relative speed.
    """

    shutoff_kpa: Positive = 420.0
    curve_kpa_per_lpm2: Positive = 0.02
    static_kpa: NonNegative = 60.0
    network_kpa_per_lpm2: Positive = 0.06
    valve_std: NonNegative = 0.05
    speed_mean: Fraction = 0.8
    speed_amplitude: Fraction = 0.12


class SensorConfig(ComponentConfig):
    """What a sensor makes of the true value: Gaussian noise, then a quantiser (0: none)."""

    noise_std: NonNegative = 0.0
    step: NonNegative = 0.0


#: The parameters of the plant that a change may name.
PLANT_PARAMETERS = tuple(
    f"{section}.{name}"
    for section, model in (("thermal", ThermalConfig), ("battery", BatteryConfig), ("pump", PumpConfig))
    for name in model.model_fields
)
_Section = TypeVar("_Section", ThermalConfig, BatteryConfig, PumpConfig)


class ChangeConfig(ComponentConfig):
    """A change of the plant that lasts: a real drift in time, or, from span 0, a real regional difference.

    Attributes:
      locale: Where.
      span: The first span that has it; the test period after the spans has it too.
      parameter: `thermal.`, `battery.` or `pump.` and the parameter's name, e.g. `pump.speed_mean`.
      factor: What the locale's value is multiplied by.
      offset: What is added to that, in the parameter's unit.
    """

    locale: str
    span: int = pydantic.Field(default=0, ge=0)
    parameter: str
    factor: float = 1.0
    offset: float = 0.0

    @pydantic.model_validator(mode="after")
    def _check(self) -> ChangeConfig:
        if self.parameter not in PLANT_PARAMETERS:
            raise ValueError(
                f"no '{self.parameter}' in the plant{nearest_name(self.parameter, PLANT_PARAMETERS)}; "
                f"known: {list_briefly(PLANT_PARAMETERS)}"
            )
        return self

    def applied(self, section: _Section) -> _Section:
        """The section of the plant with the parameter changed.

        Raises:
          ConfigError: the new value is not allowed there.
        """
        name = self.parameter.split(".")[1]
        value = getattr(section, name) * self.factor + self.offset
        try:
            return type(section).model_validate(section.model_dump() | {name: value})
        except pydantic.ValidationError as error:
            why = error.errors()[0]["msg"]
            place = f"fleet: changes: locale={self.locale}: {self.parameter} becomes {value:g}"
            raise ConfigError(f"{place}: {why}") from error
