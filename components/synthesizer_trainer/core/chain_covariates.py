"""What each chain of a panel may depend on, and the chains that come of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.synthesizer_trainer.core import chains as chain_lib
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.chain_fit import find_spells, fit_chain
from components.synthesizer_trainer.core.panel import Panel
from components.synthesizer_trainer.core.stretches import Stretch, with_stretches
from components.synthesizer_trainer.core.transitions import DWELL_EDGES, dwell_bins


def frozen_rows(panel: Panel, held: np.ndarray, holds: list[int], pairs: np.ndarray) -> dict[int, np.ndarray]:
    """Rows of events in which a held feature never moves: the event's doing, not its hold chain's."""
    out = {}
    found = event_lib.find_events(panel.kind, panel.segment)
    for index in holds:
        rows = np.zeros(len(panel), bool)
        for _, begin, end in found:
            if end - begin >= 4 and held[begin + 1 : end, index].mean() >= 0.95:
                rows[begin:end] = True
        out[index] = rows
    return out


def normal_gaps(panel: Panel) -> np.ndarray:
    """Last normal row before each gap or anomaly of a series, and the first one after. Shape [g, 2], int."""
    rows = np.flatnonzero(panel.kind == 0)
    both = np.stack([rows[:-1], rows[1:]], axis=1)
    same = panel.series[both[:, 0]] == panel.series[both[:, 1]]
    apart = (np.diff(both, axis=1)[:, 0] > 1) | (panel.segment[both[:, 0]] != panel.segment[both[:, 1]])
    return both[same & apart]


def tells_state(
    gaps: np.ndarray, variables: list[chain_lib.Variable], known: np.ndarray, segment: np.ndarray
) -> np.ndarray:
    """Gaps whose first row after is known to be in its state. Shape [g], bool.

    The first row of a segment has no value to hold, and a null in it no value that was before.

    Args:
      gaps: `normal_gaps`. Shape [g, 2].
      variables: Of the chain.
      known: Whether a feature has a value. Shape [N, features], bool.
      segment: Shape [N].
    """
    levels = [v.feature for v in variables if v.role == "level"]
    told = known[gaps[:, 1]][:, levels].all(1)
    if any(v.role == "hold" for v in variables):
        told &= segment[gaps[:, 0]] == segment[gaps[:, 1]]
    return np.asarray(told)


def fit_chains(
    panel: Panel,
    variables: list[chain_lib.Variable],
    groups: Sequence[tuple[int, ...]],
    frozen: dict[int, np.ndarray],
    stretches: Sequence[Stretch | None],
    calendar: Calendar,
    level_bins: np.ndarray,
    pairs: np.ndarray,
    limit: int,
    min_count: int,
) -> tuple[chain_lib.Chain, ...]:
    """Fits a chain to each group of variables.

    Columns of the covariate vector: the cycles' phases, the latent series' bins, the chains' dwell
    bins, the chains' states, the chains' spell bins.
    """
    joint = []
    for group in groups:
        codes = np.stack([variables[i].codes for i in group], axis=1)
        widest = max(len(variables[i].levels) for i in group)
        numbers = [place for place, i in enumerate(group) if variables[i].number]
        joint.append(chain_lib.joint_states(codes, min_count, max(limit, widest), numbers))
    phases = calendar.phase_bins(panel.time_us)
    before = np.maximum(np.arange(len(panel)) - 1, 0)
    common = chain_lib.phase_candidates(phases, calendar.bins)
    offset = phases.shape[1]
    for column in range(level_bins.shape[1]):
        common[offset + column] = (level_bins[before, column], chain_lib.LEVEL_BINS)
    offset += level_bins.shape[1]
    gaps = normal_gaps(panel)
    known = ~np.isnan(panel.values)
    out = []
    for index, group in enumerate(groups):
        states, codes = joint[index]
        candidates = dict(common)
        dwell, spell = dwell_bins(codes, panel.segment), None
        candidates[offset + index] = (dwell[before], len(DWELL_EDGES))
        for other, (other_states, other_codes) in enumerate(joint):
            if other != index and 2 <= len(other_states) <= 24:
                candidates[offset + len(groups) + other] = (other_codes[before], len(other_states))
        usable = pairs
        if any(variables[i].role == "hold" for i in group):
            for rows in frozen.values():
                usable = usable[~rows[usable]]
        for stretch in stretches:
            if stretch is not None and stretch.variable in group:
                usable = usable[~np.isin(usable, stretch.rows)]
        if len(states) > 2:  # of two states the spells are the dwell times
            normal = usable[(panel.kind[usable] == 0) & (panel.kind[usable - 1] == 0)]
            found = find_spells(states, codes, panel.segment, normal)
            if found:
                spell = (offset + 2 * len(groups) + index, found)
                candidates[spell[0]] = (found.ages[before], len(DWELL_EDGES))
        kinds = len(panel.kinds)
        chain = fit_chain(
            group,
            states,
            codes,
            candidates,
            usable,
            panel.kind,
            kinds,
            panel.series,
            gaps[tells_state(gaps, [variables[i] for i in group], known, panel.segment)],
            offset + index,
            spell,
            phases.shape[1],
        )
        out.append(with_stretches(chain, stretches))
    return tuple(out)


def clocked_columns(
    chains: tuple[chain_lib.Chain, ...], indicators: tuple[tuple[int, int], ...], cycles: int
) -> np.ndarray:
    """Indicators of chains that the clock drives and no number does: those whose covariates are phases alone.

    Args:
      chains: The fitted chains.
      indicators: (variable, code) of each input of the recurrence.
      cycles: Phases among the covariates.

    Returns:
      Places among the indicators. Shape [n], int.
    """
    driven = {
        variable
        for chain in chains
        if chain.covariates and max(chain.covariates) < cycles
        for variable in chain.variables
    }
    places = [place for place, (variable, _) in enumerate(indicators) if variable in driven]
    return np.array(places, np.int64)
