"""SynthesizerTrainer with method `dp_gan`, and SyntheticGen on what it makes: cost, checkpoint, rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.governance.core.accounting import spent_epsilon
from components.governance.core.events import COST_FILE, SelfComposed, parse_cost
from tests.contract.test_dp_synthesizer import _generate, _table, _train

pytestmark = pytest.mark.tfx

CRITIC = {"steps": 6, "sampling_rate": 0.2, "units": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    root = tmp_path_factory.mktemp("gan")
    return root, *_train(root, _table(), "dp_gan", critic=CRITIC)


def test_the_cost_and_the_report_say_what_was_done(trained: Any) -> None:
    root, _, model = trained
    cost = parse_cost((Path(model.uri) / COST_FILE).read_bytes(), "x")
    assert cost.is_private and len(cost.events) == 4 and cost.time_range is not None
    assert isinstance(cost.events[-1], SelfComposed) and cost.events[-1].count == 6
    assert 7.8 < spent_epsilon([cost], 1e-6) <= 8
    report = json.loads((Path(model.uri) / "synthesizer.json").read_text())
    assert report["method"] == "dp_gan" and report["training"]["steps"] == 6
    assert report["privacy"]["critic"]["event"] == cost.events[-1].model_dump(mode="json")
    assert "Poisson" in report["privacy"]["sampling"]
    assert not {"rows", "seconds", "series", "fidelity_best"} & set(report)
    # The checkpoint is gone.
    assert not list((root / "trainer" / "checkpoints").glob("*"))


def test_synthetic_gen_works_unchanged_and_repeats_itself(trained: Any, tmp_path: Path) -> None:
    from components.synthesizer_trainer.core.sampling import Synthesizer

    _, inputs, model = trained
    assert Synthesizer.load(model.uri).metadata["residual"]
    tables = [
        _generate(tmp_path / name, inputs, model, grid="regular", sessions=2, egress={}) for name in "ab"
    ]
    assert tables[0].num_rows == 2 * (14 * 144 + 1) and tables[0].equals(tables[1])
    # How well it follows the rows depends on the noise, which is never the same: no test decides by it.
    temp = tables[0].column("temp").to_numpy()
    assert np.isfinite(temp).all() and temp.min() >= -10 and temp.max() <= 50 and temp.std() > 0.1


class _Killed(BaseException):
    pass


def test_a_killed_step_leaves_its_checkpoint_and_a_failed_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.synthesizer_trainer.core.dp import train

    def ends(error: type[BaseException]) -> list[str]:
        def broken(*given: Any) -> None:
            raise error

        monkeypatch.setattr(train, "train_residual", broken)
        folder = tmp_path / error.__name__
        with pytest.raises(error):
            _train(folder, _table(), "dp_gan", critic=CRITIC)
        return [path.name for path in (folder / "trainer" / "checkpoints").rglob("*.npz")]

    assert ends(_Killed) == ["private_training.npz"]
    # Its reservation is spent, so the next attempt pays anew, and draws anew.
    assert ends(ArithmeticError) == []


def test_rows_without_a_digest_are_never_taken_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.synthesizer_trainer.core.dp import train

    def broken(*given: Any) -> None:
        raise _Killed

    monkeypatch.setattr(train, "train_residual", broken)
    with pytest.raises(_Killed):
        _train(tmp_path, _table(), "dp_gan", digest="", critic=CRITIC)
    assert not list(tmp_path.rglob("*.npz"))
