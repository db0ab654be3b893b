"""Which training rows a trial is fitted to, and which it is judged on."""

from __future__ import annotations

import numpy as np

from components.example_gen.config import SplitConfig
from components.example_gen.core.keys import Keys
from components.example_gen.core.splits import assign_rows

#: Share of the training blocks that a trial is judged on.
JUDGED = 0.25


def judged_rows(
    time_us: np.ndarray,
    series: np.ndarray,
    label: np.ndarray | None,
    splits: SplitConfig,
    interval_s: float,
    seed: int,
) -> np.ndarray:
    """Rows of the blocks that are held back, dealt like the deployment's own splits.

    The blocks are those that ExampleGen deals (`example_gen.core.splits`): the same lengths at the same
    places, labelled blocks dealt by themselves. So a block of training rows is held back whole or not at all.

    Args:
      time_us: Of all rows of the span, sorted by series, then time. Shape [row], microseconds.
      series: Number of each row's series. Shape [row], ascending.
      label: 1 where a row is anomalous; None without labels. Shape [row].
      splits: Of the deployment; its block length counts.
      interval_s: The cadence.
      seed: Another seed, other blocks.

    Returns:
      Whether the row's block is held back. Shape [row], of every split: the caller takes those of training.
    """
    keys = Keys(series, time_us, label)
    halves = splits.model_copy(
        update={
            "mode": "interleaved",
            "train_fraction": 1 - JUDGED,
            "eval_fraction": 0.0,
            "holdout_fraction": JUDGED,
        }
    )
    dealt = assign_rows([keys], halves, interval_s, seed)
    held: np.ndarray = dealt.of(0, len(series)) == list(halves.fractions()).index("holdout")
    return held
