"""Histograms, for tests that compare distributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.statistics_gen.core import Histogram


def histogram(edges: Sequence[float], counts: Sequence[float], num_nan: float = 0.0) -> Histogram:
    """From `buckets + 1` edges and `buckets` counts."""
    edge = np.asarray(edges, dtype=np.float64)
    return Histogram(edge[:-1], edge[1:], np.asarray(counts, dtype=np.float64), num_nan)
