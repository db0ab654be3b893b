"""StatisticsGen: the executor's files, and the statistics against TFDV's own on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.statistics_gen.config import StatisticsGenConfig
from components.statistics_gen.statistics_io import read_statistics

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="constant"),
        FeatureConfig(name="count", kind="integer"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
        FeatureConfig(name="void"),
    ),
    targets=("temp",),
    interval_s=60,
)


def _table(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    temp = rng.normal(20, 5, rows).astype(np.float32)
    return pa.table(
        {
            "timestamp": np.arange(rows, dtype=np.int64) * 60_000_000,
            "asset": pa.array(np.where(np.arange(rows) < rows // 2, "a-1", "a-2")),
            "temp": pa.array(temp, mask=rng.random(rows) < 0.1),
            "constant": np.full(rows, 3, np.float32),
            "count": rng.poisson(0.5, rows),
            "on": pa.array((rng.random(rows) < 0.2).astype(np.int64), mask=rng.random(rows) < 0.05),
            "mode": pa.array(rng.choice(["sun", "safe"], rows)),
            "void": pa.nulls(rows, pa.float32()),
            "label": (rng.random(rows) < 0.03).astype(np.int64),
        }
    )


def _artifact(kind: Any, uri: Path) -> Any:
    artifact = kind()
    artifact.uri = str(uri)
    return artifact


def _run(root: Path, config: StatisticsGenConfig, splits: dict[str, pa.Table]) -> Any:
    from components.statistics_gen.executor import Executor
    from components.tfx_shim import artifact_utils, standard_artifacts

    for split, table in splits.items():
        split_io.write_split(root / "examples", split, table)
    examples = _artifact(standard_artifacts.Examples, root / "examples")
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    examples.set_string_custom_property("locale", "eu-west")
    examples.set_int_custom_property("span", 7)
    output = _artifact(standard_artifacts.ExampleStatistics, root / "statistics")
    properties = {"config": config.to_exec_property(), "isthmus_version": "0"}
    Executor().Do({"examples": [examples]}, {"statistics": [output]}, properties)
    return output


def _features(statistics: Any) -> dict[str, Any]:
    return {feature.path.step[0]: feature for feature in statistics.datasets[0].features}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    config = StatisticsGenConfig(dataset=DATASET, batch_rows=700)
    splits = {"train": _table(5000, 1), "eval": _table(900, 2), "empty": _table(0, 3)}
    return _run(tmp_path_factory.mktemp("statistics"), config, splits)


def test_files_and_lineage(written: Any) -> None:
    from components.tfx_shim import artifact_utils

    assert artifact_utils.decode_split_names(written.split_names) == ["train", "eval", "empty"]
    files = sorted(str(path.relative_to(written.uri)) for path in Path(written.uri).rglob("*.pb"))
    assert files == [
        f"{folder}/FeatureStats.pb" for folder in ("Split-empty", "Split-eval", "Split-train", "span")
    ]
    assert written.get_string_custom_property("locale") == "eu-west"
    assert written.get_int_custom_property("span") == 7
    statistics = read_statistics(written.uri, "train")
    assert (statistics.datasets[0].name, statistics.datasets[0].num_examples) == ("train", 5000)
    assert read_statistics(written.uri, "empty").datasets[0].num_examples == 0


def test_tfdv_opens_the_file(written: Any) -> None:
    import tensorflow_data_validation as tfdv

    path = split_io.split_path(written.uri, "train") / "FeatureStats.pb"
    view = tfdv.DatasetListView(tfdv.load_stats_binary(str(path))).get_default_slice_or_die()
    assert view.proto().num_examples == 5000
    assert len(tfdv.infer_schema(tfdv.load_stats_binary(str(path))).feature) == len(DATASET.features) + 3


def test_all_null_and_counted_columns(written: Any) -> None:
    found = _features(read_statistics(written.uri, "train"))
    assert found["void"].num_stats.common_stats.num_missing == 5000
    assert found["void"].num_stats.common_stats.num_non_missing == 0
    labels = {b.label: b.sample_count for b in found["on"].string_stats.rank_histogram.buckets}
    table = _table(5000, 1)
    ones = int(np.nansum(table["on"].to_numpy()))
    assert labels == {"0": 5000 - table["on"].null_count - ones, "1": ones}


def test_twice_the_same_bytes(written: Any, tmp_path: Path) -> None:
    again = _run(tmp_path, StatisticsGenConfig(dataset=DATASET, batch_rows=700), {"train": _table(5000, 1)})
    one, two = (split_io.split_path(root, "train") / "FeatureStats.pb" for root in (written.uri, again.uri))
    assert one.read_bytes() == two.read_bytes()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], pd.DataFrame]:
    """Ours in 1,000-row batches, and TFDV's own in one, both without a schema, on the same rows."""
    import tensorflow_data_validation as tfdv

    table = _table(30_000, 5)
    output = _run(tmp_path_factory.mktemp("oracle"), StatisticsGenConfig(batch_rows=1000), {"train": table})
    frame = table.drop(["void"]).to_pandas()
    # pandas turns an integer column with gaps into floats; TFDV would then see another type.
    frame["on"] = frame["on"].astype(object).where(frame["on"].notna(), None)
    frame["on"] = frame["on"].map(lambda value: None if value is None else int(value))
    theirs = tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)
    return _features(read_statistics(output.uri, "train")), _features(theirs), frame


