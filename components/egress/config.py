"""The egress policy of a restricted locale: what may leave its root, and in which form.

The lists themselves (which files, which JSON fields, which fields of the statistics) are in
`components.egress.lists`, in code, so that nobody widens them by a line of configuration. What a locale
decides is how strict it is within them.
"""

from __future__ import annotations

import datetime
from typing import Any, Final, Literal

import pydantic

from components.config_base import ComponentConfig
from components.drift.core.outward_form import DAY_S, MAX_PERIODS, NoiseRules, OutwardRules


class SketchConfig(ComponentConfig):
    """Whether a sketch of the real rows goes with a release (`sketch.json`), and how little it tells.

    Attributes:
      mode: `withheld`: none. `suppressed`: counts on public bins, small ones hidden and the others rounded
        down. `noised`: with Gaussian noise, paid for from the locale's budget.
      minimum: Smallest count that leaves; suppressed counts are rounded down to its multiples.
      top_categories: So many bins of a categorical feature, the largest, may leave.
      period_days: Length of a period, which counts are summed over; None: one period for everything.
      begin, end: Days in UTC, the second not among them: what lies outside is not counted. Needed for noise.
      noise: Of the mode `noised`: what one sketch costs whom.
    """

    mode: Literal["withheld", "suppressed", "noised"] = "withheld"
    minimum: int = pydantic.Field(default=20, ge=5)
    top_categories: int = pydantic.Field(default=20, ge=1)
    period_days: int | None = pydantic.Field(default=1, ge=1, le=3650)
    begin: datetime.date | None = None
    end: datetime.date | None = None
    noise: NoiseRules | None = None

    @pydantic.model_validator(mode="after")
    def _check_together(self) -> SketchConfig:
        given = sorted(self.model_fields_set - {"mode"})
        if self.mode == "withheld" and any(getattr(self, key) != getattr(WITHHELD, key) for key in given):
            raise ValueError(f"found {given[0]} with mode withheld; allowed: mode: suppressed, or noised")
        if (self.mode == "noised") != (self.noise is not None):
            found = "no noise" if self.noise is None else "noise"
            raise ValueError(
                f"found {found} with mode {self.mode}; allowed: mode: noised with noise: {{epsilon: .., "
                "delta: ..}, the others without"
            )
        if (self.begin is None) != (self.end is None):
            raise ValueError("found one of begin and end; allowed: both, or neither")
        if self.begin is not None and self.end is not None and self.begin >= self.end:
            raise ValueError(f"begin {self.begin} is not before end {self.end}")
        if self.mode == "noised" and self.begin is None:
            raise ValueError(
                "found no begin and end with mode noised; allowed: the days that are counted, declared "
                "before the rows are seen, since which days have rows is told otherwise"
            )
        if self.begin is not None and self.end is not None and self.period_days is not None:
            count = -(-(self.end - self.begin).days // self.period_days)
            if count > MAX_PERIODS:
                raise ValueError(f"period_days: {count} periods; allowed: {MAX_PERIODS}, so longer ones")
        return self

    def rules(self) -> OutwardRules | None:
        """What the sketch is made by; None where there is none."""
        if self.mode == "withheld":
            return None
        begin, end = (None if day is None else day.toordinal() - _EPOCH for day in (self.begin, self.end))
        return OutwardRules(
            minimum=self.minimum,
            top_categories=self.top_categories,
            period_s=None if self.period_days is None else self.period_days * DAY_S,
            begin_s=None if begin is None else begin * DAY_S,
            end_s=None if end is None else end * DAY_S,
            noise=self.noise,
        )


#: Ordinal of 1 January 1970.
_EPOCH: Final = 719_163
WITHHELD: Final = SketchConfig.model_construct()


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
      sketch: Whether counts of the real rows go with a release, for the comparison of locales.
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
    sketch: SketchConfig = SketchConfig()

    @pydantic.model_validator(mode="after")
    def _check_sketch(self) -> EgressConfig:
        if self.sketch.mode == "suppressed" and self.supporters == "series":
            raise ValueError(
                "found sketch.mode suppressed, whose minimum counts rows, with supporters: series; allowed: "
                "supporters: rows, or sketch: {mode: withheld}"
            )
        if self.sketch.mode != "withheld" and self.sketch.minimum < self.min_supporters:
            raise ValueError(
                f"found sketch.minimum {self.sketch.minimum}, less than min_supporters "
                f"{self.min_supporters}; allowed: at least as many"
            )
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_nothing(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Locales that release no sketch keep the form, and so the cached work, that they had."""
        found: dict[str, Any] = handler(self)
        if self.sketch.mode == "withheld":
            del found["sketch"]
        return found

    def without_sketch(self) -> EgressConfig:
        """The policy for components that need no sketch: a change of it repeats none of their work."""
        return self.model_copy(update={"sketch": SketchConfig()})
