"""The synthesizer as a tf.Module: everything that sampling needs, in one SavedModel.

`simulate` runs the linear core (`recurrence`, an XLA-compiled loop over time), `refine` adds the learned
residual, `emit` returns to source units. The remaining tables (calendar, chains' states, events) stand
beside them as variables, the columns as JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core import conforming
from components.synthesizer_trainer.core.columns import GRID_SIZE
from components.synthesizer_trainer.core.linear_core import LinearCore
from components.synthesizer_trainer.core.network import Generator
from components.synthesizer_trainer.core.recurrence import Recurrence, lookup
from components.synthesizer_trainer.core.tables import tables

#: Of the functions' signatures, kept with a saved model: what another number made is not sampled.
SAMPLER = 10
#: Indicators of the discrete state that the networks see.
MAX_CONDITION_INDICATORS = 16


class SynthesizerModule(tf.Module):
    """The sampler.

    Args:
      core: The fitted linear core.
      generator: The residual generator, or None for the linear core alone.
      metadata: JSON-able description of columns, kinds and calendar.
      calibration: Latent value after the loop by latent value in it. Shape [F, GRID_SIZE].
    """

    def __init__(
        self, core: LinearCore, generator: Generator | None, metadata: dict[str, Any], calibration: np.ndarray
    ) -> None:
        super().__init__(name="synthesizer")
        self.generator = generator
        self.n_numeric = len(core.numeric)
        self.metadata = tf.Variable(json.dumps(metadata, sort_keys=True), trainable=False, name="metadata")
        self.store = {
            name: tf.Variable(value, trainable=False, name=name) for name, value in tables(core).items()
        }
        self.calibration = tf.Variable(calibration.astype(np.float32), trainable=False, name="calibration")
        self._trace(Recurrence(core, self.store, self.calibration), len(core.event_rows))

    def _trace(self, recurrence: Recurrence, kinds: int) -> None:
        """Fixes the functions' signatures, so that a SavedModel holds them for any number of rows."""
        features, indicators = self.n_numeric, self.store["indicator"].shape[1]
        condition = 2 * recurrence.waves + kinds + min(indicators, MAX_CONDITION_INDICATORS)
        lanes, scores = tf.TensorSpec([None]), tf.TensorSpec([None, None, features])
        seed = tf.TensorSpec([2], tf.int64)
        self.start = tf.function(
            recurrence.start, input_signature=[seed, lanes], jit_compile=True, autograph=False
        )
        self.simulate = tf.function(
            recurrence.simulate, input_signature=recurrence.signature(), jit_compile=True, autograph=False
        )
        self.refine = tf.function(
            self._refine,
            input_signature=[scores, tf.TensorSpec([None, None, condition]), seed],
            autograph=False,
        )
        # XLA fuses a transposition into what is before it, which then takes twice as long.
        compiled = tf.function(self._emit, jit_compile=True, autograph=False)
        self.emit = tf.function(
            lambda *given: tf.transpose(compiled(*given), [2, 0, 1]),
            input_signature=[scores, scores, scores, tf.TensorSpec([features, GRID_SIZE])],
            autograph=False,
        )

    def set_calibration(self, calibration: np.ndarray) -> None:
        """Replaces the calibration. Shape [F, GRID_SIZE]."""
        self.calibration.assign(calibration.astype(np.float32))

    def _refine(self, scores: tf.Tensor, condition: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Adds the learned residual.

        Args:
          scores: Normal scores of the core. Shape [S, T, F].
          condition: Calendar, kind and indicators. Shape [S, T, Q].
          seed: Shape [2], int64.

        Returns:
          Normal scores. Shape [S, T, F].
        """
        if self.generator is None or not self.n_numeric:
            return scores
        shape = tf.shape(scores)
        noise = tf.random.stateless_normal([shape[0], shape[1], self.generator.noise_channels], seed)
        return scores + self.generator(scores, condition, noise)

    def _emit(self, scores: tf.Tensor, effect: tf.Tensor, shift: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
        """The inverse transform: source units, on the sensor's lattice, inside the range.

        `emit` returns them by feature, shape [F, S, T].

        Args:
          scores: Normal scores. Shape [S, T, F].
          effect: Additive effect of anomalies, in units of each feature's scale. [S, T, F] or [1, 1, F].
          shift: Conforms the scores (`conforming.fit_maps`), by block. Shape [S, blocks, F].
          moved: Score after conforming at every latent grid point. Shape [F, GRID_SIZE].

        Returns:
          Values in source units. Shape [S, T, F], float32.
        """
        store = self.store
        if not self.n_numeric:
            return scores
        steps = tf.shape(scores)[1]
        conformed = lookup(moved, scores + between_blocks(shift)[:, :steps])
        value = lookup(store["table"], conformed, store["snap"]) + effect * store["scale"]
        lattice = store["step"] > 0
        step = tf.where(lattice, store["step"], 1.0)
        snapped = store["origin"] + tf.round((value - store["origin"]) / step) * step
        return tf.clip_by_value(tf.where(lattice, snapped, value), store["low"], store["high"])


def between_blocks(means: tf.Tensor) -> tf.Tensor:
    """`conforming.at_rows` for all rows of all blocks. Shape [S, blocks * BLOCK, F]."""
    share = (np.arange(conforming.BLOCK) + 0.5) / conforming.BLOCK - 0.5
    before = np.maximum(-share, 0).astype(np.float32)[:, None]
    after = np.maximum(share, 0).astype(np.float32)[:, None]
    padded = tf.concat([means[:, :1], means, means[:, -1:]], axis=1)[:, :, None]
    rows = padded[:, :-2] * before + padded[:, 1:-1] * (1 - before - after) + padded[:, 2:] * after
    shape = tf.shape(means)
    return tf.reshape(rows, [shape[0], shape[1] * conforming.BLOCK, shape[2]])
