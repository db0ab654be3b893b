"""Forecasts, frames and features."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.errors import DataError, InsufficientDataError
from components.prophet_evaluator.config import ClassifierConfig, IntervalDetectorConfig, SeasonalityConfig
from components.prophet_evaluator.core import detector, features, fitting, forecaster, frames
from components.prophet_evaluator.core.alignment import align

HOUR_US = 3_600_000_000
DAY_S = 86_400


def _history(days: int = 10, noise: float = 0.3):
    stamps = np.arange(days * 24) * HOUR_US
    wave = 5 + 0.2 * stamps / 86_400e6 + np.sin(2 * np.pi * stamps / 86_400e6)
    return stamps, wave + np.random.default_rng(0).normal(0, noise, len(stamps))


def test_closed_form_interval_is_prophets_own_sampled_one():
    from prophet import Prophet

    stamps, y = _history()
    config = IntervalDetectorConfig(mode="tutorial")
    ours = forecaster.fit_prophet(stamps, y, config)
    future = np.concatenate([stamps, stamps[-1] + np.arange(1, 241) * HOUR_US])
    found = forecaster.forecast(ours, future)
    np.random.seed(0)  # noqa: NPY002  Prophet draws from the global state
    theirs = Prophet(daily_seasonality=True, uncertainty_samples=4000)
    theirs.fit(pd.DataFrame({"ds": forecaster.to_ds(stamps), "y": y}), seed=1)
    sampled = theirs.predict(pd.DataFrame({"ds": forecaster.to_ds(future)}))
    np.testing.assert_allclose(found.yhat, sampled["yhat"], rtol=1e-6)
    width = (sampled["yhat_upper"] - sampled["yhat_lower"]).to_numpy()
    past = width[: len(stamps)].mean() / (2 * found.half_width[: len(stamps)]).mean()
    # 4,000 samples put 2 % on a quantile's width; 240 rows average that away.
    assert past == pytest.approx(1, abs=0.02)
    ahead = width[-24:].mean() / (2 * found.half_width[-24:]).mean()
    # Ten days ahead the sum of Laplace steps is nearly, not exactly, normal.
    assert ahead == pytest.approx(1, abs=0.15)
    assert found.half_width[-1] > found.half_width[0]


def test_interval_widens_with_the_cube_of_the_horizon():
    stamps, _ = _history()
    days = stamps / 86_400e6
    # A trend that turns twice leaves slopes whose uncertainty outgrows the noise.
    y = np.abs(days - 3) - 2 * np.maximum(days - 6, 0) + np.random.default_rng(0).normal(0, 0.01, len(days))
    model = forecaster.fit_prophet(stamps, y, IntervalDetectorConfig(mode="tutorial"))
    span = stamps[-1]
    half = forecaster.forecast(model, np.array([span, 2 * span, 3 * span])).half_width
    growth = (half[2] ** 2 - half[0] ** 2) / (half[1] ** 2 - half[0] ** 2)
    assert growth == pytest.approx(2**3, rel=1e-6)
    # The trend's share outweighs the noise here, so Prophet's own draws test its size as well.
    assert half[1] > 2 * half[0]
    np.random.seed(0)  # noqa: NPY002
    model.uncertainty_samples = 4000
    future = np.arange(1, len(stamps) + 1) * HOUR_US + span
    draws = model.predictive_samples(pd.DataFrame({"ds": forecaster.to_ds(future)}))["yhat"][-1]
    assert draws.std() / (half[1] / 1.2816) == pytest.approx(1, abs=0.06)  # 1.2816: 90 % normal quantile


def test_interval_covers_its_nominal_share():
    stamps, y = _history(days=20)
    found = forecaster.forecast(
        forecaster.fit_prophet(stamps, y, IntervalDetectorConfig(growth="linear")), stamps
    )
    assert ((y >= found.lower) & (y <= found.upper)).mean() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("mode", ["calibrated", "tutorial"])
def test_the_saved_model_carries_the_value_of_no_row(mode):
    stamps, y = _history()
    text = forecaster.to_json(forecaster.fit_prophet(stamps, y, IntervalDetectorConfig(mode=mode)))
    history = json.loads(json.loads(text)["history"])
    assert [(row["y"], row["y_scaled"]) for row in history["data"]] == [(0.0, 0.0)] * 2
    numbers = {float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)}
    greatest = np.abs(y).max()
    assert greatest in numbers  # Prophet's scale: the pattern does find values
    for value in y[np.abs(y) != greatest]:
        assert not any(abs(value - number) < 1e-9 for number in numbers)


def test_json_round_trip_forecasts_the_same_and_holds_no_rows():
    stamps, y = _history()
    model = forecaster.fit_prophet(stamps, y, IntervalDetectorConfig())
    text = forecaster.to_json(model)
    again = forecaster.forecast(forecaster.from_json(text), stamps)
    assert (again.yhat == forecaster.forecast(model, stamps).yhat).all()
    assert len(text) < 12_000  # 240 rows of history would take more
    assert forecaster.forecast(model, np.zeros(0)).yhat.shape == (0,)


@pytest.mark.slow
def test_fitting_says_nothing():
    code = (
        "import numpy as np\n"
        "from components.prophet_evaluator.config import IntervalDetectorConfig\n"
        "from components.prophet_evaluator.core.forecaster import fit_prophet\n"
        "fit_prophet(np.arange(300) * 3_600_000_000, np.sin(np.arange(300.0)), IntervalDetectorConfig())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_refuses_text_that_is_no_model_and_a_pool_without_rows():
    with pytest.raises(DataError, match="not a Prophet model"):
        forecaster.from_json("{}")
    with pytest.raises(DataError, match="at least 2 rows"):
        forecaster.fit_prophet(np.zeros(1), np.zeros(1), IntervalDetectorConfig())


def test_a_configured_cycle_is_fitted():
    stamps = np.arange(2000) * 300_000_000
    y = np.sin(2 * np.pi * stamps / (5400 * 1e6))
    cycles = [SeasonalityConfig(name="orbit", period_s=5400)]
    found = forecaster.forecast(forecaster.fit_prophet(stamps, y, IntervalDetectorConfig(), cycles), stamps)
    assert np.abs(found.yhat - y).max() < 0.05


def test_finds_an_orbit_and_no_cycle_in_noise_or_days():
    rng, stamps = np.random.default_rng(0), np.arange(3000) * 60_000_000
    series = np.zeros(3000, int)
    orbit = np.sin(2 * np.pi * stamps / (5700 * 1e6)) + rng.normal(0, 0.3, 3000)
    assert forecaster.detect_cycle(stamps, orbit, series, 60) == pytest.approx(5700, rel=0.01)
    assert forecaster.detect_cycle(stamps, rng.normal(size=3000), series, 60) is None
    assert forecaster.detect_cycle(stamps, np.sin(4 * np.pi * stamps / 86_400e6), series, 60) is None
    assert forecaster.detect_cycle(stamps[:20], orbit[:20], series[:20], 60) is None
    assert forecaster.detect_cycle(stamps[:70], orbit[:70], series[:70], 3600) is None


def test_prepare_sorts_segments_and_remembers_the_order(toy_table, toy_dataset):
    table = toy_table(0, days=1).take(pa.array(np.random.default_rng(0).permutation(192)))
    frame = frames.prepare(table, toy_dataset, "us")
    assert frame["_series"].is_monotonic_increasing
    assert frame["_segment"].tolist() == [0] * 96 + [1] * 96
    assert (table["timestamp"].to_numpy()[frame["_row"]] == frame["timestamp"]).all()


def test_a_long_gap_starts_a_segment_a_short_one_does_not(toy_table, toy_dataset):
    table = toy_table(0, days=1, devices=1)
    holes = np.r_[0:10, 15:40, 60:96]  # 5 rows and 20 rows missing
    frame = frames.prepare(table.take(pa.array(holes)), toy_dataset, "us")
    assert frame["_segment"].tolist() == [0] * 35 + [1] * 36


def test_prepare_names_missing_columns(toy_table, toy_dataset):
    table = toy_table(0, days=1)
    with pytest.raises(DataError, match="locale=us: column temp is missing"):
        frames.prepare(table.drop(["temp"]), toy_dataset, "us")
    with pytest.raises(DataError, match="split=test: column site is missing"):
        frames.prepare(table, toy_dataset, None, "site")


def test_prepare_takes_an_empty_table(toy_table, toy_dataset):
    assert len(frames.prepare(toy_table(0, days=1).slice(0, 0), toy_dataset, "us")) == 0


@pytest.mark.parametrize(
    ("values", "centre", "spread"),
    [
        ([1, 2, 3, 4, 5], 3, 2 / 1.349),  # quartiles 2 and 4
        ([7, 7, 7], 7, 1),
        ([], 0, 1),
        ([0] * 99 + [10], 0, np.std([0] * 99 + [10])),  # no spread between the quartiles
    ],
)
def test_robust_scale_by_hand(values, centre, spread):
    assert frames.robust_scale(np.array(values, float)) == pytest.approx((centre, spread))


def test_spread_rows_keeps_the_ends():
    assert frames.spread_rows(3, 5).tolist() == [0, 1, 2]
    assert frames.spread_rows(101, 3).tolist() == [0, 50, 100]


def test_windows_never_span_two_segments():
    values, segment = np.array([1.0, 1, 1, 9, 9, 9]), np.array([0, 0, 0, 1, 1, 1])
    for centred in (True, False):
        windows = features.Windows(segment, 3, centred)
        assert windows.roll(values, 3, "max")[:3][1:].tolist() == [1, 1]
        assert windows.roll(values, 3, "min")[4:].tolist() == [9, 9]
    shifted = features.Windows(segment, 3, True).shift(values, 1)
    assert np.isnan(shifted[[0, 3]]).all() and shifted[4] == 9


def test_rolling_statistics_are_those_of_numpy():
    rng = np.random.default_rng(0)
    values, windows = rng.normal(size=50), features.Windows(np.zeros(50), 8, centred=False)
    for name, function in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        assert windows.roll(values, 8, name)[20] == pytest.approx(function(values[13:21]))


def test_run_length_by_hand():
    values, segment = np.array([1.0, 1, 1, 2, 2, np.nan, np.nan, 2]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert features.run_length(values, segment, centred=True).tolist() == [3, 3, 3, 1, 1, 1, 1, 1]
    assert features.run_length(values, segment, centred=False).tolist() == [1, 2, 3, 1, 1, 1, 1, 1]
    assert features.run_length(np.zeros(0), np.zeros(0), True).tolist() == []


def test_smoothing_skips_missing_rows():
    found = features.smooth(np.array([0.0, 3, np.nan, 5]), np.zeros(4), 3)
    assert found[[0, 1, 3]].tolist() == [1.5, 1.5, 5.0] and np.isnan(found[2])
    assert features.smooth(np.array([1.0, 2]), np.zeros(2), 1).tolist() == [1, 2]


@pytest.mark.parametrize("centred", [True, False])
def test_features_do_not_see_a_series_scale(toy_table, toy_dataset, toy_config, centred):
    config = toy_config.model_copy(
        update={"classifier": ClassifierConfig(window_rows=(4, 8), centred=centred, exact_repeats=True)}
    )
    table = toy_table(0, days=3, devices=1)
    scaled = table.set_column(2, "temp", pa.array(table["temp"].to_numpy().astype(float) * 40 - 7))
    found = []
    for one in (table, scaled):
        frame = frames.prepare(one, toy_dataset, "us")
        context = align(frame, config)
        residual = {"temp": context.aligned["temp"]}
        matrix, names = detector.featurise(frame, context, residual, config)
        assert matrix.shape == (len(frame), len(names)) and matrix.dtype == np.float32
        found.append(matrix)
    np.testing.assert_allclose(found[0], found[1], atol=2e-2)


def test_causal_features_do_not_change_when_the_future_does(toy_table, toy_dataset, toy_config):
    config = toy_config.model_copy(update={"classifier": ClassifierConfig(window_rows=(4, 8), centred=False)})
    frame = frames.prepare(toy_table(0, days=2, devices=1), toy_dataset, "us")
    context = align(frame, config)
    later = {name: values.copy() for name, values in context.aligned.items()}
    later["temp"][150:] += 9
    rows = slice(0, 150)
    windows = [
        dict(zip(names, matrix.T, strict=True))
        for matrix, names in (
            features.window_features(
                frame, aligned, {"temp": aligned["temp"]}, context.group, toy_dataset, config.classifier
            )
            for aligned in (context.aligned, later)
        )
    ]
    for name in windows[0]:
        difference = windows[0][name][rows] - windows[1][name][rows]
        # What is taken relative to the series' typical value may move as a whole, never row by row.
        assert np.nanstd(difference) < 1e-3, name


def test_forecast_features_are_recognised():
    assert features.is_forecast_feature("temp:residual_mean_8")
    assert features.is_forecast_feature("temp~load:correlation_8")
    assert not features.is_forecast_feature("temp:std_8")
    assert not features.is_forecast_feature("residual:std_8")


def test_short_series_are_aligned_with_their_locale(toy_table, toy_dataset, toy_config):
    long, short = toy_table(0, days=3, devices=2), toy_table(0, days=3, devices=2).slice(0, 40)
    whole = align(frames.prepare(long, toy_dataset, "us"), toy_config)
    assert len(set(whole.group)) == 2 and len(set(whole.centre["temp"])) == 2
    mixed = pa.concat_tables([short, long.slice(300, 40)])  # ten hours of each device
    part = align(frames.prepare(mixed, toy_dataset, "us"), toy_config)
    assert len(set(part.group)) == 1


def test_conformal_threshold_by_hand():
    scores = np.arange(1.0, 100)  # 99 scores: ceil(100 * 0.9) = the 90th
    assert fitting.conformal_threshold(scores, 0.1) == 90
    assert fitting.conformal_threshold(np.array([1.0, np.nan, 2]), 0.1) == 2
    with pytest.raises(InsufficientDataError):
        fitting.conformal_threshold(np.array([np.nan]), 0.1)
