"""What an anomaly does, as a few numbers per event and feature: no row of an event is kept.

An event's rows are compared with a free run of the linear core from the rows before it. What differs
beyond what normal windows of the same length show is kept: a polynomial (level, ramp, bump), a
sinusoid, added white noise, a hold. Sampling draws one event's numbers of the wanted kind and jitters
them (a smoothed bootstrap over parameters, not over rows).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

#: Legendre polynomials of degree 0 to 4 describe an event's course.
DEGREES = 5
#: A coefficient below this many standard deviations of normal windows is no effect.
SIGNIFICANT = 3.0
#: Fractions for the jitter of sampled events: size of effects, durations.
JITTER = 0.15
DURATION_JITTER = 0.15
#: A piece of an event this many times shorter than the longest piece tells nothing of how events go.
SCRAP = 8
#: A sensor is stuck when one value fills this share of the event, which normal rows do not do.
MIN_HOLD_SHARE = 0.45
#: Runs of one kind are one event across a gap of at most so many times the rows that were seen of it.
MAX_GAP_SHARE = 2.0


@dataclass(frozen=True)
class EventTable:
    """Parameters of E events over F numeric features, and V discrete variables.

    Attributes:
      kind: 1-based kind of each event. Shape [E], int32.
      duration: Rows. Shape [E], int32.
      hour: Hour of the day at onset, UTC. Shape [E].
      incident: Number of what the event is part of (`incidents`). Shape [E], int32.
      course: Legendre coefficients in units of the feature's scale. Shape [E, F, DEGREES].
      wave: Amplitude (scale units) and period (rows). Shape [E, F, 2].
      noise: Standard deviation of added white noise (scale units). Shape [E, F].
      hold: First and last moment, as shares of the event, between which the value stays; (1, 0) where
        it does not. Shape [E, F, 2].
      forced: Code that a discrete `level` variable is held at, or -1. Shape [E, V], int32.
      as_if: Indicators of the discrete state that the numbers follow during each kind, whatever is shown;
        NaN: what is shown. Row 0 is for normal rows. Shape [kinds + 1, D].
      stretch: First and last share of the event in which a chain is confined to a band (`stretches`); (0, 0)
        where none is. Shape [E, 2].
      until: Share of an event of each kind after which the numbers follow what is shown again, and the
        chains their normal transitions: the cause is over, the label is not. Shape [kinds + 1].
    """

    kind: np.ndarray
    duration: np.ndarray
    hour: np.ndarray
    incident: np.ndarray
    course: np.ndarray
    wave: np.ndarray
    noise: np.ndarray
    hold: np.ndarray
    forced: np.ndarray
    as_if: np.ndarray
    until: np.ndarray
    stretch: np.ndarray


def find_events(kind: np.ndarray, segment: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs of one anomaly kind inside a segment: (kind, first row, row after the last)."""
    edges = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]) | (segment[1:] != segment[:-1]), True])
    return [
        (int(kind[begin]), int(begin), int(end))
        for begin, end in itertools.pairwise(edges)
        if kind[begin] > 0
    ]


@dataclass(frozen=True)
class Window:
    """An event as far as it was seen: rows that were held out or missing may be inside it, or at its ends.

    Attributes:
      kind: 1-based.
      rows: Rows of the panel that were seen. Shape [n], rising.
      place: Their place in the event, in intervals from its first row. Shape [n].
      whole: A normal row stands right before it and right after it, so that nothing is missing at its ends.
    """

    kind: int
    rows: np.ndarray
    place: np.ndarray
    whole: bool

    @property
    def length(self) -> int:
        """Rows from the first to the last one seen, unseen ones included."""
        return int(self.place[-1]) + 1


def find_windows(
    kind: np.ndarray, segment: np.ndarray, series: np.ndarray, time_us: np.ndarray, interval_us: float
) -> list[Window]:
    """Events: runs of one kind, those put together that no normal row parts and that a short gap does.

    Args:
      kind: 0 for normal. Shape [N].
      segment: Shape [N].
      series: Shape [N].
      time_us: Shape [N], rising within a series.
      interval_us: Cadence.
    """
    found: list[list[tuple[int, int]]] = []
    for own, begin, end in find_events(kind, segment):
        if (
            found
            and found[-1][-1][1] == begin
            and kind[begin - 1] == own
            and series[begin - 1] == series[begin]
        ):
            gap = (time_us[begin] - time_us[begin - 1]) / interval_us - 1
            if gap <= MAX_GAP_SHARE * (end - found[-1][0][0]):
                found[-1].append((begin, end))
                continue
        found.append([(begin, end)])
    windows = []
    for runs in found:
        begin, end = runs[0][0], runs[-1][1]
        rows = np.arange(begin, end)
        place = np.rint((time_us[rows] - time_us[begin]) / interval_us).astype(np.int64)
        whole = begin > 0 and end < len(kind)
        whole = whole and segment[begin - 1] == segment[begin] and segment[end] == segment[end - 1]
        windows.append(Window(int(kind[begin]), rows, place, bool(whole)))
    return windows


