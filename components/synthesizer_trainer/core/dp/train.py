"""The DP synthesizers from end to end: rows, three noisy releases, a core, perhaps a residual, the module."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.errors import InsufficientDataError
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import selection
from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, decode
from components.synthesizer_trainer.core.dp import fit, statistics
from components.synthesizer_trainer.core.dp.budget import core_multipliers, critic_mechanism, plan_release
from components.synthesizer_trainer.core.dp.domains import Domains
from components.synthesizer_trainer.core.dp.kept import Kept
from components.synthesizer_trainer.core.dp.mechanism import Noise, Noisy, release
from components.synthesizer_trainer.core.dp.queries import Layout, layout, stages
from components.synthesizer_trainer.core.dp.residual import train_residual
from components.synthesizer_trainer.core.dp.rows import Rows, read_rows
from components.synthesizer_trainer.core.dp.statement import privacy_block
from components.synthesizer_trainer.core.linear_core import LinearCore, shown_columns
from components.synthesizer_trainer.core.model import SynthesizerModule
from components.synthesizer_trainer.core.panel import MICROSECONDS
from components.synthesizer_trainer.core.planning import Session
from components.synthesizer_trainer.core.sampling import LANES, Synthesizer
from components.synthesizer_trainer.core.training import Trained, calibrate, describe_core

_LOG = logging.getLogger(__name__)
#: Rows of the core that its own law is read from, per lane.
POOL_ROWS = 4096


def measure(
    rows: Rows, config: SynthesizerTrainerConfig, domains: Domains, noise: Noise | None = None
) -> tuple[dict[str, Noisy], fit.Marginals, fit.CalendarFit | None]:
    """Releases all statistics; everything after this is post-processing.

    Args:
      rows: The training rows.
      config: The configuration.
      domains: Public bounds and vocabularies.
      noise: As for `mechanism.release`.

    Returns:
      Noisy statistics by name, and what the first two stages gave.
    """
    dp, dataset = config.dp, config.dataset
    assert dp is not None
    planned, found = stages(config, domains), layout(config, domains)
    multipliers = core_multipliers(config, planned)
    interval = dataset.interval_s
    sums = statistics.marginal_sums(
        rows, found, domains, dataset.feature_names(), dp.histogram_levels, dp.phase_bins, interval
    )
    released = release(planned[0], sums, multipliers[0], dp, noise)
    marginals = fit.fit_marginals(released, found, domains, dataset, dp)
    if not found.numeric:
        return released, marginals, None
    sums = statistics.calendar_sums(rows, found, marginals.tables, marginals.centre, interval)
    released |= release(planned[1], sums, multipliers[1], dp, noise)
    cycles = fit.fit_cycles(released, found, marginals)
    sums = statistics.moment_sums(
        rows, found, marginals.tables, cycles.coefficients, cycles.step_scale, dp.var_order, interval
    )
    released |= release(planned[2], sums, multipliers[2], dp, noise)
    return released, marginals, cycles


def fit_core(
    released: dict[str, Noisy],
    marginals: fit.Marginals,
    cycles: fit.CalendarFit | None,
    config: SynthesizerTrainerConfig,
    domains: Domains,
) -> tuple[LinearCore, np.ndarray, fit.Withheld]:
    """The core from the noisy statistics alone; see `fit.assemble`."""
    assert config.dp is not None
    found = layout(config, domains)
    return fit.assemble(released, found, domains, config.dataset, config.dp, marginals, cycles)


def remembered(
    released: dict[str, Noisy], config: SynthesizerTrainerConfig, domains: Domains
) -> tuple[dict[str, Noisy], fit.Marginals, fit.CalendarFit | None]:
    """What `measure` returned, from the statistics that an earlier attempt released."""
    found = layout(config, domains)
    assert config.dp is not None
    marginals = fit.fit_marginals(released, found, domains, config.dataset, config.dp)
    return released, marginals, fit.fit_cycles(released, found, marginals) if found.numeric else None


def train_dp_synthesizer(
    table: pa.Table,
    config: SynthesizerTrainerConfig,
    domains: Domains,
    seed: int,
    place: str,
    noise: Noise | None = None,
    kept: Kept | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Fits a DP synthesizer.

    Args:
      table: The training rows.
      config: Method `dp_linear` or `dp_gan`.
      domains: Public bounds and vocabularies.
      seed: Of what is drawn from the model while it is calibrated; never of the noise.
      place: For messages.
      noise: As for `mechanism.release`.
      kept: Of an earlier attempt at the same work; None keeps nothing.
      progress: Called with step and steps of the critic.

    Returns:
      The model, and a report that holds nothing but post-processed noisy statistics and public settings.

    Raises:
      DataError: a column is missing.
      InsufficientDataError: the noisy count of normal rows is too small. The budget is spent all the same.
    """
    dp, kept = config.dp, kept or Kept()
    assert dp is not None
    rows = read_rows(table, config.dataset, domains, dp, place)
    if kept.released:
        _LOG.info("%s: the released statistics of an earlier attempt are taken up", place)
        released, marginals, cycles = remembered(kept.released, config, domains)
    else:
        released, marginals, cycles = measure(rows, config, domains, noise)
        kept.write(released, {})
    if marginals.rows < config.min_train_rows:
        raise InsufficientDataError(
            f"{place}: the noisy count of rows of normal operation is below {config.min_train_rows} "
            "(min_train_rows). Widen the span, or raise privacy.target_epsilon; the budget is spent."
        )
    core, wanted, withheld = fit_core(released, marginals, cycles, config, domains)
    kinds = tuple(kind for kind in domains.kinds if kind not in withheld.kinds)
    core, module = _module(core, wanted, config, domains, kinds, seed)
    found = layout(config, domains)
    report: dict[str, Any] = {
        "method": config.method,
        "privacy": privacy_block(config, domains, plan_release(config, domains)),
        "noisy_rows": round(marginals.rows),
        "kinds": dict.fromkeys(kinds),
        "withheld": dataclasses.asdict(withheld),
        # No real window was counted: a kind stands if its noisy count does (`dp.signal`).
        "rare_events": {"outcome": "dp"},
        "columns": _columns(core, found),
        "core_parameters": int(sum(v.shape.num_elements() for v in module.store.values())),
        "network_parameters": 0,
    }
    _LOG.info("%s: rare events: with differential privacy, no real window is counted", place)
    _LOG.info("%s: a core from noisy statistics, epsilon %g per %s", place, dp.epsilon, dp.unit)
    # Whether a numeric feature stands was released with noise.
    if config.critic is not None and core.numeric:
        generator, report["training"] = train_residual(
            rows,
            core,
            Synthesizer(module),
            public_grid(config),
            config,
            critic_mechanism(config),
            marginals.rows,
            seed,
            kept.state,
            lambda state: kept.write(released, state),
            progress,
            noise,
        )
        metadata = json.loads(module.metadata.numpy().decode()) | {"residual": True}
        moved = SynthesizerModule(core, generator, metadata, module.calibration.numpy())
        core = with_margins(core, Synthesizer(moved), public_grid(config), wanted, seed)
        module = SynthesizerModule(core, generator, metadata, module.calibration.numpy())
        report["network_parameters"] = sum(int(np.prod(v.shape)) for v in generator.trainable_variables)
    return Trained(module, report)


