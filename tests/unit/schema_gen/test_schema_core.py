"""Schemas: what inference read is corrected by kind; comparators fit the kind; curated files fit."""

from __future__ import annotations

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import ConfigError
from components.monitoring import ComparatorConfig, FeatureThresholds, MonitoringConfig
from components.schema_gen import curated
from components.schema_gen.config import SchemaGenConfig
from components.schema_gen.core import complete_curated_schema, complete_inferred_schema

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    label_kind="kind",
    features=(
        FeatureConfig(name="temp"),
        FeatureConfig(name="count", kind="integer"),
        FeatureConfig(name="on", kind="binary"),
        FeatureConfig(name="mode", kind="categorical"),
    ),
    targets=("temp",),
    interval_s=60,
)
MONITORING = MonitoringConfig(
    drift=ComparatorConfig(jensen_shannon_divergence=0.25, infinity_norm=0.125),
    skew=ComparatorConfig(jensen_shannon_divergence=0.5, infinity_norm=0.375),
    features={"temp": FeatureThresholds(drift=0.75)},
    min_presence=0.5,
)


def _inferred() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for name in ("asset", "mode", "kind"):
        schema.feature.add(name=name, type=schema_pb2.BYTES, domain=name).presence.min_count = 1
        schema.string_domain.add(name=name, value=["a", "b"])
    for name in ("temp", "count", "on", "label", "timestamp", "stray"):
        feature = schema.feature.add(name=name, type=schema_pb2.INT)
        feature.presence.min_fraction = 1.0
    return schema


def test_a_series_column_that_is_all_missing_is_not_required() -> None:
    inferred = schema_pb2.Schema()
    inferred.feature.add(name="asset", type=schema_pb2.BYTES).presence.min_count = 0
    found = _features(complete_inferred_schema(inferred, DATASET, MONITORING))
    assert not found["asset"].HasField("presence")


def _features(schema: schema_pb2.Schema) -> dict[str, schema_pb2.Feature]:
    return {feature.name: feature for feature in schema.feature}


def test_inferred_columns_in_order_with_their_types() -> None:
    schema = complete_inferred_schema(_inferred(), DATASET, MONITORING)
    types = [(f.name, schema_pb2.FeatureType.Name(f.type)) for f in schema.feature]
    assert types == [
        ("timestamp", "INT"),
        ("asset", "BYTES"),
        ("temp", "FLOAT"),
        ("count", "INT"),
        ("on", "INT"),
        ("mode", "BYTES"),
        ("label", "INT"),
        ("kind", "BYTES"),
    ]


def test_inferred_presence_and_domains() -> None:
    schema = complete_inferred_schema(_inferred(), DATASET, MONITORING)
    found = _features(schema)
    assert [f.presence.min_fraction for f in schema.feature] == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 0.0]
    # Devices and anomaly kinds differ from span to span: their vocabularies are taken back.
    assert [domain.name for domain in schema.string_domain] == ["mode"]
    assert found["mode"].domain == "mode" and not found["asset"].HasField("domain")
    for name in ("on", "label"):
        domain = found[name].int_domain
        assert (domain.min, domain.max, domain.is_categorical) == (0, 1, True)
    assert not found["count"].HasField("int_domain")


def test_inline_vocabulary_is_kept() -> None:
    inferred = schema_pb2.Schema()
    inferred.feature.add(name="mode", type=schema_pb2.BYTES).string_domain.value.append("sun")
    found = _features(complete_inferred_schema(inferred, DATASET, MONITORING))
    assert list(found["mode"].string_domain.value) == ["sun"]


def test_absent_columns_are_not_in_the_schema() -> None:
    names = _features(complete_inferred_schema(_inferred(), DATASET, MONITORING, ("asset",)))
    assert "asset" not in names and "temp" in names


def test_comparators_fit_the_kind() -> None:
    found = _features(complete_inferred_schema(_inferred(), DATASET, MONITORING))
    for name, drift in (("temp", 0.75), ("count", 0.25)):
        feature = found[name]
        assert feature.drift_comparator.jensen_shannon_divergence.threshold == drift
        assert feature.skew_comparator.jensen_shannon_divergence.threshold == 0.5
        assert not feature.drift_comparator.HasField("infinity_norm")
    for name in ("on", "mode", "label"):
        feature = found[name]
        assert feature.drift_comparator.infinity_norm.threshold == 0.125
        assert feature.skew_comparator.infinity_norm.threshold == 0.375
        assert not feature.skew_comparator.HasField("jensen_shannon_divergence")
    for name in ("timestamp", "asset", "kind"):
        assert not found[name].HasField("drift_comparator")


def _curated() -> schema_pb2.Schema:
    return complete_inferred_schema(_inferred(), DATASET, MonitoringConfig())


