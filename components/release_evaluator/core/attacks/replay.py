"""Replay: exact copies, near replay, replay of a shape, replay of labelled windows; of train or of holdout.

A record is *distinctive* when nothing else in the real rows equals it: a stuck sensor or a row of zeros
repeats by itself and identifies nobody. It is *replayed* when the release comes much nearer to it than
other real records do.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from components.release_evaluator.core.attacks.base import (
    Attack,
    Findings,
    NotApplicable,
    World,
    joined,
)
from components.release_evaluator.core.attacks.risks import owner_risk, rate_risk
from components.release_evaluator.core.frames import Columns
from components.release_evaluator.core.records import Records, nearest

#: A record is replayed when it is nearer than this share of the usual distance between independent
#: records. Measured: 12 x 4 windows of an autoregressive process have it at 0.9 to 1.1 for honest draws
#: and at 0.3 for jitter of a quarter of the noise.
REPLAY_RATIO = 0.3
#: Fewest labelled windows of holdout, side by side, that serve as control of train's.
MIN_RARE_WINDOWS = 20
#: A column is flat in a window when it spreads by less than this share of its range: it has no shape.
FLAT = 0.02


def row_hashes(columns: Columns) -> np.ndarray:
    """A 64-bit hash of the features of each row, as float32 and codes. Shape [row], uint64."""
    data = {name: values.astype(np.float32) + np.float32(0) for name, values in columns.numeric.items()}
    data |= columns.codes
    return pd.util.hash_pandas_object(pd.DataFrame(data), index=False).to_numpy()


def replayed(to_synthetic: np.ndarray, to_real: np.ndarray, usual: float) -> np.ndarray:
    """Whether each distinctive record is reproduced much nearer than independent records lie.

    Args:
      to_synthetic: Distance to the nearest synthetic record. Shape [record], float64.
      to_real: Distance to the nearest real record of another chunk. Shape [record], float64.
      usual: `World.usual`. A far outlier is replayed only when it is met as closely as usual records
        meet, not already when its region is.

    Returns:
      Shape [record], bool; never True where `to_real` is 0.
    """
    scale = np.minimum(to_real, usual)
    return (scale > 0) & (to_synthetic < REPLAY_RATIO * scale)


def exact_copies(world: World) -> Findings:
    """Synthetic records that equal a distinctive real record, train's against holdout's.

    All records are compared, by hash. The naive attacker's success is 0: nobody guesses a whole record.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    found = {}
    for unit in ("rows", "windows"):
        sides = world.sides(unit)
        sides.require_enough()
        train, holdout, synthetic = (
            records.hashes(sides.hashes[name])
            for name, records in (
                ("train", sides.train),
                ("holdout", sides.holdout),
                ("synthetic", sides.synthetic),
            )
        )
        chunk = np.concatenate([sides.train.chunk, sides.holdout.chunk])
        frame = pd.DataFrame({"key": np.concatenate([train, holdout]), "chunk": chunk}).drop_duplicates()
        single = frame.drop_duplicates("key", keep=False)
        owner = pd.Series(single["chunk"].to_numpy(), index=single["key"].to_numpy())
        copied = owner.reindex(synthetic).dropna().astype(np.int64).to_numpy()
        found[f"exact_copy_risk_{unit}"] = owner_risk(
            copied, sides, len(sides.synthetic), world.sampling.confidence, naive=0.0, copies=True
        )
    return found