def incidents(windows: list[Window], time_us: np.ndarray) -> np.ndarray:
    """Which windows are one incident: those of one kind that overlap in time, or with others that do.

    A storm that hits a whole site is seen on each of its series, and says once when storms come.

    Args:
      windows: W of them.
      time_us: Of the panel's rows. Shape [N].

    Returns:
      Number of each one's incident, from 0. Shape [W], int32.
    """
    out, number = np.zeros(len(windows), np.int32), -1
    end: dict[int, tuple[int, int]] = {}
    for index in sorted(range(len(windows)), key=lambda index: int(time_us[windows[index].rows[0]])):
        kind, rows = windows[index].kind, windows[index].rows
        last, own = end.get(kind, (-1, -1))
        if own < 0 or time_us[rows[0]] > last:
            number += 1
            own = number
        end[kind] = max(last, int(time_us[rows[-1]])), own
        out[index] = own
    return out


def templates(windows: list[Window]) -> list[Window]:
    """The events that others are sampled in the manner of: not those of which little was seen.

    An event that a holdout cuts off would be sampled too short, with a course that is a part of its own. So
    it counts only where it is at least as long as the median of its kind's whole events, or, where none is
    whole, where it is no mere scrap of the longest.
    """
    out = []
    for kind in sorted({window.kind for window in windows}):
        own = [window for window in windows if window.kind == kind]
        whole = [window.length for window in own if window.whole]
        least = float(np.median(whole)) if whole else max(window.length for window in own) / SCRAP
        out += [window for window in own if window.whole or window.length >= least]
    return sorted(out, key=lambda window: int(window.rows[0]))


@functools.lru_cache(maxsize=256)
def legendre(rows: int) -> np.ndarray:
    """Legendre polynomials over an event's rows, to be read only. Shape [rows, min(rows, DEGREES)]."""
    place = np.linspace(-1, 1, rows) if rows > 1 else np.zeros(1)
    out = np.polynomial.legendre.legvander(place, min(rows, DEGREES) - 1)
    out.setflags(write=False)
    return out


