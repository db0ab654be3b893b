"""Typed configuration of ReleaseEvaluator: what is measured, and the gate."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.errors import nearest_name
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


def privacy_checks() -> tuple[GateCheck, ...]:
    """The default gate's rules on privacy; a restricted locale's gate has a rule on one of their metrics."""
    checks = []
    for unit in ("rows", "windows"):
        checks += [
            GateCheck(
                metric=f"exact_copy_excess_{unit}",
                of="low",
                rule="max",
                threshold=0.01,
                reason="copies of distinctive train records, beyond what holdout explains: 1 in 100 leaves "
                "room for one block that happens to come again",
            ),
            GateCheck(
                metric=f"dcr_share_{unit}",
                of="low",
                rule="max",
                threshold=0.55,
                reason="0.5 without a trace of train; the whole interval above 0.55 is evidence of one",
            ),
        ]
        for attack in ("membership_auc", "membership_calibrated_auc"):
            checks += [
                GateCheck(
                    metric=f"{attack}_{unit}",
                    of="low",
                    rule="max",
                    threshold=0.55,
                    reason="guessing is 0.5; the whole interval above 0.55 is evidence of a leak",
                ),
                GateCheck(
                    metric=f"{attack}_{unit}",
                    of="high",
                    rule="max",
                    threshold=0.75,
                    reason="too few records or blocks to exclude an attack at 0.75 is a refusal, not a pass",
                ),
            ]
    checks += [
        GateCheck(
            metric="replay_excess_windows",
            of="low",
            rule="max",
            threshold=0.02,
            reason="one train window in fifty met closely, beyond what holdout is, is memory",
        ),
        GateCheck(
            metric="near_copy_excess_windows",
            of="low",
            rule="max",
            threshold=0.02,
            reason="one synthetic window in fifty that follows a train window closely is a replay",
        ),
        GateCheck(
            metric="rare_window_replay_excess",
            of="low",
            rule="max",
            threshold=0.10,
            reason="labelled windows are few and telling: more than one in ten replayed is memory",
        ),
    ]
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


class GateConfig(ComponentConfig):
    """The rules that a release must all pass. An empty gate is refused.

    Attributes:
      checks: The rules.
    """

    checks: tuple[GateCheck, ...] = pydantic.Field(
        default_factory=lambda: _fidelity_checks() + privacy_checks(), min_length=1
    )

    def with_thresholds(self, thresholds: dict[str, float]) -> GateConfig:
        """The same gate with other thresholds.

        Args:
          thresholds: By `metric` for the rule on its value, by `metric.low` or `metric.high` for those
            on the bounds of its interval.

        Raises:
          ValueError: this gate has no such rule.
        """
        keys = [check.metric + ("" if check.of == "value" else f".{check.of}") for check in self.checks]
        for name in thresholds:
            if name not in keys:
                raise ValueError(f"the gate has no rule '{name}'{nearest_name(name, keys)}")
        return GateConfig(
            checks=tuple(
                check.model_copy(update={"threshold": thresholds.get(key, check.threshold)})
                for key, check in zip(keys, self.checks)
            )
        )


class ReleaseEvaluatorConfig(ComponentConfig):
    """What ReleaseEvaluator measures.

    Attributes:
      dataset: The columns.
      gate: The rules of the verdict.
      window_rows: Rows of a window, for the attacks on sequences.
      max_records: Records per side that the distance attacks ask about.
      max_candidates: Records per side that are searched for the nearest.
      bootstrap_samples: Draws of each bootstrap.
      confidence: Two-sided level of every interval.
      seed: Seed of all subsampling.
    """

    dataset: DatasetConfig
    gate: GateConfig = GateConfig()
    # long enough that windows of independent noise never meet by chance, short enough for gappy series
    window_rows: int = pydantic.Field(default=12, ge=3, le=256)
    # the standard error of an AUC from 2 x 2,000 independent records is 0.009
    max_records: int = pydantic.Field(default=2_000, ge=200)
    # about 2 s of one core at 12 x 8 numbers per window
    max_candidates: int = pydantic.Field(default=40_000, ge=1_000)
    # 1 % of 1,000 draws in the tails
    bootstrap_samples: int = pydantic.Field(default=1_000, ge=100)
    # a gate has about ten rules on bounds: at 99 % they hold together about nine times in ten for a release
    # that lies on the thresholds, and an honest one lies well inside
    confidence: float = pydantic.Field(default=0.99, gt=0.5, lt=1)
    seed: int = pydantic.Field(default=20, ge=0)
