"""Fidelity, diversity and utility of a release, onto the board."""

from __future__ import annotations

import numpy as np

from components.errors import UndefinedMetricError
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core import fidelity, utility
from components.release_evaluator.core.attacks.base import Sides
from components.release_evaluator.core.blocks import chunk_length, chunks
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.frames import Columns, Encoder
from components.release_evaluator.core.metrics import normal_interval
from components.release_evaluator.core.records import nearest

#: Groups of the delete-a-group jackknife behind the intervals of fidelity.
JACKKNIFE_GROUPS = 8


def measure_fidelity(
    board: Board, columns: dict[str, Columns], config: ReleaseEvaluatorConfig, rng: np.random.Generator
) -> None:
    """How like the real rows of normal operation the synthetic ones are.

    All are dimensionless but `daily_profile_error`, which is in real standard deviations. What goes wrong
    leaves metrics UNDEFINED (`Board.section`). The control is the same of holdout; intervals are a jackknife
    over blocks of time.

    Args:
      board: Gets the metrics.
      columns: `train`, `holdout` and `synthetic`.
      config: Of the data set and the sizes.
      rng: Draws the rows where there are too many, and deals blocks to the groups of the jackknife.
    """
    names = (
        "marginal_fidelity",
        "worst_column_fidelity",
        "missing_rate_error",
        "pairwise_fidelity",
        "acf_error",
        "step_change_fidelity",
        "daily_profile_error",
    )
    reasons = "too few consecutive rows, too few features that vary, or too short a time for it"
    with board.section(*names):
        normal = {name: part.normal() for name, part in columns.items()}
        for name, part in normal.items():
            if not part.rows:
                raise UndefinedMetricError(f"{name} has no row that is not labelled anomalous")
        attacks = config.gate.attacks
        length = chunk_length(columns["holdout"], config.dataset.interval_s, attacks.window_rows)
        parts, groups = {}, {}
        for name in ("train", "synthetic"):
            chunk = chunks(normal[name], length, config.dataset.interval_s)
            parts[name], chunk = _bounded(normal[name], chunk, config.gate.attacks.max_candidates, rng)
            _, position = np.unique(chunk, return_inverse=True)
            groups[name] = rng.permutation(int(position.max()) + 1)[position] % JACKKNIFE_GROUPS
        interval_s = config.dataset.interval_s
        values = fidelity.summarise(parts["train"], parts["synthetic"], interval_s)
        control = fidelity.summarise(parts["train"], normal["holdout"], interval_s)
        draws = []
        for group in range(JACKKNIFE_GROUPS):
            left = {name: parts[name].take(groups[name] != group) for name in parts}
            if left["train"].rows and left["synthetic"].rows:
                draws.append(fidelity.summarise(left["train"], left["synthetic"], interval_s))
        for name in names:
            if name not in values and name == "pairwise_fidelity" and fidelity.varying(parts["train"]) < 2:
                board.not_applicable(name, "fewer than two features vary in the real rows")
                continue
            if name not in values:
                board.undefined(name, reasons)
                continue
            spread = np.array([draw[name] for draw in draws if name in draw])
            interval = None
            if len(spread) == JACKKNIFE_GROUPS:
                error = float(np.sqrt((len(spread) - 1) * spread.var()))
                interval = normal_interval(
                    values[name],
                    error,
                    config.gate.attacks.confidence,
                    "delete-a-group jackknife over time blocks",
                )
            board.set(name, values[name], interval, control.get(name), parts["synthetic"].rows)
    with board.section("spread_ratio"):
        normal = {name: part.normal() for name, part in columns.items()}
        encoder = Encoder.fit([normal["train"], normal["holdout"]])
        points = {name: encoder.encode(part) for name, part in normal.items()}
        board.set(
            "spread_ratio",
            fidelity.spread_ratio(points["train"], points["synthetic"]),
            None,
            fidelity.spread_ratio(points["train"], points["holdout"]),
            len(points["synthetic"]),
        )


