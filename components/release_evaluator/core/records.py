"""Records that the attacks look at: single rows, or windows of consecutive rows, as points."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.release_evaluator.core.frames import window_starts

#: Bound on the size of one block of the distance matrix, in numbers (64 MB).
BLOCK_NUMBERS = 8_000_000
#: Distances below this count as zero: rows are float32, and scaled by their range.
SAME = 1e-6
#: Squared distances below this share of the squares that they are a difference of are computed again in
#: double precision: single precision keeps seven digits.
UNSURE = 1e-4
#: How many of the nearest are then compared.
TIES = 8


@dataclasses.dataclass(frozen=True)
class Records:
    """Records of one table: record i is the rows `starts[i]` to `starts[i] + length - 1`.

    Attributes:
      points: Encoded rows. Shape [row, dimension], float64.
      length: Rows per record, >= 1.
      starts: First row of each record. Shape [record], int64.
      chunk: Chunk of each record. Shape [record], int64.
      rare: Whether a record holds a row labelled anomalous. Shape [record], bool.
    """

    points: np.ndarray
    length: int
    starts: np.ndarray
    chunk: np.ndarray
    rare: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def dimension(self) -> int:
        """Numbers per record."""
        return self.length * self.points.shape[1]

    def take(self, index: np.ndarray) -> Records:
        """The records at the given positions (int) or under the given mask (bool)."""
        return dataclasses.replace(
            self, starts=self.starts[index], chunk=self.chunk[index], rare=self.rare[index]
        )

    def sample(self, limit: int, rng: np.random.Generator) -> Records:
        """At most `limit` records, drawn without replacement, order kept."""
        if len(self) <= limit:
            return self
        return self.take(np.sort(rng.choice(len(self), limit, replace=False)))

    def flat(self) -> np.ndarray:
        """The records as vectors. Shape [record, length * dimension], float64."""
        index = self.starts[:, None] + np.arange(self.length)[None, :]
        return self.points[index].reshape(len(self), -1)

    def hashes(self, row_hashes: np.ndarray) -> np.ndarray:
        """One 64-bit polynomial hash per record, equal for equal rows in equal order. Shape [record]."""
        result = np.zeros(len(self), np.uint64)
        for step in range(self.length):
            result = result * np.uint64(0x9E3779B97F4A7C15) + row_hashes[self.starts + step]
        return result


def make_records(
    points: np.ndarray, segments: np.ndarray, chunks: np.ndarray, label: np.ndarray | None, length: int
) -> Records:
    """All records of a table: every window of `length` consecutive rows inside a segment and a chunk.

    Args:
      points: Encoded rows. Shape [row, dimension], float64.
      segments: Contiguous run of each row, not decreasing. Shape [row], int64.
      chunks: Chunk of each row, not decreasing. Shape [row], int64.
      label: Whether a row is anomalous, or None. Shape [row], bool.
      length: Rows per record, >= 1.
    """
    # a window across two chunks would overlap windows of both, so that chunks would not be independent
    cut = np.diff(segments, prepend=segments[:1]) + np.diff(chunks, prepend=chunks[:1])
    starts = window_starts(np.cumsum(cut != 0), length)
    if label is None:
        rare = np.zeros(len(starts), bool)
    else:
        before = np.concatenate([[0], np.cumsum(label)])
        rare = before[starts + length] > before[starts]
    return Records(points, length, starts, chunks[starts] if len(starts) else np.zeros(0, np.int64), rare)


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What lies around each query.

    Attributes:
      distance: To the nearest candidate; inf where every candidate is excluded. Shape [query], float64.
      position: Of that candidate. Shape [query], int64.
      kth: Distance to the k-th nearest candidate, to single precision; empty where not asked for.
      count: Candidates within the asked radius, to single precision; empty where not asked for.
    """

    distance: np.ndarray
    position: np.ndarray
    kth: np.ndarray
    count: np.ndarray


