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
from components.synthesizer_trainer.core import selection
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.finishing import Finisher
from components.synthesizer_trainer.core.model import SAMPLER
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


def _padded(sessions: int) -> int:
    """Lanes that so many sessions are run in: few different numbers, as XLA compiles for each."""
    return 1 << (sessions - 1).bit_length() if sessions <= 4 else -(-sessions // 4) * 4


def _generator(purpose: int, key: tuple[int, int, int]) -> np.random.Generator:
    """NumPy's fastest bit generator, for the bulk of the numbers."""
    return np.random.Generator(np.random.SFC64([key[0], purpose, *key[1:]]))


class Synthesizer(Finisher):
    """A synthesizer, loaded or fresh.

    Args:
      module: A `SynthesizerModule`, or what `tf.saved_model.load` returned for one.

    Raises:
      DataError: the model was saved by an earlier version.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.metadata = json.loads(module.metadata.numpy().decode())
        if self.metadata.get("sampler") != SAMPLER:
            raise DataError(
                "the synthesizer's model was saved by an earlier version, which this one does not sample. "
                "Train it again."
            )
        self.store = {name: value.numpy() for name, value in module.store.items()}
        found = self.metadata["calendar"]
        self.calendar = Calendar(
            tuple(found["periods_s"]),
            tuple(found["harmonics"]),
            found["start_s"],
            tuple(found["trend_s"]),
            found["moments"],
        )
        self.kinds = tuple(self.metadata["kinds"])
        self.interval_s = self.metadata["interval_s"]
        self.numeric = self.metadata["numeric"]

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
        """Gives sessions their anomalies; see `planning.EventPlanner.plan`."""
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
        lanes = _padded(len(sessions))
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
        cause = np.zeros_like(kind)  # a kind's second number is for the rows after its cause
        for index, session in enumerate(sessions):
            for event in session.events:
                begin = BURN_IN + event.start
                own = self.store["event_kind"][event.template]
                kind[index, begin : begin + event.rows] = own
                after = begin + int(np.ceil(self.store["event_until"][own] * event.rows))
                cause[index, begin:after] = own
                cause[index, after : begin + event.rows] = len(self.kinds) + own
                if stretched := self.store["event_cause"][event.template]:
                    shares = self.store["event_stretch"][event.template]
                    first, last = np.rint(shares * event.rows).astype(int)
                    cause[index, begin + first : begin + last] = stretched
        base = np.array([seed & 0x7FFFFFFF, int(numbers[0]) * 4096], np.int64)
        carry = self.module.start(tf.constant(base), tf.zeros([lanes]))
        carry["offset"] = tf.constant(np.pad(offset, ((0, lanes - len(sessions)), (0, 0))))
        chains = carry["state"].shape[1]
        scores = np.empty((len(sessions), blocks * block, len(self.numeric)), np.float32)
        states = np.empty((len(sessions), blocks * block, chains), np.int32)
        for index in range(blocks):
            part = slice(index * block, (index + 1) * block)
            rows = min(block, total - index * block)
            normal = np.zeros((block, lanes, len(self.numeric)), np.float32)
            uniform = np.zeros((block, lanes, chains), np.float32)
            # A stream each: what a row draws does not depend on how many rows follow.
            key = seed & 0x7FFFFFFF, int(numbers[0]), index
            _generator(5, key).standard_normal(out=normal[:rows], dtype=np.float32)
            _generator(6, key).random(out=uniform[:rows], dtype=np.float32)
            mean = np.matmul(calendars[which[lane], part], styles[lane].transpose(0, 2, 1))
            if self.calendar.moments:
                mean += self.store["profile"].T[cycles[:, part, -1]][which[lane]]
            z, state, carry = self.module.simulate(
                normal, uniform, mean, cycles[which[lane], part], cause[:, part], np.int32(rows), carry
            )
            scores[:, part] = z.numpy()[: len(sessions)]
            states[:, part] = state.numpy()[: len(sessions)]
        wanted = slice(BURN_IN, total)
        # Sessions that all begin together share one calendar, which is not copied for each.
        design = calendars[which, wanted] if len(starts) > 1 else calendars[:, wanted]
        return (
            scores[:, wanted],
            states[:, wanted],
            kind[: len(sessions), wanted],
            np.broadcast_to(design, (len(sessions), *design.shape[1:])),
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

    def _sample_batch(self, sessions: list[Session], seed: int) -> list[dict[str, np.ndarray]]:
        rows = sum(len(s.keep) for s in sessions)
        chains = {variable["chain"] for variable in self.metadata["variables"]}
        moved = self.conforms(sessions, rows)
        levels = sum(variable["role"] == "level" for variable in self.metadata["variables"])
        conformed = moved and len(self.numeric) > len(chains)
        number = selection.draws(len(sessions), rows, LANES, conformed)
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
                self._shown(),
                self.store["correlation"],
                None if moved and len(self.numeric) > levels else self.store["autocorrelation"],
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

    def _shown(self) -> list[np.ndarray]:
        """What each chain's states show in the correlations. A chain's rows are 0 for others' variables."""
        sizes, codes = self.store["states"], self.store["state_codes"]
        begins, variables = self.store["state_offset"], self.metadata["variables"]
        scales = [selection.scaled(np.array(v["levels"]), v["number"]) for v in variables]
        return [selection.shown(codes[begin : begin + size], scales) for begin, size in zip(begins, sizes)]
