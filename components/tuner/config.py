"""What `isthmus tune` searches: numeric keys of SynthesizerTrainerConfig. Imports no TensorFlow."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from components.config_base import ComponentConfig
from components.errors import ConfigError, list_briefly, nearest_name
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

Number = int | float
#: Numeric keys that are no setting of the model: what is refused, and how long it may take.
_NOT_SEARCHED = ("min_train_rows", "max_vocabulary", "max_minutes")
#: Keys that can be searched, with their type.
SEARCHABLE: dict[str, type] = {
    name: field.annotation
    for name, field in SynthesizerTrainerConfig.model_fields.items()
    if field.annotation in (int, float) and name not in _NOT_SEARCHED
}


class KeySpace(ComponentConfig):
    """Values of one key: either `choices`, or `low` and `high`.

    Attributes:
      choices: Values, each once, at least two.
      low: The least.
      high: The greatest.
      scale: `log`: as likely between 1 and 10 as between 10 and 100; `low` is then greater than 0.
    """

    choices: tuple[Number, ...] | None = None
    low: Number | None = None
    high: Number | None = None
    scale: Literal["linear", "log"] = "linear"

    @pydantic.model_validator(mode="after")
    def _check(self) -> KeySpace:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.scale != "linear":
                raise ValueError("allowed: choices alone, or low and high")
            if len(self.choices) < 2 or len(set(self.choices)) != len(self.choices):
                raise ValueError(f"choices {list(self.choices)}: allowed: at least two, each once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("allowed: choices, or low and high")
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.scale == "log" and not self.low > 0:
            raise ValueError(f"low: found {self.low:g} with scale log; allowed: greater than 0")
        return self

    def ends(self) -> tuple[Number, ...]:
        """The choices, or both ends of the range."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None and self.high is not None  # checked above
        return self.low, self.high

    def holds(self, value: Number) -> bool:
        """Whether a value is one of the choices, or in the range."""
        if self.choices is not None:
            return value in self.choices
        low, high = self.ends()
        return low <= value <= high


#: What is searched where nothing else is said. Reasons stand in docs/tune.md.
DEFAULT_SPACE: dict[str, KeySpace] = {
    "var_order": KeySpace(choices=(1, 2, 3, 4)),
    "ridge": KeySpace(low=1e-6, high=1e-2, scale="log"),
    "quantiles": KeySpace(choices=(200, 500, 1000)),
    "min_state_count": KeySpace(choices=(3, 5, 10)),
    "window_steps": KeySpace(choices=(24, 40, 64)),
    "generator_units": KeySpace(choices=(16, 24, 32, 48)),
    "critic_steps": KeySpace(low=1, high=4),
    "generator_learning_rate": KeySpace(low=1e-4, high=2e-3, scale="log"),
    "critic_learning_rate": KeySpace(low=2e-4, high=4e-3, scale="log"),
}


def read_space(given: Any, base: SynthesizerTrainerConfig, place: str) -> dict[str, KeySpace]:
    """A search space from YAML values, each end checked by the trainer's own rules.

    Args:
      given: Mapping of keys to `choices` or `low`, `high`, `scale`.
      base: The locale's configuration; the other keys stay as they are there.
      place: Where it stands, for messages.

    Returns:
      By key, in the order given.

    Raises:
      ConfigError: it is no such mapping, or a key or a value is not allowed.
    """
    if not isinstance(given, dict) or not given:
        raise ConfigError(
            f"{place}: found no keys; allowed: a mapping such as 'var_order: {{choices: [1, 2]}}'"
        )
    space = {}
    for name, value in given.items():
        if name not in SEARCHABLE:
            raise ConfigError(
                f"{place}: unknown key '{name}'{nearest_name(str(name), SEARCHABLE)}; allowed: "
                f"{list_briefly(sorted(SEARCHABLE), limit=30)}"
            )
        try:
            space[name] = KeySpace.model_validate(value)
        except pydantic.ValidationError as error:
            raise ConfigError(f"{place}: {name}: {_first(error)}") from None
    check_space(space, base, place)
    return space


def check_space(space: dict[str, KeySpace], base: SynthesizerTrainerConfig, place: str) -> None:
    """Checks every choice and both ends of every range by the trainer's own rules.

    Raises:
      ConfigError: a value that the trainer would refuse, or that is not of the key's type.
    """
    for name, values in space.items():
        for value in values.ends():
            if SEARCHABLE[name] is int and value != int(value):
                raise ConfigError(f"{place}: {name}: found {value:g}; allowed: whole numbers")
            try:
                configured(base, {name: value})
            except pydantic.ValidationError as error:
                raise ConfigError(f"{place}: {name}: found {value:g}; {_first(error)}") from None


def configured(base: SynthesizerTrainerConfig, values: dict[str, Number]) -> SynthesizerTrainerConfig:
    """A configuration with some values changed, checked by its own rules.

    Raises:
      pydantic.ValidationError: a value is not allowed.
    """
    return SynthesizerTrainerConfig.model_validate({**base.model_dump(), **values})


def _first(error: pydantic.ValidationError) -> str:
    """The first of what pydantic found, in its words, on one line."""
    found = error.errors()[0]
    message = " ".join(found["msg"].removeprefix("Value error, ").split())
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {message}" if where and found["type"] == "extra_forbidden" else message