def nearest(
    queries: Records, candidates: Records, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance to, and position of, the nearest candidate of each query.

    Args:
      queries: Records asked about.
      candidates: Records searched, at least one.
      excluded: Chunk of the candidates that each query must not match, or None. Shape [query], int64.

    Returns:
      Distances (inf where every candidate is excluded), positions in `candidates`. Each [query].
    """
    found = neighbours(queries, candidates, excluded)
    return found.distance, found.position


def neighbours(
    queries: Records,
    candidates: Records,
    excluded: np.ndarray | None = None,
    *,
    k: int = 0,
    radius: np.ndarray | None = None,
) -> Neighbours:
    """The nearest candidate of each query and, where asked for, the k-th and the number within a radius.

    Args:
      queries: Records asked about.
      candidates: Records searched, at least one; quicker where they are ordered by chunk.
      excluded: Chunk of the candidates that each query must not match, or None. Shape [query], int64.
      k: Which further neighbour's distance to find; 0 for none.
      radius: Within which to count, for each query, or None. Shape [query], float64.
    """
    ask, pool = queries.flat(), candidates.flat()
    wide = max(1, queries.dimension)
    middle = pool.mean(axis=0)
    single, norms = (pool - middle).astype(np.float32), ((pool - middle) ** 2).sum(axis=1).astype(np.float32)
    transposed = np.ascontiguousarray(-2 * single.T)
    distance, position = np.empty(len(ask)), np.empty(len(ask), np.int64)
    kth = np.empty(len(ask) if k else 0)
    count = np.empty(len(ask) if radius is not None else 0, np.int64)
    rows = max(1, BLOCK_NUMBERS // len(pool))
    for begin in range(0, len(ask), rows):
        part = slice(begin, begin + rows)
        block = ask[part]
        own = ((block - middle) ** 2).sum(axis=1)
        # ||q||^2 is the same for all candidates of a query, so it is not needed to find the least
        score = (block - middle).astype(np.float32) @ transposed
        score += norms[None, :]
        if excluded is not None:
            _exclude(score, candidates.chunk, excluded[part])
        found = np.argmin(score, axis=1)
        best = score[np.arange(len(block)), found]
        # the expanded square loses digits near zero, where copies live: recompute from the difference
        exact = np.sqrt(((block - pool[found]) ** 2).sum(axis=1))
        unsure = np.flatnonzero(np.isfinite(best) & (best + own < UNSURE * (1 + own)))
        if len(unsure):
            found[unsure], exact[unsure] = _settle(block[unsure], pool, score[unsure], own[unsure])
        exact[~np.isfinite(best)] = np.inf
        distance[part], position[part] = exact, found
        if radius is not None:
            limit = (radius[part] ** 2 - own).astype(np.float32)
            count[part] = np.count_nonzero(score <= limit[:, None], axis=1)
        if k:
            near = min(k, len(pool)) - 1
            kth[part] = np.sqrt(np.maximum(np.partition(score, near, axis=1)[:, near] + own, 0))
    distance[distance < SAME * np.sqrt(wide)] = 0.0
    return Neighbours(distance, position, kth, count)


def _exclude(score: np.ndarray, chunk: np.ndarray, excluded: np.ndarray) -> None:
    """Puts the candidates of each query's excluded chunk out of reach."""
    if (np.diff(chunk) < 0).any():
        score[chunk[None, :] == excluded[:, None]] = np.inf
        return
    for number in np.unique(excluded):
        low, high = np.searchsorted(chunk, [number, number + 1])
        score[excluded == number, low:high] = np.inf


def _settle(
    ask: np.ndarray, pool: np.ndarray, score: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the few candidates that single precision cannot tell apart.

    Args:
      ask: Queries. Shape [query, dimension], float64.
      pool: Candidates. Shape [candidate, dimension], float64.
      score: Squared distance less the query's square. Shape [query, candidate], float32.
      own: The queries' squares. Shape [query], float64.

    Returns:
      Position and distance of the nearest. Each [query].
    """
    few = min(TIES, score.shape[1])
    near = np.argpartition(score, few - 1, axis=1)[:, :few]
    square = ((ask[:, None, :] - pool[near]) ** 2).sum(axis=2)
    square[~np.isfinite(np.take_along_axis(score, near, axis=1))] = np.inf
    best = np.argmin(square, axis=1)
    rows = np.arange(len(ask))
    return near[rows, best], np.sqrt(square[rows, best])
