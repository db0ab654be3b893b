"""Draws sessions from a synthesizer: the plan on the host, the mathematics in its SavedModel.

Works alike on the module in memory (training) and on a SavedModel loaded in a process that has none
of the training code's dependencies.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core import selection
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.model import MAX_CONDITION_INDICATORS
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import (
    EventPlanner,
    Session,
)

#: Rows of one XLA block and rows run before the first one that counts.
BLOCK = 1024
BURN_IN = 192
#: Sessions run side by side.
LANES = 32
#: Jitter of a series' own calendar: normal scores for the level, a share for the rest.
STYLE_LEVEL_JITTER = 0.03
STYLE_JITTER = 0.02


class Synthesizer:
    """A synthesizer, loaded or fresh.

    Args:
      module: A `SynthesizerModule`, or what `tf.saved_model.load` returned for one.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.metadata: dict[str, Any] = json.loads(module.metadata.numpy().decode())
        self.store = {name: value.numpy() for name, value in module.store.items()}
        found = self.metadata["calendar"]
        self.calendar = Calendar(
            tuple(found["periods_s"]), tuple(found["harmonics"]), found["start_s"], tuple(found["trend_s"])
        )
        self.kinds: tuple[str, ...] = tuple(self.metadata["kinds"])
        self.interval_s: float = self.metadata["interval_s"]
        self.numeric: list[int] = self.metadata["numeric"]

    @classmethod
    def load(cls, path: str) -> Synthesizer:
        """Loads a SavedModel directory."""
        return cls(tf.saved_model.load(path))

    @property
    def styles(self) -> int:
        """Number of series styles."""
        return len(self.store["styles"])

    def plan_events(
        self, sessions: list[Session], amplification: dict[str, float], seed: int
    ) -> list[Session]:
        """Gives sessions their anomalies; see `planning.plan_events`."""
        return EventPlanner(self.store, self.kinds, self.interval_s).plan(sessions, amplification, seed)

    def sample(self, sessions: list[Session], seed: int) -> list[dict[str, np.ndarray]]:
        """Samples sessions, `LANES` at a time; the batch's first session numbers its seed.

        Args:
          sessions: With their events.
          seed: Same seed and sessions, same bytes.

        Returns:
          Per session: `values` [n, features] float64 (NaN null, categorical codes), `kind` [n] int32.
        """
        out: list[dict[str, np.ndarray]] = []
        for begin in range(0, len(sessions), LANES):
            out += self._sample_batch(sessions[begin : begin + LANES], seed)
        return out

    def latent_paths(
        self, sessions: list[Session], seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Runs the linear core.

        Args:
          sessions: At most `LANES`.
          seed: Seed.

        Returns:
          Scores [S, T, F] float32, chain states [S, T, G] int32, kinds [S, T] int32 and design
          [S, T, C] float32; T is the longest session's.
        """
        steps = max(s.steps for s in sessions)
        numbers = np.array([s.number for s in sessions])
        lanes = 1 << int(np.ceil(np.log2(max(len(sessions), 1))))
        offsets = np.arange(-BURN_IN, steps) * round(self.interval_s * MICROSECONDS)
        time_us = np.array([s.start_us for s in sessions])[:, None] + offsets
        design = self.calendar.design(time_us)
        styles, offset = self._styles(numbers, seed)
        mean = np.matmul(design, styles.transpose(0, 2, 1))
        phases = self.calendar.phase_bins(time_us)
        kind = np.zeros(time_us.shape, np.int32)
        for index, session in enumerate(sessions):
            for event in session.events:
                begin = BURN_IN + event.start
                kind[index, begin : begin + event.rows] = self.store["event_kind"][event.template]
        total = steps + BURN_IN
        blocks = -(-total // BLOCK)
        block = BLOCK if blocks > 1 else 1 << int(np.ceil(np.log2(total)))
        padding = ((0, lanes - len(sessions)), (0, blocks * block - total))
        mean = np.pad(mean.astype(np.float32), (*padding, (0, 0)), mode="edge")
        phases = np.pad(phases, (*padding, (0, 0)), mode="edge")
        padded_kind = np.pad(kind, padding)
        base = np.array([seed & 0x7FFFFFFF, int(numbers[0]) * 4096], np.int64)
        carry = self.module.start(tf.constant(base), tf.zeros([lanes]))
        carry["offset"] = tf.constant(np.pad(offset, ((0, lanes - len(sessions)), (0, 0))))
        scores, states = [], []
        for index in range(blocks):
            part = slice(index * block, (index + 1) * block)
            z, state, carry = self.module.simulate(
                tf.constant(base + np.array([0, index + 1])),
                tf.constant(np.ascontiguousarray(mean[:, part])),
                tf.constant(np.ascontiguousarray(phases[:, part])),
                tf.constant(np.ascontiguousarray(padded_kind[:, part])),
                carry,
            )
            scores.append(z.numpy())
            states.append(state.numpy())
        keep = (slice(0, len(sessions)), slice(BURN_IN, total))
        return (
            np.concatenate(scores, axis=1)[keep],
            np.concatenate(states, axis=1)[keep],
            kind[:, BURN_IN:],
            design[:, BURN_IN:],
        )

    def _styles(self, numbers: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Calendar coefficients [S, F, C] and offsets [S, F] of sessions: a series' own, jittered."""
        styles = self.store["styles"]
        out = np.empty((len(numbers), *styles.shape[1:]), np.float32)
        offset = np.empty((len(numbers), styles.shape[1]), np.float32)
        for place, number in enumerate(numbers):
            generator = np.random.default_rng([seed & 0x7FFFFFFF, 2, int(number)])
            own = styles[int(number) % len(styles)]
            out[place] = own * (1 + STYLE_JITTER * generator.standard_normal(own.shape))
            level = STYLE_LEVEL_JITTER * generator.standard_normal(len(own))
            out[place, :, 0] += level
            offset[place] = self.store["offsets"][int(number) % len(styles)] + level
        return out, offset

    def condition(self, design: np.ndarray, kind: np.ndarray, states: np.ndarray) -> np.ndarray:
        """What the networks are conditioned on: cycles' first harmonics, kind, indicators.

        Args:
          design: Shape [S, T, C].
          kind: Shape [S, T].
          states: Chains' states. Shape [S, T, G].

        Returns:
          Shape [S, T, Q], float32.
        """
        columns, column = [], 1
        for count in self.calendar.harmonics:
            columns += [column, column + 1]
            column += 2 * count
        hot = (kind[..., None] == np.arange(1, len(self.kinds) + 1)).astype(np.float32)
        indicator = self.store["indicator"][states + self.store["state_offset"]].sum(-2)
        return np.concatenate(
            [design[..., columns], hot, indicator[..., :MAX_CONDITION_INDICATORS]], axis=-1
        ).astype(np.float32)

    def effects(self, sessions: list[Session], steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Additive effects (scale units) and holds of the sessions' anomalies. Shapes [S, T, F]."""
        count = len(self.numeric)
        effect = np.zeros((len(sessions), steps, count), np.float32)
        hold = np.zeros((len(sessions), steps, count), bool)
        for index, session in enumerate(sessions):
            generator = np.random.default_rng([seed & 0x7FFFFFFF, 3, session.number])
            for event in session.events:
                rows = slice(event.start, event.start + event.rows)
                e = event.template
                effect[index, rows] = event_lib.event_effect(
                    self.store["event_course"][e],
                    self.store["event_wave"][e],
                    self.store["event_noise"][e],
                    event.rows,
                    generator,
                )
                place = np.arange(event.rows)[:, None] / max(event.rows - 1, 1)
                first, last = self.store["event_hold"][e].T
                hold[index, rows] |= (place > first) & (place <= last)
        return effect, hold

    def _sample_batch(self, sessions: list[Session], seed: int) -> list[dict[str, np.ndarray]]:
        number = selection.draws(len(sessions), sum(len(s.keep) for s in sessions), LANES)
        count = len(sessions)
        scores, states, kind, design = self.latent_paths(sessions * number, seed)
        if number > 1:
            counted = np.zeros((count, scores.shape[1]), bool)
            for index, session in enumerate(sessions):
                counted[index, session.keep] = True
            chosen = selection.choose(
                scores.reshape(number, count, *scores.shape[1:]),
                states.reshape(number, count, *states.shape[1:]),
                counted & (kind[:count] == 0),
                self.store["margin"],
                self._shares(),
                self.store["correlation"],
                np.random.default_rng([seed & 0x7FFFFFFF, 4, sessions[0].number]),
            )
            lanes = chosen * count + np.arange(count)
            scores, states = scores[lanes], states[lanes]
        return self.finish(sessions, scores, states, kind[:count], design[:count], seed)

    def _shares(self) -> list[np.ndarray]:
        """Stationary share of each chain's states."""
        out = []
        for size, cumulative in zip(self.store["states"], self.store["frequency"]):
            out.append(np.diff(np.concatenate([[0.0], cumulative[: size - 1], [1.0]])))
        return out

    def finish(
        self,
        sessions: list[Session],
        scores: np.ndarray,
        states: np.ndarray,
        kind: np.ndarray,
        design: np.ndarray,
        seed: int,
    ) -> list[dict[str, np.ndarray]]:
        """Core paths to rows in source units: residual, effects, holds, levels, nulls."""
        steps = scores.shape[1]
        effect, frozen = self.effects(sessions, steps, seed)
        noise_seed = tf.constant([seed & 0x7FFFFFFF, sessions[0].number * 4096 + 4095], tf.int64)
        if self.metadata["residual"]:
            condition = self.condition(design, kind, states)
            refined = self.module.refine(tf.constant(scores), tf.constant(condition), noise_seed)
        else:
            refined = tf.constant(scores)
        numeric = self.module.emit(refined, tf.constant(effect)).numpy()
        rows = states + self.store["state_offset"]
        held = (self.store["hold"][rows].sum(-2) > 0) | frozen
        held[:, 0] = False
        if held.any():
            last = np.maximum.accumulate(np.where(held, 0, np.arange(steps)[None, :, None]), axis=1)
            numeric = np.take_along_axis(numeric, last, axis=1)
        values = np.full((*scores.shape[:2], self.metadata["features"]), np.nan)
        values[..., self.numeric] = numeric
        for feature, value in self.metadata["constants"].items():
            values[..., int(feature)] = value
        missing = []
        for index, variable in enumerate(self.metadata["variables"]):
            code = self.store["state_codes"][rows[..., variable["chain"]], index]
            if variable["role"] == "level":
                forced = self._forced(sessions, index, steps)
                code = np.where(forced >= 0, forced, code)
                values[..., variable["feature"]] = np.array(variable["levels"])[code]
            elif variable["role"] == "null":
                missing.append((variable["feature"], code == 1))
        for feature, mask in missing:
            values[..., feature][mask] = np.nan
        return [{"values": values[i, s.keep], "kind": kind[i, s.keep]} for i, s in enumerate(sessions)]

    def _forced(self, sessions: list[Session], variable: int, steps: int) -> np.ndarray:
        out = np.full((len(sessions), steps), -1, np.int32)
        for index, session in enumerate(sessions):
            for event in session.events:
                code = self.store["event_forced"][event.template, variable]
                out[index, event.start : event.start + event.rows] = code
        return out
