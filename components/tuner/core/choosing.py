"""Whether a challenger is better than the configuration as it stands, beyond what seeds and rows do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

#: Pairs of repeats that a comparison needs at least.
MIN_PAIRS = 2
#: Probability of choosing a challenger that is no better, at most.
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Paired scores of two configurations, repeat by repeat.

    Attributes:
      gain: Mean difference, challenger less configured.
      least: Lower bound of the gain, one-sided, at 1 - `LEVEL`.
      p_value: Probability of so much where there is no gain, one-sided.
      pairs: How many.
    """

    gain: float
    least: float
    p_value: float
    pairs: int

    @property
    def better(self) -> bool:
        """Whether the gain is more than noise."""
        return self.gain > 0 and self.p_value < LEVEL


def compare(challenger: Sequence[float], configured: Sequence[float], judged_share: float) -> Comparison:
    """Compares by a paired t-test, corrected for what the repeats share.

    Repeats with other seeds and other blocks held back share most of their fitted rows, so that their
    differences vary less than those of independent repeats would: the variance of the mean is taken as
    (1/n + judged/fitted) times that of the differences.

    Args:
      challenger: Scores by repeat. At least `MIN_PAIRS`.
      configured: Scores of the same repeats.
      judged_share: Of the training rows, in (0, 1).

    Raises:
      ValueError: too few pairs, or not as many of both.

    Source: Nadeau and Bengio (2003), "Inference for the Generalization Error", Machine Learning 52, sec. 3.
    """
    if len(challenger) != len(configured) or len(challenger) < MIN_PAIRS:
        raise ValueError(f"{len(challenger)} and {len(configured)} scores; needs {MIN_PAIRS} pairs at least")
    difference = np.asarray(challenger, float) - np.asarray(configured, float)
    count, gain = len(difference), float(difference.mean())
    error = float(np.sqrt((1 / count + judged_share / (1 - judged_share)) * difference.var(ddof=1)))
    if error == 0:
        return Comparison(gain, gain, 0.0 if gain > 0 else 1.0, count)
    least = gain - float(student.ppf(1 - LEVEL, count - 1)) * error
    return Comparison(gain, least, float(student.sf(gain / error, count - 1)), count)
