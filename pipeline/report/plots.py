"""The pictures of a report, drawn by matplotlib from binned curves and test-set forecasts."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from pipeline.report.model import Curve, ForecastPanel, TrainingCurve
from pipeline.report.svg import (
    BAND,
    FALSE_ALARM,
    HIT,
    INK,
    MISS,
    MUTED,
    PAPER,
    REAL,
    STYLE,
    SYNTHETIC,
    to_inline_svg,
)
from pipeline.report.words import number, plain

_SMALL = (3.1, 1.9)  # inches; a small multiple, 220 to 360 px wide in the page
_WIDE = (10.4, 3.1)  # a forecast on a desk
_NARROW = (4.2, 3.4)  # the same on a phone: fewer ticks, larger text


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    # Figure without pyplot: no global state, no display, nothing to close.
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.tick_params(length=0, pad=3)
        yield figure, axes


def _floats(values: tuple[float | None, ...]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def curve_svg(curve: Curve, name: str) -> str:
    """One small multiple: the real curve against the synthetic one."""
    real, synthetic = _floats(curve.real), _floats(curve.synthetic)
    with _figure(_SMALL) as (figure, axes):
        axes.set_title(curve.feature + (f" [{curve.unit}]" if curve.unit else ""))
        if curve.kind == "share":
            at = np.arange(len(curve.labels))
            axes.bar(at - 0.2, real, 0.38, color=REAL)
            axes.bar(at + 0.2, synthetic, 0.38, facecolor="none", edgecolor=SYNTHETIC, linewidth=1.4)
            axes.set_xticks(at, [label if len(label) < 9 else f"{label[:7]}…" for label in curve.labels])
            axes.set_ylim(bottom=0)
        else:
            x = np.array(curve.x)
            if curve.kind == "density":
                axes.fill_between(x, real, color=REAL, alpha=0.16, linewidth=0)
                axes.set_ylim(bottom=0)
                axes.set_yticks([])
                axes.grid(False)
            else:
                axes.yaxis.set_major_locator(MaxNLocator(3))
            if curve.kind == "autocorrelation":
                axes.axhline(0, color=MUTED, linewidth=0.8)
            axes.plot(x, real, color=REAL, linewidth=1.6)
            axes.plot(x, synthetic, color=SYNTHETIC, linewidth=1.6, linestyle=(0, (4, 2)))
            axes.margins(x=0.01)
            axes.xaxis.set_major_locator(MultipleLocator(6) if curve.kind == "daily" else MaxNLocator(4))
        return to_inline_svg(figure, name, curve_alt(curve))


def curve_alt(curve: Curve) -> str:
    """What a curve shows in words: where both peak, or how far they part."""
    real, synthetic = _floats(curve.real), _floats(curve.synthetic)
    gap = np.abs(real - synthetic)
    if not np.isfinite(gap).any():
        return f"{curve.feature}: no value in common between real and synthetic."
    if curve.kind == "density":
        x = np.array(curve.x)
        peaks = [number(float(x[np.nanargmax(values)])) for values in (real, synthetic)]
        return f"Density of {curve.feature}: real rows peak at {peaks[0]}, synthetic rows at {peaks[1]}."
    what, place, grid = {
        "autocorrelation": ("Autocorrelation", "lag", curve.x),
        "daily": ("Mean by hour of the day", "hour", curve.x),
        "share": ("Share of each category", "rank", tuple(range(1, len(curve.labels) + 1))),
    }[curve.kind]
    return (
        f"{what} of {curve.feature}: real and synthetic differ by {number(float(np.nanmax(gap)))} at most, "
        f"at {place} {grid[int(np.nanargmax(gap))]:g}, and by {number(float(np.nanmean(gap)))} on average."
    )


def training_svg(curve: TrainingCurve, name: str) -> str:
    """One quantity of the training log."""
    values = _floats(curve.value)
    with _figure(_SMALL) as (figure, axes):
        axes.set_title(plain(curve.name))
        axes.plot(curve.step, values, color=REAL, linewidth=1.6)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        alt = (
            f"{plain(curve.name)} over training: {number(float(values[0]))} at the start, "
            f"{number(float(values[-1]))} at the end, lowest {number(float(np.nanmin(values)))}."
        )
        return to_inline_svg(figure, name, alt)


def forecast_alt(panel: ForecastPanel) -> str:
    """The forecast plot in words."""
    tally = {mark: sum(1 for item in panel.mark if item == mark) for mark in ("tp", "fp", "fn")}
    return (
        f"{panel.target} of {panel.series or panel.locale} over the labelled test period: true value, "
        f"forecast and interval; marked are {tally['tp']} true positives, {tally['fp']} false positives "
        f"and {tally['fn']} missed anomalies."
    )


def forecast_svg(panel: ForecastPanel, name: str, narrow: bool = False) -> str:
    """True value, forecast and interval of one target, with true and false positives and misses."""
    times = np.array(panel.timestamp_us, dtype="datetime64[us]")
    y, yhat, mark = _floats(panel.y), _floats(panel.yhat), np.array(panel.mark)
    with _figure(_NARROW if narrow else _WIDE) as (figure, axes):
        axes.fill_between(times, _floats(panel.lower), _floats(panel.upper), color=BAND, linewidth=0)
        axes.plot(times, yhat, color=SYNTHETIC, linewidth=1.1)
        axes.plot(times, y, color=INK, linewidth=0.9)
        # Shape tells them apart as well as colour: open triangle, filled circle, cross.
        size = 26 if narrow else 30
        miss, hit, wrong = mark == "fn", mark == "tp", mark == "fp"
        axes.scatter(
            times[miss],
            y[miss],
            size,
            marker="^",
            facecolors=PAPER,
            edgecolors=MISS,
            linewidths=1.4,
            zorder=3,
        )
        axes.scatter(
            times[hit], y[hit], size, marker="o", facecolors=HIT, edgecolors=PAPER, linewidths=0.6, zorder=3
        )
        axes.scatter(times[wrong], y[wrong], size, marker="x", color=FALSE_ALARM, linewidths=1.5, zorder=3)
        locator = mdates.AutoDateLocator(minticks=3, maxticks=4 if narrow else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=datetime.timezone.utc))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.005)
        return to_inline_svg(figure, name, forecast_alt(panel))
