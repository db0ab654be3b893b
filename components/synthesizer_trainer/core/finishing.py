"""From the core's paths to rows in source units: residual, effects, conforming, holds, levels, nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.core import conforming, flicker
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.columns import on_lattice
from components.synthesizer_trainer.core.model import MAX_CONDITION_INDICATORS
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import Session


class Finisher:
    """What a synthesizer does after its core; `sampling.Synthesizer` fills the attributes.

    Attributes:
      module: A `SynthesizerModule`, or what `tf.saved_model.load` returned for one.
      metadata: Its description of columns, kinds and calendar.
      store: Its tables.
      calendar: Functions of time.
      kinds: Names of the anomaly kinds.
      interval_s: Cadence.
      numeric: Feature indices of the latent series.
    """

    module: Any
    metadata: dict[str, Any]
    store: dict[str, np.ndarray]
    calendar: Calendar
    kinds: tuple[str, ...]
    interval_s: float
    numeric: list[int]

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
        for count in filter(None, self.calendar.harmonics):
            columns += [column, column + 1]
            column += 2 * count
        shown = self.store["indicator"][:, :MAX_CONDITION_INDICATORS]
        first = len(columns) + len(self.kinds)
        out = np.empty((*kind.shape, first + shown.shape[1]), np.float32)
        out[..., : len(columns)] = design[..., columns]
        for index in range(len(self.kinds)):
            out[..., len(columns) + index] = kind == index + 1
        out[..., first:] = 0
        for chain, begin in enumerate(self.store["state_offset"][: states.shape[-1]]):
            own = shown[begin : begin + self.store["states"][chain]]
            if own.any():
                out[..., first:] += own[states[..., chain]]
        return out

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

    def finish(
        self,
        sessions: list[Session],
        scores: np.ndarray,
        states: np.ndarray,
        kind: np.ndarray,
        design: np.ndarray,
        seed: int,
    ) -> list[dict[str, np.ndarray]]:
        """Core paths to rows in source units; see `sampling.Synthesizer.sample` for what is returned."""
        count, steps, features = scores.shape
        effect, frozen = np.zeros((1, 1, features), np.float32), None
        if any(session.events for session in sessions):
            effect, frozen = self.effects(sessions, steps, seed)
        noise_seed = tf.constant([seed & 0x7FFFFFFF, sessions[0].number * 4096 + 4095], tf.int64)
        if self.metadata["residual"]:
            condition = self.condition(design, kind, states)
            scores = self.module.refine(tf.constant(scores), tf.constant(condition), noise_seed).numpy()
        rows = states + self.store["state_offset"]
        last = self._last_rows(rows, frozen)
        conformed = self._conform(sessions, scores, kind, last)
        numeric = self.module.emit(scores, effect, *conformed).numpy()
        # Column by column: every step below reads and writes memory in order.
        values = np.full((self.metadata["features"], count, steps), np.nan)
        for place, (feature, lattice) in enumerate(zip(self.numeric, self.metadata["lattice"])):
            column = numeric[place]
            if place in last:
                column = np.take_along_axis(column, last[place], axis=1)
            origin, step = lattice
            values[feature] = on_lattice(column.astype(np.float64), origin, step) if step else column
        for name, value in self.metadata["constants"].items():
            values[int(name)] = value
        missing = []
        for index, variable in enumerate(self.metadata["variables"]):
            code = self.store["state_codes"][:, index][rows[..., variable["chain"]]]
            if variable["role"] == "level":
                if frozen is not None:
                    forced = self._forced(sessions, index, steps)
                    code = np.where(forced >= 0, forced, code)
                if variable["flicker"] >= 0:
                    code = self._flickered(sessions, index, code, rows[..., variable["chain"]], seed)
                values[variable["feature"]] = np.array(variable["levels"])[code]
            elif variable["role"] == "null":
                missing.append((variable["feature"], code == 1))
        for feature, mask in missing:
            values[feature][mask] = np.nan
        out = []
        for index, session in enumerate(sessions):
            keep = session.keep
            # A session without gaps is a view; gaps cost a copy.
            own = slice(int(keep[0]), int(keep[-1]) + 1) if len(keep) == keep[-1] - keep[0] + 1 else keep
            out.append({"values": values[:, index, own].T, "kind": kind[index, own]})
        return out

    def _last_rows(self, rows: np.ndarray, frozen: np.ndarray | None) -> dict[int, np.ndarray]:
        """The row whose value each row shows, of the latent series that hold anywhere.

        Args:
          rows: Of the states' tables. Shape [S, T, G].
          frozen: Holds of anomalies, or None where there is none. Shape [S, T, F].

        Returns:
          Latent series to rows. Shape [S, T].
        """
        out = {}
        steps = np.arange(rows.shape[1])
        holding = self.store["hold"].any(0)
        for place in np.flatnonzero(holding if frozen is None else holding | frozen.any((0, 1))):
            held = np.zeros(rows.shape[:2], bool) if frozen is None else frozen[..., place]
            own = self.store["hold"][:, place] > 0
            for chain in range(rows.shape[2]) if own.any() else ():
                held = held | own[rows[..., chain]]
            held[:, 0] = False
            out[int(place)] = np.maximum.accumulate(np.where(held, 0, steps), axis=1)
        return out

    def conforms(self, sessions: list[Session], rows: int) -> bool:
        """Whether a batch of so many normal rows is as long as what the model was trained on."""
        if not (self.numeric and len(self.store["target_quantiles"])):
            return False
        trained_s = self.metadata["stop_s"] - self.calendar.start_s
        lasting_s = float(np.mean([s.steps for s in sessions])) * self.interval_s
        return rows >= conforming.MIN_ROWS and lasting_s >= conforming.MIN_SHARE * trained_s

    def _conform(
        self, sessions: list[Session], scores: np.ndarray, kind: np.ndarray, last: dict[int, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What conforms the batch to the model: a shift of its scores, then a map; none where it is short.

        Args:
          sessions: The batch.
          scores: Shape [S, T, F].
          kind: Shape [S, T].
          last: Row whose value each row shows, of latent series that hold (`_last_rows`).

        Returns:
          Shift by block, shape [S, blocks, F], and map, shape [F, GRID_SIZE].
        """
        features = scores.shape[2]
        normal = [s.keep[kind[i, s.keep] == 0] for i, s in enumerate(sessions)]
        lengths = np.array([len(own) for own in normal])
        if not self.conforms(sessions, int(lengths.sum())):
            return conforming.no_shift(scores), conforming.identity(features)
        chosen = conforming.spread(int(lengths.sum()))
        place, row = np.repeat(np.arange(len(sessions)), lengths)[chosen], np.concatenate(normal)[chosen]
        shown = scores[place, row]
        stuck = np.zeros(features, bool)
        for feature, rows in last.items():
            since = rows[place, row]
            shown[:, feature] = scores[place, since, feature]
            stuck[feature] = np.mean(row - since) > conforming.MAX_HELD
        means = conforming.block_means(scores)
        shares = self._target_shares(sessions, normal)
        own = np.flatnonzero(shares)
        targets = [self.store[f"target_{name}"][own] for name in ("quantiles", "means", "products")]
        matrix, offset, table = conforming.fit_maps(
            shown,
            conforming.at_rows(means, place, row),
            conforming.Targets(*targets),
            self.store["table"],
            shares[own],
            stuck,
        )
        return means @ matrix + offset, table

    def _target_shares(self, sessions: list[Session], rows: list[np.ndarray]) -> np.ndarray:
        """Share of the sessions' rows, which are given, that each target is for. Shape [styles * parts]."""
        styles, parts = len(self.store["styles"]), self.calendar.parts
        count = np.zeros(styles * parts)
        for session, own in zip(sessions, rows):
            times = session.start_us + own * round(self.interval_s * MICROSECONDS)
            places = session.number % styles * parts + self.calendar.part_of_day(times)
            count += np.bincount(places, minlength=len(count))
        return count / count.sum()

    def _flickered(
        self, sessions: list[Session], index: int, heads: np.ndarray, rows: np.ndarray, seed: int
    ) -> np.ndarray:
        """What a number shows of the values that are one code of its chain (`flicker`). Shape [S, T].

        Args:
          sessions: The batch.
          index: Of the variable.
          heads: Code that the chain shows, or that an event forces. Shape [S, T].
          rows: Of the states' tables. Shape [S, T].
          seed: Seed.
        """
        variable = self.metadata["variables"][index]
        place, band = variable["flicker"], np.array(variable["band"])
        own = self.store["state_codes"][:, index]
        out = np.empty(heads.shape, np.int64)
        for at, session in enumerate(sessions):
            generator = np.random.default_rng([seed & 0x7FFFFFFF, 8, session.number, index])
            uniform = generator.random(heads.shape[1])
            out[at] = flicker.shown_codes(heads[at], uniform, rows[at], own, self.store["flicker"][place])
            for event in session.events:
                part = slice(event.start, event.start + event.rows)
                shares = self.store["flicker_event"][place, event.template, : len(band)]
                out[at, part] = flicker.shown_in_event(heads[at, part], uniform[part], band, shares)
        return out

    def _forced(self, sessions: list[Session], variable: int, steps: int) -> np.ndarray:
        out = np.full((len(sessions), steps), -1, np.int32)
        for index, session in enumerate(sessions):
            for event in session.events:
                code = self.store["event_forced"][event.template, variable]
                out[index, event.start : event.start + event.rows] = code
        return out
