"""From a table to a synthesizer: core, calibration, adversarial residual, SavedModel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import adversarial
from components.synthesizer_trainer.core.chains import chain_of
from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, decode
from components.synthesizer_trainer.core.linear_core import LinearCore, fit_linear_core
from components.synthesizer_trainer.core.model import SAMPLER, SynthesizerModule
from components.synthesizer_trainer.core.network import Generator
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel, check_enough
from components.synthesizer_trainer.core.planning import Session, real_grid
from components.synthesizer_trainer.core.sampling import LANES, Synthesizer
from components.synthesizer_trainer.core.training_paths import (
    core_paths,
    evaluator_of,
    real_paths,
)

_LOG = logging.getLogger(__name__)
#: Rows of the core that calibration and training draw on, at least.
POOL_ROWS = 30_000


@dataclass(frozen=True)
class Trained:
    """A trained synthesizer.

    Attributes:
      module: To be saved with `save`.
      report: JSON-able: fidelity, log, seconds, sizes, kinds with their event counts. No values.
    """

    module: SynthesizerModule
    report: dict[str, Any]

    def save(self, path: str) -> None:
        """Writes the SavedModel."""
        tf.saved_model.save(self.module, path)


def describe_core(
    core: LinearCore,
    config: SynthesizerTrainerConfig,
    vocabularies: Mapping[str, tuple[str, ...]],
    kinds: tuple[str, ...],
    stop_s: float,
    residual: bool,
) -> dict[str, Any]:
    """What the sampler's host side needs to know, as JSON; `stop_s` ends the training period."""
    flickers = {flicker.variable: place for place, flicker in enumerate(core.flickers)}
    return {
        "sampler": SAMPLER,
        "features": len(config.dataset.features),
        "numeric": list(core.numeric),
        "lattice": [[float(t.origin), float(t.step)] for t in core.tables],
        "constants": {str(index): value for index, value in core.constants.items()},
        "variables": [
            {
                "feature": variable.feature,
                "role": variable.role,
                "levels": [float(level) for level in variable.levels],
                "number": variable.number,
                "chain": chain_of(core.chains, index),
                "flicker": flickers.get(index, -1),
                "band": core.flickers[flickers[index]].band.tolist() if index in flickers else [],
            }
            for index, variable in enumerate(core.variables)
        ],
        "vocabularies": {name: list(values) for name, values in vocabularies.items()},
        "kinds": list(kinds),
        "interval_s": config.dataset.interval_s,
        "stop_s": stop_s,
        "calendar": {
            "periods_s": list(core.calendar.periods_s),
            "harmonics": list(core.calendar.harmonics),
            "start_s": float(core.calendar.start_s),
            "trend_s": [float(knot) for knot in core.calendar.trend_s],
            "moments": core.calendar.moments,
        },
        "residual": residual,
        "dataset": config.dataset.model_dump(mode="json"),
    }


def _pool(panel: Panel, interval_s: float) -> list[Session]:
    """Sessions like the training rows, repeated until there are `POOL_ROWS`, `LANES` at most."""
    one = real_grid(panel.time_us, panel.series, interval_s)
    wanted = int(np.clip(np.ceil(POOL_ROWS / max(len(panel), 1)), 1, 8))
    sessions: list[Session] = []
    for repeat in range(wanted):
        for session in one[:LANES]:
            if len(sessions) < LANES:
                sessions.append(
                    Session(
                        repeat * len(one) + session.number, session.start_us, session.keep, session.time_us
                    )
                )
    return sessions


