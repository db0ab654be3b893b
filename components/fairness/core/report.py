"""Content of `fairness.json`: every detector of every scenario, cut by every column; and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.fairness.config import FairnessConfig, SliceConfig
from components.fairness.core import measures
from components.fairness.core.slicing import Slices, by_bins, by_value

VERSION = 1
FAIRNESS_FILE = "fairness.json"
_TOLERANCE = 1e-9

#: In the file itself, so that nobody reads a number without its formula.
DEFINITIONS = {
    "selection_rate": "flagged rows / all rows",
    "tpr": "TP / (TP + FN)",
    "fpr": "FP / (FP + TN)",
    "precision": "TP / (TP + FP)",
    "f1": "2 TP / (2 TP + FP + FN)",
    "disparate_impact_ratio": "smallest selection rate / largest selection rate, over slices",
    "demographic_parity_difference": "largest - smallest selection rate, over slices",
    "tpr_difference": "largest - smallest TPR, over slices",
    "fpr_difference": "largest - smallest FPR, over slices",
    "equalised_odds_difference": "max(tpr_difference, fpr_difference)",
    "interval of a rate": "percentiles of a bootstrap over labelled events and blocks of normal time",
    "interval of a disparity": "from intervals of all pairs of slices that hold at once, same replicates",
}
NAMES_FROM = (
    "Slices are named by the labelled test set, which is the centre's own; "
    "no name comes from the rows of a region."
)


def fairness_report(
    flags: Mapping[tuple[str, str], np.ndarray],
    columns: Mapping[str, np.ndarray],
    sample: measures.Sample,
    config: FairnessConfig,
) -> dict[str, Any]:
    """Judges every detector on every cut.

    Args:
      flags: (scenario, detector) -> what it says of the test rows. Shape [row] each.
      columns: Slice column -> its value in each test row; a configured column that is not here is
        NOT_APPLICABLE. Shape [row] each.
      sample: Labels and resampling, the same rows.
      config: The slices and the counts that they need.

    Returns:
      JSON-ready: `version`, `definitions`, `names_from`, the configuration's counts, and `scenarios`:
      scenario -> detector -> column -> `{"status", "reason", "edges", "slices", "disparities"}`.
    """
    cuts = {item.column: _cut(item, columns, config.max_slices) for item in config.slices}
    edges = {item.column: list(item.edges) for item in config.slices}
    scenarios: dict[str, Any] = {}
    for (scenario, detector), flag in flags.items():
        found: dict[str, Any] = {}
        for column, (slices, status, reason) in cuts.items():
            entry: dict[str, Any] = {
                "status": status,
                "reason": reason,
                "edges": edges[column],
                "slices": [],
                "disparities": {},
            }
            if slices is not None:
                qualities, disparities = measures.judge_slices(
                    sample, flag, slices, config.min_rows, config.min_events
                )
                entry["slices"] = [quality.to_json() for quality in qualities]
                entry["disparities"] = {name: value.to_json() for name, value in disparities.items()}
                ratio = disparities["disparate_impact_ratio"].metric.value
                below = None if ratio is None else ratio < measures.FOUR_FIFTHS
                entry["disparities"]["disparate_impact_ratio"]["below_four_fifths"] = below
            found[column] = entry
        scenarios.setdefault(scenario, {})[detector] = found
    return {
        "version": VERSION,
        "definitions": DEFINITIONS,
        "names_from": NAMES_FROM,
        "confidence": sample.confidence,
        "bootstrap_samples": len(sample.weights),
        "min_rows": config.min_rows,
        "min_events": config.min_events,
        "scenarios": scenarios,
    }


def _cut(
    item: SliceConfig, columns: Mapping[str, np.ndarray], max_slices: int
) -> tuple[Slices | None, str, str]:
    """The slices of a column, or None with a status and its reason."""
    if item.column not in columns:
        return None, "NOT_APPLICABLE", f"the test rows have no column for slices by '{item.column}'"
    values = columns[item.column]
    slices = by_bins(values, item.edges) if item.edges else by_value(values)
    if len(slices.names) > max_slices:
        reason = f"{len(slices.names)} slices, at most {max_slices} are judged (fairness.max_slices)"
        return None, "UNDEFINED", reason
    return slices, "OK", ""


def judge_gate(report: Mapping[str, Any], detector: str, config: FairnessConfig) -> tuple[bool, list[str]]:
    """Holds the deciding detector against the configured limits.

    Args:
      report: From `fairness_report`.
      detector: The deciding detector.
      config: Its gate.

    Returns:
      Whether every limit is met (what is UNDEFINED or not there does not meet it), and one sentence per
      limit and cut; (True, []) where no limit is on.
    """
    gate, passed, reasons = config.gate, True, []
    cuts = report["scenarios"].get(gate.scenario, {}).get(detector, {})
    for name, (lower, limit) in gate.limits().items():
        for column in gate.slices or [item.column for item in config.slices]:
            cut = cuts.get(column, {})
            found = cut.get("disparities", {}).get(name, {})
            key = _judged_by(gate.judge_by, lower)
            number = found.get(key)
            words = f"fairness of {detector} by {column}: {name.replace('_', ' ')}"
            required = f"required: {'at least' if lower else 'at most'} {limit:g}"
            if number is None:
                why = found.get("reason") or cut.get("reason") or "it has no interval"
                passed = False
                reasons.append(f"{words} is UNDEFINED ({why}); {required}")
                continue
            # 0.3 / 0.4 is below 0.75 in floating point.
            passed &= number >= limit - _TOLERANCE if lower else number <= limit + _TOLERANCE
            which = "" if key == "value" else f" ({key} bound)"
            reasons.append(f"{words} is {number:.3f}{which}; {required}")
    return passed, reasons


def _judged_by(judge_by: str, lower: bool) -> str:
    if judge_by == "value":
        return "value"
    return "lower" if (judge_by == "worst") == lower else "upper"
