"""Building a profile: against the definitions row by row, and at every border between groups of rows."""

from __future__ import annotations

import numpy as np
import pytest

from components.drift.core import building, planning
from tests.unit.drift.conftest import some_rows, to_table
from tests.unit.drift.oracle import slow_profile


@pytest.mark.parametrize("group_rows", [1, 7, 100_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_field_is_what_its_definition_says(dataset, monkeypatch, group_rows, shuffled):
    monkeypatch.setattr(building, "GROUP_ROWS", group_rows)
    # Distinct times, since equal ones stay in the order in which they come.
    rows = [{**row, "timestamp": row["timestamp"] + n} for n, row in enumerate(some_rows(300))]
    plan = planning.plan_profile([to_table(rows)], dataset, random_features=8)
    if shuffled:
        rows = [rows[n] for n in np.random.default_rng(1).permutation(len(rows))]
    profile = building.build_profile([to_table(rows)], dataset, plan)
    slow = slow_profile(rows, dataset, plan)
    assert profile.bucket.tolist() == sorted(slow)
    for position, bucket in enumerate(sorted(slow)):
        for name, expected in slow[bucket].items():
            found = getattr(profile, name)[position]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=name)
    assert profile.rows.sum() == len(rows)
    assert profile.longest_still_s.max() > 300
    assert profile.complete.sum() < len(rows)