def calibrate(scores: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The map that gives the core's own marginals the real ones'.

    Args:
      scores: Of the uncalibrated core. Shape [n, F].
      real: Latent scores of normal training rows. Shape [m, F].

    Returns:
      Calibrated score at every latent grid point. Shape [F, GRID_SIZE].
    """
    grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
    out = np.repeat(grid[None], scores.shape[1], axis=0)
    share = (np.arange(400) + 0.5) / 400
    for feature in range(scores.shape[1]):
        found = np.quantile(scores[:, feature], share)
        rising = np.concatenate([[True], np.diff(found) > 1e-9])
        if rising.sum() < 10:
            continue
        wanted = np.quantile(real[:, feature], share)
        inside = np.interp(grid, found[rising], wanted[rising])
        inside += np.maximum(grid - found[-1], 0) + np.minimum(grid - found[0], 0)
        out[feature] = np.clip(inside, -GRID_LIMIT, GRID_LIMIT)
    return out


def train_synthesizer(
    panel: Panel,
    held_out: Panel | None,
    config: SynthesizerTrainerConfig,
    quantiles: dict[str, np.ndarray],
    ranges: dict[str, tuple[float, float]],
    seed: int,
    place: str,
    bounds: dict[str, tuple[float, float]] | None = None,
    checkpoint_dir: Path | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Trained:
    """Fits the linear core, calibrates it, and trains the adversarial residual on top.

    Args:
      panel: Training rows.
      held_out: Rows for early stopping; None uses the training rows.
      config: The configuration.
      quantiles: From the analysis.
      ranges: From the analysis.
      seed: Same seed and rows, same model (on one machine).
      place: For messages.
      bounds: Feature name to the range that the schema allows; nothing outside it is emitted.
      checkpoint_dir: Where to resume from.
      progress: Called with step, steps and losses.

    Raises:
      InsufficientDataError: too few rows.
    """
    check_enough(panel, config.min_train_rows, config.var_order, place)
    began, began_cpu = time.monotonic(), time.process_time()
    core = fit_linear_core(
        panel,
        config.dataset,
        quantiles,
        ranges,
        var_order=config.var_order,
        memory_steps=config.memory_steps,
        max_periods=config.max_periods,
        penalty=config.ridge,
        chain_states=config.chain_states,
        min_state_count=config.min_state_count,
        seed=seed,
        bounds=bounds or {},
    )
    fit_s = time.monotonic() - began
    features = len(core.numeric)
    identity = np.repeat(np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)[None], features, axis=0)
    module = SynthesizerModule(core, None, _metadata(core, config, panel, False), identity)
    synthesizer = Synthesizer(module)
    sessions = _pool(panel, config.dataset.interval_s)
    if features:
        # All lanes: the marginals of a few draws are as uncertain as those of the rows themselves.
        pool = sessions * (LANES // len(sessions))
        scores = synthesizer.latent_paths(pool, seed)[0]
        kept = np.concatenate([scores[i, s.keep] for i, s in enumerate(pool)])
        module.set_calibration(calibrate(kept, core.latent[panel.kind == 0]))
    sessions = synthesizer.plan_events(sessions, {}, seed)
    paths = synthesizer.latent_paths(sessions, seed + 1)
    judge = held_out if held_out is not None and len(held_out) >= config.min_train_rows else panel
    evaluate = evaluator_of(synthesizer, sessions, paths, judge, list(core.numeric), seed)
    baseline = evaluate(None, None)
    outcome: dict[str, Any] = {
        "best_step": 0,
        "best_score": baseline.score,
        "features": 0,
        "steps": 0,
        "log": [],
        "stopped": "no numeric feature",
        "resumed_at": 0,
    }
    parameters, best = 0, baseline
    real = real_paths(panel, core, synthesizer, config.window_steps) if features else None
    if real is not None and len(real.starts) < 4 * config.batch_size:
        outcome["stopped"] = "too few whole windows for the critics; the linear core stands alone"
    elif real is not None:
        fake = core_paths(synthesizer, sessions, paths, core, config.window_steps, seed)
        grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
        middles = np.stack([t.encode(decode(t.table[None], grid[:, None])[:, 0]) for t in core.tables])
        holds = bool(real.held.any() or fake.held.any())
        adversary = adversarial.Adversary(config, features, real.condition.shape[1], middles, holds, seed)
        parameters = adversary.parameters()
        outcome = adversarial.train(
            adversary,
            real,
            fake,
            evaluate,
            baseline,
            checkpoint_dir,
            seed,
            progress,
        )
        if outcome["best_step"]:
            best = evaluate(adversary.average, None)
            module = _with_generator(module, core, config, panel, adversary.average)
    counts = np.bincount(core.events.kind, minlength=len(panel.kinds) + 1)[1:]
    report = {
        "rows": len(panel),
        "series": panel.n_series,
        "kinds": {name: int(count) for name, count in zip(panel.kinds, counts)},
        "columns": {
            "numeric": len(core.numeric),
            "chained": len({v.feature for v in core.variables if v.role == "level"}),
            "constant": len(core.constants),
            "empty": len(core.empty),
        },
        "chains": [len(chain.states) for chain in core.chains],
        "periods_s": [float(period) for period in core.calendar.periods_s],
        "fidelity_core": baseline.parts,
        "fidelity_best": best.parts,
        "judged_on": "eval" if judge is held_out else "train",
        "training": outcome,
        "network_parameters": parameters,
        "core_parameters": int(sum(v.size for v in synthesizer.store.values())),
        "seconds": {
            "linear_core": round(fit_s, 3),
            "total": round(time.monotonic() - began, 3),
            "cpu": round(time.process_time() - began_cpu, 3),
        },
    }
    _LOG.info("%s: fidelity %.4f (linear core %.4f)", place, best.score, baseline.score)
    return Trained(module, report)


def _with_generator(
    module: SynthesizerModule,
    core: LinearCore,
    config: SynthesizerTrainerConfig,
    panel: Panel,
    generator: Generator,
) -> SynthesizerModule:
    metadata = _metadata(core, config, panel, True)
    return SynthesizerModule(core, generator, metadata, module.calibration.numpy())


def _metadata(
    core: LinearCore, config: SynthesizerTrainerConfig, panel: Panel, residual: bool
) -> dict[str, Any]:
    stop_s = float(panel.time_us.max()) / MICROSECONDS
    return describe_core(core, config, panel.vocabularies, panel.kinds, stop_s, residual)
