"""Compares two profiles: every measure of every feature, its null, its verdict.

Under the noise rule one measure judges a feature's values (Anderson-Darling, chi-squared for categories), one
its missing values, and three all features together; the others are kept beside them. The false-discovery
control runs over all that judge, over features and splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from components.drift.core import changes, discovery, verdicts
from components.drift.core.block_length import choose_block_s
from components.drift.core.blocks import make_blocks
from components.drift.core.distances import chunks, knots, test_chunk
from components.drift.core.pairing import Features, Hours, match_hours, pair_features
from components.drift.core.profile import FeaturePlan, Profile
from components.drift.core.rules import Compared, Rules
from components.drift.core.sampling import Sampling, Tested, make_sampling
from components.drift.core.whole import test_whole
from components.drift.findings import ALL_FEATURES, WHOLE_SPAN, Distribution, Measure, Measurement

__all__ = ["Compared", "Rules", "compare", "compare_splits"]


def compare(current: Profile, baseline: Profile | None, rules: Rules) -> list[Compared]:
    """Compares a profile with a baseline.

    Args:
      current: What is judged.
      baseline: What with; None where there is none, which is UNDEFINED and never OK.
      rules: The rules.

    Returns:
      One entry for each feature of either side, in the order of the first, then `(all)`.
    """
    return compare_splits({WHOLE_SPAN: (current, baseline)}, rules)[WHOLE_SPAN]


def compare_splits(
    pairs: Mapping[str, tuple[Profile, Profile | None]], rules: Rules
) -> dict[str, list[Compared]]:
    """Compares several pairs (splits, say) as one family of tests.

    Args:
      pairs: Split to current and baseline.
      rules: The rules.

    Returns:
      As `compare`, for each split. The false-discovery control runs over all of them together.
    """
    found = {split: _compare(*pair, rules) for split, pair in pairs.items()}
    flat = [one for compared in found.values() for entry in compared for one in entry.measurements]
    # Where every deal gives the same (no value is missing anywhere), nothing is tested.
    family = [one for one in flat if one.rule == "noise" and one.p_value is not None and _varies(one)]
    p_values = np.array([one.p_value for one in family], dtype=np.float64)
    q_values = discovery.q_values(p_values, rules.correction)
    q_of = {id(one): float(q) for one, q in zip(family, q_values)}
    return {split: [_judge(entry, q_of, rules) for entry in entries] for split, entries in found.items()}


def _varies(one: Measurement) -> bool:
    return one.null is None or one.null.mean > 0 or (one.value or 0.0) > 0


def _judge(entry: Compared, q_of: Mapping[int, float], rules: Rules) -> Compared:
    """Sets q-values and the verdicts that wait for them."""
    measurements = []
    for one in entry.measurements:
        q_value = q_of.get(id(one))
        if q_value is not None:
            # One with a p-value is UNDEFINED only where it is never OK: it still may alert.
            alert = one.verdict == "ALERT" or q_value <= rules.alpha
            one = one.model_copy(
                update={"q_value": q_value, "verdict": "ALERT" if alert else one.verdict},
            )
        measurements.append(one)
    verdict = "UNDEFINED" if entry.reason and not measurements else verdicts.verdict_of(measurements)
    return replace(entry, measurements=tuple(measurements), verdict=verdict)


def _compare(current: Profile, baseline: Profile | None, rules: Rules) -> list[Compared]:
    if baseline is None:
        return _nothing(current, "no baseline to compare with")
    if current.plan.bucket_s != baseline.plan.bucket_s:
        lengths = f"{current.plan.bucket_s} s and {baseline.plan.bucket_s} s"
        return _nothing(current, f"the two sides have buckets of {lengths}; they must be equal")
    for side, name in ((current, "this side"), (baseline, "the baseline's side")):
        if not side.rows.sum():
            return _nothing(current, f"no row on {name}")
    features = pair_features(current, baseline)
    hours = match_hours(current, baseline)
    blocks = make_blocks(current, baseline, rules.block_s or choose_block_s(current, baseline), hours)
    sampling = make_sampling(blocks, draws=rules.draws, alpha=rules.alpha, seed=rules.seed)
    points = changes.make_points(current)
    found: dict[str, Compared] = {}
    for chunk in chunks(features.shared, sampling.kept.shape[0]):
        tested = test_chunk(current, baseline, chunk, sampling, hours)
        for place, shared in enumerate(chunk):
            found[shared[0].name] = _feature(
                current, baseline, shared, tested, place, sampling, points, rules
            )
    found.update(_lonely(features))
    ordered = [plan.name for plan in current.plan.features]
    ordered += [name for name in found if name not in set(ordered)]
    return [*(found[name] for name in ordered), _whole(current, baseline, sampling, hours, rules)]


def _nothing(current: Profile, reason: str) -> list[Compared]:
    names = [*(plan.name for plan in current.plan.features), ALL_FEATURES]
    return [Compared(name, (), None, None, "UNDEFINED", reason) for name in names]


def _lonely(features: Features) -> dict[str, Compared]:
    """Features that only one side has alert as a change of the schema; other bins are undefined."""
    found = {}
    for names, side in (
        (features.only_current, "the baseline's side lacks the feature"),
        (features.only_baseline, "this side lacks the feature"),
    ):
        for name in names:
            one = Measurement(measure="schema", value=1.0, rule="number", threshold=0.0, verdict="ALERT")
            found[name] = Compared(
                name, (one.model_copy(update={"reason": side}),), None, None, "ALERT", side
            )
    for name in features.other_bins:
        reason = "the two sides were counted in different bins; count both with one plan"
        found[name] = Compared(name, (), None, None, "UNDEFINED", reason)
    return found


def _feature(
    current: Profile,
    baseline: Profile,
    shared: tuple[FeaturePlan, int, int],
    tested: Mapping[Measure, Tested],
    place: int,
    sampling: Sampling,
    points: changes.Points,
    rules: Rules,
) -> Compared:
    plan = shared[0]
    sides = verdicts.look(current, baseline, shared)
    measurements = []
    for name, values in tested.items():
        one = verdicts.measurement(
            name,
            values,
            place,
            feature=plan.name,
            kind=plan.kind,
            sides=sides,
            blocks=sampling.blocks,
            rules=rules,
        )
        measurements.append(verdicts.structural(one, plan.kind, sides, rules))
    if sides.unknown > 0:
        measurements.append(verdicts.new_categories(current, shared, sides, sampling.blocks, rules))
    distribution, line = None, None
    if sides.n and sides.m:
        distribution = _distribution(current, baseline, shared)
        line = changes.time_line(current, shared[1], baseline, shared[2], points)
    return Compared(plan.name, tuple(measurements), distribution, line, "UNDEFINED")


def _distribution(current: Profile, baseline: Profile, shared: tuple[FeaturePlan, int, int]) -> Distribution:
    plan, here, there = shared
    counts = [
        side.counts[:, side.plan.columns(position)].sum(axis=0, dtype=np.float64)
        for side, position in ((current, here), (baseline, there))
    ]
    share, share_baseline = (tuple((side / side.sum()).tolist()) for side in counts)
    if plan.kind == "categorical":
        return Distribution(labels=(*plan.categories, "(other)"), share=share, share_baseline=share_baseline)
    ends = knots(current, baseline, [shared], plan.bins)[0]
    return Distribution(edges=tuple(ends.tolist()), share=share, share_baseline=share_baseline)


def _whole(current: Profile, baseline: Profile, sampling: Sampling, hours: Hours, rules: Rules) -> Compared:
    tested = test_whole(current, baseline, sampling, hours, row_rate=rules.row_rate)
    labels = [int(side.labelled[:, 0].sum()) for side in (current, baseline)]
    if not any(labels):
        tested.pop("label_shift")  # no labels were expected
    rows = int(current.rows.sum()), int(baseline.rows.sum())
    complete = int(current.complete.sum()), int(baseline.complete.sum())
    measurements = []
    for name, values in tested.items():
        n, m = complete if name == "maximum_mean_discrepancy" else labels if name == "label_shift" else rows
        measurements.append(
            verdicts.measurement(
                name,
                values,
                0,
                feature=ALL_FEATURES,
                kind=ALL_FEATURES,
                sides=verdicts.Sides(n, m, n, m, 0, None, None),
                blocks=sampling.blocks,
                rules=rules,
            )
        )
    return Compared(ALL_FEATURES, tuple(measurements), None, None, "UNDEFINED")
