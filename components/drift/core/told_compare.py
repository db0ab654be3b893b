"""Compares what two locales tell of their real rows, hidden counts and noise included.

Two questions, of each feature:

- How far apart are they at least, whatever the hidden counts are? The bounds of `bounded`. A number of the
  configuration alerts where the least distance exceeds it, and passes where the greatest one does not;
  between the two it is UNDEFINED.
- Are they apart beyond sampling noise? The null of `compare`, dealt over periods, on bins that both sides
  tell: under one common distribution those have one common distribution too, and rounding and noise, which
  every period has anew, are part of what periods vary by. What is hidden on either side is left out on both,
  and where that may be more than a fifth of the values, they are never called alike. A bin may be hidden in
  some periods for another bin's sake; then those are left out instead, if its counts are so large that it is
  not hidden for its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.drift.core import bounded, suppression
from components.drift.core.accumulating import Accumulator
from components.drift.core.compare import compare_splits
from components.drift.core.profile import FeaturePlan, Profile
from components.drift.core.rules import Compared, Rules
from components.drift.core.told import Table, Told
from components.drift.core.verdicts import JUDGES, verdict_of
from components.drift.findings import Measure, Measurement, Verdict

#: Share of the values that both sides must be known to have in bins that both tell.
MIN_SEEN = 0.8
#: Bins that are told in so large a share of the periods are tried.
_OFTEN = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Visible:
    """What of a feature is tested.

    Attributes:
      cells: Of the table. Shape [cells].
      periods: Of either side. Shape [P] each.
      seen: Share of the values that both sides have in these cells at least, in these periods.
    """

    cells: _Mask
    periods: tuple[_Mask, _Mask]
    seen: float


def compare_told(one: Told, other: Told, rules: Rules) -> list[Compared]:
    """Compares two locales on one public plan.

    Args:
      one: The side that is judged.
      other: What with.
      rules: Thresholds and level.

    Returns:
      One entry per feature of the plan, in its order. Nothing is said of all features together.
    """
    features = one.plan.features
    visible = {plan.name: _visible(one.tables[plan.name], other.tables[plan.name]) for plan in features}
    tested: dict[str, list[Compared]] = {}
    reason = ""
    if one.period_s == other.period_s:
        # Each with the periods of its own, as one family of tests.
        pairs = {
            plan.name: (_as_profile(one, plan, visible, 0), _as_profile(other, plan, visible, 1))
            for plan in features
        }
        tested = dict(compare_splits(pairs, rules))
    else:
        days = " and ".join(f"{side.period_s // 86_400}" for side in (one, other))
        reason = f"the two sides have periods of {days} days; the noise rule needs equal ones"
    found = []
    for plan in features:
        tables = one.tables[plan.name], other.tables[plan.name]
        entry = tested[plan.name][0] if tested else Compared(plan.name, (), None, None, "UNDEFINED", reason)
        found.append(_feature(plan, tables, visible[plan.name], entry, rules))
    return found


def _visible(one: Table, other: Table) -> _Visible:
    """The cells and periods that show most of the values on both sides."""
    found = []
    for often in _OFTEN:
        cells = _often_told(one, often) & _often_told(other, often)
        periods = [table.kept & table.shown[:, cells].all(axis=1) for table in (one, other)]
        seen = [_seen(table, cells, chosen) for table, chosen in zip((one, other), periods)]
        found.append(_Visible(cells, (periods[0], periods[1]), min(seen)))
    return max(found, key=lambda visible: visible.seen)


def _often_told(table: Table, often: float) -> _Mask:
    shown, told = table.shown[table.kept], table.told[table.kept]
    number = shown.sum(axis=0)
    always = number == len(shown)
    if table.row_limit is None:
        # Whether a count with noise is told depends on its noise.
        return np.asarray(always)
    mean = told.sum(axis=0) / np.maximum(number, 1)
    large = mean >= suppression.PROTECTION * table.minimum
    return np.asarray(always | (large & (number > 0) & (number >= often * len(shown))))


def _seen(table: Table, cells: _Mask, periods: _Mask) -> float:
    """Share of a side's values in the cells, at least."""
    bins = cells[:-1]
    if table.row_limit is None:
        return float(bounded.share_of(table.bins(), bins[None])[0][0])
    rows = float(table.row_limit[periods].sum())
    return float(table.told[periods][:, :-1][:, bins].sum()) / rows if rows else 0.0


