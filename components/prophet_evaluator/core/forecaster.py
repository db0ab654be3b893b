"""Prophet: fit on a pool of series, forecast with analytic intervals, write and read as JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm

from components.errors import DataError
from components.prophet_evaluator.config import IntervalDetectorConfig, SeasonalityConfig

if TYPE_CHECKING:
    from prophet import Prophet

_DAY_S = 86_400.0
#: Half-widths below this share of the target's own scale would turn rounding into alarms.
MIN_RELATIVE_SIGMA = 1e-3


def silence() -> None:
    """Keeps Prophet's and cmdstan's progress lines from the log."""
    for name in ("prophet", "prophet.plot", "cmdstanpy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # At its first word cmdstanpy gives itself a level and a handler, unless it has a handler.
    stan = logging.getLogger("cmdstanpy")
    if not stan.handlers:
        stan.addHandler(logging.NullHandler())


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A forecast on given timestamps, in the units of the fit.

    Attributes:
      yhat: Expected value. Shape [row].
      half_width: Half of the interval's width. Shape [row].
    """

    yhat: np.ndarray
    half_width: np.ndarray

    @property
    def lower(self) -> np.ndarray:
        """Lower end of the interval."""
        return self.yhat - self.half_width

    @property
    def upper(self) -> np.ndarray:
        """Upper end of the interval."""
        return self.yhat + self.half_width


def to_ds(timestamp_us: np.ndarray) -> pd.DatetimeIndex:
    """Microseconds since the epoch (UTC) as Prophet's zone-free time stamps."""
    return pd.to_datetime(np.asarray(timestamp_us, np.int64), unit="us")


