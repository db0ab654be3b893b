"""A judge of cached answers: what is outdated runs again, once, and its new answer is what is cached."""

from __future__ import annotations

import pytest

pytest.importorskip("tfx")

from pathlib import Path

from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from components.tfx_shim import (
    BaseComponent,
    BaseExecutor,
    Channel,
    ChannelParameter,
    ComponentSpec,
    ExecutionParameter,
    ExecutorClassSpec,
    standard_artifacts,
)
from pipeline.dag_runner import ObservedDagRunner

pytestmark = pytest.mark.tfx


class Counting(BaseExecutor):
    """Writes how often it was run for its word, in this process."""

    runs: list[str] = []

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        self.runs.append(exec_properties["word"])
        (artifact,) = output_dict["pushed"]
        text = f"{exec_properties['word']} {self.runs.count(exec_properties['word'])}"
        (Path(artifact.uri) / "answer").write_text(text)


class CountingSpec(ComponentSpec):
    PARAMETERS = {"word": ExecutionParameter(type=str)}
    INPUTS = {"model": ChannelParameter(type=standard_artifacts.Model, optional=True)}
    OUTPUTS = {"pushed": ChannelParameter(type=standard_artifacts.Model)}


class CountingComponent(BaseComponent):
    SPEC_CLASS = CountingSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Counting)

    def __init__(self, word: str, model: Channel | None = None) -> None:
        super().__init__(CountingSpec(word=word, model=model, pushed=Channel(type=standard_artifacts.Model)))


@pytest.fixture
def run(tmp_path):
    Counting.runs.clear()

    def _run(word: str, judge) -> tuple[str, str]:
        """State and answer of the node under the judge, which has an input as a Pusher has."""
        found = {}
        first = CountingComponent("first").with_id("First")
        second = CountingComponent(word, first.outputs["pushed"]).with_id("Second")
        pipeline = Pipeline(
            pipeline_name="counting",
            pipeline_root=str(tmp_path / "artifacts"),
            components=[first, second],
            enable_cache=True,
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
        )

        def listen(event, node_id, result):
            found[node_id] = result

        ObservedDagRunner(listen, {"Second": judge}).run(pipeline)
        return found["Second"].state, (Path(found["Second"].outputs["pushed"]) / "answer").read_text()

    return _run


def test_an_outdated_answer_is_made_anew_and_then_cached(run):
    newest = ""

    def judge(outputs):
        answer = (Path(outputs["pushed"]) / "answer").read_text()
        return "" if answer == newest else f"{newest} is newer"

    seen = []
    for word in ("a", "a", "b", "b", "a", "a", "b", "a", "a"):
        seen.append(run(word, judge))
        newest = seen[-1][1]
    assert seen == [
        ("executed", "a 1"),
        ("cached", "a 1"),
        ("executed", "b 1"),
        ("cached", "b 1"),
        ("executed", "a 2"),
        ("cached", "a 2"),
        ("executed", "b 2"),
        ("executed", "a 3"),
        ("cached", "a 3"),
    ]
    assert Counting.runs.count("first") == 1  # a node without a judge is as cached as ever
