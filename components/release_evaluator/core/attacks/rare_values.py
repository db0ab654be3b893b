"""Rare values: what few blocks of train hold, and the release holds as well.

Values: for every block of time, the values it holds that fewer than `rare_supporters - 1` other train blocks
hold. Of a train block the release could learn such a value from that block; of a holdout block it could
not. Success: the release holds the value. A continuous column gives nearly every value to one block, so
that a copy of it shows; a quantised one gives its tails, which an honest release meets on both sides.

Categories: a category below `rare_supporters` train blocks cannot be invented by a release, only repeated, so
there is no control: their number is reported as it is (k-anonymity of the vocabulary; Sweeney 2002).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from components.errors import InsufficientDataError
from components.release_evaluator.core.attacks.base import Attack, Findings, Measured, NotApplicable, World
from components.release_evaluator.core.attacks.risks import rate_risk
from components.release_evaluator.core.metrics import Evidence

#: Values of each side that are looked up at most.
MAX_VALUES = 20_000
#: Fewest rare values of train that make an attack, and of holdout that make a control.
MIN_VALUES = 50


def rare_values(world: World) -> Findings:
    """Rare numbers of train that the release holds.

    Raises:
      NotApplicable: hardly any number is rare in train.
      InsufficientDataError: too few records or time blocks, or rare numbers of holdout.
    """
    world.rows.require_enough()
    rng = world.rng("rare_values")
    # a release of many rows holds most values of a quantised column, and would tell nothing
    released, limit = world.columns["synthetic"], world.columns["train"].rows // 4
    if released.rows > limit:
        released = released.take(np.sort(rng.choice(released.rows, limit, replace=False)))
    flags: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    chunks: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for name in world.encoder.scale:
        release = np.unique(released.numeric[name].astype(np.float32))
        held = {}
        for side, records in (("train", world.rows.train), ("holdout", world.rows.holdout)):
            values = world.columns[side].numeric[name].astype(np.float32)
            frame = pd.DataFrame({"value": values, "chunk": records.chunk})
            held[side] = frame[np.isfinite(values)].drop_duplicates()
        support = held["train"]["value"].value_counts()
        for number, side in enumerate(("train", "holdout")):
            pairs = held[side]
            others = support.reindex(pairs["value"]).fillna(0).to_numpy() - (side == "train")
            rare = pairs[others < world.rare_supporters - 1]
            flags[number].append(np.isin(rare["value"].to_numpy(), release))
            chunks[number].append(rare["chunk"].to_numpy())
    sides = []
    for part, blocks in zip(flags, chunks):
        flag = np.concatenate(part) if part else np.zeros(0, bool)
        block = np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
        if len(flag) > MAX_VALUES:
            kept = rng.choice(len(flag), MAX_VALUES, replace=False)
            flag, block = flag[kept], block[kept]
        sides.append((flag, block))
    rare_here, rare_there = (len(flag) for flag, _ in sides)
    if rare_here < MIN_VALUES:
        raise NotApplicable(
            f"train holds only {rare_here} rare numbers; the other attacks look at their rows"
        )
    if rare_there < MIN_VALUES:
        raise InsufficientDataError(
            f"holdout holds {rare_there} rare numbers, needs at least {MIN_VALUES} beside train's {rare_here}"
        )
    return {
        "rare_value_risk": rate_risk(
            (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]), world.sampling.confidence, naive=0.0
        )
    }


def rare_categories(world: World) -> Findings:
    """Number of categories with fewer than `rare_supporters` train blocks that the release holds.

    Raises:
      NotApplicable: the data set has no categorical feature, or its categories are public.
    """
    train, synthetic = world.columns["train"], world.columns["synthetic"]
    if not train.categories:
        raise NotApplicable("the data set has no categorical feature")
    if not any((held >= 0).any() for held in train.categories.values()):
        raise NotApplicable("all categories are public knowledge, by the curated schema or the configuration")
    exposed, rare, worst = 0, 0, ""
    for name, held in train.categories.items():
        frame = pd.DataFrame({"value": held, "chunk": world.rows.train.chunk}).drop_duplicates()
        support = frame["value"][frame["value"] >= 0].value_counts()
        few = support.index[support < world.rare_supporters]
        met = int(np.isin(few.to_numpy(), synthetic.categories[name]).sum())
        rare, exposed, worst = rare + len(few), exposed + met, name if met else worst
    return {
        "rare_category_exposure": Measured(
            float(exposed), None, 0.0, rare, Evidence(float(exposed), None, None, rare, 0, worst=worst)
        )
    }


VALUES = Attack("rare_values", ("rare_value_risk",), rare_values, calibrated=("rare_value_risk",))
CATEGORIES = Attack("rare_categories", ("rare_category_exposure",), rare_categories)
