"""Records that the attacks look at: single rows, or windows of consecutive rows, as points."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.release_evaluator.core.frames import window_starts

#: Bound on the size of one block of the distance matrix, in numbers (64 MB).
BLOCK_NUMBERS = 8_000_000
#: Distances below this count as zero: rows are float32, and scaled by their range.
SAME = 1e-6


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
    result = np.full(len(queries), np.inf)
    position = np.zeros(len(queries), np.int64)
    wide = max(1, queries.dimension)
    ask = queries.flat()
    step = max(1, BLOCK_NUMBERS // wide)
    for first in range(0, len(candidates), step):
        part = candidates.take(np.arange(first, min(first + step, len(candidates))))
        pool = part.flat()
        norms = (pool**2).sum(axis=1)
        rows = max(1, BLOCK_NUMBERS // max(1, len(pool)))
        for begin in range(0, len(ask), rows):
            block = ask[begin : begin + rows]
            # ||q||^2 is the same for all candidates of a query, so it is not needed to find the least
            score = block @ (-2 * pool.T)
            score += norms[None, :]
            if excluded is not None:
                score[part.chunk[None, :] == excluded[begin : begin + rows, None]] = np.inf
            found = np.argmin(score, axis=1)
            # the expanded square loses digits near zero, where copies live: recompute from the difference
            exact = np.sqrt(((block - pool[found]) ** 2).sum(axis=1))
            exact[~np.isfinite(score[np.arange(len(block)), found])] = np.inf
            better = exact < result[begin : begin + rows]
            result[begin : begin + rows][better] = exact[better]
            position[begin : begin + rows][better] = first + found[better]
    result[result < SAME * np.sqrt(wide)] = 0.0
    return result, position
