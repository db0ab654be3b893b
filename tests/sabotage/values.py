"""Wrong values of the right type."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
import math
import pathlib
import sys
from typing import Any

MARK = "sabotaged"
_DEPTH = 4
_LARGE = 1_000_000
_UNCHANGED = object()


def can_be_perturbed(value: Any) -> bool:
    """Whether `perturb` knows a wrong value."""
    return _perturbed(value, _DEPTH) is not _UNCHANGED


def perturb(value: Any, depth: int = _DEPTH) -> Any:
    """A wrong value of the right type, or the value itself where none is known."""
    changed = _perturbed(value, depth)
    return value if changed is _UNCHANGED else changed


def _perturbed(value: Any, depth: int) -> Any:
    try:
        return _wrong(value, depth)
    except Exception:  # a value at the end of its range, a type that checks its fields
        return _UNCHANGED


def _wrong(value: Any, depth: int) -> Any:
    if depth == 0 or value is None or isinstance(value, type):
        return _UNCHANGED
    if isinstance(value, enum.Enum):
        members = list(type(value))
        return members[(members.index(value) + 1) % len(members)] if len(members) > 1 else _UNCHANGED
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 1.0 if math.isfinite(value) and value + 1.0 != value else 0.0
    if isinstance(value, (str, bytes)):
        mark = MARK if isinstance(value, str) else MARK.encode()
        return value[::-1] if value != value[::-1] else value + mark  # type: ignore[operator]
    if isinstance(value, pathlib.PurePath):
        return value.with_name(value.name + MARK) if value.name else _UNCHANGED
    if isinstance(value, datetime.timedelta):
        return value + datetime.timedelta(days=1)
    if isinstance(value, datetime.date):
        return value + datetime.timedelta(days=1)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return _perturbed_container(value, depth)
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas", "pyarrow", "tensorflow"):
        return _perturbed_columns(value)
    if hasattr(value, "DESCRIPTOR") and hasattr(value, "ListFields"):
        return _perturbed_message(value, depth)
    return _perturbed_record(value, depth)


def _perturbed_container(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        if not value:
            return {MARK: 1}
        inside = {key: _perturbed(item, depth - 1) for key, item in value.items()}
        if all(item is _UNCHANGED for item in inside.values()):
            return {}
        return {key: value[key] if item is _UNCHANGED else item for key, item in inside.items()}
    if isinstance(value, (set, frozenset)):
        return type(value)(list(value)[1:]) if value else type(value)([MARK])
    items = [_perturbed(item, depth - 1) for item in value]
    if all(item is _UNCHANGED for item in items):
        items = list(value)[:-1] if value else [MARK]
    else:
        items = [old if new is _UNCHANGED else new for old, new in zip(value, items)]
    if hasattr(value, "_fields"):
        return type(value)(*items) if len(items) == len(value) else _UNCHANGED
    return tuple(items) if isinstance(value, tuple) else items


def _perturbed_columns(value: Any) -> Any:
    """Arrays, series, frames, tables and tensors; without importing what is not imported already."""
    np, pa, pd = (sys.modules.get(name) for name in ("numpy", "pyarrow", "pandas"))
    if np is not None and isinstance(value, np.generic):
        return _perturbed_columns(np.asarray(value)[None])[0]
    if np is not None and isinstance(value, np.ndarray):
        if value.dtype.names or not value.size:
            return value[::-1].copy() if value.ndim and value.size else _UNCHANGED
        if value.dtype.kind == "b":
            return ~value
        if value.dtype.kind in "fc":
            return np.where(np.isfinite(value), value + 1, 0).astype(value.dtype)
        if value.dtype.kind in "iuMm":
            return value + np.ones((), "m8[D]" if value.dtype.kind in "Mm" else value.dtype)
        if value.size > _LARGE:
            return value[::-1].copy()
        made = np.empty(value.shape, object)
        made.ravel()[:] = [perturb(item, 1) for item in value.ravel().tolist()]
        return made if value.dtype.kind == "O" else made.astype(value.dtype.kind)
    if pd is not None and isinstance(value, pd.DataFrame):
        return value.apply(perturb) if len(value.columns) and len(value) else _UNCHANGED
    if pd is not None and isinstance(value, (pd.Series, pd.Index)):
        return type(value)(
            perturb(value.to_numpy()), **({} if isinstance(value, pd.Index) else _labels(value))
        )
    if pa is not None and isinstance(value, (pa.Table, pa.RecordBatch)):
        columns = [perturb(column) for column in value.columns]
        return type(value).from_arrays(columns, schema=value.schema) if columns else _UNCHANGED
    if pa is not None and isinstance(value, (pa.Array, pa.ChunkedArray)):
        if len(value) > _LARGE or not len(value):
            return value[::-1] if len(value) else _UNCHANGED
        items = [perturb(item, 2) for item in value.to_pylist()]
        return (
            pa.array(items, value.type)
            if isinstance(value, pa.Array)
            else pa.chunked_array([items], value.type)
        )
    if hasattr(value, "numpy") and hasattr(value, "dtype"):
        made = perturb(value.numpy())
        return sys.modules["tensorflow"].constant(made, dtype=value.dtype)
    return _UNCHANGED


def _labels(series: Any) -> dict[str, Any]:
    return {"index": series.index, "name": series.name}


def _perturbed_message(value: Any, depth: int) -> Any:
    """Protocol buffers: plain fields, set or not, and the messages within."""
    made = type(value)()
    made.CopyFrom(value)
    for field in made.DESCRIPTOR.fields:
        if field.message_type is None and field.label != field.LABEL_REPEATED and not field.containing_oneof:
            if field.enum_type is None:
                setattr(made, field.name, perturb(getattr(made, field.name), 1))
        elif field.message_type is not None and field.label == field.LABEL_REPEATED and depth > 1:
            for item in getattr(made, field.name):
                if hasattr(item, "CopyFrom"):
                    item.CopyFrom(_perturbed_message(item, depth - 1))
    return made


def _perturbed_record(value: Any, depth: int) -> Any:
    """Dataclasses and pydantic models: a copy with wrong fields, unchecked."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    elif hasattr(type(value), "model_fields"):
        names = list(type(value).model_fields)
    else:
        return _UNCHANGED
    inside = {name: _perturbed(getattr(value, name, None), depth - 1) for name in names}
    inside = {name: item for name, item in inside.items() if item is not _UNCHANGED}
    if not inside:
        return _UNCHANGED
    if hasattr(value, "model_copy"):
        return value.model_copy(update=inside)
    made = copy.copy(value)
    for name, item in inside.items():
        object.__setattr__(made, name, item)
    return made


def empty_like(value: Any) -> Any:
    """What a removed body returns instead of `value`; None where no empty value of its type is known."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return type(value)(0) if value and type(value) in (int, float) else 1
    if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)) and not hasattr(value, "_fields"):
        plain = next(t for t in (str, bytes, list, tuple, dict, set, frozenset) if isinstance(value, t))
        return plain() if value else perturb(value)
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.ndarray) and value.dtype.names is None:
        return np.zeros_like(value)
    return None
