"""The base of every component's typed configuration.

Configurations are frozen pydantic models that refuse unknown keys. A component receives its
configuration as *one* canonical JSON exec property, written and parsed only here; what an operator
looks up (locale, span, seed, epsilon) travels beside it as scalars.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

import pydantic

from components.errors import InternalError

T = TypeVar("T", bound="ComponentConfig")


class ComponentConfig(pydantic.BaseModel):
    """A frozen configuration; unknown keys are errors; units are in the names."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    def to_exec_property(self) -> str:
        """Canonical JSON (sorted keys, no spaces); the exact inverse of `from_exec_property`."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_exec_property(cls: type[T], text: str) -> T:
        """Parses what `to_exec_property` wrote.

        Raises:
          InternalError: the text is not a configuration of this class.
        """
        try:
            return cls.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise InternalError(f"exec property of {cls.__name__} does not parse: {error}") from error

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical form."""
        return hashlib.sha256(self.to_exec_property().encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space; refuses NaN and infinities.

    Raises:
      ValueError: the value holds a NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
