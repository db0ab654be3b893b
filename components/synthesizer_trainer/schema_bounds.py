"""Numeric domains of a TFDV schema."""

from __future__ import annotations

import math
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2


def read_schema(path: Path) -> schema_pb2.Schema:
    """Parses `schema.pbtxt`."""
    return text_format.Parse(path.read_text(), schema_pb2.Schema())


def feature_bounds(path: Path) -> dict[str, tuple[float, float]]:
    """Least and largest value that a schema allows, of every feature with a numeric domain.

    Args:
      path: `schema.pbtxt`.

    Returns:
      Feature name to (low, high); an open side is infinite.
    """
    return schema_feature_bounds(read_schema(path))


def schema_feature_bounds(schema: schema_pb2.Schema) -> dict[str, tuple[float, float]]:
    """As `feature_bounds`, of a parsed schema."""
    bounds = {}
    for feature in schema.feature:
        for kind in ("int_domain", "float_domain"):
            if feature.HasField(kind):
                domain = getattr(feature, kind)
                low = float(domain.min) if domain.HasField("min") else -math.inf
                high = float(domain.max) if domain.HasField("max") else math.inf
                bounds[feature.name] = (low, high)
    return bounds
