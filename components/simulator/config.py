"""Typed configuration of the simulated fleet: locales, physics, sensors, anomalies and faults.

Numbers are of the order of a small unattended pump station with a solar battery: tens of watts,
kilojoules per kelvin, a 24 V bus. They are design values of a simulation, not of a real plant.
"""

from __future__ import annotations

import datetime
from typing import Literal, get_args

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import ConfigError, list_briefly, nearest_name
from components.simulator.plant_config import (
    BatteryConfig,
    ChangeConfig,
    Fraction,
    NonNegative,
    Positive,
    PumpConfig,
    SensorConfig,
    ThermalConfig,
)

Sharing = Literal["open", "restricted"]
Channel = Literal["temp_c", "soc", "bus_voltage_v", "current_a", "pressure_kpa", "flow_lpm"]
AnomalyKind = Literal[
    "spike",
    "level_shift",
    "ramp",
    "stuck",
    "variance",
    "oscillation",
    "phase_break",
    "heater_loss",
    "cell_loss",
]
FaultKind = Literal["unit_change", "clock_shift", "stuck_sensor", "silent_gap", "schema_change"]

CHANNELS: tuple[Channel, ...] = get_args(Channel)
ANOMALY_KINDS: tuple[AnomalyKind, ...] = get_args(AnomalyKind)

#: Columns of every file, in order; the test file carries `locale` before them.
COLUMNS = (
    "timestamp",
    "asset",
    "temp_c",
    "heater_on",
    "soc",
    "bus_voltage_v",
    "current_a",
    "pressure_kpa",
    "flow_lpm",
    "mode",
    "label",
    "kind",
    "operator",
    "serial",
)

EventRates = dict[AnomalyKind, NonNegative]


DEFAULT_SENSORS: dict[Channel, SensorConfig] = {
    "temp_c": SensorConfig(noise_std=0.08, step=0.05),
    "soc": SensorConfig(noise_std=0.001, step=0.001),
    "bus_voltage_v": SensorConfig(noise_std=0.02, step=0.01),
    "current_a": SensorConfig(noise_std=0.05, step=0.01),
    "pressure_kpa": SensorConfig(noise_std=1.0, step=0.5),
    "flow_lpm": SensorConfig(noise_std=0.3, step=0.1),
}


