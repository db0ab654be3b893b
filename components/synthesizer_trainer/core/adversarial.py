"""Trains the residual generator against its critics; keeps the weights that held-out rows like best.

The residual brings its noise to whatever it moves. So it is tried without the features that it does not make
better by themselves, too: where that scores more, they are left to the core.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.executor_base import read_json, write_json
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core.network import HALO, Critic, Generator, shown

_LOG = logging.getLogger(__name__)
#: An improvement of the held-out score below this is noise of the sample.
MIN_IMPROVEMENT = 5e-4
#: Seconds between two lines of progress.
PROGRESS_S = 5.0


@dataclass(frozen=True)
class Paths:
    """Latent series, real or of the core, as windows are cut from them.

    Attributes:
      scores: Shape [N, F], float32.
      condition: Shape [N, Q], float32.
      held: Rows that repeat the row before. Shape [N, F], bool.
      shift: Effect of anomalies on the scores, zero in real data. Shape [N, F], float32.
      starts: First rows of whole windows. Shape [n].
    """

    scores: np.ndarray
    condition: np.ndarray
    held: np.ndarray
    shift: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Fidelity:
    """How like held-out rows sampled ones are.

    Attributes:
      parts: `fidelity.compare` of all features.
      own: The `score` of each latent series' feature by itself. Shape [F].
    """

    parts: dict[str, float]
    own: np.ndarray

    @property
    def score(self) -> float:
        """All parts in one number; higher is better."""
        return self.parts["score"]


class Adam(tf.Module):
    """Adam with WGAN's beta1 of 0 by default; its own so that XLA compiles the whole step."""

    def __init__(self, variables: list[tf.Variable], rate: float, beta1: float = 0.0) -> None:
        super().__init__(name="adam")
        self.first = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self.second = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self.count = tf.Variable(0.0, trainable=False)
        self.rate, self.beta1, self.beta2 = rate, beta1, 0.99

    def apply(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> None:
        """One update (Kingma and Ba 2015)."""
        self.count.assign_add(1.0)
        first_scale = 1 / (1 - self.beta1**self.count) if self.beta1 else 1.0
        second_scale = 1 / (1 - self.beta2**self.count)
        for gradient, variable, first, second in zip(gradients, variables, self.first, self.second):
            first.assign(self.beta1 * first + (1 - self.beta1) * gradient)
            second.assign(self.beta2 * second + (1 - self.beta2) * gradient**2)
            step = first * first_scale / (tf.sqrt(second * second_scale) + 1e-8)
            variable.assign_sub(self.rate * step)


class Adversary(tf.Module):
    """Generator, critics, moving average and optimisers; two XLA-compiled steps.

    Args:
      config: Sizes and rates.
      features: F.
      condition: Q.
      middles: The score of the value that each latent grid point decodes to. Shape [F, GRID_SIZE].
      holds: Whether any feature repeats its values.
      seed: Of the initial weights.
    """

    def __init__(
        self,
        config: SynthesizerTrainerConfig,
        features: int,
        condition: int,
        middles: np.ndarray,
        holds: bool,
        seed: int,
    ) -> None:
        super().__init__(name="adversary")
        self.config, self.holds = config, holds
        size = (features, condition, config.generator_units, config.noise_channels)
        self.generator = Generator(*size, seed=seed)
        self.average = Generator(*size, seed=seed)
        self.critics = [
            Critic(features + condition, config.critic_units, seed + 100),
            Critic(features + condition, config.critic_units, seed + 200),
        ]
        self.generator_variables = list(self.generator.trainable_variables)
        self.critic_variables = [v for c in self.critics for v in c.trainable_variables]
        self.generator_adam = Adam(self.generator_variables, config.generator_learning_rate)
        self.critic_adam = Adam(self.critic_variables, config.critic_learning_rate)
        self.middles = tf.constant(middles.astype(np.float32))
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def parameters(self) -> int:
        """Trainable weights of generator and critics."""
        return sum(int(np.prod(v.shape)) for v in self.generator_variables + self.critic_variables)

    def _fake(self, parts: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """A window of the generator, as real latent windows look: on the atoms, with holds."""
        scores, condition, held, shift = parts
        shape = tf.shape(scores)
        noise = tf.random.stateless_normal([shape[0], shape[1], self.config.noise_channels], seed)
        z = scores + self.generator(scores, condition, noise)
        inner = slice(HALO, HALO + self.config.window_steps)
        z, held, shift = z[:, inner], held[:, inner], shift[:, inner]
        z = shown(z, held, self.middles, self.holds, self.config.window_steps)
        return z + shift

    def _judge(self, window: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        change = tf.pad(window[:, 1:] - window[:, :-1], [[0, 0], [1, 0], [0, 0]])
        return self.critics[0](tf.concat([window, condition], -1)) + self.critics[1](
            tf.concat([4.0 * change, condition], -1)
        )

    @tf.function(jit_compile=True, autograph=False)
    def train_critics(self, real: list[tf.Tensor], fake: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """`critic_steps` updates of both critics; returns the last Wasserstein estimate.

        Args:
          real: scores [n, B, W, F], condition [n, B, W, Q].
          fake: scores, condition, held, shift, each [n, B, W + 2 halo, .].
          seed: Shape [2], int64.
        """
        distance = tf.constant(0.0)
        inner = slice(HALO, HALO + self.config.window_steps)
        for index in range(self.config.critic_steps):
            own = seed + tf.constant([0, index + 1], tf.int64)
            made = tf.stop_gradient(self._fake([part[index] for part in fake], own))
            made_condition = fake[1][index][:, inner]
            seen, seen_condition = real[0][index], real[1][index]
            share = tf.random.stateless_uniform([tf.shape(seen)[0], 1, 1], own + 7)
            with tf.GradientTape() as tape:
                distance = tf.reduce_mean(self._judge(seen, seen_condition)) - tf.reduce_mean(
                    self._judge(made, made_condition)
                )
                mixed = share * seen + (1 - share) * made
                mixed_condition = share * seen_condition + (1 - share) * made_condition
                with tf.GradientTape() as inner_tape:
                    inner_tape.watch([mixed, mixed_condition])
                    value = tf.reduce_sum(self._judge(mixed, mixed_condition))
                # The conditions of real and sampled windows differ a little as well: a critic whose
                # slope along them is free grows without bound.
                slopes = inner_tape.gradient(value, [mixed, mixed_condition])
                norm = tf.sqrt(tf.add_n([tf.reduce_sum(g**2, axis=[1, 2]) for g in slopes]) + 1e-12)
                # One-sided: only slopes above 1 are punished (Petzka et al. 2018).
                penalty = tf.reduce_mean(tf.nn.relu(norm - 1.0) ** 2)
                loss = -distance + self.config.gradient_penalty_coef * penalty
            self.critic_adam.apply(tape.gradient(loss, self.critic_variables), self.critic_variables)
        return distance

    @tf.function(jit_compile=True, autograph=False)
    def train_generator(self, fake: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """One update of the generator and its moving average; returns its loss."""
        inner = slice(HALO, HALO + self.config.window_steps)
        with tf.GradientTape() as tape:
            made = self._fake(fake, seed)
            loss = -tf.reduce_mean(self._judge(made, fake[1][:, inner]))
        gradients = tape.gradient(loss, self.generator_variables)
        self.generator_adam.apply(gradients, self.generator_variables)
        decay = self.config.ema_decay
        for mean, value in zip(self.average.trainable_variables, self.generator_variables):
            mean.assign(decay * mean + (1 - decay) * value)
        self.step.assign_add(1)
        return loss


def _windows(paths: Paths, starts: np.ndarray, steps: int) -> list[tf.Tensor]:
    """Windows [..., steps, channels] of scores, condition, held and shift."""
    rows = starts[..., None] + np.arange(steps)
    return [tf.constant(part[rows]) for part in (paths.scores, paths.condition, paths.held, paths.shift)]


def train(
    adversary: Adversary,
    real: Paths,
    core: Paths,
    evaluate: Callable[[Generator, np.ndarray], Fidelity],
    baseline: Fidelity,
    checkpoint_dir: Path | None,
    seed: int,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Trains until the steps, the minutes or the patience are used up.

    Args:
      adversary: Fresh; after the call its `average` holds the best weights, and moves what they are best at.
      real: Windows of `window_steps` rows start at its `starts`.
      core: Windows of `window_steps + 2 HALO` rows start at its `starts`.
      evaluate: Fidelity of the core with a generator's residual of some features to held-out rows.
      baseline: The linear core's own: step 0.
      checkpoint_dir: Where to resume from and write to; None keeps nothing.
      seed: Draws of windows and noise depend on it and the step's number alone.
      progress: Called with step, steps, losses every few seconds.

    Returns:
      `best_step`, `best_score`, `features` (how many are moved), `steps`, `log`, `stopped`, `resumed_at`.
    """
    config = adversary.config
    state: dict[str, Any] = {"best_step": 0, "best_score": baseline.score, "log": [], "waited": 0}
    state |= {"seconds": 0.0, "moved": [True] * len(baseline.own)}
    best = [tf.Variable(v, trainable=False) for v in adversary.average.trainable_variables]
    checkpoint = tf.train.Checkpoint(adversary=adversary, **{f"best{i}": v for i, v in enumerate(best)})
    manager = None
    resumed_at = 0
    if checkpoint_dir is not None:
        manager = tf.train.CheckpointManager(checkpoint, str(checkpoint_dir), max_to_keep=2)
        notes = checkpoint_dir / "state.json"
        if manager.latest_checkpoint and notes.exists():
            noted = read_json(notes)
            # The notes name their checkpoint: a kill between the two writes leaves the older pair.
            for name in manager.checkpoints:
                if Path(name).name == noted["checkpoint"]:
                    checkpoint.restore(name).expect_partial()
                    state, resumed_at = state | noted["state"], int(adversary.step.numpy())
                    _LOG.info("training resumes at step %d", resumed_at)
    began, last_word = time.monotonic() - state["seconds"], 0.0
    stopped = "max_steps"
    step = int(adversary.step.numpy())
    while step < config.max_steps:
        if state["waited"] >= config.patience:
            stopped = "patience"
            break
        if time.monotonic() - began > config.max_minutes * 60:
            stopped = "max_minutes"
            break
        generator = np.random.default_rng([seed, 4, step])
        shape = (config.critic_steps, config.batch_size)
        seeds = tf.constant([seed & 0x7FFFFFFF, 1_000_000 + step * 64], tf.int64)
        seen = _windows(real, generator.choice(real.starts, shape), config.window_steps)
        made = _windows(core, generator.choice(core.starts, shape), config.window_steps + 2 * HALO)
        distance = adversary.train_critics(seen[:2], made, seeds)
        made = _windows(
            core, generator.choice(core.starts, config.batch_size), config.window_steps + 2 * HALO
        )
        adversary.train_generator(made, seeds + tf.constant([0, 32], tf.int64))
        step += 1
        if step % config.evaluate_every == 0 or step == config.max_steps:
            score, moved = _look(adversary.average, evaluate, baseline)
            state["log"].append({"step": step, "distance": float(distance), "score": score})
            state["waited"] += 1
            if np.isfinite(score) and score > state["best_score"] + MIN_IMPROVEMENT:
                state.update(best_step=step, best_score=score, moved=moved.tolist(), waited=0)
                for kept, value in zip(best, adversary.average.trainable_variables):
                    kept.assign(value)
            state["seconds"] = time.monotonic() - began
            if manager is not None and checkpoint_dir is not None:
                path = manager.save(step)
                write_json(checkpoint_dir / "state.json", {"checkpoint": Path(path).name, "state": state})
            last_word = 0.0
        now = time.monotonic()
        if now - last_word > PROGRESS_S:
            last_word = now
            words = {
                "distance": float(distance),
                "score": state["log"][-1]["score"] if state["log"] else baseline.score,
            }
            _LOG.info("step %d of %d: critic distance %.4f", step, config.max_steps, words["distance"])
            if progress is not None:
                progress(step, config.max_steps, words)
    for kept, value in zip(best, adversary.average.trainable_variables):
        value.assign(kept)
    adversary.average.keep_to(np.array(state["moved"]))
    return {
        "best_step": state["best_step"],
        "best_score": state["best_score"],
        "features": sum(state["moved"]) if state["best_step"] else 0,
        "steps": step,
        "log": state["log"],
        "stopped": stopped,
        "resumed_at": resumed_at,
    }


def _look(
    generator: Generator, evaluate: Callable[[Generator, np.ndarray], Fidelity], core: Fidelity
) -> tuple[float, np.ndarray]:
    """The residual of all features, or of those alone that it makes better by themselves: which scores more.

    Returns:
      Its score, and the features that are moved. Shape [F], bool.
    """
    moved = np.ones(len(core.own), bool)
    whole = evaluate(generator, moved)
    better = whole.own > core.own
    if better.all() or not better.any():
        return whole.score, moved
    part = evaluate(generator, better)
    return (part.score, better) if part.score > whole.score else (whole.score, moved)
