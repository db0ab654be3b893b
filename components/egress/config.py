"""The egress policy of a restricted locale: what may leave its root, and in which form.

The lists themselves (which files, which JSON fields, which fields of the statistics) are in
`components.egress.lists`, in code, so that nobody widens them by a line of configuration. What a locale
decides is how strict it is within them.
"""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig


class EgressConfig(ComponentConfig):
    """What a locale decides about what leaves it.

    Attributes:
      domains: Value domains in the released schema. `curated`: those of the curated schema, which was
        published before any row was seen; `withheld`: none. Domains found in real rows never leave.
      statistics: `synthetic`: the statistics of the released rows go with them; `withheld`: none.
      evaluation: `listed`: the listed fields of the evaluation; `withheld`: the verdicts alone.
      min_supporters: A category that no public list names leaves only if so many real supporters have it; a
        number that fewer real rows have is not repeated digit by digit (which: `components.egress.numbers`).
      supporters: What counts as one: a real training `rows`, or a `series` (device, person) with any.
      rare_categories: What becomes of a category with too few. `other`: its rows say "other" instead;
        `refuse`: nothing is released.
      timestamps: `made`: synthetic rows stand on a regular grid; `real`: they may stand at the times of real
        rows (`generation.grid: real`), gaps included.
      monitoring: `listed`: the listed fields of what monitoring found go with a release (`monitor.json`),
        computed from real rows; `withheld`: nothing of it.
      real_curves: Whether the run's report shows binned curves of the real rows beside the synthetic
        ones. The locale's own report below its root always does.
    """

    domains: Literal["curated", "withheld"] = "curated"
    statistics: Literal["synthetic", "withheld"] = "synthetic"
    evaluation: Literal["listed", "withheld"] = "listed"
    # The minimum frequency rule of official statistics takes 3 to 10 (Hundepool et al. 2012, Statistical
    # Disclosure Control, ch. 5); the upper end, because rows of one device support each other.
    min_supporters: int = pydantic.Field(default=10, ge=1)
    supporters: Literal["rows", "series"] = "rows"
    rare_categories: Literal["other", "refuse"] = "other"
    timestamps: Literal["made", "real"] = "made"
    monitoring: Literal["listed", "withheld"] = "listed"
    # Even binned, they are exact statistics of real rows.
    real_curves: Literal["withheld", "binned"] = "withheld"
