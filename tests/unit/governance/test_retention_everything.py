"""Nothing that a locale's root holds escapes retention, but for what is named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from pipeline import retaining
from pipeline.config.load import load_deployment

DEPLOYMENT = """
version: 1
name: fleet
root: runs
dataset: {series: [asset], label: label, interval_s: 60, features: [{name: temp_c}], targets: [temp_c]}
locales:
  - name: eu-west
    sharing: restricted
    source: {pattern: eu.csv}
    privacy: {gate: {}}
    retention: {examples_days: 30, models_days: 90, logs_days: 7}
    signing_key: {file: key}
    trusted_key: key.pub
exchange: {uri: exchange}
central: {quorum: 1, test_set: {pattern: test.csv}}
"""
#: What a run leaves below a locale's root, by component and channel.
OUTPUTS = {
    "ExampleGen": ("examples", "quarantine"),
    "StatisticsGen": ("statistics",),
    "SchemaGen": ("schema",),
    "ExampleValidator": ("anomalies", "drift"),
    "SynthesizerTrainer": ("model",),
    "SyntheticGen": ("synthetic",),
    "SyntheticStatisticsGen": ("statistics",),
    "ReleaseEvaluator": ("evaluation", "blessing"),
    "Pusher": ("pushed",),
}
CONTENT = {"quarantine": "ingest.json", "synthetic": "categories.json", "pushed": "push.json"}


class Fleet:
    def __init__(self, folder: Path) -> None:
        (folder / "isthmus.yaml").write_text(DEPLOYMENT)
        self.deployment = load_deployment(folder / "isthmus.yaml")
        self.runs = folder / "runs"
        self.root = self.runs / "eu-west"

    def run(self, number: int, span: int = 0) -> None:
        """What a run leaves, and what a kill or a refusal leaves beside it."""
        components = []
        for component, channels in OUTPUTS.items():
            outputs = {}
            for channel in channels:
                folder = self.root / "artifacts" / component / channel / str(number)
                folder.mkdir(parents=True)
                content = json.dumps({"span": span, "pushed": True})
                (folder / CONTENT.get(channel, "content")).write_text(content)
                outputs[channel] = str(folder)
            components.append({"id": component, "state": "executed", "outputs": outputs})
            (self.root / "artifacts" / component / ".system" / "stateful_working_dir").mkdir(
                parents=True, exist_ok=True
            )
        for name in (
            f"logs/run-{number}.log",
            f"reports/run-{number}.html",
            f"work/ExampleValidator/span-{number}/drift.json",
            f"artifacts/SynthesizerTrainer/checkpoints/{number:016x}/state.json",
            f"artifacts/SynthesizerTrainer/model/.saving-{number}/saved_model.pb",
            f"artifacts/ExampleGen/.system/executor_execution/{number}/.temp/rows",
            "metadata.sqlite",
            "governance/audit.jsonl",
        ):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("curves of real rows")
        record = self.runs / "runs" / f"run-{number}" / "run.json"
        record.parent.mkdir(parents=True)
        section = {"components": components, "log": str(self.root / "logs" / f"run-{number}.log")}
        record.write_text(json.dumps({"locales": {"eu-west": section}, "central": None}))

    def later(self, days: float) -> list[retaining.Item]:
        """Retention that many days after the runs, applied; returns what it looked at."""
        items = retaining.overdue(self.deployment, "eu-west", time.time() + days * 86_400)
        for item in items:
            if not item.needed_by:
                retaining.remove(self.deployment, item)
        return items

    def files(self) -> set[str]:
        """Files below the locale's root that no exception of `KEPT` names."""
        found = {path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file()}
        kept = {p.relative_to(self.root) for pattern in retaining.KEPT for p in self.root.glob(pattern)}
        kept |= {path for path in found if kept & set(path.parents)}
        return {path.as_posix() for path in found - kept}


@pytest.fixture
def fleet(tmp_path) -> Fleet:
    return Fleet(tmp_path)


def test_only_named_exceptions_and_the_current_lineage_are_left_of_the_whole_root(fleet):
    fleet.run(1)
    fleet.run(2)
    items = fleet.later(400)
    left = {name.replace("run-", "").replace("span-", "") for name in fleet.files()}
    assert left and not [name for name in left if "/1/" in name or name.startswith(("work", "logs/1"))]
    assert "logs/2.log" in left and "reports/2.html" in left and "reports/1.html" not in left
    # The rest is what the latest run's artifacts consist of.
    lineage = {f"{component}/{channel}" for component in OUTPUTS for channel in OUTPUTS[component]}
    for name in left - {"logs/2.log", "reports/2.html"}:
        assert "/".join(name.split("/")[1:3]) in lineage and name.split("/")[3] == "2", name
    reasons = {item.uri.replace(str(fleet.root), ""): item.needed_by for item in items if item.needed_by}
    assert reasons["/logs/run-2.log"] == reasons["/reports/run-2.html"] == "the latest run"
    assert reasons["/artifacts/SyntheticGen/synthetic/2"] == "the current lineage"


def test_what_describes_rows_goes_with_the_rows_and_checkpoints_with_the_models(fleet):
    fleet.run(1)
    fleet.run(2)
    kinds = {item.uri.replace(f"{fleet.root}/", ""): item.kind for item in fleet.later(31)}
    for name in (
        "artifacts/SyntheticGen/synthetic/1",
        "reports/run-1.html",
        "work/ExampleValidator/span-1",
        "artifacts/ExampleGen/.system/executor_execution/1",
    ):
        assert kinds[name] == "examples" and not (fleet.root / name).exists()
    checkpoint = "artifacts/SynthesizerTrainer/checkpoints/0000000000000001"
    assert checkpoint not in kinds
    assert {item.uri for item in fleet.later(91) if item.kind == "models" and not item.needed_by} >= {
        str(fleet.root / checkpoint)
    }
    assert not (fleet.root / checkpoint).exists()


def test_the_synthetic_rows_that_the_next_span_is_compared_with_stay(fleet):
    fleet.run(1, span=0)
    fleet.run(2, span=1)
    reasons = {item.uri: item.needed_by for item in fleet.later(400)}
    assert reasons[str(fleet.root / "artifacts/SyntheticGen/synthetic/1")] == "the current lineage"
    assert reasons[str(fleet.root / "artifacts/ReleaseEvaluator/evaluation/1")] == ""


def test_a_deletion_in_the_work_folder_that_was_killed_is_finished_by_the_next(fleet):
    fleet.run(1)
    folder = fleet.root / "work" / "ExampleValidator" / "span-1"
    os.rename(folder, folder.with_name(".deleted-span-1-abc"))
    assert retaining.sweep(fleet.root) == 1
    assert not list((fleet.root / "work" / "ExampleValidator").iterdir())
