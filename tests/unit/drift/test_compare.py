"""Verdicts: what alerts, what stays quiet, and what has a stated outcome that is neither."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.drift.core import measures
from components.drift.core.compare import Compared, Rules, compare, compare_splits
from components.drift.core.merging import select
from components.drift.core.profile import Profile
from components.drift.findings import ALL_FEATURES, Measurement
from components.errors import ConfigError
from tests.unit.drift.series import EDGES, PER_DAY, profile_of, times, two_spans, wander

RULES = Rules(draws=199)


def entry(found: list[Compared], feature: str = "x0") -> Compared:
    return next(one for one in found if one.feature == feature)


def measured(found: list[Compared], measure: str, feature: str = "x0") -> Measurement:
    return next(one for one in entry(found, feature).measurements if one.measure == measure)


def test_a_shift_by_one_standard_deviation_alerts_and_the_others_do_not() -> None:
    current, baseline = two_spans(14, 4, shift=1.0)
    found = compare(current, baseline, Rules())
    assert [one.verdict for one in found] == ["ALERT", "OK", "OK", "OK", "OK"]
    one = measured(found, "anderson_darling")
    assert one.rule == "noise" and one.null is not None and one.value is not None
    assert one.value > one.null.limit > one.null.mean > 0
    assert (one.null.blocks, one.null.block_s, one.null.draws) == (28, 86_400.0, 999)
    assert one.q_value is not None and one.p_value is not None and one.p_value < one.q_value <= 0.05
    assert (one.n, one.n_baseline, one.bins) == (14 * PER_DAY, 14 * PER_DAY, 24)


def test_every_measure_is_kept_with_its_null_and_one_judges_the_values() -> None:
    found = compare(*two_spans(14, 1), RULES)
    taken = {one.measure: one for one in entry(found).measurements}
    assert set(taken) == {
        "infinity_norm",
        "jensen_shannon_divergence",
        "population_stability_index",
        "kolmogorov_smirnov",
        "anderson_darling",
        "wasserstein",
        "missing_rate",
    }
    for one in taken.values():
        assert one.value is not None and one.p_value is not None and one.null is not None
    assert {name for name, one in taken.items() if one.rule == "noise"} == {
        "anderson_darling",
        "missing_rate",
    }
    # Fixed to the digits that do not depend on the rounding of a machine.
    assert [one.measure for one in entry(found, ALL_FEATURES).measurements] == ["cadence"]


def test_a_value_and_its_limit_tell_what_the_p_value_tells() -> None:
    for seed in range(6):
        found = compare(*two_spans(10, 3, seed=seed, memory_h=8.0, shift=0.25), Rules(draws=499))
        for one in (measured(found, "anderson_darling", f"x{number}") for number in range(3)):
            assert one.value is not None and one.null is not None and one.p_value is not None
            if abs(one.p_value - 0.05) > 0.01:
                assert (one.value > one.null.limit) == (one.p_value < 0.05)


def test_without_a_baseline_nothing_is_ok() -> None:
    current, _ = two_spans(6, 2)
    found = compare(current, None, RULES)
    assert [(one.feature, one.verdict) for one in found] == [
        ("x0", "UNDEFINED"),
        ("x1", "UNDEFINED"),
        (ALL_FEATURES, "UNDEFINED"),
    ]
    assert {one.reason for one in found} == {"no baseline to compare with"}


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_side_is_undefined(empty: int) -> None:
    pair = list(two_spans(6, 1))
    pair[empty] = profile_of(np.zeros((0, 1)))
    found = compare(pair[0], pair[1], RULES)
    assert {one.verdict for one in found} == {"UNDEFINED"}
    assert entry(found).reason.startswith("no row on")


def test_a_feature_on_one_side_only_alerts_as_a_change_of_the_schema() -> None:
    values = wander(12, 2, np.random.default_rng(0))
    half = 6 * PER_DAY
    current = profile_of(values[half:], begin_day=6, names=("a", "new"))
    baseline = profile_of(values[:half], names=("a", "gone"))
    found = compare(current, baseline, RULES)
    assert [(one.feature, one.verdict) for one in found] == [
        ("a", "OK"),
        ("new", "ALERT"),
        ("gone", "ALERT"),
        (ALL_FEATURES, "OK"),
    ]
    assert entry(found, "new").reason == "the baseline's side lacks the feature"
    assert entry(found, "gone").reason == "this side lacks the feature"
    assert measured(found, "schema", "gone").value == 1.0


def test_other_bins_or_other_buckets_cannot_be_compared() -> None:
    values = wander(12, 1, np.random.default_rng(0))
    half = 6 * PER_DAY
    baseline = profile_of(values[:half])
    other_bins = profile_of(values[half:], begin_day=6, edges=EDGES[1:])
    found = compare(other_bins, baseline, RULES)
    assert entry(found).verdict == "UNDEFINED" and "different bins" in entry(found).reason
    other_buckets = profile_of(values[half:], begin_day=6, bucket_s=7_200)
    found = compare(other_buckets, baseline, RULES)
    assert {one.verdict for one in found} == {"UNDEFINED"}
    assert entry(found).reason == "the two sides have buckets of 7200 s and 3600 s; they must be equal"


def test_all_missing_on_one_side_alerts_and_on_both_is_undefined() -> None:
    values = wander(12, 1, np.random.default_rng(0))
    half = 6 * PER_DAY
    full, none = profile_of(values[:half]), profile_of(np.full((half, 1), np.nan), begin_day=6)
    found = compare(none, full, RULES)
    one = measured(found, "missing_rate")
    assert (entry(found).verdict, one.verdict, one.value) == ("ALERT", "ALERT", 1.0)
    assert one.reason == "every value is missing on this side"
    judge = measured(found, "anderson_darling")
    assert (judge.verdict, judge.value, judge.reason) == ("UNDEFINED", None, "no value on this side")
    both = compare(none, profile_of(np.full((half, 1), np.nan)), RULES)
    assert entry(both).verdict == "UNDEFINED"
    assert measured(both, "anderson_darling").reason == "no value on either side"
    assert entry(both).distribution is None and entry(both).time_line is None


def test_a_constant_on_both_sides_is_undefined_where_equal_and_alerts_where_not() -> None:
    half = 6 * PER_DAY
    baseline = profile_of(np.full((half, 1), 0.3))
    equal = compare(profile_of(np.full((half, 1), 0.3), begin_day=6), baseline, RULES)
    one = measured(equal, "anderson_darling")
    assert (entry(equal).verdict, one.verdict) == ("UNDEFINED", "UNDEFINED")
    assert one.reason.startswith("one and the same value throughout both sides")
    other = compare(profile_of(np.full((half, 1), 1.3), begin_day=6), baseline, RULES)
    assert measured(other, "anderson_darling").verdict == "ALERT"
    # Too little different to leave the bin: the extremes tell, where the counts do not.
    near = compare(profile_of(np.full((half, 1), 0.3001), begin_day=6), baseline, RULES)
    assert measured(near, "anderson_darling").reason == "one value throughout each side, and not the same"
    assert entry(near).verdict == "ALERT"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_constant_against_values_of_one_bin_has_a_limit_and_warns_of_nothing() -> None:
    half = 4 * PER_DAY
    values = np.random.default_rng(0).normal(0, 1e-3, (half, 1))
    found = compare(profile_of(np.full((half, 1), 5.0), begin_day=4), profile_of(values), RULES)
    one = measured(found, "anderson_darling")
    assert one.value == pytest.approx(4.0) and one.verdict != "OK"
    assert one.null is not None and np.isfinite(one.null.limit)


def test_a_single_row_is_undefined_with_the_number_that_is_needed() -> None:
    values = wander(6, 1, np.random.default_rng(0))
    found = compare(profile_of(values[:1], begin_day=6), profile_of(values), RULES)
    assert {one.verdict for one in found} == {"UNDEFINED"}
    assert measured(found, "anderson_darling").reason == "1 and 576 values; a distance needs 100 on each side"
    assert measured(found, "anderson_darling").value is None


def test_a_billion_rows_give_the_values_of_a_thousandth_of_them() -> None:
    pair = two_spans(8, 1, shift=0.3)
    billions = tuple(times(side, 1_500_000) for side in pair)
    assert billions[0].counts.sum() > 1e9
    few, many = compare(*pair, RULES), compare(*billions, RULES)
    for measure in ("anderson_darling", "wasserstein", "jensen_shannon_divergence"):
        one, two = measured(few, measure), measured(many, measure)
        assert two.value == pytest.approx(one.value, rel=1e-9)
        assert two.p_value == pytest.approx(one.p_value, rel=1e-6)
    assert measured(many, "anderson_darling").n == 1_500_000 * 8 * PER_DAY


def test_nan_and_infinity_are_missing_and_a_rise_of_them_alerts() -> None:
    rng = np.random.default_rng(3)
    values = wander(20, 1, rng)
    half = 10 * PER_DAY
    odd = rng.random(half)
    values[half:, 0] = np.where(odd < 0.1, np.inf, np.where(odd < 0.2, np.nan, values[half:, 0]))
    values[:half, 0] = np.where(rng.random(half) < 0.05, -np.inf, values[:half, 0])
    found = compare(profile_of(values[half:], begin_day=10), profile_of(values[:half]), RULES)
    one = measured(found, "missing_rate")
    assert one.value == pytest.approx(0.15, abs=0.03) and one.verdict == "ALERT"
    assert measured(found, "anderson_darling").verdict == "OK"


def categories(rng: np.random.Generator, days: int) -> np.ndarray:
    return np.searchsorted([-1.0, 1.0], wander(days, 1, rng)).astype(float)


def test_new_categories_never_end_as_ok() -> None:
    rng = np.random.default_rng(0)
    values, half = categories(rng, 16), 8 * PER_DAY
    names = ("a", "b", "c")

    def found(rows: slice) -> list[Compared]:
        fresh = values.copy()
        fresh[half:][rows] = 3.0
        current = profile_of(fresh[half:], begin_day=8, kind="categorical", categories=names)
        return compare(current, profile_of(fresh[:half], kind="categorical", categories=names), RULES)

    none = found(slice(0, 0))
    assert entry(none).verdict == "OK"
    assert "schema" not in {one.measure for one in entry(none).measurements}
    rare = found(slice(0, 2))
    one = measured(rare, "schema")
    # One block of eight on each side: an even chance that it lies on this one.
    assert (one.verdict, one.p_value, one.value) == ("UNDEFINED", 0.5, 2 / half)
    assert one.reason == "values in categories that the baseline's side has none of, in 1 of 8 blocks"
    assert entry(rare).verdict == "UNDEFINED"
    often = found(slice(0, None, 50))
    assert measured(often, "schema").verdict == "ALERT"


def test_a_change_of_shares_of_categories_alerts() -> None:
    values, half = categories(np.random.default_rng(1), 20), 10 * PER_DAY
    values[half:] = np.where(np.arange(half)[:, None] % 3 == 0, 0.0, values[half:])
    current, baseline = (
        profile_of(part, begin_day=day, kind="categorical", categories=("a", "b", "c"))
        for part, day in ((values[half:], 10), (values[:half], 0))
    )
    found = compare(current, baseline, RULES)
    assert measured(found, "chi_squared").verdict == "ALERT"
    distribution = entry(found).distribution
    assert distribution is not None and distribution.labels == ("a", "b", "c", "(other)")
    assert sum(distribution.share) == pytest.approx(1)


def test_too_few_blocks_are_undefined_with_the_number_that_is_needed() -> None:
    current, baseline = two_spans(3, 1, shift=3.0)
    found = compare(current, baseline, RULES)
    one = measured(found, "anderson_darling")
    assert one.verdict == "UNDEFINED" and one.value is not None and one.p_value is None
    assert one.reason == "3 and 3 blocks of 24 h; the noise rule needs 4 on each side"
    # A number still judges.
    rules = dataclasses.replace(RULES, thresholds={"x0": {"wasserstein": 0.5}}, units={"x0": "K"})
    one = measured(compare(current, baseline, rules), "wasserstein")
    assert (one.rule, one.threshold, one.verdict, one.unit) == ("number", 0.5, "ALERT", "K")


def test_a_series_that_remembers_for_longer_than_the_span_is_rarely_called_stable() -> None:
    half = 5 * PER_DAY
    verdicts = []
    for seed in range(8):
        values = np.cumsum(np.random.default_rng(seed).normal(0, 0.05, (2 * half, 1)), axis=0)
        found = compare(profile_of(values[half:], begin_day=5), profile_of(values[:half]), RULES)
        one = measured(found, "anderson_darling")
        verdicts.append(one.verdict)
        if one.verdict == "UNDEFINED":
            assert one.reason.startswith("the series remembers for too long")
            assert one.p_value is not None and one.p_value > 0.05
    # A random walk has no level to drift from; deals of its days alone would alert on nearly every one.
    assert verdicts.count("ALERT") <= 1 and verdicts.count("UNDEFINED") >= 6


def test_a_number_replaces_the_noise_rule() -> None:
    pair = two_spans(14, 1, shift=1.0)
    rules = dataclasses.replace(RULES, thresholds={"x0": {"anderson_darling": 9.0}})
    one = measured(compare(*pair, rules), "anderson_darling")
    assert (one.rule, one.verdict, one.q_value) == ("number", "OK", None)
    assert one.p_value is not None and one.p_value < 0.05


def test_tfdv_s_numbers_replace_ours() -> None:
    rules = dataclasses.replace(
        RULES,
        tfdv={"x0": {"jensen_shannon_divergence": 0.123456789}},
        thresholds={"x0": {"jensen_shannon_divergence": 0.12}},
    )
    one = measured(compare(*two_spans(6, 1), rules), "jensen_shannon_divergence")
    assert (one.value, one.verdict, one.bins, one.null) == (0.123456789, "ALERT", None, None)
    assert "TFDV" in one.reason


def test_part_of_a_day_is_matched_hour_by_hour() -> None:
    values = wander(14, 1, np.random.default_rng(0))
    values[:, 0] += 3 * np.cos(2 * np.pi * np.arange(values.shape[0]) / PER_DAY)  # the course is all there is
    baseline = profile_of(values[: 9 * PER_DAY])
    # From midnight to noon of the fifth day: more warm hours than the baseline has.
    current = profile_of(values[9 * PER_DAY : 9 * PER_DAY + 4 * PER_DAY + PER_DAY // 2], begin_day=9)
    found = compare(current, baseline, RULES)
    one = measured(found, "anderson_darling")
    assert one.verdict == "OK" and one.value is not None and one.value < 0.01
    distribution = entry(found).distribution
    assert distribution is not None
    share, share_baseline = np.array(distribution.share), np.array(distribution.share_baseline)
    unmatched = measures.anderson_darling(share, share_baseline, (share + share_baseline) / 2)
    assert unmatched != pytest.approx(one.value, rel=1e-3)
    nights = profile_of(values[: PER_DAY // 4], begin_day=9.25)
    mornings = profile_of(values[: PER_DAY // 4])
    one = measured(compare(nights, mornings, dataclasses.replace(RULES, min_count=1)), "anderson_darling")
    assert (one.verdict, one.reason) == ("UNDEFINED", "the two sides have no hour of the day in common")


def test_hours_that_one_side_lacks_do_not_look_like_drift() -> None:
    values = wander(20, 1, np.random.default_rng(0))
    values[:, 0] += 3 * np.cos(2 * np.pi * np.arange(values.shape[0]) / PER_DAY)
    baseline, whole = profile_of(values[: 10 * PER_DAY]), profile_of(values[10 * PER_DAY :], begin_day=10)
    hour = whole.bucket % 24
    days = select(whole, (hour >= 6) & (hour < 18))
    found = compare(days, baseline, dataclasses.replace(RULES, row_rate=False))
    one = measured(found, "anderson_darling")
    distribution = entry(found).distribution
    assert distribution is not None
    share, share_baseline = np.array(distribution.share), np.array(distribution.share_baseline)
    unmatched = measures.anderson_darling(share, share_baseline, (share + share_baseline) / 2)
    assert one.verdict == "OK" and one.value is not None and one.value < 0.05 < 0.5 < unmatched


def test_fewer_rows_an_hour_alert_unless_the_fleets_are_different() -> None:
    current, baseline = two_spans(8, 1)
    double = times(baseline, 2)
    one = measured(compare(current, double, RULES), "cadence", ALL_FEATURES)
    assert (one.verdict, one.value) == ("ALERT", 0.5)
    rules = dataclasses.replace(RULES, row_rate=False)
    one = measured(compare(current, double, rules), "cadence", ALL_FEATURES)
    assert (one.verdict, one.value) == ("OK", 0.0)


def test_a_changed_relation_shows_where_no_feature_does() -> None:
    rng = np.random.default_rng(4)
    count = 12 * PER_DAY
    one, other = rng.normal(0, 1, (2, 2 * count))
    second = np.where(np.arange(2 * count) < count, 1, -1) * 0.9 * one + np.sqrt(1 - 0.81) * other
    values = np.stack([one, second], axis=1)
    waves = values @ rng.normal(0, 0.7, (2, 16))
    random = np.concatenate([np.cos(waves), np.sin(waves)], axis=1) / 4
    sums = random.reshape(-1, 4, 32).sum(axis=1)
    sides = []
    for part, day in ((slice(count, None), 12), (slice(0, count), 0)):
        profile = profile_of(values[part], begin_day=day)
        plan = dataclasses.replace(profile.plan, random_features=32)
        buckets = slice(part.start // 4, None if part.stop is None else part.stop // 4)
        sides.append(dataclasses.replace(profile, plan=plan, random=sums[buckets]))
    found = compare(sides[0], sides[1], RULES)
    assert measured(found, "maximum_mean_discrepancy", ALL_FEATURES).verdict == "ALERT"
    assert [entry(found, name).verdict for name in ("x0", "x1")] == ["OK", "OK"]


def test_labels_and_what_they_depend_on() -> None:
    rng = np.random.default_rng(2)
    values, half = wander(24, 1, rng), 12 * PER_DAY
    labels = (rng.random(values.shape[0]) < 0.05).astype(np.int64)
    labels[half:] = ((values[half:, 0] > 0) & (rng.random(half) < 0.4)).astype(np.int64)
    current = profile_of(values[half:], begin_day=12, labels=labels[half:])
    found = compare(current, profile_of(values[:half], labels=labels[:half]), RULES)
    assert measured(found, "label_shift", ALL_FEATURES).verdict == "ALERT"
    concept = measured(found, "concept_shift")
    assert concept.rule == "kept" and concept.p_value is not None and concept.p_value <= 0.01
    assert concept.value == pytest.approx(0.2, abs=0.05)


def test_a_gap_shows_in_the_cadence() -> None:
    current, baseline = two_spans(10, 1)
    keep = current.bucket % 24 >= 3
    gaps = dataclasses.replace(
        current,
        **{
            name: getattr(current, name)[keep]
            for name in ("bucket", "rows", "counts", "missing", "sums", "low", "high", "pairs", "still")
        },
        **{
            name: getattr(current, name)[keep]
            for name in ("longest_still_s", "labelled", "random", "complete")
        },
    )
    cadence = current.cadence[keep].copy()
    cadence[gaps.bucket % 24 == 3] += np.array([0, 0, 0, -1, 0, 0, 1, 0])
    found = compare(dataclasses.replace(gaps, cadence=cadence), baseline, RULES)
    one = measured(found, "cadence", ALL_FEATURES)
    assert one.verdict == "ALERT" and one.value is not None and one.value > 0.1


def test_the_family_runs_over_all_splits() -> None:
    pair = two_spans(8, 2, seed=1, shift=0.9)
    alone = measured(compare(*pair, RULES), "anderson_darling")
    quiet = {f"quiet {seed}": two_spans(8, 2, seed=seed) for seed in range(5, 9)}
    together = compare_splits({"a": pair, **quiet}, RULES)
    assert list(together) == ["a", *quiet]
    one = measured(together["a"], "anderson_darling")
    assert one.p_value == alone.p_value
    assert one.q_value is not None and alone.q_value is not None and one.q_value > 2 * alone.q_value


def test_rules_refuse_what_is_not_a_level() -> None:
    with pytest.raises(ConfigError, match=r"alpha is 1\.5; allowed: above 0 and below 1"):
        Rules(alpha=1.5)
    with pytest.raises(ConfigError, match="draws is -1"):
        Rules(draws=-1)


def test_the_same_seed_gives_the_same_findings() -> None:
    pair: tuple[Profile, Profile] = two_spans(6, 2)
    assert compare(*pair, RULES) == compare(*pair, RULES)
    other = compare(*pair, dataclasses.replace(RULES, seed=1))
    assert other != compare(*pair, RULES)
