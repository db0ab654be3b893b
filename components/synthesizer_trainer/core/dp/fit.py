"""From noisy statistics to a `LinearCore`: post-processing, so it costs nothing and sees no row.

Every function here takes what `mechanism.release` returned and public settings; none takes a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from components.dataset import DatasetConfig
from components.synthesizer_trainer.config import DpConfig
from components.synthesizer_trainer.core import conforming, selection
from components.synthesizer_trainer.core.chains import LEVEL_BINS, Chain, Variable
from components.synthesizer_trainer.core.columns import ColumnTable, build_table
from components.synthesizer_trainer.core.dp import discrete
from components.synthesizer_trainer.core.dp.cycles import public_calendar
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.event_fit import fit_events
from components.synthesizer_trainer.core.dp.marginals import numeric_tables
from components.synthesizer_trainer.core.dp.mechanism import Noisy
from components.synthesizer_trainer.core.dp.moments import fit_recurrence
from components.synthesizer_trainer.core.dp.queries import STEP_CELLS, STEP_FIRST, Layout
from components.synthesizer_trainer.core.feature_kinds import MIN_HOLD
from components.synthesizer_trainer.core.linear_core import LinearCore

Released = Mapping[str, Noisy]


@dataclass(frozen=True)
class Marginals:
    """What the first stage gives.

    Attributes:
      tables: Transform of every numeric feature; one that is lost in the noise has that of its bounds.
      quantiles: Shape [K + 1] each.
      lost: Whether a numeric feature is lost. Shape [F], bool.
      rows: Noisy number of normal rows, at least 1.
      null_tables: Transitions of each feature's nulls [2, 2], None where they are lost in the noise.
      null_share: Share of null rows of each feature; 0 where lost. Shape [features].
      hold_tables: Transitions of each numeric feature's holds, None where it does not hold.
      hold_share: Share of held rows; 0 where it does not hold. Shape [F].
      level_tables: Transitions of each discrete feature by phase [B, S, S], and shares [S].
      known: Whether any value of a discrete feature stands out. Shape [discrete], bool.
    """

    tables: tuple[ColumnTable, ...]
    quantiles: tuple[np.ndarray, ...]
    lost: np.ndarray
    rows: float
    null_tables: tuple[np.ndarray | None, ...]
    null_share: np.ndarray
    hold_tables: tuple[np.ndarray | None, ...]
    hold_share: np.ndarray
    level_tables: tuple[tuple[np.ndarray, np.ndarray], ...]
    known: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """Medians in source units. Shape [F]."""
        return np.array([q[len(q) // 2] for q in self.quantiles])


@dataclass(frozen=True)
class CalendarFit:
    """What the second stage gives.

    Attributes:
      coefficients: Shape [F, C].
      step_scale: Root mean square step of each feature, in scores. Shape [F].
    """

    coefficients: np.ndarray
    step_scale: np.ndarray


@dataclass
class Withheld:
    """What the noise hid, by name; never silently."""

    features: list[str] = field(default_factory=list)
    nulls: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


def fit_marginals(
    released: Released, found: Layout, domains: Domains, dataset: DatasetConfig, dp: DpConfig
) -> Marginals:
    """Tables and chains from the counts of the first stage."""
    names = dataset.feature_names()
    numeric = [names[i] for i in found.numeric]
    rows = max(float(released["rows"].value[0]), 1.0)
    tables: list[ColumnTable] = []
    quantiles: list[np.ndarray] = []
    lost = np.zeros(len(numeric), bool)
    if numeric:
        bounds = [domains.bounds[name] for name in numeric]
        steps = [domains.steps.get(name, 0.0) for name in numeric]
        integers = [dataset.features[i].kind == "integer" for i in found.numeric]
        made, own = numeric_tables(released["histograms"], bounds, steps, integers, rows)
        for index, (table, found_quantiles) in enumerate(zip(made, own)):
            lost[index] = table is None
            if table is None:
                found_quantiles = np.linspace(*bounds[index], 51)
                table = build_table(found_quantiles, bounds[index], 2, 0.0, integers[index])
            tables.append(table)
            quantiles.append(found_quantiles)
    nulls = [_flag_table(Noisy(v, released["nulls"].std), dp.signal) for v in released["nulls"].value]
    holds: list[tuple[np.ndarray | None, float]] = []
    if numeric:
        holds = [_flag_table(Noisy(v, released["holds"].std), dp.signal) for v in released["holds"].value]
        holds = [(table, share) if share > MIN_HOLD else (None, 0.0) for table, share in holds]
    levels, known = [], np.ones(len(found.discrete), bool)
    for place, size in enumerate(found.levels):
        pooled = released[f"pairs_{place}"]
        known[place] = pooled.value.sum() >= dp.signal * pooled.std * size
        levels.append(discrete.transition_table(pooled, released[f"phases_{place}"], dp.signal))
    return Marginals(
        tables=tuple(tables),
        quantiles=tuple(quantiles),
        lost=lost,
        rows=rows,
        null_tables=tuple(table for table, _ in nulls),
        null_share=np.array([share for _, share in nulls]),
        hold_tables=tuple(table for table, _ in holds),
        hold_share=np.array([share for _, share in holds]),
        level_tables=tuple(levels),
        known=known,
    )


def _flag_table(counts: Noisy, signal: float) -> tuple[np.ndarray | None, float]:
    """Transitions of a flag and its share; None and 0 where it is lost in the noise."""
    table, share = discrete.transition_table(counts, None, signal)
    return (table[0], float(share[1])) if share[1] > 0 else (None, 0.0)


def step_sizes(counts: np.ndarray, std: float) -> np.ndarray:
    """Root mean square step by feature, from a noisy histogram of step sizes.

    Args:
      counts: Shape [F, STEP_CELLS].
      std: Of the noise.

    Returns:
      Shape [F]; 1 where nothing stands out.
    """
    middle = STEP_FIRST * 2.0 ** np.arange(-1, STEP_CELLS - 2) * 1.5
    size = np.concatenate([[0.0], middle])
    size[1] = STEP_FIRST / 2
    kept = np.where(counts >= 2 * std, counts, 0.0)
    total = kept.sum(1)
    square = (kept * size**2).sum(1) / np.maximum(total, 1e-9)
    return np.where((total > 0) & (square > 0), np.sqrt(square), 1.0)


def fit_cycles(released: Released, found: Layout, marginals: Marginals) -> CalendarFit:
    """Calendar coefficients and step sizes from the second stage."""
    gram, cross = released["calendar_gram"], released["calendar_cross"]
    known = np.maximum(1 - marginals.null_share[list(found.numeric)], 0.05)
    values, vectors = np.linalg.eigh(gram.value)
    # The noise's largest eigenvalue is about std sqrt(2 C): what lies below is not known.
    values = np.maximum(values, 0) + gram.std * np.sqrt(2 * len(values))
    inverse = (vectors / values) @ vectors.T
    coefficients = (inverse @ cross.value).T / known[:, None]
    noise = cross.std * np.sqrt(np.maximum((inverse**2).sum(1), 1e-300)) / known[:, None]
    # James-Stein, positive part, each coefficient by itself.
    keep = np.clip(1 - (noise / np.maximum(np.abs(coefficients), 1e-12)) ** 2, 0, 1)
    steps = released["steps"]
    return CalendarFit(coefficients * keep, step_sizes(steps.value[0], steps.std))


def assemble(
    released: Released,
    found: Layout,
    domains: Domains,
    dataset: DatasetConfig,
    dp: DpConfig,
    marginals: Marginals,
    cycles: CalendarFit | None,
) -> tuple[LinearCore, np.ndarray, Withheld]:
    """The core, from all stages.

    Returns:
      The core; the scores that its marginals should have, shape [K + 1, F]; and what is withheld.
    """
    names = dataset.feature_names()
    withheld = Withheld()
    kept = np.flatnonzero(~marginals.lost)
    numeric = tuple(found.numeric[i] for i in kept)
    tables = tuple(marginals.tables[i] for i in kept)
    discrete_places = np.flatnonzero(marginals.known)
    empty = [found.numeric[i] for i in np.flatnonzero(marginals.lost)]
    empty += [found.discrete[i] for i in np.flatnonzero(~marginals.known)]
    withheld.features = [names[i] for i in sorted(empty)]
    withheld.nulls = [name for name, table in zip(names, marginals.null_tables) if table is None]
    events, event_rows, released_kinds = fit_events(released, found, marginals, dp, kept)
    withheld.kinds = [name for i, name in enumerate(domains.kinds) if i not in released_kinds]
    kinds = len(released_kinds)
    variables: list[Variable] = []
    chains: list[Chain] = []

    def add(variable: Variable, table: np.ndarray, share: np.ndarray) -> None:
        chains.append(discrete.make_chain(len(variables), table, share, kinds))
        variables.append(variable)

    for place in discrete_places:
        levels = np.arange(float(found.levels[place]))
        variable = Variable(found.discrete[place], "level", levels, np.zeros(0, np.int32))
        add(variable, *marginals.level_tables[place])
    for feature, (table, share) in enumerate(zip(marginals.null_tables, marginals.null_share)):
        if table is not None and feature not in empty:
            add(discrete.flag(feature, "null"), table[None], np.array([1 - share, share]))
    for index in kept:
        table, share = marginals.hold_tables[index], marginals.hold_share[index]
        if table is not None:
            add(discrete.flag(found.numeric[index], "hold"), table[None], np.array([1 - share, share]))
    indicators = [(v, code) for v, code in found.indicators if marginals.known[v]]
    position = {int(place): new for new, place in enumerate(discrete_places)}
    dynamics = fit_recurrence(
        released.get("moments"), found, marginals, cycles, dp.var_order, kept, indicators
    )
    calendar = public_calendar(found)
    styles = np.zeros((1, len(kept), calendar.width))
    if cycles is not None:
        styles[0] = cycles.coefficients[kept]
    target = [tables[n].encode(marginals.quantiles[i]) for n, i in enumerate(kept)]
    wanted = (
        np.stack(target, 1) if target and len({len(t) for t in target}) == 1 else np.zeros((0, len(kept)))
    )
    edges = ndtri(np.arange(1, LEVEL_BINS) / LEVEL_BINS)
    core = LinearCore(
        numeric=numeric,
        tables=tables,
        constants={},
        empty=tuple(sorted(empty)),
        variables=tuple(variables),
        chains=tuple(chains),
        indicators=tuple((position[v], code) for v, code in indicators),
        level_edges=np.repeat(edges[None], 2 * len(kept), axis=0),
        offsets=np.zeros((1, len(kept))),
        local_cycles=(-1,) * len(kept),
        profile=np.zeros((len(kept), 0)),
        calendar=calendar,
        styles=styles,
        dynamics=dynamics,
        events=events,
        flickers=(),
        event_rows=event_rows,
        latent=np.zeros((0, len(kept))),
        margin=selection.margins(wanted),
        correlation=np.zeros((0, 0)),
        autocorrelation=np.zeros((0, 0)),
        targets=conforming.no_targets(len(kept)),
    )
    return core, wanted, withheld
