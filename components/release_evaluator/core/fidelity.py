"""Fidelity of single columns and of pairs of columns, and the fast summary that others call."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from scipy import stats

from components.dataset import DatasetConfig
from components.errors import UndefinedMetricError
from components.release_evaluator.core import temporal
from components.release_evaluator.core.divergences import KS_SLACK, ks_distance, total_variation
from components.release_evaluator.core.frames import Columns, read_columns, segment_ids

#: Bound on the number of pairs per kind; 25 features have 300.
MAX_PAIRS = 400
#: Bins of a numeric column in a contingency table with a category.
CONTINGENCY_BINS = 10


def column_scores(real: Columns, synthetic: Columns) -> dict[str, float]:
    """Per feature, 1 - KS (continuous, integer) or 1 - total variation (binary, categorical).

    A feature that is all missing on one side scores 0, on both sides 1.

    Returns:
      Score by feature, each in [0, 1], 1 is best.
    """
    scores = {}
    for name, values in real.numeric.items():
        a = values[np.isfinite(values)]
        b = synthetic.numeric[name]
        b = b[np.isfinite(b)]
        if len(a) and len(b):
            width = float(a.max() - a.min())
            # a constant column: equal means equal in float32
            scores[name] = 1 - ks_distance(a, b, KS_SLACK * width if width else 1e-6 * max(1.0, abs(a[0])))
        else:
            scores[name] = float(len(a) == len(b))
    for name, codes in real.codes.items():
        a, b = codes[codes >= 0], synthetic.codes[name][synthetic.codes[name] >= 0]
        if len(a) and len(b):
            scores[name] = 1 - total_variation(a, b, real.sizes[name])
        else:
            scores[name] = float(len(a) == len(b))
    return scores


def missing_rate_error(real: Columns, synthetic: Columns) -> float:
    """Greatest absolute difference of the share of missing values over the features, in [0, 1]."""
    errors = [
        abs(np.isnan(values).mean() - np.isnan(synthetic.numeric[name]).mean())
        for name, values in real.numeric.items()
    ]
    errors += [
        abs((codes < 0).mean() - (synthetic.codes[name] < 0).mean()) for name, codes in real.codes.items()
    ]
    return float(max(errors))


def pairwise_score(real: Columns, synthetic: Columns) -> float:
    """Mean similarity over pairs of features.

    Numeric pairs: 1 - |difference of correlation| / 2, the mean of Pearson's and Spearman's. Other
    pairs: 1 - total variation of the contingency table, numeric features cut at the real deciles.
    Features that are constant in the real rows are left out: they have no dependence to keep.

    Returns:
      Similarity in [0, 1], 1 is best.

    Raises:
      UndefinedMetricError: fewer than two features vary.

    Source: CorrelationSimilarity and ContingencySimilarity of SDMetrics.
    """
    numeric = [name for name, values in real.numeric.items() if _varies(values)]
    coded = [name for name, codes in real.codes.items() if len(np.unique(codes[codes >= 0])) > 1]
    scores: list[float] = []
    if len(numeric) > 1:
        change = []
        for ranked in (False, True):
            tables = [_correlations(columns, numeric, ranked) for columns in (real, synthetic)]
            change.append(np.abs(tables[0] - tables[1]))
        upper = np.triu_indices(len(numeric), 1)
        scores += list(1 - (change[0] + change[1])[upper] / 4)
    bins = {name: _binned(real.numeric[name], synthetic.numeric[name]) for name in (numeric if coded else [])}
    pairs = list(itertools.chain(itertools.combinations(coded, 2), itertools.product(coded, bins)))
    if len(pairs) > MAX_PAIRS:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, MAX_PAIRS).astype(int)]
    for first, second in pairs:
        size = (real.sizes[first] + 1) * (CONTINGENCY_BINS + 1 if second in bins else real.sizes[second] + 1)
        joint = []
        for side, columns in enumerate((real, synthetic)):
            other = bins[second][side] if second in bins else columns.codes[second]
            width = size // (real.sizes[first] + 1)
            joint.append((columns.codes[first] + 1) * width + other + 1)
        scores.append(1 - total_variation(joint[0], joint[1], size))
    if not scores:
        raise UndefinedMetricError("fewer than two features vary in the real rows")
    return float(np.mean(scores))


def spread_ratio(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Root mean square distance of random synthetic rows over that of real ones; 1 is best, 0 a collapse.

    Computed from variances: E||x - y||^2 = 2 tr Cov(x), so no pairs are drawn.

    Args:
      real: Encoded rows. Shape [row, dimension], float64.
      synthetic: As `real`.

    Raises:
      UndefinedMetricError: all real rows are alike, or a side is empty.
    """
    if not len(real) or not len(synthetic):
        raise UndefinedMetricError("no row that is not labelled anomalous")
    total = float(real.var(axis=0).sum())
    if total <= 0:
        raise UndefinedMetricError("all real rows are alike")
    return float(np.sqrt(synthetic.var(axis=0).sum() / total))


