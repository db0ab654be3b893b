"""One key and one budget for the tests of the ledger and of the audit log."""

from __future__ import annotations

import json
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

    def push(self, model: Path | None = None, verdict: str = "BLESSED", rows: int = 20) -> dict:
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
            checks = [{"metric": "dcr", "passed": verdict == "BLESSED"}]
            content = {
                "metrics": [{"name": "dcr", "value": rows / 20}],
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
        return push_governed(config, "eu-west", 1, inputs, model)

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
