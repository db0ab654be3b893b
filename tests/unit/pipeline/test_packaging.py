"""The guards of decision 3: generic import names, one owner each, nothing heavy where it hurts."""

from __future__ import annotations

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = ("pipeline", "components", "schemas")

#: Import name to the distribution that brings it, where the two differ by more than a hyphen.
BROUGHT_BY = {"google": "protobuf", "sklearn": "scikit-learn", "yaml": "pyyaml"}
#: Declared, and imported by no line of ours: fsspec's back ends, and what is imported by a made-up name.
IMPORTED_BY_NO_LINE = {"adlfs", "gcsfs", "s3fs", "python-stdnum"}


@pytest.mark.parametrize("package", ["pipeline", "components", "schemas"])
def test_an_import_name_belongs_to_one_distribution(package):
    owners = set(metadata.packages_distributions().get(package, []))
    assert owners <= {"isthmus"}, f"'{package}' is also installed by {owners - {'isthmus'}}"


def test_kubeflow_is_no_package():
    # With an __init__.py of ours, the official SDK's `kubeflow.pipelines` would disappear.
    assert not (ROOT / "kubeflow" / "__init__.py").exists()


def test_every_init_is_empty():
    filled = [
        str(p)
        for top in ("pipeline", "components", "schemas")
        for p in (ROOT / top).rglob("__init__.py")
        if p.read_text().strip()
    ]
    assert filled == []


def test_the_lock_names_no_host():
    text = (ROOT / "uv.lock").read_text()
    assert "://" not in text
    assert text.count("sha256:") > 200


def test_every_file_that_the_code_reads_is_packaged(monkeypatch):
    """`package_data` of setup.py covers what is no Python: templates, curated schemas, JSON Schemas."""
    import runpy

    import setuptools

    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **keywords: given.update(keywords))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    packaged = {
        file
        for package, patterns in given["package_data"].items()
        for pattern in patterns
        for file in (ROOT / package).glob(pattern)
    }
    there = {
        file
        for top in ("pipeline", "components", "schemas")
        for file in (ROOT / top).rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc", ".md")
    }
    assert any(file.name == "release-manifest-2.schema.json" for file in packaged)
    assert there - packaged == set()


def imported() -> set[str]:
    """Top-level names that our packages import, without ours and the standard library's."""
    found = set()
    for file in (path for top in OURS for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(OURS)


def test_what_the_code_imports_is_declared_and_nothing_else():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("\ndependencies = [") : text.index("\n[project.scripts]")]
    declared = set(re.findall(r'^    "([a-z0-9-]+)', section, re.MULTILINE))
    needed = {BROUGHT_BY.get(name, name.replace("_", "-")) for name in imported()}
    assert needed - declared == set(), "imported, not declared"
    assert declared - needed == IMPORTED_BY_NO_LINE, "declared, not imported"
