"""From values and their nulls to measurements: which rule judges what, and what has a stated outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from components.drift.core.blocks import Blocks
from components.drift.core.profile import FeaturePlan, Profile
from components.drift.core.rules import Rules
from components.drift.core.sampling import Tested
from components.drift.findings import ALL_FEATURES, Measure, Measurement, Null, Verdict

#: What judges under the noise rule. The others of a feature are correlated with it: judging them as well
#: would multiply the tests, and so raise the limit of each, without a new question being asked.
JUDGES: Final[Mapping[str, tuple[Measure, ...]]] = {
    "numeric": ("anderson_darling", "missing_rate"),
    "categorical": ("chi_squared", "missing_rate"),
    ALL_FEATURES: ("cadence", "maximum_mean_discrepancy", "label_shift"),
}
#: Measures that are about rows, not values: defined where every value is missing.
_OF_ROWS: Final = ("missing_rate", "cadence", "label_shift")
_UNIT: Final[Mapping[Measure, str]] = {
    "jensen_shannon_divergence": "bit",
    "population_stability_index": "nat",
}


@dataclass(frozen=True)
class Sides:
    """What is known of a feature before any distance.

    Attributes:
      n: Values on the first side.
      m: On the baseline.
      rows: Rows on the first side.
      rows_baseline: On the baseline.
      bins: Bins that hold a value of either side.
      constant: What the first side is constant at: a value, a bin's number; None where it varies.
      constant_baseline: The baseline.
      unknown: Share of the first side's values in categories that the plan does not name and the baseline has
        none of.
    """

    n: int
    m: int
    rows: int
    rows_baseline: int
    bins: int
    constant: float | None
    constant_baseline: float | None
    unknown: float = 0.0

    def undefined(self, min_count: int) -> str:
        """Why a distance between the values says nothing; empty where it does."""
        if not self.n or not self.m:
            sides = {
                (True, True): "either side",
                (True, False): "this side",
                (False, True): "the baseline's side",
            }
            return f"no value on {sides[not self.n, not self.m]}"
        if min(self.n, self.m) < min_count:
            return f"{self.n} and {self.m} values; a distance needs {min_count} on each side"
        if self.constant is not None and self.constant == self.constant_baseline:
            return "one and the same value throughout both sides: nothing varies that could be compared"
        return ""


def look(current: Profile, baseline: Profile, entry: tuple[FeaturePlan, int, int]) -> Sides:
    """Counts, constants and new categories of a feature."""
    plan, here, there = entry
    counts = [
        side.counts[:, side.plan.columns(position)].sum(axis=0)
        for side, position in ((current, here), (baseline, there))
    ]
    constant = [_constant(plan, *side) for side in ((current, here, counts[0]), (baseline, there, counts[1]))]
    n, m = int(counts[0].sum()), int(counts[1].sum())
    fresh = plan.kind == "categorical" and counts[1][-1] == 0 and n > 0 and m > 0
    return Sides(
        n,
        m,
        int(current.rows.sum()),
        int(baseline.rows.sum()),
        int(((counts[0] + counts[1]) > 0).sum()),
        constant[0],
        constant[1],
        unknown=float(counts[0][-1] / n) if fresh else 0.0,
    )


def _constant(plan: FeaturePlan, profile: Profile, position: int, counts: np.ndarray) -> float | None:
    if plan.kind == "categorical":
        used = np.flatnonzero(counts)
        # The last bin gathers all other categories, which may be many.
        return float(used[0]) if used.size == 1 and used[0] < plan.bins - 1 else None
    low, high = profile.low[:, position], profile.high[:, position]
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    return float(low.min()) if low.size and low.min() == high.max() else None


def measurement(
    name: Measure,
    tested: Tested | None,
    place: int,
    *,
    feature: str,
    kind: str,
    sides: Sides,
    blocks: Blocks,
    rules: Rules,
) -> Measurement:
    """One measurement before the false-discovery control: the noise rule's verdict is still open.

    Args:
      name: The measure.
      tested: Its values of a chunk and what noise does; None where it was not computed.
      place: The feature's place in `tested`.
      feature: Its name, or `(all)`.
      kind: `numeric`, `categorical` or `(all)`.
      sides: What is known of it.
      blocks: Those of the null.
      rules: The rules.
    """
    of_rows = name in _OF_ROWS
    n, m = (sides.rows, sides.rows_baseline) if of_rows or kind == ALL_FEATURES else (sides.n, sides.m)
    threshold = rules.thresholds.get(feature, {}).get(name)
    rule = "number" if threshold is not None else "noise" if name in JUDGES[kind] else "kept"
    unit = rules.units.get(feature, "") if name == "wasserstein" else _UNIT.get(name, "")
    replaced = rules.tfdv.get(feature, {}).get(name)
    raw = float(tested.value[place]) if tested is not None else np.nan
    value = replaced if replaced is not None else raw if np.isfinite(raw) else None
    reason = ""
    if of_rows:
        if min(n, m) < rules.min_count:
            reason = f"{n} and {m} rows; a distance needs {rules.min_count} on each side"
    else:
        reason = sides.undefined(rules.min_count)
    if not reason and value is None:
        reason = "not defined on these two sides"
    null, p_value = None, None
    short = tested is not None and tested.short is not None and bool(tested.short[place])
    if not reason and tested is not None and tested.p_value is not None and np.isfinite(raw):
        p_value = float(tested.p_value[place])
        if replaced is None and tested.mean is not None and tested.limit is not None:
            null = Null(
                mean=float(tested.mean[place]),
                limit=float(tested.limit[place]),
                draws=tested.draws,
                blocks=sum(blocks.counts),
                block_s=blocks.block_s,
            )
    verdict: Verdict = "OK"
    if reason:
        # A value that is no evidence is not shown as one.
        value = None if not of_rows else value
        verdict = "UNDEFINED"
    elif threshold is not None and value is not None:
        verdict = "ALERT" if value > threshold else "OK"
    elif rule == "noise" and p_value is None:
        verdict, reason = "UNDEFINED", blocks.reason or "the noise rule needs draws"
    elif rule == "noise" and short:
        # It may still alert: only that it does not is no evidence.
        verdict, reason = "UNDEFINED", "the series remembers for too long to tell stability from noise"
    if not reason and replaced is not None:
        reason = "the value is the one that TFDV computes; p and q are from the bins that all spans share"
    return Measurement(
        measure=name,
        value=value,
        unit=unit,
        threshold=threshold,
        rule=rule,
        n=n,
        n_baseline=m,
        bins=None if of_rows or kind == ALL_FEATURES or replaced is not None else sides.bins,
        p_value=p_value,
        null=null,
        verdict=verdict,
        reason=reason,
    )


def structural(found: Measurement, kind: str, sides: Sides, rules: Rules) -> Measurement:
    """Alerts that no null can weigh: nothing varies within the sides, yet they differ."""
    enough = min(sides.rows, sides.rows_baseline) >= rules.min_count
    if found.measure == "missing_rate" and enough and (sides.n == 0) != (sides.m == 0):
        side = "this side" if sides.n == 0 else "the baseline's side"
        return found.model_copy(update={"verdict": "ALERT", "reason": f"every value is missing on {side}"})
    constants = sides.constant is not None and sides.constant_baseline is not None
    different = constants and sides.constant != sides.constant_baseline
    if found.measure == JUDGES[kind][0] and different and min(sides.n, sides.m) >= rules.min_count:
        reason = "one value throughout each side, and not the same"
        return found.model_copy(update={"verdict": "ALERT", "reason": reason})
    return found


def new_categories(
    current: Profile, shared: tuple[FeaturePlan, int, int], sides: Sides, blocks: Blocks, rules: Rules
) -> Measurement:
    """The share of values in categories that the baseline has none of, as a change of the schema.

    Under the noise rule the p-value is exact: that all k blocks with such values lie on this side, when
    blocks are dealt at random. Never OK: too few of them to judge are UNDEFINED.
    """
    threshold = rules.thresholds.get(shared[0].name, {}).get("schema")
    others = current.counts[:, current.plan.columns(shared[1])][:, -1]
    one, two = blocks.counts
    holding = int((np.add.reduceat(others, blocks.starts[0]) > 0).sum())
    p_value = None if blocks.reason else float(special.comb(one, holding) / special.comb(one + two, holding))
    reason = f"values in categories that the baseline's side has none of, in {holding} of {one} blocks"
    alert = threshold is not None and sides.unknown > threshold
    return Measurement(
        measure="schema",
        value=sides.unknown,
        threshold=threshold,
        rule="noise" if threshold is None else "number",
        n=sides.n,
        n_baseline=sides.m,
        p_value=p_value,
        verdict="ALERT" if alert else "UNDEFINED",
        reason=reason,
    )


def verdict_of(found: Iterable[Measurement]) -> Verdict:
    """Of a feature: `ALERT`, else `UNDEFINED` where something that judges is undefined, else `OK`."""
    found = tuple(found)
    if any(one.verdict == "ALERT" for one in found):
        return "ALERT"
    judging = [one for one in found if one.rule != "kept"]
    if not judging or any(one.verdict == "UNDEFINED" for one in judging):
        return "UNDEFINED"
    return "OK"
