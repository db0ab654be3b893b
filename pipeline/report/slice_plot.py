"""The picture of a detector by slice: rates with their intervals, one row per slice."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.model_quality import FairnessCut
from pipeline.report.svg import HIT, INK, MUTED, PAPER, REAL, STYLE, SYNTHETIC, to_inline_svg
from pipeline.report.words import number

#: Rates that are drawn, left to right (top to bottom on a phone).
_PANELS = (
    ("selection_rate", "Selection rate", REAL, "o"),
    ("tpr", "True positive rate", HIT, "s"),
    ("fpr", "False positive rate", SYNTHETIC, "D"),
)
_MOST = 40


def slices_alt(cut: FairnessCut) -> str:
    """The rates of every slice in words."""
    parts = []
    for item in cut.slices[:_MOST]:
        rates = ", ".join(
            f"{title.lower()} {number(getattr(item, name).value)}" for name, title, _, _ in _PANELS
        )
        parts.append(f"{item.name}: {rates}")
    return f"Rates by {cut.column} with confidence intervals. {'; '.join(parts)}."


def slices_svg(cut: FairnessCut, name: str, narrow: bool = False) -> str:
    """Three rates of each slice with their intervals; an undefined rate has no mark."""
    shown = cut.slices[:_MOST]
    labels = [_short(item.name) for item in shown]
    height = 0.75 + 0.24 * len(shown)
    with mpl.rc_context(STYLE):
        size = (4.2, 3 * height) if narrow else (7.6, height)
        figure = Figure(figsize=size)
        # Fixed margins: laying out takes longer than drawing.
        room = (0.15 + 0.07 * max((len(label) for label in labels), default=0)) / size[0]
        top, bottom = 0.35 / size[1], 0.3 / size[1]
        figure.subplots_adjust(
            left=room, right=0.97, top=1 - top, bottom=bottom, wspace=0.08, hspace=0.75 / height * 1.3
        )
        figure.patch.set_alpha(0.0)
        grid = figure.subplots(3, 1) if narrow else figure.subplots(1, 3, sharey=True)
        for axes, (key, title, colour, marker) in zip(grid, _PANELS, strict=True):
            axes.patch.set_alpha(0.0)
            axes.set_title(title)
            for at, item in enumerate(shown):
                rate = getattr(item, key)
                if rate.value is None:
                    axes.text(0, at, " undefined", va="center", fontsize=9, color=MUTED)
                    continue
                if rate.interval is not None:
                    axes.plot([rate.interval.lo, rate.interval.hi], [at, at], color=colour, linewidth=2)
                axes.scatter([rate.value], [at], 30, marker=marker, color=colour, edgecolors=PAPER, zorder=3)
            axes.set_yticks(range(len(shown)), labels)
            axes.set_ylim(len(shown) - 0.4, -0.6)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.tick_params(length=0, pad=3)
            axes.tick_params(axis="y", labelcolor=INK)
            axes.grid(True, axis="x")
            axes.grid(False, axis="y")
            axes.spines[["left", "bottom"]].set_visible(False)
        return to_inline_svg(figure, name, slices_alt(cut))


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:9]}…{text[-14:]}"
