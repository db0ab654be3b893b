"""Ready-made fleets: three locales that differ in climate, set point, phase and known anomalies."""

from __future__ import annotations

from typing import Any, Literal

from components.simulator.config import ANOMALY_KINDS, EventRates, FleetConfig, LocaleConfig
from components.simulator.plant_config import BatteryConfig, PumpConfig, ThermalConfig

Size = Literal["small", "demo", "large"]

#: assets, days, cadence (s), test days. `small` runs in a test, `demo` on a laptop in minutes.
_SIZES: dict[Size, tuple[int, int, int, int]] = {
    "small": (2, 6, 600, 4),
    "demo": (3, 14, 300, 7),
    "large": (20, 60, 60, 14),
}

#: What each locale has lived through, per asset and day. 0.2 gives eight events of a kind in the
#: demo's 42 asset days, about what a classifier needs to learn it.
_HISTORY: dict[str, EventRates] = {
    "us-east": {"spike": 0.4, "level_shift": 0.3},
    "eu-west": {"spike": 0.1, "ramp": 0.2, "oscillation": 0.2, "heater_loss": 0.2},
    "ap-south": {"spike": 0.1, "stuck": 0.2, "variance": 0.2, "phase_break": 0.2, "cell_loss": 0.2},
}

#: In the test period everything happens everywhere: two events of a kind in the demo's 21 asset days.
_TEST_EVENTS: EventRates = dict.fromkeys(ANOMALY_KINDS, 0.1)


def default_fleet(size: Size = "demo", seed: int = 0) -> FleetConfig:
    """Three locales, `us-east` (open), `eu-west` and `ap-south` (both restricted).

    Args:
      size: `small` (1,728 rows a locale), `demo` (12,096) or `large` (1.7 million).
      seed: Seed of the fleet.
    """
    assets, days, interval_s, test_days = _SIZES[size]
    common: dict[str, Any] = {"assets": assets, "days": days, "interval_s": interval_s}
    return FleetConfig(
        seed=seed,
        test_days=test_days,
        test_events=_TEST_EVENTS,
        locales=(
            LocaleConfig(
                name="us-east",
                sharing="open",
                longitude_deg=-77.0,
                events=_HISTORY["us-east"],
                **common,
            ),
            LocaleConfig(
                name="eu-west",
                sharing="restricted",
                longitude_deg=5.0,
                clock_offset_s=7.0,
                thermal=ThermalConfig(set_point_c=18.0, ambient_mean_c=1.0, ambient_amplitude_c=4.5),
                battery=BatteryConfig(solar_w=330.0),
                pump=PumpConfig(speed_mean=0.75, static_kpa=80.0),
                events=_HISTORY["eu-west"],
                **common,
            ),
            LocaleConfig(
                name="ap-south",
                sharing="restricted",
                longitude_deg=77.0,
                clock_offset_s=-12.0,
                thermal=ThermalConfig(set_point_c=23.0, ambient_mean_c=8.0, ambient_amplitude_c=7.5),
                battery=BatteryConfig(solar_w=360.0),
                pump=PumpConfig(speed_mean=0.85, static_kpa=50.0),
                events=_HISTORY["ap-south"],
                **common,
            ),
        ),
    )
