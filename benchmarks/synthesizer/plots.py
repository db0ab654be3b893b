"""Pictures of simulated data: real rows beside ours and two peers', from the rows that were kept.

Run: python -m benchmarks.synthesizer --plots. Draws into docs/images, seed 0, only what is simulated: no row
of a real data set is shown. The same rows give the same files.
"""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.signal import welch
from scipy.stats import gaussian_kde
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from benchmarks.peers.environment import ROOT
from benchmarks.synthesizer import data, runners, store
from benchmarks.synthesizer.measures import LAGS, known, starts
from components.synthesizer_trainer.core.fidelity import autocorrelation

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FOLDER = ROOT / "docs" / "images"
#: Drawn beside real rows and ours: the best peer that knows time, and one of independent rows.
PEERS = ("DoppelGANger", "TVAE")
#: Of Okabe and Ito's palette, told apart by colour-blind readers; real rows are wide and grey.
COLOURS = {"real": "#7f7f7f", runners.OURS: "#0072b2", "DoppelGANger": "#d55e00", "TVAE": "#009e73"}
#: Features of each picture, by data set.
FEATURES = {
    "dense": ("cpu_busy", "memory_used", "disk_write", "latency_p99"),
    "fleet": ("temp_c", "soc", "bus_voltage_v", "pressure_kpa"),
}
#: Rows of a window that PCA and t-SNE are shown, and windows of a side.
WINDOW, WINDOWS = 24, 300
#: Rows of an example.
EXAMPLE = 480
DPI = 110
#: Colours of a file.
PALETTE = 160


@dataclasses.dataclass(frozen=True)
class Side:
    """Rows of one generator, or real ones.

    Attributes:
      name: Of the generator.
      values: Shape [N, F].
      segment: Runs of neighbouring rows. Shape [N].
    """

    name: str
    values: Floats
    segment: Ints

    @property
    def colour(self) -> str:
        """Its colour in every picture."""
        return COLOURS[self.name]

    @property
    def width(self) -> float:
        """Real rows are drawn below the others, wide."""
        return 3.0 if self.name == "real" else 1.3


def longest(segment: Ints, length: int) -> Ints:
    """The first rows of the longest unbroken span, at most `length`."""
    kept = np.flatnonzero(segment == np.bincount(segment).argmax())
    return kept[:length]


def margins(axes: Sequence[Any], sides: Sequence[Side], places: Sequence[int]) -> None:
    """Kernel density estimates, between the 0.5 and 99.5 % quantiles of the real rows."""
    for axis, place in zip(axes, places):
        low, high = np.quantile(known(sides[0].values[:, place]), (0.005, 0.995))
        grid = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 200)
        for side in sides:
            own = known(side.values[:, place])
            density = gaussian_kde(own, 0.12)(grid) if np.ptp(own) > 0 else np.zeros(len(grid))
            axis.plot(grid, density, color=side.colour, linewidth=side.width)
        axis.set_yticks([])
    axes[0].set_ylabel("density")


def autocorrelations(axes: Sequence[Any], sides: Sequence[Side], places: Sequence[int]) -> None:
    """Autocorrelation at lags 1 to `LAGS`."""
    for axis, place in zip(axes, places):
        for side in sides:
            curve = np.nan_to_num(autocorrelation(side.values[:, place], side.segment, LAGS))
            axis.plot(np.arange(1, LAGS + 1), curve, color=side.colour, linewidth=side.width)
        axis.set_ylim(-0.3, 1.05)
        axis.set_xlabel("lag, rows")
    axes[0].set_ylabel("autocorrelation")


def spectra(axes: Sequence[Any], sides: Sequence[Side], places: Sequence[int]) -> None:
    """Welch's power spectrum of the longest unbroken span, in units of the real variance."""
    for axis, place in zip(axes, places):
        spread = np.nanstd(sides[0].values[:, place])
        for side in sides:
            own = side.values[longest(side.segment, len(side.segment)), place]
            own = np.where(np.isnan(own), np.nanmean(own), own) / spread
            frequency, power = welch(own, nperseg=min(128, len(own)))
            axis.loglog(frequency[1:], power[1:] + 1e-6, color=side.colour, linewidth=side.width)
        axis.set_ylim(1e-3, 3e2)
        axis.set_xlabel("cycles per row")
    axes[0].set_ylabel("power")


def examples(axes: Sequence[Any], sides: Sequence[Side], place: int, interval_s: float) -> None:
    """One unbroken window of each side, one below the other, on the same scale."""
    low, high = np.quantile(known(sides[0].values[:, place]), (0.002, 0.998))
    for axis, side in zip(axes, sides):
        rows = longest(side.segment, EXAMPLE)
        hours = np.arange(len(rows)) * interval_s / 3600
        axis.plot(hours, side.values[rows, place], color=side.colour, linewidth=0.9)
        axis.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        axis.set_xlim(0, EXAMPLE * interval_s / 3600)


