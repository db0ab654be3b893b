"""KServe's two protocols over JSON: requests to columns, scores to answers.

Sources: KServe, "V1 Inference Protocol" and "Open Inference Protocol (V2)", version 0.16 of its pages
(kserve.github.io/website/docs/concepts/architecture/data-plane). Of V2, the binary tensor extension and FP16,
which JSON cannot hold, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Optional

import pyarrow as pa
import pydantic

from components.dataset import DatasetConfig
from components.errors import DataError
from components.release.canonical import printable

_TYPES = {
    "BOOL": pa.bool_(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BYTES": pa.string(),
}
#: What the metadata announces per kind of feature; whatever fits is taken.
_KINDS = {"continuous": "FP64", "integer": "INT64", "binary": "INT64", "categorical": "BYTES"}


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
      columns: By name.
      rows: Length of each.
      locale: Whose model judges; empty: the model of all.
      request_id: To be given back; V2 only.
      outputs: Names of what is wanted; empty: scores and flags.
    """

    columns: dict[str, pa.Array]
    rows: int
    locale: str = ""
    request_id: str | None = None
    outputs: tuple[str, ...] = field(default=())


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=()
    )


class _Parameters(_Part):
    locale: str = pydantic.Field(default="", max_length=200)


class _Rows(_Part):
    instances: list[dict[str, Any]] = pydantic.Field(min_length=1)
    parameters: _Parameters = _Parameters()


class _Tensor(_Part):
    name: str = pydantic.Field(min_length=1, max_length=200)
    shape: list[int] = pydantic.Field(min_length=1, max_length=2)
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class _Wanted(_Part):
    name: str = pydantic.Field(max_length=200)
    parameters: dict[str, Any] = {}


class _Tensors(_Part):
    id: Optional[str] = pydantic.Field(default=None, max_length=200)
    parameters: _Parameters = _Parameters()
    inputs: list[_Tensor] = pydantic.Field(min_length=1, max_length=10_000)
    outputs: list[_Wanted] = []
    # Not in the protocol, but sent by KServe's own client (kserve 0.21); the path says which model is meant.
    model_name: Optional[str] = None
    model_version: Optional[str] = None


def parse_v1(body: bytes, max_rows: int) -> Request:
    """`{"instances": [{column: value}, ...], "parameters": {"locale": ...}}`.

    Raises:
      DataError: it is not of that form, or has too many rows.
    """
    found = _validate(_Rows, _parse(body))
    _check_rows(len(found.instances), max_rows)
    names = list(found.instances[0])
    for position, row in enumerate(found.instances):
        if row.keys() != found.instances[0].keys():
            raise DataError(f"instances.{position}: its columns are not those of instances.0")
    columns = {name: _array(name, [row[name] for row in found.instances], None) for name in names}
    return Request(columns, len(found.instances), found.parameters.locale)


def parse_v2(body: bytes, max_rows: int) -> Request:
    """One tensor a column, each of shape `[rows]` or `[rows, 1]`.

    Raises:
      DataError: it is not of that form, or has too many rows.
    """
    found = _validate(_Tensors, _parse(body))
    rows = found.inputs[0].shape[0]
    _check_rows(rows, max_rows)
    columns: dict[str, pa.Array] = {}
    for tensor in found.inputs:
        name = printable(tensor.name)[:40]
        if tensor.datatype not in _TYPES:
            raise DataError(f"input '{name}': datatype is not known; allowed: {', '.join(_TYPES)}")
        if tensor.shape not in ([rows], [rows, 1]):
            raise DataError(
                f"input '{name}': shape {tensor.shape}; allowed: [{rows}] or [{rows}, 1], as the first"
            )
        data = tensor.data
        if len(tensor.shape) == 2 and all(isinstance(item, list) and len(item) == 1 for item in data):
            data = [item[0] for item in data]
        if len(data) != rows:
            raise DataError(f"input '{name}': {len(data)} values for shape {tensor.shape}")
        if tensor.name in columns:
            raise DataError(f"input '{name}' is given twice")
        columns[tensor.name] = _array(tensor.name, data, tensor.datatype)
    wanted = tuple(item.name for item in found.outputs)
    return Request(columns, rows, found.parameters.locale, found.id, wanted)


