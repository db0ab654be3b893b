"""The cause of an alert: each row of the stated rule."""

from __future__ import annotations

import pytest

from components.drift.core.cause import Side, beyond_noise, name_cause
from components.drift.core.fault_model import Fault
from components.drift.findings import ALL_FEATURES, Measurement, Null, TimeLine

ALPHA = 0.05
STUCK = Fault(
    "stuck_sensor", "temp_c", "2024-03-07T10:00:00Z", "2024-03-08T10:00:00Z", {"still_s": 9.0}, "x."
)
GAP = Fault("silent_gap", ALL_FEATURES, "2024-03-07T10:00:00Z", "", {"span_share": 0.2}, "y.")
CLOCK = Fault("clock_shift", ALL_FEATURES, "2024-03-07T10:00:00Z", "", {"shift_s": 3600.0}, "z.")


def measured(divergence: float, q_value: float | None = 0.001, noise: float = 0.0) -> tuple[Measurement, ...]:
    """A comparison as `compare` gives it: the test that judges, and distances beside it."""
    alert = q_value is not None and q_value <= ALPHA
    return (
        Measurement(
            measure="anderson_darling",
            value=1.0,
            rule="noise",
            p_value=q_value,
            q_value=q_value,
            verdict="ALERT" if alert else "OK",
        ),
        Measurement(
            measure="jensen_shannon_divergence",
            value=divergence,
            p_value=q_value,
            null=Null(mean=noise, limit=2 * noise, draws=99, blocks=9, block_s=3600.0),
        ),
    )


def named(comparison, measurements, *sides: Side, feature: str = "temp_c", **options) -> str:
    return name_cause(comparison, feature, measurements, sides, alpha=ALPHA, **options).name


def test_a_fault_of_the_feature_is_named_with_its_times_and_place() -> None:
    for comparison in ("drift", "generator", "serving"):
        cause = name_cause(comparison, "temp_c", measured(0.3), [Side("aa", (STUCK,))], alpha=ALPHA)
        assert (cause.name, cause.begin, cause.end) == ("stuck_sensor", STUCK.begin, STUCK.end)
        assert cause.words == "aa: x." and cause.evidence == {"still_s": 9.0}
    assert named("skew", measured(0.3), Side("aa"), Side("bb", (STUCK,))) == "stuck_sensor"


def test_a_fault_of_another_feature_explains_the_alert_of_all_but_not_of_this_one() -> None:
    side = Side("aa", (STUCK,))
    assert named("drift", measured(0.3), side, feature="flow") == "drift_in_time"
    assert named("drift", measured(0.3), side, feature=ALL_FEATURES) == "stuck_sensor"


def test_the_features_own_fault_goes_before_one_of_all() -> None:
    assert named("drift", measured(0.3), Side("aa", (CLOCK, GAP, STUCK))) == "stuck_sensor"


@pytest.mark.parametrize("fault", [GAP, CLOCK])
def test_a_fault_of_all_features_explains_only_as_much_as_it_can(fault) -> None:
    for distance, cause in ((0.15, fault.name), (0.6, "drift_in_time")):
        apart = Measurement(measure="kolmogorov_smirnov", value=distance, p_value=0.001)
        assert named("drift", (*measured(0.3), apart), Side("aa", (fault,))) == cause


def test_over_a_number_yet_within_noise_is_sampling_noise() -> None:
    over = Measurement(
        measure="jensen_shannon_divergence",
        value=0.3,
        threshold=0.2,
        rule="number",
        p_value=0.4,
        verdict="ALERT",
    )
    for comparison in ("drift", "generator", "skew", "serving"):
        assert named(comparison, (over,), Side("aa"), Side("bb")) == "sampling_noise"
    surely = over.model_copy(update={"p_value": 0.001})
    assert named("drift", (surely,), Side("aa")) == "drift_in_time"
    # The judge of the family has the last word over a single p-value.
    judge = measured(0.3, q_value=0.3)[0]
    assert named("drift", (surely, judge), Side("aa")) == "sampling_noise"


