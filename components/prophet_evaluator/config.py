"""Configuration of ProphetEvaluator: what is trained, how it is judged, what blesses it."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.fairness.config import FairnessConfig

ScenarioName = Literal["No sharing", "Naive synthetic", "Isthmus", "Ideal"]
#: The order in which scenarios are trained, tabulated and plotted.
SCENARIOS: tuple[ScenarioName, ...] = ("No sharing", "Naive synthetic", "Isthmus", "Ideal")

DetectorName = Literal["interval", "classifier"]
Level = Literal["series", "locale", "pooled"]


class SeasonalityConfig(ComponentConfig):
    """A cycle that Prophet does not know by itself (an orbit, a shift).

    Attributes:
      name: Name inside Prophet.
      period_s: Length of one cycle, in seconds.
      fourier_order: Number of sine and cosine pairs.
    """

    name: str = pydantic.Field(min_length=1)
    period_s: float = pydantic.Field(gt=0)
    # Prophet's own order for its daily cycle.
    fourier_order: int = pydantic.Field(default=4, ge=1, le=50)


class IntervalDetectorConfig(ComponentConfig):
    """The Prophet interval.

    Attributes:
      mode: `tutorial`: flags `y > yhat_upper` on raw values, Prophet's defaults with
        `daily_seasonality=True`. `calibrated`: two-sided, series aligned by median and spread, the
        threshold calibrated on training rows.
      level: Finest level at which a model is fitted; a test series without training rows at its
        level falls back to its locale, then to the pool of all locales.
      interval_width: Nominal coverage of the drawn interval.
      growth: Prophet's trend in `calibrated` mode.
      n_changepoints: Potential trend changes in `calibrated` mode.
      seasonalities: Further cycles, added in `calibrated` mode.
      detect_cycle: Also add the strongest cycle shorter than a day that training rows show.
      threshold: How the calibrated threshold is picked: conformal quantile of normal training rows
        (`false_positive_rate`) or best F1 on labelled training rows, out of fold (`best_f1`; falls
        back to the quantile where too few events are labelled).
      target_false_positive_rate: For `false_positive_rate`.
      smooth_rows: Rows of the centred rolling mean over the signed residual before it is judged.
      exclude_labelled: Leave rows labelled 1 out of the fit.
    """

    mode: Literal["tutorial", "calibrated"] = "calibrated"
    # Synthetic sessions carry no series identity, so `locale` is the finest level at which what was
    # released and the raw rows can be compared.
    level: Level = "locale"
    interval_width: float = pydantic.Field(default=0.8, gt=0, lt=1)  # Prophet's default
    # A pool of series has no common trend to extrapolate; `linear` where every series has its model.
    growth: Literal["linear", "flat"] = "flat"
    n_changepoints: int = pydantic.Field(default=5, ge=0, le=100)
    seasonalities: tuple[SeasonalityConfig, ...] = ()
    detect_cycle: bool = True
    threshold: Literal["false_positive_rate", "best_f1"] = "false_positive_rate"
    # One alarm in a hundred normal rows: below the usual share of anomalous rows (1 to 5 %).
    target_false_positive_rate: float = pydantic.Field(default=0.01, gt=0, lt=0.5)
    smooth_rows: int = pydantic.Field(default=5, ge=1, le=999)
    exclude_labelled: bool = True


class ClassifierConfig(ComponentConfig):
    """The gradient-boosted classifier over forecast residuals and window features.

    Attributes:
      enabled: Train it where training labels exist.
      window_rows: Lengths of the rolling windows, in rows.
      centred: Windows look half a window ahead (a detection delay of half the longest window);
        False makes them causal.
      exact_repeats: Also use how long a value stands exactly unchanged.
      max_iter: Boosting rounds.
      learning_rate: Shrinkage per round.
      max_leaf_nodes: Leaves per tree.
      min_samples_leaf: Rows per leaf.
      l2_regularization: Ridge penalty on leaf values.
      max_rows: Training rows are thinned to this many; every labelled anomaly is kept first.
      anomaly_weight: Exponent w of the class weight (normal rows / anomalous rows) ** w; 0 is
        none, 1 is balanced.
      threshold: Probability above which a row is flagged, or None: best F1 out of fold, by grouped
        cross-validation on the training side.
      folds: Folds of that cross-validation.
      min_events: Fewer labelled events than this give `fallback_threshold`.
      fallback_threshold: See `min_events`.
      smooth_rows: Rows of the centred rolling mean over the probability.
    """

    enabled: bool = True
    window_rows: tuple[int, ...] = pydantic.Field(default=(8, 30, 90), min_length=1, max_length=6)
    centred: bool = True
    # A synthetic release does not repeat values exactly, so these features cost the centre more than
    # they give: F1 on simulated fleets with perturbed releases 0.69 with them, 0.83 without.
    exact_repeats: bool = False
    max_iter: int = pydantic.Field(default=100, ge=1)
    learning_rate: float = pydantic.Field(default=0.1, gt=0, le=1)
    max_leaf_nodes: int = pydantic.Field(default=15, ge=2)
    min_samples_leaf: int = pydantic.Field(default=20, ge=1)
    l2_regularization: float = pydantic.Field(default=1.0, ge=0)
    # Thinned minutes lose little: neighbours say the same.
    max_rows: int = pydantic.Field(default=20_000, ge=100)
    anomaly_weight: float = pydantic.Field(default=0.5, ge=0, le=1)
    threshold: float | None = pydantic.Field(default=None, gt=0, lt=1)
    folds: int = pydantic.Field(default=3, ge=2, le=10)
    # With fewer, whole kinds are absent from some fold's training side and the estimate is noise.
    min_events: int = pydantic.Field(default=6, ge=2)
    fallback_threshold: float = pydantic.Field(default=0.5, gt=0, lt=1)
    smooth_rows: int = pydantic.Field(default=5, ge=1, le=999)

    @pydantic.model_validator(mode="after")
    def _check_windows(self) -> ClassifierConfig:
        if list(self.window_rows) != sorted(set(self.window_rows)) or min(self.window_rows) < 4:
            raise ValueError(f"window_rows must rise and be at least 4, found {list(self.window_rows)}")
        return self


class BlessingConfig(ComponentConfig):
    """When the central detector is blessed.

    Attributes:
      detector: The detector that is judged; None: the classifier where the training side has
        labelled anomalies, else the interval.
      baseline: The scenario to beat.
      min_difference: The lower confidence bound of the F1 difference must exceed this.
    """

    detector: DetectorName | None = None
    baseline: Literal["No sharing", "Naive synthetic"] = "No sharing"
    min_difference: float = pydantic.Field(default=0.0, ge=0, lt=1)


class ProphetEvaluatorConfig(ComponentConfig):
    """Configuration of ProphetEvaluator.

    Attributes:
      dataset: The columns.
      locale_column: String column of the test set that names each row's locale; locales there may
        be unknown to the training side.
      open_locales: Locales whose split of `examples` holds real rows.
      restricted_locales: Locales whose split of `examples` holds a synthetic release.
      scenarios: Scenarios to evaluate, where their data are there.
      interval: The interval detector.
      classifier: The classifier.
      blessing: The rule of the verdict.
      fairness: Slices of the test rows that the detectors are compared on, and the limits, if any.
      bootstrap_samples: Bootstrap replicates behind every confidence interval.
      confidence: Coverage of those intervals.
      bootstrap_block_s: Length of a block of normal rows in the bootstrap, in seconds; events are
        blocks of their own.
      max_rows_per_fit: Rows per Prophet fit, evenly spaced over the pool's rows.
      min_rows_per_fit: Fewer rows than this get no model of their own.
      align_min_days: A series shorter than this is aligned by its locale's statistics.
      workers: Threads that fit side by side.
      seed: Seed of noise, thinning, boosting and bootstrap.
    """

    dataset: DatasetConfig
    locale_column: str = "locale"
    open_locales: tuple[str, ...]
    restricted_locales: tuple[str, ...] = ()
    scenarios: tuple[ScenarioName, ...] = SCENARIOS
    interval: IntervalDetectorConfig = IntervalDetectorConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    blessing: BlessingConfig = BlessingConfig()
    fairness: FairnessConfig = FairnessConfig()
    bootstrap_samples: int = pydantic.Field(default=1000, ge=100, le=100_000)
    confidence: float = pydantic.Field(default=0.95, gt=0.5, lt=1)
    # Longer than the residual autocorrelation of minute telemetry, short enough for many blocks a day.
    bootstrap_block_s: float = pydantic.Field(default=3 * 3600.0, gt=0)
    # A Prophet fit is linear in rows; four seasonal cycles' worth of minutes is plenty (0.2 s a fit).
    max_rows_per_fit: int = pydantic.Field(default=4000, ge=50)
    min_rows_per_fit: int = pydantic.Field(default=50, ge=10)
    # The median of less than a whole daily cycle would take the cycle itself away.
    align_min_days: float = pydantic.Field(default=1.0, gt=0)
    workers: int = pydantic.Field(default=2, ge=1, le=64)
    seed: int = pydantic.Field(default=0, ge=0)

    @pydantic.model_validator(mode="after")
    def _check_locales(self) -> ProphetEvaluatorConfig:
        names = [*self.open_locales, *self.restricted_locales]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"locale named twice: {', '.join(twice)}")
        if len(set(self.scenarios)) != len(self.scenarios):
            raise ValueError("a scenario is named twice")
        self.fairness.check_columns(self.dataset, self.locale_column)
        return self