def select(scores: pa.Table, wanted: Sequence[str]) -> list[str]:
    """Names of the columns to answer with: what is wanted, else every score and flag.

    Raises:
      DataError: one is wanted that there is not.
    """
    known = [name for name in scores.column_names if name != "timestamp"]
    for name in wanted:
        if name not in known:
            raise DataError(f"output '{printable(name)[:40]}' is not known; allowed: {', '.join(known)}")
    return list(wanted) or [name for name in known if name in _ANSWERS]


_ANSWERS = ("interval_score", "interval_flag", "classifier_score", "classifier_flag")


def answer_v1(scores: pa.Table) -> dict[str, Any]:
    """One object a row; an unknown score is null."""
    return {"predictions": scores.select(select(scores, ())).to_pylist()}


def answer_v2(scores: pa.Table, request: Request, name: str, version: int) -> dict[str, Any]:
    """One tensor a score or flag; an unknown score is null.

    Raises:
      DataError: an output is wanted that there is not.
    """
    outputs = [
        {
            "name": column,
            "shape": [scores.num_rows],
            "datatype": "INT64" if pa.types.is_integer(scores[column].type) else "FP64",
            "data": scores[column].to_pylist(),
        }
        for column in select(scores, request.outputs)
    ]
    answer: dict[str, Any] = {"model_name": name, "model_version": str(version), "outputs": outputs}
    return answer if request.request_id is None else {**answer, "id": request.request_id}


def metadata_v2(dataset: DatasetConfig, name: str, version: int, has_classifier: bool) -> dict[str, Any]:
    """V2's model metadata: -1 stands for any number of rows."""
    inputs = [(dataset.timestamp, "BYTES"), *((column, "BYTES") for column in dataset.series)]
    inputs += [(feature.name, _KINDS[feature.kind]) for feature in dataset.features]
    scores = [(column, "INT64" if column.endswith("_flag") else "FP64") for column in _ANSWERS]
    outputs = [item for item in scores if has_classifier or item[0].startswith("interval")]
    outputs += [
        (f"{target}_{end}", "FP64") for target in dataset.targets for end in ("yhat", "lower", "upper")
    ]
    return {
        "name": name,
        "versions": [str(version)],
        "platform": "isthmus_prophet_detector",
        "inputs": [{"name": column, "datatype": kind, "shape": [-1]} for column, kind in inputs],
        "outputs": [{"name": column, "datatype": kind, "shape": [-1]} for column, kind in outputs],
    }


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except DataError:
        raise
    except json.JSONDecodeError as error:
        raise DataError(f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    except (ValueError, RecursionError):
        raise DataError("the body is not JSON in UTF-8, or is nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"the body holds {name}, which is not JSON; allowed: null for a value that is missing")


def _validate(form: Any, content: Any) -> Any:
    try:
        return form.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(printable(str(part))[:40] for part in first["loc"]) or "the body"
        raise DataError(f"{where}: {printable(first['msg'])}") from None


def _check_rows(rows: int, max_rows: int) -> None:
    if not 1 <= rows <= max_rows:
        raise DataError(f"{rows} rows; allowed: 1 to {max_rows} in one request")


def _array(name: str, values: Sequence[Any], datatype: str | None) -> pa.Array:
    """Arrow's own messages quote the value, so they go no further."""
    try:
        kind = _TYPES[datatype] if datatype else None
        if kind is None or not pa.types.is_integer(kind):
            return pa.array(values, kind)
        found = pa.array(values)  # asked for integers at once, Arrow would cut 1.5 to 1
        if (
            pa.types.is_integer(found.type)
            or pa.types.is_floating(found.type)
            or found.null_count == len(found)
        ):
            return found.cast(kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    allowed = f"{datatype} or null" if datatype else "one type of 64 bits or text in all rows, or null"
    raise DataError(f"column '{printable(name)[:40]}': a value is of another type; allowed: {allowed}")


def to_json(answer: Mapping[str, Any]) -> bytes:
    """The bytes of an answer; a number that JSON does not have is our fault, and raises."""
    return json.dumps(answer, allow_nan=False).encode()
