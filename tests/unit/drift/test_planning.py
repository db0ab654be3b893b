"""Bins from rows and from the schema, and what odd columns get."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig, FeatureConfig
from components.drift.core import building, fourier, looking, planning, profile_file
from components.drift.core.profile import FeaturePlan
from components.errors import ConfigError
from tests.unit.drift.conftest import some_rows, to_table
from tests.unit.drift.profiles import build, planned

DAY_US = 86_400_000_000


def _numeric(values, bins=32, integer=False):
    return looking.numeric_plan("x", np.asarray(values, float), bins, integer)


def _counts(plan: FeaturePlan, values) -> list[int]:
    return np.bincount(
        building.bin_numbers(np.asarray(values, float), plan.edges), minlength=plan.bins
    ).tolist()


def test_bins_of_many_values_hold_equal_shares():
    values = np.random.default_rng(0).lognormal(size=32_000)
    plan = _numeric(values)
    assert plan.bins == 32 and _counts(plan, values) == [1_000] * 32
    assert plan.center == pytest.approx(np.median(values), rel=1e-3)
    low, high = np.quantile(values, [0.25, 0.75])
    assert plan.scale == pytest.approx((high - low) / 1.349, rel=1e-2)


def test_ties_are_merged_and_their_value_has_its_bin():
    values = np.append(np.zeros(5_000), np.random.default_rng(0).random(5_000) + 1)
    plan = _numeric(values)
    assert plan.bins < 32 and list(plan.edges) == sorted(set(plan.edges))
    assert _counts(plan, values)[0] == 5_000


def test_few_values_get_a_bin_each_and_one_for_what_lies_outside_on_either_side():
    plan = _numeric([1.0, 1.0, 2.0, 4.0])
    assert plan.bins == 5
    assert _counts(plan, [0.5, 1, 1, 2, 4, 5]) == [1, 2, 1, 1, 1]
    # Of neighbouring floats the mean is one of the two: now the lower, now the upper.
    for low in (1.0, np.nextafter(1.0, 2)):
        high = np.nextafter(low, 2)
        assert _counts(_numeric([low, high]), [low, high, 9]) == [0, 1, 1, 1]
    whole = _numeric(np.repeat([0, 1, 2], 9), integer=True)
    assert whole.edges[1:3] == (0.5, 1.5)


def test_whole_numbers_are_divided_between_them():
    plan = _numeric(np.arange(1_000), integer=True)
    assert plan.bins == 32 and all(edge % 1 == 0.5 for edge in plan.edges)


def test_a_constant_is_told_from_anything_else():
    for constant in (0.0, -3.25, 1e300, 1.7976931348623157e308, -1.7976931348623157e308):
        plan = _numeric([constant] * 5)
        with np.errstate(over="ignore"):
            below, above = np.nextafter(constant, -np.inf), np.nextafter(constant, np.inf)
        at = _counts(plan, [constant]).index(1)
        for other in (below, above):
            if np.isfinite(other):
                assert _counts(plan, [other])[at] == 0
        assert plan.center == constant and np.isfinite(plan.scale) and plan.scale > 0


def test_without_a_value_there_is_one_bin_and_no_part_in_the_random_features(dataset):
    rows = [{**row, "level": None, "mode": None} for row in some_rows(60)]
    plan = planned(rows, dataset)
    assert plan.features[0] == FeaturePlan("level", "numeric") and plan.features[3].categories == ()
    assert [feature.bins for feature in plan.features][::3] == [1, 1]
    profile = build(rows, dataset, plan)
    assert (profile.missing[:, 0] == profile.rows).all()
    # The other numeric feature's rows are complete without it.
    assert profile.complete.sum() == sum(row["count"] is not None for row in rows)
    assert fourier.frequencies(plan).shape == (1, 4)


def test_nan_and_infinities_are_no_values_and_are_counted_as_missing(dataset):
    levels = [1.0, 2.0, np.nan, np.inf, -np.inf, None]
    rows = [{**row, "level": levels[n % 6]} for n, row in enumerate(some_rows(60))]
    plan = planned(rows, dataset)
    assert plan.features[0] == planned([r for r in rows if r["level"] in (1.0, 2.0)], dataset).features[0]
    profile = build(rows, dataset, plan)
    assert profile.missing[:, 0].sum() == 40 and profile.counts[:, plan.columns(0)].sum() == 20
    assert np.nanmax(profile.high[:, 0]) == 2 and np.isfinite(profile.sums).all()


def test_no_rows_and_a_single_row_make_a_plan_and_a_profile(dataset, tmp_path):
    for rows in ([], some_rows(60)[10:11]):
        plan = planned(rows, dataset)
        assert plan.bucket_s == 3_600 and len(plan.features) == 4
        profile = build(rows, dataset, plan)
        profile_file.write_profile(tmp_path, profile)
        assert profile_file.read_profile(tmp_path).rows.sum() == len(rows)
        assert profile.pairs.sum() == profile.cadence.sum() == 0
    assert planning.plan_profile([], dataset).random_features == 0


def test_categories_stand_by_frequency_and_the_rest_is_counted_together(dataset):
    rng = np.random.default_rng(0)
    names = [f"m{n:03d}" for n in range(100)]
    chosen = rng.geometric(0.03, 3_000).clip(1, 100) - 1
    rows = [{**row, "mode": names[chosen[n]]} for n, row in enumerate(some_rows(3_000))]
    plan = planned(rows, dataset)
    found = plan.features[3].categories
    counts = np.bincount(chosen, minlength=100)
    assert len(found) == 64 and plan.features[3].bins == 65
    assert [counts[names.index(name)] for name in found] == sorted(counts, reverse=True)[:64]
    other = build(rows, dataset, plan).counts[:, plan.offsets[4] - 1].sum()
    assert other == sum(sorted(counts)[:-64]) > 0


def test_a_binary_feature_has_both_values_whatever_occurs_and_in_whatever_type(dataset):
    rows = [{**row, "on": 1} for row in some_rows(60)]
    plan = planned(rows, dataset)
    assert plan.features[2].categories == ("0", "1")
    whole = build(rows, dataset, plan).counts[:, plan.columns(2)].sum(axis=0).tolist()
    assert whole == [0, 60, 0]
    table = to_table(rows)
    at = table.column_names.index("on")
    for values in (pa.array([1.0, np.nan] * 30), pa.array([True, None] * 30), pa.array(["1", None] * 30)):
        found = building.build_profile([table.set_column(at, "on", values)], dataset, plan)
        assert found.counts[:, plan.columns(2)].sum(axis=0).tolist() == [0, 30, 0]
        assert found.missing[:, 2].sum() == 30


def test_the_sample_is_uniform_over_all_rows_and_repeats(dataset, monkeypatch):
    monkeypatch.setattr(looking, "SAMPLE_ROWS", 500)
    monkeypatch.setattr(planning, "_BATCH_ROWS", 400)
    rows = [{**row, "level": float(n), "on": n % 2} for n, row in enumerate(some_rows(6_000))]
    plan = planned(rows, dataset)
    assert plan == planned(rows, dataset)
    assert plan != planned(rows, dataset, seed=1)
    # The standard error of a share from 500 rows is 0.022 at most.
    shares = np.searchsorted(np.arange(6_000.0), plan.features[0].edges) / 6_000
    np.testing.assert_allclose(shares, np.arange(1, 32) / 32, atol=0.08)
    # Categories are counted over all rows.
    assert set(plan.features[3].categories) == {"sun", "eclipse", ""}


@pytest.mark.parametrize(
    ("days", "bucket_s"),
    [
        (0, 3_600),
        (42, 3_600),
        (43, 7_200),
        (100, 3 * 3_600),
        (400, 12 * 3_600),
        (600, 86_400),
        (3_000, 3 * 86_400),
    ],
)
def test_buckets_are_an_hour_or_what_a_long_span_needs(dataset, days, bucket_s):
    row = some_rows(3)[0]
    rows = [row, {**row, "timestamp": row["timestamp"] + days * DAY_US}]
    plan = planned(rows, dataset)
    assert plan.bucket_s == bucket_s
    assert days * 86_400 / plan.bucket_s <= planning.MAX_BUCKETS
    assert plan.bucket_s % 86_400 == 0 or 86_400 % plan.bucket_s == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bins": 1}, "bins: found 1"),
        ({"bins": 10_000}, "bins: found 10000"),
        ({"bucket_s": 0}, "bucket_s: found 0"),
        ({"bucket_s": 1.5}, "bucket_s: found 1.5"),
        ({"random_features": 7}, "random_features: found 7"),
        ({"random_features": -2}, "random_features: found -2"),
    ],
)
def test_arguments_out_of_range_are_refused(dataset, options, said):
    with pytest.raises(ConfigError, match=f"profile plan: {said}, allowed: "):
        planned(some_rows(9), dataset, **options)


SCHEMA = text_format.Parse(
    """
    feature { name: "level" type: FLOAT float_domain { min: -60 max: 120 } }
    feature { name: "count" type: INT int_domain { min: 0 max: 5 } }
    feature { name: "on" type: INT }
    feature { name: "mode" type: BYTES domain: "mode" }
    string_domain { name: "mode" value: "sun" value: "eclipse" value: "sun" }
    """,
    schema_pb2.Schema(),
)


def test_a_public_plan_comes_from_the_schema_alone(dataset):
    curated = dataset.model_copy(update={"schema_name": "made_up"})
    plan = planning.public_plan(SCHEMA, curated, bins=9)
    level, count, on, mode = plan.features
    assert plan.public and plan.bucket_s == 86_400 and plan.random_features == 0
    assert level.edges[1:] == pytest.approx(np.arange(-40, 121, 20)) and level.bins == 11
    assert _counts(level, [-60.0, -61.0, 120.0, 120.1]) == [1, 1, *[0] * 7, 1, 1]
    assert count.edges == (-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
    assert on.categories == ("0", "1") and mode.categories == ("sun", "eclipse")
    assert not planned(some_rows(9), dataset).public


def test_without_a_public_domain_a_feature_has_no_public_bins(dataset):
    curated = dataset.model_copy(update={"schema_name": "made_up"})
    open_ended = schema_pb2.Schema()
    open_ended.CopyFrom(SCHEMA)
    open_ended.feature[0].float_domain.ClearField("max")
    open_ended.feature[3].ClearField("domain")
    names = [feature.name for feature in planning.public_plan(open_ended, curated).features]
    assert names == ["count", "on"]
    with pytest.raises(ConfigError, match="allowed: the name of a curated schema"):
        planning.public_plan(SCHEMA, dataset)
    with pytest.raises(ConfigError, match="no feature has a domain"):
        planning.public_plan(schema_pb2.Schema(), curated)


def test_random_features_approximate_the_gaussian_kernel_and_hold_outliers():
    dataset = DatasetConfig(
        features=(FeatureConfig(name="a"), FeatureConfig(name="b")), targets=("a",), interval_s=60
    )
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 2)).astype(np.float32)
    points[:3] = [[1e30, -1e30], [20, -20], [40, -40]]
    stamps = np.arange(40) * 3_600_000_000
    table = pa.table({"timestamp": stamps, "a": points[:, 0], "b": points[:, 1]})
    plan = planning.plan_profile([table], dataset, random_features=20_000, seed=5)
    profile = building.build_profile([table], dataset, plan)
    a, b = plan.features
    z = np.column_stack(
        [np.clip((points[:, i].astype(float) - f.center) / f.scale, -8, 8) for i, f in enumerate((a, b))]
    )
    distance = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    # The bandwidth is the square root of the two features that take part.
    kernel = np.exp(-distance / (2 * 2))
    found = profile.random @ profile.random.T
    np.testing.assert_allclose(found, kernel, atol=6 / np.sqrt(20_000))
    assert np.diag(found) == pytest.approx(np.ones(40))
