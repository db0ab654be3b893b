"""A made-up curated schema for the made-up sensor, and sketches of its rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.drift import public
from components.drift.core import outward
from components.drift.core.building import build_profile
from components.drift.core.outward import OutwardRules, OutwardSketch
from components.drift.core.planning import public_plan
from components.drift.core.profile import Profile
from tests.support.monitoring import DATASET

CURATED = DATASET.model_copy(update={"schema_name": "made_up"})
SCHEMA = text_format.Parse(
    """
    feature { name: "temp" type: FLOAT float_domain { min: -20 max: 60 } }
    feature { name: "on" type: INT int_domain { min: 0 max: 1 } }
    feature { name: "mode" type: BYTES domain: "mode" }
    string_domain { name: "mode" value: "sun" value: "safe" }
    """,
    schema_pb2.Schema(),
)
PLAN = public_plan(SCHEMA, CURATED, bins=32)
DAY_S = 86_400


@pytest.fixture
def curated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up schema is the program's own."""
    monkeypatch.setattr(public, "curated_schema", lambda name: SCHEMA)


def profile(table: pa.Table) -> Profile:
    """On the public plan, by day."""
    return build_profile([table], CURATED, PLAN)


def sketch(table: pa.Table, **rules: object) -> OutwardSketch:
    """Of rows; suppressed, by day, unless `rules` say otherwise."""
    return outward.sketch_of(
        profile(table), OutwardRules.model_validate({"minimum": 5, "period_s": DAY_S, **rules})
    )
