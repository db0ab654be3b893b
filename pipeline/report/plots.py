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
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator

from pipeline.report.model import Curve, Detection, ForecastPanel, TrainingCurve
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
from pipeline.report.words import detector_name, number, plain, scenario_name

SMALL = (3.1, 1.9)  # inches; a small multiple, 220 to 360 px wide in the page
_WIDE = (10.4, 3.1)  # a forecast on a desk
_NARROW = (4.2, 3.4)  # the same on a phone: fewer ticks, larger text


@contextmanager
def figure_of(size: tuple[float, float], left: float = 0.13) -> Iterator[tuple[Figure, Axes]]:
    """A figure in the page's style and its axes.

    Args:
      size: Width and height in inches.
      left: Left margin of a small multiple, as a share of its width.
    """
    # Figure without pyplot: no global state, no display, nothing to close.
    with mpl.rc_context(STYLE):
        small = size == SMALL
        # A page has dozens of small multiples and laying each one out takes as long as drawing it, so
        # these have fixed margins, which also lines up their axes.
        figure = Figure(figsize=size, layout=None if small else "constrained")
        if small:
            figure.subplots_adjust(left=left, right=0.955, bottom=0.14, top=0.86)
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.tick_params(length=0, pad=3)
        axes.xaxis.set_major_formatter(_tick_label)
        axes.yaxis.set_major_formatter(_tick_label)
        yield figure, axes


def _tick_label(value: float, position: float | None = None) -> str:
    """A tick in at most six characters or so, without an offset written elsewhere."""
    if 1e4 <= abs(value) < 1e6:
        return f"{value / 1e3:.4g}k"
    return f"{value:.5g}".replace("e+0", "e").replace("e-0", "e-")


def _floats(values: tuple[float | None, ...]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def fit(text: str, length: int) -> str:
    """A name that fits above a small multiple; the end of a name tells most."""
    return text if len(text) <= length else f"{text[: length // 3]}…{text[-(length - length // 3 - 1) :]}"


def curve_svg(curve: Curve, name: str) -> str:
    """One small multiple: the real curve against the synthetic one."""
    real, synthetic = _floats(curve.real), _floats(curve.synthetic)
    with figure_of(SMALL) as (figure, axes):
        axes.set_title(fit(curve.feature, 30) + (f" [{curve.unit}]" if curve.unit else ""))
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
                axes.set_yticks([])
                axes.grid(False)
            else:
                axes.yaxis.set_major_locator(MaxNLocator(3))
            if curve.kind == "autocorrelation":
                axes.axhline(0, color=MUTED, linewidth=0.8)
            axes.plot(x, real, color=REAL, linewidth=1.6)
            axes.plot(x, synthetic, color=SYNTHETIC, linewidth=1.6, linestyle=(0, (4, 2)))
            axes.margins(x=0.01)
            if curve.kind == "density":
                axes.set_ylim(bottom=0)  # after the curves, or the higher one is cut off
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
    with figure_of(SMALL) as (figure, axes):
        axes.set_title(fit(plain(curve.name), 36))
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
    with figure_of(_NARROW if narrow else _WIDE) as (figure, axes):
        axes.fill_between(times, _floats(panel.lower), _floats(panel.upper), color=BAND, linewidth=0)
        axes.plot(times, yhat, color=REAL, linewidth=1.1)
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
        locator = mdates.AutoDateLocator(minticks=3, maxticks=5 if narrow else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=datetime.timezone.utc))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.005)
        return to_inline_svg(figure, name, forecast_alt(panel))


def scores_alt(detection: Detection) -> str:
    """F1 of every scenario and detector in words."""
    parts = [
        f"{scenario_name(row.scenario)} with the {detector_name(row.detector)} {number(row.overall.f1.value)}"
        for row in detection.scenarios
        if row.overall.f1.value is not None
    ]
    return f"F1 with confidence interval: {', '.join(parts)}."


def scores_svg(detection: Detection, name: str, narrow: bool = False) -> str:
    """F1 and its interval for every scenario (rows) and detector (mark)."""
    scenarios = list(dict.fromkeys(row.scenario for row in detection.scenarios))
    detectors = list(dict.fromkeys(row.detector for row in detection.scenarios))
    looks = [("o", REAL), ("s", SYNTHETIC), ("D", HIT), ("^", MISS)]
    height = 0.55 + 0.2 * len(scenarios) * (len(detectors) + 0.6)
    with figure_of((4.2 if narrow else 7.6, height + 0.3)) as (figure, axes):
        for row in detection.scenarios:
            f1 = row.overall.f1
            if f1.value is None:
                continue
            rank = detectors.index(row.detector)
            at = scenarios.index(row.scenario) + (rank - (len(detectors) - 1) / 2) * 0.26
            shape, colour = looks[rank % len(looks)]
            if f1.interval is not None:
                axes.plot([f1.interval.lo, f1.interval.hi], [at, at], color=colour, linewidth=2, zorder=2)
            axes.scatter([f1.value], [at], 34, marker=shape, facecolors=colour, edgecolors=PAPER, zorder=3)
            right = f1.interval.hi if f1.interval is not None else f1.value
            axes.annotate(
                number(f1.value),
                (right, at),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=INK,
            )
        axes.set_yticks(range(len(scenarios)), [scenario_name(scenario) for scenario in scenarios])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(scenarios) - 0.4, -0.6)
        axes.set_xlim(0, 1.08)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
        axes.spines[["left", "bottom"]].set_visible(False)
        handles = []
        for detector, (shape, colour) in zip(detectors, looks, strict=False):
            handles.append(Line2D([], [], marker=shape, color=colour, label=detector_name(detector)))
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            frameon=False,
            borderpad=0,
            handlelength=1.6,
            columnspacing=1.4,
            fontsize=9,
        )
        axes.set_xlabel("F1 with confidence interval")
        return to_inline_svg(figure, name, scores_alt(detection))
