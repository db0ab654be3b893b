"""The border check's look at places outside the roots: where engines keep rows, and the engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.addresses import within
from pipeline.border_model import BorderError, Zone


def check_places(zones: Sequence[Zone], exchange: str) -> None:
    """No restricted zone's place is, holds or lies in the place of another zone, its sources or the exchange.

    Raises:
      BorderError: names both.
    """
    for zone in zones:
        if zone.sharing != "restricted":
            continue
        for place in zone.places:
            for whose, other in _others(zone, zones, exchange):
                if within(place, other) or within(other, place):
                    raise BorderError(
                        f"border: {zone.name} → beam → {place}: shared with {whose} ({other}); allowed: a "
                        "place of the locale's own (of an engine the full name, with its namespace)"
                    )


def _others(zone: Zone, zones: Sequence[Zone], exchange: str) -> Iterator[tuple[str, str]]:
    yield "the exchange", exchange
    for other in zones:
        if other.name != zone.name:
            yield f"{other.name}'s root", other.root
            for place in other.places:
                yield other.name, place
