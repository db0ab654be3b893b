"""Which keys the centre believes for a locale: one, or several while a locale changes its key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timezone
from typing import Annotated, Any

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError
from components.release.keys import PublicKey, load_public_key


def _as_utc(value: Any) -> Any:
    """A date of YAML is its midnight, and a time without a zone is UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value


_Moment = Annotated[
    datetime, pydantic.BeforeValidator(_as_utc), pydantic.AfterValidator(lambda value: _as_utc(value))
]


class TrustedKey(ComponentConfig):
    """A public key, and when it is believed.

    Attributes:
      key: PEM, `ed25519:` and base64 of the 32 raw bytes, or the path of a file with either.
      not_before, not_after: From when and until when the centre takes releases signed with it, by the
        centre's clock: what a manifest says about its own age is not asked. None is without a limit.
    """

    key: str = pydantic.Field(min_length=1)
    not_before: _Moment | None = None
    not_after: _Moment | None = None

    @pydantic.model_validator(mode="after")
    def _check_order(self) -> TrustedKey:
        if self.not_before and self.not_after and self.not_before >= self.not_after:
            raise ValueError("not_before must be before not_after")
        return self

    def load(self) -> PublicKey:
        """The key itself.

        Raises:
          ConfigError: it cannot be read or is no Ed25519 public key.
        """
        return PublicKey(load_public_key(self.key).raw, self.not_before, self.not_after)


def _as_list(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [{"key": item} if isinstance(item, str) else item for item in items]


#: One key or a list of them; each as text, or as `key` with `not_before` and `not_after`.
TrustedKeys = Annotated[
    tuple[TrustedKey, ...], pydantic.BeforeValidator(_as_list), pydantic.Field(min_length=1, max_length=16)
]


def load_keys(trusted: Iterable[TrustedKey]) -> tuple[tuple[PublicKey, ...], tuple[str, ...]]:
    """The keys that can be loaded, and one line for each that cannot."""
    keys, problems = [], []
    for entry in trusted:
        try:
            keys.append(entry.load())
        except ConfigError as error:
            problems.append(str(error))
    return tuple(keys), tuple(problems)
