"""A zone's first step: what it finds is the cache key of the steps after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.config_base import canonical_json
from components.dataset import DatasetConfig, FeatureConfig
from components.drift_monitor.baselines import Baselines
from components.errors import ConfigError, DataError
from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.governance.core.entries import ChainError
from components.governance.core.spending import open_ledger
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.resolution import resolve_releases
from components.release.keys import ensure_key_pair, load_private_key
from components.release.manifest import PrivacyStatement
from components.release.options import DEFAULT_OPTIONS
from components.release.storage import open_store
from components.secrets import SecretRef
from pipeline.entrypoint.resolving import answer
from pipeline.entrypoint.state import PROFILE, STATISTICS, State
from tests.support.releases import FILES, fields, publish_release

NO_STATE = State("", "eu-west")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for span in (1, 2, 10):
        (tmp_path / f"span-{span}").mkdir()
        (tmp_path / f"span-{span}" / "data.csv").write_text(f"a\n{span}\n")
    return tmp_path


def question(data: Path, **change: Any) -> dict[str, Any]:
    base = {
        "zone": "region",
        "patterns": [f"{data}/span-{{SPAN}}/data.csv"],
        "span": "latest",
        "pii": [],
        "baselines": {},
        "asked_span": -1,
    }
    return {**base, **change}


def test_what_nobody_chose_is_as_the_deployment_says(data: Path) -> None:
    assert answer(question(data), NO_STATE)["span"] == 10
    assert answer(question(data, span=1), NO_STATE)["span"] == 1
    assert answer(question(data, span=1, asked_span=2), NO_STATE)["span"] == 2
    assert answer(question(data, asked_span=2), NO_STATE)["span"] == 2


def test_a_span_that_is_not_there_is_refused(data: Path) -> None:
    with pytest.raises(DataError):
        answer(question(data, asked_span=3), NO_STATE)


def test_a_file_that_changes_changes_the_fingerprint(data: Path) -> None:
    first = answer(question(data, asked_span=2), NO_STATE)
    assert answer(question(data, asked_span=2), NO_STATE) == first
    other = answer(question(data, asked_span=1), NO_STATE)
    (data / "span-2" / "data.csv").write_text("a\n2222\n")
    changed = answer(question(data, asked_span=2), NO_STATE)
    assert len({first["fingerprint"], other["fingerprint"], changed["fingerprint"]}) == 3


def test_the_baseline_is_the_nearest_earlier_spans(data: Path, tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"), "eu-west")
    folder = tmp_path / "made" / "Split-train"
    folder.mkdir(parents=True)
    (folder / "FeatureStats.pb").write_bytes(b"x")
    state.remember(STATISTICS, 1, tmp_path / "made")
    found = answer(question(data, asked_span=2), state)
    assert found["statistics_baseline_digest"] and found["statistics_baseline"].endswith("/span-1")
    assert state.fetch(STATISTICS, found["statistics_baseline"], found["statistics_baseline_digest"])
    assert (found["release_baseline"], found["release_baseline_digest"]) == ("", "")
    assert answer(question(data, asked_span=1), state)["statistics_baseline"] == ""


@pytest.mark.parametrize(
    ("wanted", "spans"),
    [
        ({}, {"previous": [2]}),
        ({"previous": False, "window": 2}, {"window": [1, 2]}),
        ({"window": 3, "reference": 1}, {"previous": [2], "window": [0, 1, 2], "reference": [1]}),
        ({"reference": 0}, {"previous": [2], "reference": [0]}),
        ({"reference": 9}, {"previous": [2], "reference": []}),
    ],
)
def test_drifts_baselines_are_those_that_the_deployment_wants(
    data: Path, tmp_path: Path, wanted: dict[str, Any], spans: dict[str, list[int]]
) -> None:
    state = State(str(tmp_path / "state"), "eu-west")
    for span in (0, 1, 2):
        folder = tmp_path / "made" / str(span)
        (folder / "Split-train").mkdir(parents=True)
        (folder / "Split-train" / "FeatureStats.pb").write_text(f"{span}")
        (folder / "span.json").write_text(f"{span}")
        for kind in (STATISTICS, PROFILE):
            state.remember(kind, span, folder)
    found = Baselines.from_exec_property(answer(question(data, baselines=wanted), state)["baselines"])
    named = {
        source.kind: [int(place.split("/")[0].removeprefix("span-")) for place in source.profiles]
        for source in found.sources
    }
    assert named == spans
    # A pinned span and a window of one have the statistics that TFDV's own numbers are of.
    assert all(bool(source.statistics) == (len(source.profiles) == 1) for source in found.sources)


def test_another_pseudonym_key_is_another_parameter_and_no_key_is_told(data: Path, monkeypatch) -> None:
    rule = {"column": "a", "action": "pseudonymise", "key": {"env": "EU_KEY", "file": None}}
    ids = []
    for secret in ("first secret of sixteen bytes", "second secret of sixteen bytes"):
        monkeypatch.setenv("EU_KEY", secret)
        found = answer(question(data, pii=[rule]), NO_STATE)
        assert secret not in canonical_json(found)
        ids.append(found["key_id_0"])
    assert len(set(ids)) == 2
    monkeypatch.delenv("EU_KEY")
    with pytest.raises(ConfigError, match="EU_KEY"):
        answer(question(data, pii=[rule]), NO_STATE)


@pytest.fixture
def budget(data: Path) -> dict[str, Any]:
    pair = ensure_key_pair(data / "key.pem")
    access = LedgerAccess(
        governance=GovernanceConfig(
            locale="eu-west",
            folder=str(data / "state" / "eu-west" / "governance"),
            trusted_keys=(pair.public.to_text(),),
            budget_unit="record",
        ),
        signing_key=SecretRef(file=str(data / "key.pem")),
    )
    limit = BudgetConfig(epsilon=3, delta=1e-6, unit="record")
    return {
        "access": access.model_dump(mode="json"),
        "budget": limit.model_dump(mode="json"),
        "exchange": str(data / "exchange"),
        "storage": DEFAULT_OPTIONS.model_dump(mode="json"),
    }


def ledger_of(budget: dict[str, Any]) -> Any:
    return open_ledger(LedgerAccess.model_validate(budget["access"]).governance)


def test_the_first_step_opens_the_ledger_once(data: Path, budget: dict[str, Any]) -> None:
    answer(question(data), NO_STATE)
    assert not (data / "state").exists()
    told = json.loads(canonical_json(budget))  # as it comes out of a spec
    answer(question(data, budget=told), NO_STATE)
    ledger = ledger_of(budget)
    assert ledger.state().budget == BudgetConfig.model_validate(budget["budget"])
    entries = ledger.chain.read()
    answer(question(data, budget=told), NO_STATE)
    assert [entry.line_digest for entry in ledger.chain.read()] == [entry.line_digest for entry in entries]


def test_a_spec_with_another_budget_changes_nothing(data: Path, budget: dict[str, Any]) -> None:
    answer(question(data, budget=budget), NO_STATE)
    other = {**budget, "budget": {**budget["budget"], "epsilon": 30}}
    with pytest.raises(ConfigError, match=r"privacy\.budget is epsilon 30 .* opened with epsilon 3 "):
        answer(question(data, budget=other), NO_STATE)
    assert ledger_of(budget).state().budget.epsilon == 3


def test_a_lost_ledger_is_noticed_by_what_is_published(data: Path, budget: dict[str, Any]) -> None:
    """The state volume was lost: an empty ledger must not let the budget be spent again."""
    key = load_private_key(SecretRef(file=str(data / "key.pem")))
    loss = PrivacyStatement(
        sentences=("One.",),
        epsilon=2.0,
        delta=1e-6,
        unit="record",
        mechanism="Gaussian mechanism",
        adjacency="add_or_remove_one",
        sampling="none: every unit was used",
    )
    publish_release(open_store(str(data / "exchange")), key, FILES, **fields(privacy=loss))
    with pytest.raises(ChainError, match="privacy loss that the ledger does not count"):
        answer(question(data, budget=budget), NO_STATE)


def test_a_ledger_without_its_key_is_refused(data: Path, budget: dict[str, Any]) -> None:
    (data / "key.pem").unlink()
    with pytest.raises(ConfigError):
        answer(question(data, budget=budget), NO_STATE)


def test_the_centre_finds_releases_and_its_own_files(data: Path) -> None:
    pair = ensure_key_pair(data / "key.pem")
    exchange = str(data / "exchange")
    merge = MergeGenConfig(
        dataset=DatasetConfig(features=(FeatureConfig(name="x"),), targets=("x",), interval_s=60),
        exchange_uri=exchange,
        locales=(MergeLocale(name="eu-west", sharing="restricted", trusted_key=pair.public.to_text()),),
    )
    told = {
        "zone": "central",
        "test": [f"{data}/span-1/data.csv"],
        "ideal": [],
        "ideal_span": "latest",
        "merge": json.loads(canonical_json(merge.model_dump(mode="json"))),
    }
    empty = answer(told, NO_STATE)
    assert (empty["ideal_fingerprint"], empty["ideal_span"]) == ("", -1)
    (data / "exchange" / "_notices" / "run").mkdir(parents=True)
    (data / "exchange" / "_notices" / "run" / "eu-west.json").write_text("{}")
    assert answer(told, NO_STATE) == empty  # a notice is no release
    publish_release(
        open_store(exchange), load_private_key(SecretRef(file=str(data / "key.pem"))), FILES, **fields()
    )
    found = answer(told, NO_STATE)
    assert found["releases_fingerprint"] == resolve_releases(merge).fingerprint
    assert found["releases_fingerprint"] != empty["releases_fingerprint"]
    assert [release["locale"] for release in json.loads(found["releases"])["releases"]] == ["eu-west"]
    with_ideal = answer({**told, "ideal": [f"{data}/span-{{SPAN}}/data.csv"], "ideal_span": 2}, NO_STATE)
    assert with_ideal["ideal_fingerprint"] and with_ideal["ideal_span"] == 2
