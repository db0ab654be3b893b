"""Trigger conditions: the small part of CEL that compilers write, over an executor input's parameters."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CASTS: dict[str, Callable[[Any], Any]] = {"int": int, "double": float, "string": str, "bool": bool}
_WORDS = {"&&": " and ", "||": " or ", "!": " not ", "true": "True", "false": "False"}
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|&&|\|\||!=|!|\btrue\b|\bfalse\b")


class ExpressionError(ValueError):
    """A condition that is none, or outside what is emulated."""


def condition(text: str, parameters: dict[str, Any]) -> bool:
    """Whether the task runs (expression/expression.go, Condition).

    Args:
      text: As `inputs.parameter_values['x'] == 'true' && !(…)`.
      parameters: The values of the task's inputs.

    Raises:
      ExpressionError: It does not parse, names no parameter, or is no boolean.
    """
    python = _TOKEN.sub(lambda found: _WORDS.get(found.group(), found.group()), text).strip()
    try:
        value = _value(ast.parse(python, mode="eval").body, parameters)
    except (SyntaxError, KeyError, TypeError, ValueError) as error:
        raise ExpressionError(f"condition {text}: {type(error).__name__}: {error}") from None
    if not isinstance(value, bool):
        raise ExpressionError(f"condition {text}: return type is not bool")
    return value


def _value(node: ast.expr, parameters: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BoolOp):
        values = [_value(part, parameters) for part in node.values]
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value(node.operand, parameters)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, parameters)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = _value(node.left, parameters), _value(node.comparators[0], parameters)
        return _COMPARE[type(node.ops[0])](left, right)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "inputs.parameter_values":
        return parameters[_value(node.slice, parameters)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        return _CASTS[node.func.id](_value(node.args[0], parameters))
    raise ValueError(f"{ast.unparse(node)} is not emulated")
