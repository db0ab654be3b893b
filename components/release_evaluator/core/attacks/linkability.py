"""Linkability: do two halves of what is known of a record lead to the same synthetic record?

Within a release: one attacker knows half of the columns of a target, another the other half; each looks
for the nearest synthetic rows. They link the halves when they meet in the same row. Between releases:
the halves are looked up in this release and in the previous one of the same locale; they are linked when
the rows found are near copies of one another, as happens when both releases hold the same record.

Control: the same on holdout rows. Naive: two draws of neighbours at random.

Source: Giomi et al. (2023), section 4.2; Anonymeter's LinkabilityEvaluator. Between releases: the same
attack with two releases in place of one, ours.
"""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from components.release_evaluator.core.attacks.base import Attack, Findings, NotApplicable, World
from components.release_evaluator.core.attacks.replay import REPLAY_RATIO
from components.release_evaluator.core.attacks.risks import rate_risk

#: Nearest synthetic rows that each half looks at.
NEIGHBOURS = 5
#: Distinctive rows of each side that are attacked, and synthetic rows that are searched.
TARGETS, CANDIDATES = 1_000, 20_000


def _halves(world: World) -> tuple[list[int], list[int]]:
    """Dimensions of every other column that varies, and of the others."""
    where = list(world.encoder.dimensions(world.columns["train"]).values())
    if len(where) < 2:
        raise NotApplicable("fewer than two features vary")
    return [one for part in where[::2] for one in part], [one for part in where[1::2] for one in part]


def _near(pool: np.ndarray, targets: np.ndarray, count: int) -> np.ndarray:
    """Positions of the nearest candidates. Shape [target, count], int64."""
    search = NearestNeighbors(n_neighbors=min(count, len(pool)), algorithm="auto")
    return np.asarray(search.fit(pool).kneighbors(targets, return_distance=False))


def _release(world: World) -> np.ndarray:
    limit = min(CANDIDATES, world.sampling.max_candidates)
    return world.rows.synthetic.sample(limit, world.rng("linkability")).flat()


def linkability(world: World) -> Findings:
    """Within this release.

    Raises:
      NotApplicable: fewer than two columns vary, or hardly any row is distinctive.
      InsufficientDataError: too few records or time blocks.
    """
    left, right = _halves(world)
    sides, pool = world.distinctive(min(TARGETS, world.sampling.max_records)), _release(world)
    flags = []
    for side in sides:
        targets = side.flat()
        one = _near(pool[:, left], targets[:, left], NEIGHBOURS)
        other = _near(pool[:, right], targets[:, right], NEIGHBOURS)
        flags.append((one[:, :, None] == other[:, None, :]).any(axis=(1, 2)))
    naive = min(1.0, NEIGHBOURS**2 / len(pool))
    return {
        "linkability_risk": rate_risk(
            (flags[0], flags[1]), (sides[0].chunk, sides[1].chunk), world.sampling.confidence, naive=naive
        )
    }


def release_linkability(world: World) -> Findings:
    """Between this release and the previous one of the same locale.

    Raises:
      NotApplicable: there is no previous release, fewer than two columns vary, or hardly any row
        is distinctive.
      InsufficientDataError: too few records or time blocks.
    """
    if world.previous is None:
        raise NotApplicable("this is the locale's first release")
    left, right = _halves(world)
    sides, pool = world.distinctive(min(TARGETS, world.sampling.max_records)), _release(world)
    earlier = world.encoder.encode(world.previous)
    limit = min(CANDIDATES, world.sampling.max_candidates)
    if len(earlier) > limit:
        earlier = earlier[np.sort(world.rng("previous").choice(len(earlier), limit, replace=False))]
    near = REPLAY_RATIO * world.usual("rows")
    flags = []
    for side in sides:
        targets = side.flat()
        then = earlier[_near(earlier[:, left], targets[:, left], NEIGHBOURS)]
        now = pool[_near(pool[:, right], targets[:, right], NEIGHBOURS)]
        apart = np.sqrt(((then[:, :, None, :] - now[:, None, :, :]) ** 2).sum(axis=3))
        flags.append((apart < near).any(axis=(1, 2)))
    return {
        "release_linkability_risk": rate_risk(
            (flags[0], flags[1]), (sides[0].chunk, sides[1].chunk), world.sampling.confidence
        )
    }


WITHIN = Attack("linkability", ("linkability_risk",), linkability, calibrated=("linkability_risk",))
BETWEEN = Attack("release_linkability", ("release_linkability_risk",), release_linkability)
