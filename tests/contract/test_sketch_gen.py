"""SketchGen: examples in, what may be told of them out; the ledger pays before the noise is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.drift.core import outward
from components.egress.config import SketchConfig
from components.egress.lists import SKETCH_FIELDS
from components.errors import InternalError, PrivacyBudgetExceededError
from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.governance.core.spending import model_digest, open_ledger, read_cost
from components.release.keys import ensure_key_pair
from components.secrets import SecretRef
from components.sketch_gen.config import SketchGenConfig
from tests.support.monitoring import examples, rows, split_in_time
from tests.support.sketches import CURATED, PLAN, curated

__all__ = ["curated"]
pytestmark = [pytest.mark.tfx, pytest.mark.usefixtures("curated")]

SUPPRESSED = SketchConfig(mode="suppressed", minimum=20)
NOISED = SketchConfig.model_validate(
    {
        "mode": "noised",
        "begin": "1970-01-01",
        "end": "1970-01-13",
        "noise": {"epsilon": 1.0, "delta": 1e-6},
    }
)


class Region:
    """A locale with rows, and with a budget of 1.2."""

    def __init__(self, root: Path) -> None:
        self.root, self.key = root, ensure_key_pair(root / "key")
        self.governance = GovernanceConfig(
            locale="eu-west",
            folder=str(root / "governance"),
            trusted_keys=(str(root / "key.pub"),),
            budget_unit="record",
        )
        self.ledger.open(self.key, BudgetConfig(epsilon=1.2, delta=1e-6, unit="record"))
        self.examples = examples(root / "examples", split_in_time(rows(1)))
        self.examples.set_string_custom_property("data_digest", "one")

    @property
    def ledger(self) -> Any:
        return open_ledger(self.governance)

    def make(self, number: int = 1, sketch: SketchConfig = NOISED, *, ledger: bool = True) -> Path:
        from components.artifacts import SpanSketch
        from components.sketch_gen.component import SketchGen
        from components.sketch_gen.executor import Executor
        from components.tfx_shim import Channel, standard_artifacts

        output = SpanSketch()
        output.uri = str(self.root / "SketchGen" / "sketch" / str(number))
        access = LedgerAccess(governance=self.governance, signing_key=SecretRef(file=str(self.root / "key")))
        component = SketchGen(
            SketchGenConfig(dataset=CURATED, sketch=sketch),
            Channel(type=standard_artifacts.Examples),
            locale="eu-west",
            span=4,
            ledger=access if ledger else None,
        )
        Executor().Do({"examples": [self.examples]}, {"sketch": [output]}, dict(component.exec_properties))
        return Path(output.uri)


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


def statuses(region: Region) -> list[str]:
    return [found.status for found in region.ledger.state().reservations.values()]


def test_suppressed_counts_cost_nothing_and_nothing_else_is_written(region):
    folder = region.make(sketch=SUPPRESSED)
    assert [path.name for path in folder.iterdir()] == ["sketch.json"]
    raw = (folder / "sketch.json").read_bytes()
    found = outward.parse(raw, PLAN, "x")
    assert found.mechanism == "suppression" and len(found.periods) == 12
    assert statuses(region) == []
    assert region.make(2, SUPPRESSED).joinpath("sketch.json").read_bytes() == raw

    def keys(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(keys, value.values()))
        return set().union(*map(keys, value)) if isinstance(value, list) else set()

    assert keys(json.loads(raw)) - {"temp", "on", "mode"} == SKETCH_FIELDS


def test_both_splits_are_counted(region):
    found = outward.parse((region.make(sketch=SUPPRESSED) / "sketch.json").read_bytes(), PLAN, "x")
    told = sum(count or 0 for count in found.periods[3].features["mode"].bins)
    assert 288 - 2 * 20 < told <= 288


def test_the_ledger_pays_before_the_noise_is_drawn(region, monkeypatch):
    seen: list[list[str]] = []
    drawn = outward.sketch_of

    def watched(*arguments: Any) -> Any:
        seen.append(statuses(region))
        assert len(arguments) == 2, "no noise of anybody's choosing"
        return drawn(*arguments)

    monkeypatch.setattr(outward, "sketch_of", watched)
    folder = region.make()
    assert seen == [["reserved"]]
    (paid,) = region.ledger.state().reservations.values()
    assert paid.is_sketch and paid.span == 4 and paid.cost == read_cost(folder, "x")
    assert region.ledger.state().epsilon() == pytest.approx(1.0, rel=1e-3)


def test_what_does_not_fit_in_the_budget_is_never_drawn(region, monkeypatch):
    first = region.make()
    cost = read_cost(first, "x")
    region.ledger.commit(region.key, cost.work_id, 4, cost, model_digest(first), "0" * 64)
    monkeypatch.setattr(outward, "sketch_of", lambda *arguments: pytest.fail("drawn without pay"))
    with pytest.raises(PrivacyBudgetExceededError):
        region.make(2)
    assert not (region.root / "SketchGen" / "sketch" / "2").exists()
    assert statuses(region) == ["committed"]


def test_a_killed_run_resumes_its_reservation_and_a_published_sketch_is_not_drawn_again_for_nothing(
    region, monkeypatch
):
    drawn = outward.sketch_of

    def killed(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(outward, "sketch_of", killed)
    with pytest.raises(KeyboardInterrupt):
        region.make()
    assert statuses(region) == ["reserved"]
    monkeypatch.setattr(outward, "sketch_of", drawn)
    one = region.make()
    assert statuses(region) == ["reserved"], "nobody saw what was drawn before"
    budget = BudgetConfig(epsilon=9, delta=1e-6, unit="record")
    region.ledger.open(region.key, budget, "a test", change=True)
    cost = read_cost(one, "x")
    region.ledger.commit(region.key, cost.work_id, 4, cost, model_digest(one), "0" * 64)
    two = region.make(2)
    assert statuses(region) == ["committed", "reserved"], "drawn anew, paid anew"
    assert (one / "sketch.json").read_bytes() != (two / "sketch.json").read_bytes()


def test_a_failure_after_the_rows_were_looked_at_is_paid_for(region, monkeypatch):
    monkeypatch.setattr(outward, "sketch_of", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        region.make()
    assert statuses(region) == ["failed"]


def test_noise_without_a_ledger_is_refused_before_anything_is_drawn(region, monkeypatch):
    monkeypatch.setattr(outward, "sketch_of", lambda *arguments: pytest.fail("drawn without pay"))
    with pytest.raises(InternalError, match="no ledger is connected"):
        region.make(ledger=False)


def test_no_seed_brings_the_noise_back(region):
    """The same rows, settings and work: resumed, not charged, and other noise."""
    import numpy as np

    found = []
    for number in (1, 2):
        np.random.seed(7)  # noqa: NPY002
        found.append((region.make(number) / "sketch.json").read_bytes())
    assert found[0] != found[1] and statuses(region) == ["reserved"]


def test_rows_outside_the_declared_days_are_not_counted(region):
    outside = NOISED.model_copy(
        update={"begin": NOISED.begin.replace(year=2001), "end": NOISED.end.replace(year=2001)}
    )
    found = outward.parse((region.make(sketch=outside) / "sketch.json").read_bytes(), PLAN, "x")
    assert len(found.periods) == 12
    on = [count or 0 for period in found.periods for count in period.features["on"].bins]
    assert max(on) < 8 * found.noise_std
