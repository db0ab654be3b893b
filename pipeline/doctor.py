"""`isthmus doctor`: what is wrong with this machine, and the remedy."""

from __future__ import annotations

import dataclasses
import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from pipeline.quiet import without_stderr


@dataclasses.dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
      name: What was looked at.
      ok: Whether it serves.
      found: What was found.
      remedy: What to do where it does not serve.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


# Importing is the real test: a wheel for another glibc installs and then fails here.
_IMPORTS = {
    "tensorflow": "make setup",
    "tfx.dsl.components.base.base_component": "make setup; TFX 1.16 needs Python 3.10",
    "tensorflow_data_validation": "make setup",
    "apache_beam": "make setup",
    "ml_metadata": "make setup",
    "sklearn": "make setup",
    "skops.io": "make setup",
    "cryptography": "make setup",
}


@dataclasses.dataclass(frozen=True)
class _Line:
    """What goes with one line of TFX. `python`: its versions; `pins`: package to the start of its version."""

    python: tuple[tuple[int, int], ...]
    pins: dict[str, str]


#: The lines of TFX that the tests have run with; `make setup` installs the first.
_LINES = {
    "1.16": _Line(
        ((3, 10),), {"apache-beam": "2.59", "pyarrow": "10.0", "protobuf": "3.20", "dill": "0.3.1"}
    ),
}


def examine(root: Path | None = None) -> list[Check]:
    """Looks at Python, glibc, packages, the Beam runner, Prophet's back end, cores, memory and disk.

    Python and the pins are judged by the line of TFX that is installed. A line that the tests have not
    run with is itself a finding, and nothing is said of its pins, which nobody here knows.

    Args:
      root: Where runs are to be written; the current folder where None.

    Returns:
      The findings, worst last.
    """
    steps: list[Callable[[], list[Check]]] = [
        _python,
        _libc,
        _imports,
        _pins,
        _beam,
        _prophet,
        lambda: _machine(root or Path.cwd()),
    ]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_stderr():
        found = [check for step in steps for check in step()]
    return sorted(found, key=lambda check: not check.ok)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _installed_line() -> _Line | None:
    """The tested line of TFX that is installed; None where another one, or none, is."""
    return _LINES.get(".".join(_version("tfx").split(".")[:2]))


def _python() -> list[Check]:
    wanted = (_installed_line() or next(iter(_LINES.values()))).python
    ok = sys.version_info[:2] in wanted
    texts = " or ".join(f"{major}.{minor}" for major, minor in wanted)
    return [Check("Python", ok, platform.python_version(), f"Isthmus runs on Python {texts}")]


def _libc() -> list[Check]:
    name, version = platform.libc_ver()
    number = tuple(int(part) for part in version.split(".")[:2]) if version else (0, 0)
    ok = name == "glibc" and number >= (2, 28)
    return [Check("C library", ok, f"{name} {version}", "the wheels need glibc 2.28 or later")]


def _imports() -> list[Check]:
    checks = []
    for module, remedy in _IMPORTS.items():
        try:
            importlib.import_module(module)
            checks.append(Check(f"import {module.split('.')[0]}", True, "works"))
        except Exception as error:
            checks.append(
                Check(f"import {module.split('.')[0]}", False, f"{type(error).__name__}: {error}", remedy)
            )
    return checks


def _pins() -> list[Check]:
    line, tested = _installed_line(), next(iter(_LINES))
    remedy = f"make setup installs TFX {tested}, the line that the tests have run with"
    checks = [Check("tfx", line is not None, _version("tfx"), remedy)]
    for package, wanted in (line.pins if line else {}).items():
        found = _version(package)
        checks.append(Check(package, found.startswith(f"{wanted}."), found, f"make setup installs {wanted}"))
    return checks


def _beam() -> list[Check]:
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        options = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
        with beam.Pipeline(options=options) as pipeline:
            _ = pipeline | beam.Create([1, 2, 3]) | beam.CombineGlobally(sum)
        return [Check("Beam runner", True, "DirectRunner, in memory")]
    except Exception as error:
        return [Check("Beam runner", False, f"{type(error).__name__}: {error}", "make setup")]


def _prophet() -> list[Check]:
    try:
        from prophet.models import CmdStanPyBackend

        CmdStanPyBackend()
        return [Check("Prophet's Stan back end", True, "cmdstan, shipped with Prophet")]
    except Exception as error:
        return [
            Check("Prophet's Stan back end", False, f"{type(error).__name__}: {error}", "reinstall prophet")
        ]


def _machine(root: Path) -> list[Check]:
    cores = len(os.sched_getaffinity(0))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    existing = next(p for p in (root, *root.resolve().parents) if p.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    return [
        Check("cores", cores >= 1, str(cores)),
        Check(
            "memory",
            memory_gib >= 4,
            f"{memory_gib:.0f} GiB",
            "a region needs about 2 GiB, two at once 4 GiB",
        ),
        Check("free disk", free_gib >= 2, f"{free_gib:.0f} GiB", f"free some space below {existing}"),
        Check("root writable", os.access(existing, os.W_OK), str(existing), "choose another `root`"),
    ]
