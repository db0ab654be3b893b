"""Configuration of ExampleGen: where rows come from, what may be stored of them, how they are split."""

from __future__ import annotations

import re
from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.data_quality.config import QualityConfig
from components.dataset import DatasetConfig
from components.secrets import SecretRef

SourceFormat = Literal["auto", "csv", "parquet", "tfrecord"]
TimestampFormat = Literal["auto", "iso", "s", "ms", "us", "ns"]
PiiAction = Literal["drop", "redact", "generalise", "pseudonymise"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SourceConfig(ComponentConfig):
    """Files of one origin.

    Attributes:
      name: Names the split where there is one split per source.
      pattern: Path or URI (anything fsspec opens) with globs and `{SPAN}`, `{SPAN:04}`, `{VERSION}`,
        `{YYYY}`, `{MM}`, `{DD}`.
      format: `auto` decides by the file's ending.
      delimiter: Of CSV files; one character.
      timestamp_format: `auto`: numbers are epoch time, their unit by magnitude; text is ISO 8601.
      timezone: Of time stamps that name no zone.
      rename: Column name at the source -> name in the data set.
      null_values: CSV texts that mean missing, beside the empty one.
      may_lack: Columns of the data set that this source need not have; they come out all missing.
      locale_column: A column to keep as text and to treat as part of the series key (a test set of
        several locales has one). The same for all sources of a component.
    """

    name: str = "data"
    pattern: str = pydantic.Field(min_length=1)
    format: SourceFormat = "auto"
    delimiter: str = pydantic.Field(default=",", min_length=1, max_length=1)
    timestamp_format: TimestampFormat = "auto"
    timezone: str = "UTC"
    rename: dict[str, str] = pydantic.Field(default_factory=dict)
    # pandas' defaults, without those that are ordinary words or numbers.
    null_values: tuple[str, ...] = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")
    may_lack: tuple[str, ...] = ()
    locale_column: str | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"source name '{name}': allowed are letters, digits, '.', '_' and '-'")
        return name

    @pydantic.field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        import zoneinfo

        try:
            zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"timezone '{timezone}' is not known; use a name such as Europe/Berlin"
            ) from None
        return timezone

    @pydantic.model_validator(mode="after")
    def _check_rename(self) -> SourceConfig:
        names = list(self.rename.values())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rename: two columns become '{twice[0]}'")
        return self


class PiiRule(ComponentConfig):
    """What happens to one column before anything is stored.

    A column that the data set does not name is never stored; a rule for it is a statement, and its
    name is recorded.

    Attributes:
      column: Name in the data set (after `rename`).
      declare: `not_personal`, instead of an action: a person looked at the column and found no identifier,
        whatever its values look like. It is stored as it is.
      action: `drop`: not stored. `redact`: text becomes "REDACTED", numbers become missing.
        `generalise`: numbers to the lower edge of a bucket of `width`, text by `mapping`.
        `pseudonymise`: keyed HMAC-SHA-256 of the text, as hexadecimal.
      width: Bucket width, in the column's unit.
      mapping: Text -> its general form; what it does not name becomes `otherwise`.
      otherwise: General form of every other text.
      key: Where the HMAC key is; never the key itself.
      key_id: Of the key when the run was planned, filled in by the runner; another key is another input.
      old_key: The key before, during a rotation: ExampleGen then writes which old pseudonym became which
        new one, in the region, so that earlier spans can be joined.
      hex_digits: Length of a pseudonym. 16 digits are 64 bits: a collision among a million
        identifiers has probability 3e-8.
    """

    column: str = pydantic.Field(min_length=1)
    action: PiiAction | None = None
    declare: Literal["not_personal"] | None = None
    width: float | None = pydantic.Field(default=None, gt=0)
    mapping: dict[str, str] | None = None
    otherwise: str = "other"
    key: SecretRef | None = None
    key_id: str = ""
    old_key: SecretRef | None = None
    hex_digits: int = pydantic.Field(default=16, ge=8, le=64)

    @pydantic.model_validator(mode="after")
    def _check_parts(self) -> PiiRule:
        if (self.action is None) == (self.declare is None):
            raise ValueError(f"pii '{self.column}': give either an action or 'declare: not_personal'")
        if self.old_key is not None and self.action != "pseudonymise":
            raise ValueError(f"pii '{self.column}': 'old_key' belongs to action pseudonymise")
        if self.action == "generalise" and (self.width is None) == (self.mapping is None):
            raise ValueError(f"pii '{self.column}': generalise needs exactly one of 'width' and 'mapping'")
        if self.action != "generalise" and (self.width is not None or self.mapping is not None):
            raise ValueError(f"pii '{self.column}': 'width' and 'mapping' belong to action generalise")
        if (self.action == "pseudonymise") != (self.key is not None):
            raise ValueError(f"pii '{self.column}': 'key' is needed by pseudonymise, and only there")
        return self


