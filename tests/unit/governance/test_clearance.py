"""A Pusher under governance: consent before the budget, the budget before the release, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileOpener

from components.egress.config import EgressConfig
from components.errors import ConfigError, DataError, PrivacyBudgetExceededError
from components.governance import clearance
from components.governance.core.entries import ChainError
from components.governance.core.events import Gaussian, PrivacyCost
from components.governance.core.policy import load_policy
from components.governance.core.spending import read_cost, write_cost
from components.governance.core.summary import standing
from components.pusher import publishing
from components.pusher.clearing import push_governed
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs
from components.release.keys import load_private_key, new_private_key
from components.secrets import SecretRef

COST = PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=20.0),))


# --- the budget ---


def test_a_release_is_committed_before_it_is_visible_and_says_what_it_cost(make_region, monkeypatch):
    region = make_region(budget=0.3)
    model = region.train()
    assert [r.status for r in region.ledger.state().reservations.values()] == ["reserved"]
    seen = []
    publish = publishing.publish_draft

    def watch(*args, **kwargs):
        seen.append([r.status for r in region.ledger.state().reservations.values()])
        return publish(*args, **kwargs)

    monkeypatch.setattr(publishing, "publish_draft", watch)
    report = region.push(model)
    assert report["pushed"] and seen == [["committed"]]
    privacy = region.manifest(report).privacy
    assert (privacy.mechanism, privacy.unit, privacy.delta) == ("Gaussian mechanism", "series", 1e-6)
    assert privacy.epsilon == pytest.approx(0.1892, abs=1e-3)  # one Gaussian of multiplier 20, closed form


def test_a_crash_between_commit_and_publication_loses_and_doubles_nothing(make_region, monkeypatch):
    region = make_region(budget=0.2)
    model = region.train()

    def crash(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "publish_draft", crash)
        with pytest.raises(KeyboardInterrupt):
            region.push(model)
    assert not region.published and region.ledger.state().epsilon("committed") > 0
    before = region.ledger.state().anchor
    report = region.push(model)
    assert report["outcome"] == "published" and region.ledger.state().anchor == before
    assert region.push(model)["outcome"] == "already published"
    assert region.ledger.state().anchor == before


def test_a_second_model_beyond_the_budget_is_neither_trained_nor_published(tmp_path: Path, make_region):
    region = make_region(budget=0.2)
    region.push(region.train())
    with pytest.raises(PrivacyBudgetExceededError):
        region.train("second", "work-2")
    assert not (tmp_path / "second").exists()
    # Even where somebody trained it without asking.
    stray = tmp_path / "stray"
    stray.mkdir()
    write_cost(stray, COST.model_copy(update={"work_id": "work-3"}))
    with pytest.raises(PrivacyBudgetExceededError, match=r"Nothing was published; `isthmus budget`"):
        region.push(stray, rows=30)
    assert len(region.published) == 1


def test_a_training_that_fails_is_paid_for_and_so_is_the_next(make_region):
    region = make_region(budget=0.3)
    with pytest.raises(ValueError, match="row 17"):
        region.train(fail=True)
    state = region.ledger.state()
    (failed,) = state.reservations.values()
    assert failed.status == "failed" and state.epsilon() == pytest.approx(0.1892, abs=1e-3)
    assert "ada@" not in region.ledger.chain.path.read_text()
    with pytest.raises(DataError, match="was spent on a training that failed"):
        region.ledger.release(region.key, failed.identifier, "it was nothing")
    # The same work again draws its noise anew: it is reserved for beside the first.
    assert region.push(region.train())["pushed"]
    state = region.ledger.state()
    assert [r.status for r in state.reservations.values()] == ["failed", "committed"]
    assert state.epsilon() == pytest.approx(0.2740, abs=1e-3)  # two Gaussians of multiplier 20, closed form
    shown = standing(state)
    assert (shown["spent"], shown["failed"], shown["releases"]) == (shown["counted"], 1, 1)
    with pytest.raises(PrivacyBudgetExceededError, match=r"Nothing was trained; `isthmus budget`"):
        region.train("third", "work-1")


def test_what_the_gate_refuses_gives_its_reservation_back(make_region):
    region = make_region(budget=0.2)
    model = region.train()
    assert not region.push(model, verdict="NOT_BLESSED")["pushed"]
    assert region.ledger.state().epsilon() == 0
    # The gate was loosened; the model that is there is published and pays for itself.
    assert region.push(model)["pushed"]
    assert region.ledger.state().epsilon("committed") == region.ledger.state().epsilon() > 0


def test_an_interrupted_training_keeps_its_reservation(make_region, tmp_path, monkeypatch):
    region = make_region(budget=0.2)
    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", _interrupt_on(tmp_path / "model", Path.mkdir))
        region.train()
    assert region.ledger.state().epsilon() > 0
    region.train()
    assert len(region.ledger.state().reservations) == 1


def _interrupt_on(folder: Path, mkdir):
    def make(self, *args, **kwargs):
        if self == folder:
            raise KeyboardInterrupt
        return mkdir(self, *args, **kwargs)

    return make


def test_a_model_that_does_not_say_what_it_cost_is_not_published(make_region, tmp_path):
    region = make_region(budget=0.2)
    (tmp_path / "model").mkdir()
    for model in (tmp_path / "model", None):
        with pytest.raises(DataError, match="does not say what it cost"):
            region.push(model)
    assert not region.published
    with pytest.raises(DataError, match="does not say"):
        read_cost(None, "x")


def test_without_governance_nothing_is_asked(make_region):
    region = make_region()
    region.governance = None
    assert region.push()["pushed"]


# --- the people ---


def test_a_release_waits_and_after_approval_exactly_those_bytes_are_published(
    tmp_path: Path, make_region, people
):
    region = make_region(approvals=1)
    waiting = region.push()
    assert (waiting["pushed"], waiting["outcome"]) == (False, "waiting for approval")
    assert waiting["reason"].startswith("waiting for approval (0 of 1); next: `isthmus request`")
    assert not region.published
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    assert "next: `isthmus approve`" in region.push()["reason"]
    decided = region.audit.decide(people.approver, digest, "approve")
    report = region.push()
    assert report["pushed"] and report["content_digest"] == digest
    approver = region.manifest(report).approver
    assert (approver.name, approver.decision_digest) == ("Cleo", decided.approvals[0].entry_digest)
    assert region.audit.state().releases[digest].status == "published"


def test_an_approval_does_not_hold_for_other_bytes(make_region, people):
    region = make_region(approvals=1)
    region.push()
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    region.audit.decide(people.approver, digest, "approve")
    assert region.push(rows=21)["outcome"] == "waiting for approval"
    assert not region.published


def test_a_rejected_release_is_not_published_and_gives_its_reservation_back(
    tmp_path: Path, make_region, people
):
    region = make_region(approvals=1, budget=0.2)
    model = region.train()
    region.push(model)
    assert region.ledger.state().epsilon() > 0  # what waits stays reserved
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    region.audit.decide(people.approver, digest, "reject")
    report = region.push(model)
    assert (report["outcome"], report["reason"]) == ("rejected", "rejected by Cleo")
    assert not region.published and region.ledger.state().epsilon() == 0


def test_an_approver_who_is_one_no_more_does_not_count(make_region, tmp_path, people):
    region = make_region(approvals=1)
    region.push()
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    region.audit.decide(people.approver, digest, "approve")
    region.write_policy(1, approver="owner")
    with pytest.raises(ConfigError, match="is not the policy in force"):
        region.push()
    region.write_policy(1, approver="auditor")
    text = (tmp_path / "policy.yaml").read_text()
    other = new_private_key().public.to_text()
    (tmp_path / "policy.yaml").write_text(f"{text}\n  - {{name: Eve, roles: [approver], key: '{other}'}}\n")
    region.audit.adopt(people.owner, load_policy(tmp_path / "policy.yaml", "eu-west"))
    assert region.push()["reason"].startswith("waiting for approval (0 of 1)")


def test_a_policy_that_nobody_adopted_or_that_cannot_be_met_publishes_nothing(tmp_path: Path, make_region):
    region = make_region(approvals=2)
    with pytest.raises(ConfigError, match="2 approvals are required, and there are 1 approvers"):
        region.push()
    fresh = make_region(root=tmp_path / "fresh", approvals=1)
    fresh.audit.chain.path.unlink()
    fresh.audit.chain.head_path.unlink()
    with pytest.raises(ConfigError, match="no policy is in force"):
        fresh.push()
    assert not region.published and not fresh.published


def test_the_central_configuration_cannot_weaken_the_locales_policy(tmp_path: Path, make_region, people):
    region = make_region(approvals=1)  # the deployment asks for none
    assert region.push()["outcome"] == "waiting for approval"
    lenient = make_region(root=tmp_path / "lenient", approvals=0)
    assert lenient.push()["pushed"]
    lenient.governance = lenient.governance.model_copy(update={"required_approvals": 1})
    # Published before without approval; from now on it needs one, and it can be asked for.
    assert lenient.push()["outcome"] == "waiting for approval"
    (digest,) = lenient.audit.state().releases
    lenient.audit.request(people.scientist, digest)
    lenient.audit.decide(people.approver, digest, "approve")
    assert lenient.push()["pushed"]


def test_an_altered_audit_log_publishes_nothing(make_region):
    region = make_region(approvals=1)
    region.push()
    path = region.audit.chain.path
    path.write_bytes(path.read_bytes().replace(b'"span":1', b'"span":2'))
    with pytest.raises(ChainError, match="entry 2 is not signed"):
        region.push()


def test_an_approver_sees_the_changes_since_the_last_release_and_the_budget(
    tmp_path: Path, make_region, people
):
    region = make_region(approvals=1, budget=0.3)
    model = region.train()
    region.push(model)
    (digest,) = region.audit.state().releases
    first = clearance.read_summary(tmp_path / "governance", region.audit.state().releases[digest])
    assert (first["last_release"], first["last_note"]) == (None, "there is no earlier release")
    assert first["budget"]["counted"] == pytest.approx(0.1892, abs=1e-3) and first["budget"]["spent"] == 0
    region.audit.request(people.scientist, digest)
    region.audit.decide(people.approver, digest, "approve")
    region.push(model)
    region.push(model, rows=30)
    (second,) = [r for r in region.audit.state().releases.values() if r.content_digest != digest]
    shown = clearance.read_summary(tmp_path / "governance", second)
    assert shown["changes"]["rows"] == {"train": {"before": 20, "after": 30}}
    assert shown["changes"]["metrics"] == {"dcr_share_rows": {"before": 1.0, "after": 1.5}}
    assert shown["changes"]["columns"] == {"added": [], "removed": [], "retyped": []}
    assert shown["last_release"]["content_digest"] == digest


def test_a_summary_that_was_altered_is_not_shown(make_region, tmp_path):
    region = make_region(approvals=1)
    region.push()
    (found,) = region.audit.state().releases.values()
    path = clearance.summary_path(tmp_path / "governance", found.content_digest, found.summary_sha256)
    path.write_text(path.read_text().replace('"dcr_share_rows"', '"DCR"'))
    with pytest.raises(DataError, match="is not what the audit log recorded"):
        clearance.read_summary(tmp_path / "governance", found)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        clearance.read_summary(tmp_path / "governance", found)


def test_the_signing_key_is_needed_only_where_something_is_asked(make_region, tmp_path):
    region = make_region(approvals=0)
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        region.push()
    with pytest.raises(ConfigError):
        load_private_key(SecretRef(file=str(tmp_path / "key")))


def test_logs_that_were_put_back_publish_nothing_more(make_region, people):
    region = make_region(approvals=1, budget=0.6)
    chains = (region.ledger.chain, region.audit.chain)
    model = region.train()
    region.push(model)
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    old = {path: path.read_bytes() for chain in chains for path in (chain.path, chain.head_path)}
    region.audit.decide(people.approver, digest, "approve")
    region.push(model)
    now = {path: path.read_bytes() for path in old}
    for chain, words in zip(chains, ("the ledger does not count", "the log does not have"), strict=True):
        for path in (chain.path, chain.head_path):
            path.write_bytes(old[path])
        with pytest.raises(ChainError, match=words):
            region.push(model, rows=30)
        for path, content in now.items():
            path.write_bytes(content)
    assert region.push(model, rows=30)["outcome"] == "waiting for approval"


def test_an_approver_is_shown_what_leaves_and_not_what_stays(make_region, tmp_path):
    region = make_region(approvals=1)
    region.push()
    config = PusherConfig(
        kind="synthetic",
        exchange_uri=str(tmp_path / "exchange"),
        signing_key=SecretRef(file=str(tmp_path / "key")),
        governance=region.governance,
        egress=EgressConfig(evaluation="withheld"),
    )
    folder = tmp_path / "inputs-20-BLESSED"
    inputs = RegionInputs(folder / "examples", evaluation=folder / "evaluation", blessing=folder / "blessing")
    assert push_governed(config, "eu-west", 1, inputs)["outcome"] == "waiting for approval"
    shown = [
        clearance.read_summary(Path(region.governance.folder), found)["evaluation"]
        for found in region.audit.state().releases.values()
    ]
    assert [[metric["name"] for metric in evaluation["metrics"]] for evaluation in shown] == [
        ["dcr_share_rows"],
        [],
    ]
    assert shown[1]["gate"]["checks"] == [{"metric": "dcr_share_rows", "passed": True}]


def test_no_more_is_read_of_the_last_evaluation_than_its_manifest_says(make_region, people, monkeypatch):
    region = make_region(approvals=1)
    region.push()
    (digest,) = region.audit.state().releases
    region.audit.request(people.scientist, digest)
    region.audit.decide(people.approver, digest, "approve")
    published = Path(region.push()["uri"]) / "evaluation.json"
    size = published.stat().st_size
    published.write_bytes(b" " * 50_000_000)
    read = []
    real = LocalFileOpener.read
    monkeypatch.setattr(
        LocalFileOpener, "read", lambda file, *a: read.append((file.path, real(file, *a))) or read[-1][1]
    )
    assert region.push(rows=21)["outcome"] == "waiting for approval"
    found = next(r for r in region.audit.state().releases.values() if r.content_digest != digest)
    note = clearance.read_summary(Path(region.governance.folder), found)["last_note"]
    assert note == "the last release in the exchange does not verify"
    assert [len(data) for path, data in read if path == str(published)] == [size + 1]
