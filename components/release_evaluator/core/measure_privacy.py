"""Runs the attacks of the registry on a release, and on real rows that stand in for one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from components.errors import UndefinedMetricError
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core.attacks.base import (
    Attack,
    Findings,
    Measured,
    NotApplicable,
    Sampling,
    World,
)
from components.release_evaluator.core.attacks.control import stand_in
from components.release_evaluator.core.attacks.registry import ATTACKS
from components.release_evaluator.core.blocks import make_sides
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.frames import Columns, Encoder
from components.release_evaluator.core.metrics import Evidence

#: A real sample that cannot leak scores at most this with the lower bound of its interval; beyond it,
#: train and holdout differ by themselves, and the attack measures that difference.
DRIFT = 0.10


def make_world(columns: dict[str, Columns], config: ReleaseEvaluatorConfig) -> World:
    """What the attacks get.

    Args:
      columns: Rows of `train`, `holdout`, `synthetic` and, where there is an earlier release, `previous`.
      config: Sizes and seeds.
    """
    attacks = config.gate.attacks
    three = {name: columns[name] for name in ("train", "holdout", "synthetic")}
    encoder = Encoder.fit([three["train"], three["holdout"]])
    interval_s, window_rows = config.dataset.interval_s, attacks.window_rows
    return World(
        three,
        make_sides(three, encoder, interval_s, window_rows, 1),
        make_sides(three, encoder, interval_s, window_rows, window_rows),
        encoder,
        Sampling(attacks.max_records, attacks.max_candidates, attacks.bootstrap_samples, attacks.confidence),
        config.seed,
        columns.get("previous"),
        attacks.secrets,
        attacks.rare_supporters,
    )


def make_stand_in(world: World, config: ReleaseEvaluatorConfig) -> World:
    """A world whose release cannot leak, with smaller samples: half of the train blocks are the release."""
    columns = stand_in(dict(world.columns), world.rows.train.chunk, np.random.default_rng([config.seed, 1]))
    made = make_world(columns, config)
    sampling = world.sampling.reduced(world.sampling.max_records // 2, world.sampling.max_candidates // 4)
    return dataclasses.replace(made, sampling=sampling)


def measure_privacy(
    board: Board,
    world: World,
    config: ReleaseEvaluatorConfig,
    attacks: Sequence[Attack] = ATTACKS,
) -> None:
    """Runs every attack; one that fails leaves its own metrics UNDEFINED and no others.

    Args:
      board: Gets the metrics.
      world: What is attacked.
      config: Sizes and seeds of the stand-in.
      attacks: Which attacks, all by default.
    """
    calm: World | Exception
    try:
        calm = make_stand_in(world, config)
    except Exception as error:  # told to each attack that needs it, inside its section
        calm = error
    for attack in attacks:
        with board.section(*attack.metrics):
            found = attack.run(world)
            if attack.calibrated:
                found = _calibrated(attack, found, calm)
            for name in attack.metrics:
                if name in found:
                    board.measured(name, found[name])


def _calibrated(attack: Attack, found: Findings, calm: World | Exception) -> Findings:
    """The findings, with what the stand-in scores beside them.

    Raises:
      UndefinedMetricError: the stand-in scores, so that holdout is no control.
      InsufficientDataError: there are too few records for it.
    """
    if isinstance(calm, Exception):
        raise calm
    try:
        scored = attack.run(calm)
    except NotApplicable:
        return found
    result = dict(found)
    for name in attack.calibrated:
        real, fake = scored.get(name), found.get(name)
        if not isinstance(real, Measured) or not isinstance(fake, Measured) or real.interval is None:
            continue
        if real.interval.low > DRIFT:
            raise UndefinedMetricError(
                f"{name}: real rows that cannot leak score {real.value:.3g} in place of the release: holdout "
                "is no control of train; interleave the two in time"
            )
        evidence = dataclasses.replace(fake.evidence or Evidence(), stand_in=real.value)
        result[name] = dataclasses.replace(fake, evidence=evidence)
    return result