def replay(world: World) -> Findings:
    """Train records that the release meets much nearer than other real records do.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    found = {}
    for unit in ("rows", "windows"):
        sides = [world.asked(unit)[name] for name in ("train", "holdout")]
        usual = world.usual(unit)
        flags = [replayed(side.synthetic.distance, side.real.distance, usual) for side in sides]
        found[f"replay_risk_{unit}"] = rate_risk(
            (flags[0], flags[1]),
            (sides[0].records.chunk, sides[1].records.chunk),
            world.sampling.confidence,
            naive=0.0,
            independent=side_by_side(world, unit),
        )
    return found


def side_by_side(world: World, unit: str) -> tuple[float, float]:
    """Records of train and of holdout that do not overlap."""
    sides = world.sides(unit)
    length = sides.train.length
    return len(sides.train) / length, len(sides.holdout) / length


def rare_windows(world: World) -> Findings:
    """Labelled train windows that the release replays.

    Distances to other real windows leave out the window's own event. Control: holdout's labelled windows
    where there are enough, else all its windows.

    Raises:
      NotApplicable: there is no label, or train has no labelled window.
      InsufficientDataError: too few records or time blocks.
    """
    train, holdout = world.columns["train"], world.columns["holdout"]
    if train.label is None or holdout.label is None:
        raise NotApplicable("the data set has no label")
    if not train.label.any():
        raise NotApplicable("train has no labelled row")
    sides, rng = world.windows, world.rng("rare_windows")
    sides.require_enough()
    usual = world.usual("windows")
    limit = world.sampling.candidates(sides.train.dimension)
    both = joined(sides.train, sides.holdout)
    events = [event_numbers(train), event_numbers(holdout)]
    last = np.concatenate([events[0], events[1] + events[0].max() + 1])
    both = dataclasses.replace(both, chunk=np.where(both.rare, last[both.starts + both.length - 1], -1))
    in_train = both.starts < len(sides.train.points)
    pool = both.sample(limit, rng)
    flags, owners = [], []
    for side in (in_train, ~in_train):
        windows = both.take(side & both.rare).sample(world.sampling.max_records, rng)
        owners.append(windows.chunk)
        if not len(windows):
            flags.append(np.zeros(0, bool))
            continue
        to_real = nearest(windows, pool, windows.chunk)[0]
        flags.append(replayed(_nearest_of_all(windows, sides.synthetic, limit), to_real, usual))
    if not len(flags[0]):
        raise NotApplicable("train has no labelled window of consecutive rows")
    if len(flags[1]) < MIN_RARE_WINDOWS * sides.train.length:
        asked = world.asked("windows")["holdout"]
        flags[1] = replayed(asked.synthetic.distance, asked.real.distance, usual)
        owners[1] = asked.records.chunk
    independent = [max(len(np.unique(owner)), len(owner) / sides.train.length) for owner in owners]
    # All of train's events are looked at, so that none is a sample of others: what clusters are windows
    # that overlap, not events.
    length = sides.train.length
    clusters = [np.arange(len(owner)) // length + owner * 1_000_000 for owner in owners]
    return {
        "rare_window_replay_risk": rate_risk(
            (flags[0], flags[1]),
            (clusters[0], clusters[1]),
            world.sampling.confidence,
            naive=0.0,
            independent=(independent[0], independent[1]),
        )
    }


def _nearest_of_all(windows: Records, release: Records, limit: int) -> np.ndarray:
    """Distance to the nearest of all released windows: one that is not looked at may be the copy."""
    begins = range(0, len(release), limit)
    parts = [release.take(np.arange(i, min(i + limit, len(release)))) for i in begins]
    return np.min([nearest(windows, part)[0] for part in parts], axis=0)


def event_numbers(columns: Columns) -> np.ndarray:
    """Number of the last labelled run begun up to each row. Shape [row], int64."""
    label = np.asarray(columns.label)
    before = np.concatenate([[False], label[:-1]]) & (np.diff(columns.series, prepend=-1) == 0)
    return np.cumsum(label & ~before)


def shapes(records: Records, numeric: int) -> Records:
    """Windows with each numeric column's level and scale taken out; flat windows are left out.

    z = (x - mean) / (sd sqrt(length)) per column and window, 0 where the column is flat; the squared
    distance of two shapes is 2 (1 - correlation) summed over columns (Mueen et al. 2009; Yeh et al. 2016,
    "Matrix profile I", equation 1).

    Args:
      records: Windows.
      numeric: Leading dimensions of a row that are numeric features.

    Returns:
      Records of length 1 whose points are the shapes.
    """
    windows = records.points[:, :numeric][records.starts[:, None] + np.arange(records.length)]
    windows = windows - windows.mean(axis=1, keepdims=True)
    spread = windows.std(axis=1, keepdims=True)
    flat = spread < FLAT
    shape = np.where(flat, 0.0, windows / np.where(flat, 1.0, spread)) / np.sqrt(records.length)
    kept = np.flatnonzero(~flat.all(axis=(1, 2)))
    points = shape.reshape(len(records), records.length * numeric)[kept]
    return dataclasses.replace(records.take(kept), points=points, length=1, starts=np.arange(len(kept)))


def shape_replay(world: World) -> Findings:
    """Train windows whose shape the release replays, at another level or scale.

    Raises:
      NotApplicable: no numeric feature varies, or nearly all windows are flat.
      InsufficientDataError: too few records or time blocks.
    """
    sides, rng = world.windows, world.rng("shape_replay")
    sides.require_enough()
    numeric = len(world.encoder.scale)
    if not numeric:
        raise NotApplicable("no numeric feature varies")
    sampling = world.sampling.reduced(world.sampling.max_records // 2, world.sampling.max_candidates // 2)
    limit = sampling.candidates(numeric * sides.train.length)
    real = shapes(joined(sides.train, sides.holdout).sample(limit, rng), numeric)
    release = shapes(sides.synthetic.sample(limit, rng), numeric)
    asked = [shapes(side.sample(sampling.max_records, rng), numeric) for side in (sides.train, sides.holdout)]
    if not len(release) or not all(len(np.unique(part.chunk)) >= 2 for part in asked):
        raise NotApplicable("nearly all windows are flat")
    to_real = [nearest(part, real, part.chunk)[0] for part in asked]
    pooled = np.concatenate(to_real)
    positive = pooled[np.isfinite(pooled) & (pooled > 0)]
    usual = float(np.quantile(positive, 0.9)) if len(positive) else 0.0
    flags = [replayed(nearest(part, release)[0], ref, usual) for part, ref in zip(asked, to_real)]
    return {
        "shape_replay_risk": rate_risk(
            (flags[0], flags[1]),
            (asked[0].chunk, asked[1].chunk),
            sampling.confidence,
            naive=0.0,
            independent=side_by_side(world, "windows"),
        )
    }


COPIES = Attack(
    "exact_copies",
    ("exact_copy_risk_rows", "exact_copy_risk_windows"),
    exact_copies,
    calibrated=("exact_copy_risk_rows", "exact_copy_risk_windows"),
)
REPLAY = Attack(
    "replay",
    ("replay_risk_rows", "replay_risk_windows"),
    replay,
    calibrated=("replay_risk_rows", "replay_risk_windows"),
)
SHAPES = Attack("shape_replay", ("shape_replay_risk",), shape_replay, calibrated=("shape_replay_risk",))
RARE = Attack("rare_windows", ("rare_window_replay_risk",), rare_windows)
