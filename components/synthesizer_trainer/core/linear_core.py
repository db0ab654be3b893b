"""Fits everything that has a closed form: transform, calendar, chains, recurrence, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.dataset import DatasetConfig
from components.synthesizer_trainer.core import chains as chain_lib
from components.synthesizer_trainer.core import conforming, selection
from components.synthesizer_trainer.core import events as event_lib
from components.synthesizer_trainer.core.calendar import Calendar
from components.synthesizer_trainer.core.chain_covariates import clocked_columns, fit_chains, frozen_rows
from components.synthesizer_trainer.core.clock import fit_clock
from components.synthesizer_trainer.core.columns import (
    GRID_SIZE,
    ColumnTable,
    limit_table,
)
from components.synthesizer_trainer.core.courses import find_courses
from components.synthesizer_trainer.core.dynamics import Dynamics, fit_dynamics
from components.synthesizer_trainer.core.event_fit import fit_events
from components.synthesizer_trainer.core.feature_kinds import (
    forward_fill,
    hold_variables,
    null_variables,
    sort_features,
)
from components.synthesizer_trainer.core.flicker import Flicker, find_flickers, fit_flicker
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel
from components.synthesizer_trainer.core.stretches import find_stretches
from components.synthesizer_trainer.core.styles import cluster_styles, main_cycle, style_offsets

#: Indicators of one categorical variable in the recurrence.
MAX_INDICATORS = 8


@dataclass(frozen=True)
class LinearCore:
    """The fitted linear core.

    Attributes:
      numeric: Feature indices of the latent series. F of them.
      tables: Their transforms.
      constants: Feature index to its only value.
      empty: Feature indices without any value.
      variables: The discrete variables.
      chains: Their chains.
      indicators: (variable, code) of each input of the recurrence.
      level_edges: Edges of a latent series' covariate bins; the second half of the rows is for
        scores less the series' own offset. Shape [2 F, LEVEL_BINS - 1].
      offsets: Mean score of each series (or cluster) against the locale's. Shape [styles, F].
      local_cycles: The cycle that each series' local structure depends on, or -1. F of them.
      profile: Mean at each moment of the calendar's last cycle. Shape [F, moments]; no moment: there is none.
      calendar: Functions of time.
      styles: Calendar coefficients of each series (or cluster). Shape [styles, F, C].
      dynamics: The recurrence.
      events: The anomalies' parameters.
      flickers: What numbers show of values that are one code of their chain.
      event_rows: Rows of training per event of each kind: its rarity. Shape [kinds].
      latent: Normal scores of the training rows, forward filled. Shape [N, F].
      margin: Share of the normal rows in each cell of a score's margin (`selection.EDGES`).
        Shape [F, selection.CELLS].
      correlation: Of the normal rows' scores and states (`selection.correlations`). Shape [D, D].
      autocorrelation: Of the same, in time (`selection.autocorrelations`). Shape [selection.LAGS, D].
      targets: What long releases are conformed to.
    """

    numeric: tuple[int, ...]
    tables: tuple[ColumnTable, ...]
    constants: dict[int, float]
    empty: tuple[int, ...]
    variables: tuple[chain_lib.Variable, ...]
    chains: tuple[chain_lib.Chain, ...]
    indicators: tuple[tuple[int, int], ...]
    level_edges: np.ndarray
    offsets: np.ndarray
    local_cycles: tuple[int, ...]
    profile: np.ndarray
    calendar: Calendar
    styles: np.ndarray
    dynamics: Dynamics
    events: event_lib.EventTable
    flickers: tuple[Flicker, ...]
    event_rows: np.ndarray
    latent: np.ndarray
    margin: np.ndarray
    correlation: np.ndarray
    autocorrelation: np.ndarray
    targets: conforming.Targets

    @property
    def table(self) -> np.ndarray:
        """The inverse transform of all latent series. Shape [F, GRID_SIZE]."""
        return np.stack([t.table for t in self.tables]) if self.tables else np.zeros((0, GRID_SIZE))


def neighbours(segment: np.ndarray) -> np.ndarray:
    """Rows t whose row t - 1 is of the same segment. Shape [n], int."""
    return np.flatnonzero(segment[1:] == segment[:-1]) + 1


def hold_mask(values: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """Rows that repeat the row before of the same segment. Shape of `values`, bool."""
    out = np.zeros(values.shape, bool)
    same = segment[1:] == segment[:-1]
    out[1:] = (values[1:] == values[:-1]) & (same if values.ndim == 1 else same[:, None])
    return out


def shown_columns(
    chains: Sequence[chain_lib.Chain], variables: Sequence[chain_lib.Variable]
) -> list[np.ndarray]:
    """What each chain's states show in the correlations (`selection.shown`)."""
    scales = [selection.scaled(v.levels, v.number) for v in variables]
    return [selection.shown(chain.states, [scales[i] for i in chain.variables]) for chain in chains]