def test_curated_keeps_its_own_comparator_unless_overridden() -> None:
    schema = _curated()
    found = _features(schema)
    found["temp"].drift_comparator.jensen_shannon_divergence.threshold = 0.0625
    found["count"].drift_comparator.jensen_shannon_divergence.threshold = 0.0625
    result = _features(complete_curated_schema(schema, DATASET, MONITORING))
    assert result["temp"].drift_comparator.jensen_shannon_divergence.threshold == 0.75
    assert result["count"].drift_comparator.jensen_shannon_divergence.threshold == 0.0625


def test_curated_refuses_a_comparator_that_tfdv_ignores() -> None:
    schema = _curated()
    feature = _features(schema)["temp"]
    feature.skew_comparator.Clear()
    feature.skew_comparator.infinity_norm.threshold = 0.1
    with pytest.raises(
        ConfigError, match=r"'temp' .continuous. carries the comparator infinity_norm, which TFDV"
    ):
        complete_curated_schema(schema, DATASET, MONITORING)


def test_curated_is_restricted_and_completed() -> None:
    schema = _curated()
    kept = [f for f in schema.feature if f.name not in ("timestamp", "asset", "kind")]
    del schema.feature[:]
    schema.feature.extend(kept)
    schema.feature.add(name="unused", type=schema_pb2.BYTES, domain="unused")
    schema.string_domain.add(name="unused", value=["z"])
    result = complete_curated_schema(schema, DATASET, MONITORING)
    assert sorted(_features(result)) == sorted(_features(_curated()))
    assert [domain.name for domain in result.string_domain] == ["mode"]
    assert _features(result)["asset"].presence.min_fraction == 1.0


def test_curated_that_lacks_a_feature_is_refused() -> None:
    schema = _curated()
    kept = [f for f in schema.feature if f.name != "temp"]
    del schema.feature[:]
    schema.feature.extend(kept)
    with pytest.raises(ConfigError, match=r"lacks temp. Add the column there"):
        complete_curated_schema(schema, DATASET, MONITORING)


def test_curated_of_another_type_is_refused() -> None:
    schema = _curated()
    _features(schema)["temp"].type = schema_pb2.INT
    with pytest.raises(ConfigError, match=r"has 'temp' as INT, but its kind is continuous .FLOAT."):
        complete_curated_schema(schema, DATASET, MONITORING)


def test_thresholds_of_an_unknown_feature_are_refused() -> None:
    with pytest.raises(ValueError, match=r"monitoring.features names 'tmep'"):
        SchemaGenConfig(
            dataset=DATASET, monitoring=MonitoringConfig(features={"tmep": FeatureThresholds(drift=0.1)})
        )


def test_config_round_trip() -> None:
    config = SchemaGenConfig(dataset=DATASET, monitoring=MONITORING, absent_columns=("asset",))
    assert SchemaGenConfig.from_exec_property(config.to_exec_property()) == config


def test_curated_names_and_texts() -> None:
    assert {"simulated_fleet", "smap"} <= set(curated.curated_names())
    for name in curated.curated_names():
        assert len(curated.curated_schema(name).feature) > 2
        assert len(curated.schema_fingerprint(name)) == 64
    assert curated.schema_fingerprint(None) == ""


def test_curated_unknown_name() -> None:
    with pytest.raises(ConfigError, match=r"no curated schema 'smpa' .did you mean 'smap'."):
        curated.schema_text("smpa")


def test_schema_that_does_not_parse() -> None:
    with pytest.raises(ConfigError, match=r"here.pbtxt: 1:1"):
        curated.parse_schema("nonsense {", "here.pbtxt")
    with pytest.raises(ConfigError) as caught:
        curated.parse_schema('feature {\n  name: "a\n b"\n}', "here.pbtxt")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("here.pbtxt: 2:9")
    assert message.endswith(": this is no text form of a Schema. Mend the file, or put it back as it was.")


def test_simulated_fleet_schema_fits_the_simulator() -> None:
    from components.simulator.config import dataset_config
    from components.simulator.presets import default_fleet

    dataset = dataset_config(default_fleet()).model_copy(update={"schema_name": "simulated_fleet"})
    schema = complete_curated_schema(curated.curated_schema("simulated_fleet"), dataset, MonitoringConfig())
    assert len(schema.feature) == len(dataset.features) + 4


def test_smap_schema_fits_the_published_columns() -> None:
    flags = tuple(FeatureConfig(name=f"feature_{i}", kind="binary") for i in range(1, 25))
    dataset = DatasetConfig(
        label="label",
        series=("channel",),
        features=(FeatureConfig(name="feature_0"), *flags),
        targets=("feature_0",),
        interval_s=60,
        schema_name="smap",
    )
    schema = complete_curated_schema(curated.curated_schema("smap"), dataset, MonitoringConfig())
    assert len(schema.feature) == 28
