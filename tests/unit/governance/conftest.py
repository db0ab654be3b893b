"""One key and one budget for the tests of the ledger and of the audit log."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.governance.core.events import Gaussian, PrivacyCost
from components.governance.core.ledger import Ledger
from components.governance.core.policy import load_policy
from components.governance.core.spending import open_audit_log, open_ledger, reserved, write_cost
from components.pusher.clearing import push_governed
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs
from components.release.keys import PrivateKey, ensure_key_pair, load_public_key, new_private_key
from components.release.storage import open_store
from components.release.verify import verify_release
from components.secrets import SecretRef
from components.split_io import write_split
from pipeline import cli
from pipeline.config.load import load_deployment
from pipeline.erasure import steps
from pipeline.erasure.forms import stored_forms
from pipeline.erasure.steps import Step

PEOPLE = SimpleNamespace(owner=new_private_key(), scientist=new_private_key(), approver=new_private_key())


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return new_private_key()


@pytest.fixture
def budget() -> BudgetConfig:
    # One release of multiplier 20 costs 0.19 at this delta, two 0.27, three 0.33, ten 0.64 (closed form).
    return BudgetConfig(epsilon=0.3, delta=1e-6, unit="series", cadence="weekly")


@pytest.fixture
def cost() -> PrivacyCost:
    return PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=20.0),))


@pytest.fixture
def ledger(tmp_path: Path, key: PrivateKey, budget: BudgetConfig) -> Ledger:
    made = Ledger(tmp_path / "governance", "eu-west", "series", [key.public])
    made.open(key, budget)
    return made


class Region:
    """A locale's root with everything that its Pusher reads."""

    def __init__(
        self, root: Path, *, budget: float | None = None, approvals: int | None = None, folder: str = ""
    ) -> None:
        self.root, self.people = root, PEOPLE
        self.key = ensure_key_pair(root / "key")
        self.governance = GovernanceConfig(
            locale="eu-west",
            folder=folder or str(root / "governance"),
            trusted_keys=(str(root / "key.pub"),),
            budget_unit="series" if budget else None,
            policy=str(root / "policy.yaml") if approvals is not None else None,
            required_approvals=0,
        )
        if budget:
            limit = BudgetConfig(epsilon=budget, delta=1e-6, unit="series")
            open_ledger(self.governance).open(self.key, limit)
        if approvals is not None:
            self.write_policy(approvals)
            self.audit.adopt(PEOPLE.owner, load_policy(root / "policy.yaml", "eu-west"))

    @property
    def audit(self):
        return open_audit_log(self.governance)

    @property
    def ledger(self):
        return open_ledger(self.governance)

    def write_policy(self, approvals: int, approver: str = "approver") -> None:
        people = [
            ("Ada", "owner", PEOPLE.owner),
            ("Benno", "scientist", PEOPLE.scientist),
            ("Cleo", approver, PEOPLE.approver),
        ]
        lines = [f"  - {{name: {n}, roles: [{r}], key: '{k.public.to_text()}'}}" for n, r, k in people]
        text = f"version: 1\nlocale: eu-west\nrequired_approvals: {approvals}\npeople:\n" + "\n".join(lines)
        (self.root / "policy.yaml").write_text(text)

    def train(self, name: str = "model", work: str = "work-1", fail: bool = False) -> Path:
        access = LedgerAccess(governance=self.governance, signing_key=SecretRef(file=str(self.root / "key")))
        folder = self.root / name
        with reserved(
            access, work, 1, PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=20.0),))
        ) as cost:
            if fail:
                raise ValueError("row 17 of ada@example.org does not parse")
            folder.mkdir()
            (folder / "saved_model.pb").write_bytes(name.encode())
            write_cost(folder, cost)
        return folder

    def push(
        self, model: Path | None = None, verdict: str = "BLESSED", rows: int = 20, span: int = 1
    ) -> dict:
        folder = self.root / f"inputs-{rows}-{verdict}"
        if not folder.exists():
            write_split(
                folder / "examples",
                "train",
                pa.table({"timestamp": np.arange(rows), "x": np.linspace(0, 1, rows, dtype=np.float32)}),
            )
            (folder / "blessing").mkdir()
            (folder / "blessing" / verdict).touch()
            (folder / "evaluation").mkdir()
            checks = [{"metric": "dcr_share_rows", "passed": verdict == "BLESSED"}]
            content = {
                "metrics": [{"name": "dcr_share_rows", "value": rows / 20}],
                "gate": {"verdict": verdict, "checks": checks},
            }
            (folder / "evaluation" / "evaluation.json").write_text(json.dumps(content))
        inputs = RegionInputs(
            folder / "examples", evaluation=folder / "evaluation", blessing=folder / "blessing"
        )
        config = PusherConfig(
            kind="synthetic",
            exchange_uri=str(self.root / "exchange"),
            signing_key=SecretRef(file=str(self.root / "key")),
            governance=self.governance,
        )
        return push_governed(config, "eu-west", span, inputs, model)

    @property
    def published(self) -> list[Path]:
        return sorted((self.root / "exchange").rglob("manifest.json"))

    def manifest(self, report: dict):
        key = load_public_key(str(self.root / "key.pub"))
        return verify_release(open_store(report["uri"]), "", {"eu-west": [key]}).manifest


@pytest.fixture
def people() -> SimpleNamespace:
    """Keys of the people that a `Region`'s policy names: Ada, Benno and Cleo."""
    return PEOPLE


@pytest.fixture
def make_region(tmp_path: Path) -> Callable[..., Region]:
    return lambda root=tmp_path, **options: Region(root, **options)


