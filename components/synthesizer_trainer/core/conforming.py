"""Conforms a long release to the model's own margins and correlations.

A week of autocorrelated telemetry holds few independent rows: another week of the very same process has
margins and correlations of its own, further from the training rows' than what a release is allowed. So
where a release is as long as the training period, its scores are moved a little: one linear map of their
slow parts that gives them the wanted correlation (the optimal transport between two Gaussians, which moves
them least), then one monotone map per feature that gives them the wanted margin. It is the slow parts that
a week holds few of, and noise of one feature must not get into the steps of another. The maps are the same
for all rows of a batch, so time structure stays, and read nothing but the model. Shorter releases are left
as they are: a night need not look like a week.

Source: Deville and Sarndal (1992), calibration estimators; Olkin and Pukelsheim (1982) for the map between
two Gaussians; Iman and Conover (1982) for correlations with given margins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, decode, grid_position
from components.synthesizer_trainer.core.transport import correlation, linear_map

#: Points of a margin's quantile function, and rows of a series that make them its own.
POINTS = 65
MIN_SERIES_ROWS = 650
#: And rows of a part of the day that make them its own: three for each point.
MIN_PART_ROWS = 3 * POINTS
#: Fewer rows than this are never conformed, nor sessions that last less than this share of the training.
MIN_ROWS = 2000
MIN_SHARE = 0.5
#: Rounds of the fixed point between the linear and the monotone maps.
ROUNDS = 4
#: Rows of a block whose mean stands for the slow part.
BLOCK = 24
#: A slow part with less deviation than this is left alone.
MIN_SLOW = 0.05
#: What the linear map leaves alone is followed if its slow part has this share of its deviation.
MIN_FOLLOWED = 0.5
#: A feature whose values are older than this in the mean, in rows, is left alone by the linear map.
MAX_HELD = BLOCK / 4
#: Rows that the maps are fitted to, at most.
MAX_ROWS = 16_000


@dataclass(frozen=True)
class Targets:
    """What each style's rows look like in each part of the day, style by style.

    Hours that were held out or never seen are missing from the training rows, and more so from some parts of
    the day than from others. A release has hours of its own: it is to look like the rows of those.

    Attributes:
      quantiles: Of normal scores, at probabilities (i + 1/2) / POINTS. Shape [styles * parts, F, POINTS]; no
        style: never conformed.
      means: Of the values, in units of all rows' deviation, about their mean. Shape [styles * parts, F].
      products: Means of their products. Shape [styles * parts, F, F].
    """

    quantiles: np.ndarray
    means: np.ndarray
    products: np.ndarray


def no_targets(features: int) -> Targets:
    """Targets of a model that measured none."""
    return Targets(
        np.zeros((0, features, POINTS)), np.zeros((0, features)), np.zeros((0, features, features))
    )


def fit_targets(
    scores: np.ndarray,
    table: np.ndarray,
    series: np.ndarray,
    styles: int,
    part: np.ndarray,
    parts: int,
) -> Targets:
    """Margins and products of each series' normal rows, by part of the day.

    Args:
      scores: Of the normal training rows. Shape [N, F].
      table: The inverse transform. Shape [F, GRID_SIZE].
      series: A series of few rows gets all rows' targets. Shape [N].
      styles: As many as there are series, else every style gets all rows'.
      part: Part of the day; those of few rows are pooled. Shape [N], int.
      parts: Their number.
    """
    values = decode(table, scores)
    spread = values.std(0) if len(values) else np.ones(values.shape[1])
    values = (values - values.mean(0) if len(values) else values) / np.where(spread > 0, spread, 1.0)
    counts = np.bincount(series, minlength=styles)
    found = []
    for index in range(styles):
        own = len(counts) == styles and counts[index] >= MIN_SERIES_ROWS
        rows = np.flatnonzero(series == index) if own else np.arange(len(series))
        pool = pooled(np.bincount(part[rows], minlength=parts))
        made = []
        for one in range(int(pool.max()) + 1):
            inside = rows[pool[part[rows]] == one]
            count = max(len(inside), 1)
            moments = values[inside].sum(0) / count, values[inside].T @ values[inside] / count
            made.append((_quantiles(scores[inside]), *moments))
        found += [made[one] for one in pool]
    return Targets(*(np.stack(own) for own in zip(*found))) if found else no_targets(scores.shape[1])


def pooled(counts: np.ndarray) -> np.ndarray:
    """Pools neighbouring parts until each pool has `MIN_PART_ROWS`; the rest goes to the last one.

    Every row is in one pool: weighted by their rows, the pools' targets come to all rows'.

    Args:
      counts: Rows of each part. Shape [parts].

    Returns:
      Pool of each part, rising. Shape [parts], int.
    """
    out, rows = np.zeros(len(counts), np.int64), 0
    for place, count in enumerate(counts):
        left = counts[place:].sum()
        begins = place > 0 and rows >= MIN_PART_ROWS and left >= MIN_PART_ROWS
        out[place] = out[place - 1] + 1 if begins else out[max(place - 1, 0)]
        rows = int(count) if begins else rows + int(count)
    return out


def _quantiles(scores: np.ndarray) -> np.ndarray:
    """Means of `POINTS` equal shares of the ordered rows: no point is one row's value. Shape [F, POINTS]."""
    if len(scores) < 2 * POINTS:
        share = (np.arange(POINTS) + 0.5) / POINTS
        return np.quantile(scores, share, axis=0).T if len(scores) else np.zeros((scores.shape[1], POINTS))
    ordered = np.sort(scores, axis=0)
    edges = np.rint(np.arange(POINTS + 1) / POINTS * len(ordered)).astype(np.int64)
    total = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(ordered, axis=0)])
    return np.asarray((np.diff(total[edges], axis=0) / np.diff(edges)[:, None]).T)


