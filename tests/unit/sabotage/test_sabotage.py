"""The sabotage of `tests/sabotage`: it finds tests that cannot fail, and only those."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[3]

CODE = """
import functools, pathlib, shutil

def double(x):
    return 2 * x

def check(x):
    if x < 0:
        raise ValueError("negative")

@functools.cache
def table():
    return {"a": 1}

def numbers():
    yield 1
    yield 2

def scaled(factor):
    def scale(x):
        return factor * x
    return scale

def folder():
    return pathlib.Path(__file__).parent / "kept"

def spin():
    return 0

class Box:
    def __init__(self, n):
        self.n = n

    @property
    def size(self):
        return self.n
"""

TESTS = """
import os, pathlib, shutil, subprocess, sys
import pytest
import mini

@pytest.fixture(scope="module")
def built():
    return mini.double(4)

def test_asserts_nothing():
    mini.double(3)
    mini.check(1)

def test_asserts_what_it_has_made_itself():
    assert [mini.double(x) for x in ()] == []
    assert isinstance(mini.Box(3), mini.Box)

def test_number():
    assert mini.double(3) == 6

def test_refusal():
    with pytest.raises(ValueError, match="negative"):
        mini.check(-1)

def test_cached():
    assert mini.table() == {"a": 1}

def test_none():
    assert mini.check(1) is None

def test_two_results_agree():
    assert mini.double(3) == mini.double(3)

def test_generator():
    assert list(mini.numbers()) == [1, 2]

def test_property():
    assert mini.Box(3).size == 3

def test_closure():
    assert mini.scaled(3)(2) == 6

@pytest.fixture
def fresh(tmp_path):
    assert not (tmp_path / "old").exists()
    (tmp_path / "old").touch()
    return mini.double(5)

def test_fresh_fixture(fresh):
    assert fresh == 10

def test_wider_fixture(built):
    assert built == 8

def test_only_a_crash():
    mini.scaled(3)(2)

def test_elsewhere():
    code = "import mini; assert mini.double(1) == 2"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_no_code_of_the_project():
    assert sum([1, 2]) == 3

def test_not_repeatable(seen=[]):
    seen.append(mini.double(1))
    assert len(seen) == 1

def test_endless():
    while mini.spin() > 0:
        pass

