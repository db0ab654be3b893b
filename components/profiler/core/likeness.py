"""Which measured data set a locale's rows are like, and the fidelity that was measured there.

The numbers are those of docs/synthesizer.md, means of five seeds on 23 November 2026. A band is what ours
reached there, plus or minus how far that set's own even hours are from its odd ones: so much is chance of
the rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.profiler.core.profile import Profile

#: A data set of more than this many times the measured rows, or less than this part, is not like it.
SIZE_FACTOR = 4.0
#: Daily course of some column from which on rows have a day.
DAILY = 0.1
#: Measures of which 1 is best; of the others it is 0.
MEASURES = ("marginal", "worst column", "pair correlation", "ACF error", "local ACF error", "step change")
_BEST = (1.0, 1.0, 1.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Measured:
    """One data set of the table.

    Attributes:
      name: In the table.
      rows: Training rows.
      ours: By `MEASURES`.
      real: Even against odd hours of its real rows, by `MEASURES`.
    """

    name: str
    rows: int
    ours: tuple[float, ...]
    real: tuple[float, ...]


DENSE = Measured(
    "dense",
    7_260,
    (0.987, 0.966, 0.982, 0.030, 0.037, 0.973),
    (0.977, 0.938, 0.981, 0.050, 0.089, 0.984),
)
SMAP = Measured(
    "SMAP A-2",
    4_460,
    (0.997, 0.976, 0.983, 0.012, 0.016, 0.995),
    (0.995, 0.978, 0.985, 0.023, 0.028, 0.996),
)
FLEET = Measured(
    "simulated eu-west",
    6_753,
    (0.991, 0.984, 0.990, 0.017, 0.023, 0.971),
    (0.977, 0.963, 0.976, 0.056, 0.079, 0.983),
)


@dataclass(frozen=True)
class Band:
    """What fidelity to expect.

    Attributes:
      like: The measured data set; None where none is alike.
      reason: Why it, or why none.
      bands: Lowest and highest value by measure; empty where none is alike.
    """

    like: str | None
    reason: str
    bands: dict[str, tuple[float, float]]


def expect(profile: Profile) -> Band:
    """The measured data set that a profile is most like, and its band."""
    latent, chained, series = profile.latent, profile.chained, profile.cadence.series
    shape = f"latent series {latent}, flags and levels {chained}, series {series}"
    daily = max((column.course.daily or 0.0 for column in profile.columns if column.course), default=0.0)
    if latent >= 10 and latent >= 4 * chained and series <= 2:
        like, why = DENSE, "dense numbers of one machine"
    elif 1 <= latent <= 2 and chained >= 4 * latent and series <= 2:
        like, why = SMAP, "one analogue column among command flags"
    elif series >= 2 and latent >= 3 and latent >= chained and daily >= DAILY:
        like, why = FLEET, f"several devices with a daily course (share of variance {daily:.2f})"
    else:
        return Band(None, f"{shape}: no measured data set is alike, so nothing is promised", {})
    rows = profile.train_rows
    if not like.rows / SIZE_FACTOR <= rows <= like.rows * SIZE_FACTOR:
        reason = (
            f"{shape}: alike in kind to {like.name} ({why}), but {rows:,} training rows are more than "
            f"{SIZE_FACTOR:g} times off its {like.rows:,}, so nothing is promised"
        )
        return Band(None, reason, {})
    bands = {}
    for name, ours, real, best in zip(MEASURES, like.ours, like.real, _BEST):
        spread = abs(best - real)
        bands[name] = (max(ours - spread, 0.0), min(ours + spread, 1.0))
    return Band(like.name, f"{shape}: {why}; {rows:,} training rows, there {like.rows:,}", bands)
