"""When anomalies happen and what they do to a sensor; `heater_loss` and `cell_loss` act in the plant."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.errors import InsufficientDataError
from components.simulator.config import (
    ANOMALY_KINDS,
    CHANNELS,
    AnomalyKind,
    Channel,
    EventRates,
    FleetConfig,
    LocaleConfig,
)

PLANT_KINDS: tuple[AnomalyKind, ...] = ("heater_loss", "cell_loss")
#: The last part of a plant event's labelled window is its recovery: the cause is gone, the
#: temperature is not back yet.
RECOVERY_FRACTION = 0.25
#: Rows kept free between two events of an asset, so that one does not run into the next.
_GAP_ROWS = 6


@dataclasses.dataclass(frozen=True)
class Event:
    """One anomaly: rows [start, stop) of an asset; `magnitude` as in `AnomalyConfig`."""

    kind: AnomalyKind
    asset: int
    start: int
    stop: int
    magnitude: float
    sign: float


def schedule(
    config: FleetConfig,
    locale: LocaleConfig,
    rates: EventRates,
    first_day: int,
    days: int,
    generator: np.random.Generator,
) -> tuple[Event, ...]:
    """Places `round(rate x assets x days)` events of every kind, none overlapping another.

    Time is cut into slots, each long enough for any event; an event takes a free slot whose local
    hour its kind allows, so that counts are exact and the share of anomalies is what was asked for.

    Args:
      config: The fleet, for how kinds look.
      locale: The locale.
      rates: Events per asset and day, by kind.
      first_day: First day of the period since the fleet's start.
      days: Length of the period.
      generator: Source of randomness.

    Returns:
      Events by asset, then start; rows count from the period's first.

    Raises:
      InsufficientDataError: there are more events than slots.
    """
    counts = {kind: round(rates.get(kind, 0.0) * locale.assets * days) for kind in ANOMALY_KINDS}
    counts = {kind: count for kind, count in counts.items() if count}
    if not counts:
        return ()
    longest = max(_rows(config.anomaly(kind).duration_min[1], locale) for kind in counts)
    slot = longest + _GAP_ROWS
    per_asset = locale.steps_per_day * days // slot
    # Slots shift by a random phase, else every period would have its events at the same hours.
    phase = generator.integers(0, locale.steps_per_day * days - per_asset * slot + 1, locale.assets)
    starts = phase[:, None] + slot * np.arange(per_asset)
    free = np.ones((locale.assets, per_asset), bool)
    day_rows = locale.steps_per_day
    utc_hours = (first_day * day_rows + starts) % day_rows * 24.0 / day_rows
    hours = (utc_hours + locale.longitude_deg / 15.0) % 24.0
    # Kinds bound to certain hours choose first.
    order = sorted(counts, key=lambda kind: (_width(config.anomaly(kind).local_hours), kind))
    events = []
    for kind in order:
        look = config.anomaly(kind)
        begin, end = look.local_hours
        allowed = free & ((hours - begin) % 24.0 <= _width(look.local_hours))
        candidates = np.flatnonzero(allowed)
        if len(candidates) < counts[kind]:
            raise InsufficientDataError(
                f"locale={locale.name} days={first_day}..{first_day + days}: {counts[kind]} events of kind "
                f"{kind}, but {len(candidates)} free slots between local hours {begin:g} and {end:g}. "
                "Lower the rates, add days or assets, or widen local_hours."
            )
        chosen = generator.choice(candidates, counts[kind], replace=False)
        free.flat[chosen] = False
        for place in chosen:
            rows = _rows(generator.uniform(*look.duration_min), locale)
            start = int(starts.flat[place]) + int(generator.integers(0, longest - rows + 1))
            events.append(
                Event(
                    kind=kind,
                    asset=int(place // per_asset),
                    start=start,
                    stop=start + rows,
                    magnitude=float(generator.uniform(*look.magnitude)),
                    sign=float(generator.choice((-1.0, 1.0))),
                )
            )
    return tuple(sorted(events, key=lambda event: (event.asset, event.start)))


def labels(events: tuple[Event, ...], rows: int, assets: int) -> np.ndarray:
    """Index into `("", *ANOMALY_KINDS)` per row: 0 is normal. Shape [time, asset], int8."""
    codes = np.zeros((rows, assets), np.int8)
    for event in events:
        codes[event.start : event.stop, event.asset] = 1 + ANOMALY_KINDS.index(event.kind)
    return codes


def cause_mask(events: tuple[Event, ...], kind: AnomalyKind, rows: int, assets: int) -> np.ndarray:
    """Where a plant event's cause acts: its window without the recovery. Shape [time, asset], bool."""
    mask = np.zeros((rows, assets), bool)
    for event in events:
        if event.kind == kind:
            length = event.stop - event.start
            cause = max(1, length - int(RECOVERY_FRACTION * length))
            mask[event.start : event.start + cause, event.asset] = True
    return mask


def distort(
    true: np.ndarray,
    lead_rows: int,
    events: tuple[Event, ...],
    locale: LocaleConfig,
    generator: np.random.Generator,
) -> np.ndarray:
    """What the sensor reads during events that act on its value (all but `stuck`).

    Args:
      true: True values with `lead_rows` rows of history before the period. Shape [time, asset].
      lead_rows: Rows of that history; `phase_break` looks back into it.
      events: Events on this channel; rows count from the period's first.
      locale: Cadence.
      generator: For `variance` and the period of `oscillation`.

    Returns:
      Readings before noise, of the period only. Shape [time, asset], a new array.
    """
    read = true[lead_rows:].copy()
    for event in events:
        place = (slice(event.start, event.stop), event.asset)
        rows = event.stop - event.start
        size = event.sign * event.magnitude
        if event.kind in ("spike", "level_shift"):
            read[place] += size
        elif event.kind == "ramp":
            read[place] += size * np.arange(1, rows + 1) / rows
        elif event.kind == "variance":
            read[place] += event.magnitude * generator.standard_normal(rows)
        elif event.kind == "oscillation":
            # Five to eight samples a period: fast against the day, slow enough to be sampled.
            turn = np.arange(rows) / generator.uniform(5.0, 8.0)
            read[place] += size * np.sin(2 * np.pi * turn)
        elif event.kind == "phase_break":
            lag = min(lead_rows, round(event.magnitude * 3600.0 / locale.interval_s))
            begin = lead_rows + event.start - lag
            read[place] = true[begin : begin + rows, event.asset]
    return read


def hold(read: np.ndarray, events: tuple[Event, ...]) -> None:
    """`stuck`: the reading repeats its value at the event's start, noise and all. In place."""
    for event in events:
        if event.kind == "stuck":
            read[event.start : event.stop, event.asset] = read[event.start, event.asset]


def events_on(events: tuple[Event, ...], config: FleetConfig) -> dict[Channel, tuple[Event, ...]]:
    """Sensor events by the channel that they hit; plant events are left out."""
    return {
        channel: tuple(
            event
            for event in events
            if event.kind not in PLANT_KINDS and config.anomaly(event.kind).channel == channel
        )
        for channel in CHANNELS
    }


def _rows(minutes: float, locale: LocaleConfig) -> int:
    return max(1, round(minutes * 60.0 / locale.interval_s))


def _width(hours: tuple[float, float]) -> float:
    """Length of a window of local hours that may wrap over midnight."""
    begin, end = hours
    return 24.0 if end - begin >= 24.0 else (end - begin) % 24.0
