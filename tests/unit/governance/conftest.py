"""One key and one budget for the tests of the ledger and of the audit log."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.governance.config import BudgetConfig
from components.governance.core.events import Gaussian, PrivacyCost
from components.governance.core.ledger import Ledger
from components.release.keys import PrivateKey, new_private_key


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
