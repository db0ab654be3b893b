"""One trial: a synthesizer is trained, its rows are sampled as a release's are, and judged.

Nothing is written, and nothing is kept of the model or its rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from components.dataset import DatasetConfig
from components.egress import categories, numbers
from components.egress.schema import public_values
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core.evaluate import evaluate
from components.schema_gen.curated import curated_schema
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.synthesizer_trainer.core import rare_events
from components.synthesizer_trainer.core.panel import build_panel, check_rows
from components.synthesizer_trainer.core.sampling import Synthesizer
from components.synthesizer_trainer.core.training import train_synthesizer
from components.synthesizer_trainer.schema_bounds import schema_feature_bounds
from components.synthesizer_trainer.transform import analyse, check_vocabularies
from components.synthetic_gen.config import SyntheticGenConfig
from components.synthetic_gen.core import grid
from components.synthetic_gen.core.rows import to_table
from components.tuner.core.scoring import Outcome, outcome_of

#: Called with step, steps and losses.
Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrialRows:
    """Rows of one deal, each sorted by series, then time.

    Attributes:
      fit: What the synthesizer is fitted to.
      early: What ends its training early, as in a run; None where the deployment has no such split.
      judged: What its rows are compared with; no part of the training sees them.
    """

    fit: pa.Table
    early: pa.Table | None
    judged: pa.Table


def run_trial(
    rows: TrialRows,
    trainer: SynthesizerTrainerConfig,
    generation: SyntheticGenConfig,
    evaluator: ReleaseEvaluatorConfig,
    rare: rare_events.Decision,
    seed: int,
    place: str,
    progress: Progress | None = None,
) -> Outcome:
    """Trains, samples and judges.

    Args:
      rows: Of one deal.
      trainer: The trial's configuration, method `gan`.
      generation: How the locale's rows are sampled.
      evaluator: The locale's gate.
      rare: What becomes of kinds of anomaly with few windows, by all training rows.
      seed: Of training and sampling.
      place: For messages.
      progress: Hears of the training's steps.

    Raises:
      DataError: the rows cannot be trained on with this configuration.
    """
    dataset = trainer.dataset
    began, began_cpu = time.monotonic(), time.process_time()
    schema = curated_schema(dataset.schema_name) if dataset.schema_name else None
    fit = rare_events.merge(rows.fit, dataset, rare)
    check_rows(fit, dataset, trainer.min_train_rows, place)
    check_vocabularies(fit, dataset, trainer.max_vocabulary, place)
    analysis = analyse(fit, dataset, trainer.quantiles, place)
    panel = build_panel(fit, dataset, analysis.vocabularies, analysis.kinds, place)
    early = None
    if rows.early is not None and rows.early.num_rows:
        merged = rare_events.merge(rows.early, dataset, rare)
        early = build_panel(merged, dataset, analysis.vocabularies, analysis.kinds, place)
    trained = train_synthesizer(
        panel,
        early,
        trainer,
        analysis.quantiles,
        analysis.ranges,
        seed,
        place,
        bounds=schema_feature_bounds(schema) if schema is not None else None,
        progress=progress,
    )
    public = public_values(schema)
    released = _release(Synthesizer(trained.module), fit, dataset, generation, public, seed, place)
    judged = rare_events.merge(rows.judged, dataset, rare)
    found = evaluate(fit, judged, released, evaluator, None, public)
    return outcome_of(
        found,
        training=trained.report["training"],
        wall_s=time.monotonic() - began,
        cpu_s=time.process_time() - began_cpu,
    )


def _release(
    synthesizer: Synthesizer,
    fit: pa.Table,
    dataset: DatasetConfig,
    generation: SyntheticGenConfig,
    public: dict[str, frozenset[str]],
    seed: int,
    place: str,
) -> pa.Table:
    """Rows as SyntheticGen would write them: its grid, its anomalies, rare values folded and moved."""
    if generation.grid == "real":
        sessions = grid.grid_from_rows(fit, dataset, place)
    else:
        start_s, stop_s = (synthesizer.metadata[key] for key in ("calendar", "stop_s"))
        sessions = grid.regular_grid(
            generation, synthesizer.styles, synthesizer.interval_s, start_s["start_s"], stop_s, place
        )
    sessions = grid.limit_rows(sessions, generation.rows)
    sessions = synthesizer.plan_events(sessions, generation.amplification(synthesizer.kinds), seed)
    made = to_table(synthesizer, dataset, sessions, synthesizer.sample(sessions, seed))
    policy = generation.egress
    if policy is None:
        return made
    support = categories.category_support(fit, dataset, policy.supporters)
    folded = categories.rare_categories(support, public, policy) if policy.rare_categories == "other" else {}
    rare = numbers.rare_numbers(fit, dataset, policy.min_supporters)
    return numbers.blur(categories.fold(made, folded), rare, [seed, 0])
