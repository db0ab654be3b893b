"""The form of an outward sketch: the rules it is made by, what is in it, and reading one elsewhere."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import numpy as np
import pydantic

from components.config_base import ComponentConfig, canonical_json
from components.drift.core.accumulating import Accumulator
from components.drift.core.profile import Profile, ProfilePlan
from components.errors import DataError

DAY_S: Final = 86_400
VERSION: Final = 1
MAX_BYTES = 1 << 26
#: More periods than this are no summary.
MAX_PERIODS = 10_000
#: Rows in a cell; sums over all periods stay far inside 64 bits.
MAX_COUNT = 10**12
#: 1 January of year 1 and of year 9999, in days from 1970.
_DAYS = (-719_162, 2_932_531)

Count = Annotated[int, pydantic.Field(ge=0, le=MAX_COUNT)] | None


class NoiseRules(ComponentConfig):
    """Differential privacy of a sketch.

    Attributes:
      epsilon, delta: What one sketch costs one unit.
      unit: `record`: one row; `window`: at most `unit_rows` rows.
      unit_rows: Rows of a unit; 1 for a record.
    """

    epsilon: float = pydantic.Field(gt=0)
    delta: float = pydantic.Field(gt=0, lt=1)
    unit: Literal["record", "window"] = "record"
    unit_rows: int = pydantic.Field(default=1, ge=1)

    @pydantic.model_validator(mode="after")
    def _one_row(self) -> NoiseRules:
        if self.unit == "record" and self.unit_rows != 1:
            raise ValueError(f"unit_rows is {self.unit_rows}; a record is 1 row")
        return self


class OutwardRules(ComponentConfig):
    """What a region lets out.

    Attributes:
      minimum: Smallest count that leaves; also what counts are rounded down to multiples of.
      top_categories: So many bins of a categorical feature, the largest, may leave.
      period_s: Length of a period, whole days; None: one for everything.
      begin_s, end_s: Declared range, seconds since 1970 in UTC, whole days: what lies outside is not
        counted. Needed for noise, since which days have rows is told otherwise.
      noise: None: suppression alone.
    """

    minimum: int = pydantic.Field(default=20, ge=5)
    top_categories: int = pydantic.Field(default=20, ge=1)
    period_s: int | None = pydantic.Field(default=None, ge=DAY_S, multiple_of=DAY_S)
    begin_s: int | None = pydantic.Field(default=None, multiple_of=DAY_S)
    end_s: int | None = pydantic.Field(default=None, multiple_of=DAY_S)
    noise: NoiseRules | None = None

    @pydantic.model_validator(mode="after")
    def _range(self) -> OutwardRules:
        if (self.begin_s is None) != (self.end_s is None):
            raise ValueError("begin_s and end_s belong together")
        if self.begin_s is not None and self.end_s is not None and self.begin_s >= self.end_s:
            raise ValueError(f"begin_s {self.begin_s} is not before end_s {self.end_s}")
        if self.noise and self.begin_s is None:
            raise ValueError("noise needs begin_s and end_s: which days have rows is told otherwise")
        return self


class FeatureCounts(ComponentConfig):
    """Of one feature in one period; None where a count is hidden."""

    bins: tuple[Count, ...]
    missing: Count


class Period(ComponentConfig):
    """Counts of one period: its begin, every feature by name, and rows labelled 0, labelled 1, unlabelled."""

    begin_s: int
    features: dict[str, FeatureCounts]
    labels: tuple[Count, Count, Count]


class OutwardSketch(ComponentConfig):
    """All that leaves; see `components.egress.lists.SKETCH_FIELDS`.

    Attributes:
      plan_sha256: Of the public plan, which the reader has too.
      minimum, top_categories: As the rules said.
      mechanism: `suppression`, or `gaussian` with the four fields that follow.
      noise_std: Of each count, in rows.
      epsilon, delta, unit_rows: As the rules said.
      period_s: Length of a period.
      periods: In the order of time.
    """

    format: Literal["isthmus-outward-sketch"] = "isthmus-outward-sketch"
    version: Literal[1] = VERSION
    plan_sha256: str
    minimum: int = pydantic.Field(ge=5)
    top_categories: int = pydantic.Field(ge=1)
    mechanism: Literal["suppression", "gaussian"]
    noise_std: float | None = pydantic.Field(default=None, gt=0)
    epsilon: float | None = pydantic.Field(default=None, gt=0)
    delta: float | None = pydantic.Field(default=None, gt=0, lt=1)
    unit_rows: int | None = pydantic.Field(default=None, ge=1)
    period_s: int = pydantic.Field(ge=DAY_S, le=_DAYS[1] * DAY_S, multiple_of=DAY_S)
    periods: tuple[Period, ...] = pydantic.Field(max_length=MAX_PERIODS)


def plan_sha256(plan: ProfilePlan) -> str:
    """Digest of a plan."""
    return hashlib.sha256(canonical_json(dataclasses.asdict(plan)).encode()).hexdigest()


def parse(raw: bytes, plan: ProfilePlan, place: str) -> OutwardSketch:
    """Reads a sketch that came from another zone.

    Args:
      raw: Its bytes.
      plan: The public plan, made from the curated schema here too.
      place: Names it in messages.

    Raises:
      DataError: too large, not of this form, of another plan, with other features or bins than the plan, or
        with a count that its own rules hide.
    """
    if len(raw) > MAX_BYTES:
        raise DataError(f"{place}: {len(raw)} bytes, allowed: {MAX_BYTES}")
    try:
        sketch = OutwardSketch.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"]) or "top level"
        raise DataError(f"{place}: not an outward sketch ({where}: {first['msg']})") from None
    if sketch.plan_sha256 != plan_sha256(plan):
        raise DataError(f"{place}: made on another plan than this schema's; both need one curated schema")
    wanted = {feature.name: feature.bins for feature in plan.features}
    starts = [period.begin_s for period in sketch.periods]
    if any(later - earlier != sketch.period_s for earlier, later in itertools.pairwise(starts)):
        raise DataError(f"{place}: periods do not follow one another")
    for period in sketch.periods:
        if {name: len(found.bins) for name, found in period.features.items()} != wanted:
            raise DataError(f"{place}: other features or bins than its plan has")
    if why := _against_its_rules(sketch):
        raise DataError(f"{place}: {why}")
    return sketch


def counts_of(period: Period) -> Iterator[int | None]:
    """Every count of a period, hidden ones too."""
    for found in period.features.values():
        yield from found.bins
        yield found.missing
    yield from period.labels


def _against_its_rules(sketch: OutwardSketch) -> str:
    """What a sketch tells that its mechanism does not let out; empty where nothing."""
    noise = (sketch.noise_std, sketch.epsilon, sketch.delta, sketch.unit_rows)
    suppressed = sketch.mechanism == "suppression"
    if any((value is None) != suppressed for value in noise):
        return f"mechanism {sketch.mechanism} with another mechanism's noise_std, epsilon, delta or unit_rows"
    step = sketch.minimum if suppressed else 1
    for period in sketch.periods:
        if period.begin_s % DAY_S or not _DAYS[0] <= period.begin_s // DAY_S <= _DAYS[1]:
            return "a period begins at no whole day"
        for count in counts_of(period):
            if count is not None and (count < sketch.minimum or count % step):
                return f"tells a count below its minimum {sketch.minimum}, or one that is not rounded to it"
    return ""


def to_profile(sketch: OutwardSketch, plan: ProfilePlan) -> Profile:
    """A sketch as a profile with a bucket per period, for distances between locales.

    A hidden count is 0 and `rows` is what the fullest feature tells, so that values and missing ones of
    another feature need not add up to it: where `missing` is hidden, a missing rate of it would be wrong.
    What a sketch does not tell is empty; there are no random features.

    Args:
      sketch: As parsed.
      plan: Its public plan.
    """
    plan = dataclasses.replace(plan, bucket_s=sketch.period_s, random_features=0)
    arrays = Accumulator(plan, labelled=False)
    at = arrays.positions(np.arange(len(sketch.periods), dtype=np.int64))
    for position, period in zip(at, sketch.periods, strict=True):
        for index, feature in enumerate(plan.features):
            found = period.features[feature.name]
            arrays.counts[position, plan.columns(index)] = [count or 0 for count in found.bins]
            arrays.missing[position, index] = found.missing or 0
        zero, one, _ = (count or 0 for count in period.labels)
        arrays.labelled[position] = [zero + one, one]
        totals = np.add.reduceat(arrays.counts[position], plan.offsets[:-1]) + arrays.missing[position]
        arrays.rows[position] = totals.max()
    first = sketch.periods[0].begin_s // sketch.period_s if sketch.periods else 0
    return dataclasses.replace(arrays.profile(), bucket=at + first)