def with_margins(
    core: LinearCore, synthesizer: Synthesizer, grid: list[Session], wanted: np.ndarray, seed: int
) -> LinearCore:
    """The core whose tables give a residual's scores the noisy histograms' margins: post-processing.

    Args:
      core: The private core.
      synthesizer: Core and residual.
      grid: Public sessions.
      wanted: Scores that the margins should have. Shape [K + 1, F].
      seed: Of the scores that are drawn.
    """
    if not len(wanted):
        return core
    scores, states, kind, design = synthesizer.latent_paths(grid, seed + 3)
    condition = synthesizer.condition(design, kind, states)
    given = [tf.constant(part) for part in (scores, condition, np.array([seed & 0x7FFFFFFF, 3]))]
    refined = synthesizer.module.refine(*given).numpy()
    move = calibrate(refined.reshape(-1, refined.shape[-1]), wanted)
    tables = [
        dataclasses.replace(table, table=decode(table.table[None], own[:, None])[:, 0])
        for table, own in zip(core.tables, move)
    ]
    return dataclasses.replace(core, tables=tuple(tables))


def public_grid(config: SynthesizerTrainerConfig) -> list[Session]:
    """Sessions of `POOL_ROWS` rows from the declared period's start (or the epoch), one per lane."""
    start_us = config.dp.period.bounds_us()[0] if config.dp and config.dp.period else 0
    steps = np.arange(POOL_ROWS, dtype=np.int64)
    times = start_us + steps * round(config.dataset.interval_s * MICROSECONDS)
    return [Session(n, start_us, steps, times) for n in range(LANES)]


def _columns(core: LinearCore, found: Layout) -> dict[str, int]:
    return {
        "numeric": len(core.numeric),
        "chained": len({v.feature for v in core.variables if v.role == "level"}),
        "constant": 0,
        "empty": len(core.empty),
    }


def _module(
    core: LinearCore,
    wanted: np.ndarray,
    config: SynthesizerTrainerConfig,
    domains: Domains,
    kinds: tuple[str, ...],
    seed: int,
) -> tuple[LinearCore, SynthesizerModule]:
    """Core and sampler: marginals calibrated to the noisy histograms, correlations read off itself."""
    dp = config.dp
    assert dp is not None
    period = dp.period.bounds_us() if dp.period is not None else (0, 0)
    core = dataclasses.replace(
        core, calendar=dataclasses.replace(core.calendar, start_s=period[0] / MICROSECONDS)
    )
    metadata = describe_core(core, config, domains.vocabularies, kinds, period[1] / MICROSECONDS, False)
    metadata["differential_privacy"] = True
    features = len(core.numeric)
    columns = shown_columns(core.chains, core.variables)
    width = features + sum(own.shape[1] for own in columns)
    core = dataclasses.replace(
        core,
        correlation=np.zeros((width, width)),
        autocorrelation=np.zeros((len(selection.LAGS), width)),
    )
    identity = np.repeat(np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)[None], features, axis=0)
    module = SynthesizerModule(core, None, metadata, identity)
    synthesizer = Synthesizer(module)
    grid = public_grid(config)
    if features and len(wanted):
        scores = synthesizer.latent_paths(grid, seed)[0]
        module.set_calibration(calibrate(scores.reshape(-1, features), wanted))
    scores, states, _, _ = synthesizer.latent_paths(grid, seed + 1)
    session = np.repeat(np.arange(len(scores)), scores.shape[1])
    own = states.reshape(len(session), -1)[:, : len(columns)]
    rows = scores.reshape(len(session), features), own, columns
    correlation = selection.correlations(*rows)
    autocorrelation = selection.autocorrelations(*rows, np.ones(len(session), bool), session)
    module.store["correlation"].assign(correlation.astype(np.float32))
    module.store["autocorrelation"].assign(autocorrelation.astype(np.float32))
    return dataclasses.replace(core, correlation=correlation, autocorrelation=autocorrelation), module