DEPLOYMENT = """
version: 1
name: fleet
root: .
dataset: {series: [asset], label: label, interval_s: 60, features: [{name: temp_c}], targets: [temp_c]}
locales:
  - name: eu-west
    sharing: restricted
    source: {pattern: "eu-{SPAN}.csv"}
    privacy: {gate: {}}
    governance: {policy: policy.yaml, required_approvals: 0}
    retention: {examples_days: 30, models_days: 90, releases_days: 365, logs_days: 7}
    pii: [{column: asset, action: pseudonymise, key: {file: salt}}]
    signing_key: {file: key}
    trusted_key: key.pub
  - name: us-east
    sharing: open
    source: {pattern: us.csv}
    signing_key: {file: us}
    trusted_key: us.pub
exchange: {uri: exchange}
central: {quorum: 2, test_set: {pattern: test.csv}}
"""
DAY_S = 86_400.0
#: Per component its outputs, and what it reads.
COMPONENTS = {
    "ExampleGen": (("examples", "quarantine"), ()),
    "StatisticsGen": (("statistics",), ("examples",)),
    "ExampleValidator": (("anomalies", "drift"), ("statistics",)),
    "SynthesizerTrainer": (("model",), ("examples", "statistics")),
    "SyntheticGen": (("synthetic",), ("model",)),
    "ReleaseEvaluator": (("evaluation", "blessing"), ("examples", "synthetic")),
    "Pusher": (("pushed",), ("synthetic", "evaluation", "blessing")),
}


class Locale:
    """The folder of `eu-west` after some runs, with their records."""

    def __init__(self, root: Path, region) -> None:
        self.root, self.region, self.runs = root, region, 0
        self.executions: list[Step] = []
        (root / "isthmus.yaml").write_text(DEPLOYMENT)
        (root / "salt").write_text("a secret that stays in the locale")

    @property
    def deployment(self):
        return load_deployment(self.root / "isthmus.yaml")

    def source(self, *assets: str, span: int = 1) -> None:
        rows = [f"2026-01-01T00:0{n}:00Z,{asset},1.5,0" for n, asset in enumerate(assets)]
        text = "timestamp,asset,temp_c,label\n" + "\n".join(rows) + "\n"
        (self.root / f"eu-{span}.csv").write_text(text)

    def run(
        self, *assets: str, rows: int = 20, age_days: float = 0, span: int = 1, before: dict | None = None
    ) -> dict[str, Path]:
        """One run on rows of these assets; returns its artifacts. `before`: those of the span before."""
        self.runs += 1
        made = {}
        for component, (channels, _) in COMPONENTS.items():
            for channel in channels:
                folder = self.root / "eu-west" / "artifacts" / component / channel / str(self.runs)
                folder.mkdir(parents=True)
                (folder / "content").write_text(component)
                made[channel] = folder
        stored = [stored_forms(self.deployment, "eu-west", "asset", asset)[0][0] for asset in assets]
        write_split(made["examples"], "train", pa.table({"asset": stored, "temp_c": [1.0] * len(stored)}))
        (made["quarantine"] / "ingest.json").write_text(json.dumps({"span": span}))
        push = self.region.push(rows=rows, span=span)
        (made["pushed"] / "push.json").write_text(json.dumps(push))
        log = self.root / "eu-west" / "logs" / f"{self.runs}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("a run")
        self._record(made, str(log))
        self._execute(made, span, before or {})
        then = time.time() - age_days * DAY_S
        for path in [*(p for folder in made.values() for p in (folder, *folder.rglob("*"))), log]:
            os.utime(path, (then, then))
        for path in Path(push["uri"]).rglob("*"):
            os.utime(path, (then, then))
        return {**made, "release": Path(push["uri"]), "log": log}

    def _record(self, made: dict[str, Path], log: str) -> None:
        components = [
            {"id": name, "state": "executed", "outputs": {x: str(made[x]) for x in channels}}
            for name, (channels, _) in COMPONENTS.items()
        ]
        folder = self.root / "runs" / f"2026010{self.runs}"
        folder.mkdir(parents=True)
        state = {"locales": {"eu-west": {"components": components, "log": log}}, "central": None}
        (folder / "run.json").write_text(json.dumps(state))

    def _execute(self, made: dict[str, Path], span: int, before: dict[str, Path]) -> None:
        """What the metadata store would say of the run; `test_erasure` reads a real one too."""
        (self.root / "eu-west" / "metadata.sqlite").touch()
        against = {"ExampleValidator": "statistics", "ReleaseEvaluator": "synthetic"}
        for name, (writes, reads) in COMPONENTS.items():
            self.executions.append(
                Step(
                    component=name,
                    reads=frozenset(str(made[channel]) for channel in reads),
                    compares=frozenset(str(before[x]) for x in (against.get(name),) if x in before),
                    writes=frozenset(str(made[channel]) for channel in writes),
                    span=span,
                )
            )


@pytest.fixture
def locale(make_region, tmp_path, monkeypatch) -> Locale:
    (tmp_path / "eu-west").mkdir()
    region = make_region(approvals=0, folder=str(tmp_path / "eu-west" / "governance"))
    made = Locale(tmp_path, region)
    # A store of its own per test would take most of the tests' time: it waits for the disk at each write.
    monkeypatch.setattr(steps, "of_store", lambda file: made.executions if file.exists() else [])
    return made


@pytest.fixture
def isthmus(locale, monkeypatch, capsys):
    """Runs the command line on the locale's deployment; gives exit status and all output."""

    def run(command: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["isthmus", command, str(locale.root / "isthmus.yaml"), *arguments])
        capsys.readouterr()
        status = cli._run_app()
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run
