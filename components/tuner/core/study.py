"""The course of a search: the configuration as it stands, challengers, and repeats of the best of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from components.errors import DataError
from components.tuner.config import Number
from components.tuner.core.choosing import MIN_PAIRS, Comparison, compare
from components.tuner.core.dividing import JUDGED
from components.tuner.core.scoring import MEASURES, Outcome, score

Values = dict[str, Number]
#: What ended the search.
Ended = Literal["time", "trials", "space used up"]
#: `gain`: the challenger is better; `noise`: not beyond seeds and rows; `none`: no trial that may be chosen
#: had a higher score; `hindered`: a repeat of the challenger may not be chosen; `time`: too little of it.
Kind = Literal["gain", "noise", "none", "hindered", "time"]


class Proposes(Protocol):
    """As `search.Proposer`."""

    def begin(self, score: float | None) -> None:
        """Hears the score of the configuration as it stands."""

    def ask(self) -> Values | None:
        """The next values; None where there are no more."""

    def tell(self, values: Values, score: float | None) -> None:
        """Hears their score."""


class Records(Protocol):
    """What is known from before, and where it is kept."""

    def get(self, trial: int, repeat: int, values: Values) -> Outcome | None:
        """An outcome that is known; None where it is not."""

    def put(self, trial: int, repeat: int, values: Values, outcome: Outcome) -> None:
        """Keeps an outcome."""

    def spent_s(self) -> float:
        """Seconds of all that is known."""


#: Trains and judges values: (values, repeat, seconds that its updates may take).
Run = Callable[[Values, int, float], Outcome]
#: Hears of each beginning (outcome None) and end: (trial, repeat, values, outcome, whether it was known).
Tell = Callable[[int, int, Values, "Outcome | None", bool], None]


@dataclass(frozen=True)
class Plan:
    """How much is tried.

    Attributes:
      seconds: On the clock, for the whole study; what earlier attempts at it took is counted.
      trials: Configurations at most, the one as it stands included; None: as many as the time allows.
      repeats: Pairs of repeats that the best challenger is compared by.
    """

    seconds: float
    trials: int | None
    repeats: int


@dataclass
class Trial:
    """A configuration.

    Attributes:
      number: From 0, the configuration as it stands.
      values: Of the searched keys; empty for trial 0.
      outcomes: By repeat. 0 is the search's; further ones have seeds and held-back rows of their own.
    """

    number: int
    values: Values
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def hindrance(self) -> str:
        """Why it may not be chosen: the first reason of any repeat; empty where it may."""
        return next((found.hindrance for found in self.outcomes.values() if found.hindrance), "")


@dataclass(frozen=True)
class Study:
    """What came of it.

    Attributes:
      trials: In order.
      parts: Measures that the score is the mean of.
      ended: What ended the search.
      kind: What became of the best challenger.
      challenger: Its number; None where there was none.
      comparison: Of its repeats; None where there were too few.
    """

    trials: tuple[Trial, ...]
    parts: tuple[str, ...]
    ended: Ended
    kind: Kind
    challenger: int | None = None
    comparison: Comparison | None = None

    def score(self, trial: Trial, repeat: int = 0) -> float | None:
        """Its score; None where it failed or was cut short."""
        outcome = trial.outcomes.get(repeat)
        return score(outcome, self.parts) if outcome is not None and outcome.status == "done" else None


class Budget:
    """Time on the clock, and how much of it the next training is expected to take.

    Expected: an estimate from the configuration's size, times the median ratio of what trainings so far took
    to their estimates.
    """

    def __init__(
        self, seconds: float, spent_s: float, clock: Callable[[], float], estimate: Callable[[Values], float]
    ) -> None:
        """Starts the clock; `clock` gives seconds, `estimate` those of a training of some values."""
        self._clock, self._estimate = clock, estimate
        self._ends = clock() + seconds - spent_s
        self._ratios: list[float] = []

    def left(self) -> float:
        """Seconds."""
        return self._ends - self._clock()

    def expected(self, values: Values) -> float:
        """Seconds of a training."""
        return self._estimate(values) * (statistics.median(self._ratios) if self._ratios else 1.0)

    def learn(self, values: Values, outcome: Outcome) -> None:
        """Takes note of what a training took; one that was not finished says nothing."""
        if outcome.status == "done":
            self._ratios.append(outcome.wall_s / self._estimate(values))


class _Course:
    def __init__(self, run: Run, records: Records, budget: Budget, tell: Tell) -> None:
        self._run, self._records, self._tell = run, records, tell
        self.budget = budget

    def known(self, trial: Trial, repeat: int) -> Outcome | None:
        """A recorded outcome; one that was cut short only where the time does not allow a whole one."""
        found = self._records.get(trial.number, repeat, trial.values)
        again = found is not None and found.status == "cut"
        return None if again and self.fits(trial.values) else found

    def fits(self, values: Values, more_s: float = 0.0) -> bool:
        """Whether a training, and what is to come after it, is expected to end in time."""
        return self.budget.left() >= self.budget.expected(values) + more_s

    def outcome(self, trial: Trial, repeat: int) -> Outcome:
        """Runs it, unless it is known."""
        found = self.known(trial, repeat)
        self._tell(trial.number, repeat, trial.values, None, found is not None)
        fresh = found is None
        if found is None:
            found = self._run(trial.values, repeat, max(self.budget.left(), 1.0))
            # The configuration as it stands is tried again: its rows may be mended.
            if trial.number or found.status != "failed":
                self._records.put(trial.number, repeat, trial.values, found)
        self.budget.learn(trial.values, found)
        trial.outcomes[repeat] = found
        self._tell(trial.number, repeat, trial.values, found, not fresh)
        return found


def conduct(propose: Proposes, run: Run, records: Records, plan: Plan, budget: Budget, tell: Tell) -> Study:
    """Searches, then repeats the best challenger beside the configuration as it stands.

    No training begins that is not expected to end in time, but for the first. Time for the repeats is kept
    free: for all of them once a trial leads, for `MIN_PAIRS` pairs before.

    Args:
      propose: Says what comes next.
      run: Trains and judges.
      records: Outcomes from before; gets each new one.
      plan: How much is tried.
      budget: The time; its clock has begun.
      tell: Hears of each training.

    Raises:
      DataError: the configuration as it stands cannot be trained, or its rows cannot be judged.
    """
    course = _Course(run, records, budget, tell)
    first = Trial(0, {})
    outcome = course.outcome(first, 0)
    if outcome.status == "failed":
        raise DataError(outcome.reason)
    parts = tuple(name for name in MEASURES if name in outcome.measures)
    if outcome.status == "cut":
        return Study((first,), parts, "time", "time")
    if not parts:
        raise DataError(
            "no measure of fidelity is defined for the held-back rows: none of the features varies"
        )
    if outcome.excess is None:
        # Nothing could be chosen: better said now than when the time is over.
        raise DataError(f"{outcome.hindrance}. Use a longer span.")
    trials = [first]
    ended = _search(course, propose, plan, trials, parts)
    return _judge(course, plan, trials, parts, ended)


def _search(
    course: _Course, propose: Proposes, plan: Plan, trials: list[Trial], parts: tuple[str, ...]
) -> Ended:
    worst = score(trials[0].outcomes[0], parts)
    propose.begin(worst)
    while plan.trials is None or len(trials) < plan.trials:
        values = propose.ask()
        if values is None:
            return "space used up"
        trial = Trial(len(trials), values)
        # A pair is two trainings. While none leads, the fewest pairs are enough to go on looking for one.
        pairs = plan.repeats if _leader(trials, parts) is not None else min(MIN_PAIRS, plan.repeats)
        reserve = 2 * pairs * course.budget.expected({})
        if course.known(trial, 0) is None and not course.fits(values, reserve):
            return "time"
        outcome = course.outcome(trial, 0)
        trials.append(trial)
        if outcome.status != "done":
            propose.tell(values, None)
            continue
        # One that may not be chosen is told as the worst, so that the search leaves its neighbourhood.
        told = worst if outcome.hindrance else score(outcome, parts)
        worst = min(worst, told)
        propose.tell(values, told)
    return "trials"


def _leader(trials: list[Trial], parts: tuple[str, ...]) -> Trial | None:
    """The best of the trials that may be chosen; None where its score is not above the first's."""

    def found(trial: Trial) -> float:
        return score(trial.outcomes[0], parts)

    allowed = [trial for trial in trials[1:] if not trial.hindrance]
    best = max(allowed, key=found, default=None)
    return best if best is not None and found(best) > found(trials[0]) else None