def fit_prophet(
    timestamp_us: np.ndarray,
    y: np.ndarray,
    config: IntervalDetectorConfig,
    seasonalities: Sequence[SeasonalityConfig] = (),
    seed: int = 0,
) -> Prophet:
    """Fits Prophet by maximum a posteriori.

    Args:
      timestamp_us: Microseconds since the epoch. Shape [row]; rows of several series may share one.
      y: Target values, finite. Shape [row].
      config: `mode` decides between the tutorial's defaults and the calibrated model.
      seasonalities: Cycles to add in calibrated mode.
      seed: Of the optimiser.

    Returns:
      The fitted model. Prophet writes its history to the file: cut to the first and last time here, with 0
      for every value, so that the file carries no row and a forecast is the same. What the fit itself keeps
      stays: the greatest absolute value as `y_scale`, times of rows as change points.

    Raises:
      DataError: fewer than two rows.
    """
    silence()
    from prophet import Prophet

    if len(y) < 2:
        raise DataError(
            f"Prophet needs at least 2 rows with a value, found {len(y)}. Give the pool more rows."
        )
    history = pd.DataFrame({"ds": to_ds(timestamp_us), "y": np.asarray(y, np.float64)})
    if config.mode == "tutorial":
        model = Prophet(daily_seasonality=True, interval_width=config.interval_width, uncertainty_samples=0)
    else:
        span_days = (history["ds"].max() - history["ds"].min()).total_seconds() / _DAY_S
        model = Prophet(
            growth=config.growth,
            n_changepoints=min(config.n_changepoints, len(y) // 10),
            # Prophet's own rule: two cycles of history before a cycle is fitted.
            daily_seasonality=8 if span_days >= 2 else False,
            weekly_seasonality=span_days >= 14,
            yearly_seasonality=10 if span_days >= 730 else False,
            interval_width=config.interval_width,
            uncertainty_samples=0,
        )
        for cycle in seasonalities:
            model.add_seasonality(cycle.name, cycle.period_s / _DAY_S, cycle.fourier_order)
    model.fit(history, seed=seed + 1)
    model.history = model.history.iloc[[0, -1]].reset_index(drop=True)
    model.history[["y", "y_scaled"]] = 0.0
    model.history_dates = model.history_dates.iloc[[0, -1]].reset_index(drop=True)
    return model


def forecast(model: Prophet, timestamp_us: np.ndarray, min_sigma: float = 0.0) -> Forecast:
    """Forecasts with an interval in closed form.

    Prophet samples its interval: observation noise N(0, sigma) plus, beyond the history, trend changes
    at the rate of the past with Laplace(0, lambda) slopes, lambda = mean |delta|. The variance of that
    sum has a closed form: sigma^2 + S 2 lambda^2 h^3 / 3 at horizon h (in units of the history's span)
    with S changepoints per unit. Same width, no Monte Carlo noise, no global random state.

    Args:
      model: Fitted.
      timestamp_us: Microseconds. Shape [row].
      min_sigma: Floor of the standard deviation, in the units of y.

    Returns:
      The forecast; its interval covers `model.interval_width` nominally.

    Source: Taylor and Letham (2018), "Forecasting at scale", section 3.1.4; prophet/forecaster.py
      `_make_trend_shift_matrix`.
    """
    unique, inverse = np.unique(np.asarray(timestamp_us, np.int64), return_inverse=True)
    if not len(unique):
        return Forecast(np.zeros(0), np.zeros(0))
    ds = to_ds(unique)
    yhat = model.predict(pd.DataFrame({"ds": ds}))["yhat"].to_numpy()
    sigma = float(np.mean(model.params["sigma_obs"]))
    variance = np.full(len(unique), sigma**2)
    if model.growth == "linear":
        horizon = np.maximum((ds - model.start) / model.t_scale - 1, 0).to_numpy(np.float64)
        slope = np.abs(model.params["delta"]).mean() + 1e-8
        variance += len(model.changepoints_t) * 2 * slope**2 * horizon**3 / 3
    deviation = np.maximum(np.sqrt(variance) * model.y_scale, min_sigma)
    half_width = norm.ppf((1 + model.interval_width) / 2) * deviation
    return Forecast(yhat[inverse], half_width[inverse])


def to_json(model: Prophet) -> str:
    """Prophet's own JSON, with sorted keys and without the time of the fit."""
    from prophet.serialize import model_to_json

    return json.dumps(json.loads(model_to_json(model)), sort_keys=True)


def from_json(text: str) -> Prophet:
    """Reads what `to_json` wrote.

    Raises:
      DataError: the text is not a Prophet model.
    """
    silence()
    from prophet.serialize import model_from_json

    try:
        return model_from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not a Prophet model: {type(error).__name__}. Train the detector anew.") from error


def detect_cycle(
    timestamp_us: np.ndarray,
    values: np.ndarray,
    series: np.ndarray,
    interval_s: float,
    min_share: float = 0.1,
) -> float | None:
    """The strongest cycle shorter than a day that no harmonic of the day explains.

    A periodogram on the real timestamps, summed over the series (whose phases may differ), on a
    frequency grid of one step per observed span, then refined around the peak.

    Args:
      timestamp_us: Microseconds. Shape [row].
      values: Aligned target values, finite. Shape [row].
      series: Number of the row's series. Shape [row].
      interval_s: Cadence of the rows.
      min_share: Share of the variance that the cycle must explain.

    Returns:
      The period in seconds, or None.

    Source: Scargle (1982), Astrophysical Journal 263, 835.
    """
    counts = np.bincount(series)
    chosen = np.argsort(counts, kind="stable")[::-1][:4]
    parts = []
    for code in chosen:
        mask = series == code
        if mask.sum() >= 64:
            t = timestamp_us[mask][:4096] / 1e6
            v = values[mask][:4096]
            day = 2 * np.pi * np.outer(t / _DAY_S, np.arange(1, 9))
            design = np.column_stack([np.ones(len(t)), np.cos(day), np.sin(day)])
            rest = v - design @ np.linalg.lstsq(design, v, rcond=None)[0]
            parts.append((t - t[0], rest, max(float(((v - v.mean()) ** 2).sum()), 1e-12)))
    if not parts:
        return None
    span = max(float(t[-1]) for t, _, _ in parts)
    low, high = max(4 / span, 1.5 / _DAY_S), 0.25 / interval_s
    if span <= 0 or high <= low:
        return None

    def power(frequencies: np.ndarray) -> np.ndarray:
        total = np.zeros(len(frequencies))
        for t, rest, variance in parts:
            for start in range(0, len(frequencies), 256):
                block = frequencies[start : start + 256]
                wave = np.exp(-2j * np.pi * np.outer(block, t))
                total[start : start + 256] += 2 * np.abs(wave @ rest) ** 2 / len(t) / variance
        return total / len(parts)

    # At most 2,000 coarse frequencies: beyond that, steps widen and only strong cycles are found.
    grid = np.linspace(low, high, int(min(2000, max(8, 2 * (high - low) * span))))
    best = grid[int(np.argmax(power(grid)))]
    step = grid[1] - grid[0]
    fine = np.linspace(best - step, best + step, 201)
    strengths = power(fine)
    peak = int(np.argmax(strengths))
    return float(1 / fine[peak]) if strengths[peak] >= min_share else None
