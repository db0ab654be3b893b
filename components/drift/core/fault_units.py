"""A change of unit, from two profiles: converted back, the span fits its baseline, and else not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from components.drift.core.fault_model import Fault, Grid, Mask, best_segment, best_totals, grid_of, times
from components.drift.core.normal import Normal, moments
from components.drift.core.profile import Floats, Ints, Profile

#: What a bucket must gain by the conversion to speak for it, as a logarithm of likelihoods.
PRICE: Final = 1.0
#: A segment's gain, and its fewest buckets.
LEAST_GAIN: Final = 20.0
LEAST_BUCKETS: Final = 6
#: Converted back, the segment's mean lies this close (standard deviations of buckets), or within this part of
#: how far off it was, and its spread differs by no more than this factor.
MEAN_SLACK: Final = 2.0
MEAN_PART: Final = 0.1
SPREAD_SLACK: Final = 1.5


@dataclass(frozen=True)
class Conversion:
    """`y = slope x + offset`, and what it is called."""

    slope: float
    offset: float
    words: str

    @property
    def inverse(self) -> Conversion:
        """x from y."""
        left, right = self.words.split(" to ")
        return Conversion(1 / self.slope, -self.offset / self.slope, f"{right} to {left}")


#: Exact by definition of the units (BIPM SI brochure, 9th edition, and NIST SP 811 appendix B.8), or powers
#: of ten. Close neighbours of 1 (yard and metre) are left out: a drift of the plant could be one.
_FORWARD: Final = (
    Conversion(1.8, 32.0, "degree Celsius to degree Fahrenheit"),
    Conversion(1.0, 273.15, "degree Celsius to kelvin"),
    Conversion(1.8, -459.67, "kelvin to degree Fahrenheit"),
    Conversion(6.894757, 0.0, "psi to kPa"),
    Conversion(7.500617, 0.0, "kPa to mmHg"),
    Conversion(3.785412, 0.0, "gallon to litre"),
    Conversion(3.6, 0.0, "m/s to km/h"),
    Conversion(60.0, 0.0, "per second to per minute"),
    Conversion(16.666667, 0.0, "m3/h to l/min"),
    Conversion(3.280840, 0.0, "metre to foot"),
    Conversion(25.4, 0.0, "inch to millimetre"),
    Conversion(57.29578, 0.0, "radian to degree"),
    Conversion(10.0, 0.0, "unit to deci-unit"),
    Conversion(100.0, 0.0, "unit to centi-unit"),
    Conversion(1000.0, 0.0, "unit to milli-unit"),
    Conversion(1e6, 0.0, "unit to micro-unit"),
)
CONVERSIONS: Final = tuple(each for pair in ((c, c.inverse) for c in _FORWARD) for each in pair)


def find_unit_changes(current: Profile, baseline: Profile, skip: Mask) -> list[Fault]:
    """Numeric features whose values are, for a while, those of another unit.

    Every bucket's mean is held against the baseline's mean at that hour of the day, as it stands and
    converted back by each of `CONVERSIONS`; the time is the segment where converting gains the most.
    Mean and spread of the values must then fit too, which a drift of the plant makes by chance only.

    Args:
      current: The span. It has rows.
      baseline: Of the same plan. It has rows.
      skip: Buckets of a feature that another fault explains. Shape [T, F] on the span's grid.

    Returns:
      At most one fault per feature.
    """
    grid, normal = grid_of(current), Normal.of(baseline)
    expected = normal.expected(grid)
    numeric = [feature.kind == "numeric" for feature in current.plan.features]
    judged = np.flatnonzero(numeric & (normal.deviation > 0))
    mean, usual = np.where(skip, np.nan, grid.mean)[:, judged], expected[:, judged]
    deviation = normal.deviation[judged]
    as_is = np.abs(mean - usual) / deviation
    best: dict[int, Fault] = {}
    for conversion in CONVERSIONS:
        back = np.abs((mean - conversion.offset) / conversion.slope - usual) / deviation
        totals = best_totals(likelihood_gain(as_is, back, conversion))
        for place in np.flatnonzero(totals >= LEAST_GAIN):
            index = int(judged[place])
            fault = _try(current, normal, grid, mean[:, place], usual[:, place], index, conversion)
            if fault and (index not in best or fault.evidence["misfit"] < best[index].evidence["misfit"]):
                best[index] = fault
    return [best[index] for index in sorted(best)]


def likelihood_gain(as_is: Floats, back: Floats, conversion: Conversion) -> Floats:
    """What each bucket says for a conversion: the logarithm of the ratio of likelihoods, less a price.

    Weather strays further than a normal distribution allows, so that likelihoods are Cauchy's. A conversion
    that widens the scale fits more by chance: the ratio of densities has its logarithm.

    Args:
      as_is: Standard deviations off what is usual. Any shape.
      back: The same, converted back.
      conversion: Which.
    """
    price = PRICE + max(0.0, float(np.log(abs(conversion.slope))))
    return np.log1p(as_is**2) - np.log1p(back**2) - price


@dataclass(frozen=True)
class Stretch:
    """Where converting back gains the most: buckets [begin, end), the gain, and those surely in one unit."""

    begin: int
    end: int
    gain: float
    inner: Ints

    def fault(
        self, grid: Grid, feature: str, conversion: Conversion, evidence: dict[str, float], who: str
    ) -> Fault:
        """The fault; `who` reads as if converted."""
        begin, end = times(grid, self.begin, self.end)
        return Fault(
            name="unit_change",
            feature=feature,
            begin=begin,
            end=end,
            evidence={
                "slope": conversion.slope,
                "offset": conversion.offset,
                "gain": self.gain,
                **evidence,
            },
            words=f"{who} reads as if converted: {conversion.words} (times {conversion.slope:.4g}, "
            f"plus {conversion.offset:.4g}).",
        )


def converted_stretch(gain: Floats, least_gain: float) -> Stretch | None:
    """The segment of the largest total gain, or None where that or its buckets are too few.

    Args:
      gain: Of each bucket, NaN where it has no value. Shape [T].
      least_gain: Smallest total.
    """
    begin, end, total = best_segment(np.nan_to_num(gain, nan=0.0))
    seen = np.flatnonzero(~np.isnan(gain[begin:end])) + begin
    if total < least_gain or len(seen) < LEAST_BUCKETS:
        return None
    # The first and the last bucket may hold values of both units.
    return Stretch(begin, end, total, seen[1:-1])


def _try(
    current: Profile,
    normal: Normal,
    grid: Grid,
    mean: Floats,
    expected: Floats,
    index: int,
    conversion: Conversion,
) -> Fault | None:
    """The fault that a feature has by one conversion, or None. `mean` and `expected` are [T]."""
    name = current.plan.features[index].name
    deviation = normal.deviation[index]
    as_is = np.abs(mean - expected) / deviation
    back = np.abs((mean - conversion.offset) / conversion.slope - expected) / deviation
    gain = likelihood_gain(as_is, back, conversion)
    stretch = converted_stretch(gain, LEAST_GAIN)
    if stretch is None:
        return None
    inner = stretch.inner
    here = moments(current, grid.first + int(inner[0]), grid.first + int(inner[-1]) + 1, index)
    if here is None:
        return None
    middle, spread = here
    usual = float(np.mean(expected[inner]))
    off = abs((middle - conversion.offset) / conversion.slope - usual)
    ratio = spread / abs(conversion.slope) / max(normal.spread(index, grid.first + inner), 1e-12)
    misfit = float(np.mean(np.log1p(back[inner] ** 2)))
    if off > max(MEAN_SLACK * deviation, MEAN_PART * abs(middle - usual)):
        return None
    if not 1 / SPREAD_SLACK < ratio < SPREAD_SLACK:
        return None
    return stretch.fault(grid, name, conversion, {"misfit": misfit, "spread_ratio_after": ratio}, name)