def _judge(course: _Course, plan: Plan, trials: list[Trial], parts: tuple[str, ...], ended: Ended) -> Study:
    """Repeats the trial with the highest score of those that may be chosen, where it is not the first."""
    first, best = trials[0], _leader(trials, parts)
    if len(trials) == 1:
        return Study((first,), parts, ended, "time" if ended == "time" else "none")
    if best is None:
        return Study(tuple(trials), parts, ended, "none")
    pairs: list[int] = []
    for repeat in range(1, plan.repeats + 1):
        both = (first, best)
        for trial in both:
            if course.known(trial, repeat) is None and not course.fits(trial.values):
                break
            course.outcome(trial, repeat)
        if not all(repeat in trial.outcomes for trial in both):
            break
        if all(trial.outcomes[repeat].status == "done" for trial in both):
            pairs.append(repeat)
    if best.hindrance and not any(o.status == "cut" for o in best.outcomes.values()):
        return Study(tuple(trials), parts, ended, "hindered", best.number)
    if len(pairs) < MIN_PAIRS:
        return Study(tuple(trials), parts, ended, "time", best.number)
    ours, theirs = ([score(trial.outcomes[r], parts) for r in pairs] for trial in (best, first))
    comparison = compare(ours, theirs, JUDGED)
    kind: Kind = "gain" if comparison.better else "noise"
    return Study(tuple(trials), parts, ended, kind, best.number, comparison)


def changed(values: Mapping[str, Number], now: Mapping[str, Number]) -> Values:
    """The values that differ from those as configured."""
    return {name: value for name, value in values.items() if value != now[name]}
