"""The picture of a search: score by trial, and score against each key that was searched."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_ALLOWED, _HINDERED, _FIRST, _CHOSEN = "#1f5fa8", "#b0b0b0", "#c2571a", "#2c7a3f"
_INK = "#444444"
_COLUMNS = 3


def picture(answer: dict[str, Any]) -> bytes:
    """A PNG: above, each trial's score, the best so far and the repeats; below, a panel per key.

    Args:
      answer: What `pipeline.tune_answer.answer` gave.
    """
    keys = list(answer["space"])
    rows = math.ceil(len(keys) / _COLUMNS)
    # The same pictures whatever a user's own settings of matplotlib.
    with mpl.rc_context({**mpl.rcParamsDefault, "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.4 + 2.1 * rows), layout="constrained")
        grid = figure.add_gridspec(1 + rows, _COLUMNS, height_ratios=[1.5] + [1.0] * rows)
        _by_trial(figure.add_subplot(grid[0, :]), answer)
        for index, key in enumerate(keys):
            _by_key(figure.add_subplot(grid[1 + index // _COLUMNS, index % _COLUMNS]), answer, key)
        target = io.BytesIO()
        figure.savefig(target, format="png", dpi=120)
    return target.getvalue()


def _scored(answer: dict[str, Any]) -> list[tuple[dict[str, Any], float]]:
    """Trials with the score of the search."""
    found = [(trial, trial["runs"][0]["score"]) for trial in answer["trials"]]
    return [(trial, score) for trial, score in found if score is not None]


def _colour(answer: dict[str, Any], trial: dict[str, Any]) -> str:
    if answer["result"]["kind"] == "gain" and trial["trial"] == answer["result"]["trial"]:
        return _CHOSEN
    if trial["hindrance"]:
        return _HINDERED
    return _ALLOWED if trial["trial"] else _FIRST


def _by_trial(axes: Axes, answer: dict[str, Any]) -> None:
    best, line = -math.inf, []
    for trial, score in _scored(answer):
        axes.scatter([trial["trial"]], [score], 34, color=_colour(answer, trial), zorder=3)
        repeats = [run["score"] for run in trial["runs"][1:] if run["score"] is not None]
        axes.scatter(
            [trial["trial"]] * len(repeats), repeats, 22, facecolors="none", edgecolors="#444444", zorder=4
        )
        if not trial["hindrance"] or not trial["trial"]:
            best = max(best, score)
        line.append((trial["trial"], best))
    if line:
        axes.step(*zip(*line), where="post", color=_INK, linewidth=1)
    axes.set_title(
        f"{answer['locale']}: score by trial (orange: as configured, grey: may not be chosen, green: chosen, "
        "rings: repeats)",
        fontsize=9,
    )
    axes.set_xlabel("trial; line: best so far")
    axes.set_ylabel("score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _by_key(axes: Axes, answer: dict[str, Any], key: str) -> None:
    for trial, score in _scored(answer):
        value = trial["values"].get(key, answer["configured"][key])
        axes.scatter([value], [score], 20, color=_colour(answer, trial))
    said = answer["space"][key]
    ends = said["choices"] or [said["low"], said["high"]]
    if said["scale"] == "log":
        axes.set_xscale("log")
    if said["choices"]:
        axes.set_xticks(ends, [f"{value:g}" for value in ends])
    axes.axvspan(min(ends), max(ends), color="#f2f2f2", zorder=0)
    axes.set_xlabel(key)
    axes.tick_params(labelsize=7, which="both")