def _as_profile(side: Told, feature: FeaturePlan, visible: dict[str, _Visible], place: int) -> Profile:
    """The visible counts of a feature as a profile, a bucket per period; the others are on neither side."""
    plan = dataclasses.replace(side.plan, features=(feature,), bucket_s=side.period_s, random_features=0)
    arrays = Accumulator(plan, labelled=False)
    chosen = visible[feature.name]
    first = int(side.begin_s[0]) // side.period_s if len(side.begin_s) else 0
    at = arrays.positions(first + np.flatnonzero(chosen.periods[place]).astype(np.int64))
    cells = np.where(chosen.cells, side.tables[feature.name].value, 0)[chosen.periods[place]]
    arrays.counts[at] = cells[:, :-1]
    arrays.missing[at, 0] = cells[:, -1]
    arrays.rows[at] = cells.sum(axis=1)
    if feature.edges:
        # The two open bins end a bin's width beyond the domain; no extreme is known.
        width = (feature.edges[-1] - feature.edges[0]) / max(len(feature.edges) - 1, 1)
        arrays.low[at], arrays.high[at] = feature.edges[0] - width, feature.edges[-1] + width
    return arrays.profile()


def _feature(
    plan: FeaturePlan, tables: tuple[Table, Table], visible: _Visible, entry: Compared, rules: Rules
) -> Compared:
    one, other = tables
    n, m = (int(table.value[:, :-1].sum()) for table in tables)
    if min(n, m) < rules.min_count:
        why = f"{n} and {m} values are told; a distance needs {rules.min_count} on each side"
        return Compared(plan.name, (), None, None, "UNDEFINED", why)
    bins = one.bins(), other.bins()
    found: list[tuple[Measure, bounded.Bounds]] = [
        ("jensen_shannon_divergence", bounded.jensen_shannon(*bins, _only_told(one, other))),
        ("kolmogorov_smirnov", bounded.kolmogorov_smirnov(*bins))
        if plan.kind == "numeric"
        else ("infinity_norm", bounded.infinity_norm(*bins)),
        ("missing_rate", bounded.missing_rate(one.cells(), other.cells())),
    ]
    measurements = [_bounded(name, bounds, plan, n, m, rules) for name, bounds in found]
    measurements.append(_tested(plan, visible, entry, n, m))
    verdict = verdict_of(measurements)
    return Compared(plan.name, tuple(measurements), entry.distribution, entry.time_line, verdict)


def _tested(plan: FeaturePlan, visible: _Visible, entry: Compared, n: int, m: int) -> Measurement:
    """The measurement that the noise rule judges."""
    judge = JUDGES[plan.kind][0]
    own = [item for item in entry.measurements if item.measure == judge]
    bins = int(visible.cells[:-1].sum())
    remark = (
        f"on the {bins} of {plan.bins} bins that both sides tell, at least {visible.seen:.0%} of the values"
    )
    if not own:
        why = entry.reason if bins else f"of {plan.bins} bins there is none that both sides tell"
        return Measurement(measure=judge, rule="noise", n=n, n_baseline=m, verdict="UNDEFINED", reason=why)
    verdict = own[0].verdict
    if visible.seen < MIN_SEEN and verdict == "OK":
        # That they differ where both tell is a difference; that they are alike there says little of the rest.
        verdict, remark = "UNDEFINED", f"{remark}; {MIN_SEEN:.0%} are needed to call them alike"
    said = "; ".join(filter(None, (own[0].reason, remark)))
    return own[0].model_copy(update={"reason": said, "bins": bins, "verdict": verdict})


def _only_told(one: Table, other: Table) -> Sequence[_Mask]:
    """Bins that one side tells at all and the other does not: where two locales lie apart."""
    told = [table.shown[:, :-1].any(axis=0) for table in (one, other)]
    return [told[0] & ~told[1], told[1] & ~told[0]]


def _bounded(
    name: Measure, bounds: bounded.Bounds, plan: FeaturePlan, n: int, m: int, rules: Rules
) -> Measurement:
    """A measurement whose value is the least distance that there can be."""
    threshold = rules.thresholds.get(plan.name, {}).get(name)
    reason = "" if bounds.high - bounds.low < 1e-9 else f"at least; at most {bounds.high:.4g}"
    if threshold is None or bounds.high <= threshold:
        verdict: Verdict = "OK"
    elif bounds.low > threshold:
        verdict = "ALERT"
    else:
        verdict, reason = "UNDEFINED", f"{reason}: what is hidden, rounded or noise leaves it open"
    return Measurement(
        measure=name,
        value=bounds.low,
        unit="bit" if name == "jensen_shannon_divergence" else "",
        threshold=threshold,
        rule="kept" if threshold is None else "number",
        n=n,
        n_baseline=m,
        bins=None if name == "missing_rate" else plan.bins,
        verdict=verdict,
        reason=reason,
    )
