"""The resampling of one pair of profiles: made once, used by every measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from components.drift.core import null, persistence
from components.drift.core.blocks import Blocks
from components.drift.core.null import Noise, p_values
from components.drift.core.profile import Floats
from components.drift.findings import Measure

#: Measures whose square is what is tested; the others are squares themselves, but for the cadence.
ROOTS: Final[tuple[Measure, ...]] = ("missing_rate", "label_shift", "maximum_mean_discrepancy", "cadence")
#: Draws for a measure that is recorded and judges nothing: its p-value has steps of 0.004.
KEPT_DRAWS: Final = 249


@dataclass(frozen=True)
class Tested:
    """A measure of the features of a chunk. F features; NaN where undefined.

    Attributes:
      value: Shape [F].
      p_value: Under the null; None without one. Shape [F].
      mean: Of the null, in the measure's unit. Shape [F].
      limit: Quantile of the null at 1 - alpha, likewise. Shape [F].
      draws: Behind `mean` and `limit`.
      short: Whether the series remember for so long that the sides are too short. Shape [F].
    """

    value: Floats
    p_value: Floats | None = None
    mean: Floats | None = None
    limit: Floats | None = None
    draws: int = 0
    short: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Sampling:
    """Blocks, deals and what the persistence of a course does to them.

    Attributes:
      blocks: Of both sides.
      seen: The deal that was seen. Shape [1, N].
      dealt: Deals under the null. Shape [draws, N].
      alpha: Level of the null's limit.
      design: None where the noise rule is undefined: then nothing is drawn.
    """

    blocks: Blocks
    seen: Floats
    dealt: Floats
    alpha: float
    design: persistence.Design | None

    @property
    def kept(self) -> Floats:
        """The first deals, for the measures that judge nothing. Shape [at most `KEPT_DRAWS`, N]."""
        return self.dealt[:KEPT_DRAWS]

    def noise(self, deviations: Floats, course: Floats) -> Noise:
        """`null.noise` with these deals. [N, F, D] and [T, F, D']."""
        assert self.design is not None
        return null.noise(deviations, course, self.blocks, self.design, self.dealt, self.alpha)


def make_sampling(blocks: Blocks, *, draws: int, alpha: float, seed: int) -> Sampling:
    """Deals and design of blocks; neither where the noise rule is undefined."""
    first, second = blocks.counts
    seen = (np.arange(first + second) < first).astype(np.float64)[None, :]
    if blocks.course is None or draws == 0:
        return Sampling(blocks, seen, np.zeros((0, first + second)), alpha, None)
    design = persistence.make_design(blocks.course)
    return Sampling(blocks, seen, null.deals(first, second, draws, seed), alpha, design)


def test(observed: Floats, drawn: Floats, alpha: float, judged: Noise | None, *, root: bool) -> Tested:
    """Sets values beside their draws, or beside the studentised test where there is one.

    Args:
      observed: Shape [F].
      drawn: Stretched by the persistence. Shape [draws, F].
      alpha: Level of the limit.
      judged: The studentised test of the measure's square, or of the measure; None for one that is kept.
      root: Whether it is of the square.
    """
    p_value, mean = p_values(observed, drawn), drawn.mean(axis=0)
    limit = np.quantile(drawn, 1 - alpha, axis=0)
    if judged is None:
        return Tested(observed, p_value, mean, limit, drawn.shape[0])
    ratios = [np.sqrt(ratio) if root else ratio for ratio in (judged.mean, judged.limit)]
    # A value of 0 has no ratio to the null; the stretched draws say how wide that is.
    known = np.isfinite(ratios[0]) & np.isfinite(ratios[1])
    return Tested(
        observed,
        np.where(np.isnan(observed), np.nan, judged.p_value),
        np.where(known, observed * ratios[0], mean),
        np.where(known, observed * ratios[1], limit),
        judged.draws,
        judged.short,
    )
