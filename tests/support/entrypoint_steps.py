"""Two small executors, and what a container is given to run them, for tests of `pipeline.entrypoint`."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

from components.config_base import canonical_json

REPOSITORY = Path(__file__).parents[2]
#: What the executors' module is called while a test runs: only our packages and TFX's types are imported.
MODULE = "components.tiny_for_tests"
EXAMPLES, STATISTICS = (
    "tfx.types.standard_artifacts.Examples",
    "tfx.types.standard_artifacts.ExampleStatistics",
)
SOURCE = '''
from pathlib import Path

from components.errors import DataError
from components.tfx_shim import BaseExecutor


class Make(BaseExecutor):
    """Writes rows."""

    def Do(self, inputs, outputs, properties):
        (made,) = outputs["examples"]
        # Not a word of the spec, which both sides of the border have.
        row = properties["rows"].upper()
        if properties["fail"]:
            print("row", row)
            raise (DataError if properties["fail"] == "own" else KeyError)(f"found {row}")
        for split in ("train", "eval"):
            folder = Path(made.uri) / f"Split-{split}"
            folder.mkdir()
            (folder / "data.txt").write_text(row)
        made.split_names = '["train", "eval"]'
        made.span = properties["span"]
        made.set_string_custom_property("locale", properties["locale"])


class Count(BaseExecutor):
    """Counts them."""

    def Do(self, inputs, outputs, properties):
        (examples,), (made,) = inputs["examples"], outputs["statistics"]
        assert examples.split_names == '["train", "eval"]', examples
        found = sorted(Path(examples.uri).glob("Split-*/data.txt"))
        text = f"{len(found)} of span {examples.span} {found[0].read_text()}"
        (Path(made.uri) / "count.txt").write_text(text)
        made.split_names = examples.split_names
        made.set_string_custom_property("locale", examples.get_string_custom_property("locale"))
        made.set_int_custom_property("span", examples.span)
'''


def module() -> types.ModuleType:
    """The executors as a module, known as `MODULE`."""
    made = types.ModuleType(MODULE)
    exec(compile(SOURCE, MODULE, "exec"), made.__dict__)
    return made


def node(kind: str) -> dict[str, Any]:
    """What a container is told of `Make` or `Count`."""
    if kind == "Make":
        ports: dict[str, Any] = {"inputs": {}, "outputs": {"examples": ["make-examples", EXAMPLES]}}
    else:
        ports = {
            "inputs": {"examples": ["make-examples", EXAMPLES]},
            "outputs": {"statistics": ["count-statistics", STATISTICS]},
        }
    return {"id": kind, "kind": kind, "executor": f"{MODULE}.{kind}", "beam": False, **ports}


PROPERTIES = {
    "Make": {"rows": {"$": "own-0"}, "span": {"$": "span"}, "locale": "eu", "fail": {"$": "own-1"}},
    "Count": {},
}


def call(
    root: Path, *kinds: str, rows: str = "4711", fail: str = "", inputs: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An ExecutorInput.

    Args:
      root: In place of a pipeline root.
      kinds: The step's nodes.
      rows: What `Make` writes, in capitals.
      fail: How `Make` fails: `own`, `foreign` or not at all.
      inputs: Input artifacts by name, as an ExecutorOutput has them.
    """
    ports = [port for kind in kinds for port, _ in node(kind)["outputs"].values()]
    template = {
        "nodes": [node(kind) for kind in kinds],
        "properties": {kind: PROPERTIES[kind] for kind in kinds},
    }
    given = {
        "zone": "eu",
        "span": 3.0,
        "template": canonical_json(template),
        "own": canonical_json({"own-0": rows, "own-1": fail}),
    }
    step = "-".join(kinds).lower()
    return {
        "inputs": {"parameterValues": given, "artifacts": inputs or {}},
        "outputs": {
            "artifacts": {
                port: {
                    "artifacts": [
                        {
                            "name": f"projects/{port}",
                            "uri": str(root / step / port),
                            "type": {"schemaTitle": "system.Dataset"},
                        }
                    ]
                }
                for port in ports
            },
            "parameters": {"digest": {"outputFile": str(root / step / "digest")}},
            "outputFile": str(root / step / "executor_output.json"),
        },
    }


def container(
    executor_input: dict[str, Any], *options: str, before: str = "", after: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m pipeline.entrypoint` with the executors at hand.

    Args:
      executor_input: As `call` makes it.
      options: Further arguments.
      before: Python that runs first.
      after: Python that runs in the working process when the step is done.
    """
    script = f"""
import runpy, sys, types
from tests.support import entrypoint_steps
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        import importlib.util
        if name == {MODULE!r}:
            return importlib.util.spec_from_loader(name, Finder)
    create_module = staticmethod(lambda spec: None)
    @staticmethod
    def exec_module(module):
        exec(compile(entrypoint_steps.SOURCE, module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder)
{before}
from pipeline.entrypoint import guard
work = guard.guarded
def guarded(run, *rest, **how):
    def then(ending):
        status = run(ending)
        {after or "pass"}
        return status
    return work(then, *rest, **how)
guard.guarded = guarded
runpy.run_module("pipeline.entrypoint", run_name="__main__", alter_sys=True)
"""
    command = [sys.executable, "-c", script, "--task=eu-make", "--step=make", *options]
    command += ["--executor_input", json.dumps(executor_input)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
        check=False,
    )
