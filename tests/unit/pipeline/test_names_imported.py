"""What tests and benchmarks import exists: found here in seconds, not where TFX is collected at last."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OWN = ("components", "pipeline", "schemas", "tests", "benchmarks", "examples")


def _names(statements: list[ast.stmt]) -> set[str]:
    """What statements bind, in branches too."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(statement.name)
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name.split(".")[0] for alias in statement.names}
            case _:
                found |= {
                    node.id
                    for node in ast.walk(statement)
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                }
                for field in ("body", "orelse", "finalbody"):
                    found |= _names(getattr(statement, field, []))
                for handler in getattr(statement, "handlers", []):
                    found |= _names(handler.body)
    return found


@cache
def _defined(module: Path) -> set[str] | None:
    """Names of a module, or None where there is none, or where it makes names as they are asked for."""
    folder = module.is_dir()
    file = module / "__init__.py" if folder else module.with_suffix(".py")
    if not file.exists():
        return {path.stem for path in module.iterdir()} if folder else None
    found = _names(ast.parse(file.read_text("utf-8")).body)
    return found | {path.stem for path in module.iterdir()} if folder else found


def missing(source: str) -> list[str]:
    """What a source imports from this project and cannot have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.level or (node.module or "").split(".")[0] not in OWN:
            continue
        names = _defined(ROOT.joinpath(*node.module.split(".")))
        if names is None:
            found.append(node.module)
        elif "__getattr__" not in names:
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in names]
    return found


def _files() -> list[Path]:
    return sorted(path for top in ("tests", "benchmarks") for path in (ROOT / top).rglob("*.py"))


def test_what_is_imported_exists() -> None:
    lacking = {str(path.relative_to(ROOT)): missing(path.read_text("utf-8")) for path in _files()}
    assert len(lacking) > 100
    assert {path: names for path, names in lacking.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "lacking"),
    [
        ("from components.drift.core.outward import parse", []),
        ("from components.drift.core import outward", []),
        ("from components.drift.core.outward import FIELDS", ["components.drift.core.outward.FIELDS"]),
        ("from components.drift.core import inward", ["components.drift.core.inward"]),
        ("def late():\n    from pipeline.nowhere import x", ["pipeline.nowhere"]),
    ],
)
def test_a_name_that_is_gone_is_found(source: str, lacking: list[str]) -> None:
    assert missing(source) == lacking
