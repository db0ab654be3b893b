"""The pictures of a finding: both sides binned, both summed up, and the distance along the span."""

from __future__ import annotations

import datetime

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator

from components.drift.findings import Distribution, Finding, Measurement, TimeLine
from pipeline.monitor_report import words
from pipeline.report.plots import SMALL, figure_of, fit
from pipeline.report.svg import INK, MISS, MUTED, REAL, SYNTHETIC, to_inline_svg
from pipeline.report.words import moment, number

Floats = npt.NDArray[np.float64]

MOST_CATEGORIES = 7
#: An outer bin this many times as wide as all inner ones together would press them into a line.
_TAIL = 1.5
#: Bars of a histogram.
_BARS = 40
_DASHED, _DOTTED = (0, (4, 2)), (0, (1, 1.6))


def unit_of(finding: Finding) -> str:
    """The feature's unit, which its Wasserstein distance has too."""
    return next((item.unit for item in finding.measurements if item.measure == "wasserstein"), "")


def histogram_svg(finding: Finding, name: str) -> str:
    """Both sides overlaid: shares in bars of one width, or shares of categories."""
    shown = _distribution(finding)
    if shown.labels:
        return _bars_svg(finding, name)
    view = view_of(np.array(shown.edges))
    bars, ours, theirs = (np.linspace(*view, _BARS + 1), *evened(shown, view))
    beyond = 1 - min(float(ours.sum()), float(theirs.sum()))
    with figure_of(SMALL) as (figure, axes):
        cut = f", {beyond:.1%} beyond" if beyond > 5e-4 else ""
        axes.set_title(_title("Share of values", finding) + cut)
        axes.stairs(ours, bars, fill=True, color=REAL, alpha=0.2, linewidth=0)
        axes.stairs(ours, bars, color=REAL, linewidth=1.6)
        axes.stairs(theirs, bars, color=SYNTHETIC, linewidth=1.6, linestyle=_DASHED)
        axes.set_ylim(bottom=0)
        axes.set_xlim(*view)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return to_inline_svg(figure, name, histogram_alt(finding))


def evened(shown: Distribution, view: tuple[float, float]) -> tuple[Floats, Floats]:
    """Shares of both sides in bars of one width, so that bins of few and of many values compare by eye.

    The bins of a plan are quantiles: as densities, a bin about one frequent value would dwarf all others.
    Within a bin values are taken as spread evenly.
    """
    edges, bars = np.array(shown.edges), np.linspace(*view, _BARS + 1)
    sides = (np.concatenate([[0.0], np.cumsum(side)]) for side in (shown.share, shown.share_baseline))
    ours, theirs = (np.diff(np.interp(bars, edges, side)) for side in sides)
    return ours, theirs


def view_of(edges: Floats) -> tuple[float, float]:
    """Where the axis begins and ends: an outer bin that dwarfs all inner ones is cut."""
    low, high = float(edges[0]), float(edges[-1])
    if len(edges) > 4:
        inner = float(edges[-2] - edges[1])
        if inner > 0:
            low = max(low, float(edges[1]) - _TAIL * inner)
            high = min(high, float(edges[-2]) + _TAIL * inner)
    pad = 0.02 * (high - low) or 0.5
    return low - pad, high + pad


def _bars_svg(finding: Finding, name: str) -> str:
    shown = _distribution(finding)
    ours, theirs = np.array(shown.share), np.array(shown.share_baseline)
    # The categories that part most; their order says nothing else.
    order = np.argsort(-np.maximum(ours, theirs), kind="stable")[:MOST_CATEGORIES]
    at = np.arange(len(order))
    left_out = len(ours) - len(order)
    more = f" ({len(order)} largest of {len(ours)})" if left_out else ""
    with figure_of(SMALL, left=0.4) as (figure, axes):
        axes.set_title(f"Share of values{more}", x=-0.6)
        axes.barh(at - 0.19, ours[order], 0.36, color=REAL)
        axes.barh(at + 0.19, theirs[order], 0.36, facecolor="none", edgecolor=SYNTHETIC, linewidth=1.4)
        axes.set_yticks(at, [fit(shown.labels[index] or "(empty)", 13) for index in order])
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.grid(False)
        axes.grid(True, axis="x")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        return to_inline_svg(figure, name, histogram_alt(finding))


def histogram_alt(finding: Finding) -> str:
    """Where both sides are highest, or which category parts them most."""
    shown = _distribution(finding)
    ours, theirs = np.array(shown.share), np.array(shown.share_baseline)
    one, other = words.SIDES[finding.comparison]
    widest = int(np.argmax(np.abs(ours - theirs)))
    if shown.labels:
        return (
            f"Shares of the categories of {finding.feature}. The largest difference is at "
            f"{shown.labels[widest] or '(empty)'}: {number(float(ours[widest]))} in {one}, "
            f"{number(float(theirs[widest]))} in {other}."
        )
    middle = (np.array(shown.edges[1:]) + np.array(shown.edges[:-1])) / 2
    unit = unit_of(finding)
    means = [words.with_unit(float(np.sum(middle * side)), unit) for side in (ours, theirs)]
    return (
        f"Histograms of {finding.feature}, overlaid: the mean over bins is {means[0]} in {one} and "
        f"{means[1]} in {other}."
    )


