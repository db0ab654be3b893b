"""Anomaly recall kept, of a case's release against its training rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from benchmarks.synthesizer.data import Case, numbers
from components.dataset import TIMESTAMP
from components.release_evaluator.core.anomaly_recall import (
    LabelledRows,
    RecallKept,
    anomaly_recall_kept,
    labelled_rows,
)
from components.synthesizer_trainer.core.panel import label_kinds, segments, series_numbers

#: Share of a kind's recall that a release should keep.
WANTED = 0.90


def rows_with_kinds(table: pa.Table, case: Case) -> LabelledRows:
    """A table's rows, sorted by series and time or one channel after the other, as a detector sees them."""
    stamps = table[TIMESTAMP].to_numpy().astype(np.int64)
    own = segments(stamps, series_numbers(table, case.dataset), case.dataset.interval_s)
    # Another channel begins where time goes back.
    segment = np.cumsum(np.r_[True, (np.diff(own) != 0) | (np.diff(stamps) <= 0)]) - 1
    return labelled_rows(numbers(table, case), label_kinds(table, case.dataset), segment)


def kept(case: Case, release: pa.Table | None, seed: int) -> tuple[RecallKept, ...]:
    """By kind; empty where the case or the generator has no labels."""
    if case.labelled is None or release is None:
        return ()
    sides = (rows_with_kinds(table, case) for table in (case.train, release, case.labelled))
    return anomaly_recall_kept(*sides, seed=seed)


def numbers_of(found: Sequence[RecallKept]) -> dict[str, float]:
    """What a table of generators shows: the worst kind, and each kind's parts under `KIND/PART`."""
    out = {}
    for one in found:
        parts = dataclasses.asdict(one)
        names = ("events", "real", "release", "kept", "low", "high")
        out |= {f"{one.kind}/{name}": float(parts[name]) for name in names if parts[name] is not None}
    defined = [one.kept for one in found if one.kept is not None]
    return out | ({"recall_kept": min(defined)} if defined else {})


def render(name: str, found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a row per generator and kind, means over the seeds; empty where nothing was measured."""
    lines = [
        f"| {name}: anomalies | kind | events | recall, real | recall, release | kept | 95 % |",
        "| --- |" + " --- |" * 6,
    ]
    for generator, runs in found.items():
        for kind in sorted({key.split("/")[0] for run in runs for key in run if "/" in key}):
            mean = {
                part: float(np.mean(values))
                for part in ("events", "real", "release", "kept", "low", "high")
                if (values := [run[f"{kind}/{part}"] for run in runs if f"{kind}/{part}" in run])
            }
            cells = [f"{mean['events']:.0f}"]
            cells += [f"{mean[part]:.3f}" if part in mean else "" for part in ("real", "release")]
            ratio = mean.get("kept")
            text = "undefined" if ratio is None else f"{ratio:.3f}"
            cells.append(f"**{text}**" if ratio is not None and ratio >= WANTED else text)
            cells.append(f"[{mean['low']:.2f}, {mean['high']:.2f}]" if "low" in mean else "")
            lines.append(f"| {generator} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""
