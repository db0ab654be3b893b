"""Draws sessions from a synthesizer: the plan on the host, the mathematics in its SavedModel.

Works alike on the module in memory (training) and on a SavedModel loaded in a process that has none
of the training code's dependencies.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tensorflow as tf

from components.errors import DataError
from components.synthesizer_trainer.core import conforming, selection
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.columns import on_lattice
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

    Raises:
      DataError: the model was saved by an earlier version.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.metadata: dict[str, Any] = json.loads(module.metadata.numpy().decode())
        if "lattice" not in self.metadata:
            raise DataError(
                "the synthesizer's model was saved by an earlier version, which this one does not sample. "
                "Train it again."
            )
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
        total = steps + BURN_IN
        blocks = -(-total // BLOCK)
        block = BLOCK if blocks > 1 else 1 << int(np.ceil(np.log2(total)))
        offsets = np.arange(-BURN_IN, blocks * block - BURN_IN) * round(self.interval_s * MICROSECONDS)
        # Sessions mostly begin together: a start's calendar is worked out once.
        starts, which = np.unique([s.start_us for s in sessions], return_inverse=True)
        lane = np.minimum(np.arange(lanes), len(sessions) - 1)
        calendars = self.calendar.design(starts[:, None] + offsets)
        cycles = self.calendar.phase_bins(starts[:, None] + offsets)
        styles, offset = self._styles(numbers, seed)
        kind = np.zeros((lanes, len(offsets)), np.int32)
        for index, session in enumerate(sessions):
            for event in session.events:
                begin = BURN_IN + event.start
                kind[index, begin : begin + event.rows] = self.store["event_kind"][event.template]
        base = np.array([seed & 0x7FFFFFFF, int(numbers[0]) * 4096], np.int64)
        carry = self.module.start(tf.constant(base), tf.zeros([lanes]))
        carry["offset"] = tf.constant(np.pad(offset, ((0, lanes - len(sessions)), (0, 0))))
        scores, states = [], []
        for index in range(blocks):
            part = slice(index * block, (index + 1) * block)
            mean = np.matmul(calendars[which[lane], part], styles[lane].transpose(0, 2, 1))
            z, state, carry = self.module.simulate(
                tf.constant(base + np.array([0, index + 1])),
                tf.constant(mean),
                tf.constant(cycles[which[lane], part]),
                tf.constant(np.ascontiguousarray(kind[:, part])),
                carry,
            )
            scores.append(z.numpy())
            states.append(state.numpy())
        keep = (slice(0, len(sessions)), slice(BURN_IN, total))
        return (
            np.concatenate(scores, axis=1)[keep],
            np.concatenate(states, axis=1)[keep],
            kind[keep],
            calendars[which, BURN_IN:total],
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
        rows = states + self.store["state_offset"]
        held = (self.store["hold"][rows].sum(-2) > 0) | frozen
        held[:, 0] = False
        last = None
        if held.any():
            last = np.maximum.accumulate(np.where(held, 0, np.arange(steps)[None, :, None]), axis=1)
        conformed = self._conform(sessions, refined.numpy(), kind, last)
        numeric = self.module.emit(refined, tf.constant(effect), *conformed).numpy()
        if last is not None:
            numeric = np.take_along_axis(numeric, last, axis=1)
        values = np.full((*scores.shape[:2], self.metadata["features"]), np.nan)
        values[..., self.numeric] = numeric
        for feature, (origin, step) in zip(self.numeric, self.metadata["lattice"]):
            if step:
                values[..., feature] = on_lattice(values[..., feature], origin, step)
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

    def _conform(
        self, sessions: list[Session], scores: np.ndarray, kind: np.ndarray, last: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What conforms the batch to the model: a shift of its scores, then a map; none where it is short.

        Args:
          sessions: The batch.
          scores: Shape [S, T, F].
          kind: Shape [S, T].
          last: Row whose value each row shows, or None where nothing holds. Shape [S, T, F].

        Returns:
          Shape [S, T, F] and [F, GRID_SIZE].
        """
        features, styles = scores.shape[2], len(self.store["target_quantiles"])
        normal = [s.keep[kind[i, s.keep] == 0] for i, s in enumerate(sessions)]
        lengths = np.array([len(own) for own in normal])
        trained_s = self.metadata["stop_s"] - self.calendar.start_s if styles else 0.0
        lasting_s = np.mean([s.steps for s in sessions]) * self.interval_s
        enough = lengths.sum() >= conforming.MIN_ROWS and lasting_s >= conforming.MIN_SHARE * trained_s
        if not (features and styles and enough):
            return np.zeros_like(scores), conforming.identity(features)
        shown = scores if last is None else np.take_along_axis(scores, last, axis=1)
        slow = conforming.slow_part(scores)
        own = np.array([s.number for s in sessions]) % styles
        targets = [self.store[f"target_{name}"][own] for name in ("quantiles", "means", "products")]
        matrix, offset, table = conforming.fit_maps(
            np.concatenate([shown[i, rows] for i, rows in enumerate(normal)]),
            np.concatenate([slow[i, rows] for i, rows in enumerate(normal)]),
            conforming.Targets(*targets),
            self.store["table"],
            lengths / lengths.sum(),
            self.store["hold"].any(0),
        )
        return slow @ matrix + offset, table

    def _forced(self, sessions: list[Session], variable: int, steps: int) -> np.ndarray:
        out = np.full((len(sessions), steps), -1, np.int32)
        for index, session in enumerate(sessions):
            for event in session.events:
                code = self.store["event_forced"][event.template, variable]
                out[index, event.start : event.start + event.rows] = code
        return out
