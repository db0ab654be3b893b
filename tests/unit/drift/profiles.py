"""What the tests of profiles share: comparing two, and building one of rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from components.dataset import DatasetConfig
from components.drift.core import building, planning
from components.drift.core.profile import Profile, ProfilePlan
from tests.unit.drift.conftest import to_table

#: Sums of floating-point numbers: equal but for rounding.
ROUNDED = ("sums", "random")


def assert_equal(one: Profile, other: Profile) -> None:
    assert one.plan == other.plan
    for field in dataclasses.fields(one):
        if field.name == "plan":
            continue
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert first.shape == second.shape and first.dtype == second.dtype, field.name
        if field.name in ROUNDED:
            np.testing.assert_allclose(first, second, rtol=1e-11, atol=1e-9, err_msg=field.name)
        else:
            np.testing.assert_array_equal(first, second, err_msg=field.name)


def build(rows: list[dict[str, Any]], dataset: DatasetConfig, plan: ProfilePlan) -> Profile:
    return building.build_profile([to_table(rows)], dataset, plan)


def planned(rows: list[dict[str, Any]], dataset: DatasetConfig, **options: Any) -> ProfilePlan:
    return planning.plan_profile([to_table(rows)], dataset, **{"random_features": 8, **options})
