"""What every executor shares: read typed inputs, write outputs atomically, carry span and digest.

An executor reads artifacts, calls its `core`, and writes artifacts; it holds no arithmetic.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from components.config_base import ComponentConfig
from components.errors import InternalError

C = TypeVar("C", bound=ComponentConfig)


def read_config(exec_properties: dict[str, Any], config_type: type[C]) -> C:
    """The component's typed configuration from its `config` exec property."""
    return config_type.from_exec_property(exec_properties["config"])


def single_artifact(artifacts: dict[str, list[Any]], key: str) -> Any:
    """The one artifact of a channel.

    Raises:
      InternalError: the channel holds none, or more than one.
    """
    found = artifacts.get(key) or []
    if len(found) != 1:
        raise InternalError(f"channel '{key}' holds {len(found)} artifacts, expected exactly 1")
    return found[0]


def optional_artifact(artifacts: dict[str, list[Any]], key: str) -> Any | None:
    """The one artifact of an optional channel, or None where the channel is not connected."""
    return single_artifact(artifacts, key) if artifacts.get(key) else None


def write_atomically(path: str | os.PathLike[str], data: bytes | str, mode: int = 0o644) -> None:
    """Writes a whole file or nothing: a temporary file beside it, fsync, then rename; `mode`: its rights."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes indented JSON with sorted keys, atomically; refuses NaN and infinities."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Parses a JSON file."""
    return json.loads(Path(path).read_text())


def copy_lineage(source: Any, target: Any) -> None:
    """Copies `span`, `locale` and `data_digest` custom properties from input to output artifact."""
    for key in ("locale", "data_digest"):
        value = source.get_string_custom_property(key)
        if value:
            target.set_string_custom_property(key, value)
    target.set_int_custom_property("span", source.get_int_custom_property("span") or 0)
