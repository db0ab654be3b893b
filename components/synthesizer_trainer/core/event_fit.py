"""Measures every event of the training rows against a free run of the linear core."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from components.synthesizer_trainer.core import chains as chain_lib
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.columns import GRID_SIZE, ColumnTable, decode
from components.synthesizer_trainer.core.dynamics import Dynamics, memories
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.stretches import Stretch

#: Normal windows of an event's length that it is compared with.
CONTROLS = 16
#: A variable is overridden in a kind if that makes deviations smaller by this much: the sum over features
#: of the logarithm of their root mean square.
MIN_OVERRIDE_GAIN = 0.3
#: Shares of an event in which a variable is overridden.
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
#: Least deviation that counts, in units of a feature's scale.
DEVIATION_FLOOR = 0.02


def free_run(
    y: np.ndarray,
    memory: np.ndarray,
    inputs: np.ndarray,
    path: np.ndarray,
    dynamics: Dynamics,
    segment: np.ndarray,
) -> np.ndarray:
    """Expected deviations over windows, from the row before each, without innovations.

    Args:
      y: Deviations. Shape [N, F].
      memory: Their averages. Shape [N, K, F].
      inputs: Centred indicators. Shape [N, D].
      path: Rows of the windows; where a row is missing, the last one that is not. Shape [B, rows].
      dynamics: The recurrence.
      segment: Shape [N]; a window at its segment's start begins at the calendar.

    Returns:
      Shape [B, rows, F].
    """
    order = len(dynamics.lags)
    starts, rows = path[:, 0], path.shape[1]
    out = np.empty((len(starts), rows, y.shape[1]))

    def at(offset: int) -> tuple[np.ndarray, np.ndarray]:
        row = np.maximum(starts - offset, 0)
        inside = (starts - offset >= 0) & (segment[row] == segment[starts])
        return row, inside[:, None]

    lags = [np.where(at(lag)[1], y[at(lag)[0]], 0.0) for lag in range(1, order + 1)]
    row, inside = at(1)
    state = np.where(inside[:, None], memory[row], 0.0)
    for step in range(rows):
        here = path[:, step]
        parts = [*lags, *(state[:, k] for k in range(state.shape[1]))]
        parts += [inputs[here], inputs[np.maximum(here - 1, 0)], np.ones((len(starts), 1))]
        now = np.concatenate(parts, axis=1) @ dynamics.matrix.T
        out[:, step] = now
        lags = [now, *lags[:-1]]
        state = dynamics.decay[:, None] * state + (1 - dynamics.decay[:, None]) * now[:, None, :]
    return out


def fit_events(
    panel: Panel,
    variables: list[chain_lib.Variable],
    tables: list[ColumnTable],
    latent: np.ndarray,
    y: np.ndarray,
    mean: np.ndarray,
    values: np.ndarray,
    inputs: np.ndarray,
    indicators: tuple[tuple[int, int], ...],
    dynamics: Dynamics,
    held: np.ndarray,
    found: list[event_lib.Window],
    stretches: Sequence[Stretch | None],
    generator: np.random.Generator,
) -> tuple[event_lib.EventTable, np.ndarray]:
    """Measures events against a free run from before them and against normal windows.

    Where numbers behave during a kind of event as if a discrete variable stood still, whatever it shows (a
    heater that is on and has no power), the free run takes it so, and so does the sampler.

    Returns:
      The events, and for each kind the rows of training per event. Shape [kinds].
    """
    count, features = len(found), latent.shape[1]
    course = np.zeros((count, features, event_lib.DEGREES))
    wave, noise = np.zeros((count, features, 2)), np.zeros((count, features))
    wave[..., 1] = 4.0
    hold = np.tile(np.array([1.0, 0.0]), (count, features, 1))
    forced = np.full((count, len(variables)), -1, np.int32)
    memory = memories(y, panel.segment, dynamics.decay) if features else np.zeros((len(y), 0, 0))
    centred = inputs - dynamics.centre
    table = np.stack([t.table for t in tables]) if tables else np.zeros((0, GRID_SIZE))
    scale = np.array([t.scale for t in tables])
    bad = np.concatenate([[0], np.cumsum(panel.kind > 0)])
    normal = np.flatnonzero(panel.kind == 0)
    longest = event_lib.longest_run(held & (panel.kind == 0)[:, None])[0]
    as_if = np.full((len(panel.kinds) + 1, len(indicators)), np.nan)
    until = np.ones(len(panel.kinds) + 1)

    def deviation(window: event_lib.Window, override: np.ndarray, share: float) -> np.ndarray:
        path, unseen = _path(window)
        caused = window.rows[window.place < np.ceil(share * window.length)]
        changed = centred.copy()
        changed[caused] = np.where(np.isnan(override), centred[caused], override - dynamics.centre)
        own = _deviation(path[None], values, mean, y, memory, changed, dynamics, panel.segment, table)[0]
        own[unseen] = np.nan
        return own

    for kind in sorted({window.kind for window in found}) if features else ():
        own_windows = [window for window in found if window.kind == kind]
        as_if[kind], until[kind] = find_override(own_windows, inputs, indicators, scale, deviation)
    for index, window in enumerate(found):
        rows = window.length
        length, controls = rows, np.zeros(0, int)
        while length >= 1:
            starts = normal[(normal > 0) & (normal + length <= len(y))]
            inside = panel.segment[starts - 1] == panel.segment[starts + length - 1]
            starts = starts[inside & (bad[starts + length] == bad[starts - 1])]
            if len(starts):
                controls = generator.choice(starts, CONTROLS, replace=len(starts) < CONTROLS)
                break
            length //= 2
        steps = np.minimum(controls[:, None] + np.arange(length), len(y) - 1)
        if features:
            unseen = _path(window)[1]
            own = deviation(window, as_if[window.kind], until[window.kind])
            usual = np.zeros((1, rows, features))
            if len(controls):
                usual = _deviation(steps, values, mean, y, memory, centred, dynamics, panel.segment, table)
                if length == rows:
                    usual[:, unseen] = np.nan
            still, first = event_lib.longest_run(_still(window, held, values)[1:])
            usually = [event_lib.longest_run(held[c + 1 : c + length])[0] for c in controls]
            course[index], wave[index], noise[index], stuck = event_lib.measure_event(
                own / scale,
                usual / scale,
                still,
                np.array(usually) if usually else np.zeros((1, features)),
                longest,
            )
            # Shares of what was seen: what a holdout took away is no time in which the sensor moved.
            passed = np.cumsum(~unseen) - 1
            ends = passed[np.stack([first, first + still], axis=1)] / max(passed[-1], 1)
            hold[index] = np.where(stuck[:, None], ends, hold[index])
        for column, variable in enumerate(variables):
            if variable.role != "level" or len(window.rows) < 4:
                continue
            inside_codes = variable.codes[window.rows]
            if (inside_codes == inside_codes[0]).all() and len(controls):
                usual_codes = variable.codes[steps]
                same = (usual_codes == inside_codes[0]).all(1)
                if same.mean() < 0.1:
                    forced[index, column] = inside_codes[0]
    hours = np.array([panel.time_us[w.rows[0]] / MICROSECONDS % 86_400 / 3600 for w in found])
    kinds, duration = (
        np.array(part, np.int32) for part in ([w.kind for w in found], [w.length for w in found])
    )
    # As many events as make the share of labelled rows that was seen, however much of each was.
    labelled = np.bincount(panel.kind, minlength=len(panel.kinds) + 1)[1:]
    lasting = [
        duration[kinds == index + 1].mean() if (kinds == index + 1).any() else 1.0
        for index in range(len(labelled))
    ]
    events = event_lib.EventTable(
        kind=kinds,
        duration=duration,
        hour=hours.reshape(count),
        incident=event_lib.incidents(found, panel.time_us),
        course=course,
        wave=wave,
        noise=noise,
        hold=hold,
        forced=forced,
        as_if=as_if,
        until=until,
        stretch=np.array([[0.0, 0.0] if s is None else [s.begin, s.end] for s in stretches]).reshape(-1, 2),
    )
    return events, len(panel) * np.array(lasting) / np.maximum(labelled, 1)


def find_override(
    windows: list[event_lib.Window],
    inputs: np.ndarray,
    indicators: tuple[tuple[int, int], ...],
    scale: np.ndarray,
    deviation: Callable[[event_lib.Window, np.ndarray, float], np.ndarray],
) -> tuple[np.ndarray, float]:
    """The code of a variable that explains a kind's numbers better than what the variable shows.

    Args:
      windows: Of the kind.
      inputs: Indicators of the discrete state. Shape [N, D].
      indicators: (variable, code) of each; code 0 has none.
      scale: Of the features. Shape [F].
      deviation: A window less its free run, given the indicators that override (NaN: none) and the share
        of the event in which they do. Shape [rows, F].

    Returns:
      Indicators that stand for the shown ones, NaN where those count, shape [D]; and the share of an event
      in which they do.
    """
    nothing = np.full(len(indicators), np.nan)
    if not indicators:
        return nothing, 1.0

    def size(override: np.ndarray, share: float) -> float:
        square = np.concatenate([deviation(window, override, share) / scale for window in windows]) ** 2
        known = ~np.isnan(square)
        mean = np.where(known, square, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        return float(0.5 * np.log(mean + DEVIATION_FLOOR**2).sum())

    best, least = (nothing, 1.0), size(nothing, 1.0) - MIN_OVERRIDE_GAIN
    rows = np.concatenate([window.rows for window in windows])
    for variable in sorted({variable for variable, _ in indicators}):
        columns = [place for place, (one, _) in enumerate(indicators) if one == variable]
        for code in np.unique(inputs[np.ix_(rows, columns)], axis=0):
            override = nothing.copy()
            override[columns] = code
            for share in SHARES:
                found = size(override, share)
                if found < least:
                    best, least = (override, share), found
    return best


def _path(window: event_lib.Window) -> tuple[np.ndarray, np.ndarray]:
    """The last row seen at each place of an event, and which places were not seen. Shapes [length]."""
    unseen = np.ones(window.length, bool)
    unseen[window.place] = False
    return window.rows[np.cumsum(~unseen) - 1], unseen


def _still(window: event_lib.Window, held: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether a place repeats the value before it; in a gap, where its ends are alike. Shape [length, F]."""
    out = np.zeros((window.length, held.shape[1]), bool)
    out[window.place] = held[window.rows]
    for before in np.flatnonzero(np.diff(window.place) > 1):
        left, right = window.rows[before], window.rows[before + 1]
        out[window.place[before] + 1 : window.place[before + 1] + 1] = values[left] == values[right]
    return out


def _deviation(
    path: np.ndarray,
    values: np.ndarray,
    mean: np.ndarray,
    y: np.ndarray,
    memory: np.ndarray,
    inputs: np.ndarray,
    dynamics: Dynamics,
    segment: np.ndarray,
    table: np.ndarray,
) -> np.ndarray:
    """Observed minus expected over windows, in source units. Shape [B, rows, F]."""
    expected = free_run(y, memory, inputs, path, dynamics, segment)
    return values[path] - decode(table, expected + mean[path])
