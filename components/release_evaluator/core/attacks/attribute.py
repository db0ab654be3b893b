"""Attribute inference: from all other columns of a row, guess one column with the help of the release.

The attacker finds the synthetic row nearest to what is known of the target and answers with its secret. A
guess succeeds when the category is the same, or the number is within `TOLERANCE` of the column's range.
Only *hard* targets count, those on which the naive guess (the release's mode or median, without looking
for a neighbour) fails: on the others, everyone succeeds and nothing is learnt of the row. Control: the
same attack on holdout rows. What the release teaches about the population helps on both alike.

Source: Giomi et al. (2023), section 4.3; Anonymeter's InferenceEvaluator (one neighbour).
"""

from __future__ import annotations

import numpy as np

from components.release_evaluator.core.attacks.base import Attack, Findings, Measured, NotApplicable, World
from components.release_evaluator.core.attacks.risks import rate_risk
from components.release_evaluator.core.frames import Columns

#: A number is guessed when it is within this share of its column's range (1st to 99th percentile): at the
#: 5 % of Anonymeter neighbouring rows of telemetry answer for one another, and the control succeeds often.
TOLERANCE = 0.02
#: Distinctive rows of each side that are attacked at most.
TARGETS = 800
#: Pairs of a target and a candidate, times secrets, that are looked at (about half a second).
PAIRS = 80_000_000
#: Fewest hard targets of each side with which a column is judged by itself.
MIN_HARD = 50
#: Numbers in a block of the distance matrix.
BLOCK = 4_000_000


def attribute_inference(world: World) -> Findings:
    """The attack on every secret column: all targets pooled, and the column that is worst off.

    Raises:
      NotApplicable: fewer than two columns vary, hardly any row is distinctive, or no target is hard.
      InsufficientDataError: too few records or time blocks.
    """
    rng = world.rng("attribute_inference")
    where = world.encoder.dimensions(world.columns["train"])
    secrets = [name for name in world.secrets or where if name in where]
    if len(where) < 2 or not secrets:
        raise NotApplicable("fewer than two features vary, or none of the secret ones")
    sides = world.distinctive(min(TARGETS, world.sampling.max_records))
    asked = len(sides[0]) + len(sides[1])
    most = max(1_000, PAIRS // (asked * len(secrets)))
    release = world.rows.synthetic.sample(min(world.sampling.max_candidates, most), rng)
    targets = np.vstack([side.flat() for side in sides])
    guesses = _nearest_without(targets, release.flat(), [where[name] for name in secrets])
    tables = (world.columns["train"], world.columns["holdout"])
    first = len(sides[0])
    columns: list[tuple[str, list[np.ndarray], list[np.ndarray]]] = []
    easy_everywhere: list[np.ndarray] = []
    for number, name in enumerate(secrets):
        guess = release.starts[guesses[number]]
        hits, chunks = [], []
        for table, side, mine in zip(tables, sides, (guess[:first], guess[first:])):
            truth, said, naive, known = _answers(world, name, table, side.starts, mine)
            width = TOLERANCE * world.encoder.scale.get(name, 0.0)
            right, easy = np.abs(truth - said) <= width, np.abs(truth - naive) <= width
            hits.append(right[known & ~easy])
            chunks.append(side.chunk[known & ~easy])
            easy_everywhere.append(easy[known])
        columns.append((name, hits, chunks))
    pooled = [np.concatenate([hits[side] for _, hits, _ in columns]) for side in (0, 1)]
    if not all(len(part) for part in pooled):
        raise NotApplicable("the naive guess is right on every row")
    where_pooled = [np.concatenate([chunks[side] for _, _, chunks in columns]) for side in (0, 1)]
    found: dict[str, Measured | NotApplicable] = {
        "attribute_inference_risk": rate_risk(
            (pooled[0], pooled[1]),
            (where_pooled[0], where_pooled[1]),
            world.sampling.confidence,
            naive=float(np.concatenate(easy_everywhere).mean()),
        )
    }
    judged = [column for column in columns if min(len(hits) for hits in column[1]) >= MIN_HARD]
    if not judged:
        found["attribute_inference_worst_risk"] = NotApplicable(
            f"no column has {MIN_HARD} rows on each side that the naive guess misses; all are judged together"
        )
        return found
    # as many columns as are looked at share the error that one would have alone (Bonferroni)
    level = 1 - (1 - world.sampling.confidence) / len(judged)
    risks = [
        rate_risk((hits[0], hits[1]), (chunks[0], chunks[1]), level, naive=0.0, worst=name)
        for name, hits, chunks in judged
    ]
    found["attribute_inference_worst_risk"] = max(
        risks, key=lambda one: one.interval.low if one.interval else -1.0
    )
    return found


def _answers(
    world: World, name: str, table: Columns, starts: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Truth, guess, naive guess, and whether the truth is known, of a column's targets."""
    release = world.columns["synthetic"]
    if name in table.numeric:
        values = release.numeric[name]
        finite = values[np.isfinite(values)]
        truth = table.numeric[name][starts]
        naive = float(np.median(finite)) if len(finite) else np.inf
        said = np.where(np.isfinite(values[guess]), values[guess], np.inf)
        known = np.isfinite(truth)
        return np.where(known, truth, 0.0), said, naive, known
    codes = release.codes[name]
    truth = table.codes[name][starts].astype(float)
    naive = float(np.bincount(codes[codes >= 0], minlength=1).argmax())
    return truth, codes[guess].astype(float), naive, truth >= 0


def _nearest_without(targets: np.ndarray, pool: np.ndarray, left_out: list[list[int]]) -> list[np.ndarray]:
    """Position of the nearest candidate by all dimensions but some, for each list of those.

    Args:
      targets: Shape [target, dimension], float64.
      pool: Shape [candidate, dimension], float64.
      left_out: Dimensions of each secret.

    Returns:
      For each secret, shape [target], int64.
    """
    middle = pool.mean(axis=0)
    left, right = (targets - middle).astype(np.float32), (pool - middle).astype(np.float32)
    norms = (right**2).sum(axis=1)
    found = [np.empty(len(left), np.int64) for _ in left_out]
    rows = max(1, BLOCK // len(right))
    for begin in range(0, len(left), rows):
        block = left[begin : begin + rows]
        square = norms[None, :] - 2 * block @ right.T
        for number, dimensions in enumerate(left_out):
            score = square.copy()
            for dimension in dimensions:
                # what the secret adds to |y|^2 - 2 x y
                value = right[:, dimension]
                score -= value * value
                score += (2 * block[:, dimension])[:, None] * value[None, :]
            found[number][begin : begin + rows] = np.argmin(score, axis=1)
    return found


ATTACK = Attack(
    "attribute_inference",
    ("attribute_inference_risk", "attribute_inference_worst_risk"),
    attribute_inference,
    calibrated=("attribute_inference_risk", "attribute_inference_worst_risk"),
)
