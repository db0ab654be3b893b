"""The private GAN's residual: a generator over the core's windows, against a critic of DP-SGD.

The generator sees the critic and never a row, so it is post-processing. The number of steps is the
configuration's; nothing is selected on held-out rows, and no loss, batch size or count of windows is kept,
reported or logged. Anomalous rows train nothing: kinds are conditioned on by the core's noisy templates,
and the generator's weights for them start and stay at zero.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import adversarial
from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, decode
from components.synthesizer_trainer.core.dp import critic as critic_lib
from components.synthesizer_trainer.core.dp.mechanism import Noise
from components.synthesizer_trainer.core.dp.rows import Rows
from components.synthesizer_trainer.core.dp.sgd import Draw, Mechanism, critic_step
from components.synthesizer_trainer.core.dp.slots import filled, windows
from components.synthesizer_trainer.core.dp.statistics import scores
from components.synthesizer_trainer.core.linear_core import LinearCore
from components.synthesizer_trainer.core.network import HALO, Generator, shown
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training_paths import core_paths

_LOG = logging.getLogger(__name__)
#: Weight of the residual's mean square: where the critic knows nothing, the core stands.
RESIDUAL_PENALTY = 4.0
#: Seconds between two lines of progress.
PROGRESS_S = 5.0


class Residual(tf.Module):
    """Generator, its moving average and optimiser, and the critic's parameters.

    Args:
      config: Sizes and rates; method `dp_gan`.
      features: F.
      kinds: Channels of the condition that are kinds of anomalies.
      phases: Cycles of the calendar; their two channels each come first in the condition.
      condition: Q, channels of the condition.
      middles: As for `network.on_atoms`.
      holds: Whether any feature repeats its values.
      seed: Of the initial weights.
    """

    def __init__(
        self,
        config: SynthesizerTrainerConfig,
        features: int,
        kinds: int,
        phases: int,
        condition: int,
        middles: np.ndarray,
        holds: bool,
        seed: int,
    ) -> None:
        super().__init__(name="residual")
        assert config.critic is not None  # the method's own rule
        self.config, self.critic, self.holds = config, config.critic, holds
        size = (features, condition, config.generator_units, config.noise_channels)
        self.generator, self.average = Generator(*size, seed=seed), Generator(*size, seed=seed)
        first = features + 2 * phases
        for own in (self.generator, self.average):
            start = own.inner[0].weights.numpy()
            start[:, first : first + kinds] = 0.0
            own.inner[0].weights.assign(start)
        #: Channels of the condition that the critic sees.
        self.seen = np.array([*range(2 * phases), *range(2 * phases + kinds, condition)], np.int32)
        self.variables_ = list(self.generator.trainable_variables)
        self.adam = adversarial.Adam(self.variables_, config.generator_learning_rate)
        self.middles = tf.constant(middles.astype(np.float32))
        channels = critic_lib.width(features, len(self.seen))
        self.theta = critic_lib.initial(channels, self.critic.units, seed)
        self.step = 0

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changes, for a checkpoint."""
        kept = {"theta": self.theta, "step": np.array(self.step), "count": self.adam.count.numpy()}
        return kept | {name: v.numpy() for name, v in self._named().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Takes a state up again."""
        self.theta, self.step = state["theta"], int(state["step"])
        self.adam.count.assign(state["count"])
        for name, variable in self._named().items():
            variable.assign(state[name])

    def _named(self) -> dict[str, tf.Variable]:
        groups = {
            "generator": self.variables_,
            "average": self.average.trainable_variables,
            "first": self.adam.first,
            "second": self.adam.second,
        }
        return {f"{name}.{i}": v for name, group in groups.items() for i, v in enumerate(group)}

    def _made(self, parts: list[tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the critic sees of made windows, [n, W - 2, D], and the residual [n, W, F]."""
        core, condition, held, shift = parts
        steps = self.critic.slot_rows
        shape = tf.shape(core)
        noise = tf.random.stateless_normal([shape[0], shape[1], self.config.noise_channels], seed)
        moved = self.generator(core, condition, noise)
        inner = slice(HALO, HALO + steps)
        z = shown((core + moved)[:, inner], held[:, inner], self.middles, self.holds, steps)
        seen = tf.gather(condition[:, inner], self.seen, axis=-1)
        return critic_lib.inputs(z + shift[:, inner], seen, tf.concat), moved[:, inner]

    @tf.function(jit_compile=True, autograph=False)
    def make(self, parts: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """`critic.inputs` of made windows."""
        return self._made(parts, seed)[0]

    @tf.function(jit_compile=True, autograph=False)
    def train(
        self, parts: list[tf.Tensor], seed: tf.Tensor, a: tf.Tensor, b: tf.Tensor, v: tf.Tensor
    ) -> None:
        """One update of the generator and its moving average against a critic."""
        with tf.GradientTape() as tape:
            seen, moved = self._made(parts, seed)
            hidden = tf.nn.leaky_relu(tf.einsum("ntd,dh->nth", seen, a) + b, critic_lib.LEAK)
            loss = -tf.reduce_mean(tf.einsum("nth,h->nt", hidden, v))
            loss += RESIDUAL_PENALTY * tf.reduce_mean(tf.reduce_sum(moved**2, -1))
        self.adam.apply(tape.gradient(loss, self.variables_), self.variables_)
        decay = self.config.ema_decay
        for mean, value in zip(self.average.trainable_variables, self.variables_):
            mean.assign(decay * mean + (1 - decay) * value)


def real_inputs(
    rows: Rows,
    core: LinearCore,
    synthesizer: Synthesizer,
    residual: Residual,
    interval_s: float,
    anchor_us: int,
) -> np.ndarray:
    """`critic.inputs` of all windows of the rows. Shape [n, W - 2, D], float64.

    A window's content follows from its own rows, public settings and what the core released.
    """
    index = windows(rows, residual.critic.slot_rows, interval_s, anchor_us)
    values = rows.values[index]
    z = scores(rows.values[:, core.numeric], core.tables)[index]
    states = np.zeros((*index.shape, max(len(core.chains), 1)), np.int64)
    for place, chain in enumerate(core.chains):
        variable = core.variables[chain.variables[0]]
        if variable.role == "level":
            states[..., place] = np.nan_to_num(values[..., variable.feature]).astype(np.int64)
    design = synthesizer.calendar.design(rows.time_us[index])
    condition = synthesizer.condition(design, np.zeros(index.shape, np.int64), states)
    return np.asarray(critic_lib.inputs(filled(z), condition[..., residual.seen].astype(np.float64)))


def train_residual(
    rows: Rows,
    core: LinearCore,
    synthesizer: Synthesizer,
    grid: list[Session],
    config: SynthesizerTrainerConfig,
    own: Mechanism,
    noisy_rows: float,
    seed: int,
    state: dict[str, np.ndarray],
    keep: Callable[[dict[str, np.ndarray]], None],
    progress: Callable[[int, int], None] | None = None,
    noise: Noise | None = None,
    draw: Draw | None = None,
) -> tuple[Generator, dict[str, int | str]]:
    """Trains for the configured number of steps, or until `max_minutes`; the cost is that of all steps.

    Args:
      rows: The training rows.
      core: The private core.
      synthesizer: Of the core alone.
      grid: Public sessions without events; the core's own windows are drawn from them.
      config: Method `dp_gan`.
      own: What a step does to the rows.
      noisy_rows: The released count of normal rows.
      seed: Of the generator's noise and of made windows; never of draws and noise of the mechanism.
      state: Of an earlier attempt, or empty.
      keep: Called with the state every `evaluate_every` steps.
      progress: Called with step and steps.
      noise, draw: As for `sgd.critic_step`.

    Returns:
      The generator's moving average, and public facts for the report.
    """
    critic = config.critic
    assert critic is not None  # the method's own rule
    fake = core_paths(
        synthesizer, grid, synthesizer.latent_paths(grid, seed + 2), core, critic.slot_rows, seed
    )
    points = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
    middles = np.stack([t.encode(decode(t.table[None], points[:, None])[:, 0]) for t in core.tables])
    phases = len(synthesizer.calendar.harmonics)
    residual = Residual(
        config,
        len(core.numeric),
        len(synthesizer.kinds),
        phases,
        fake.condition.shape[1],
        middles,
        bool(fake.held.any()),
        seed,
    )
    if state:
        residual.restore(state)
    dp = config.dp
    assert dp is not None
    anchor_us = dp.period.bounds_us()[0] if dp.period is not None else 0
    real = real_inputs(rows, core, synthesizer, residual, config.dataset.interval_s, anchor_us)
    expected = max(critic.sampling_rate * noisy_rows / critic.slot_rows, 1.0)
    began, said, stopped = time.monotonic() - float(state.get("seconds", 0.0)), 0.0, "steps"
    while residual.step < critic.steps:
        if time.monotonic() - began > config.max_minutes * 60:
            stopped = "max_minutes"
            break
        chosen = np.random.default_rng([seed & 0x7FFFFFFF, 41, residual.step])
        made, following = (
            _cut(fake, chosen.choice(fake.starts, config.batch_size), critic.slot_rows) for _ in "ab"
        )
        seeds = tf.constant([seed & 0x7FFFFFFF, 2_000_000 + residual.step * 2], tf.int64)
        seen = residual.make(made, seeds).numpy().astype(np.float64)
        residual.theta = critic_step(residual.theta, real, seen, critic.units, own, expected, noise, draw)
        parts = critic_lib.parts(residual.theta.astype(np.float32), critic.units)
        residual.train(following, seeds + tf.constant([0, 1], tf.int64), *(tf.constant(p) for p in parts))
        residual.step += 1
        if residual.step % config.evaluate_every == 0 or residual.step == critic.steps:
            keep(residual.state() | {"seconds": np.array(time.monotonic() - began)})
        if time.monotonic() - said > PROGRESS_S:
            said = time.monotonic()
            _LOG.info("private critic: step %d of %d", residual.step, critic.steps)
            if progress is not None:
                progress(residual.step, critic.steps)
    return residual.average, {"steps": residual.step, "steps_paid": critic.steps, "stopped": stopped}


def _cut(paths: adversarial.Paths, starts: np.ndarray, steps: int) -> list[tf.Tensor]:
    rows = starts[:, None] + np.arange(steps + 2 * HALO)
    return [tf.constant(part[rows]) for part in (paths.scores, paths.condition, paths.held, paths.shift)]