@pytest.mark.parametrize("name", ["timestamp", "temp", "constant", "count"])
def test_numeric_statistics_equal_tfdvs(both: Any, name: str) -> None:
    ours, theirs = both[0][name], both[1][name]
    assert ours.type == theirs.type
    for key in ("num_missing", "num_non_missing", "min_num_values", "max_num_values", "tot_num_values"):
        assert getattr(ours.num_stats.common_stats, key) == getattr(theirs.num_stats.common_stats, key)
    for key in ("min", "max", "num_zeros"):
        assert getattr(ours.num_stats, key) == getattr(theirs.num_stats, key)
    # Moments are merged over 30 batches where TFDV took one: the same but for the order of additions,
    # 30 roundings of 1.1e-16 each; the variance of a time stamp cancels two digits more.
    assert ours.num_stats.mean == pytest.approx(theirs.num_stats.mean, rel=1e-14)
    assert ours.num_stats.std_dev == pytest.approx(theirs.num_stats.std_dev, rel=1e-12)


@pytest.mark.parametrize("name", ["timestamp", "temp", "count"])
def test_histograms_and_quantiles_near_tfdvs(both: Any, name: str) -> None:
    ours, theirs, frame = both[0][name], both[1][name], both[2]
    values = np.sort(frame[name].dropna().to_numpy())
    (standard, quantiles), (standard_theirs, quantiles_theirs) = (
        sorted(side.num_stats.histograms, key=lambda h: h.type) for side in (ours, theirs)
    )
    edges = [(b.low_value, b.high_value) for b in standard.buckets]
    np.testing.assert_allclose(
        edges, [(b.low_value, b.high_value) for b in standard_theirs.buckets], rtol=1e-12
    )
    # TFDV's sketch promises ranks to epsilon = 0.01; the two sides may err in opposite directions.
    counts, counts_theirs = ([b.sample_count for b in h.buckets] for h in (standard, standard_theirs))
    np.testing.assert_allclose(counts, counts_theirs, atol=2 * 0.01 * values.size)
    for bucket, level in zip(quantiles.buckets, np.linspace(0.1, 1, 10)):
        low, high = (
            np.searchsorted(values, bucket.high_value, side=s) / values.size for s in ("left", "right")
        )
        assert low - 0.01 <= level <= high + 0.01
    assert len(quantiles.buckets) == len(quantiles_theirs.buckets)


def test_counts_per_category_equal_tfdvs(both: Any) -> None:
    for name in ("asset", "mode"):
        ours, theirs = both[0][name].string_stats, both[1][name].string_stats
        assert ours.unique == theirs.unique == 2
        assert ours.common_stats.num_non_missing == theirs.common_stats.num_non_missing
        assert ours.rank_histogram == theirs.rank_histogram


def test_merged_shards_are_the_statistics_of_the_union() -> None:
    from components.statistics_gen.tfdv_stats import (
        StatisticsAccumulator,
        accumulate,
        merge_accumulators,
    )

    config = StatisticsGenConfig(dataset=DATASET)
    batches = [split_io.listify_batch(b) for b in _table(4000, 9).drop(["void"]).to_batches(500)]
    whole = _features(accumulate(batches, config).extract())
    shards = [StatisticsAccumulator(config) for _ in range(4)]
    for index, batch in enumerate(batches):
        shards[index % 4].add(batch)
    merged = _features(merge_accumulators(shards).extract())
    for name, one in whole.items():
        other = merged[name]
        assert one.num_stats.common_stats == other.num_stats.common_stats
        assert one.num_stats.mean == pytest.approx(other.num_stats.mean, rel=1e-13)
        assert one.num_stats.std_dev == pytest.approx(other.num_stats.std_dev, rel=1e-11)
        assert one.string_stats.rank_histogram == other.string_stats.rank_histogram


def test_numbers_of_the_proto_are_those_of_the_rows(both: Any) -> None:
    # A third way: pandas in double precision.
    temp = both[2]["temp"].dropna().astype(np.float64)
    ours = both[0]["temp"].num_stats
    assert ours.common_stats.num_non_missing == temp.size
    assert ours.mean == pytest.approx(temp.mean(), rel=1e-13)
    assert ours.std_dev == pytest.approx(temp.std(ddof=0), rel=1e-12)


def test_unreadable_statistics_say_where(tmp_path: Path) -> None:
    from components.errors import DataError

    with pytest.raises(DataError, match="split=train: no statistics at"):
        read_statistics(tmp_path, "train")
    path = split_io.split_path(tmp_path, "train") / "FeatureStats.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(DataError, match="is no statistics file"):
        read_statistics(tmp_path, "train")


def test_component_construction() -> None:
    from components.statistics_gen.component import StatisticsGen
    from components.tfx_shim import Channel, standard_artifacts

    config = StatisticsGenConfig(dataset=DATASET)
    component = StatisticsGen(config, examples=Channel(type=standard_artifacts.Examples)).with_id(
        "StatisticsGen"
    )
    assert StatisticsGenConfig.from_exec_property(component.exec_properties["config"]) == config
    assert component.outputs["statistics"].type is standard_artifacts.ExampleStatistics
    with pytest.raises(TypeError):
        StatisticsGen(config, examples=Channel(type=standard_artifacts.Schema))
