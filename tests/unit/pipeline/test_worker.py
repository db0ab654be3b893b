"""What the process of the border check says where something fails that is none of our own errors."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from pipeline import worker
from pipeline.config import load

SECRET = "Lindqvist"


class Pipe:
    """The end of a pipe that remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.closed = False

    def send(self, item: object) -> None:
        self.sent.append(item)

    def close(self) -> None:
        self.closed = True


def refuse(*_: object, **__: object) -> None:
    raise ValueError(f"row 17 of {SECRET} does not parse")


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Stand-ins for the modules that need TFX; `eu` cannot be built."""
    made = {name: ModuleType(f"pipeline.{name}") for name in ("central", "regional", "border_view")}
    made["central"].NAME = "central"
    made["central"].build = lambda *_: "the centre"
    made["regional"].build = lambda _, name, **__: refuse() if name == "eu" else name
    made["border_view"].prove = lambda _, built: SimpleNamespace(to_json=lambda: dict(built))
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, f"pipeline.{name}", module)
        monkeypatch.setattr(f"pipeline.{name}", module, raising=False)
    monkeypatch.setattr(load, "load_deployment", lambda _: None)
    return made


def test_a_pipeline_that_cannot_be_built_is_left_to_its_worker(pipelines, capsys):
    pipe = Pipe()
    worker.examine_border("here.yaml", ["eu", "us", "central"], "merge", False, pipe)
    assert pipe.sent == [("", {"us": "us", "central": "the centre"})] and pipe.closed
    assert SECRET not in "".join(capsys.readouterr())


def test_a_proof_that_fails_says_its_type_alone(pipelines, capsys):
    pipelines["border_view"].prove = refuse
    pipe = Pipe()
    with pytest.raises(SystemExit) as caught:
        worker.examine_border("here.yaml", ["us"], "merge", False, pipe)
    assert caught.value.code == 3 and pipe.sent == [] and pipe.closed
    assert caught.value.__suppress_context__
    assert capsys.readouterr().err == "border: the check failed (ValueError)\n"
