"""What a restricted region may tell of a profile: counts on public bins, and which of them.

Only a profile on a public plan is taken (`planning.public_plan`): edges and categories that were made
from rows are rows. Counts are summed over whole days or the whole period. Of each feature its bins and
its missing values leave, and how many rows are labelled; nothing else of a profile does
(`components.egress.lists.SKETCH_FIELDS`): no extreme, no sum, no still run, no cadence, no random feature,
no count of anomalies in a bin.

Without noise, counts below a minimum are hidden, with others beside them where subtraction would give
them away, and the rest is rounded down (`suppression`). What that does not do: it counts rows, so that
many rows of one device pass as many people; somebody who knows all rows but one may learn that one, where
it moves a count over a multiple of the minimum, which is one time in `minimum` per cell; two sketches of
periods that overlap can be subtracted from each other, up to that rounding; and which days have rows is
told unless a period is declared. There is no bound on what several such sketches tell together.

With noise there is one: each count gets Gaussian noise, and `cost` says what it costs, for the locale's
ledger (`components.governance.core.spending.reserved`); charge it before `sketch_of` is called, every
time that it is called. One row is in one cell of each of F partitions, in one period: w rows move all
counts together by at most w sqrt(F) in L2, so the noise of each is sigma w sqrt(F), with sigma from
(epsilon, delta) (Balle and Wang 2018). Noise comes from the operating system and is rounded to whole
rows, which costs nothing and leaves no low bits to look at (Mironov 2012). The unit is a row, or a window
of w rows; a whole series has no bounded number of rows here and is refused. That a sketch exists, and the
public plan, are not covered.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from components.drift.core import merging, suppression
from components.drift.core.outward_form import (
    DAY_S,
    MAX_PERIODS,
    FeatureCounts,
    NoiseRules,
    OutwardRules,
    OutwardSketch,
    Period,
    parse,
    plan_sha256,
    to_profile,
)
from components.drift.core.profile import Ints, Profile, ProfilePlan
from components.errors import ConfigError, DataError
from components.governance.core.events import Gaussian, PrivacyCost, TimeRange
from components.synthesizer_trainer.core.dp.mechanism import noise_multiplier, system_noise

__all__ = [
    "NoiseRules",
    "OutwardRules",
    "OutwardSketch",
    "cost",
    "noise_std",
    "parse",
    "sketch_of",
    "to_profile",
]


def noise_std(plan: ProfilePlan, noise: NoiseRules) -> float:
    """Standard deviation of the noise of each count, in rows; see the module docstring."""
    partitions = len(plan.features) + 1
    return noise_multiplier(noise.epsilon, noise.delta) * noise.unit_rows * math.sqrt(partitions)


def cost(rules: OutwardRules) -> PrivacyCost:
    """What one sketch costs: to be reserved before it is made. Without noise there is no bound."""
    if rules.noise is None:
        return PrivacyCost.non_private("record")
    time_range = None
    if rules.begin_s is not None and rules.end_s is not None:
        time_range = TimeRange(start_us=rules.begin_s * 1_000_000, end_us=rules.end_s * 1_000_000)
    sigma = noise_multiplier(rules.noise.epsilon, rules.noise.delta)
    return PrivacyCost(
        unit=rules.noise.unit, events=(Gaussian(noise_multiplier=sigma),), time_range=time_range
    )


def sketch_of(
    profile: Profile,
    rules: OutwardRules,
    *,
    noise: Callable[[int], npt.NDArray[np.float64]] = system_noise,
) -> OutwardSketch:
    """What may leave the region of a profile.

    Args:
      profile: On a public plan, its buckets no longer than a day and dividing it.
      rules: What is let out.
      noise: Standard normal variates. Anything but the default is for tests: noise from a seed is no secret.

    Raises:
      ConfigError: the plan was made from rows, or its buckets do not divide a day.
      DataError: the declared range or the rows make too many periods.
    """
    plan = profile.plan
    if not plan.public:
        raise ConfigError(
            "outward sketch: the plan was made from rows, whose values its bins are; allowed: a public plan"
        )
    if DAY_S % plan.bucket_s:
        raise ConfigError(f"outward sketch: bucket_s: found {plan.bucket_s}, allowed: divisors of a day")
    begin_s = profile.bucket * plan.bucket_s
    first, last = _whole_days(begin_s, rules)
    period_s = rules.period_s or max(DAY_S, last - first)
    starts = range(first, last, period_s)
    if len(starts) > MAX_PERIODS:
        raise DataError(f"outward sketch: {len(starts)} periods, allowed: {MAX_PERIODS}; take longer ones")
    std = noise_std(plan, rules.noise) if rules.noise else None
    periods = []
    for start in starts:
        stop = min(start + period_s, last)
        inside = merging.select(profile, (begin_s >= start) & (begin_s < stop))
        periods.append(_period(inside, start, rules, std, noise))
    return OutwardSketch(
        plan_sha256=plan_sha256(plan),
        minimum=rules.minimum,
        top_categories=rules.top_categories,
        mechanism="gaussian" if rules.noise else "suppression",
        noise_std=std,
        epsilon=rules.noise.epsilon if rules.noise else None,
        delta=rules.noise.delta if rules.noise else None,
        unit_rows=rules.noise.unit_rows if rules.noise else None,
        period_s=period_s,
        periods=tuple(periods),
    )


def _whole_days(begin_s: Ints, rules: OutwardRules) -> tuple[int, int]:
    if rules.begin_s is not None and rules.end_s is not None:
        return rules.begin_s, rules.end_s
    if not len(begin_s):
        return 0, 0
    return int(begin_s[0]) // DAY_S * DAY_S, int(begin_s[-1]) // DAY_S * DAY_S + DAY_S


def _period(
    profile: Profile,
    start: int,
    rules: OutwardRules,
    std: float | None,
    noise: Callable[[int], npt.NDArray[np.float64]],
) -> Period:
    def leave(counts: Ints, most_told: int | None = None) -> list[int | None]:
        if std is None:
            return suppression.told(counts, rules.minimum, most_told)
        noisy = counts + np.rint(noise(len(counts)) * std).astype(np.int64)
        # From here on nothing but the noisy counts is looked at.
        shown = np.zeros(len(noisy), bool)
        shown[np.argsort(-noisy, kind="stable")[:most_told]] = True
        shown &= noisy >= rules.minimum
        return [int(count) if show else None for count, show in zip(noisy, shown, strict=True)]

    features = {}
    counts, missing = profile.counts.sum(axis=0), profile.missing.sum(axis=0)
    for index, feature in enumerate(profile.plan.features):
        cells = np.append(counts[profile.plan.columns(index)], missing[index])
        most = rules.top_categories if feature.kind == "categorical" else None
        *bins, gone = leave(cells, most)
        features[feature.name] = FeatureCounts(bins=tuple(bins), missing=gone)
    labelled, positive = (int(count) for count in profile.labelled.sum(axis=0))
    rows = int(profile.rows.sum())
    one, two, three = leave(np.array([labelled - positive, positive, rows - labelled], np.int64))
    return Period(begin_s=start, features=features, labels=(one, two, three))
