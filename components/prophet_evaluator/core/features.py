"""Window features of telemetry for the classifier, all vectorised.

Every feature is relative to the series' own normal behaviour (robust spread, typical window
statistic), so that what is learned on one series, or on a synthetic session, holds on another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from components.dataset import DatasetConfig
from components.prophet_evaluator.config import ClassifierConfig
from components.prophet_evaluator.core.frames import SEGMENT

_EPSILON = 1e-3
#: At most this many features beside the targets get window statistics of their own.
MAX_COMPANIONS = 12


def is_forecast_feature(name: str) -> bool:
    """Whether a feature means nothing without a forecast made for the row's own locale."""
    kind = name.partition(":")[2]
    return "~" in name or kind.startswith(("residual", "abs_residual", "slope", "autocorrelation"))


class Windows:
    """Rolling windows that never span two segments.

    Segments are laid end to end with gaps of NaN as long as the longest window, so one rolling call
    serves all of them.
    """

    def __init__(self, segment: np.ndarray, longest: int, centred: bool) -> None:
        """Lays out the segments.

        Args:
          segment: Segment number of each row, rising. Shape [row].
          longest: Longest window, in rows.
          centred: Windows are centred on the row, else end at it.
        """
        rank = np.unique(segment, return_inverse=True)[1].reshape(-1)
        self._position = np.arange(len(segment)) + rank * longest
        self._length = int(self._position[-1]) + 1 + longest if len(segment) else 0
        self._centred = centred

    def roll(self, values: np.ndarray, rows: int, statistic: str) -> np.ndarray:
        """A rolling statistic (`mean`, `std`, `min`, `max`, `sum`) of columns.

        Args:
          values: Shape [row] or [row, column].
          rows: Window length.
          statistic: Name of the pandas rolling method.

        Returns:
          The same shape; NaN where fewer than a third of the window is known.
        """
        padded = np.full((self._length, *values.shape[1:]), np.nan)
        padded[self._position] = values
        frame = pd.DataFrame(padded)
        window = frame.rolling(rows, min_periods=max(2, rows // 3), center=self._centred)
        if statistic == "std":
            # pandas' running variance is exact only to about 1e-16 of past magnitudes.
            rolled = np.sqrt(np.maximum(window.var(ddof=0).to_numpy(), 0))
        else:
            rolled = getattr(window, statistic)().to_numpy()
        return rolled[self._position].reshape(values.shape)

    def mean_of_known(self, values: np.ndarray, rows: int) -> np.ndarray:
        """Rolling mean, shape [row], of whatever is known of the window; NaN where nothing is."""
        padded = np.full(self._length, np.nan)
        padded[self._position] = values
        window = pd.Series(padded).rolling(rows, min_periods=1, center=self._centred)
        return window.mean().to_numpy()[self._position]

    def shift(self, values: np.ndarray, rows: int) -> np.ndarray:
        """Values `rows` rows earlier in the same segment (later where negative), NaN outside."""
        padded = np.full(self._length, np.nan)
        padded[self._position] = values
        return pd.Series(padded).shift(rows).to_numpy()[self._position]


def run_length(values: np.ndarray, segment: np.ndarray, centred: bool) -> np.ndarray:
    """Rows for which a value has stood unchanged.

    Args:
      values: Shape [row]; NaN differs from everything.
      segment: Segment number. Shape [row].
      centred: The length of the whole run a row belongs to, else of the run so far.

    Returns:
      At least 1, float64, shape [row].
    """
    if not len(values):
        return np.zeros(0)
    changed = np.r_[True, (np.diff(values) != 0) | (np.diff(segment) != 0)]
    run = np.cumsum(changed) - 1
    if centred:
        return np.bincount(run)[run].astype(float)
    start = np.flatnonzero(changed)
    return np.arange(len(values)) - start[run] + 1.0


def smooth(values: np.ndarray, segment: np.ndarray, rows: int) -> np.ndarray:
    """Centred rolling mean within segments; NaN rows are left out of their neighbours' mean."""
    if rows <= 1 or not len(values):
        return np.asarray(values, float)
    mean = Windows(segment, rows, centred=True).mean_of_known(np.asarray(values, float), rows)
    return np.where(np.isfinite(values), mean, np.nan)


def typical(values: np.ndarray, group: np.ndarray, n_groups: int, quantile: float = 0.5) -> np.ndarray:
    """A quantile per group, of the finite values. Shape [group]; NaN for a group without any."""
    series = pd.Series(values).where(np.isfinite(values))
    return series.groupby(group).quantile(quantile).reindex(range(n_groups)).to_numpy()


def window_features(
    frame: pd.DataFrame,
    aligned: dict[str, np.ndarray],
    residual: dict[str, np.ndarray],
    group: np.ndarray,
    dataset: DatasetConfig,
    config: ClassifierConfig,
) -> tuple[np.ndarray, list[str]]:
    """The classifier's input.

    Args:
      frame: From `frames.prepare`, sorted.
      aligned: Numeric feature name -> values aligned by the series' median and spread. Shape [row].
      residual: Target -> forecast residual in units of the forecast's deviation. Shape [row].
      group: Number of the group whose typical behaviour a row is compared with (its series, or its
        locale where series are short). Shape [row].
      dataset: Names and kinds of the features.
      config: Windows.

    Returns:
      Matrix, float32, shape [row, feature], NaN = unknown; and the feature names.
    """
    segment = frame[SEGMENT].to_numpy()
    windows = Windows(segment, max(config.window_rows), config.centred)
    n_groups = int(group.max(initial=-1)) + 1
    columns: dict[str, np.ndarray] = {}

    def relative(values: np.ndarray) -> np.ndarray:
        """Logarithm of a non-negative statistic over its typical value in the group."""
        return np.log((values + _EPSILON) / (typical(values, group, n_groups)[group] + _EPSILON))

    for target in dataset.targets:
        r, z = residual[target], aligned[target]
        step = z - windows.shift(z, 1)
        columns[f"{target}:residual"] = r
        columns[f"{target}:abs_residual"] = np.abs(r)
        columns[f"{target}:z"] = z
        columns[f"{target}:step"] = step
        if config.exact_repeats:
            runs = np.log1p(run_length(z, segment, config.centred))
            columns[f"{target}:run"] = runs
            columns[f"{target}:run_excess"] = runs - typical(runs, group, n_groups, 0.95)[group]
        # The second difference is large for noise and oscillation, nil for drift and level.
        bend = np.abs(
            windows.shift(z, -1 if config.centred else 0)
            - 2 * windows.shift(z, 0 if config.centred else 1)
            + windows.shift(z, 1 if config.centred else 2)
        )
        for rows in config.window_rows:
            mean = windows.roll(r, rows, "mean")
            std = windows.roll(z, rows, "std")
            motion = windows.roll(np.abs(step), rows, "mean")
            columns[f"{target}:residual_mean_{rows}"] = mean
            columns[f"{target}:residual_std_{rows}"] = relative(windows.roll(r, rows, "std"))
            columns[f"{target}:residual_max_{rows}"] = windows.roll(np.abs(r), rows, "max")
            columns[f"{target}:std_{rows}"] = relative(std)
            columns[f"{target}:range_{rows}"] = relative(
                windows.roll(z, rows, "max") - windows.roll(z, rows, "min")
            )
            columns[f"{target}:motion_{rows}"] = relative(motion)
            columns[f"{target}:bend_{rows}"] = relative(windows.roll(bend, rows, "mean"))
            if config.exact_repeats:
                same = np.where(np.isfinite(step), np.abs(step) < 1e-9, np.nan)
                columns[f"{target}:unchanged_{rows}"] = windows.roll(same, rows, "mean")
            half = max(rows // 2, 1)
            # Two halves side by side, the row at their border.
            ahead, behind = (-((half + 1) // 2), half // 2) if config.centred else (0, half)
            half_mean = windows.roll(r, half, "mean")
            columns[f"{target}:slope_{rows}"] = windows.shift(half_mean, ahead) - windows.shift(
                half_mean, behind
            )
            lagged = windows.roll(r * windows.shift(r, 1), rows, "mean") - mean**2
            spread = np.maximum(windows.roll(r, rows, "std") ** 2, 1e-6)
            columns[f"{target}:autocorrelation_{rows}"] = np.clip(lagged / spread, -1, 1)
    _companions(columns, aligned, residual, windows, relative, dataset, config)
    names = list(columns)
    return np.column_stack([columns[name] for name in names]).astype(np.float32), names


def _companions(
    columns: dict[str, np.ndarray],
    aligned: dict[str, np.ndarray],
    residual: dict[str, np.ndarray],
    windows: Windows,
    relative: Callable[[np.ndarray], np.ndarray],
    dataset: DatasetConfig,
    config: ClassifierConfig,
) -> None:
    """Adds the features beside the targets, and how they move with the targets' residuals."""
    rows = config.window_rows[len(config.window_rows) // 2]
    for name in companions(dataset):
        z = aligned[name]
        columns[f"{name}:z"] = z
        columns[f"{name}:mean_{rows}"] = windows.roll(z, rows, "mean")
        columns[f"{name}:std_{rows}"] = relative(windows.roll(z, rows, "std"))
    longest = config.window_rows[-1]
    pairs = [(a, b) for a in dataset.targets for b in _partners(a, dataset)]
    for a, b in pairs:
        left = residual[a]
        right = residual[b] if b in residual else aligned[b]
        covariance = windows.roll(left * right, longest, "mean") - windows.roll(
            left, longest, "mean"
        ) * windows.roll(right, longest, "mean")
        scale = windows.roll(left, longest, "std") * windows.roll(right, longest, "std")
        columns[f"{a}~{b}:correlation_{longest}"] = np.clip(covariance / (scale + 1e-6), -1, 1)


def companions(dataset: DatasetConfig) -> tuple[str, ...]:
    """Numeric features that are no targets, the first MAX_COMPANIONS of them."""
    numeric = dataset.feature_names("continuous", "integer", "binary")
    return tuple(name for name in numeric if name not in dataset.targets)[:MAX_COMPANIONS]


def _partners(target: str, dataset: DatasetConfig) -> Sequence[str]:
    """Up to three features whose joint movement with a target's residual is watched."""
    numeric = dataset.feature_names("continuous", "integer")
    others = [name for name in numeric if name != target and name in (*dataset.targets, *companions(dataset))]
    later = dataset.targets[: dataset.targets.index(target)]
    return [name for name in others if name not in later][:3]