class AnomalyConfig(ComponentConfig):
    """How one kind of anomaly looks, wherever it occurs.

    Attributes:
      duration_min: Least and greatest labelled duration, in minutes.
      magnitude: Least and greatest size, in the channel's unit: height (spike, level_shift), final
        height (ramp), added standard deviation (variance), amplitude (oscillation), lag in hours
        (phase_break). heater_loss and cell_loss take no magnitude: the physics decides.
      channel: The sensor that is hit; heater_loss and cell_loss act on the plant instead.
      local_hours: First and last local hour at which it may begin (may wrap over midnight).
    """

    duration_min: tuple[Positive, Positive]
    magnitude: tuple[Positive, Positive] = (1.0, 1.0)
    channel: Channel = "temp_c"
    local_hours: tuple[NonNegative, NonNegative] = (0.0, 24.0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> AnomalyConfig:
        for name in ("duration_min", "magnitude"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: the least {low} exceeds the greatest {high}; swap them")
        return self


DEFAULT_ANOMALIES: dict[AnomalyKind, AnomalyConfig] = {
    "spike": AnomalyConfig(duration_min=(5, 20), magnitude=(3.0, 7.0)),
    "level_shift": AnomalyConfig(duration_min=(60, 150), magnitude=(3.0, 6.0)),
    "ramp": AnomalyConfig(duration_min=(90, 180), magnitude=(5.0, 9.0)),
    "stuck": AnomalyConfig(duration_min=(60, 150)),
    "variance": AnomalyConfig(duration_min=(60, 150), magnitude=(1.5, 3.0)),
    "oscillation": AnomalyConfig(duration_min=(60, 150), magnitude=(2.5, 5.0)),
    "phase_break": AnomalyConfig(duration_min=(90, 180), magnitude=(7.0, 12.0)),
    # The heater is only missed where nights need it.
    "heater_loss": AnomalyConfig(duration_min=(120, 210), local_hours=(20.0, 4.0)),
    "cell_loss": AnomalyConfig(duration_min=(90, 150)),
}


class LocaleConfig(ComponentConfig):
    """One locale of the fleet.

    Attributes:
      name: Locale, also the folder of its data.
      sharing: `open` or `restricted`; the simulator only writes it down.
      assets: Series of the locale.
      days: Days in one span.
      interval_s: Cadence; divides a day.
      longitude_deg: East positive; sets the phase of day and night.
      cycle_h: Period of the ambient and solar cycle: 24 on the ground, about 1.6 in low orbit.
      sunlit_fraction: Part of a cycle with sun.
      cloud_depth: How much clouds take from the sun: optical depth per standard deviation of cover.
      asset_spread: Relative spread of the physical parameters between assets.
      thermal: Thermal network.
      battery: Battery and array.
      pump: Pump and pipes.
      sensors: Noise and quantiser per channel; a channel left out has an ideal sensor.
      events: Anomalies per asset and day, by kind. Counts are `round(rate x assets x days)`.
      clock_offset_s: What the locale's clock shows beyond UTC.
      missing_row_fraction: Rows that were never recorded, in gaps of `gap_rows`.
      gap_rows: Length of a gap.
      missing_cell_fraction: Single readings of a sensor that are null.
    """

    name: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)
    sharing: Sharing
    assets: int = pydantic.Field(default=3, ge=1)
    days: int = pydantic.Field(default=14, ge=1)
    interval_s: int = pydantic.Field(default=300, ge=1)
    longitude_deg: float = pydantic.Field(default=0.0, ge=-180, le=180)
    cycle_h: Positive = 24.0
    sunlit_fraction: Fraction = 0.5
    cloud_depth: NonNegative = 0.4
    asset_spread: Fraction = 0.03
    thermal: ThermalConfig = ThermalConfig()
    battery: BatteryConfig = BatteryConfig()
    pump: PumpConfig = PumpConfig()
    sensors: dict[Channel, SensorConfig] = DEFAULT_SENSORS
    events: EventRates = pydantic.Field(default_factory=dict)
    clock_offset_s: float = 0.0
    missing_row_fraction: float = pydantic.Field(default=0.005, ge=0, lt=1)
    gap_rows: int = pydantic.Field(default=3, ge=1)
    missing_cell_fraction: float = pydantic.Field(default=0.002, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> LocaleConfig:
        if 86_400 % self.interval_s:
            raise ValueError(
                f"locale={self.name}: interval_s {self.interval_s} does not divide a day; "
                "choose e.g. 60 or 300"
            )
        return self

    @property
    def steps_per_day(self) -> int:
        """Rows of one asset in a day."""
        return 86_400 // self.interval_s


class FaultConfig(ComponentConfig):
    """A data-quality fault of one span, for drift and gate tests; it is not labelled as an anomaly.

    Attributes:
      kind: `unit_change` (by `unit`; else Celsius to Fahrenheit, others times 10), `clock_shift` (the
        clock jumps by `seconds`), `stuck_sensor` (the column repeats its value at the beginning),
        `silent_gap` (no rows), `schema_change` (the column is renamed `<column>_v2`; over the whole span).
      locale: Where.
      span: When.
      column: The sensor; unused by clock_shift and silent_gap.
      begin: Beginning, as a fraction of the span.
      end: End, as a fraction of the span.
      seconds: Jump of the clock.
      unit: Slope and offset of a unit_change.
      assets: How many of the locale's assets are hit, the first ones; None for all. A schema_change hits all.
    """

    kind: FaultKind
    locale: str
    span: int = pydantic.Field(ge=0)
    column: Channel = "temp_c"
    begin: Fraction = 0.0
    end: Fraction = 1.0
    seconds: float = 3600.0
    unit: tuple[float, float] | None = None
    assets: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> FaultConfig:
        if self.end <= self.begin:
            raise ValueError(f"fault {self.kind}: end {self.end} is not after begin {self.begin}")
        return self


class FleetConfig(ComponentConfig):
    """The whole fleet.

    Attributes:
      locales: The locales.
      seed: Same configuration and seed, same bytes.
      start_date: First day of span 0 (UTC).
      test_days: Days of the labelled test period after the last span.
      test_events: Anomalies per asset and day of the test period, in every locale.
      anomalies: How each kind looks; kinds left out keep the default.
      faults: Data-quality faults.
      changes: Lasting changes of the plant.
    """

    locales: tuple[LocaleConfig, ...] = pydantic.Field(min_length=1)
    seed: int = pydantic.Field(default=0, ge=0)
    start_date: datetime.date = datetime.date(2024, 3, 1)
    test_days: int = pydantic.Field(default=5, ge=1)
    test_events: EventRates = pydantic.Field(default_factory=dict)
    anomalies: dict[AnomalyKind, AnomalyConfig] = DEFAULT_ANOMALIES
    faults: tuple[FaultConfig, ...] = ()
    changes: tuple[ChangeConfig, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> FleetConfig:
        names = [locale.name for locale in self.locales]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"locale named twice: {', '.join(twice)}")
        unknown = sorted({fault.locale for fault in self.faults} - set(names))
        if unknown:
            raise ValueError(f"faults name unknown locales: {', '.join(unknown)}; known: {', '.join(names)}")
        unknown = sorted({change.locale for change in self.changes} - set(names))
        if unknown:
            raise ValueError(f"changes name unknown locales: {', '.join(unknown)}; known: {', '.join(names)}")
        return self

    def anomaly(self, kind: AnomalyKind) -> AnomalyConfig:
        """How a kind looks: as configured, else as by default."""
        return self.anomalies.get(kind, DEFAULT_ANOMALIES[kind])

    def locale_in(self, name: str, span: int) -> LocaleConfig:
        """The locale of that name with the plant that it has in a span.

        Raises:
          ConfigError: there is no such locale, or a change is not allowed.
        """
        locale = self.locale(name)
        for change in self.changes:
            if change.locale == name and change.span <= span:
                section = change.parameter.split(".")[0]
                locale = locale.model_copy(update={section: change.applied(getattr(locale, section))})
        return locale

    def locale(self, name: str) -> LocaleConfig:
        """The locale of that name, as it was before any change.

        Raises:
          ConfigError: there is none.
        """
        known = {locale.name: locale for locale in self.locales}
        if name not in known:
            raise ConfigError(
                f"fleet: no locale '{name}'{nearest_name(name, known)}; known: {list_briefly(known)}"
            )
        return known[name]


def dataset_config(fleet: FleetConfig) -> DatasetConfig:
    """The columns as the pipeline reads them; `operator` and `serial` are left to the PII policy."""
    return DatasetConfig(
        timestamp="timestamp",
        series=("asset",),
        label="label",
        label_kind="kind",
        features=(
            FeatureConfig(name="temp_c", unit="°C"),
            FeatureConfig(name="heater_on", kind="binary"),
            FeatureConfig(name="soc"),
            FeatureConfig(name="bus_voltage_v", unit="V"),
            FeatureConfig(name="current_a", unit="A"),
            FeatureConfig(name="pressure_kpa", unit="kPa"),
            FeatureConfig(name="flow_lpm", unit="l/min"),
            FeatureConfig(name="mode", kind="categorical"),
        ),
        targets=("temp_c",),
        interval_s=float(fleet.locales[0].interval_s),
    )
