"""How DriftMonitor reads the splits of a span: small ones once, large ones as often as it needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from components import split_io
from components.drift.core.building import build_profile
from components.drift.core.merged_reading import merged_profile
from components.drift.core.planning import plan_profile
from components.drift_monitor import spans
from tests.unit.drift.conftest import some_rows, to_table
from tests.unit.drift.test_merged_reading import assert_same_bits, dealt


@pytest.mark.parametrize(("limit", "reads"), [(32 << 20, 1), (0, 2)])
def test_the_profile_is_that_of_the_whole_splits_however_they_are_read(
    dataset, tmp_path: Path, monkeypatch, limit, reads
):
    rows = [row for row in some_rows(900, seed=8) if row["asset"]]
    for name, part in zip(("train", "eval", "holdout"), dealt(rows), strict=True):
        split_io.write_split(tmp_path, name, to_table(part))
    tables = [split_io.read_table(tmp_path, name, dataset=dataset) for name in split_io.list_splits(tmp_path)]
    plan = plan_profile(tables, dataset, random_features=8)
    asked: list[str] = []
    read = split_io.read_batches

    def counted(uri, split, **options):
        asked.append(split)
        return read(uri, split, **options)

    monkeypatch.setattr(spans, "KEPT_BYTES", limit)
    monkeypatch.setattr(split_io, "read_batches", counted)
    found = merged_profile(spans.sources_of(str(tmp_path), dataset), dataset, plan)
    assert_same_bits(found, build_profile(tables, dataset, plan))
    assert sorted(asked) == sorted(["train", "eval", "holdout"] * reads)
