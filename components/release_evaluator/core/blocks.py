"""Blocks of consecutive time: the unit of resampling, and what real rows are dealt out by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from components.release_evaluator.core.attacks.base import Sides
from components.release_evaluator.core.attacks.replay import row_hashes
from components.release_evaluator.core.frames import (
    BLOCK_GAP_INTERVALS,
    Columns,
    Encoder,
    chunk_ids,
    segment_ids,
)
from components.release_evaluator.core.records import Records, make_records

#: Chunks that holdout is cut into at least, where its blocks are fewer.
WANTED_CHUNKS = 20


def chunk_length(holdout: Columns, interval_s: float, window_rows: int) -> int:
    """Rows per time chunk: a holdout block, or less where that would give too few chunks."""
    blocks = segment_ids(holdout, interval_s, BLOCK_GAP_INTERVALS)
    typical = int(np.median(np.bincount(blocks)))
    return max(3 * window_rows, min(typical, holdout.rows // WANTED_CHUNKS))


def chunks(columns: Columns, length: int, interval_s: float) -> np.ndarray:
    """Chunk of each row, not decreasing. Shape [row], int64."""
    return chunk_ids(segment_ids(columns, interval_s, BLOCK_GAP_INTERVALS), length)


def make_sides(
    columns: Mapping[str, Columns], encoder: Encoder, interval_s: float, window_rows: int, length: int
) -> Sides:
    """Records of `length` rows of `train`, `holdout` and `synthetic`.

    Args:
      columns: The rows.
      encoder: Makes points of them.
      interval_s: The cadence.
      window_rows: Rows of a window; a chunk holds three at least.
      length: 1 for rows, `window_rows` for windows.
    """
    rows_per_chunk = chunk_length(columns["holdout"], interval_s, window_rows)
    records: dict[str, Records] = {}
    for name, part in columns.items():
        blocks = chunks(part, rows_per_chunk, interval_s)
        segments = segment_ids(part, interval_s)
        records[name] = make_records(encoder.encode(part), segments, blocks, part.label, length)
    offset = int(records["train"].chunk.max(initial=-1)) + 1
    records["holdout"] = dataclasses.replace(records["holdout"], chunk=records["holdout"].chunk + offset)
    hashes = {name: row_hashes(part) for name, part in columns.items()}
    return Sides(records["train"], records["holdout"], records["synthetic"], hashes)
