"""Verbatim replay: exact copies by hash, and labelled windows that come again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from components.errors import UndefinedMetricError
from components.release_evaluator.core import privacy
from components.release_evaluator.core.frames import Columns
from components.release_evaluator.core.metrics import Interval, wilson_interval
from components.release_evaluator.core.records import nearest

#: Fewest labelled windows, and events, of holdout that serve as control of train's.
MIN_RARE_WINDOWS, MIN_RARE_EVENTS = 10, 2


def row_hashes(columns: Columns) -> np.ndarray:
    """A 64-bit hash of the features of each row, as float32 and codes. Shape [row], uint64."""
    data = {name: values.astype(np.float32) + np.float32(0) for name, values in columns.numeric.items()}
    data |= columns.codes
    return pd.util.hash_pandas_object(pd.DataFrame(data), index=False).to_numpy()


def exact_copies(
    sides: privacy.Sides, sampling: privacy.Sampling, rng: np.random.Generator
) -> privacy.Measured:
    """Excess share of synthetic records that equal a distinctive train record.

    excess = share copying train - share copying holdout * (train records / holdout records). All
    records are compared, by hash.

    Returns:
      Excess in [-inf, 1], 0 is best; control: the size-balanced share that copies holdout.
    """
    sides.require_enough()
    keys = [
        records.hashes(sides.hashes[name])
        for name, records in (
            ("train", sides.train),
            ("holdout", sides.holdout),
            ("synthetic", sides.synthetic),
        )
    ]
    chunk = np.concatenate([sides.train.chunk, sides.holdout.chunk])
    frame = pd.DataFrame({"key": np.concatenate(keys[:2]), "chunk": chunk}).drop_duplicates()
    single = frame.drop_duplicates("key", keep=False)
    owner = pd.Series(single["chunk"].to_numpy(), index=single["key"].to_numpy())
    copied = owner.reindex(keys[2]).dropna().astype(np.int64).to_numpy()
    return privacy.excess(copied, np.ones(len(copied)), sides, len(sides.synthetic), sampling, rng)


def rare_replay(
    sides: privacy.Sides,
    events: dict[str, np.ndarray],
    real_side: privacy.RealSide,
    sampling: privacy.Sampling,
    rng: np.random.Generator,
) -> privacy.Measured:
    """Excess share of labelled train windows that the release replays.

    Distances to other real windows leave out the window's own event. Control: the same share of holdout's
    labelled windows where there are enough, else of all holdout windows.

    Args:
      sides: Windows.
      events: Number of the last event begun, per row of `train` and `holdout`. Each [row], int64.
      real_side: What was found for all windows.
      sampling: Bounds of the work.
      rng: Source of randomness.

    Raises:
      UndefinedMetricError: train has no labelled window, or too few records.
    """
    sides.require_enough()
    synthetic = sides.synthetic.sample(sampling.max_candidates, rng)
    both = privacy.joined(sides.train, sides.holdout)
    last = np.concatenate([events["train"], events["holdout"] + events["train"].max() + 1])
    both = dataclasses.replace(both, chunk=np.where(both.rare, last[both.starts + both.length - 1], -1))
    in_train = both.starts < len(sides.train.points)
    pool = both.sample(sampling.max_candidates, rng)
    flags, owners = [], []
    for side in (in_train, ~in_train):
        windows = both.take(side & both.rare).sample(sampling.max_records, rng)
        owners.append(windows.chunk)
        if not len(windows):
            flags.append(np.zeros(0, bool))
            continue
        to_real = nearest(windows, pool, windows.chunk)[0]
        flags.append(privacy.replayed(nearest(windows, synthetic)[0], to_real, real_side.usual))
    if not len(flags[0]):
        raise UndefinedMetricError("train has no labelled window")
    enough = len(flags[1]) >= MIN_RARE_WINDOWS and len(np.unique(owners[1])) >= MIN_RARE_EVENTS
    control = float(flags[1].mean()) if enough else real_side.holdout_replay
    share = float(flags[0].mean())
    # windows of one event overlap: as many independent ones as fit side by side
    effective = max(len(np.unique(owners[0])), len(flags[0]) // sides.train.length)
    spread = wilson_interval(share * effective, effective, sampling.confidence)
    interval = Interval(spread.low - control, spread.high - control, spread.confidence, spread.method)
    return privacy.Measured(share - control, interval, control, len(flags[0]))