def test_what_counts_as_beyond_noise() -> None:
    bare = Measurement(measure="wasserstein", value=3.0, threshold=2.0, rule="number", verdict="ALERT")
    null = Null(mean=1.0, limit=4.0, draws=9, blocks=9, block_s=60.0)
    assert beyond_noise([bare], ALPHA)
    assert not beyond_noise([bare.model_copy(update={"null": null})], ALPHA)
    assert not beyond_noise([bare.model_copy(update={"value": None})], ALPHA)
    assert not beyond_noise([], ALPHA)
    schema = Measurement(measure="schema", value=1.0, threshold=0.0, rule="number", verdict="ALERT")
    assert beyond_noise([schema, *measured(0.1, q_value=0.9)], ALPHA)


def test_drift_and_generator_without_a_fault() -> None:
    assert named("drift", measured(0.3), Side("aa")) == "drift_in_time"
    assert named("generator", measured(0.3), Side("aa", drift=measured(0.5))) == "generator_error"


def test_a_drift_begins_at_its_first_change_point() -> None:
    times = ("2024-03-07T00:00:00Z", "2024-03-07T01:00:00Z", "2024-03-07T02:00:00Z")
    line = TimeLine(
        begin=times, bucket_s=3600.0, measure="wasserstein", value=(0.0, 1.0, 1.0), change_points=(1,)
    )

    def drift(line):
        extent = times[0], "2024-03-07T03:00:00Z"
        return name_cause(
            "drift", "temp_c", measured(0.3), [Side("aa")], alpha=ALPHA, time_line=line, extent=extent
        )

    assert (drift(line).begin, drift(line).end) == (times[1], "2024-03-07T03:00:00Z")
    # One that was there from the beginning begins with the span.
    whole = line.model_copy(update={"change_points": ()})
    assert drift(whole).begin == drift(None).begin == times[0]


@pytest.mark.parametrize(
    ("generator", "drift", "before", "cause"),
    [
        (0.0, 0.0, 0.0, "real_regional_difference"),
        (0.28, 0.0, 0.0, "generator_error"),
        (0.10, 0.0, 0.0, "real_regional_difference"),
        (0.0, 0.28, 0.0, "drift_in_time"),
        (0.0, 0.10, 0.0, "real_regional_difference"),
        (0.0, 0.28, 0.29, "real_regional_difference"),
        (0.20, 0.28, 0.0, "drift_in_time"),
        (0.28, 0.20, 0.0, "generator_error"),
    ],
)
def test_a_skew_is_what_explains_most_of_it(generator, drift, before, cause) -> None:
    side = Side("bb", generator=measured(generator), drift=measured(drift))
    assert named("skew", measured(0.3), Side("aa"), side, before=measured(before)) == cause
    assert named("skew", measured(0.3), side, Side("aa"), before=measured(before)) == cause


def test_a_related_distance_within_its_noise_explains_nothing() -> None:
    side = Side("bb", generator=measured(0.28, q_value=0.4), drift=measured(0.28, q_value=0.4))
    assert named("skew", measured(0.3), Side("aa"), side) == "real_regional_difference"
    # Nor does what noise alone gives on average.
    side = Side("bb", generator=measured(0.28, noise=0.2))
    assert named("skew", measured(0.3), Side("aa"), side) == "real_regional_difference"


def test_serving_is_the_generators_error_where_that_is_most_of_it() -> None:
    assert named("serving", measured(0.3), Side("aa", generator=measured(0.25))) == "generator_error"
    assert named("serving", measured(0.3), Side("aa", generator=measured(0.05))) == "drift_in_time"
    assert named("serving", measured(0.3), Side("aa")) == "drift_in_time"


def test_a_related_comparison_without_a_common_measure_explains_nothing() -> None:
    other = (Measurement(measure="chi_squared", value=9.0, q_value=0.001, verdict="ALERT"),)
    assert named("skew", measured(0.3), Side("aa", generator=other), Side("bb")) == "real_regional_difference"