def block_means(scores: np.ndarray) -> np.ndarray:
    """Means of blocks of `BLOCK` rows, the last row repeated to fill the last one. Shape [S, blocks, F]."""
    sessions, steps, features = scores.shape
    whole, rest = divmod(steps, BLOCK)
    parts = scores[:, : whole * BLOCK].reshape(sessions, whole, BLOCK, features)
    means = np.einsum("sbtf->sbf", parts) / BLOCK
    if rest:
        last = scores[:, whole * BLOCK :].sum(1) + (BLOCK - rest) * scores[:, -1]
        means = np.concatenate([means, last[:, None] / BLOCK], axis=1)
    return np.asarray(means.astype(scores.dtype))


def at_rows(means: np.ndarray, session: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The slow part at some rows: straight lines between the middles of blocks.

    Args:
      means: `block_means`. Shape [S, blocks, F].
      session: Shape [n].
      row: Shape [n].

    Returns:
      Shape [n, F].
    """
    blocks = means.shape[1]
    place = np.clip((row + 0.5) / BLOCK - 0.5, 0, blocks - 1)
    left = np.minimum(place.astype(np.int64), max(blocks - 2, 0))
    share = (place - left)[:, None].astype(means.dtype)
    right = np.minimum(left + 1, blocks - 1)
    return np.asarray(means[session, left] * (1 - share) + means[session, right] * share)


def no_shift(scores: np.ndarray) -> np.ndarray:
    """The shift by block that moves nothing, for scores [S, T, F]. Shape [S, blocks, F]."""
    sessions, steps, features = scores.shape
    return np.zeros((sessions, -(-steps // BLOCK), features), np.float32)


def spread(rows: int) -> np.ndarray:
    """Which of so many rows the maps are fitted to. Shape [n], n at most `MAX_ROWS`."""
    return np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.int64)


def identity(features: int) -> np.ndarray:
    """The table that moves nothing. Shape [F, GRID_SIZE]."""
    grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE, dtype=np.float32)
    return np.repeat(grid[None], features, axis=0)


def fit_maps(
    scores: np.ndarray,
    slow: np.ndarray,
    targets: Targets,
    decoder: np.ndarray,
    weights: np.ndarray,
    fixed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The maps that conform scores: y = table(scores + slow @ matrix + offset).

    Args:
      scores: Of the release's normal rows. Shape [n, F].
      slow: Their slow parts. Shape [n, F].
      targets: Of the styles and parts of the day that the release has.
      decoder: The inverse transform. Shape [F, GRID_SIZE].
      weights: Share of the rows of each of these. Shape [targets].
      fixed: Features that the linear map leaves alone (they stand still for long). Others get the wanted
        correlation with their slow parts. Shape [F], bool.

    Returns:
      Matrix [F, F], offset [F], table [F, GRID_SIZE].
    """
    count = scores.shape[1]
    scores, slow = (np.ascontiguousarray(part, np.float32) for part in (scores, slow))
    wanted = _mixture(targets.quantiles, weights)
    mean = weights @ targets.means
    target = correlation(np.tensordot(weights, targets.products, 1) - np.outer(mean, mean))
    spread, centre = scores.std(0, dtype=np.float64), slow.mean(0, dtype=np.float64)
    rest = slow.std(0, dtype=np.float64)
    live = (rest > MIN_SLOW) & ~fixed
    follow = ~live & (rest > MIN_FOLLOWED * spread) & (spread > 0)
    matrix, offset = np.zeros((count, count)), np.zeros(count)
    table = identity(count).astype(np.float64)
    present = np.cov(slow.T).reshape(count, count)
    total = np.cov(scores.T).reshape(count, count)
    scale = np.outer(spread, spread)
    # Correlations of scores and of values differ a little: the fixed point starts at the values'.
    aim = target.copy()
    for _ in range(ROUNDS):
        # What the slow parts' covariance has to be for the whole to have the wanted correlation.
        wanted_slow = present + scale * aim - total
        matrix[:, live] = linear_map(present, wanted_slow, live, follow)
        offset = -centre @ matrix
        cells = _cells(scores + slow @ matrix.astype(np.float32) + offset.astype(np.float32))
        table = _monotone(cells, wanted)
        # A cell is 0.005 wide: as good as the value itself for a correlation.
        emitted = decode(decoder, table.T).T.astype(np.float32)
        values = np.take(np.ascontiguousarray(emitted - emitted.mean(1, keepdims=True)), cells)
        found = correlation(np.cov(values.T).reshape(count, count))
        aim = np.clip(aim + target - found, -0.999, 0.999)
        np.fill_diagonal(aim, 1.0)
    return matrix.astype(np.float32), offset.astype(np.float32), table.astype(np.float32)


def _cells(scores: np.ndarray) -> np.ndarray:
    """Nearest point of the latent grid, in one range of numbers per feature. Shape [n, F], int64."""
    nearest = np.rint(grid_position(scores)).astype(np.int64)
    found: np.ndarray = nearest + np.arange(scores.shape[1]) * GRID_SIZE
    return found


def _cell_quantiles(cells: np.ndarray) -> np.ndarray:
    """`_quantiles` of scores that are known by their `_cells`. Shape [F, POINTS]."""
    count = cells.shape[1]
    found = np.bincount(cells.ravel(), minlength=count * GRID_SIZE).reshape(count, GRID_SIZE)
    grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
    edges = np.arange(POINTS + 1) / POINTS * len(cells)
    out = np.empty((count, POINTS))
    for feature, own in enumerate(found):
        # The sum of the least k scores is piecewise linear in k.
        rows, total = (np.concatenate([[0.0], np.cumsum(part)]) for part in (own, own * grid))
        out[feature] = np.diff(np.interp(edges, rows, total)) / np.diff(edges)
    return out


def _mixture(quantiles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Quantile functions of a mixture. Shape [F, POINTS]."""
    if len(quantiles) == 1:
        return quantiles[0]
    share = (np.arange(POINTS) + 0.5) / POINTS
    weight = np.repeat(weights / weights.sum() / POINTS, POINTS)
    out = np.empty(quantiles.shape[1:])
    for feature in range(quantiles.shape[1]):
        pool = quantiles[:, feature].ravel()
        order = np.argsort(pool, kind="stable")
        middle = np.cumsum(weight[order]) - weight[order] / 2
        out[feature] = np.interp(share, middle, pool[order])
    return out


def _monotone(cells: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Each feature onto its wanted quantiles; beyond them its own tail, moved. Shape [F, GRID_SIZE]."""
    grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
    out = np.repeat(grid[None], cells.shape[1], axis=0)
    for feature, found in enumerate(_cell_quantiles(cells)):
        # A value that is held for long fills several quantiles: it goes to the middle of theirs.
        group = np.concatenate([[0], np.cumsum(np.diff(found) > 1e-6)])
        count = np.bincount(group)
        if len(count) < 10:
            continue
        own, goal = (np.bincount(group, part) / count for part in (found, wanted[feature]))
        inside = np.interp(grid, own, goal)
        inside += np.maximum(grid - own[-1], 0) + np.minimum(grid - own[0], 0)
        out[feature] = np.clip(inside, -GRID_LIMIT, GRID_LIMIT)
    return out
