"""Which configuration comes next: keras-tuner's Bayesian optimisation, asked and told.

The oracle's own files stand in a folder that goes with the process: a search is resumed by telling a new
oracle the outcomes again, and it then asks for the same values again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np

from components.tuner.config import SEARCHABLE, KeySpace, Number

#: Expected share of a score's variance over the trials that is noise of their seeds: the Gaussian process
#: does not run through every point.
NOISE = 0.1
#: Where values come that were tried already, others are drawn; after so many draws the space is used up.
MAX_DRAWS = 200
#: Digits of a number that is tried, and printed to be pasted.
DIGITS = 3

Values = dict[str, Number]


class _Oracle(kt.oracles.BayesianOptimizationOracle):
    """Bayesian optimisation that begins with the configuration as it stands, and tries nothing twice."""

    def __init__(self, first: Values | None, tried: Callable[[Mapping[str, Number]], bool], **options: Any):
        super().__init__(**options)
        self.first, self.tried = first, tried
        self.draws = np.random.default_rng([options["seed"], 1])

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Values of the next trial; `Oracle.populate_space` says what they are."""
        if self.first is not None:
            first, self.first = self.first, None
            return {"status": "RUNNING", "values": first}
        found: dict[str, Any] = super().populate_space(trial_id)
        for _ in range(MAX_DRAWS):
            if found["values"] is not None and not self.tried(found["values"]):
                return found
            values = {
                hp.name: hp.random_sample(int(self.draws.integers(2**31))) for hp in self.get_space().space
            }
            found = {"status": "RUNNING", "values": values}
        return {"status": "STOPPED", "values": None}


class _Tuner(kt.Tuner):
    """Gives the oracle its folder; the trials are run by `study`, which asks and tells."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        """Never called: `search` is not."""
        raise NotImplementedError


class Proposer:
    """Proposes values, by the scores of those before.

    The first so many are random, as many as there are keys; then a Gaussian process (Matern 5/2) is fitted to
    the scores, and what it holds to be best within its uncertainty (upper confidence bound) comes next.
    Source: keras-tuner 1.4.7, `BayesianOptimizationOracle`; Snoek, Larochelle and Adams (2012).
    """

    def __init__(self, space: Mapping[str, KeySpace], now: Values, seed: int, folder: Path) -> None:
        """Asks nothing yet.

        Args:
          space: Values by key.
          now: The keys' values as configured: the trial whose score is told first, if the space holds it.
          seed: Same seed and same scores, same values.
          folder: Gets the oracle's files; empty.
        """
        self._space = dict(space)
        inside = all(values.holds(now[name]) for name, values in self._space.items())
        self._oracle = _Oracle(
            dict(now) if inside else None,
            lambda found: self._key(self._short(found)) in self._tried,
            objective=kt.Objective("score", "max"),
            max_trials=None,  # the study says when it is enough
            num_initial_points=len(self._space) + inside,
            alpha=NOISE,
            seed=seed,
            hyperparameters=_hyperparameters(self._space),
            max_consecutive_failed_trials=sys.maxsize,
        )
        self._oracle.verbose = 0
        _Tuner(oracle=self._oracle, directory=str(folder), project_name="search")
        self._knows_now, self._now = inside, dict(now)
        self._tried = {self._key(now)}
        self._open: Any = None

    def begin(self, score: float | None) -> None:
        """Tells the score of the values as configured; None where they may not be chosen."""
        if self._knows_now:
            self._open = self._oracle.create_trial("tuner0")
            self.tell(self._now, score)

    def ask(self) -> Values | None:
        """The next values, none that were tried before; None where the space is used up."""
        self._open = self._oracle.create_trial("tuner0")
        return None if self._open.status == "STOPPED" else self._short(self._open.hyperparameters.values)

    def tell(self, values: Values, score: float | None) -> None:
        """Says what the values that were asked for came to; None: they are not to be learned from."""
        self._tried.add(self._key(values))
        trial, self._open = self._open, None
        if score is not None:
            self._oracle.update_trial(trial.trial_id, {"score": float(score)})
        trial.status = "COMPLETED" if score is not None else "FAILED"
        self._oracle.end_trial(trial)

    def _short(self, found: Mapping[str, Number]) -> Values:
        values = {}
        for name, space in self._space.items():
            value = rounded(found[name], SEARCHABLE[name])
            # Fewer digits may lie outside of a range whose ends have more.
            values[name] = min(max(value, min(space.ends())), max(space.ends()))
        return values

    def _key(self, values: Values) -> tuple[Number, ...]:
        return tuple(values[name] for name in self._space)


def _hyperparameters(space: Mapping[str, KeySpace]) -> Any:
    found = kt.HyperParameters()
    for name, values in space.items():
        whole = SEARCHABLE[name] is int
        if values.choices is not None:
            found.Choice(name, [int(v) if whole else float(v) for v in sorted(values.choices)])
        elif whole:
            low, high = (int(v) for v in values.ends())
            found.Int(name, low, high, sampling=values.scale)
        else:
            low_float, high_float = (float(v) for v in values.ends())
            found.Float(name, low_float, high_float, sampling=values.scale)
    return found


def rounded(value: Number, kind: type) -> Number:
    """A value in the form that is tried and printed: an integer, or so many digits."""
    if kind is int or value == 0:
        return kind(value)  # type: ignore[no-any-return]
    return float(round(value, DIGITS - 1 - math.floor(math.log10(abs(value)))))
