"""KFP's OpenAPI, taken from the client that is generated from it: is a request, or an answer, KFP's?

`kfp_server_api` is that OpenAPI in Python form: its models carry every field's type and JSON name, its
methods every path, query field and body. They are read here from the package's source, so that a request
is judged by the description and not by the client's own code.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import kfp_server_api


class Invalid(Exception):
    """Not of the OpenAPI's form; the message says where and why."""


@dataclass(frozen=True)
class Operation:
    """One method on one path.

    Attributes:
      name: The generated method's name, such as `create_run`.
      method: HTTP method.
      path: With placeholders, such as `/apis/v2beta1/runs/{run_id}:retry`.
      query: Names and types of the query's fields.
      body: Type of the JSON body; empty where there is none.
      files: Names of the multipart form's files.
      answer: Type of the answer.
    """

    name: str
    method: str
    path: str
    query: dict[str, str]
    body: str
    files: tuple[str, ...]
    answer: str

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The placeholders' values; None where method or path differ."""
        if method != self.method:
            return None
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/:]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


@lru_cache(maxsize=1)
def operations() -> tuple[Operation, ...]:
    """Every operation of the OpenAPI."""
    found = []
    for name, api in inspect.getmembers(kfp_server_api, inspect.isclass):
        if name.endswith("ServiceApi"):
            tree = ast.parse(inspect.getsource(api))
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            found += [_operation(node) for node in functions if node.name.endswith("_with_http_info")]
    return tuple(found)


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation of a request, and its placeholders' values."""
    # Fixed paths before those with placeholders: `/pipelines/upload` is no pipeline's id.
    for operation in sorted(operations(), key=lambda operation: operation.path.count("{")):
        values = operation.match(method, path)
        if values is not None:
            return operation, values
    return None


def check_query(operation: Operation, query: dict[str, str]) -> None:
    """Raises Invalid where a query field is unknown or of another type."""
    for name, value in query.items():
        kind = operation.query.get(name)
        if kind is None:
            raise Invalid(f"query {name}: unknown")
        if kind == "int" and not re.fullmatch(r"-?\d+", value):
            raise Invalid(f"query {name}: not an integer")


def check(value: Any, kind: str, place: str = "body") -> None:
    """Raises Invalid where a JSON value is not of a type of the OpenAPI."""
    listed, mapped = re.fullmatch(r"list\[(.+)\]", kind), re.fullmatch(r"dict\(str, (.+)\)", kind)
    if listed:
        _expect(value, list, place)
        for number, item in enumerate(value):
            check(item, listed[1], f"{place}[{number}]")
    elif mapped:
        _expect(value, dict, place)
        for name, item in value.items():
            check(item, mapped[1], f"{place}.{name}")
    elif kind == "datetime":
        _expect(value, str, place)
        try:
            datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            raise Invalid(f"{place}: not a time") from None
    elif kind in ("str", "int", "bool"):
        _expect(value, {"str": str, "int": int, "bool": bool}[kind], place)
    elif kind != "object":
        _check_model(value, getattr(kfp_server_api, kind), place)


def _check_model(value: Any, model: Any, place: str) -> None:
    if not model.openapi_types:
        if value not in model.allowable_values:
            raise Invalid(f"{place}: {value!r} is none of {model.allowable_values}")
        return
    _expect(value, dict, place)
    types = {json_name: model.openapi_types[name] for name, json_name in model.attribute_map.items()}
    for name, item in value.items():
        if name not in types:
            raise Invalid(f"{place}: unknown field {name!r} in {model.__name__}")
        check(item, types[name], f"{place}.{name}")


def _expect(value: Any, kind: type, place: str) -> None:
    # Python counts True as 1; JSON does not.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Invalid(f"{place}: a {type(value).__name__} where the OpenAPI has {kind.__name__}")


def _operation(node: ast.FunctionDef) -> Operation:
    words = ast.get_docstring(node) or ""
    types = dict(re.findall(r":type (\w+): ([^\n]+?)(?:, optional)?$", words, re.MULTILINE))
    answer = re.search(r":rtype: tuple\((.+), status_code", words)
    call = next(
        inner
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and getattr(inner.func, "attr", "") == "call_api"
    )
    query = [
        inner.args[0].elts[0].value  # type: ignore[attr-defined]
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "query_params.append"
    ]
    files = [
        inner.targets[0].slice.value  # type: ignore[attr-defined]
        for inner in ast.walk(node)
        if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]).startswith("local_var_files[")
    ]
    return Operation(
        name=node.name.removesuffix("_with_http_info"),
        method=call.args[1].value,  # type: ignore[attr-defined]
        path=call.args[0].value,  # type: ignore[attr-defined]
        query={name: types.get(name, "str") for name in query},
        body=types.get("body", ""),
        files=tuple(files),
        answer=answer[1] if answer else "object",
    )
