"""Membership inference: was this record among the training rows?

Four attackers, each for rows and for windows of consecutive rows:
- distance: -d(x, nearest synthetic record) (Chen et al. 2020, "GAN-Leaks", full black box);
- relative distance: the same over the distance to the nearest other real record, so that the rare no
  longer hide behind the common (the calibration of GAN-Leaks, section 3.5);
- density: synthetic over real density around x, p_S(x) / p_R(x), both as counts in one ball (van Breugel
  et al. 2023, "Membership inference attacks against synthetic data through overfitting detection", DOMIAS
  equation 2, with nearest-neighbour instead of flow densities; counts as Hilprecht et al. 2019);
- trained: a logistic regression on all of these, their squares and products, and on distances that single
  parts of a record have, fitted on some blocks of time and scored on others (Shokri et al. 2017; Houssiau
  et al. 2022, TAPAS). The attacker knows for half of the blocks whether they were in train: stronger than
  a real one.

The naive attacker scores by how common x is among the real rows and does not see the release.

Distances to the closest record alone are weak evidence (Yao et al. 2025, "The DCR delusion"; Ganev and De
Cristofaro 2023): that is why there are four.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer

from components.release_evaluator.core.attacks.base import (
    Asked,
    Attack,
    Findings,
    Measured,
    World,
    enough,
)
from components.release_evaluator.core.attacks.risks import auc_risk
from components.release_evaluator.core.records import Records, neighbours
from components.release_evaluator.core.resampling import auc

#: Groups of time blocks that the trained attack is fitted without, in turn.
FOLDS = 5
#: Added to distances before logarithms and ratios, in usual distances: copies are at distance 0.
FLOOR = 1e-3


def _floor(world: World, unit: str) -> float:
    return max(FLOOR * world.usual(unit), 1e-12)


def _relative(asked: Asked, floor: float) -> np.ndarray:
    return np.asarray((asked.synthetic.distance + floor) / (np.minimum(asked.real.distance, 1e9) + floor))


def membership(world: World) -> Findings:
    """All four attackers on both units.

    Raises:
      InsufficientDataError: too few records or time blocks.
    """
    found: dict[str, Measured] = {}
    for unit in ("rows", "windows"):
        found |= membership_of(world, unit)
    return found


def membership_of(world: World, unit: str) -> dict[str, Measured]:
    """The four attackers on one unit; raises as `membership`."""
    asked = world.asked(unit)
    sides = (asked["train"], asked["holdout"])
    rng = world.rng(f"membership_{unit}")
    floor = _floor(world, unit)
    # among repeated records a ratio only says that they are repeated
    masks = [side.real.distance > 0 for side in sides]
    if not all(enough(side.records.chunk[mask]) for side, mask in zip(sides, masks)):
        masks = [np.ones(len(side.records), bool) for side in sides]
    everything = [np.ones(len(side.records), bool) for side in sides]
    scores = {
        "distance": ([-side.synthetic.distance for side in sides], everything),
        "relative": ([-_relative(side, floor) for side in sides], masks),
        "density": ([side.synthetic.count.astype(float) for side in sides], masks),
        "trained": (_trained(world, unit, sides, rng), everything),
    }
    found = {}
    for name, (values, kept) in scores.items():
        naive = auc(*(-side.real.distance[mask] for side, mask in zip(sides, kept)))
        found[f"membership_{name}_risk_{unit}"] = auc_risk(
            (values[0][kept[0]], values[1][kept[1]]),
            (sides[0].records.chunk[kept[0]], sides[1].records.chunk[kept[1]]),
            world.sampling,
            rng,
            naive,
        )
    return found


def _parts(records: Records) -> list[np.ndarray]:
    """Which numbers of a record each partial distance looks at: halves in time, or halves of the columns."""
    numbers = np.arange(records.dimension).reshape(records.length, -1)
    half = max(1, records.length // 2)
    if records.length > 1:
        return [numbers[:half].ravel(), numbers[half:].ravel()]
    columns = np.array_split(numbers.ravel(), 2)
    return [part for part in columns if len(part)]


def _as_rows(records: Records, part: np.ndarray) -> Records:
    """The records with some of their numbers only."""
    flat = records.flat()[:, part]
    return dataclasses.replace(records, points=flat, length=1, starts=np.arange(len(flat)))


def _trained(
    world: World, unit: str, sides: tuple[Asked, Asked], rng: np.random.Generator
) -> list[np.ndarray]:
    """Scores of records of blocks that the attack was not fitted on."""
    floor = _floor(world, unit)
    part_sampling = world.sampling.reduced(world.sampling.max_records, world.sampling.max_candidates // 4)
    release = world.sides(unit).synthetic.sample(
        part_sampling.candidates(world.sides(unit).synthetic.dimension), rng
    )
    features = []
    for side in sides:
        logs = [
            np.log(side.synthetic.distance + floor),
            np.log(_relative(side, floor)),
            np.log(side.synthetic.count + 1.0),
        ]
        for part in _parts(side.records):
            around = neighbours(_as_rows(side.records, part), _as_rows(release, part))
            logs.append(np.log(around.distance + floor))
        features.append(np.column_stack(logs))
    member = np.concatenate([np.ones(len(features[0]), bool), np.zeros(len(features[1]), bool)])
    chunk = np.concatenate([side.records.chunk for side in sides])
    x = np.vstack(features)
    # features by rank: the tails of a logarithm of distances would rule the fit. Ranks know no membership.
    ranks = QuantileTransformer(
        n_quantiles=min(200, len(x)), output_distribution="normal", random_state=0
    ).fit_transform(x)
    x = PolynomialFeatures(2, include_bias=False).fit_transform(np.clip(ranks, -3, 3))
    fold = np.zeros(len(x), np.int64)
    for label in (True, False):  # both sides in every fold
        numbers = rng.permutation(np.unique(chunk[member == label]))
        place = {int(number): index % FOLDS for index, number in enumerate(numbers)}
        fold[member == label] = [place[int(number)] for number in chunk[member == label]]
    score = np.zeros(len(x))
    for number in range(FOLDS):
        held = fold == number
        model = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky")
        model.fit(x[~held], member[~held])
        score[held] = model.decision_function(x[held])
    return [score[member], score[~member]]


MEMBERSHIP = tuple(
    f"membership_{name}_risk_{unit}"
    for unit in ("rows", "windows")
    for name in ("distance", "relative", "density", "trained")
)
ATTACK = Attack("membership", MEMBERSHIP, membership, calibrated=MEMBERSHIP)
