"""Typed configuration of ReleaseEvaluator: what is measured, and the gate. Reasons are in `docs/gate.md`."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.errors import list_briefly, nearest_name
from components.release_evaluator.core.catalogue import METRICS


class GateCheck(ComponentConfig):
    """One rule: a metric, or a bound of its interval, against a threshold.

    Attributes:
      metric: Name of a metric (`core.catalogue.METRICS`).
      of: `value`, or the `low` or `high` bound of its interval. `max` on `high` demands certainty that
        there is no leak, so too few records fail it; `max` on `low` fails only on evidence of one.
      rule: `max`: passes at or below the threshold; `min`: at or above.
      threshold: In the metric's unit.
      reason: Why this threshold.
    """

    metric: str
    of: Literal["value", "low", "high"] = "value"
    rule: Literal["max", "min"]
    threshold: float
    reason: str = ""

    @pydantic.field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"no metric '{value}'{nearest_name(value, METRICS)}")
        return value

    @property
    def key(self) -> str:
        """`metric`, `metric.low` or `metric.high`, as `GateConfig.thresholds` names it."""
        return self.metric + ("" if self.of == "value" else f".{self.of}")


#: (metric, upper bound of what is evidence of a leak, upper bound of what must be excluded, reason).
#: The first is compared with the low bound of the interval, the second with the high bound.
_EVIDENCE = "the whole interval above it is evidence of a leak"
_RISKS: tuple[tuple[str, float, float, str], ...] = (
    (
        "exact_copy_risk_{unit}",
        0.01,
        0.05,
        "copies of distinctive records: one block that comes again is let pass",
    ),
    (
        "near_copy_risk_{unit}",
        0.02,
        0.10,
        "one synthetic record in fifty that follows a train record is a replay",
    ),
    (
        "replay_risk_{unit}",
        0.02,
        0.10,
        "one train record in fifty met closely, beyond what holdout is, is memory",
    ),
    ("membership_distance_risk_{unit}", 0.10, 0.60, "AUC 0.55, and 0.8 to exclude"),
    ("membership_relative_risk_{unit}", 0.10, 0.60, "AUC 0.55, and 0.8 to exclude"),
    ("membership_density_risk_{unit}", 0.10, 0.60, "AUC 0.55, and 0.8 to exclude"),
    ("membership_trained_risk_{unit}", 0.10, 0.60, "AUC 0.55, and 0.8 to exclude"),
    ("shape_replay_risk", 0.02, 0.25, "as replay_risk_windows; periodic telemetry repeats its shapes"),
    ("rare_window_replay_risk", 0.10, 0.70, "labelled windows are few and telling: one in ten is memory"),
    ("attribute_inference_risk", 0.05, 0.35, "one guess in twenty that only a member's row allows"),
    ("singling_out_univariate_risk", 0.02, 0.35, "one value in fifty that points at a member"),
    ("singling_out_multivariate_risk", 0.05, 0.35, "one predicate in twenty that points at a member"),
    ("linkability_risk", 0.05, 0.25, "one member in twenty whose halves meet"),
    ("release_linkability_risk", 0.05, 0.25, "one member in twenty that both releases hold"),
    ("rare_value_risk", 0.05, 0.50, "one rare value in twenty that only its own block explains"),
)


def privacy_checks() -> tuple[GateCheck, ...]:
    """The default gate's rules on privacy; a restricted locale's gate has a rule on one of their metrics."""
    checks = []
    for stem, evidence, excluded, reason in _RISKS:
        units = ("rows", "windows") if "{unit}" in stem else ("",)
        for unit in units:
            metric = stem.format(unit=unit)
            checks.append(
                GateCheck(
                    metric=metric, of="low", rule="max", threshold=evidence, reason=f"{_EVIDENCE}: {reason}"
                )
            )
            checks.append(
                GateCheck(
                    metric=metric,
                    of="high",
                    rule="max",
                    threshold=excluded,
                    reason="a leak above it must be excluded, or it is refused",
                )
            )
    for unit in ("rows", "windows"):
        checks.append(
            GateCheck(
                metric=f"dcr_share_{unit}",
                of="low",
                rule="max",
                threshold=0.55,
                reason="0.5 without a trace of train; evidence only, for it proves no absence",
            )
        )
        checks.append(
            GateCheck(
                metric=f"holdout_exposure_{unit}",
                of="low",
                rule="max",
                threshold=0.02,
                reason="a release that knows holdout has no control: nothing can be said of it",
            )
        )
        checks.append(
            GateCheck(
                metric=f"membership_relative_risk_{unit}",
                of="high",
                rule="min",
                threshold=-0.15,
                reason="a release nearer to holdout than to train has seen holdout, its own control",
            )
        )
    checks.append(
        GateCheck(
            metric="attribute_inference_worst_risk",
            of="low",
            rule="max",
            threshold=0.10,
            reason="a column by itself: one guess in ten; single columns are too noisy to exclude less",
        )
    )
    checks.append(
        GateCheck(
            metric="rare_category_exposure",
            rule="max",
            threshold=0,
            reason="a category that few blocks hold can only be repeated, not invented",
        )
    )
    return tuple(checks)


def _fidelity_checks() -> tuple[GateCheck, ...]:
    why = "below this the release misleads who trains on it; loose, for privacy is what the gate protects"
    collapse = "a collapsed generator repeats a few records, which may be real ones"
    return (
        GateCheck(metric="marginal_fidelity", rule="min", threshold=0.70, reason=why),
        GateCheck(metric="pairwise_fidelity", rule="min", threshold=0.70, reason=why),
        GateCheck(metric="spread_ratio", rule="min", threshold=0.5, reason=collapse),
        GateCheck(metric="window_diversity", rule="min", threshold=0.2, reason=collapse),
    )


class AttackConfig(ComponentConfig):
    """How the attacks work.

    Attributes:
      window_rows: Rows of a window, for the attacks on sequences.
      max_records: Records per side that the distance attacks ask about.
      max_candidates: Records per side that are searched for the nearest.
      bootstrap_samples: Draws of each bootstrap.
      confidence: Two-sided level of every interval.
      secrets: Columns that attribute inference goes for; empty: all that vary, each in turn.
      rare_supporters: A value or category that fewer time blocks of train hold is rare.
      public_categories: Categories of a feature that are public knowledge, beside those that a curated schema
        names: their presence in a release exposes nobody.
    """

    # long enough that windows of independent noise never meet by chance, short enough for gappy series
    window_rows: int = pydantic.Field(default=12, ge=3, le=256)
    # the standard error of an AUC from 2 x 2,000 independent records is 0.009
    max_records: int = pydantic.Field(default=2_000, ge=200)
    # about half a second of one core per search at 12 x 8 numbers per window
    max_candidates: int = pydantic.Field(default=40_000, ge=1_000)
    # 1 % of 1,000 draws in the tails
    bootstrap_samples: int = pydantic.Field(default=1_000, ge=100)
    # a gate has some forty rules on bounds; a release without a leak lies well inside most of them.
    # docs/gate.md has the measured rate of false refusals
    confidence: float = pydantic.Field(default=0.99, gt=0.5, lt=1)
    secrets: tuple[str, ...] = ()
    # k of k-anonymity as practice has it (Sweeney 2002; five is the usual minimum cell of statistics offices)
    rare_supporters: int = pydantic.Field(default=5, ge=2)
    public_categories: dict[str, tuple[str, ...]] = {}


class GateConfig(ComponentConfig):
    """The rules that a release must all pass. An empty gate is refused.

    Attributes:
      checks: The rules.
      thresholds: Other thresholds for some of them: by `metric` for the rule on its value, by `metric.low` or
        `metric.high` for those on the bounds of its interval.
      attacks: How the attacks work.
    """

    checks: tuple[GateCheck, ...] = pydantic.Field(
        default_factory=lambda: _fidelity_checks() + privacy_checks(), min_length=1
    )
    thresholds: dict[str, float] = {}
    attacks: AttackConfig = AttackConfig()

    @pydantic.model_validator(mode="after")
    def _known_thresholds(self) -> GateConfig:
        keys = [check.key for check in self.checks]
        for name in self.thresholds:
            if name not in keys:
                raise ValueError(f"the gate has no rule '{name}'{nearest_name(name, keys)}")
        return self

    def rules(self) -> tuple[GateCheck, ...]:
        """The rules with their final thresholds.

        A metric with a `max` and a `min` rule on one bound has its `max` rule changed by `thresholds`.
        """
        return tuple(
            check.model_copy(update={"threshold": self.thresholds[check.key]})
            if check.key in self.thresholds and not (check.rule == "min" and self._doubled(check))
            else check
            for check in self.checks
        )

    def _doubled(self, check: GateCheck) -> bool:
        return sum(other.key == check.key for other in self.checks) > 1


class ReleaseEvaluatorConfig(ComponentConfig):
    """What ReleaseEvaluator measures.

    Attributes:
      dataset: The columns.
      gate: The rules of the verdict, and how the attacks work.
      seed: Seed of all subsampling.
      previous_synthetic_uri: Synthetic Examples of the locale's previous release; empty where there is none.
      previous_fingerprint: Digest of their files, so that a cache never compares with others.
    """

    dataset: DatasetConfig
    gate: GateConfig = GateConfig()
    seed: int = pydantic.Field(default=20, ge=0)
    previous_synthetic_uri: str = ""
    previous_fingerprint: str = ""

    @pydantic.model_validator(mode="after")
    def _known_secrets(self) -> ReleaseEvaluatorConfig:
        names = self.dataset.feature_names()
        for name in self.gate.attacks.secrets:
            if name not in names:
                raise ValueError(
                    f"gate.attacks.secrets: found '{name}'{nearest_name(name, names)}; allowed: "
                    f"{list_briefly(names, limit=20)}"
                )
        return self
