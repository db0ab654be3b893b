"""The one number that trials are compared by, and what keeps a trial from being chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from components.release_evaluator.core.evaluate import Evaluation

#: Measures of fidelity that the score is the mean of, and whether more is better. Names and definitions are
#: the release gate's (`release_evaluator.core.catalogue`); of one that is better low, 1 less it counts.
MEASURES: dict[str, bool] = {
    "marginal_fidelity": True,
    "worst_column_fidelity": True,
    "pairwise_fidelity": True,
    "acf_error": False,
    "step_change_fidelity": True,
}
#: The attack whose excess bounds a trial: telling fitted windows from held-back ones by their distance to the
#: nearest synthetic one.
MEMBERSHIP = "membership_distance_risk_windows"
#: Most that its area under the curve may exceed one half. Chance reached 0.045 where measured: docs/tune.md.
MAX_EXCESS = 0.05

#: `cut`: the time that was left ended the training, so the measures are not the configuration's.
Status = Literal["done", "failed", "cut"]


@dataclass(frozen=True)
class Outcome:
    """What became of one training.

    Attributes:
      status: `done`, `failed` or `cut`.
      measures: Fidelity by name; one that is undefined for the rows is absent.
      excess: Area under the membership attack's curve, less one half; None where it is undefined.
      refused: Rules of the locale's gate that the rows break by what was measured. A rule that only lacks
        records (there are fewer held-back rows here than a release's holdout has) is not among them.
      reason: Why it failed, or why `excess` is undefined; one line.
      wall_s: On the clock.
      cpu_s: Of all threads.
      steps: Generator updates.
      stopped: What ended them.
    """

    status: Status
    measures: Mapping[str, float] = field(default_factory=dict)
    excess: float | None = None
    refused: tuple[str, ...] = ()
    reason: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    steps: int = 0
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "measures": dict(self.measures), "refused": list(self.refused)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """The inverse of `to_json`.

        Raises:
          TypeError, KeyError: it is of another form.
        """
        return cls(**{**value, "refused": tuple(value["refused"])})

    @property
    def hindrance(self) -> str:
        """Why it may not be chosen; empty where it may."""
        if self.status == "failed":
            return f"failed: {self.reason}"
        if self.status == "cut":
            return "cut short by the time that was left"
        if self.excess is None:
            return f"membership cannot be measured: {self.reason}"
        if self.excess > MAX_EXCESS:
            return f"membership excess {self.excess:.3f} is above {MAX_EXCESS:g}"
        if self.refused:
            return f"the gate refuses {', '.join(self.refused)}"
        return ""


def outcome_of(found: Evaluation, training: Mapping[str, Any], wall_s: float, cpu_s: float) -> Outcome:
    """An outcome from the gate's evaluation.

    Args:
      found: Of the sampled rows, the held-back ones in the holdout's place.
      training: The trainer's own report of its updates.
      wall_s: What all of it took.
      cpu_s: In processor seconds.
    """
    known = {metric.name: metric for metric in found.metrics}
    measures = {
        name: float(value)
        for name in MEASURES
        if known[name].status == "OK" and (value := known[name].value) is not None
    }
    member = known[MEMBERSHIP]
    # The risk is twice the distance of the curve's area from one half.
    excess = None if member.status != "OK" or member.value is None else float(member.value) / 2
    refused = [check.metric for check in found.gate.checks if check.outcome == "REFUSED"]
    return Outcome(
        status="done",
        measures=measures,
        excess=excess,
        refused=tuple(dict.fromkeys(refused)),
        reason=(member.reason or member.status) if excess is None else "",
        wall_s=wall_s,
        cpu_s=cpu_s,
        steps=int(training["steps"]),
        stopped=str(training["stopped"]),
    )


def score(outcome: Outcome, parts: Sequence[str]) -> float:
    """The mean of some measures, in [-1, 1], more is better.

    Args:
      outcome: Done.
      parts: Names of `MEASURES`: those that the first trial has. One that is missing here counts as 0.

    Raises:
      ValueError: there are no parts.
    """
    if not parts:
        raise ValueError("no measure to take the mean of")
    values = []
    for name in parts:
        value = outcome.measures.get(name)
        values.append(0.0 if value is None else value if MEASURES[name] else 1 - value)
    return sum(values) / len(values)
