"""Peers' environments: lists that leave nothing open, made anew when a list changes."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.peers import environment
from benchmarks.synthesizer.peers import PEERS

LISTS = {
    "sdv": {"sdv", "ctgan", "copulas", "deepecho", "torch"},
    "arfpy": {"arfpy", "scikit-learn"},
    "gretel": {"gretel-synthetics", "torch"},
    "mostlyai": {"mostlyai-engine", "torch"},
    "evidently": {"evidently"},
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_names_and_versions_alone(name: str) -> None:
    lines = environment.requirements_of(name).read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+==[0-9][0-9A-Za-z.]*", line) for line in pinned)
    names = [line.split("==")[0] for line in pinned]
    assert len(names) == len(set(names))
    assert LISTS[name] | {"pandas", "pyarrow"} <= set(names)


def test_every_peer_has_its_list_and_its_script() -> None:
    folder = environment.requirements_of("sdv").parent
    for peer in PEERS.values():
        assert peer.environment in LISTS and (folder / peer.script).is_file()
    listed = {path.name.removesuffix("_requirements.txt") for path in folder.glob("*_requirements.txt")}
    assert listed == set(LISTS)


def test_torch_is_the_same_everywhere() -> None:
    lists = [environment.requirements_of(name).read_text() for name in ("sdv", "gretel", "mostlyai")]
    assert len({re.search(r"^torch==.*$", text, re.MULTILINE)[0] for text in lists}) == 1


def test_an_environment_of_another_list_is_not_ready(tmp_path: Path) -> None:
    listed = tmp_path / "requirements.txt"
    listed.write_text("sdv==2.0.0\n")
    assert not environment.ready(tmp_path, listed)
    (tmp_path / "made_from.txt").write_text(hashlib.sha256(b"sdv==2.0.0\n").hexdigest())
    assert environment.ready(tmp_path, listed)
    listed.write_text("sdv==2.0.1\n")
    assert not environment.ready(tmp_path, listed)


def test_every_environment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(environment, "peer_python", lambda *given: asked.append(given) or Path("python"))
    for name in LISTS:
        environment.environment_python(name)
    environment.evidently_python()
    assert len({folder for _, folder, _ in asked}) == len(LISTS)
    assert all(folder == environment.ROOT / ".venvs" / name for name, folder, _ in asked)
    assert all(listed == environment.requirements_of(name) for name, _, listed in asked)
