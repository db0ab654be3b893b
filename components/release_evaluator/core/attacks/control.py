"""Is holdout still a control? A release that knows holdout makes every comparison with it worthless.

A synthesizer that was trained on holdout as well as on train scores 0 in every attack. So a release is
also compared with a real sample that cannot know: half of train's blocks, set apart, stand in for a
release of the same size; the other half says how near real records lie. Success: a holdout record is
replayed, by the release (attack) or by the stand-in (control).

Source: the calibration of distances by a real sample that Yao et al. (2025), "The DCR delusion", ask for.
"""

from __future__ import annotations

import numpy as np

from components.release_evaluator.core.attacks.base import Attack, Findings, World
from components.release_evaluator.core.attacks.replay import replayed
from components.release_evaluator.core.attacks.risks import rate_risk
from components.release_evaluator.core.frames import Columns
from components.release_evaluator.core.records import nearest


def holdout_exposure(world: World) -> Findings:
    """Holdout records that the release meets as only a copy of them would.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    found = {}
    for unit in ("rows", "windows"):
        sides, rng = world.sides(unit), world.rng(f"holdout_exposure_{unit}")
        sides.require_enough()
        sampling = world.sampling.reduced(world.sampling.max_records, world.sampling.max_candidates // 2)
        limit = sampling.candidates(sides.train.dimension)
        apart = rng.permutation(np.unique(sides.train.chunk))
        is_stand_in = np.isin(sides.train.chunk, apart[: len(apart) // 2])
        stand_in = sides.train.take(is_stand_in).sample(limit, rng)
        reference = sides.train.take(~is_stand_in).sample(limit, rng)
        release = sides.synthetic.sample(len(stand_in), rng)
        asked = sides.holdout.sample(sampling.max_records, rng)
        to_real = nearest(asked, reference)[0]
        positive = to_real[to_real > 0]
        usual = float(np.quantile(positive, 0.9)) if len(positive) else 0.0
        flags = [replayed(nearest(asked, one)[0], to_real, usual) for one in (release, stand_in)]
        alone = len(sides.holdout) / sides.holdout.length
        found[f"holdout_exposure_{unit}"] = rate_risk(
            (flags[0], flags[1]),
            (asked.chunk, asked.chunk),
            sampling.confidence,
            naive=0.0,
            independent=(alone, alone),
        )
    return found


def stand_in(columns: dict[str, Columns], chunk: np.ndarray, rng: np.random.Generator) -> dict[str, Columns]:
    """A world whose release cannot leak: half of train's blocks, at random, are released.

    Args:
      columns: Rows of `train` and `holdout`.
      chunk: Chunk of each train row. Shape [row], int64.
      rng: Source of randomness.

    Returns:
      `train`: the other half, which the release knows nothing of; `holdout`: as it was.
    """
    numbers = rng.permutation(np.unique(chunk))
    released = np.isin(chunk, numbers[: len(numbers) // 2])
    train = columns["train"]
    return {
        "train": train.take(~released),
        "holdout": columns["holdout"],
        "synthetic": train.take(released),
    }


METRICS = ("holdout_exposure_rows", "holdout_exposure_windows")
ATTACK = Attack("holdout_exposure", METRICS, holdout_exposure)
