"""What the table measures of rows without networks: margins, pairs, time, membership.

Rows come as arrays [N, F] on a regular grid within each series; NaN is null.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from components.release_evaluator.core.resampling import auc
from components.synthesizer_trainer.core.fidelity import autocorrelation, ks_similarity

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Lags of the autocorrelation, rows.
LAGS = 60
#: Rows whose mean is taken out for the local autocorrelation: an hour of minutes.
LOCAL_ROWS = 60
#: Rows of the windows that the membership attack compares.
ATTACK_ROWS = 4
#: Of the held-out rows' distances to the training rows: as near is called a copy.
COPY_QUANTILE = 0.01


def known(values: Floats) -> Floats:
    """The values that are not null. Shape [n]."""
    out: Floats = values[~np.isnan(values)]
    return out


def varying(real: Floats) -> list[int]:
    """Columns with more than one value."""
    return [f for f in range(real.shape[1]) if len(np.unique(known(real[:, f]))) > 1]


def margins(real: Floats, made: Floats) -> Floats:
    """1 - KS of each varying column. Shape [n]; 0 where the other side has no value."""
    return np.array(
        [
            ks_similarity(known(real[:, f]), known(made[:, f])) if len(known(made[:, f])) else 0.0
            for f in varying(real)
        ]
    )


def pair_fidelity(real: Floats, made: Floats) -> float:
    """1 less the mean absolute difference of Pearson correlations over the pairs of varying columns.

    SDMetrics' CorrelationSimilarity halves the difference; this is the stricter one of the two.
    """
    columns = varying(real)
    if len(columns) < 2:
        return float("nan")
    upper = np.triu_indices(len(columns), 1)
    sides = []
    for values in (real[:, columns], made[:, columns]):
        filled = np.nan_to_num(values - np.nanmean(values, axis=0))
        spread = filled.std(0)
        filled = filled / np.where(spread > 0, spread, 1.0)
        sides.append((filled.T @ filled / len(filled))[upper])
    return float(1 - np.abs(sides[0] - sides[1]).mean())


def local(values: Floats, segment: Ints) -> Floats:
    """Values less the mean of their hour (`LOCAL_ROWS` rows of one segment). Shape [N]."""
    begins = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
    place = np.arange(len(values)) - np.repeat(begins, np.diff(np.r_[begins, len(values)]))
    hour = segment * (int(place.max()) // LOCAL_ROWS + 1) + place // LOCAL_ROWS
    index = np.unique(hour, return_inverse=True)[1]
    there = ~np.isnan(values)
    total = np.bincount(index, weights=np.where(there, values, 0.0))
    out: Floats = values - (total / np.maximum(np.bincount(index, weights=there), 1))[index]
    return out


def acf_errors(
    real: Floats, real_segment: Ints, made: Floats, made_segment: Ints, *, hourly: bool = False
) -> Floats:
    """Mean absolute difference of the autocorrelations at lags 1 to `LAGS`, per varying column.

    Args:
      real: Shape [N, F].
      real_segment: Runs of neighbouring rows. Shape [N].
      made: Shape [M, F].
      made_segment: Shape [M].
      hourly: Of what is left when the hourly mean is taken out.
    """
    out = []
    for f in varying(real):
        sides = []
        for values, segment in ((real[:, f], real_segment), (made[:, f], made_segment)):
            used = local(values, segment) if hourly else values
            curve = autocorrelation(used, segment, LAGS)
            # A constant column has no autocorrelation: as if it were noise.
            sides.append(np.nan_to_num(curve))
        out.append(np.abs(sides[0] - sides[1]).mean())
    return np.array(out)


def steps(values: Floats, segment: Ints) -> Floats:
    """First differences inside segments, known on both ends. Shape [n]."""
    return known(np.diff(values)[segment[1:] == segment[:-1]])


def step_fidelity(real: Floats, real_segment: Ints, made: Floats, made_segment: Ints) -> Floats:
    """1 - KS of the first differences of each varying column."""
    return np.array(
        [
            ks_similarity(steps(real[:, f], real_segment), steps(made[:, f], made_segment))
            for f in varying(real)
        ]
    )


def starts(segment: Ints, length: int) -> Ints:
    """First rows of windows of `length` rows inside one segment."""
    if len(segment) < length:
        return np.zeros(0, np.int64)
    return np.flatnonzero(segment[length - 1 :] == segment[: len(segment) - length + 1])


def membership(
    made: Floats,
    made_segment: Ints,
    members: tuple[Floats, Ints],
    others: tuple[Floats, Ints],
    seed: int = 0,
    length: int = ATTACK_ROWS,
) -> tuple[float, float]:
    """AUC of telling training windows from held-out ones by their distance to the synthetic ones.

    Args:
      made: Synthetic rows. Shape [M, F].
      made_segment: Shape [M].
      members: Training rows and their segments.
      others: Rows of the same time that no generator saw, interleaved, and their segments.
      seed: Of the control.
      length: Rows of a window; 1 for generators whose rows are independent of one another.

    Returns:
      The attack's AUC, and its AUC against a release that knows no row: windows of a Gaussian copula with
      the members' margins and correlations. The excess is their difference. Two releases of the same
      process differ by about 0.01 here. Source: distance to the closest record, as in Hilprecht et al.
      (2019), "Monte Carlo and Reconstruction Membership Inference".
    """
    columns = varying(members[0])
    centre, spread = np.nanmean(members[0], 0)[columns], np.nanstd(members[0], 0)[columns]

    def windows(values: Floats, segment: Ints) -> Floats:
        scaled = np.nan_to_num((values[:, columns] - centre) / spread)
        rows = starts(segment, length)[:, None] + np.arange(length)
        return scaled[rows].reshape(len(rows), -1)

    inside, outside, release = windows(*members), windows(*others), windows(made, made_segment)
    rng = np.random.default_rng(seed)
    ordered = np.sort(inside, axis=0)
    scores = ndtri((rankdata(inside, axis=0) - 0.5) / len(inside))
    covariance = np.cov(scores.T)
    normal = rng.multivariate_normal(np.zeros(len(covariance)), covariance, len(release))
    place = ndtr(normal / np.sqrt(np.diag(covariance))) * (len(ordered) - 1)
    grid = np.arange(len(ordered))
    control = np.stack([np.interp(at, grid, own) for at, own in zip(place.T, ordered.T)], axis=1)

    def attack(released: Floats) -> float:
        index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(released)
        return float(auc(-index.kneighbors(inside)[0][:, 0], -index.kneighbors(outside)[0][:, 0]))

    return attack(release), attack(control)


def copied(made: Floats, members: Floats, others: Floats) -> float:
    """Share of made rows that are copies of training rows, beyond what chance brings.

    A row is a copy where it is as near to a training row as only one held-out row in a hundred is
    (`COPY_QUANTILE`; at distance 0 where rows repeat anyway). Of the share of such rows that of the held-out
    ones is taken: 0 where the generator is no nearer than other real rows of the same time are.

    Args:
      made: Shape [M, F].
      members: Training rows. Shape [N, F].
      others: Rows of the same time that no generator saw. Shape [H, F].
    """
    columns = varying(members)
    centre, spread = np.nanmean(members[:, columns], 0), np.nanstd(members[:, columns], 0)
    scaled = [np.nan_to_num((values[:, columns] - centre) / spread) for values in (members, made, others)]
    index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(scaled[0])
    distances = [index.kneighbors(values)[0][:, 0] for values in scaled[1:]]
    # Brute-force distances of equal rows are not quite 0.
    near = max(float(np.quantile(distances[1], COPY_QUANTILE)), 1e-6)
    return float((distances[0] <= near).mean() - (distances[1] <= near).mean())


def summary(real: Floats, real_segment: Ints, made: Floats, made_segment: Ints) -> dict[str, float]:
    """Margins, pairs and time in one dictionary, keys as in the table."""
    margin = margins(real, made)
    whole = acf_errors(real, real_segment, made, made_segment)
    return {
        "marginal": float(margin.mean()),
        "worst": float(margin.min()),
        "pair": pair_fidelity(real, made),
        "acf": float(whole.mean()),
        "acf_local": float(acf_errors(real, real_segment, made, made_segment, hourly=True).mean()),
        "step": float(step_fidelity(real, real_segment, made, made_segment).mean()),
    }
