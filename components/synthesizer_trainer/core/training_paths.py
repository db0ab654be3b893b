"""Real and simulated windows for the critic, and the fidelity that ends the training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core import adversarial, conforming
from components.synthesizer_trainer.core.fidelity import compare
from components.synthesizer_trainer.core.linear_core import LinearCore, hold_mask
from components.synthesizer_trainer.core.network import HALO, Generator
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import Synthesizer

#: Rows of the core that a look at held-out fidelity samples, at most.
EVALUATION_ROWS = 20_000


def evaluator_of(
    synthesizer: Synthesizer,
    sessions: list[Session],
    paths: tuple[np.ndarray, ...],
    judge: Panel,
    numeric: list[int],
    seed: int,
) -> Callable[[Generator | None, np.ndarray | None], adversarial.Fidelity]:
    """Fidelity of the core with a residual of some features, or of all; paths and noise are the same."""
    count, rows = 0, 0
    while count < len(sessions) and (count == 0 or rows + len(sessions[count].keep) <= EVALUATION_ROWS):
        rows += len(sessions[count].keep)
        count += 1
    chosen = sessions[:count]
    scores, states, kind, design = (part[:count] for part in paths)
    condition = synthesizer.condition(design, kind, states)
    step_us = synthesizer.interval_s * MICROSECONDS * 1.5
    segment, offset = [], 0
    for session in chosen:
        own = np.concatenate([[0], np.cumsum(np.diff(session.time_us) > step_us)]) + offset
        segment.append(own)
        offset = int(own[-1]) + 1
    segments = np.concatenate(segment)

    def evaluate(generator: Generator | None, moved: np.ndarray | None) -> adversarial.Fidelity:
        latent = scores
        if generator is not None:
            noise = tf.random.stateless_normal(
                [*scores.shape[:2], generator.noise_channels], [seed & 0x7FFFFFFF, 5]
            )
            residual = generator(tf.constant(scores), tf.constant(condition), noise).numpy()
            latent = scores + (residual if moved is None else residual * moved)
        parts = synthesizer.finish(chosen, latent, states, kind, design, seed)
        values = np.concatenate([part["values"] for part in parts])

        def score(columns: list[int], counted: list[int]) -> dict[str, float]:
            return compare(judge.values[:, columns], judge.segment, values[:, columns], segments, counted)

        own = [score([feature], [0])["score"] for feature in numeric]
        return adversarial.Fidelity(score(list(range(values.shape[1])), numeric), np.array(own))

    return evaluate


def window_starts(segment: np.ndarray, steps: int) -> np.ndarray:
    """First rows of windows of `steps` rows that stay in one segment."""
    if len(segment) < steps:
        return np.zeros(0, np.int64)
    return np.flatnonzero(segment[steps - 1 :] == segment[: len(segment) - steps + 1])


def real_paths(panel: Panel, core: LinearCore, synthesizer: Synthesizer, steps: int) -> adversarial.Paths:
    """The training rows as the critic sees them, in windows of `steps` rows."""
    design = core.calendar.design(panel.time_us)
    states = np.stack([c.codes for c in core.chains], 1) if core.chains else np.zeros((len(panel), 1), int)
    condition = synthesizer.condition(design, panel.kind, states)
    held = hold_mask(core.latent, panel.segment)
    return adversarial.Paths(
        scores=np.clip(core.latent, -8, 8).astype(np.float32),
        condition=condition,
        held=held,
        shift=np.zeros(core.latent.shape, np.float32),
        starts=window_starts(panel.segment, steps),
    )


def core_paths(
    synthesizer: Synthesizer,
    sessions: list[Session],
    paths: tuple[np.ndarray, ...],
    core: LinearCore,
    steps: int,
    seed: int,
) -> adversarial.Paths:
    """The core's sessions end to end, with the anomalies' effect expressed in scores."""
    scores, states, kind, design = paths
    effect, frozen = synthesizer.effects(sessions, scores.shape[1], seed)
    rows = states + synthesizer.store["state_offset"]
    held = (synthesizer.store["hold"][rows].sum(-2) > 0) | frozen
    shift = np.zeros_like(scores)
    touched = (effect != 0).any(-1)
    if touched.any():
        same = conforming.no_shift(scores), conforming.identity(scores.shape[2])
        plain = synthesizer.module.emit(scores, np.zeros_like(effect), *same).numpy()
        moved = synthesizer.module.emit(scores, effect, *same).numpy()
        for index, table in enumerate(core.tables):
            sides = table.encode(moved[index][touched]), table.encode(plain[index][touched])
            shift[touched, index] = sides[0] - sides[1]
    mask = np.arange(scores.shape[1]) < np.array([s.steps for s in sessions])[:, None]
    segment = np.repeat(np.arange(len(sessions)), mask.sum(1))
    return adversarial.Paths(
        scores=scores[mask],
        condition=synthesizer.condition(design, kind, states)[mask],
        held=held[mask],
        shift=np.clip(shift[mask], -8, 8),
        starts=window_starts(segment, steps + 2 * HALO),
    )
