"""`isthmus doctor` judges Python and the pins by the line of TFX that is installed."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

from pipeline import doctor

LOCKED = {
    "tfx": "1.16.0",
    "apache-beam": "2.59.0",
    "pyarrow": "10.0.1",
    "protobuf": "3.20.3",
    "dill": "0.3.1.1",
}


@pytest.fixture
def installed(monkeypatch):
    """A function that says which versions are installed, in the place of what really is."""

    def install(**changed):
        versions = LOCKED | {name.replace("_", "-"): version for name, version in changed.items()}

        def version(package):
            if versions[package] is None:
                raise metadata.PackageNotFoundError(package)
            return versions[package]

        monkeypatch.setattr(doctor.metadata, "version", version)

    return install


def test_the_environment_that_is_locked_serves(installed):
    installed()
    assert [(check.name, check.ok) for check in doctor._pins()] == [(name, True) for name in LOCKED]


def test_a_pin_of_the_installed_line_that_does_not_hold_is_found(installed):
    installed(apache_beam="2.74.0", pyarrow="10.01.0", dill=None)
    wrong = {check.name: (check.found, check.remedy) for check in doctor._pins() if not check.ok}
    assert wrong == {
        "apache-beam": ("2.74.0", "make setup installs 2.59"),
        "pyarrow": ("10.01.0", "make setup installs 10.0"),
        "dill": ("not installed", "make setup installs 0.3.1"),
    }


@pytest.mark.parametrize("line", ["1.21.0", None])
def test_a_line_that_was_never_tested_is_the_finding_and_not_its_pins(installed, line):
    installed(tfx=line, apache_beam="2.70.0", pyarrow="21.0.0")
    (check,) = doctor._pins()
    assert not check.ok
    assert (check.name, check.found) == ("tfx", line or "not installed")
    assert check.remedy == "make setup installs TFX 1.16, the line that the tests have run with"


@pytest.mark.parametrize(("version", "ok"), [((3, 10, 4), True), ((3, 11, 9), False), ((3, 13, 0), False)])
def test_python_is_judged_by_what_the_tested_line_needs(installed, monkeypatch, version, ok):
    installed()
    monkeypatch.setattr(sys, "version_info", version)
    (check,) = doctor._python()
    assert (check.ok, check.remedy) == (ok, "Isthmus runs on Python 3.10")
