"""Validation of statistics by TFDV."""

from __future__ import annotations

from typing import TypeAlias

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.errors import InternalError

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList


def validate(
    statistics: Statistics,
    schema: schema_pb2.Schema,
    *,
    previous: Statistics | None = None,
    serving: Statistics | None = None,
) -> anomalies_pb2.Anomalies:
    """TFDV's anomalies of one split: schema, drift against `previous`, skew against `serving`.

    Args:
      statistics: Statistics of the split.
      schema: Expectations and comparators.
      previous: The previous span's statistics of the split; where it lacks a feature, TFDV says so in
        an anomaly of its own.
      serving: The other locale's statistics; likewise.

    Returns:
      Anomalies; `drift_skew_info` holds every measured distance, also those within their threshold.

    Raises:
      InternalError: TFDV fails.
    """
    # TFDV imports TensorFlow: seconds that a caller should not pay for a configuration.
    from tensorflow_data_validation.api import validation_api

    try:
        return validation_api.validate_statistics(
            statistics,
            schema,
            previous_statistics=previous,
            serving_statistics=serving,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise InternalError(f"TFDV cannot validate the statistics: {error}") from error