def fidelity_summary(real: pa.Table, synthetic: pa.Table, dataset: DatasetConfig) -> dict[str, float]:
    """Fidelity of synthetic rows in a second or two, for benchmarks and training logs.

    Rows labelled anomalous are left out on both sides (their share is amplified on purpose).

    Args:
      real: Flat table (decision 1).
      synthetic: As `real`.
      dataset: Their columns.

    Returns:
      `marginal_fidelity`, `worst_column_fidelity`, `missing_rate_error`, `pairwise_fidelity`,
      `acf_error`, `step_change_fidelity`, `daily_profile_error`; one that is undefined for these rows
      is absent. Ranges and directions: `catalogue.METRICS`.

    Raises:
      DataError: a table is empty or lacks a column.
    """
    read = read_columns({"real": real, "synthetic": synthetic}, dataset)
    return summarise(read["real"].normal(), read["synthetic"].normal(), dataset.interval_s)


def summarise(real: Columns, synthetic: Columns, interval_s: float) -> dict[str, float]:
    """`fidelity_summary` on columns that are read already."""
    scores = column_scores(real, synthetic)
    result = {
        "marginal_fidelity": float(np.mean(list(scores.values()))),
        "worst_column_fidelity": min(scores.values()),
        "missing_rate_error": missing_rate_error(real, synthetic) if real.rows and synthetic.rows else 1.0,
    }
    segments = [segment_ids(columns, interval_s) for columns in (real, synthetic)]
    for name, measure in {
        "pairwise_fidelity": lambda: pairwise_score(real, synthetic),
        "acf_error": lambda: temporal.acf_error(real, synthetic, *segments),
        "step_change_fidelity": lambda: 1 - temporal.step_change_distance(real, synthetic, *segments),
        "daily_profile_error": lambda: temporal.daily_profile_error(real, synthetic),
    }.items():
        try:
            result[name] = float(measure())
        except UndefinedMetricError:
            continue
    return result


def varying(columns: Columns) -> int:
    """Number of features with at least two different values."""
    coded = sum(len(np.unique(codes[codes >= 0])) > 1 for codes in columns.codes.values())
    return coded + sum(_varies(values) for values in columns.numeric.values())


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and float(finite.max()) > float(finite.min())


def _correlations(columns: Columns, names: list[str], ranked: bool) -> np.ndarray:
    """Pairwise correlations; missing values at the column's mean; a constant column correlates with none."""
    values = np.column_stack([columns.numeric[name] for name in names])
    missing = ~np.isfinite(values)
    if ranked:
        values = np.where(missing, np.nan, values)
        values = stats.rankdata(values, axis=0, nan_policy="omit")
    counts = np.maximum((~missing).sum(axis=0), 1)
    centred = np.where(missing, 0.0, values - np.where(missing, 0.0, values).sum(axis=0) / counts)
    norm = np.sqrt((centred**2).sum(axis=0))
    scaled = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)
    return scaled.T @ scaled


def _binned(real: np.ndarray, synthetic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of both samples, cut at the real deciles; -1 = missing."""
    edges = np.unique(np.nanpercentile(real, np.linspace(0, 100, CONTINGENCY_BINS + 1)[1:-1]))
    return tuple(  # type: ignore[return-value]
        np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)
        for values in (real, synthetic)
    )
