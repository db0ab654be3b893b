"""The whole evaluation of a release: fidelity, utility, privacy, and the verdict of the gate."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pyarrow as pa

from components.errors import UndefinedMetricError
from components.release_evaluator.config import ReleaseEvaluatorConfig
from components.release_evaluator.core import fidelity, plots, privacy, replay, utility
from components.release_evaluator.core.board import Board
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.frames import (
    BLOCK_GAP_INTERVALS,
    Columns,
    Encoder,
    chunk_ids,
    read_columns,
    segment_ids,
)
from components.release_evaluator.core.gate import GateResult, judge
from components.release_evaluator.core.metrics import Metric, normal_interval
from components.release_evaluator.core.records import Records, make_records, nearest

#: Groups of the delete-a-group jackknife behind the intervals of fidelity.
JACKKNIFE_GROUPS = 8
#: Chunks that holdout is cut into at least, where its blocks are fewer.
WANTED_CHUNKS = 20


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
            "metrics": [metric.to_json() for metric in self.metrics],
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
    train: pa.Table, holdout: pa.Table, synthetic: pa.Table, config: ReleaseEvaluatorConfig
) -> Evaluation:
    """Evaluates a release and judges it. Never raises for what the data are: the gate fails closed.

    Args:
      train: The real rows that the synthesizer saw. A flat table, as decision 1.
      holdout: Real rows it never saw, blocks interleaved in time with train's.
      synthetic: The rows to release.
      config: Columns, sizes, gate.
    """
    begun = time.perf_counter()
    board = Board()
    curves: dict[str, Any] = {}
    rng = np.random.default_rng(config.seed)
    tables = {"train": train, "holdout": holdout, "synthetic": synthetic}
    with board.section(*METRICS):
        columns = read_columns(tables, config.dataset)
        _fidelity(board, columns, config, rng)
        sides = {
            "rows": _sides(columns, config, 1),
            "windows": _sides(columns, config, config.window_rows),
        }
        with board.section("window_diversity"):
            _diversity(board, sides["windows"], config, rng)
        _utility(board, columns, sides["windows"], config, rng)
        _privacy(board, columns, sides, config, rng)
        with board.section():
            curves = plots.curves(columns, config.dataset)
    metrics = tuple(board.found[name] for name in METRICS)
    rows = {name: table.num_rows for name, table in tables.items()}
    return Evaluation(metrics, judge(metrics, config.gate), curves, rows, time.perf_counter() - begun)


def _chunk_length(holdout: Columns, config: ReleaseEvaluatorConfig) -> int:
    """Rows per time chunk: a holdout block, or less where that would give too few chunks."""
    blocks = segment_ids(holdout, config.dataset.interval_s, BLOCK_GAP_INTERVALS)
    typical = int(np.median(np.bincount(blocks)))
    return max(3 * config.window_rows, min(typical, holdout.rows // WANTED_CHUNKS))


def _chunks(columns: Columns, length: int, config: ReleaseEvaluatorConfig) -> np.ndarray:
    return chunk_ids(segment_ids(columns, config.dataset.interval_s, BLOCK_GAP_INTERVALS), length)


def _sides(columns: dict[str, Columns], config: ReleaseEvaluatorConfig, length: int) -> privacy.Sides:
    encoder = Encoder.fit([columns["train"], columns["holdout"]])
    rows_per_chunk = _chunk_length(columns["holdout"], config)
    records: dict[str, Records] = {}
    for name, part in columns.items():
        chunks = _chunks(part, rows_per_chunk, config)
        segments = segment_ids(part, config.dataset.interval_s)
        records[name] = make_records(encoder.encode(part), segments, chunks, part.label, length)
    offset = int(records["train"].chunk.max(initial=-1)) + 1
    records["holdout"] = dataclasses.replace(records["holdout"], chunk=records["holdout"].chunk + offset)
    hashes = {name: replay.row_hashes(part) for name, part in columns.items()}
    return privacy.Sides(records["train"], records["holdout"], records["synthetic"], hashes)


def _fidelity(
    board: Board, columns: dict[str, Columns], config: ReleaseEvaluatorConfig, rng: np.random.Generator
) -> None:
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
        length = _chunk_length(columns["holdout"], config)
        parts, groups = {}, {}
        for name in ("train", "synthetic"):
            chunk = _chunks(normal[name], length, config)
            parts[name], chunk = _bounded(normal[name], chunk, config.max_candidates, rng)
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
                    values[name], error, config.confidence, "delete-a-group jackknife over time blocks"
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


def _diversity(
    board: Board, windows: privacy.Sides, config: ReleaseEvaluatorConfig, rng: np.random.Generator
) -> None:
    windows.require_enough()
    equal = min(len(windows.train), len(windows.synthetic), config.max_candidates)
    levels = []
    for side in (windows.train, windows.synthetic):
        pool = side.sample(equal, rng)
        asked = pool.sample(config.max_records, rng)
        distance = nearest(asked, pool, asked.chunk)[0]
        distance = distance[np.isfinite(distance)]
        if not len(distance):
            raise UndefinedMetricError("the windows of one side lie in a single time block")
        levels.append(float(np.median(distance)))
    if levels[0] <= 0:
        board.not_applicable("window_diversity", "most real windows repeat elsewhere in the real rows")
        return
    board.set("window_diversity", levels[1] / levels[0], None, 1.0, equal)


def _utility(
    board: Board,
    columns: dict[str, Columns],
    windows: privacy.Sides,
    config: ReleaseEvaluatorConfig,
    rng: np.random.Generator,
) -> None:
    sides = windows.train, windows.holdout, windows.synthetic
    normal = [side.take(~side.rare) for side in sides]
    with board.section("tstr_mae", "trtr_mae", "utility_ratio"):
        encoder = Encoder.fit([columns["train"], columns["holdout"]])
        pair = utility.next_step(
            normal[0],
            normal[1],
            normal[2],
            np.arange(len(encoder.scale)),
            config.bootstrap_samples,
            config.confidence,
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
            config.bootstrap_samples,
            config.confidence,
            rng,
        )
        for task, field in tasks.items():
            pair = getattr(found, field)
            board.set(f"tstr_{task}", pair.tstr, None, pair.trtr, pair.n)
            board.set(f"trtr_{task}", pair.trtr, None, None, pair.n)
            board.set(f"{task}_gap", pair.change, pair.interval, 0.0, pair.n)


def _privacy(
    board: Board,
    columns: dict[str, Columns],
    sides: dict[str, privacy.Sides],
    config: ReleaseEvaluatorConfig,
    rng: np.random.Generator,
) -> None:
    sampling = privacy.Sampling(
        config.max_records, config.max_candidates, config.bootstrap_samples, config.confidence
    )
    stems = ("near_copy_excess", "dcr_share", "dcr_ratio", "nndr")
    real_stems = ("replay_excess", "membership_auc", "membership_calibrated_auc")
    rare = "rare_window_replay_excess"
    for unit, side in sides.items():
        with board.section(f"exact_copy_excess_{unit}"):
            board.measured(f"exact_copy_excess_{unit}", replay.exact_copies(side, sampling, rng))
        names = [f"{stem}_{unit}" for stem in stems + real_stems] + [rare] * (unit == "windows")
        with board.section(*names):
            real = privacy.from_real(side, sampling, rng)
            board.measured(f"replay_excess_{unit}", real.replay)
            board.measured(f"membership_auc_{unit}", real.membership)
            board.measured(f"membership_calibrated_auc_{unit}", real.calibrated)
            near = privacy.from_synthetic(side, real.usual, sampling, rng)
            board.measured(f"near_copy_excess_{unit}", near.near_copy)
            board.measured(f"dcr_share_{unit}", near.dcr_share)
            board.measured(f"dcr_ratio_{unit}", near.dcr_ratio)
            board.measured(f"nndr_{unit}", near.nndr)
            if unit == "windows":
                _rare(board, columns, side, real, sampling, rng)


def _rare(
    board: Board,
    columns: dict[str, Columns],
    windows: privacy.Sides,
    real: privacy.RealSide,
    sampling: privacy.Sampling,
    rng: np.random.Generator,
) -> None:
    name = "rare_window_replay_excess"
    train, holdout = columns["train"], columns["holdout"]
    if train.label is None or holdout.label is None:
        board.not_applicable(name, "the data set has no label")
    elif not train.label.any():
        board.not_applicable(name, "train has no labelled row")
    else:
        events = {"train": _event_numbers(train), "holdout": _event_numbers(holdout)}
        board.measured(name, replay.rare_replay(windows, events, real, sampling, rng))


def _event_numbers(columns: Columns) -> np.ndarray:
    """Number of the last labelled run begun up to each row. Shape [row], int64."""
    label = np.asarray(columns.label)
    before = np.concatenate([[False], label[:-1]]) & (np.diff(columns.series, prepend=-1) == 0)
    return np.cumsum(label & ~before)
