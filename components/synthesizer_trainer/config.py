"""Configuration of SynthesizerTrainer. Imports no TensorFlow."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.errors import list_briefly
from components.governance.core.events import PrivacyUnit
from components.synthesizer_trainer.critic_config import CriticConfig

Method = Literal["gan", "dp_linear", "dp_gan"]
#: What becomes of a kind of anomaly with too few real windows.
Below = Literal["refuse", "merge", "dp"]


class RareEventsConfig(ComponentConfig):
    """What becomes of a kind of anomaly of which there are few real windows.

    Attributes:
      min_windows: So many labelled windows of the training rows a kind needs to be released by itself; 1
        releases every kind.
      below: A kind with fewer. `refuse`: nothing is trained. `merge`: such kinds are released as one,
        called `other`; refused where they are too few together. `dp`: released as the differentially
        private synthesizers do it, which count no real window. None: `dp` with methods `dp_linear` and
        `dp_gan`, else `refuse`.
    """

    # The upper end of the minimum frequency rule, as egress.min_supporters.
    min_windows: int = pydantic.Field(10, ge=1)
    below: Below | None = None


class PeriodConfig(ComponentConfig):
    """A period that was known before any row was seen: `start <= t < end`, UTC where they have no zone."""

    start: datetime.datetime
    end: datetime.datetime

    @pydantic.model_validator(mode="after")
    def _check(self) -> PeriodConfig:
        if self.bounds_us()[0] >= self.bounds_us()[1]:
            raise ValueError(f"start {self.start} is not before end {self.end}")
        return self

    def bounds_us(self) -> tuple[int, int]:
        """Microseconds UTC, start and end."""
        moments = []
        for moment in (self.start, self.end):
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
            moments.append(round(zoned.timestamp() * 1_000_000))
        return moments[0], moments[1]


class DpConfig(ComponentConfig):
    """The differentially private synthesizer: the guarantee, and what is public knowledge.

    What stands here is released as it is, so it must not be taken from the rows.

    Attributes:
      epsilon: Privacy loss of one release, dimensionless. In a deployment it is said once, as the
        locale's `privacy.target_epsilon`.
      delta: Probability with which epsilon may not hold; `privacy.target_delta`.
      unit: Whose presence the loss bounds: a `record` (one row), a `window` (at most `window_rows`
        consecutive rows of one series) or a whole `series`.
      window_rows: Rows of a window, for the unit `window`.
      max_rows_per_series: For the unit `series`: rows of each series that are read, the first in time.
      bounds: Numeric feature to its least and greatest value. The curated schema's domain where a feature
        is not named here; narrower bounds give finer marginals. Values outside are moved to the bound.
      steps: Numeric feature to its sensor's resolution; values are emitted on multiples of it.
      vocabularies: Categorical feature to its values; the curated schema's domain where it is not named.
      kinds: Names of anomaly kinds; the curated schema's domain where there are none here. Rows of any
        other kind are left out.
      cycles_s: Cycles that the rows may follow, in seconds; the discrete features follow the first.
      harmonics: Sine-cosine pairs of each cycle.
      phase_bins: Bins of the first cycle in which discrete features have transitions of their own.
      var_order: Lags of the vector autoregression.
      histogram_levels: Every numeric feature's bounds are halved so many times.
      period: Rows outside it are not read, and the model's regular grid covers it. None: the model names
        no time, so generation must.
      signal: A kind, a level or a null rate stands only if its noisy count is at least so many standard
        deviations of the noise; else it is withheld and named in the report.
      event_rows: Rows of an anomaly where the noise drowns how often a kind began.
      critic: The critic of method `dp_gan`; None takes its defaults.
    """

    # Above 100 nothing is protected, and the accountant's grid of losses gets coarse.
    epsilon: float = pydantic.Field(gt=0, le=100)
    delta: float = pydantic.Field(gt=0, lt=1)
    unit: PrivacyUnit = "record"
    window_rows: int = pydantic.Field(12, ge=2)
    max_rows_per_series: int | None = pydantic.Field(None, ge=2)
    bounds: dict[str, tuple[float, float]] = {}
    steps: dict[str, float] = {}
    vocabularies: dict[str, tuple[str, ...]] = {}
    kinds: tuple[str, ...] = ()
    cycles_s: tuple[float, ...] = pydantic.Field((86_400.0,), min_length=1)
    harmonics: int = pydantic.Field(3, ge=1, le=6)
    phase_bins: Literal[12, 16, 24, 48] = 24
    # Each further lag costs sensitivity; measured in docs/differential-privacy.md.
    var_order: Literal[1, 2] = 1
    # 4,096 cells: a feature that fills a tenth of its bounds still has 400.
    histogram_levels: int = pydantic.Field(12, ge=4, le=14)
    period: PeriodConfig | None = None
    # Of empty cells, one in 700 passes three standard deviations.
    signal: float = pydantic.Field(3.0, ge=1)
    event_rows: int = pydantic.Field(24, ge=1)
    critic: CriticConfig | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> DpConfig:
        if self.unit == "series" and self.max_rows_per_series is None:
            raise ValueError("unit 'series' needs max_rows_per_series, the rows of a series that are read")
        if self.unit != "series" and self.max_rows_per_series is not None:
            raise ValueError(f"max_rows_per_series belongs to unit 'series', found unit '{self.unit}'")
        for name, (low, high) in self.bounds.items():
            if not low < high:
                raise ValueError(f"bounds.{name}: {low:g} is not below {high:g}")
        for name, step in self.steps.items():
            if not step > 0:
                raise ValueError(f"steps.{name}: found {step:g}; allowed: greater than 0")
        for name, values in self.vocabularies.items():
            if not values or len(set(values)) != len(values):
                raise ValueError(f"vocabularies.{name}: allowed: at least one value, each once")
        if len(set(self.kinds)) != len(self.kinds) or "" in self.kinds:
            raise ValueError("kinds: allowed: names, each once")
        if any(not cycle > 0 for cycle in self.cycles_s):
            raise ValueError(f"cycles_s {self.cycles_s}: allowed: greater than 0")
        return self

    @property
    def most_rows(self) -> int:
        """Rows that one unit holds, at most."""
        if self.unit == "series":
            assert self.max_rows_per_series is not None  # checked above
            return self.max_rows_per_series
        return self.window_rows if self.unit == "window" else 1


class SynthesizerTrainerConfig(ComponentConfig):
    """How a locale's synthesizer is fitted.

    Attributes:
      dataset: The columns.
      method: `gan`: a linear core and an adversarial residual, without differential privacy.
        `dp_linear`: the linear core alone, from noisy statistics; only `dataset` and `dp` count for it,
        and `min_train_rows`, against the noisy count. `dp_gan`: that core and a residual trained against a
        private critic (`dp.critic`); the sizes and rates of the generator count, too, and `max_minutes`.
      dp: The guarantee of `dp_linear` and `dp_gan`.
      rare_events: What becomes of kinds of anomaly with few real windows.
      window_steps: Rows in a window that generator and critics see.
      var_order: Lags p of the vector autoregression.
      memory_steps: Time constants, in rows, of the exponential averages that extend the VAR's memory.
      max_periods: Cycles found in the data (an orbit, a shift) beside the daily and weekly ones.
      ridge: Penalty of the linear fits, as a fraction of the number of rows.
      quantiles: Knots of the copula transform.
      chain_states: Largest number of joint states in one chain of binary and categorical features.
      max_vocabulary: Largest vocabulary of a categorical feature; larger ones are refused at the start.
      min_state_count: Joint states seen in fewer rows than this merge with their nearest state.
      min_train_rows: Fewer rows of normal operation than this are refused.
      generator_units: Channels of the residual generator's convolutions.
      critic_units: Channels of each critic.
      noise_channels: Noise inputs per row.
      batch_size: Windows per step.
      critic_steps: Critic updates per generator update.
      max_steps: Generator updates, at most; 0 keeps the linear core alone.
      max_minutes: Wall-clock limit of the adversarial training.
      generator_learning_rate: Adam step size of the generator.
      critic_learning_rate: Adam step size of the critics.
      ema_decay: Moving average of the generator's weights.
      gradient_penalty_coef: Weight of the gradient penalty (WGAN-GP's lambda).
      evaluate_every: Generator updates between two looks at held-out fidelity and two checkpoints.
      patience: Looks without improvement before training stops.
      checkpoint_dir: Where checkpoints live; None keeps them beside the model artifact's parent.
    """

    dataset: DatasetConfig
    method: Method = "gan"
    dp: DpConfig | None = None
    rare_events: RareEventsConfig = RareEventsConfig()
    window_steps: int = pydantic.Field(40, ge=8, le=512)
    # Two lags: of the generators compared for decision 5 a copula with a VAR(2) kept time structure best.
    var_order: int = pydantic.Field(2, ge=1, le=8)
    # Four decades of memory carry the autocorrelation to lag 60 and beyond (HAR; Corsi 2009).
    memory_steps: tuple[float, ...] = (5.0, 20.0, 80.0, 320.0)
    max_periods: int = pydantic.Field(3, ge=0, le=8)
    ridge: float = pydantic.Field(1e-4, gt=0)
    quantiles: int = pydantic.Field(500, ge=20, le=5000)
    chain_states: int = pydantic.Field(64, ge=2, le=256)
    max_vocabulary: int = pydantic.Field(256, ge=2, le=4096)
    # A state held by one or two rows is those rows' own; three is the smallest crowd.
    min_state_count: int = pydantic.Field(3, ge=1)
    min_train_rows: int = pydantic.Field(200, ge=50)
    generator_units: int = pydantic.Field(24, ge=4)
    critic_units: int = pydantic.Field(24, ge=4)
    noise_channels: int = pydantic.Field(4, ge=1)
    batch_size: int = pydantic.Field(32, ge=4)
    # Fewer than WGAN-GP's five: the generator starts at the linear core, not at noise.
    critic_steps: int = pydantic.Field(2, ge=1)
    max_steps: int = pydantic.Field(240, ge=0)
    max_minutes: float = pydantic.Field(5.0, gt=0)
    generator_learning_rate: float = pydantic.Field(5e-4, gt=0)
    # Two time scales (Heusel et al. 2017): the critic learns faster.
    critic_learning_rate: float = pydantic.Field(1e-3, gt=0)
    ema_decay: float = pydantic.Field(0.98, ge=0, lt=1)
    gradient_penalty_coef: float = pydantic.Field(10.0, ge=0)
    evaluate_every: int = pydantic.Field(40, ge=1)
    patience: int = pydantic.Field(3, ge=1)
    checkpoint_dir: str | None = None

    @pydantic.field_validator("memory_steps")
    @classmethod
    def _check_memory(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not step > 1 for step in value) or list(value) != sorted(set(value)):
            raise ValueError(f"memory_steps {value}: must rise and each be greater than 1 row")
        return value

    @pydantic.model_validator(mode="after")
    def _check_method(self) -> SynthesizerTrainerConfig:
        if self.method == "gan" and self.rare_events.below == "dp":
            raise ValueError(
                "rare_events.below: found 'dp' with method 'gan', whose events have no differential privacy; "
                "allowed: refuse or merge, or method: dp_linear or dp_gan"
            )
        if self.rare_events.below == "merge" and self.dataset.label_kind is None:
            raise ValueError(
                "rare_events.below: found 'merge', but dataset.label_kind names no column of kinds; allowed: "
                "refuse, or the column"
            )
        if self.is_private and self.rare_events.below in ("refuse", "merge"):
            raise ValueError(
                f"rare_events.below: found '{self.rare_events.below}' with method '{self.method}', which "
                "counts no real window without noise; allowed: dp"
            )
        if self.method == "gan" and self.dp is not None:
            raise ValueError(
                "dp belongs to methods 'dp_linear' and 'dp_gan', found method 'gan', which has no guarantee"
            )
        if self.is_private:
            self._check_private()
        return self

    def _check_private(self) -> None:
        if self.dp is None:
            raise ValueError(f"method '{self.method}' needs dp: epsilon and delta at least")
        names = self.dataset.feature_names("continuous", "integer")
        categorical = self.dataset.feature_names("categorical")
        for key, allowed in (("bounds", names), ("steps", names), ("vocabularies", categorical)):
            for name in getattr(self.dp, key):
                if name not in allowed:
                    known = list_briefly(allowed) or "none, the data set has no such feature"
                    raise ValueError(f"dp.{key}.{name}: allowed: {known}")
        if self.dp.unit == "series" and not self.dataset.series:
            raise ValueError("dp.unit 'series': the data set has no series column")
        if self.method == "dp_linear":
            if self.dp.critic is not None:
                raise ValueError("dp.critic belongs to method 'dp_gan', found method 'dp_linear'")
            return
        if self.dp.unit == "window":
            # Windows of the unit lie across the critic's: some may come while others go (core.dp.budget).
            raise ValueError(
                "dp.unit: found 'window' with method 'dp_gan', whose critic is accounted per record or "
                "series; allowed: record, series, or method: dp_linear"
            )

    @property
    def is_private(self) -> bool:
        """Whether the method has differential privacy."""
        return self.method in ("dp_linear", "dp_gan")

    @property
    def critic(self) -> CriticConfig | None:
        """The private critic; None where the method has none."""
        if self.method != "dp_gan" or self.dp is None:
            return None
        return self.dp.critic or CriticConfig()

    @classmethod
    def small(cls, dataset: DatasetConfig, **changes: Any) -> SynthesizerTrainerConfig:
        """A preset for demonstrations and tests: the same linear core, a smaller network, fewer steps."""
        values: dict[str, Any] = {
            "window_steps": 32,
            "generator_units": 16,
            "critic_units": 16,
            "batch_size": 32,
            "critic_steps": 2,
            "max_steps": 90,
            "evaluate_every": 30,
            "patience": 2,
            "max_minutes": 1.0,
        }
        return cls(dataset=dataset, **{**values, **changes})
