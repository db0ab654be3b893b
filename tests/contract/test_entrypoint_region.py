"""A region's real steps, as its pods run them: onboarding as a process, approvals, the budget ledger."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("tfx")

from components.config_base import canonical_json
from components.drift.findings import MonitorReport
from components.drift_monitor.baselines import Baselines
from components.executor_base import write_json
from components.governance.config import WAITING
from components.release.keys import ensure_key_pair
from components.release.options import DEFAULT_OPTIONS
from pipeline import governance, regional
from pipeline.compiler import zones
from pipeline.compiler.lower import DIGEST
from pipeline.compiler.steps import RESOLVE, Step
from pipeline.config.load import load_deployment
from pipeline.config.model import Deployment
from pipeline.dag_runner import NodeResult, ObservedDagRunner
from pipeline.entrypoint import findings, notices, step
from pipeline.entrypoint.arguments import Arguments
from pipeline.entrypoint.launcher import Invocation
from tests.kubeflow import fleet

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
LOCALE = "us-east"  # open: without a training, its steps take seconds
RESOLVED = Step(RESOLVE, (), (), (), (), (), cached=False)


class Region:
    """A locale's compiled steps, run one after another."""

    def __init__(self, config: Path, root: Path, run: str = "run-1", findings: Any = "") -> None:
        self.deployment = load_deployment(config)
        self.zone = zones.region(self.deployment, LOCALE, findings)
        self.root, self.run_id = root, run
        self.parameters: dict[str, Any] = {
            "span": -1.0,
            "seed": 7.0,
            "exchange": self.deployment.exchange.uri,
        }
        self.artifacts: dict[str, Any] = {}

    def call(self, name: str) -> dict[str, Any]:
        """The ExecutorInput of a step."""
        found = next((item for item in self.zone.steps if item.name == name), RESOLVED)
        told = zones.content(self.zone, found)
        folder = self.root / self.run_id / name
        ports = {port.name: "system.Artifact" for port in found.outputs}
        ports |= {"summary": "system.Markdown"} if name == "push" else {}
        facts = self.zone.facts if name == RESOLVE else (DIGEST,)
        given = {"zone": LOCALE, "template": canonical_json(told), "own": "{}", "run": self.run_id}
        return {
            "inputs": {
                "parameterValues": {**self.parameters, **given},
                "artifacts": {port.name: self.artifacts[port.name] for port in found.inputs},
            },
            "outputs": {
                "artifacts": {
                    port: {
                        "artifacts": [
                            {"name": port, "uri": f"{folder}/{port}", "type": {"schemaTitle": kind}}
                        ]
                    }
                    for port, kind in ports.items()
                },
                "parameters": {fact: {"outputFile": f"{folder}/p/{fact}"} for fact in facts},
                "outputFile": f"{folder}/executor_output.json",
            },
        }

    def arguments(self, name: str, call: dict[str, Any]) -> Arguments:
        state = self.zone.placement.state or ""
        return Arguments(f"us-east-{name}", name, "region", self.zone.sharing, 0, "", state, json.dumps(call))

    def take(self, call: dict[str, Any]) -> None:
        """What the back end does with a step's outputs."""
        output = json.loads(Path(call["outputs"]["outputFile"]).read_text())
        self.parameters |= {k: v for k, v in output["parameterValues"].items() if k != DIGEST}
        self.artifacts |= output["artifacts"]

    def here(self, name: str) -> None:
        """Runs a step in this process."""
        call = self.call(name)
        step.run(self.arguments(name, call), Invocation(call), lambda node, seconds: None)
        self.take(call)

    def in_a_pod(self, name: str) -> str:
        """Runs a step's container as a process; returns what it printed."""
        call = self.call(name)
        found = self.arguments(name, call)
        command = [sys.executable, "-m", "pipeline.entrypoint", f"--task={found.task}", f"--step={name}"]
        command += [
            "--role=region",
            f"--sharing={found.sharing}",
            "--timeout-s=300",
            f"--state={found.state}",
        ]
        command += ["--executor_input", found.executor_input]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=REPOSITORY, timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.take(call)
        return done.stdout + done.stderr

    def push(self) -> dict[str, Any]:
        return json.loads((self.root / self.run_id / "push" / "pusher-pushed" / "push.json").read_text())


