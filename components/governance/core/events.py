"""What a release costs in privacy, as plain JSON: a small, typed, versioned form of `DpEvent` trees.

`dp_accounting` describes what a mechanism did to the data as a tree of events, apart from how it is
counted. That tree is what a synthesizer hands over (`privacy_cost.json` beside its model) and what the
budget ledger keeps for ever, so it has a form of its own that any later version can read:

    {"format": "isthmus-privacy-cost", "version": 1, "unit": "record",
     "neighboring_relation": "add_or_remove_one",
     "events": [{"kind": "gaussian", "noise_multiplier": 4.0},
                {"kind": "self_composed", "count": 10,
                 "event": {"kind": "poisson_sampled", "sampling_probability": 0.01,
                           "event": {"kind": "gaussian", "noise_multiplier": 1.1}}}],
     "time_range": {"start_us": 1767225600000000, "end_us": 1767312000000000}}

Source: `dp_accounting.dp_event`, google/differential-privacy; a Gaussian's noise multiplier is its
standard deviation over the L2 sensitivity, a Laplace's its scale over the L1 sensitivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Union

import pydantic

from components.config_base import ComponentConfig
from components.errors import DataError, InternalError

if TYPE_CHECKING:
    import dp_accounting

#: Beside the SavedModel in the Model artifact.
COST_FILE = "privacy_cost.json"
#: What the work of a sketch is called by; other work is a training.
SKETCH_WORK = "sketch-"
#: A cost is a few dozen bytes per statistic or training phase; more is no cost of ours.
MAX_COST_BYTES = 1 << 20

#: Whose presence the loss bounds: one row, one window of rows, or everything of one series.
PrivacyUnit = Literal["record", "window", "series"]
#: As `dp_accounting.NeighboringRelation`, in lower case.
NeighboringRelation = Literal["add_or_remove_one", "replace_one", "replace_special"]


class Gaussian(ComponentConfig):
    """The Gaussian mechanism; `noise_multiplier` is sigma over the L2 sensitivity."""

    kind: Literal["gaussian"] = "gaussian"
    noise_multiplier: float = pydantic.Field(gt=0)


class Laplace(ComponentConfig):
    """The Laplace mechanism; `noise_multiplier` is the scale over the L1 sensitivity."""

    kind: Literal["laplace"] = "laplace"
    noise_multiplier: float = pydantic.Field(gt=0)


class NonPrivate(ComponentConfig):
    """The data were used with no bound at all: epsilon is infinite."""

    kind: Literal["non_private"] = "non_private"


class PoissonSampled(ComponentConfig):
    """A mechanism on a sample that takes each unit independently with one probability.

    Only over Gaussian and Laplace: the PLD accountant knows no others.
    """

    kind: Literal["poisson_sampled"] = "poisson_sampled"
    sampling_probability: float = pydantic.Field(gt=0, le=1)
    event: Annotated[Union[Gaussian, Laplace], pydantic.Field(discriminator="kind")]


class SelfComposed(ComponentConfig):
    """`count` times the same event, each on the data anew."""

    kind: Literal["self_composed"] = "self_composed"
    event: Event
    count: int = pydantic.Field(ge=1, le=10**9)


class Composed(ComponentConfig):
    """Several events on the same data; the order does not matter."""

    kind: Literal["composed"] = "composed"
    events: tuple[Event, ...]


Event = Annotated[
    Union[Gaussian, Laplace, NonPrivate, PoissonSampled, SelfComposed, Composed],
    pydantic.Field(discriminator="kind"),
]
SelfComposed.model_rebuild()
Composed.model_rebuild()


class TimeRange(ComponentConfig):
    """Timestamps, microseconds UTC, `start_us <= t < end_us`.

    Given only where the range was *declared before the data were seen and enforced* (no row outside it
    was read). The smallest and largest timestamp found in the data are no such range: they are data.
    """

    start_us: int
    end_us: int

    @pydantic.model_validator(mode="after")
    def _check_order(self) -> TimeRange:
        if self.start_us >= self.end_us:
            raise ValueError(f"start_us {self.start_us} is not before end_us {self.end_us}")
        return self


class PrivacyCost(ComponentConfig):
    """What one release costs.

    Attributes:
      unit: Whose presence or absence the events bound.
      neighboring_relation: What neighbouring data sets are.
      events: What was done to the data, all of it; composed one after the other.
      time_range: The rows that were read, where that is known for certain; None composes with
        everything.
      work_id: The work that a ledger reserved this for; filled in by the trainer's executor.
    """

    format: Literal["isthmus-privacy-cost"] = "isthmus-privacy-cost"
    version: Literal[1] = 1
    unit: PrivacyUnit
    neighboring_relation: NeighboringRelation = "add_or_remove_one"
    events: tuple[Event, ...]
    time_range: TimeRange | None = None
    work_id: str = pydantic.Field(default="", max_length=100)

    @property
    def is_private(self) -> bool:
        """Whether epsilon is finite at all."""
        return not any(_has_non_private(event) for event in self.events)

    @classmethod
    def non_private(cls, unit: PrivacyUnit) -> PrivacyCost:
        """The cost of a synthesizer without differential privacy."""
        return cls(unit=unit, events=(NonPrivate(),))


def parse_cost(raw: bytes, place: str) -> PrivacyCost:
    """Reads a `privacy_cost.json`.

    Args:
      raw: The file's bytes.
      place: Names the file in messages.

    Raises:
      DataError: too large, not JSON, another version, or not of this form.
    """
    if len(raw) > MAX_COST_BYTES:
        raise DataError(f"{place}: larger than {MAX_COST_BYTES} bytes; that is no privacy cost.")
    try:
        return PrivacyCost.model_validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"]) or "top level"
        raise DataError(f"{place}: not a privacy cost ({where}: {first['msg']}).") from None


def together(costs: Sequence[PrivacyCost]) -> PrivacyCost:
    """What several pieces of work cost, published as one release.

    Raises:
      DataError: they are of different units or neighbouring relations, so that they do not add up.
    """
    first = costs[0]
    if len({(cost.unit, cost.neighboring_relation) for cost in costs}) > 1:
        units = " and ".join(sorted({cost.unit for cost in costs}))
        raise DataError(f"privacy cost: of the units {units}, which do not add up; allowed: one unit")
    ranges = {cost.time_range.model_dump_json() if cost.time_range else "" for cost in costs}
    return PrivacyCost(
        unit=first.unit,
        neighboring_relation=first.neighboring_relation,
        events=tuple(event for cost in costs for event in cost.events),
        time_range=first.time_range if len(ranges) == 1 else None,
    )


def _has_non_private(event: Event) -> bool:
    if isinstance(event, Composed):
        return any(_has_non_private(part) for part in event.events)
    if isinstance(event, SelfComposed):
        return _has_non_private(event.event)
    return isinstance(event, NonPrivate)


def to_dp_event(event: Event) -> dp_accounting.DpEvent:
    """The event as `dp_accounting` knows it; the inverse of `from_dp_event`."""
    import dp_accounting as dp

    if isinstance(event, Gaussian):
        return dp.GaussianDpEvent(event.noise_multiplier)
    if isinstance(event, Laplace):
        return dp.LaplaceDpEvent(event.noise_multiplier)
    if isinstance(event, PoissonSampled):
        return dp.PoissonSampledDpEvent(event.sampling_probability, to_dp_event(event.event))
    if isinstance(event, SelfComposed):
        return dp.SelfComposedDpEvent(to_dp_event(event.event), event.count)
    if isinstance(event, Composed):
        return dp.ComposedDpEvent([to_dp_event(part) for part in event.events])
    return dp.NonPrivateDpEvent()


def from_dp_event(event: dp_accounting.DpEvent) -> Event:
    """The typed form of a `dp_accounting` event.

    Raises:
      InternalError: this form has no word for it; the message names the inner event at fault.
    """
    import dp_accounting as dp

    try:
        if isinstance(event, dp.GaussianDpEvent):
            return Gaussian(noise_multiplier=event.noise_multiplier)
        if isinstance(event, dp.LaplaceDpEvent):
            return Laplace(noise_multiplier=event.noise_multiplier)
        if isinstance(event, dp.PoissonSampledDpEvent):
            inner = from_dp_event(event.event)
            if isinstance(inner, (Gaussian, Laplace)):
                return PoissonSampled(sampling_probability=event.sampling_probability, event=inner)
        elif isinstance(event, dp.SelfComposedDpEvent):
            return SelfComposed(event=from_dp_event(event.event), count=event.count)
        elif isinstance(event, dp.ComposedDpEvent):
            return Composed(events=tuple(from_dp_event(part) for part in event.events))
        elif isinstance(event, dp.NoOpDpEvent):
            return Composed(events=())
        elif isinstance(event, dp.NonPrivateDpEvent):
            return NonPrivate()
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InternalError(f"privacy cost: {type(event).__name__}: {first['msg']}") from None
    raise InternalError(f"privacy cost: {type(event).__name__} has no form here")


def compose(events: Iterable[Event]) -> Composed:
    """All of them on the same data."""
    return Composed(events=tuple(events))