def fit_linear_core(
    panel: Panel,
    dataset: DatasetConfig,
    quantiles: dict[str, np.ndarray],
    ranges: dict[str, tuple[float, float]],
    *,
    var_order: int,
    memory_steps: tuple[float, ...],
    max_periods: int,
    penalty: float,
    chain_states: int,
    min_state_count: int,
    seed: int,
    bounds: dict[str, tuple[float, float]],
) -> LinearCore:
    """Fits the core.

    Args:
      panel: The training rows.
      dataset: The columns.
      quantiles: From the analysis: per numeric feature, over normal rows.
      ranges: From the analysis: per numeric feature, over all rows.
      var_order: Lags.
      memory_steps: Time constants in rows.
      max_periods: Cycles to look for.
      penalty: Ridge.
      chain_states: Joint states of a chain at most.
      min_state_count: Rows that a joint state needs.
      seed: For the choice of control windows.
      bounds: Feature name to the range that may be emitted.
    """
    generator = np.random.default_rng(seed)
    normal = panel.kind == 0
    pairs = neighbours(panel.segment)
    numeric, tables, constants, empty, variables = sort_features(panel, dataset, quantiles, ranges)
    tables = [
        limit_table(table, bounds.get(dataset.features[index].name, (-np.inf, np.inf)))
        for index, table in zip(numeric, tables)
    ]
    values = panel.values[:, numeric]
    raw = np.stack([t.encode(values[:, i]) for i, t in enumerate(tables)], 1) if tables else values
    latent = np.empty_like(raw)
    for index in range(len(numeric)):
        latent[:, index] = forward_fill(raw[:, index], panel.segment, 0.0)
    known = ~np.isnan(raw)
    variables += null_variables(panel, numeric)
    held = hold_mask(values, panel.segment) & known
    holds, found = hold_variables(held, known, numeric, pairs[normal[pairs]])
    variables += found

    calm = np.where(normal[:, None], raw, np.nan)
    interval_s = dataset.interval_s
    clock = fit_clock(panel, calm, interval_s, max_periods)
    calendar, phases = clock.calendar, clock.phases

    offsets = style_offsets(clock.mean, panel.series, panel.n_series)
    both = np.concatenate([latent, latent - offsets[panel.series]], axis=1)
    share = np.arange(1, chain_lib.LEVEL_BINS) / chain_lib.LEVEL_BINS
    edges = np.quantile(both[normal], share, axis=0).T if numeric else np.zeros((0, len(share)))
    level_bins = np.zeros(both.shape, np.int64)
    for index, own in enumerate(edges):
        level_bins[:, index] = np.searchsorted(own, both[:, index], side="left")
    windows = event_lib.templates(
        event_lib.find_windows(
            panel.kind, panel.segment, panel.series, panel.time_us, interval_s * MICROSECONDS
        )
    )
    calm_pairs = pairs[normal[pairs] & normal[pairs - 1]]
    variables += find_courses(variables, panel.segment, calm_pairs)
    stretches = find_stretches(variables, windows, panel.segment, panel.kind, calm_pairs)
    variables, groups, merged = find_flickers(
        variables,
        ~np.isnan(panel.values),
        calm_pairs,
        [*phases.T, *level_bins.T],
        chain_states,
        min_state_count,
    )
    frozen = frozen_rows(panel, held, holds, pairs)
    chains = fit_chains(
        panel,
        variables,
        groups,
        frozen,
        stretches,
        calendar,
        level_bins,
        pairs,
        chain_states,
        min_state_count,
    )
    flickers = tuple(
        fit_flicker(index, *one, chains[chain_lib.chain_of(chains, index)], normal, windows)
        for index, one in merged.items()
    )

    indicators = tuple(
        (index, code)
        for index, variable in enumerate(variables)
        if variable.role == "level"
        for code in range(1, min(len(variable.levels), MAX_INDICATORS + 1))
    )
    inputs = np.zeros((len(panel), len(indicators)))
    for column, (index, code) in enumerate(indicators):
        inputs[:, column] = variables[index].codes == code
    clocked = clocked_columns(chains, indicators, len(calendar.periods_s))
    if len(clocked):
        # What a mode does is not the clock's: a sampled mode is not always where the clock has it.
        driven = inputs[:, clocked] - inputs[np.ix_(normal, clocked)].mean(0)
        clock = clock.with_inputs(panel, calm, driven)
    y = latent - clock.mean
    free = known.copy()
    free[:, holds] &= ~held[:, holds]
    cycles = [cycle for cycle in (main_cycle(calendar, clock.styles),) if cycle >= 0]
    cycles += [len(calendar.periods_s) - 1] if calendar.moments else []
    dynamics, chosen = fit_dynamics(
        y,
        free,
        inputs,
        panel.segment,
        normal,
        var_order,
        memory_steps,
        penalty,
        level_bins[:, : len(numeric)],
        chain_lib.LEVEL_BINS,
        phases[:, cycles],
        tuple(calendar.bins[cycle] for cycle in cycles),
        int(np.bincount(panel.series[normal]).max(initial=0)),
    )
    # A null inside a run of one value does not end it.
    still = hold_mask(latent, panel.segment)
    events, event_rows = fit_events(
        panel,
        variables,
        tables,
        latent,
        y,
        clock.mean,
        values,
        inputs,
        indicators,
        dynamics,
        still,
        windows,
        stretches,
        generator,
    )
    states = np.stack([chain.codes for chain in chains], 1) if chains else np.zeros((len(panel), 0), int)
    columns = shown_columns(chains, variables)
    styles, offsets_of_styles = cluster_styles(clock.styles, offsets, generator)
    return LinearCore(
        numeric=tuple(numeric),
        tables=tuple(tables),
        constants=constants,
        empty=tuple(empty),
        variables=tuple(variables),
        chains=chains,
        indicators=indicators,
        level_edges=edges,
        offsets=offsets_of_styles,
        local_cycles=tuple(cycles[one] if cycles else -1 for one in chosen),
        profile=clock.profile,
        calendar=calendar,
        styles=styles,
        dynamics=dynamics,
        events=events,
        flickers=flickers,
        event_rows=event_rows,
        latent=latent,
        margin=selection.margins(latent[normal]),
        correlation=selection.correlations(latent[normal], states[normal], columns),
        autocorrelation=selection.autocorrelations(latent, states, columns, normal, panel.segment),
        targets=conforming.fit_targets(
            latent[normal],
            np.stack([t.table for t in tables]) if tables else np.zeros((0, GRID_SIZE)),
            panel.series[normal],
            len(styles),
            calendar.part_of_day(panel.time_us[normal]),
            calendar.parts,
        ),
    )