def _bounded(
    columns: Columns, chunk: np.ndarray, limit: int, rng: np.random.Generator
) -> tuple[Columns, np.ndarray]:
    """Whole chunks, drawn until `limit` rows are reached."""
    if columns.rows <= limit:
        return columns, chunk
    numbers, size = np.unique(chunk, return_counts=True)
    order = rng.permutation(len(numbers))
    kept = numbers[order[: max(1, int(np.searchsorted(np.cumsum(size[order]), limit)))]]
    mask = np.isin(chunk, kept)
    return columns.take(mask), chunk[mask]


def measure_diversity(
    board: Board, windows: Sides, config: ReleaseEvaluatorConfig, rng: np.random.Generator
) -> None:
    """Whether a few windows are repeated: a ratio of distances, dimensionless.

    Args:
      board: Gets `window_diversity`.
      windows: Of train, holdout and the release.
      config: Sizes.
      rng: Draws equally many windows of either side.

    Raises:
      InsufficientDataError: there are too few windows.
      UndefinedMetricError: those of one side lie in a single block of time.
    """
    windows.require_enough()
    equal = min(len(windows.train), len(windows.synthetic), config.gate.attacks.max_candidates)
    levels = []
    for side in (windows.train, windows.synthetic):
        pool = side.sample(equal, rng)
        asked = pool.sample(config.gate.attacks.max_records, rng)
        distance = nearest(asked, pool, asked.chunk)[0]
        distance = distance[np.isfinite(distance)]
        if not len(distance):
            raise UndefinedMetricError("the windows of one side lie in a single time block")
        levels.append(float(np.median(distance)))
    if levels[0] <= 0:
        board.not_applicable("window_diversity", "most real windows repeat elsewhere in the real rows")
        return
    board.set("window_diversity", levels[1] / levels[0], None, 1.0, equal)


def measure_utility(
    board: Board,
    columns: dict[str, Columns],
    windows: Sides,
    config: ReleaseEvaluatorConfig,
    rng: np.random.Generator,
) -> None:
    """How well models serve that were trained on synthetic rows.

    Errors of the forecast are in ranges of the features (1st to 99th percentile of real rows), all else is
    dimensionless. What goes wrong leaves metrics UNDEFINED (`Board.section`).

    Args:
      board: Gets the metrics.
      columns: `train`, `holdout` and `synthetic`.
      windows: Of the three.
      config: Of the data set and the sizes.
      rng: Of models and bootstrap.
    """
    sides = windows.train, windows.holdout, windows.synthetic
    normal = [side.take(~side.rare) for side in sides]
    with board.section("tstr_mae", "trtr_mae", "utility_ratio"):
        encoder = Encoder.fit([columns["train"], columns["holdout"]])
        pair = utility.next_step(
            normal[0],
            normal[1],
            normal[2],
            np.arange(len(encoder.scale)),
            config.gate.attacks.bootstrap_samples,
            config.gate.attacks.confidence,
            rng,
        )
        board.set("tstr_mae", pair.tstr, None, pair.trtr, pair.n)
        board.set("trtr_mae", pair.trtr, None, None, pair.n)
        board.set("utility_ratio", pair.change, pair.interval, 1.0, pair.n)
    tasks = {"label_average_precision": "average_precision", "label_f1": "f1"}
    names = [f"{prefix}_{task}" for task in tasks for prefix in ("tstr", "trtr")]
    names += [f"{task}_gap" for task in tasks]
    labels = {name: part.label for name, part in columns.items() if part.label is not None}
    if not labels:
        for name in names:
            board.not_applicable(name, "the data set has no label")
        return
    with board.section(*names):
        found = utility.label(
            windows.train,
            windows.holdout,
            windows.synthetic,
            labels,
            config.gate.attacks.bootstrap_samples,
            config.gate.attacks.confidence,
            rng,
        )
        for task, field in tasks.items():
            pair = getattr(found, field)
            board.set(f"tstr_{task}", pair.tstr, None, pair.trtr, pair.n)
            board.set(f"trtr_{task}", pair.trtr, None, None, pair.n)
            board.set(f"{task}_gap", pair.change, pair.interval, 0.0, pair.n)
