"""What a result stands on, as digests: the code that made the rows, the code that measured them, the data.

Of Python files the syntax counts, without comments and docstrings: a reworded comment makes nothing stale.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.peers.environment import ROOT
from benchmarks.synthesizer.data import Case, numbers
from components.dataset import TIMESTAMP

#: Hexadecimal digits that are kept.
LENGTH = 12
#: Files and folders, from the root, that say what is measured.
MEASURING = (
    "benchmarks/synthesizer/measures.py",
    "benchmarks/synthesizer/measuring.py",
    "benchmarks/synthesizer/networks.py",
    "benchmarks/synthesizer/recall.py",
    "components/release_evaluator/core/anomaly_recall.py",
    "components/release_evaluator/core/resampling.py",
    "components/synthesizer_trainer/core/fidelity.py",
)
#: The same of the long range, by itself: it is measured anew, from rows that were kept, without the rest.
LONG_RANGE = (
    "benchmarks/synthesizer/long_profiles.py",
    "benchmarks/synthesizer/long_range.py",
    "benchmarks/synthesizer/long_runs.py",
)


@functools.cache
def syntax(source: str) -> str:
    """A Python file's syntax tree as text, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        said = first.value if isinstance(first, ast.Expr) else None
        if isinstance(said, ast.Constant) and isinstance(said.value, str):
            node.body = node.body[1:]
    return ast.dump(tree)


def of_code(paths: Iterable[str], said: Mapping[str, Any] | None = None, root: Path = ROOT) -> str:
    """Digest of files.

    Args:
      paths: Files, and folders whose Python files are meant, from the root.
      said: Whatever else decides, such as a configuration.
      root: Where the paths begin.
    """
    total = hashlib.sha256(json.dumps(dict(said or {}), sort_keys=True).encode())
    for name in paths:
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            text = file.read_text()
            total.update(file.relative_to(root).as_posix().encode())
            total.update((syntax(text) if file.suffix == ".py" else text).encode())
    return total.hexdigest()[:LENGTH]


def of_case(case: Case) -> str:
    """Digest of a data set and of how it was divided."""
    total = hashlib.sha256(case.dataset.model_dump_json().encode())
    for table in (case.period, case.train, case.holdout, case.test, case.labelled, case.again):
        total.update(b"-" if table is None else _rows(table, case))
    return total.hexdigest()[:LENGTH]


def _rows(table: pa.Table, case: Case) -> bytes:
    values = np.nan_to_num(numbers(table, case), nan=-1e30).astype(np.float32)
    label = case.dataset.label
    calm = table[label].fill_null(0).to_numpy().astype(np.int8).tobytes() if label else b""
    return table[TIMESTAMP].to_numpy().astype(np.int64).tobytes() + values.tobytes() + calm
