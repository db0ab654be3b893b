"""The linear core's loop over time, vectorised over sessions, for XLA to compile.

What does not depend on the row before is done outside the loop: random numbers come from the host (its
ziggurat is several times cheaper than an inverse error function), and so do the places at which the tables
of innovations are read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core.chains import chain_of
from components.synthesizer_trainer.core.columns import CELLS_PER_UNIT, GRID_LIMIT, GRID_SIZE
from components.synthesizer_trainer.core.innovations import WARP_LIMIT, WARP_SIZE
from components.synthesizer_trainer.core.linear_core import LinearCore

#: Latent values are kept inside this range in the loop.
LATENT_LIMIT = 4.8


class Recurrence:
    """The loop's functions, traced by `SynthesizerModule`.

    Args:
      core: The fitted linear core.
      store: Its tables as variables (`tables.tables`).
      calibration: Score after the loop by score in it. Shape [F, GRID_SIZE].
    """

    def __init__(self, core: LinearCore, store: dict[str, tf.Variable], calibration: tf.Variable) -> None:
        self.store, self.calibration = store, calibration
        self.features, self.chains = len(core.numeric), max(len(core.chains), 1)
        self.phases = len(core.calendar.periods_s)
        self.waves = sum(count > 0 for count in core.calendar.harmonics)
        self.order, self.memories = len(core.dynamics.lags), len(core.dynamics.decay)
        self.local_cycles = np.array(core.local_cycles, np.int32)
        self.covariates = [list(zip(chain.covariates, chain.sizes)) for chain in core.chains]
        used = {column for own in self.covariates for column, _ in own}
        # Whether a chain looks at a score against its series' own offset, or at the age of a spell.
        first, last = self.phases + self.features, self.phases + 2 * self.features
        self.relative = not used.isdisjoint(range(first, last))
        self.spells = not used.isdisjoint(range(last + 2 * self.chains, last + 3 * self.chains))
        self.inputs = bool(len(core.indicators))
        self.overridden = bool((~np.isnan(core.events.as_if)).any())
        self.indicating = _chains_of(core, {variable for variable, _ in core.indicators})
        self.holding = _chains_of(core, {n for n, own in enumerate(core.variables) if own.role == "hold"})

    def signature(self) -> list[Any]:
        """Of `simulate`, for any number of sessions and rows."""
        features, chains = self.features, self.chains

        def rows(*shape: int | None, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
            return tf.TensorSpec([None, *shape], dtype)

        carry = {
            "traces": rows(self.memories + 1, features),
            "older": rows(max(self.order - 1, 0), features),
            "latent": rows(features),
            "offset": rows(features),
            "state": rows(chains, dtype=tf.int32),
            "dwell": rows(chains, dtype=tf.int32),
            "spell": rows(chains, dtype=tf.int32),
        }
        return [
            rows(None, features),
            rows(None, chains),
            rows(None, features),
            rows(None, self.phases, dtype=tf.int32),
            rows(None, dtype=tf.int32),
            tf.TensorSpec([], tf.int32),
            carry,
        ]

    def start(self, seed: tf.Tensor, lanes: tf.Tensor) -> dict[str, tf.Tensor]:
        """States of `lanes` sessions before their first row (burn-in comes next).

        Args:
          seed: Shape [2], int64.
          lanes: Any tensor with one entry per session. Shape [S].
        """
        sessions = tf.shape(lanes)[0]
        store, features, chains = self.store, self.features, self.chains
        uniform = tf.random.stateless_uniform([sessions, chains, 1], seed)
        state = tf.reduce_sum(tf.cast(uniform > store["frequency"][None], tf.int32), -1)
        state = tf.minimum(state, store["last_state"])
        return {
            "traces": tf.zeros([sessions, self.memories + 1, features]),
            "older": tf.zeros([sessions, max(self.order - 1, 0), features]),
            "latent": tf.zeros([sessions, features]),
            "offset": tf.zeros([sessions, features]),
            "state": state,
            "dwell": tf.ones([sessions, chains], tf.int32),
            "spell": tf.ones([sessions, chains], tf.int32),
        }

    def simulate(
        self,
        normal: tf.Tensor,
        uniform: tf.Tensor,
        mean: tf.Tensor,
        phases: tf.Tensor,
        kind: tf.Tensor,
        rows: tf.Tensor,
        carry: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Runs the core over one block of time.

        Args:
          normal: Standard normal numbers. Shape [T, S, F].
          uniform: Uniform numbers in [0, 1). Shape [T, S, G].
          mean: Calendar part of the normal scores. Shape [S, T, F].
          phases: Phase bins of the cycles. Shape [S, T, P], int32.
          kind: 0 for normal. Shape [S, T], int32.
          rows: Rows of the block that are wanted; the rest costs next to nothing and means nothing.
          carry: States after the block before.

        Returns:
          Calibrated normal scores [S, T, F], chains' states [S, T, G], states for the next block.
        """
        store, features = self.store, self.features
        steps = tf.shape(normal)[0]
        cells, shares = self._places(normal)
        means = tf.transpose(mean, [1, 0, 2])
        phase_steps, kinds = tf.transpose(phases, [1, 0, 2]), tf.transpose(kind)
        predict = self._predictor(tf.shape(normal)[1])
        offset, decay = carry["offset"], tf.concat([[0.0], store["decay"]], 0)[None, :, None]
        latents = tf.TensorArray(tf.float32, steps, element_shape=[None, features])
        states = tf.TensorArray(tf.int32, steps, element_shape=[None, self.chains])

        def step(
            t: tf.Tensor,
            traces: tf.Tensor,
            older: tf.Tensor,
            latent: tf.Tensor,
            state: tf.Tensor,
            dwell: tf.Tensor,
            spell: tf.Tensor,
            seen: tf.Tensor,
            latents: tf.TensorArray,
            states: tf.TensorArray,
        ) -> tuple[Any, ...]:
            before, past = state, seen
            levels, cell = self._levels(latent, offset, phase_steps[t])
            bins = self._bins(phase_steps[t], levels, state, dwell, spell)
            block = tf.transpose(tf.gather(store["block"], kinds[t], axis=1))
            row = store["offset"] + (block * store["width"] + bins) * store["states"] + state
            probabilities = tf.gather(store["cumulative"], row)
            state = tf.reduce_sum(tf.cast(uniform[t][..., None] > probabilities, tf.int32), axis=-1)
            state = tf.minimum(state, store["last_state"])
            dwell = tf.where(state == before, dwell + 1, 1)
            if self.spells:
                spell = tf.where(self._rests(state) == self._rests(before), spell + 1, 1)
            if features:
                y = predict(traces, older) + store["constant"] + tf.gather(store["shift"], cell)
                if self.inputs:
                    seen = self._indicators(state)
                    if self.overridden:
                        shown = 1 - tf.gather(store["overridden"], kinds[t])
                        seen = seen * shown + tf.gather(store["as_if"], kinds[t])
                    y += tf.matmul(seen, store["now"]) + tf.matmul(past, store["before"])
                y += tf.gather(store["spread"], cell) * self._warp(cells[t], shares[t], levels)
                proposed = tf.clip_by_value(means[t] + y, -LATENT_LIMIT, LATENT_LIMIT)
                latent = tf.where(self._holds(state), latent, proposed) if self.holding else proposed
                y = latent - means[t]
                if self.order > 1:
                    older = tf.concat([traces[:, :1], older[:, :-1]], axis=1)
                traces = decay * traces + (1 - decay) * y[:, None]
            written = latents.write(t, latent), states.write(t, state)
            return t + 1, traces, older, latent, state, dwell, spell, seen, *written

        names = ("traces", "older", "latent", "state", "dwell", "spell")
        begin = [carry[name] for name in names]
        begin.append(self._indicators(carry["state"]))
        _, *after, latents, states = tf.while_loop(
            lambda t, *_: t < tf.minimum(rows, steps), step, (0, *begin, latents, states)
        )
        scores = tf.transpose(latents.stack(), [1, 0, 2])
        if features:
            scores = lookup(self.calibration, scores)
        following = dict(zip(names, after)) | {"offset": offset}
        return scores, tf.transpose(states.stack(), [1, 0, 2]), following

    def _predictor(self, sessions: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The recurrence's own part of the next deviation, from traces and older lags."""
        features, order = self.features, self.order
        lag_rows = tf.convert_to_tensor(self.store["lag_rows"])
        # Lag 1 is a memory that forgets at once: it is kept and updated with the others.
        near = tf.concat([lag_rows[:features], lag_rows[order * features :]], 0)
        far = lag_rows[features : order * features]

        def predict(traces: tf.Tensor, older: tf.Tensor) -> tf.Tensor:
            if not order:
                return tf.zeros([sessions, features])
            out = tf.matmul(tf.reshape(traces, [sessions, (self.memories + 1) * features]), near)
            if order > 1:
                out += tf.matmul(tf.reshape(older, [sessions, (order - 1) * features]), far)
            return out

        return predict

    def _places(self, normal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where correlated draws stand in the tables of innovations: cell, share of it. Shapes [T, S, F]."""
        if not self.features:
            return tf.cast(normal, tf.int32), normal
        drawn = tf.einsum("tsf,gf->tsg", normal, self.store["factor"])
        position = (tf.clip_by_value(drawn, -WARP_LIMIT, WARP_LIMIT) + WARP_LIMIT) * (
            (WARP_SIZE - 1) / (2 * WARP_LIMIT)
        )
        cell = tf.clip_by_value(tf.cast(position, tf.int32), 0, WARP_SIZE - 2)
        share = position - tf.cast(cell, tf.float32)
        return cell + tf.range(self.features) * (self.store["warp"].shape[1] * WARP_SIZE), share

    def _warp(self, cell: tf.Tensor, share: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Innovations [S, F] at `_places`, given the levels' bins [S, 2 F] before the step."""
        if self.store["warp"].shape[1] > 1:
            cell += levels[:, : self.features] * WARP_SIZE
        flat = tf.reshape(tf.convert_to_tensor(self.store["warp"]), [-1])
        left, right = tf.gather(flat, cell), tf.gather(flat, cell + 1)
        return left + share * (right - left)

    def _bins(
        self, phases: tf.Tensor, levels: tf.Tensor, state: tf.Tensor, dwell: tf.Tensor, spell: tf.Tensor
    ) -> tf.Tensor:
        """Bin of each chain's covariates. Which ones a chain has is known when the graph is made."""
        parts = [phases, levels, None, state, None]
        if self.covariates:
            parts[2], parts[4] = self._age_bin(dwell), self._age_bin(spell)
        edges = [0, self.phases]
        edges += [self.phases + 2 * self.features + place * self.chains for place in range(3)]
        zero = tf.zeros_like(state[:, 0])
        found = []
        for own in self.covariates:
            code = zero
            for column, size in own:
                part = max(place for place, edge in enumerate(edges) if column >= edge)
                value = parts[part][:, column - edges[part]]
                code = code * size + tf.minimum(value, size - 1)
            found.append(code)
        return tf.stack(found or [zero], axis=1)

    def _age_bin(self, rows: tf.Tensor) -> tf.Tensor:
        """Bin of a time in rows. Shapes [S, G]."""
        reached = rows[:, :, None] >= self.store["dwell_edges"][None, None]
        return tf.reduce_sum(tf.cast(reached, tf.int32), -1) - 1

    def _levels(self, latent: tf.Tensor, offset: tf.Tensor, phases: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Bins of the scores (absolute, then against the series' offset), and cells of the local tables."""
        features, store = self.features, self.store
        if not features:
            return tf.zeros([tf.shape(latent)[0], 0], tf.int32), tf.zeros([0], tf.int32)
        both, edges = tf.concat([latent, latent - offset], 1), store["level_edges"]
        if not self.relative:
            both, edges = latent, edges[:features]
        levels = tf.reduce_sum(tf.cast(both[:, :, None] > edges[None], tf.int32), axis=-1)
        cell = levels[:, :features] * store["local_phases"] + store["local_rows"]
        if (self.local_cycles >= 0).any():
            cell += tf.gather(phases, self.local_cycles, axis=1)
        return levels, cell

    def _indicators(self, state: tf.Tensor) -> tf.Tensor:
        none = tf.zeros([tf.shape(state)[0], self.store["indicator"].shape[1]])
        rows = [tf.gather(self.store["indicator"], state[:, own] + begin) for own, begin in self.indicating]
        return tf.add_n([none, *rows]) - self.store["centre"]

    def _rests(self, state: tf.Tensor) -> tf.Tensor:
        """Whether each chain is at rest. Shapes [S, G]."""
        return tf.gather(self.store["resting"], state + self.store["state_offset"])

    def _holds(self, state: tf.Tensor) -> tf.Tensor:
        rows = [tf.gather(self.store["hold"], state[:, own] + begin) for own, begin in self.holding]
        return tf.add_n(rows) > 0


def _chains_of(core: LinearCore, variables: set[int]) -> list[tuple[int, int]]:
    """Chains that these variables are in, each with where its states begin among those of all chains."""
    begins = np.cumsum([0, *(len(chain.states) for chain in core.chains)])
    return [(own, int(begins[own])) for own in sorted({chain_of(core.chains, n) for n in variables})]


def lookup(table: tf.Tensor, scores: tf.Tensor, snap: tf.Tensor | None = None) -> tf.Tensor:
    """Reads tables [F, GRID_SIZE] at scores [..., F]; cells in `snap` take their nearer end."""
    limited = tf.clip_by_value(scores, -GRID_LIMIT, GRID_LIMIT)
    position = (limited + GRID_LIMIT) * CELLS_PER_UNIT
    flat = tf.reshape(tf.convert_to_tensor(table), [-1])
    cell = tf.clip_by_value(tf.cast(position, tf.int32), 0, GRID_SIZE - 2)
    share = position - tf.cast(cell, tf.float32)
    cell += tf.range(tf.shape(table)[0]) * GRID_SIZE
    left, right = tf.gather(flat, cell), tf.gather(flat, cell + 1)
    if snap is not None:
        stepped = tf.gather(tf.reshape(tf.convert_to_tensor(snap), [-1]), cell)
        share = tf.where(stepped, tf.cast(share > 0.5, tf.float32), share)
    return left + share * (right - left)