def windows(sides: Sequence[Side], seed: int = 0) -> list[Floats]:
    """As many windows of each side, standardised by the real rows. Shape [n, WINDOW * F] each."""
    real = sides[0].values
    centre, spread = np.nanmean(real, 0), np.nanstd(real, 0)
    found = []
    for side in sides:
        scaled = np.nan_to_num((side.values - centre) / np.where(spread > 0, spread, 1))
        first = starts(side.segment, WINDOW)
        rng = np.random.default_rng(seed)
        first = np.sort(rng.choice(first, min(WINDOWS, len(first)), replace=False))
        found.append(np.clip(scaled[first[:, None] + np.arange(WINDOW)].reshape(len(first), -1), -6, 6))
    return found


def maps(axes: Sequence[Any], sides: Sequence[Side]) -> None:
    """Windows on the real windows' first two principal components (above), and by t-SNE of all (below)."""
    cut = windows(sides)
    plane = PCA(2, random_state=0).fit(cut[0])
    embedded = TSNE(2, random_state=0, init="pca", perplexity=30).fit_transform(np.concatenate(cut))
    ends = np.cumsum([len(own) for own in cut])
    shown = [[plane.transform(own) for own in cut], np.split(embedded, ends[:-1])]
    for row, points in zip(axes, shown):
        for axis, side, own in zip(row, sides[1:], points[1:]):
            for of, where, size in ((sides[0], points[0], 12), (side, own, 5)):
                axis.scatter(where[:, 0], where[:, 1], s=size, color=of.colour, alpha=0.7, linewidths=0)
            axis.set_xticks([])
            axis.set_yticks([])
        low, high = (bound(np.concatenate(points), axis=0) for bound in (np.min, np.max))
        for axis in row:
            axis.set_xlim(low[0] - 1, high[0] + 1)
            axis.set_ylim(low[1] - 1, high[1] + 1)


def legend(figure: Any, sides: Sequence[Side]) -> None:
    """One line of names above everything."""
    lines = [plt.Line2D([], [], color=side.colour, linewidth=max(side.width, 2)) for side in sides]
    figure.legend(
        lines, [side.name for side in sides], loc="outside upper center", ncols=len(sides), frameon=False
    )


def distributions(case: data.Case, sides: Sequence[Side], names: Sequence[str]) -> Any:
    """Margins, autocorrelations and spectra of some features."""
    places = [case.dataset.feature_names().index(name) for name in names]
    figure, axes = plt.subplots(3, len(names), figsize=(2.6 * len(names), 6.4), layout="constrained")
    for row, draw in zip(axes, (margins, autocorrelations, spectra)):
        draw(row, sides, places)
    for axis, name in zip(axes[0], names):
        axis.set_title(name, fontsize=10)
    for row in axes[1:]:
        for axis in row[1:]:
            axis.sharey(row[0])
            axis.tick_params(labelleft=False)
    legend(figure, sides)
    return figure


def embeddings(sides: Sequence[Side]) -> Any:
    """PCA and t-SNE, a column for each generator over the real windows."""
    figure, axes = plt.subplots(2, len(sides) - 1, figsize=(8.4, 5.4), layout="constrained", squeeze=False)
    maps(axes, sides)
    for label, row in zip(("PCA", "t-SNE"), axes):
        row[0].set_ylabel(label)
    legend(figure, sides)
    return figure


def series(case: data.Case, sides: Sequence[Side], names: Sequence[str]) -> Any:
    """Example windows: a column for each feature, a row for each side."""
    figure, axes = plt.subplots(
        len(sides), len(names), figsize=(4.6 * len(names), 1.25 * len(sides) + 0.5), layout="constrained",
        sharex=True,
    )  # fmt: skip
    for column, name in enumerate(names):
        place = case.dataset.feature_names().index(name)
        examples(axes[:, column], sides, place, case.dataset.interval_s)
        axes[0, column].set_title(name, fontsize=10)
        axes[-1, column].set_xlabel("hours")
    for axis, side in zip(axes[:, 0], sides):
        axis.set_ylabel(side.name, color=side.colour)
    return figure


def sides_of(case: data.Case, rows: store.Rows) -> list[Side]:
    """Real rows, ours and the peers', as far as they were kept."""
    real = data.rows_of(case.period, case)
    found = [Side("real", real.values, real.segment)]
    for name in (runners.OURS, *PEERS):
        made = rows.read(case.name, name, 0, None)
        if made is None:
            print(
                f"left out of the pictures: {name} on {case.name}, of which no rows are kept", file=sys.stderr
            )
            continue
        own = data.rows_of(made.sampled, case)
        found.append(Side(name, own.values, own.segment))
    return found


def save(figure: Any, path: Path) -> None:
    """A small PNG with a white ground, readable on dark and light pages; no time or version in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, facecolor="white", format="png")
    plt.close(figure)
    # Few colours: a third of the size.
    Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main(rows: store.Rows, folder: Path = FOLDER) -> int:
    """Draws every picture; 1 where there are no rows of ours."""
    plt.rcParams |= {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    for short, names in FEATURES.items():
        (case,) = data.shipped((short,), 0)
        sides = sides_of(case, rows)
        if runners.OURS not in {side.name for side in sides}:
            return 1
        drawn = {
            "distributions": distributions(case, sides, names),
            "embeddings": embeddings(sides),
            "examples": series(case, sides, names[:2]),
        }
        for kind, figure in drawn.items():
            save(figure, folder / f"synthesizer-{short}-{kind}.png")
    return 0