class SplitConfig(ComponentConfig):
    """How rows are divided into splits.

    Attributes:
      mode: `interleaved`: train, eval and holdout as blocks of consecutive time within each series.
        `single`: everything in one split, called `name`. `per_source`: one split per source.
      name: Of the single split.
      train_fraction: Of the blocks.
      eval_fraction: Of the blocks.
      holdout_fraction: Of the blocks; the control of every privacy measure.
      block_s: Length of a block in seconds; None chooses by the data (`splits.choose_block_s`).
      deal: `balanced`: blocks are dealt so that each split gets its share of the rows and of the labelled
        blocks; a row more or less may move others. `by_time`: a row's split follows from its own timestamp
        and the seed alone, as differential privacy needs it.
    """

    mode: Literal["interleaved", "single", "per_source"] = "interleaved"
    name: str = "test"
    # A membership attack's interval narrows with the smaller side: 20 % keeps it useful while the
    # synthesizer still sees most of the span. Eval only stops the training early.
    train_fraction: float = pydantic.Field(default=0.7, ge=0, le=1)
    eval_fraction: float = pydantic.Field(default=0.1, ge=0, le=1)
    holdout_fraction: float = pydantic.Field(default=0.2, ge=0, le=1)
    block_s: float | None = pydantic.Field(default=None, gt=0)
    deal: Literal["balanced", "by_time"] = "balanced"

    @pydantic.field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"split name '{name}': allowed are letters, digits, '.', '_' and '-'")
        return name

    @pydantic.model_validator(mode="after")
    def _check_sum(self) -> SplitConfig:
        total = self.train_fraction + self.eval_fraction + self.holdout_fraction
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, eval and holdout fractions add up to {total:g}, must be 1")
        return self

    def fractions(self) -> dict[str, float]:
        """Split name -> fraction; only those above 0."""
        named = {"train": self.train_fraction, "eval": self.eval_fraction, "holdout": self.holdout_fraction}
        return {name: fraction for name, fraction in named.items() if fraction > 0}


class ExampleGenConfig(ComponentConfig):
    """Configuration of ExampleGen.

    Attributes:
      dataset: The columns.
      sources: Where the rows are.
      pii: Rules, at most one per column.
      refuse_identifiers: Refuse rows with a personal identifier that no rule covers, and keep no text of rows
        that do not split into columns (restricted locales).
      splits: How rows are divided.
      max_bad_fraction: The run fails when more than this fraction of the rows is quarantined.
      rows_per_shard: Rows in a file of a split.
      memory_budget_mb: Rows in memory above this go to a temporary file beside the output.
      quality: What is counted of missing values and outliers, and what becomes of missing values; None:
        nothing is counted, and a missing value is stored as missing.
    """

    dataset: DatasetConfig
    sources: tuple[SourceConfig, ...] = pydantic.Field(min_length=1)
    pii: tuple[PiiRule, ...] = ()
    refuse_identifiers: bool = False
    splits: SplitConfig = SplitConfig()
    # One row in a hundred: above it, a wrong unit or a shifted column is likelier than noise.
    max_bad_fraction: float = pydantic.Field(default=0.01, ge=0, le=1)
    rows_per_shard: int = pydantic.Field(default=1_000_000, ge=1)
    # A quarter of the 2 GB that ten million rows may take.
    memory_budget_mb: int = pydantic.Field(default=512, ge=1)
    quality: QualityConfig | None = None

    @property
    def locale_column(self) -> str | None:
        """The extra column that is kept as part of the series key."""
        return self.sources[0].locale_column

    def series_columns(self) -> tuple[str, ...]:
        """Columns of the series key: the locale column where there is one, then the data set's."""
        extra = (self.locale_column,) if self.locale_column else ()
        return (*extra, *(name for name in self.dataset.series if name not in extra))

    @pydantic.model_validator(mode="after")
    def _check_sources(self) -> ExampleGenConfig:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source named twice: {', '.join(twice)}")
        if len({source.locale_column for source in self.sources}) > 1:
            raise ValueError("locale_column differs between sources; name the same one in each")
        taken = {self.dataset.timestamp, self.dataset.label, *self.dataset.feature_names()}
        if self.locale_column and self.locale_column in taken:
            raise ValueError(f"locale_column '{self.locale_column}' is already a column of the data set")
        for source in self.sources:
            for name in source.may_lack:
                if name in (self.dataset.timestamp, *self.series_columns()):
                    raise ValueError(f"may_lack: '{name}' cannot be missing, it is part of a row's key")
        return self

    @pydantic.model_validator(mode="after")
    def _check_quality(self) -> ExampleGenConfig:
        if self.quality is not None:
            self.quality.imputation.policies(self.dataset)
        return self

    @pydantic.model_validator(mode="after")
    def _check_pii(self) -> ExampleGenConfig:
        columns = [rule.column for rule in self.pii]
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"pii: two rules for column {', '.join(twice)}")
        kinds = {feature.name: feature.kind for feature in self.dataset.features}
        for rule in self.pii:
            name = rule.column
            if rule.declare is not None:
                continue
            if name in (self.dataset.timestamp, self.dataset.label, self.dataset.label_kind):
                raise ValueError(
                    f"pii '{name}': no rule may change the time or the label; drop it from the data set"
                )
            if name in self.series_columns():
                # Redacting or bucketing a key would merge series and make their rows collide.
                if rule.action in ("drop", "redact") or rule.width is not None:
                    raise ValueError(f"pii '{name}': a series column can be pseudonymised or mapped only")
            elif name in kinds:
                text = kinds[name] == "categorical"
                if rule.action == "drop":
                    raise ValueError(f"pii '{name}': is a feature; remove it from the data set to drop it")
                if rule.action == "pseudonymise" and not text:
                    raise ValueError(f"pii '{name}': only text can be pseudonymised, it is {kinds[name]}")
                if rule.action == "generalise" and text != (rule.mapping is not None):
                    raise ValueError(f"pii '{name}': text is generalised by 'mapping', numbers by 'width'")
                if rule.width is not None and kinds[name] == "binary":
                    raise ValueError(f"pii '{name}': a binary column has no buckets")
        return self
