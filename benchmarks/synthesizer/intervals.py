"""What several seeds say: a mean with its interval, who is ahead of whom, and who copies rows.

An interval here is of the seed of model, sample and measure. The data and their division are the same for all
seeds: it says nothing of other data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

#: Of every interval and comparison.
CONFIDENCE = 0.95
#: A generator copies where its membership excess is surely above this, three times what is wanted: another
#: run of the dense server's own simulation, which knows no row, scored up to 0.019.
COPIES_EXCESS = 0.03
#: ... or where surely more than this share of its rows are nearer to a training row than real rows are.
COPIES_SHARE = 0.05
#: Of one seed alone: how far a measure has to be beyond the bound to be sure.
ONE_SEED_MARGIN = 0.02

#: Key of a measure, and the bound above which it says that rows are copied.
COPYING = (("excess", COPIES_EXCESS), ("excess_row", COPIES_EXCESS), ("copied", COPIES_SHARE))


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over seeds.

    Attributes:
      mean: Over the seeds.
      half: Half the 95 % t interval's width; None of fewer than two seeds.
      n: Seeds.
    """

    mean: float
    half: float | None
    n: int


def interval(values: Sequence[float]) -> Interval | None:
    """Mean and t interval; None of no value."""
    if not values:
        return None
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, 1)
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Interval(mean, float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error, len(values))


def against(ours: Sequence[float], other: Sequence[float], more: bool) -> str:
    """`ahead`, `behind` or `even`: whether two means differ by more than the seeds' noise.

    Welch's interval of the difference has to leave out 0. `unsure` where a side has fewer than two seeds.

    Args:
      ours: A measure, seed by seed.
      other: Of the other generator.
      more: Whether more is better.
    """
    if len(ours) < 2 or len(other) < 2:
        return "unsure"
    parts = [float(np.var(side, ddof=1)) / len(side) for side in (ours, other)]
    difference = (float(np.mean(ours)) - float(np.mean(other))) * (1 if more else -1)
    error = sum(parts)
    if error > 0:
        # Welch and Satterthwaite's degrees of freedom.
        freedom = error**2 / sum(p**2 / (len(s) - 1) for p, s in zip(parts, (ours, other)))
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * float(np.sqrt(error))
    else:
        half = 0.0
    if abs(difference) <= half:
        return "even"
    return "ahead" if difference > 0 else "behind"


def leader(columns: Mapping[str, Sequence[float]], more: bool) -> str | None:
    """The generator that is ahead of each of the others in a column, or None.

    Each of its comparisons has to hold at 95 %, so that the claim as a whole does (Berger 1982, an
    intersection-union test).

    Args:
      columns: A measure, seed by seed, of each generator that has it and copies nothing.
      more: Whether more is better.
    """
    known = {name: values for name, values in columns.items() if values}
    if len(known) < 2:
        return None
    best = (max if more else min)(known, key=lambda name: float(np.mean(known[name])))
    others = (values for name, values in known.items() if name != best)
    return best if all(against(known[best], values, more) == "ahead" for values in others) else None


def copying(runs: Sequence[Mapping[str, float]]) -> list[str]:
    """Keys of the measures that say that a generator's rows are copies of training rows.

    Args:
      runs: Its measures, seed by seed.
    """
    found = []
    for key, bound in COPYING:
        own = interval([run[key] for run in runs if key in run])
        if own is not None and own.mean - (ONE_SEED_MARGIN if own.half is None else own.half) > bound:
            found.append(key)
    return found
