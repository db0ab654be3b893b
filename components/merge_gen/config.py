"""Configuration of MergeGen."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import pydantic

from components.config_base import ComponentConfig
from components.dataset import DatasetConfig
from components.release.checks import ReleaseLimits
from components.release.manifest import LOCALE_PATTERN
from components.release.options import DEFAULT_OPTIONS, StorageOptions
from components.release.trust import TrustedKeys


class MergeLocale(ComponentConfig):
    """A locale as the centre sees it.

    Attributes:
      name: Name of the locale: its folder in the exchange, its split after the merge.
      sharing: `restricted` (only synthetic, BLESSED releases are taken) or `open`.
      trusted_key: Its public key: PEM, base64 of the 32 raw bytes, or the path of a file with either; or
        a list of such keys, each with the time that it is believed (`components.release.trust`).
    """

    name: str = pydantic.Field(pattern=LOCALE_PATTERN)
    sharing: Literal["restricted", "open"]
    trusted_key: TrustedKeys


class MergeGenConfig(ComponentConfig):
    """Configuration of MergeGen.

    Attributes:
      dataset: The columns that every release must have.
      exchange_uri: The exchange; anything fsspec opens.
      storage: How to reach it.
      memory_uri: Folder of the centre, outside the exchange, that keeps what was merged and revoked
        before (`components.release.memory`); empty keeps nothing, and then a set-back exchange is not
        noticed.
      locales: The locales that may contribute.
      quorum: How many must: a whole number counts locales, a fraction in (0, 1] is a share of them,
        rounded up (`1` is one locale, `1.0` is all of them).
      spans: `latest`, or the span to take per locale; a locale that is not named has its latest.
      limits: What a release may cost before it is refused.
    """

    dataset: DatasetConfig
    exchange_uri: str = pydantic.Field(min_length=1)
    storage: StorageOptions = DEFAULT_OPTIONS
    memory_uri: str = ""
    locales: tuple[MergeLocale, ...] = pydantic.Field(min_length=1)
    quorum: (
        Annotated[int, pydantic.Field(strict=True, ge=1)]
        | Annotated[float, pydantic.Field(strict=True, gt=0, le=1)]
    ) = 1.0  # all of them: a fleet that may do with fewer says so
    spans: Literal["latest"] | dict[str, Annotated[int, pydantic.Field(ge=0)]] = "latest"
    limits: ReleaseLimits = ReleaseLimits()

    @pydantic.model_validator(mode="after")
    def _check_locales(self) -> MergeGenConfig:
        names = [locale.name for locale in self.locales]
        folded = [name.casefold() for name in names]
        twice = sorted({name for name in names if folded.count(name.casefold()) > 1})
        if twice:
            raise ValueError(f"locale named twice (case does not count): {', '.join(twice)}")
        if isinstance(self.spans, dict) and (unknown := sorted(set(self.spans) - set(names))):
            raise ValueError(f"spans names no locale: {', '.join(unknown)}")
        if self.quorum_count > len(names):
            raise ValueError(f"quorum {self.quorum} is more than the {len(names)} locales")
        return self

    @property
    def quorum_count(self) -> int:
        """How many locales must contribute, as a number."""
        if isinstance(self.quorum, int):
            return self.quorum
        return math.ceil(self.quorum * len(self.locales) - 1e-9)  # 0.07 * 100 is 7.000000000000001
