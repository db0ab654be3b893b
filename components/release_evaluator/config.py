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


def _privacy_checks() -> tuple[GateCheck, ...]:
    checks = []
    for unit in ("rows", "windows"):
        checks += [
            GateCheck(
                metric=f"exact_copy_excess_{unit}",
                rule="max",
                threshold=0.005,
                reason="equal distinctive records do not happen by chance; 1 in 200 leaves room for sensors "
                "with few levels",
            ),
            GateCheck(
                metric=f"membership_auc_{unit}",
                rule="max",
                threshold=0.60,
                reason="guessing is 0.5; a release that copies every fifth train record reaches 0.6",
            ),
            GateCheck(
                metric=f"membership_auc_{unit}",
                of="high",
                rule="max",
                threshold=0.70,
                reason="too few records or blocks to exclude a strong attack is a refusal, not a pass",
            ),
            GateCheck(
                metric=f"membership_calibrated_auc_{unit}",
                rule="max",
                threshold=0.60,
                reason="as membership_auc, for the attack that knows how common a record is",
            ),
            GateCheck(
                metric=f"dcr_share_{unit}",
                rule="max",
                threshold=0.60,
                reason="0.5 without a trace of train; three of five nearer to train is one",
            ),
        ]
    checks += [
        GateCheck(
            metric="replay_excess_windows",
            rule="max",
            threshold=0.05,
            reason="one train window in twenty met closely, beyond what holdout is, is memory",
        ),
        GateCheck(
            metric="near_copy_excess_windows",
            rule="max",
            threshold=0.05,
            reason="one synthetic window in twenty that follows a train window closely is a replay",
        ),
        GateCheck(
            metric="rare_window_replay_excess",
            rule="max",
            threshold=0.10,
            reason="labelled windows are few and telling; one event of ten replayed is too many",
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
        default_factory=lambda: _fidelity_checks() + _privacy_checks(), min_length=1
    )

    def with_thresholds(self, thresholds: dict[str, float]) -> GateConfig:
        """The same gate with other thresholds for the value rules of the named metrics.

        Raises:
          ValueError: a metric has no value rule in this gate.
        """
        gated = {check.metric for check in self.checks if check.of == "value"}
        for name in thresholds:
            if name not in gated:
                raise ValueError(f"no rule on the value of '{name}'{nearest_name(name, gated)}")
        return GateConfig(
            checks=tuple(
                check.model_copy(update={"threshold": thresholds[check.metric]})
                if check.of == "value" and check.metric in thresholds
                else check
                for check in self.checks
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
    # the usual number for percentile intervals at 95 %
    bootstrap_samples: int = pydantic.Field(default=400, ge=100)
    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1)
    seed: int = pydantic.Field(default=20, ge=0)