def test_forks():
    child = os.fork()
    if child == 0:
        assert mini.double(3) == 6
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def test_would_remove_what_is_not_its_own():
    assert mini.folder().name == "kept"
    if mini.folder().name != "kept":
        shutil.rmtree(mini.folder().parent)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Findings of a made-up project: test name -> finding; `exit` is the exit status."""
    return _findings(tmp_path_factory.mktemp("project"), TESTS)


def _findings(root: Path, tests: str) -> dict[str, Any]:
    (root / "mini.py").write_text(CODE)
    (root / "tests").mkdir()
    (root / "tests" / "test_mini.py").write_text(tests)
    # As the project's own: what is frozen is not among the objects that `gc` lists.
    freezing = "import gc\ndef pytest_collection_finish(): gc.freeze()\n"
    (root / "tests" / "conftest.py").write_text(freezing)
    (root / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sabotage.plugin", "-p", "no:cacheprovider"]
    command += [
        "-p",
        "no:xdist",
        "-p",
        "no:cov",
        "--sabotage-report=found.json",
        "--sabotage-limit=1",
        "tests",
    ]
    path = f"{root}{os.pathsep}{REPOSITORY}"
    done = subprocess.run(
        command, cwd=root, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert (root / "found.json").exists(), done.stdout + done.stderr
    assert (root / "mini.py").exists()
    findings = json.loads((root / "found.json").read_text())
    return {"exit": done.returncode, "text": done.stdout} | {
        name.partition("::test_")[2]: finding for name, finding in findings.items()
    }


@pytest.mark.parametrize("name", ["asserts_nothing", "asserts_what_it_has_made_itself"])
def test_a_test_that_cannot_fail_survives(found: dict[str, Any], name: str) -> None:
    assert found[name]["verdict"] == "SURVIVED"
    assert found["exit"] == 1
    assert f"SURVIVED: tests/test_mini.py::test_{name}" in found["text"]


@pytest.mark.parametrize(
    ("name", "function", "mode"),
    [
        ("number", "mini.double", "perturbed"),
        ("fresh_fixture", "mini.double", "perturbed"),
        ("refusal", "mini.check", "removed"),
        ("cached", "mini.table", "perturbed"),
        ("generator", "mini.numbers", "perturbed"),
        ("none", "mini.check", "filled"),
        ("two_results_agree", "mini.double", "fickle"),
        ("property", "mini.size", "perturbed"),
        ("would_remove_what_is_not_its_own", "mini.folder", "perturbed"),
    ],
)
def test_a_failed_assertion_names_the_function(
    found: dict[str, Any], name: str, function: str, mode: str
) -> None:
    finding = found[name]
    assert (finding["verdict"], finding["kind"]) == ("KILLED", "assertion")
    assert (finding["function"], finding["mode"], finding["rebuilt"]) == (function, mode, False)


def test_what_a_wider_fixture_ran_is_sabotaged_where_it_is_built(found: dict[str, Any]) -> None:
    assert found["wider_fixture"]["function"] == "mini.double" and found["wider_fixture"]["rebuilt"]


@pytest.mark.parametrize(
    ("name", "kind"), [("only_a_crash", "crash"), ("closure", "crash"), ("endless", "timeout")]
)
def test_weak_evidence_is_called_so(found: dict[str, Any], name: str, kind: str) -> None:
    assert (found[name]["verdict"], found[name]["kind"]) == ("KILLED", kind)
    assert f"only a {kind}: tests/test_mini.py::test_{name}" in found["text"]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("elsewhere", "ELSEWHERE"),
        ("forks", "ELSEWHERE"),
        ("no_code_of_the_project", "NO PROJECT CODE"),
        ("not_repeatable", "NOT REPEATABLE"),
    ],
)
def test_what_it_cannot_judge_is_listed_apart(found: dict[str, Any], name: str, verdict: str) -> None:
    assert found[name]["verdict"] == verdict


def test_a_run_in_which_nothing_was_killed_has_failed(tmp_path: Path) -> None:
    found = _findings(tmp_path, "def test_sees_nothing():\n    assert 1 + 1 == 2\n")
    assert (found["sees_nothing"]["verdict"], found["exit"]) == ("NO PROJECT CODE", 1)


@dataclasses.dataclass(frozen=True)
class _Record:
    n: int
    nested: tuple[float, ...]


@pytest.fixture(scope="module")
def values() -> Any:
    path = REPOSITORY / "tests" / "sabotage" / "values.py"
    spec = importlib.util.spec_from_file_location("sabotage_values", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (3, 4),
        (True, False),
        (0.5, 1.5),
        (float("nan"), 0.0),
        ("ab", "ba"),
        ("", "sabotaged"),
        (Path("/a/b"), Path("/a/bsabotaged")),
        ([], ["sabotaged"]),
        ((1, "ab"), (2, "ba")),
        ({"a": [1]}, {"a": [2]}),
        ({"a": None}, {}),
        (_Record(1, (2.0,)), _Record(2, (3.0,))),
    ],
)
def test_a_wrong_value_keeps_its_type(values: Any, value: Any, wrong: Any) -> None:
    found = values.perturb(value)
    assert found == wrong and type(found) is type(wrong) is type(value)


def test_wrong_columns_keep_shape_and_type(values: Any) -> None:
    numbers = values.perturb(np.array([1.0, np.nan], np.float32))
    assert numbers.tolist() == [2.0, 0.0] and numbers.dtype == np.float32
    assert values.perturb(np.array([True, False])).tolist() == [False, True]
    assert values.perturb(np.array(["ab", "c"])).tolist() == ["ba", "csabotaged"]
    assert values.perturb(np.int64(3)) == 4 and isinstance(values.perturb(np.int64(3)), np.int64)
    table = values.perturb(pa.table({"x": [1, None], "y": ["ab", "cd"]}))
    assert table.to_pydict() == {"x": [2, None], "y": ["ba", "dc"]}


def test_a_value_of_which_nothing_is_known_stays(values: Any) -> None:
    thing = object()
    assert values.perturb(thing) is thing and values.empty_like(thing) is None
    assert [values.empty_like(value) for value in (3, 0, True, "ab", [1], {})] == [
        0, 1, False, "", [], {"sabotaged": 1},
    ]  # fmt: skip
