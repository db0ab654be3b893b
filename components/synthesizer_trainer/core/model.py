"""The synthesizer as a tf.Module: everything that sampling needs, in one SavedModel.

`simulate` runs the linear core (an XLA-compiled loop over time, vectorised over sessions), `refine`
adds the learned residual, `emit` returns to source units. The remaining tables (calendar, chains'
states, events) stand beside them as variables, the columns as JSON.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE
from components.synthesizer_trainer.core.innovations import WARP_LIMIT, WARP_SIZE
from components.synthesizer_trainer.core.linear_core import LinearCore
from components.synthesizer_trainer.core.network import Generator
from components.synthesizer_trainer.core.tables import tables

#: Latent values are kept inside this range in the loop.
LATENT_LIMIT = 4.8
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
        self.n_chains = len(core.chains)
        self.n_phases = len(core.calendar.periods_s)
        self.main_cycle = core.phase
        self.n_kinds = len(core.event_rows)
        # Whether a chain looks at a score against its series' own offset.
        first = self.n_phases + self.n_numeric
        columns = {column for chain in core.chains for column in chain.covariates}
        self.relative = not columns.isdisjoint(range(first, first + self.n_numeric))
        self.metadata = tf.Variable(json.dumps(metadata, sort_keys=True), trainable=False, name="metadata")
        self.store = {
            name: tf.Variable(value, trainable=False, name=name) for name, value in tables(core).items()
        }
        self.calibration = tf.Variable(calibration.astype(np.float32), trainable=False, name="calibration")

        self._trace(self.store["indicator"].shape[1])

    def _trace(self, indicators: int) -> None:
        """Fixes the functions' signatures, so that a SavedModel holds them for any number of rows."""
        features, chains, phases = self.n_numeric, max(self.n_chains, 1), self.n_phases
        condition = 2 * phases + self.n_kinds + min(indicators, MAX_CONDITION_INDICATORS)
        history = self.store["lag_rows"].shape[0]

        def rows(*shape: int | None, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
            return tf.TensorSpec([None, *shape], dtype)

        seed, scores = tf.TensorSpec([2], tf.int64), rows(None, features)
        carry = {
            "history": rows(history),
            "latent": rows(features),
            "offset": rows(features),
            "state": rows(chains, dtype=tf.int32),
            "dwell": rows(chains, dtype=tf.int32),
            "spell": rows(chains, dtype=tf.int32),
        }
        self.start = tf.function(
            self._start, input_signature=[seed, rows()], jit_compile=True, autograph=False
        )
        self.simulate = tf.function(
            self._simulate,
            input_signature=[
                seed,
                scores,
                rows(None, phases, dtype=tf.int32),
                rows(None, dtype=tf.int32),
                carry,
            ],
            jit_compile=True,
            autograph=False,
        )
        self.refine = tf.function(
            self._refine, input_signature=[scores, rows(None, condition), seed], autograph=False
        )
        self.emit = tf.function(
            self._emit,
            input_signature=[
                scores,
                scores,
                scores,
                tf.TensorSpec([features, GRID_SIZE]),
            ],
            jit_compile=True,
            autograph=False,
        )

    def set_calibration(self, calibration: np.ndarray) -> None:
        """Replaces the calibration. Shape [F, GRID_SIZE]."""
        self.calibration.assign(calibration.astype(np.float32))

    def _start(self, seed: tf.Tensor, lanes: tf.Tensor) -> dict[str, tf.Tensor]:
        """States of `lanes` sessions before their first row (burn-in comes next).

        Args:
          seed: Shape [2], int64.
          lanes: Any tensor with one entry per session. Shape [S].
        """
        sessions = tf.shape(lanes)[0]
        store, features, chains = self.store, self.n_numeric, max(self.n_chains, 1)
        uniform = tf.random.stateless_uniform([sessions, chains, 1], seed)
        state = tf.reduce_sum(tf.cast(uniform > store["frequency"][None], tf.int32), -1)
        state = tf.minimum(state, store["last_state"])
        width = (store["lag_rows"].shape[0] // max(features, 1)) if features else 0
        return {
            "history": tf.zeros([sessions, width * features]),
            "latent": tf.zeros([sessions, features]),
            "offset": tf.zeros([sessions, features]),
            "state": state,
            "dwell": tf.ones([sessions, chains], tf.int32),
            "spell": tf.ones([sessions, chains], tf.int32),
        }

    def _simulate(
        self,
        seed: tf.Tensor,
        mean: tf.Tensor,
        phases: tf.Tensor,
        kind: tf.Tensor,
        carry: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Runs the core over one block of time.

        Args:
          seed: Shape [2], int64.
          mean: Calendar part of the normal scores. Shape [S, T, F].
          phases: Phase bins of the cycles. Shape [S, T, P], int32.
          kind: 0 for normal. Shape [S, T], int32.
          carry: States after the block before.

        Returns:
          Calibrated normal scores [S, T, F], chains' states [S, T, G], states for the next block.
        """
        store, features, chains = self.store, self.n_numeric, max(self.n_chains, 1)
        shape = tf.shape(mean)
        sessions, steps = shape[0], shape[1]
        seeds = tf.random.experimental.stateless_split(seed, 2)
        normal = tf.random.stateless_normal([steps, sessions, features], seeds[0])
        # The position in the warp's tables; which table depends on the level, so it is read in the loop.
        innovation = tf.einsum("tsf,gf->tsg", normal, store["factor"]) if features else normal
        uniform = tf.random.stateless_uniform([steps, sessions, chains, 1], seeds[1])
        means = tf.transpose(mean, [1, 0, 2])
        phase_steps = tf.transpose(phases, [1, 0, 2])
        kinds = tf.transpose(kind)
        latents = tf.TensorArray(tf.float32, steps, element_shape=[None, features])
        states = tf.TensorArray(tf.int32, steps, element_shape=[None, chains])

        def step(
            t: tf.Tensor,
            history: tf.Tensor,
            latent: tf.Tensor,
            state: tf.Tensor,
            dwell: tf.Tensor,
            spell: tf.Tensor,
            latents: tf.TensorArray,
            states: tf.TensorArray,
        ) -> tuple[Any, ...]:
            before = state
            levels, cell = self._levels(latent, carry["offset"], phase_steps[t])
            stay, since = self._dwell_bin(dwell), self._dwell_bin(spell)
            nothing = tf.zeros_like(state[:, :1])
            covariates = tf.concat([phase_steps[t], levels, stay, state, since, nothing], 1)
            first = tf.gather(covariates, store["covariates"][:, 0], axis=1)
            second = tf.gather(covariates, store["covariates"][:, 1], axis=1)
            first = tf.minimum(first, store["sizes"][:, 0] - 1)
            second = tf.minimum(second, store["sizes"][:, 1] - 1)
            bins = first * store["sizes"][:, 1] + second
            block = tf.transpose(tf.gather(store["block"], kinds[t], axis=1))
            row = store["offset"] + (block * store["width"] + bins) * store["states"] + state
            probabilities = tf.gather(store["cumulative"], row)
            state = tf.reduce_sum(tf.cast(uniform[t] > probabilities, tf.int32), axis=-1)
            state = tf.minimum(state, store["last_state"])
            dwell = tf.where(state == before, dwell + 1, 1)
            spell = tf.where(self._rests(state) == self._rests(before), spell + 1, 1)
            if features:
                y = (
                    tf.matmul(history, store["lag_rows"])
                    + tf.matmul(self._indicators(state), store["now"])
                    + tf.matmul(self._indicators(before), store["before"])
                    + store["constant"]
                    + tf.gather(store["shift"], cell)
                    + tf.gather(store["spread"], cell) * self._warp(innovation[t], levels)
                )
                proposed = tf.clip_by_value(means[t] + y, -LATENT_LIMIT, LATENT_LIMIT)
                latent = tf.where(self._holds(state), latent, proposed)
                history = self._remember(history, latent - means[t])
            written = latents.write(t, latent), states.write(t, state)
            return t + 1, history, latent, state, dwell, spell, *written

        begin = [carry[name] for name in ("history", "latent", "state", "dwell", "spell")]
        _, history, latent, state, dwell, spell, latents, states = tf.while_loop(
            lambda t, *_: t < steps, step, (0, *begin, latents, states)
        )
        scores = tf.transpose(latents.stack(), [1, 0, 2])
        after = {
            "history": history,
            "latent": latent,
            "offset": carry["offset"],
            "state": state,
            "dwell": dwell,
            "spell": spell,
        }
        if features:
            scores = self._lookup(self.calibration, scores)
        return scores, tf.transpose(states.stack(), [1, 0, 2]), after

    def _dwell_bin(self, rows: tf.Tensor) -> tf.Tensor:
        """Bin of a time in rows. Shapes [S, G]."""
        reached = rows[:, :, None] >= self.store["dwell_edges"][None, None]
        return tf.reduce_sum(tf.cast(reached, tf.int32), -1) - 1

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

        Args:
          scores: Normal scores. Shape [S, T, F].
          effect: Additive effect of anomalies, in units of each feature's scale. Shape [S, T, F].
          shift: Conforms the scores (`conforming.fit_maps`). Shape [S, T, F].
          moved: Score after conforming at every latent grid point. Shape [F, GRID_SIZE].

        Returns:
          Values in source units. Shape [S, T, F], float32.
        """
        store = self.store
        if not self.n_numeric:
            return scores
        conformed = self._lookup(moved, scores + shift)
        value = self._lookup(store["table"], conformed, store["snap"]) + effect * store["scale"]
        lattice = store["step"] > 0
        step = tf.where(lattice, store["step"], 1.0)
        snapped = store["origin"] + tf.round((value - store["origin"]) / step) * step
        return tf.clip_by_value(tf.where(lattice, snapped, value), store["low"], store["high"])

    def _levels(self, latent: tf.Tensor, offset: tf.Tensor, phases: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Bins of the scores (absolute, then against the series' offset), and cells of the local tables."""
        features, store = self.n_numeric, self.store
        if not features:
            return tf.zeros([tf.shape(latent)[0], 0], tf.int32), tf.zeros([0], tf.int32)
        both, edges = tf.concat([latent, latent - offset], 1), store["level_edges"]
        if not self.relative:
            both, edges = latent, edges[:features]
        levels = tf.reduce_sum(tf.cast(both[:, :, None] > edges[None], tf.int32), axis=-1)
        cell = levels[:, :features] * store["local_phases"] + store["local_rows"]
        if self.main_cycle >= 0:
            cell += phases[:, self.main_cycle, None]
        if not self.relative:
            levels = tf.concat([levels, tf.zeros_like(levels)], 1)
        return levels, cell

    def _indicators(self, state: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(self.store["indicator"], state + self.store["state_offset"])
        return tf.reduce_sum(rows, axis=1) - self.store["centre"]

    def _rests(self, state: tf.Tensor) -> tf.Tensor:
        """Whether each chain is at rest. Shapes [S, G]."""
        return tf.gather(self.store["resting"], state + self.store["state_offset"])

    def _holds(self, state: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(self.store["hold"], state + self.store["state_offset"])
        return tf.reduce_sum(rows, axis=1) > 0

    def _remember(self, history: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """History is [y_t .. y_{t-p+1}, m_1 .. m_K], side by side."""
        features = self.n_numeric
        memory_start = self.store["lag_rows"].shape[0] - self.store["decay"].shape[0] * features
        lags = tf.concat([y, history[:, : memory_start - features]], axis=1)
        # There may be no memory, so no length is left to be inferred.
        sessions, memories = tf.shape(history)[0], self.store["decay"].shape[0]
        memory = tf.reshape(history[:, memory_start:], [sessions, memories, features])
        decay = self.store["decay"][None, :, None]
        memory = decay * memory + (1 - decay) * y[:, None, :]
        return tf.concat([lags, tf.reshape(memory, [sessions, memories * features])], axis=1)

    def _warp(self, normal: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Innovations of correlated normal draws [S, F], given the levels' bins [S, 2 F] before the step."""
        bins = self.store["warp"].shape[1]
        rows = tf.range(self.n_numeric) * bins
        if bins > 1:
            rows += levels[:, : self.n_numeric]
        position = (tf.clip_by_value(normal, -WARP_LIMIT, WARP_LIMIT) + WARP_LIMIT) * (
            (WARP_SIZE - 1) / (2 * WARP_LIMIT)
        )
        return _interpolate(self.store["warp"], position, WARP_SIZE, None, rows)

    def _lookup(self, table: tf.Tensor, scores: tf.Tensor, snap: tf.Tensor | None = None) -> tf.Tensor:
        limited = tf.clip_by_value(scores, -GRID_LIMIT, GRID_LIMIT)
        position = (limited + GRID_LIMIT) * ((GRID_SIZE - 1) / (2 * GRID_LIMIT))
        return _interpolate(table, position, GRID_SIZE, snap)


def _interpolate(
    table: tf.Tensor, position: tf.Tensor, size: int, snap: tf.Tensor | None, rows: tf.Tensor | None = None
) -> tf.Tensor:
    """Reads tables [..., size] at positions [..., F]; cells in `snap` take their nearer end.

    Row f of the tables is feature f's, or `rows` says which ones are read.
    """
    flat = tf.reshape(tf.convert_to_tensor(table), [-1])
    cell = tf.clip_by_value(tf.cast(position, tf.int32), 0, size - 2)
    share = position - tf.cast(cell, tf.float32)
    offset = (tf.range(tf.shape(table)[0]) if rows is None else rows) * size
    left, right = tf.gather(flat, cell + offset), tf.gather(flat, cell + offset + 1)
    if snap is not None:
        stepped = tf.gather(tf.reshape(tf.convert_to_tensor(snap), [-1]), cell + offset)
        nearer = tf.where(share > 0.5, right, left)
        return tf.where(stepped, nearer, left + share * (right - left))
    return left + share * (right - left)
