"""The public plan of a data set: bins that every locale and the centre make without looking at a row."""

from __future__ import annotations

from components.dataset import DatasetConfig
from components.drift.core.outward_form import DAY_S
from components.drift.core.planning import public_plan
from components.drift.core.profile import ProfilePlan
from components.errors import ConfigError
from components.schema_gen.curated import curated_schema

#: Bins between the ends of a numeric domain. Not configured: two sketches on different bins say nothing of
#: one another, and a domain is wider than what is seen of it.
BINS = 32


def outward_plan(dataset: DatasetConfig) -> ProfilePlan:
    """The plan that sketches of a data set are on, from the curated schema as the program ships it.

    Raises:
      ConfigError: the data set names no curated schema, there is none of that name, or no feature of it has
        a domain.
    """
    if dataset.schema_name is None:
        raise ConfigError(
            "dataset.schema_name: found none, so that the bins of a sketch could only come from rows; "
            "allowed: the name of a curated schema"
        )
    return public_plan(curated_schema(dataset.schema_name), dataset, bins=BINS, bucket_s=DAY_S)
