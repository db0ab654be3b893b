"""Schema inference by TFDV."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2


def infer_schema(statistics: Sequence[statistics_pb2.DatasetFeatureStatisticsList]) -> schema_pb2.Schema:
    """TFDV's inference over several splits: the first infers, the others widen.

    Args:
      statistics: Statistics of the splits; one without a row adds nothing.

    Returns:
      The inferred schema; empty where no split has a row.
    """
    # TFDV imports TensorFlow: seconds that a caller should not pay for a curated schema.
    from tensorflow_data_validation.api import validation_api

    schema = schema_pb2.Schema()
    for index, split in enumerate(statistics):
        if index == 0:
            schema = validation_api.infer_schema(split, infer_feature_shape=False)
        else:
            schema = validation_api.update_schema(schema, split, infer_feature_shape=False)
    return schema
