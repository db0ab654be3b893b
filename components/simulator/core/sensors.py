"""From true values to what a sensor writes down: noise, quantiser, missing samples."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from components.simulator.plant_config import SensorConfig


def add_noise(true: np.ndarray, sensor: SensorConfig, white: np.ndarray) -> np.ndarray:
    """Adds Gaussian noise of `sensor.noise_std`, any shape."""
    return true + sensor.noise_std * white


def quantise(read: np.ndarray, sensor: SensorConfig) -> np.ndarray:
    """Rounds to the nearest multiple of `sensor.step`; 0 leaves the values (to six decimals).

    The result is the double next to the decimal number, so that it prints as `21.45` and not as
    `21.450000000000003`.
    """
    if sensor.step == 0:
        return np.round(read, 6)
    exponent = Decimal(repr(sensor.step)).normalize().as_tuple().exponent
    decimals = max(0, -int(exponent))
    return np.round(np.round(read / sensor.step) * sensor.step, decimals) + 0.0  # + 0.0: no -0


def missing_rows(uniform: np.ndarray, fraction: float, gap_rows: int) -> np.ndarray:
    """Rows that were not recorded, in gaps of `gap_rows`.

    Args:
      uniform: Uniform noise. Shape [time, asset].
      fraction: Expected share of missing rows.
      gap_rows: Rows per gap; gaps may overlap.

    Returns:
      True where missing. Shape [time, asset].
    """
    # A row is present when no gap began in the last gap_rows rows: 1 - fraction = (1 - p)^gap_rows.
    begin = uniform < 1.0 - (1.0 - fraction) ** (1.0 / gap_rows)
    begun = np.cumsum(begin, axis=0)
    before = np.zeros_like(begun)
    before[gap_rows:] = begun[:-gap_rows]
    return begun > before