def ecdf_svg(finding: Finding, name: str) -> str:
    """Both empirical distribution functions at the bins' edges, and where they are furthest apart."""
    edges, ours, theirs = ecdf_of(finding)
    widest = int(np.argmax(np.abs(ours - theirs)))
    with figure_of(SMALL) as (figure, axes):
        axes.set_title(_title("Share up to a value", finding))
        axes.plot(edges, ours, color=REAL, linewidth=1.6)
        axes.plot(edges, theirs, color=SYNTHETIC, linewidth=1.6, linestyle=_DASHED)
        axes.plot(
            [edges[widest]] * 2,
            [ours[widest], theirs[widest]],
            color=INK,
            linewidth=1.2,
            marker="_",
            markersize=7,
        )
        axes.set_ylim(-0.02, 1.04)
        axes.yaxis.set_major_locator(MultipleLocator(0.5))
        axes.set_xlim(*view_of(edges))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return to_inline_svg(figure, name, ecdf_alt(finding))


def ecdf_of(finding: Finding) -> tuple[Floats, Floats, Floats]:
    """Edges and the share of each side up to each edge. Shapes [bins + 1]."""
    shown = _distribution(finding)
    sides = (np.concatenate([[0.0], np.cumsum(side)]) for side in (shown.share, shown.share_baseline))
    ours, theirs = sides
    return np.array(shown.edges), ours, theirs


def ecdf_alt(finding: Finding) -> str:
    """Where the two are furthest apart."""
    edges, ours, theirs = ecdf_of(finding)
    widest = int(np.argmax(np.abs(ours - theirs)))
    one, other = words.SIDES[finding.comparison]
    place = words.with_unit(float(edges[widest]), unit_of(finding))
    return (
        f"Empirical distribution functions of {finding.feature}: furthest apart at {place}, with "
        f"{number(float(ours[widest]))} of {one} and {number(float(theirs[widest]))} of {other} up to there."
    )


def held_against(finding: Finding) -> Measurement | None:
    """The measurement whose threshold and noise the time line is drawn with."""
    line = finding.time_line
    found = (item for item in finding.measurements if line is not None and item.measure == line.measure)
    return next(found, None)


def time_line_svg(finding: Finding, name: str) -> str:
    """The distance bucket by bucket, with change points, the threshold and the limit of the noise."""
    line = _time_line(finding)
    value = _values(line)
    at = np.array([mdates.date2num(_moment(text)) for text in line.begin])
    with figure_of(SMALL) as (figure, axes):
        axes.set_title(fit(words.MEASURE_NAMES[line.measure], 40))
        axes.plot(at, value, color=REAL, linewidth=1.3, marker="o", markersize=1.8)
        top = float(np.nanmax(value)) if np.isfinite(value).any() else 0.0
        measured = held_against(finding)
        if measured is not None and measured.null is not None:
            axes.axhline(measured.null.limit, color=MUTED, linewidth=1.4, linestyle=_DOTTED)
            top = max(top, measured.null.limit)
        if measured is not None and measured.threshold is not None:
            axes.axhline(measured.threshold, color=INK, linewidth=1.1, linestyle=_DASHED)
            top = max(top, measured.threshold)
        bottom = min(0.0, float(np.nanmin(value)) if np.isfinite(value).any() else 0.0)
        axes.set_ylim(bottom, top + 0.14 * (top - bottom) or 1.0)
        _change_points(axes, at, line)
        _time_axis(axes, at, line)
        return to_inline_svg(figure, name, time_line_alt(finding))


def _change_points(axes: Axes, at: Floats, line: TimeLine) -> None:
    for position in line.change_points:
        axes.axvline(at[position], color=MISS, linewidth=1.1)
        # A shape at the top tells it from the grid without colour.
        axes.plot(
            at[position], 0.965, marker="v", markersize=6, color=MISS, transform=axes.get_xaxis_transform()
        )


def _time_axis(axes: Axes, at: Floats, line: TimeLine) -> None:
    first, last = float(at[0]), float(at[-1]) + line.bucket_s / 86_400
    days = last - first > 3
    ticks = mdates.AutoDateLocator(minticks=2, maxticks=5 if days else 3).tick_values(
        mdates.num2date(first), mdates.num2date(last)
    )
    # A label at the very end would be cut off, one at the very beginning stand on that of the other axis.
    room = (0.06 if days else 0.12) * (last - first)
    axes.set_xticks([tick for tick in ticks if first + room <= tick <= last - room])
    axes.set_xlim(first, last)
    form = "%-d %b" if days else "%-d %b %H:%M"
    axes.xaxis.set_major_formatter(mdates.DateFormatter(form, tz=datetime.timezone.utc))
    axes.yaxis.set_major_locator(MaxNLocator(3))


def time_line_alt(finding: Finding) -> str:
    """Highest value and when, and the change points."""
    line = _time_line(finding)
    value = _values(line)
    name = words.MEASURE_NAMES[line.measure]
    if not np.isfinite(value).any():
        return f"{name} of {finding.feature} along the span: no bucket has enough values."
    peak = int(np.nanargmax(value))
    text = (
        f"{name} of {finding.feature} along the span: highest, {number(float(value[peak]))}, "
        f"on {moment(line.begin[peak])}; median {number(float(np.nanmedian(value)))}."
    )
    changes = words.listed((moment(line.begin[position]) for position in line.change_points), 3)
    return f"{text} The level changes on {changes}." if changes else f"{text} No change of level was found."


def _distribution(finding: Finding) -> Distribution:
    assert finding.distribution is not None, "asked for a picture of a finding without a distribution"
    return finding.distribution


def _time_line(finding: Finding) -> TimeLine:
    assert finding.time_line is not None, "asked for a picture of a finding without a time line"
    return finding.time_line


def _values(line: TimeLine) -> Floats:
    return np.array([np.nan if value is None else value for value in line.value], dtype=np.float64)


def _moment(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.timezone.utc)


def _title(what: str, finding: Finding) -> str:
    unit = unit_of(finding)
    return f"{what}{f' [{unit}]' if unit else ''}"
