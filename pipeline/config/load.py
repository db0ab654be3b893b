"""Reads a deployment file. Every refusal is one line with file, line and key."""

from __future__ import annotations

import hashlib
import json
import os
import typing
from pathlib import Path
from typing import Any

import pydantic
import yaml

from components.errors import ConfigError, nearest_name
from components.strict_yaml import StrictLoader
from pipeline.config.model import Deployment

#: Keys whose values are paths; a relative one is relative to the file, not to the shell.
_PATH_KEYS = (
    ("root",),
    ("exchange", "uri"),
    ("metrics", "textfile_folder"),
    ("metrics", "pushgateway", "ca_file"),
    ("metrics", "pushgateway", "password", "file"),
    ("metrics", "pushgateway", "token", "file"),
    ("central", "registry"),
    ("central", "served_rows", "folder"),
    ("central", "test_set", "pattern"),
    ("central", "signing_key", "file"),
    ("alerts", "state"),
)
_STORAGE_OPTIONS = (
    ("exchange", "storage_options"),
    ("central", "registry_storage_options"),
    ("alerts", "state_storage_options"),
)
_LOCALE_PATH_KEYS = (
    ("source", "pattern"),
    ("signing_key", "file"),
    ("trusted_key",),
    ("governance", "policy"),
)

Location = tuple[typing.Union[int, str], ...]


def load_deployment(path: str | Path) -> Deployment:
    """Reads, checks and freezes a deployment file; relative paths become absolute.

    Args:
      path: A YAML file.

    Returns:
      The deployment.

    Raises:
      ConfigError: the file is missing, no YAML, or breaks a rule. One line: file, line, key, what
        was found, what is allowed.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file. `isthmus init` writes one to start from.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({type(error).__name__})") from None
    try:
        root = yaml.compose(text, Loader=StrictLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{file}{place}: {problem}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: found {_kind(data)}; allowed: keys and values")
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
    _make_absolute(data, file.resolve().parent)
    try:
        deployment = Deployment.model_validate(data)
        deployment._file_digest = digest
    except pydantic.ValidationError as error:
        raise describe(error, file, root, Deployment) from None
    # The typed sections of the components, checked here so that `validate` answers for all of them.
    from pipeline.config import resolve, sections

    try:
        resolve.check(deployment)
    except sections.SectionError as error:
        raise describe(error.error, file, root, error.model, error.prefix) from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    return deployment


def describe(
    error: pydantic.ValidationError,
    file: Path,
    root: yaml.Node | None,
    model: type[pydantic.BaseModel],
    prefix: Location = (),
) -> ConfigError:
    """One line for a validation error: file, line, key, found, allowed, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    where: Location = (*prefix, *_without_union_tags(first["loc"]))
    line = _line_of(root, where)
    kind, context = first["type"], first.get("ctx", {})
    key = _dotted(where)
    found = first.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(model, where[len(prefix) : -1])
        rule = f"unknown key{nearest_name(str(where[-1]), known)}; allowed: {', '.join(sorted(known))}"
    elif kind == "missing":
        rule = "missing; it has no default"
    elif kind == "value_error":
        rule = str(context.get("error", first["msg"]))
    else:
        allowed = first["msg"].replace("Input should be ", "").replace("Input should ", "")
        if context.get("class_name") == "SecretRef":  # most likely the secret itself
            allowed = "{env: NAME} or {file: PATH}, never the secret itself"
        secret = "SecretRef" in str(context.get("class_name")) or where[-1:] in (("env",), ("file",))
        rule = f"found {_kind(found) if secret else _show(found)}; allowed: {allowed}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = f"{file}:{line}" if line else str(file)
    return ConfigError(f"{place}: {key + ': ' if key else ''}{rule}{more}")


def _without_union_tags(location: Location) -> Location:
    # pydantic adds the branch of a union (`int`, `literal['latest']`) to the location; no such key exists.
    branches = ("int", "constrained-int", "float", "str", "bool")
    return tuple(part for part in location if isinstance(part, int) or not (part in branches or "[" in part))


def _known_keys(model: type[pydantic.BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        if field is None:
            return []
        current = _model_in(field.annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    # `tuple[X, ...]` passes for a type in Python 3.10, and is no class.
    is_class = isinstance(annotation, type) and typing.get_origin(annotation) is None
    if is_class and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _line_of(node: yaml.Node | None, location: Location) -> int | None:
    if node is None:
        return None
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == part]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _make_absolute(data: dict[str, Any], folder: Path) -> None:
    for keys in _PATH_KEYS:
        _absolute_at(data, keys, folder)
    for section, options in _STORAGE_OPTIONS:
        found = data.get(section)
        given = found.get(options) if isinstance(found, dict) else None
        if isinstance(given, dict):
            _absolute_at(given, ("token_file",), folder)
            for secret in given.values():
                _absolute_at(secret, ("file",), folder)
    _channels_absolute(data.get("alerts"), folder)
    locales = data.get("locales")
    for locale in locales if isinstance(locales, list) else []:
        for keys in _LOCALE_PATH_KEYS:
            _absolute_at(locale, keys, folder)
        trusted = locale.get("trusted_key") if isinstance(locale, dict) else None
        if isinstance(trusted, list):  # several keys, each as text or as `key` with the time it is believed
            entries = [{"key": item} if isinstance(item, str) else item for item in trusted]
            locale["trusted_key"] = entries
            trusted = entries
        for entry in trusted if isinstance(trusted, list) else [trusted]:
            _absolute_at(entry, ("key",), folder)
        for rule in locale.get("pii") or [] if isinstance(locale, dict) else []:
            _absolute_at(rule, ("key", "file"), folder)
            _absolute_at(rule, ("old_key", "file"), folder)


def _channels_absolute(alerts: Any, folder: Path) -> None:
    for kind in ("slack", "webhook", "email"):
        channels = alerts.get(kind) if isinstance(alerts, dict) else None
        for channel in channels if isinstance(channels, list) else []:
            _absolute_at(channel, ("ca_file",), folder)
            headers = channel.get("headers") if isinstance(channel, dict) else None
            secrets = [*channel.values()] if isinstance(channel, dict) else []
            for secret in [*secrets, *(headers.values() if isinstance(headers, dict) else [])]:
                _absolute_at(secret, ("file",), folder)


def _absolute_at(data: Any, keys: tuple[str, ...], folder: Path) -> None:
    for key in keys[:-1]:
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, dict):
        value = data.get(keys[-1])
        # A key given inline (base64 or PEM) is no path, and neither is a URI.
        if isinstance(value, str) and value and "://" not in value and not _is_inline_key(keys, value):
            path = Path(value).expanduser()
            # Without `..`: the same file has one name in messages, caches and fingerprints.
            data[keys[-1]] = os.path.normpath(path if path.is_absolute() else folder / path)


def _is_inline_key(keys: tuple[str, ...], value: str) -> bool:
    return keys in (("trusted_key",), ("key",)) and (
        value.startswith("ed25519:") or "BEGIN PUBLIC KEY" in value
    )


def _kind(value: Any) -> str:
    names = {list: "a list", dict: "keys and values", str: "text", type(None): "nothing"}
    return names.get(type(value), f"{type(value).__name__}")


def _show(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return _kind(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
