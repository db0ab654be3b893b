"""Completes a schema with what the configuration knows. Pure: proto types, no TFX, no TFDV."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2

from components.dataset import TIMESTAMP, DatasetConfig
from components.errors import ConfigError, list_briefly
from components.monitoring import ComparatorConfig, MonitoringConfig

_TYPES = {
    "continuous": schema_pb2.FLOAT,
    "integer": schema_pb2.INT,
    "binary": schema_pb2.INT,
    "categorical": schema_pb2.BYTES,
}
_NUMERIC = ("continuous", "integer")


def complete_inferred_schema(
    inferred: schema_pb2.Schema,
    dataset: DatasetConfig,
    monitoring: MonitoringConfig,
    absent_columns: tuple[str, ...] = (),
) -> schema_pb2.Schema:
    """A schema from an inferred one: types, domains and presence by kind, comparators by threshold.

    What inference reads into one span (that nothing is missing today, which devices there are) is
    taken back; vocabularies of categorical features are kept.

    Args:
      inferred: TFDV's inference over all splits.
      dataset: The columns.
      monitoring: Thresholds, and the share of rows that must have a value.
      absent_columns: Columns that are not stored.

    Returns:
      A schema with exactly the stored columns of the data set, in its order.
    """
    found = {feature.name: feature for feature in inferred.feature}
    schema = schema_pb2.Schema(string_domain=inferred.string_domain)
    for name, kind, required in _columns(dataset):
        if name in absent_columns:
            continue
        # A series column that is not stored (dropped at the door) comes back all missing.
        stored = name not in dataset.series or name not in found or found[name].presence.min_count > 0
        feature = _add_feature(schema, name, kind, required=required and stored)
        if not required and name in dataset.feature_names() and monitoring.min_presence:
            feature.presence.min_fraction = monitoring.min_presence
        if kind == "categorical" and name in dataset.feature_names() and name in found:
            _copy_vocabulary(found[name], feature)
    _drop_unused_domains(schema)
    set_comparators(schema, dataset, monitoring)
    return schema


def complete_curated_schema(
    curated: schema_pb2.Schema,
    dataset: DatasetConfig,
    monitoring: MonitoringConfig,
    absent_columns: tuple[str, ...] = (),
) -> schema_pb2.Schema:
    """A curated schema restricted to the data set's stored columns, with comparators where it has none.

    Time, series and label kind are a deployment's own; where the curated schema lacks them they are added.

    Args:
      curated: The curated schema.
      dataset: The columns.
      monitoring: Thresholds.
      absent_columns: Columns that are not stored.

    Returns:
      The completed schema.

    Raises:
      ConfigError: the curated schema lacks a feature or the label, has another type for it, or
        carries a comparator that TFDV would silently ignore.
    """
    columns = {name: kind for name, kind, _ in _columns(dataset) if name not in absent_columns}
    required = {name for name, _, row_needs_it in _columns(dataset) if row_needs_it}
    watched = {*dataset.feature_names(), *([dataset.label] if dataset.label else [])}
    schema = schema_pb2.Schema()
    schema.CopyFrom(curated)
    kept = [feature for feature in curated.feature if feature.name in columns]
    missing = sorted(set(columns) - {feature.name for feature in kept})
    if watched & set(missing):
        raise ConfigError(
            f"dataset.schema_name: schema '{dataset.schema_name}' lacks {list_briefly(missing)}. "
            "Add the column there, or leave schema_name out to infer a schema."
        )
    del schema.feature[:]
    schema.feature.extend(kept)
    for name in missing:
        _add_feature(schema, name, columns[name], required=name in required)
    for feature in schema.feature:
        kind = columns[feature.name]
        if feature.type != _TYPES[kind]:
            raise ConfigError(
                f"dataset.schema_name: schema '{dataset.schema_name}' has '{feature.name}' as "
                f"{schema_pb2.FeatureType.Name(feature.type)}, but its kind is {kind} "
                f"({schema_pb2.FeatureType.Name(_TYPES[kind])}). Change one of them."
            )
        if kind == "binary":
            # The statistics count its values; a domain that is not categorical would not be checked.
            _set_binary_domain(feature)
    _drop_unused_domains(schema)
    set_comparators(schema, dataset, monitoring)
    return schema


def set_comparators(schema: schema_pb2.Schema, dataset: DatasetConfig, monitoring: MonitoringConfig) -> None:
    """Sets the drift and skew comparator of every feature and of the label, in place.

    Numeric features get the Jensen-Shannon divergence, counted ones the infinity norm: the other way
    round, TFDV reports nothing and says nothing. A threshold that is already there stays, unless
    `monitoring.features` names the feature.

    Args:
      schema: Changed in place.
      dataset: Kinds of the features.
      monitoring: Thresholds.

    Raises:
      ConfigError: the schema carries a comparator that does not fit the feature's kind.
    """
    watched = {name: kind for name, kind, _ in _columns(dataset)}
    names = {*dataset.feature_names(), *([dataset.label] if dataset.label else [])}
    for feature in schema.feature:
        if feature.name not in names:
            continue
        measure, other = "infinity_norm", "jensen_shannon_divergence"
        if watched[feature.name] in _NUMERIC:
            measure, other = other, measure
        own = monitoring.features.get(feature.name)
        general: ComparatorConfig
        for general, special, comparator in (
            (monitoring.drift, own and own.drift, feature.drift_comparator),
            (monitoring.skew, own and own.skew, feature.skew_comparator),
        ):
            if comparator.HasField(other):
                raise ConfigError(
                    f"schema: feature '{feature.name}' ({watched[feature.name]}) carries the comparator "
                    f"{other}, which TFDV ignores there. Use {measure}."
                )
            if special is not None:
                getattr(comparator, measure).threshold = special
            elif not comparator.HasField(measure):
                getattr(comparator, measure).threshold = getattr(general, measure)


def _columns(dataset: DatasetConfig) -> Iterator[tuple[str, str, bool]]:
    """Name, kind and whether every row must have a value, of each stored column in order."""
    yield TIMESTAMP, "integer", True
    for name in dataset.series:
        yield name, "categorical", True
    for feature in dataset.features:
        yield feature.name, feature.kind, False
    if dataset.label:
        yield dataset.label, "binary", True
    if dataset.label_kind:
        yield dataset.label_kind, "categorical", False


def _add_feature(schema: schema_pb2.Schema, name: str, kind: str, *, required: bool) -> schema_pb2.Feature:
    feature = schema.feature.add(name=name, type=_TYPES[kind])
    feature.value_count.min = feature.value_count.max = 1
    if required:
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
    if kind == "binary":
        _set_binary_domain(feature)
    return feature


def _set_binary_domain(feature: schema_pb2.Feature) -> None:
    feature.int_domain.min, feature.int_domain.max = 0, 1
    feature.int_domain.is_categorical = True


def _copy_vocabulary(source: schema_pb2.Feature, target: schema_pb2.Feature) -> None:
    if source.HasField("domain"):
        target.domain = source.domain
    elif source.HasField("string_domain"):
        target.string_domain.CopyFrom(source.string_domain)


def _drop_unused_domains(schema: schema_pb2.Schema) -> None:
    used = {feature.domain for feature in schema.feature if feature.HasField("domain")}
    kept = [domain for domain in schema.string_domain if domain.name in used]
    del schema.string_domain[:]
    schema.string_domain.extend(kept)
