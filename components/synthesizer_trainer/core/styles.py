"""A series' own calendar, shrunk to the locale's: one device runs warmer, or later in the day."""

from __future__ import annotations

import numpy as np

from components.synthesizer_trainer.core.calendar import Calendar, ridge

#: Series whose own calendar is kept; more are averaged into this many.
MAX_STYLES = 64
#: A series' own calendar is shrunk to the locale's as if it had this share of its rows more.
STYLE_SHRINKAGE = 0.02


def fit_styles(
    design: np.ndarray, calm: np.ndarray, series: np.ndarray, count: int, driven: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Calendar coefficients of every series, shrunk to the locale's, and what flags do beside them.

    Args:
      design: Shape [N, C].
      calm: NaN where null or anomalous. Shape [N, F].
      series: Shape [N].
      count: Series.
      driven: Indicators of discrete states whose effect is none of the calendar's. Shape [N, D].

    Returns:
      Coefficients, shape [series, F, C], and the indicators' (the same for all series), shape [F, D].
    """
    width = design.shape[1]
    both = ridge(np.concatenate([design, driven], axis=1), calm, 1e-4)
    common, effects = both[:, :width], both[:, width:]
    rest = calm - driven @ effects.T
    out = np.repeat(common[None], count, axis=0)
    for index in range(count):
        rows = series == index
        out[index] += ridge(design[rows], rest[rows] - design[rows] @ common.T, STYLE_SHRINKAGE)
    return out, effects


def style_offsets(mean: np.ndarray, series: np.ndarray, count: int) -> np.ndarray:
    """Mean of each series' calendar part less the locale's. Shape [series, F]."""
    rows = np.maximum(np.bincount(series, minlength=count), 1)[:, None]
    total = np.zeros((count, mean.shape[1]))
    np.add.at(total, series, mean)
    return total / rows - mean.mean(0)


def main_cycle(calendar: Calendar, styles: np.ndarray) -> int:
    """The cycle with the largest amplitude over all features, or -1 where there is none."""
    strength, column = [], 1
    for count in filter(None, calendar.harmonics):
        strength.append(float((styles[..., column : column + 2 * count] ** 2).sum()))
        column += 2 * count
    return int(np.argmax(strength)) if strength and styles.size else -1


def cluster_styles(
    styles: np.ndarray, offsets: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `MAX_STYLES` styles: series are averaged in groups of similar ones."""
    if len(styles) <= MAX_STYLES or not styles.size:
        return styles, offsets
    from sklearn.cluster import KMeans

    flat = np.concatenate([styles.reshape(len(styles), -1), offsets], axis=1)
    seed = int(generator.integers(2**31))
    centres = KMeans(MAX_STYLES, n_init=1, random_state=seed).fit(flat).cluster_centers_
    width = offsets.shape[1]
    return centres[:, :-width].reshape(-1, *styles.shape[1:]), centres[:, -width:]
