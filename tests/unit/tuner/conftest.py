"""A trainer, a proposer and a clock that are made up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from components.tuner.core.scoring import MEASURES, Outcome
from components.tuner.core.study import Budget, Plan, conduct


def outcome(score, wall_s=10.0, **changes):
    """A finished training whose measures have that mean score."""
    measures = {name: score if more else 1 - score for name, more in MEASURES.items()}
    return Outcome(**{"status": "done", "measures": measures, "excess": 0.01, "wall_s": wall_s, **changes})


@dataclass
class Fake:
    """Everything that a study needs, in memory.

    Attributes:
      score: (values, repeat) to a score, or to an Outcome.
      offers: Values in the order in which they are proposed.
      cost_s: Seconds of a training on the made-up clock.
    """

    score: object
    offers: list
    cost_s: float = 10.0
    expected_s: float = 10.0
    now: float = 0.0
    kept: dict = field(default_factory=dict)
    ran: list = field(default_factory=list)
    told: list = field(default_factory=list)
    limits: list = field(default_factory=list)
    killed_after: int | None = None

    def begin(self, score):
        self.told.append(score)

    def ask(self):
        place = len(self.told) - 1
        return dict(self.offers[place]) if place < len(self.offers) else None

    def tell(self, values, score):
        self.told.append(score)

    def get(self, trial, repeat, values):
        found = self.kept.get((trial, repeat))
        assert found is None or found[0] == values
        return found[1] if found else None

    def put(self, trial, repeat, values, found):
        self.kept[trial, repeat] = (dict(values), found)

    def spent_s(self):
        return sum(found.wall_s for _, found in self.kept.values())

    def run(self, values, repeat, limit_s):
        if self.killed_after is not None and len(self.ran) >= self.killed_after:
            raise KeyboardInterrupt
        self.ran.append((dict(values), repeat))
        self.limits.append(limit_s)
        self.now += self.cost_s
        found = self.score(values, repeat)
        return found if isinstance(found, Outcome) else outcome(found, wall_s=self.cost_s)

    def study(self, seconds=1e6, trials=None, repeats=3):
        self.told.clear()
        self.ran.clear()
        budget = Budget(seconds, self.spent_s(), lambda: self.now, lambda values: self.expected_s)
        return conduct(self, self.run, self, Plan(seconds, trials, repeats), budget, lambda *_: None)


@pytest.fixture
def fake():
    return Fake


@pytest.fixture
def done():
    return outcome
