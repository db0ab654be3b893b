"""What an approver is shown: the release, its evaluation, what changed since the last one, the budget."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from components.governance.config import CADENCE_DAYS, BudgetConfig
from components.governance.core import accounting
from components.governance.core.events import PrivacyCost
from components.governance.core.ledger_state import LedgerState
from components.release.manifest import Manifest

FORMAT = "isthmus-approval-summary"


def summarise(
    manifest: Manifest,
    evaluation: Mapping[str, Any] | None,
    budget: Mapping[str, Any] | None,
    last: Manifest | None,
    last_evaluation: Mapping[str, Any] | None,
    last_note: str = "",
) -> dict[str, Any]:
    """Everything that a decision rests on, as plain JSON.

    Args:
      manifest: The release, unsigned.
      evaluation: Its `evaluation.json`, as it would leave.
      budget: From `standing`; None where the locale has no budget.
      last: The newest release of the locale that is published and verified; None for none.
      last_evaluation: Its `evaluation.json`.
      last_note: Why there is no last release to compare with, where one is there but does not verify.
    """
    return {
        "format": FORMAT,
        "version": 1,
        "locale": manifest.locale,
        "span": manifest.span,
        "kind": manifest.kind,
        "content_digest": manifest.content_digest,
        "release_id": manifest.release_id,
        "rows": dict(manifest.rows),
        "columns": dict(manifest.columns),
        "bytes": manifest.total_bytes,
        "files": {name: entry.sha256 for name, entry in sorted(manifest.files.items())},
        "gates": dict(manifest.gates),
        "privacy": manifest.privacy.model_dump(mode="json"),
        "evaluation": dict(evaluation) if evaluation is not None else None,
        "budget": dict(budget) if budget is not None else None,
        "last_release": _name(last) if last is not None else None,
        "last_note": last_note,
        "changes": changes(manifest, evaluation, last, last_evaluation) if last is not None else None,
    }


def to_bytes(summary: Mapping[str, Any]) -> bytes:
    """The summary's one byte form."""
    return (json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def digest(raw: bytes) -> str:
    """SHA-256 (hex) of a summary's bytes; what every decision is bound to beside the release."""
    return hashlib.sha256(raw).hexdigest()


def _name(manifest: Manifest) -> dict[str, Any]:
    return {
        "span": manifest.span,
        "release_id": manifest.release_id,
        "content_digest": manifest.content_digest,
        "created_at": manifest.created_at,
    }


def changes(
    new: Manifest,
    new_evaluation: Mapping[str, Any] | None,
    old: Manifest,
    old_evaluation: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What is different from the last release: rows, columns, gates, and every metric that both have.

    Returns:
      `rows` and `metrics`: name to `{"before", "after"}` (null where one side has none), only where they
      differ; `columns`: `added`, `removed` and `retyped`; `gates` as `rows`.
    """
    before, after = dict(old.columns), dict(new.columns)
    return {
        "rows": _differences(dict(old.rows), dict(new.rows)),
        "columns": {
            "added": sorted(set(after) - set(before)),
            "removed": sorted(set(before) - set(after)),
            "retyped": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        },
        "gates": _differences(dict(old.gates), dict(new.gates)),
        "metrics": _differences(metric_values(old_evaluation), metric_values(new_evaluation)),
    }


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def metric_values(evaluation: Mapping[str, Any] | None) -> dict[str, float]:
    """The numbers of an evaluation's `metrics`, by name."""
    metrics = (evaluation or {}).get("metrics", {})
    found: dict[str, float] = {}
    items = metrics.items() if isinstance(metrics, Mapping) else ((m.get("name"), m) for m in metrics)
    for name, metric in items:
        value = metric.get("value") if isinstance(metric, Mapping) else metric
        if isinstance(name, str) and isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = float(value)
    return found


def standing(state: LedgerState, following: PrivacyCost | None = None) -> dict[str, Any]:
    """What is spent, reserved and left of a budget, and how many more releases fit.

    Args:
      state: The ledger's, with a budget.
      following: The cost of each further release, its sketch with it; that of the newest counted ones
        where None.

    Returns:
      Plain JSON: the budget; `spent` (on releases and on trainings that failed), `counted` (with
      reservations) and `left`, epsilon at the budget's delta, of the unit that paid most; `releases_left`
      (null where `release_epsilon` is null because there is no release to go by), all of the period of
      `following` where it has one (`one_period`); `lasts_days` at the cadence.
    """
    budget = state.budget
    assert budget is not None  # an empty ledger has no standing; the callers' own check
    counted = state.costs()
    each = following or state.newest()
    relation = budget.neighboring_relation
    spent, total = state.epsilon("committed", "failed"), state.epsilon()
    left = None
    if each is not None:
        left = accounting.releases_left(counted, each, budget.epsilon, budget.delta, relation)
    alone = accounting.spent_epsilon([each], budget.delta, relation) if each is not None else None
    return {
        **_limits(budget),
        "spent": _finite(spent),
        "counted": _finite(total),
        "left": _finite(max(0.0, budget.epsilon - total)),
        "release_epsilon": _finite(alone) if alone is not None else None,
        "releases_left": left,
        "one_period": each is not None and each.time_range is not None and each.unit == "record",
        "at_least": left == accounting.MOST_RELEASES,
        "lasts_days": left * CADENCE_DAYS[budget.cadence] if left is not None and budget.cadence else None,
        "releases": sum(r.status == "committed" and not r.is_sketch for r in state.reservations.values()),
        "failed": sum(r.status == "failed" for r in state.reservations.values()),
        "reserved": sum(r.status == "reserved" for r in state.reservations.values()),
        "refused": state.refusals,
    }


def _limits(budget: BudgetConfig) -> dict[str, Any]:
    return budget.model_dump(mode="json")


def _finite(value: float) -> float | None:
    """JSON has no infinity; null says that there is no bound."""
    return value if math.isfinite(value) else None