@pytest.fixture(autouse=True)
def places(monkeypatch) -> None:
    """A step names places in its environment; here others run in the same process afterwards."""
    for name in ("ISTHMUS_WORK_DIR", "ISTHMUS_CHECKPOINTS"):
        monkeypatch.setenv(name, "")


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, change: Any) -> Path:
    made = fleet.write(folder, str(folder / "exchange"))
    for name, value in made.everything.items():
        monkeypatch.setenv(name, value)
    data = yaml.safe_load(made.config.read_text())
    data["root"] = str(folder / "state")  # whoever approves sees the pods' volume
    for locale in data["locales"]:
        change(locale)
    made.config.write_text(yaml.safe_dump(data, sort_keys=False))
    return made.config


def isthmus(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=dict(os.environ)
    )


def test_a_governed_locale_waits_for_its_approver_and_the_notice_says_so(tmp_path: Path, monkeypatch) -> None:
    fleet_folder = tmp_path / "fleet"
    people = fleet_folder / "people"

    def govern(locale: dict[str, Any]) -> None:
        if locale["name"] == LOCALE:
            locale["governance"] = {"policy": str(people / "policy.yaml")}

    roles = (("ada", "owner"), ("benno", "scientist"), ("cleo", "approver"))
    config = write(fleet_folder, monkeypatch, govern)
    people.mkdir()
    for name, _ in roles:
        ensure_key_pair(people / name)
    named = [{"name": name, "roles": [role], "key": f"{name}.pub"} for name, role in roles]
    policy = {"version": 1, "locale": LOCALE, "people": named}
    (people / "policy.yaml").write_text(yaml.safe_dump(policy))
    where = ("--locale", LOCALE)
    adopted = isthmus("policy", config, *where, "--adopt", "--key", people / "ada")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr

    region = Region(config, tmp_path / "root", findings="exchange")
    region.here(RESOLVE)
    printed = region.in_a_pod("onboard")
    assert "step onboard of us-east: ExampleGen started" in printed and "Traceback" not in printed
    (examples,) = region.artifacts["examplegen-examples"]["artifacts"]
    assert examples["metadata"]["locale"] == LOCALE and Path(examples["uri"], "Split-train").is_dir()
    region.here("push")
    kept = Path(region.zone.placement.state or "", LOCALE)
    assert os.environ["ISTHMUS_CHECKPOINTS"] == str(kept / "artifacts" / "SynthesizerTrainer" / "checkpoints")

    push = region.push()
    assert not push["pushed"] and push["outcome"] == WAITING
    exchange = Path(region.deployment.exchange.uri)
    # What was found goes where the release goes, and waits with it.
    assert not list(exchange.rglob("monitor*"))
    assert not list(exchange.rglob("manifest.json"))
    notice = notices.read(str(exchange), DEFAULT_OPTIONS, "run-1")[LOCALE]
    assert notice["outcome"] == WAITING and notice["release_id"] == ""
    summary = (tmp_path / "root" / "run-1" / "push" / "summary").read_text()
    assert "not released" in summary and "waiting for approval (0 of 1)" in summary

    digest = push["content_digest"]
    assert isthmus("request", config, *where, "--key", people / "benno").returncode == 0
    approved = isthmus("approve", config, digest[:12], *where, "--key", people / "cleo", "--yes")
    assert approved.returncode == 0, approved.stdout + approved.stderr
    region.run_id = "run-2"  # everything before the Pusher comes from KFP's cache
    region.here("push")
    assert region.push()["pushed"] and region.push()["content_digest"] == digest
    assert notices.read(str(exchange), DEFAULT_OPTIONS, "run-2")[LOCALE]["outcome"] == "pushed"
    (released,) = exchange.glob(f"{LOCALE}/**/monitor.json")
    (left,) = exchange.glob(f"_notices/monitor-run-2/{LOCALE}.json")
    assert left.read_bytes() == released.read_bytes()
    assert notices.read(str(exchange), DEFAULT_OPTIONS, "run-1")[LOCALE]["outcome"] == WAITING

    # A pod that was killed after it had published, and its retry: one release.
    region.here("push")
    assert region.push()["pushed"] and len(list(exchange.rglob("manifest.json"))) == 1


