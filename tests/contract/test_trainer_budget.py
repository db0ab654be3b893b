"""The trainer under a budget: it asks the ledger before it trains, and says what the model cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components import split_io
from components.dataset import DatasetConfig, FeatureConfig
from components.errors import PrivacyBudgetExceededError
from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.governance.core.events import Gaussian, PrivacyCost
from components.governance.core.spending import open_ledger, read_cost
from components.release.keys import ensure_key_pair
from components.secrets import SecretRef
from components.synthesizer_trainer.config import SynthesizerTrainerConfig

pytestmark = pytest.mark.tfx

DATASET = DatasetConfig(
    series=("asset",),
    label="label",
    features=(FeatureConfig(name="temp"),),
    targets=("temp",),
    interval_s=600,
)


class Budgeted:
    """A trainer's inputs, and a ledger with a budget of 0.2."""

    def __init__(self, root: Path) -> None:
        self.root, key = root, ensure_key_pair(root / "key")
        self.governance = GovernanceConfig(
            locale="eu-west",
            folder=str(root / "governance"),
            trusted_keys=(str(root / "key.pub"),),
            budget_unit="series",
        )
        open_ledger(self.governance).open(key, BudgetConfig(epsilon=0.2, delta=1e-6, unit="series"))

    @property
    def state(self):
        return open_ledger(self.governance).state()

    def train(self, number: int = 1, seed: int = 5, **changes: Any) -> Path:
        from components.synthesizer_trainer.component import SynthesizerTrainer
        from components.synthesizer_trainer.executor import Executor
        from components.tfx_shim import Channel, artifact_utils, standard_artifacts

        rows = 600
        examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
        examples.uri, schema.uri = str(self.root / "examples"), str(self.root / "schema")
        turn = np.arange(rows) * 2 * np.pi / 144
        table = pa.table(
            {
                "timestamp": np.arange(rows, dtype=np.int64) * 600_000_000,
                "asset": ["pump"] * rows,
                "temp": (20 + 3 * np.sin(turn)).astype(np.float32),
                "label": np.zeros(rows, np.int64),
            }
        )
        if not Path(examples.uri).exists():
            split_io.write_split(examples.uri, "train", table)
        examples.split_names = artifact_utils.encode_split_names(["train"])
        Path(schema.uri).mkdir(exist_ok=True)
        (Path(schema.uri) / "schema.pbtxt").write_text('feature { name: "temp" type: FLOAT }')
        model = standard_artifacts.Model()
        model.uri = str(self.root / "SynthesizerTrainer" / "model" / str(number))
        component = SynthesizerTrainer(
            SynthesizerTrainerConfig.small(DATASET, max_steps=0, **changes),
            examples=Channel(type=standard_artifacts.Examples),
            statistics=Channel(type=standard_artifacts.ExampleStatistics),
            schema=Channel(type=standard_artifacts.Schema),
            locale="eu-west",
            seed=seed,
            ledger=LedgerAccess(
                governance=self.governance, signing_key=SecretRef(file=str(self.root / "key"))
            ),
        )
        inputs = {"examples": [examples], "schema": [schema]}
        Executor().Do(inputs, {"model": [model]}, dict(component.exec_properties))
        return Path(model.uri)


@pytest.fixture
def budgeted(tmp_path: Path, monkeypatch) -> Budgeted:
    from components.synthesizer_trainer import executor

    def planned(config: SynthesizerTrainerConfig, unit: Any) -> PrivacyCost:
        return PrivacyCost(unit=unit, events=(Gaussian(noise_multiplier=20.0),))

    monkeypatch.setattr(executor, "planned_cost", planned)
    return Budgeted(tmp_path)


def test_a_model_is_reserved_for_says_what_it_cost_and_a_second_one_is_refused(budgeted: Budgeted) -> None:
    model = budgeted.train()
    (reservation,) = budgeted.state.reservations.values()
    cost = read_cost(model, "x")
    assert (reservation.status, reservation.work_id, reservation.cost) == ("reserved", cost.work_id, cost)
    # The same work again, in a run of its own: nothing more is counted.
    assert read_cost(budgeted.train(number=2), "x") == cost
    assert len(budgeted.state.reservations) == 1
    with pytest.raises(PrivacyBudgetExceededError, match=r"from 0\.1892 to 0\.274"):
        budgeted.train(number=3, seed=6)
    assert not (budgeted.root / "SynthesizerTrainer" / "model" / "3").exists()


def test_a_training_that_fails_has_spent_its_reservation(budgeted: Budgeted, monkeypatch) -> None:
    from components.synthesizer_trainer.core import training

    def fail(*arguments: Any, **options: Any) -> None:
        assert budgeted.state.epsilon() > 0  # reserved by now
        raise RuntimeError("out of memory")

    monkeypatch.setattr(training, "train_synthesizer", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        budgeted.train()
    assert [found.status for found in budgeted.state.reservations.values()] == ["failed"]
    assert budgeted.state.epsilon() > 0


def test_a_synthesizer_without_bound_is_refused_before_it_trains(budgeted: Budgeted, monkeypatch) -> None:
    from components.synthesizer_trainer import executor
    from components.synthesizer_trainer.core import training

    monkeypatch.setattr(executor, "planned_cost", lambda config, unit: PrivacyCost.non_private(unit))
    monkeypatch.setattr(training, "train_synthesizer", lambda *a, **k: pytest.fail("it trained"))
    with pytest.raises(PrivacyBudgetExceededError, match="from 0 to inf"):
        budgeted.train()
