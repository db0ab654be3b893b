"""The whole evaluation of a release: fidelity, utility, privacy, and the verdict of the gate."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core import plots
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.frames import read_columns
from components.release_evaluator.core.gate import GateResult, judge
from components.release_evaluator.core.measure_fidelity import (
    measure_diversity,
    measure_fidelity,
    measure_utility,
)
from components.release_evaluator.core.measure_privacy import make_world, measure_privacy
from components.release_evaluator.core.metrics import Metric
from components.release_evaluator.core.wording import judged_json


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What ReleaseEvaluator found.

    Attributes:
      metrics: Every metric of the catalogue, in its order.
      gate: The verdict and its checks.
      plots: Binned curves, `plots.curves`; empty where the tables could not be read.
      rows: Number of rows of train, holdout and synthetic.
      seconds: Wall time.
    """

    metrics: tuple[Metric, ...]
    gate: GateResult
    plots: dict[str, Any]
    rows: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The contents of `evaluation.json`; holds no value of a record."""
        return {
            "metrics": [judged_json(metric, self.gate) for metric in self.metrics],
            "gate": {
                "verdict": self.gate.verdict,
                "reasons": list(self.gate.reasons),
                "checks": [check.to_json() for check in self.gate.checks],
            },
            "n_train": self.rows["train"],
            "n_holdout": self.rows["holdout"],
            "n_synthetic": self.rows["synthetic"],
            "seconds": round(self.seconds, 3),
        }

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)


def evaluate(
    train: pa.Table,
    holdout: pa.Table,
    synthetic: pa.Table,
    config: ReleaseEvaluatorConfig,
    previous: pa.Table | None = None,
    public: Mapping[str, Collection[str]] | None = None,
) -> Evaluation:
    """Evaluates a release and judges it. Never raises for what the data are: the gate fails closed.

    Args:
      train: The real rows that the synthesizer saw. A flat table, as decision 1.
      holdout: Real rows it never saw, blocks interleaved in time with train's.
      synthetic: The rows to release.
      config: Columns, sizes, gate.
      previous: Rows of the locale's previous release, or None.
      public: Categories that are public knowledge, by feature, beside those of the configuration.
    """
    begun = time.perf_counter()
    board = Board()
    curves: dict[str, Any] = {}
    rng = np.random.default_rng(config.seed)
    tables = {"train": train, "holdout": holdout, "synthetic": synthetic}
    given = tables | ({} if previous is None else {"previous": previous})
    with board.section(*METRICS, may_not_apply=False):
        known = {name: set(values) for name, values in config.gate.attacks.public_categories.items()}
        for name, values in (public or {}).items():
            known[name] = known.get(name, set()) | set(values)
        columns = read_columns(given, config.dataset, known)
        measure_fidelity(board, columns, config, rng)
        world = make_world(columns, config)
        with board.section("window_diversity"):
            measure_diversity(board, world.windows, config, rng)
        measure_utility(board, columns, world.windows, config, rng)
        measure_privacy(board, world, config)
        with board.section():
            curves = plots.curves({name: columns[name] for name in tables}, config.dataset)
    metrics = tuple(board.found[name] for name in METRICS)
    rows = {name: table.num_rows for name, table in tables.items()}
    return Evaluation(metrics, judge(metrics, config.gate), curves, rows, time.perf_counter() - begun)