def test_the_ledger_is_opened_in_the_pods_state(tmp_path: Path, monkeypatch) -> None:
    def limit(locale: dict[str, Any]) -> None:
        if locale["name"] == "eu-west":
            locale["privacy"] = {
                **(locale.get("privacy") or {}),
                "target_epsilon": 2,
                "target_delta": 1e-6,
                "budget": {"epsilon": 3, "delta": 1e-6, "unit": "record"},
            }
            period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-07T00:00:00Z"}
            kinds = ["heater_loss", "oscillation", "ramp", "spike"]
            locale["synthesizer"] = {"method": "dp_linear", "dp": {"period": period, "kinds": kinds}}

    config = write(tmp_path / "fleet", monkeypatch, limit)
    data = yaml.safe_load(config.read_text())
    data.pop("synthesizer", None)
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    deployment: Deployment = load_deployment(config)
    asked = {locale.name: zones.region(deployment, locale.name).question for locale in deployment.locales}
    assert {name for name, question in asked.items() if "budget" in question} == {"eu-west"}
    told = canonical_json(asked["eu-west"])
    assert "PRIVATE KEY" not in told and fleet.variable("eu-west") in told

    call = {
        "inputs": {
            "parameterValues": {
                "zone": "eu-west",
                "template": canonical_json({"question": {"$": "own-0"}}),
                "own": canonical_json({"own-0": asked["eu-west"]}),
                "span": -1,
                "exchange": deployment.exchange.uri,
            }
        },
        "outputs": {
            "parameters": {
                fact: {"outputFile": str(tmp_path / "p" / fact)}
                for fact in zones.region(deployment, "eu-west").facts
            },
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    state = str(tmp_path / "fleet" / "state")
    arguments = Arguments("eu-resolve", RESOLVE, "region", "restricted", 0, "", state, json.dumps(call))
    assert governance.ledger_of(deployment, "eu-west").state().budget is None
    step.run(arguments, Invocation(call), lambda node, seconds: None)
    # Where the trainer of the same spec looks for it, and a run on this root.
    assert governance.ledger_of(deployment, "eu-west").state().budget.epsilon == 3
    governance.open_budget(deployment, "eu-west")
    (ledger,) = Path(state).rglob("ledger-*.jsonl")
    assert len(ledger.read_text().splitlines()) == 1


def _against(region: Region) -> dict[str, list[int]]:
    """The spans of each baseline that the first step found."""
    found = Baselines.from_exec_property(region.parameters["baselines"])
    return {
        source.kind: [int(place.split("/")[0].removeprefix("span-")) for place in source.profiles]
        for source in found.sources
    }


def test_pods_compare_a_span_with_the_one_before(tmp_path: Path, monkeypatch) -> None:
    config = write(tmp_path / "fleet", monkeypatch, lambda locale: None)
    region = Region(config, tmp_path / "root", findings="exchange")
    region.here(RESOLVE)
    region.here("onboard")
    (source,) = region.zone.question["patterns"]
    first = Path(source.replace("{SPAN}", "0")).parent
    shutil.copytree(first, first.with_name("span-1"))

    region.run_id, region.parameters["span"] = "run-2", -1.0
    region.here(RESOLVE)
    assert region.parameters["span"] == 1 and _against(region) == {"previous": [0]}
    region.here("onboard")
    onboard = tmp_path / "root" / "run-2" / "onboard"
    monitor = json.loads((onboard / "driftmonitor-monitor" / "monitor.json").read_text())
    assert (monitor["status"], {item["against"] for item in monitor["findings"]}) == ("EVALUATED", {"span 0"})
    # TFDV's numbers are those of the whole span before, which its state has too.
    assert (
        json.loads((onboard / "examplevalidator-drift" / "drift.json").read_text())["status"] == "EVALUATED"
    )
    remarks = [item["reason"] for found in monitor["findings"] for item in found["measurements"]]
    assert any("TFDV computes" in remark for remark in remarks)

    # The last step leaves what it found for the report, as it may leave the region.
    region.here("push")
    exchange, dataset = region.deployment.exchange.uri, region.deployment.dataset
    left = findings.from_exchange(exchange, DEFAULT_OPTIONS, "run-2", LOCALE, 1, dataset)
    outward = (onboard / "driftmonitor-monitor" / "outward.json").read_bytes()
    assert left == MonitorReport.model_validate_json(outward)
    assert left.model_dump(mode="json") != monitor  # which has bins of rows
    assert findings.from_exchange(exchange, DEFAULT_OPTIONS, "run-1", LOCALE, 0, dataset) is None


def onboard_here(deployment: Deployment, number: int) -> dict[str, dict[str, str]]:
    """What `isthmus run --stage onboard` does with the locale, in this process; each component's outputs."""
    done: list[dict[str, Any]] = []

    def listen(event: str, node: str, result: NodeResult | None) -> None:
        done.extend([dataclasses.asdict(result)] if result else [])

    ObservedDagRunner(listen).run(regional.build(deployment, LOCALE, stage="onboard"))
    record = {"locales": {LOCALE: {"components": done}}, "central": {}}
    write_json(Path(deployment.root) / "runs" / f"run-{number}" / "run.json", record)
    return {item["id"]: item["outputs"] for item in done}


def test_a_window_and_a_reference_give_what_a_local_run_gives(tmp_path: Path, monkeypatch) -> None:
    """Three spans: the reports of the third are the same bytes, in pods and by `isthmus run`."""
    config = write(tmp_path / "fleet", monkeypatch, lambda locale: None)
    data = yaml.safe_load(config.read_text())
    data["root"] = str(tmp_path / "local")
    data["monitoring"] = {**data.get("monitoring", {}), "draws": 50}
    data["monitoring"]["baselines"] = {"previous": True, "window": 2, "reference": 0}
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    region = Region(config, tmp_path / "root")
    (source,) = region.zone.question["patterns"]
    folder = Path(source.replace("{SPAN}", "0")).parent
    (first,) = folder.glob("*.csv")
    rows = first.read_text().splitlines(keepends=True)
    for span in range(3):
        if span:
            there = folder.with_name(f"span-{span}")
            there.mkdir()
            (there / first.name).write_text("".join([rows[0], *rows[1 + span * 40 :]]))
        local = onboard_here(region.deployment, span)
        region.run_id, region.parameters["span"] = f"run-{span}", -1.0
        region.here(RESOLVE)
        region.here("onboard")
    assert _against(region) == {"previous": [1], "window": [0, 1], "reference": [0]}
    mine = tmp_path / "root" / "run-2" / "onboard" / "driftmonitor-monitor"
    theirs = Path(local["DriftMonitor"]["monitor"])
    for name in ("monitor.json", "outward.json"):
        assert (mine / name).read_bytes() == (theirs / name).read_bytes()
    report = json.loads((mine / "monitor.json").read_text())
    assert {(item["baseline"], item["against"]) for item in report["findings"]} == {
        ("previous", "span 1"),
        ("window", "spans 0 to 1"),
        ("reference", "span 0"),
    }

    # Another span 0 is another parameter of the step, and so another key of KFP's cache.
    before = region.parameters["baselines"]
    first.write_text("".join([rows[0], *rows[201:]]))
    region.run_id, region.parameters["span"] = "run-again", 0.0
    region.here(RESOLVE)
    region.here("onboard")
    region.parameters["span"] = -1.0
    region.here(RESOLVE)
    assert region.parameters["span"] == 2 and region.parameters["baselines"] != before
