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
from components.synthesizer_trainer.core.columns import GRID_LIMIT, GRID_SIZE, decode
from components.synthesizer_trainer.core.fidelity import compare
from components.synthesizer_trainer.core.linear_core import LinearCore, fit_linear_core, hold_mask
from components.synthesizer_trainer.core.model import SynthesizerModule
from components.synthesizer_trainer.core.network import HALO, Generator
from components.synthesizer_trainer.core.panel import MICROSECONDS, Panel, check_enough
from components.synthesizer_trainer.core.sampling import LANES, Session, Synthesizer, real_grid

_LOG = logging.getLogger(__name__)
#: Rows of the core that calibration and training draw on, at least.
POOL_ROWS = 30_000
#: Rows of the core that a look at held-out fidelity samples, at most.
EVALUATION_ROWS = 20_000


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
    member = {v: index for index, chain in enumerate(core.chains) for v in chain.variables}
    return {
        "features": len(config.dataset.features),
        "numeric": list(core.numeric),
        "constants": {str(index): value for index, value in core.constants.items()},
        "variables": [
            {
                "feature": variable.feature,
                "role": variable.role,
                "levels": [float(level) for level in variable.levels],
                "chain": member[index],
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
    evaluate = _evaluator(synthesizer, sessions, paths, judge, list(core.numeric), seed)
    baseline = evaluate(None)
    outcome: dict[str, Any] = {
        "best_step": 0,
        "best_score": baseline["score"],
        "steps": 0,
        "log": [],
        "stopped": "no numeric feature",
        "resumed_at": 0,
    }
    parameters, best = 0, baseline
    real = _real_paths(panel, core, synthesizer, config.window_steps) if features else None
    if real is not None and len(real.starts) < 4 * config.batch_size:
        outcome["stopped"] = "too few whole windows for the critics; the linear core stands alone"
    elif real is not None:
        fake = _core_paths(synthesizer, sessions, paths, core, config.window_steps, seed)
        grid = np.linspace(-GRID_LIMIT, GRID_LIMIT, GRID_SIZE)
        middles = np.stack([t.encode(decode(t.table[None], grid[:, None])[:, 0]) for t in core.tables])
        holds = bool(real.held.any() or fake.held.any())
        adversary = adversarial.Adversary(config, features, real.condition.shape[1], middles, holds, seed)
        parameters = adversary.parameters()
        outcome = adversarial.train(
            adversary,
            real,
            fake,
            lambda generator: evaluate(generator)["score"],
            baseline["score"],
            checkpoint_dir,
            seed,
            progress,
        )
        if outcome["best_step"]:
            best = evaluate(adversary.average)
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
        "fidelity_core": baseline,
        "fidelity_best": best,
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
    _LOG.info("%s: fidelity %.4f (linear core %.4f)", place, best["score"], baseline["score"])
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


def _evaluator(
    synthesizer: Synthesizer,
    sessions: list[Session],
    paths: tuple[np.ndarray, ...],
    judge: Panel,
    numeric: list[int],
    seed: int,
) -> Callable[[Generator | None], dict[str, float]]:
    """Fidelity of the core with a residual: the same paths and noise at every look."""
    count, rows = 0, 0
    while count < len(sessions) and (count == 0 or rows + len(sessions[count].keep) <= EVALUATION_ROWS):
        rows += len(sessions[count].keep)
        count += 1
    chosen = sessions[:count]
    scores, states, kind, design = (part[:count] for part in paths)
    condition = synthesizer.condition(design, kind, states)
    step_us = synthesizer.interval_s * MICROSECONDS * 1.5
    segment, offset = [], 0
    for session in chosen:
        own = np.concatenate([[0], np.cumsum(np.diff(session.time_us) > step_us)]) + offset
        segment.append(own)
        offset = int(own[-1]) + 1
    segments = np.concatenate(segment)

    def evaluate(generator: Generator | None) -> dict[str, float]:
        moved = scores
        if generator is not None:
            noise = tf.random.stateless_normal(
                [*scores.shape[:2], generator.noise_channels], [seed & 0x7FFFFFFF, 5]
            )
            moved = scores + generator(tf.constant(scores), tf.constant(condition), noise).numpy()
        parts = synthesizer.finish(chosen, moved, states, kind, design, seed)
        values = np.concatenate([part["values"] for part in parts])
        return compare(judge.values, judge.segment, values, segments, numeric)

    return evaluate


def _starts(segment: np.ndarray, steps: int) -> np.ndarray:
    """First rows of windows of `steps` rows that stay in one segment."""
    if len(segment) < steps:
        return np.zeros(0, np.int64)
    return np.flatnonzero(segment[steps - 1 :] == segment[: len(segment) - steps + 1])


def _real_paths(panel: Panel, core: LinearCore, synthesizer: Synthesizer, steps: int) -> adversarial.Paths:
    design = core.calendar.design(panel.time_us)
    states = np.stack([c.codes for c in core.chains], 1) if core.chains else np.zeros((len(panel), 1), int)
    condition = synthesizer.condition(design, panel.kind, states)
    held = hold_mask(core.latent, panel.segment)
    return adversarial.Paths(
        scores=np.clip(core.latent, -8, 8).astype(np.float32),
        condition=condition,
        held=held,
        shift=np.zeros(core.latent.shape, np.float32),
        starts=_starts(panel.segment, steps),
    )


def _core_paths(
    synthesizer: Synthesizer,
    sessions: list[Session],
    paths: tuple[np.ndarray, ...],
    core: LinearCore,
    steps: int,
    seed: int,
) -> adversarial.Paths:
    """The core's sessions end to end, with the anomalies' effect expressed in scores."""
    scores, states, kind, design = paths
    effect, frozen = synthesizer.effects(sessions, scores.shape[1], seed)
    rows = states + synthesizer.store["state_offset"]
    held = (synthesizer.store["hold"][rows].sum(-2) > 0) | frozen
    shift = np.zeros_like(scores)
    touched = (effect != 0).any(-1)
    if touched.any():
        plain = synthesizer.module.emit(scores, np.zeros_like(effect)).numpy()[touched]
        moved = synthesizer.module.emit(scores, effect).numpy()[touched]
        for index, table in enumerate(core.tables):
            shift[touched, index] = table.encode(moved[:, index]) - table.encode(plain[:, index])
    mask = np.arange(scores.shape[1]) < np.array([s.steps for s in sessions])[:, None]
    segment = np.repeat(np.arange(len(sessions)), mask.sum(1))
    return adversarial.Paths(
        scores=scores[mask],
        condition=synthesizer.condition(design, kind, states)[mask],
        held=held[mask],
        shift=np.clip(shift[mask], -8, 8),
        starts=_starts(segment, steps + 2 * HALO),
    )