def describe(deviation: np.ndarray) -> dict[str, np.ndarray]:
    """Shape statistics of a window's deviation from what was expected.

    Args:
      deviation: In scale units; NaN is unknown. A row of which nothing is known takes no part. Shape
        [rows, F].

    Returns:
      `course` [F, DEGREES], `amplitude` [F], `period` [F], `share` [F] (of the rest's variance that
      the strongest frequency explains), `rough` [F] (robust deviation of first differences).
    """
    rows, count = deviation.shape
    seen = ~np.isnan(deviation).all(1)
    if not seen.any() or not count:
        seen = np.ones(rows, bool)
    filled = np.where(np.isnan(deviation), 0.0, deviation)
    basis = legendre(rows)
    known = basis * seen[:, None]
    # The less was seen, the less the course may bend where nothing was.
    penalty = (1e-3 + 0.1 * (1 - seen.mean())) * rows
    gram = known.T @ known + penalty * np.diag(np.arange(basis.shape[1]) > 0)
    course = np.zeros((count, DEGREES))
    course[:, : basis.shape[1]] = np.linalg.solve(gram, known.T @ filled).T
    rest = (filled - basis @ course[:, : basis.shape[1]].T) * seen[:, None]
    amplitude, share, period = np.zeros(count), np.zeros(count), np.full(count, 4.0)
    if rows >= 8:
        padded = 4 * rows
        power = np.abs(np.fft.rfft(rest * np.hanning(rows)[:, None], n=padded, axis=0))
        power[: padded // rows * 2] = 0
        peak = power.argmax(0)
        period = padded / np.maximum(peak, 1)
        angle = 2 * np.pi * np.arange(rows)[:, None] / period
        cosine = 2 * (rest * np.cos(angle)).mean(0) / seen.mean()
        sine = 2 * (rest * np.sin(angle)).mean(0) / seen.mean()
        amplitude = np.hypot(cosine, sine)
        rest_variance = rest[seen].var(0)
        share = np.where(rest_variance > 1e-12, 0.5 * amplitude**2 / np.maximum(rest_variance, 1e-12), 0)
        wave = cosine * np.cos(angle) + sine * np.sin(angle)
        rest = rest - np.where(share > 0.3, wave, 0)
    pairs = seen[1:] & seen[:-1]
    # The middle one of the steps: a jump or two is no noise (a heater that comes back before the label ends).
    step = np.diff(rest, axis=0)[pairs]
    rough = np.zeros(count)
    if len(step) > 1:
        rough = 1.4826 * np.median(np.abs(step - np.median(step, axis=0)), axis=0)
    return {"course": course, "amplitude": amplitude, "period": period, "share": share, "rough": rough}


def longest_run(held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longest run of True along time.

    Args:
      held: Shape [rows, F], bool.

    Returns:
      Length and first row of each feature's longest run. Shapes [F].
    """
    rows = len(held)
    count = np.zeros(held.shape, np.int64)
    now = np.zeros(held.shape[1], np.int64)
    for row in range(rows):
        now = np.where(held[row], now + 1, 0)
        count[row] = now
    if not rows:
        return now, now
    last = count.argmax(0)
    length = count.max(0)
    return length, last - length + 1


def measure_event(
    deviation: np.ndarray,
    controls: np.ndarray,
    still: np.ndarray,
    still_controls: np.ndarray,
    longest: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What an event does beyond normal windows of its length.

    Args:
      deviation: The event, in scale units. Shape [rows, F].
      controls: Normal windows. Shape [C, rows, F].
      still: Length of the event's longest run of one value, in steps. Shape [F].
      still_controls: The same of the controls. Shape [C, F].
      longest: Longest such run in normal rows. Shape [F].

    Returns:
      course [F, DEGREES], wave [F, 2], noise [F], hold [F] (bool).
    """
    rows = len(deviation)
    own = describe(deviation)
    usual = [describe(control) for control in controls]
    spread = np.sqrt(np.mean([u["course"] ** 2 for u in usual], axis=0)) + 1e-3
    ratio = np.abs(own["course"]) / spread
    # Soft threshold (James-Stein like): the part that chance explains is taken off. One clear
    # coefficient vouches for the others of its feature.
    strong = (ratio > SIGNIFICANT).any(1, keepdims=True)
    kept = np.clip(1 - 1 / np.maximum(ratio, 1e-9) ** 2, 0, 1)
    course = np.where(strong & (ratio > 1), own["course"] * kept, 0.0)
    amplitude = np.median([u["amplitude"] for u in usual], axis=0)
    waves = (own["share"] > 0.45) & (own["amplitude"] > 3 * amplitude + 1e-3)
    wave = np.stack([np.where(waves, own["amplitude"], 0), own["period"]], axis=1)
    rough = np.median([u["rough"] for u in usual], axis=0)
    louder = (own["rough"] > 1.5 * rough + 1e-3) & (rows >= 5) & ~waves
    noise = np.where(louder, np.sqrt(np.maximum(own["rough"] ** 2 - rough**2, 0) / 2), 0.0)
    unusual = ((still_controls >= still).mean(0) < 0.1) | (still > 1.5 * longest)
    # Of what was seen: a holdout that cuts off an event's other half does not make its sensor move.
    seen = int((~np.isnan(deviation).all(1)).sum())
    hold = (still >= max(MIN_HOLD_SHARE * (seen - 1), 3)) & unusual & (seen >= 4)
    course[hold], wave[hold, 0], noise[hold] = 0, 0, 0
    return course, wave, noise, hold


def event_effect(
    course: np.ndarray, wave: np.ndarray, noise: np.ndarray, rows: int, generator: np.random.Generator
) -> np.ndarray:
    """One sampled event's additive effect.

    Args:
      course: Shape [F, DEGREES].
      wave: Shape [F, 2].
      noise: Shape [F].
      rows: The event's length.
      generator: Jitter and noise.

    Returns:
      In scale units. Shape [rows, F].
    """
    count = len(course)
    size = 1 + JITTER * generator.standard_normal(count)
    basis = legendre(rows)
    bend = course * (1 + 0.5 * JITTER * generator.standard_normal(course.shape))
    effect = basis @ (bend[:, : basis.shape[1]] * size[:, None]).T
    if wave[:, 0].any():
        period = wave[:, 1] * (1 + 0.1 * generator.standard_normal(count))
        phase = generator.uniform(0, 2 * np.pi, count)
        angle = 2 * np.pi * np.arange(rows)[:, None] / np.maximum(period, 2.0) + phase
        effect = effect + wave[:, 0] * size * np.sin(angle)
    if noise.any():
        effect = effect + noise * size * generator.standard_normal((rows, count))
    return effect
