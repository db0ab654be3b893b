"""The commands and the configuration: what people type, what they read, which exit status they get."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from components.governance.core.events import Gaussian, PrivacyCost
from pipeline import cli
from pipeline.commands import budget as budget_command
from pipeline.config import resolve, resolve_regional
from pipeline.config.load import load_deployment

DEPLOYMENT = """
version: 1
name: fleet
root: .
dataset: {series: [asset], label: label, interval_s: 60, features: [{name: temp_c}], targets: [temp_c]}
locales:
  - name: eu-west
    sharing: restricted
    source: {pattern: eu.csv}
    privacy:
      gate: {}
      budget: {epsilon: 0.6, delta: 1.0e-6, unit: series, cadence: weekly}
    governance: {policy: policy.yaml}
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


@pytest.fixture(autouse=True)
def private_synthesizer(monkeypatch) -> None:
    """Stands for a differentially private synthesizer: one Gaussian per model."""

    def planned(config, unit):
        return PrivacyCost(unit=unit, events=(Gaussian(noise_multiplier=20.0),))

    monkeypatch.setattr(resolve, "planned_cost", planned)
    monkeypatch.setattr("components.synthesizer_trainer.privacy_cost.planned_cost", planned)


@pytest.fixture
def fleet(make_region, tmp_path):
    """A region whose logs are where the deployment's `eu-west` has them."""
    (tmp_path / "eu-west").mkdir()
    (tmp_path / "isthmus.yaml").write_text(DEPLOYMENT)
    region = make_region(budget=0.6, approvals=1, folder=str(tmp_path / "eu-west" / "governance"))
    for name, key in vars(region.people).items():
        pem = key._key.private_bytes_raw() if hasattr(key._key, "private_bytes_raw") else None
        assert pem is not None
        import base64

        (tmp_path / f"{name}.key").write_text(base64.b64encode(pem).decode())
    return region


@pytest.fixture
def isthmus(fleet, tmp_path, monkeypatch, capsys):
    def run(command: str, *arguments: str, config: bool = True) -> tuple[int, str]:
        words = [str(tmp_path / "isthmus.yaml")] if config else []
        monkeypatch.setattr(sys, "argv", ["isthmus", command, *words, *arguments])
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        status = cli._run_app()
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


WHERE = ("--locale", "eu-west")


def test_a_release_from_pending_to_published_on_the_command_line(isthmus, fleet):
    model = fleet.train()
    assert fleet.push(model)["outcome"] == "waiting for approval"
    status, text = isthmus("request", *WHERE)
    assert status == 0 and ": pending; approved by nobody yet" in text
    assert "train 20; 2 columns" in text and "last release: there is no earlier release" in text
    assert "budget: epsilon 0.1892 of 0.6 per series with this release" in text
    (digest,) = fleet.audit.state().releases
    release = digest[:12]
    status, text = isthmus("approve", release, *WHERE, "--key", "approver.key", "--yes")
    assert status == 2 and "has not been requested by anyone" in text
    assert isthmus("request", *WHERE, "--key", "scientist.key", "--note", "for the merge")[0] == 0
    status, text = isthmus("approve", release, *WHERE, "--key", "scientist.key", "--yes")
    assert status == 2 and "Benno (scientist) may not approve" in text
    status, text = isthmus("approve", release, *WHERE, "--key", "approver.key")
    assert status == 2 and "--yes: missing; without a terminal to ask" in text
    status, text = isthmus("approve", release, *WHERE, "--key", "approver.key", "--yes")
    assert status == 0 and "approve: recorded; 1 approvals" in text
    assert fleet.push(model)["pushed"]
    assert isthmus("request", *WHERE) == (0, "nothing waits for approval\n")
    status, text = isthmus("audit")
    assert status == 0 and "eu-west: audit log: verified, 5 entries" in text
    assert f"Benno  request {release} (for the merge)" in text and f"Cleo  approve {release}" in text
    assert "eu-west: ledger: verified, 3 entries" in text and "us-east: no budget and no policy" in text


def test_a_rejected_release_says_so(isthmus, fleet):
    fleet.push(fleet.train())
    (digest,) = fleet.audit.state().releases
    isthmus("request", *WHERE, digest[:6], "--key", "scientist.key")
    status, text = isthmus("reject", digest[:6], *WHERE, "--key", "approver.key", "--yes", "--json")
    assert status == 0 and json.loads(text)["rejected_by"]["name"] == "Cleo"
    status, text = isthmus("approve", digest[:6], *WHERE, "--key", "approver.key", "--yes")
    assert status == 2 and "was rejected by Cleo already" in text


def test_audit_finds_an_edited_log_and_one_that_was_put_back(isthmus, fleet):
    model = fleet.train()
    paths = [fleet.ledger.chain.path, fleet.ledger.chain.head_path]
    old = [path.read_bytes() for path in paths]
    fleet.push(model)
    (digest,) = fleet.audit.state().releases
    isthmus("request", *WHERE, "--key", "scientist.key")
    isthmus("approve", digest[:12], *WHERE, "--key", "approver.key", "--yes")
    fleet.push(model)
    for path, content in zip(paths, old, strict=True):
        path.write_bytes(content)  # both files: the log verifies by itself
    status, text = isthmus("audit")
    assert status == 1 and "is published with a privacy loss that the ledger does not count" in text
    status, text = isthmus("budget")
    assert status == 2 and "the ledger was put back or removed" in text
    log = fleet.audit.chain.path
    log.write_bytes(log.read_bytes().replace(b"Cleo", b"Theo"))
    status, text = isthmus("audit", *WHERE, "--json")
    assert status == 1 and "entry 1 is not signed" in json.loads(text)["eu-west"]["audit log"]["error"]


def test_audit_finds_decisions_that_were_taken_out(isthmus, fleet):
    fleet.push(fleet.train())
    (digest,) = fleet.audit.state().releases
    isthmus("request", *WHERE, "--key", "scientist.key")
    paths = [fleet.audit.chain.path, fleet.audit.chain.head_path]
    old = [path.read_bytes() for path in paths]
    isthmus("approve", digest[:12], *WHERE, "--key", "approver.key", "--yes")
    fleet.push(fleet.root / "model")
    for path, content in zip(paths, old, strict=True):
        path.write_bytes(content)
    status, text = isthmus("audit")
    assert status == 1 and "names a decision that the log does not have" in text


def test_budget_shows_spent_left_and_how_many_more_at_the_cadence(isthmus, fleet):
    fleet.train()
    status, text = isthmus("budget")
    # By the closed form: 1 of multiplier 20 is 0.189, 8 are 0.575, 9 are 0.612: seven more fit in 0.6.
    assert status == 0 and "eu-west: epsilon 0 of 0.6 spent per series at delta 1e-06 by 0 models" in text
    assert "0.1892 with 1 reservations; 0.4108 left" in text
    assert "7 more releases at epsilon 0.1892 each; weekly, that is 49 days" in text
    assert "us-east: no privacy budget" in text
    found = json.loads(isthmus("budget", *WHERE, "--json")[1])["eu-west"]
    assert (found["releases_left"], found["lasts_days"], found["reserved"]) == (7, 49.0, 1)
    (reservation,) = found["reservations"]
    status, text = isthmus("budget", *WHERE, "--release-reservation", reservation["reservation"])
    assert status == 2 and "--reason: missing" in text
    status, text = isthmus(
        "budget", *WHERE, "--release-reservation", reservation["reservation"], "--reason", "machine was lost"
    )
    assert status == 0 and "0 with 0 reservations; 0.6 left" in text
    assert "machine was lost" in fleet.ledger.chain.path.read_text()


def test_only_the_locale_raises_its_budget_and_says_why(isthmus, fleet, tmp_path):
    file = tmp_path / "isthmus.yaml"
    file.write_text(file.read_text().replace("epsilon: 0.6", "epsilon: 5"))
    from pipeline import governance

    with pytest.raises(ConfigError, match=r"privacy.budget is epsilon 5 .* opened with epsilon 0.6"):
        governance.open_budget(load_deployment(file), "eu-west")
    assert isthmus("budget", *WHERE, "--change")[0] == 2
    status, text = isthmus("budget", *WHERE, "--change", "--reason", "board, 3 May")
    assert status == 0 and "of 5 spent" in text
    governance.open_budget(load_deployment(file), "eu-west")


def test_a_budget_that_was_never_opened_says_so_and_a_run_opens_it(isthmus, fleet, tmp_path):
    from pipeline import governance

    fleet.ledger.chain.path.unlink()
    fleet.ledger.chain.head_path.unlink()
    assert "the first run opens the ledger" in isthmus("budget", *WHERE)[1]
    governance.open_budget(load_deployment(tmp_path / "isthmus.yaml"), "eu-west")
    assert fleet.ledger.state().budget.epsilon == 0.6


def test_a_changed_policy_is_shown_and_adopted_by_an_owner(isthmus, fleet):
    assert "in force" in isthmus("policy", *WHERE)[1]
    fleet.write_policy(0)
    status, text = isthmus("policy", *WHERE)
    assert status == 0 and "NOT in force" in text and "Cleo: approver" in text
    status, text = isthmus("policy", *WHERE, "--adopt", "--key", "approver.key")
    assert status == 2 and "Cleo (approver) may not adopt a policy; allowed: owner" in text
    assert "\nin force" in isthmus("policy", *WHERE, "--adopt", "--key", "owner.key")[1]


def test_every_decision_gives_the_pusher_another_fingerprint(isthmus, fleet, tmp_path):
    from pipeline import governance

    deployment = load_deployment(tmp_path / "isthmus.yaml")
    model = fleet.train()
    seen = [governance.decisions_fingerprint(deployment, "eu-west")]
    fleet.push(model)
    # What the Pusher itself notes must not wake it again.
    assert governance.decisions_fingerprint(deployment, "eu-west") == seen[0]
    (digest,) = fleet.audit.state().releases
    for command in (
        ("request", digest[:12], *WHERE, "--key", "scientist.key"),
        ("approve", digest[:12], *WHERE, "--key", "approver.key", "--yes"),
    ):
        assert isthmus(*command)[0] == 0
        seen.append(governance.decisions_fingerprint(deployment, "eu-west"))
    assert len(set(seen)) == 3
    assert governance.decisions_fingerprint(deployment, "us-east") == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("request", "--locale", "eu-wst"), "unknown locale 'eu-wst' (did you mean 'eu-west'?)"),
        (("request", "--locale", "us-east"), "nobody has to approve its releases"),
        (("approve", "abc", "--locale", "eu-west", "--yes"), "--key: found neither or both"),
        (("approve", "abc", "--locale", "eu-west", "--yes", "--key", "approver.key"), "no release 'abc'"),
        (("approve", "abc", "--locale", "eu-west", "--yes", "--key", "none.key"), "cannot be read"),
        (("budget", "--locale", "us-east", "--change", "--reason", "x"), "has no privacy budget"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_line(isthmus, arguments, words):
    status, text = isthmus(*arguments)
    assert status == 2 and words in text and text.count("\n") == 1


def test_the_words_for_a_budget_without_end_or_beginning():
    base = {"releases_left": None, "release_epsilon": None, "one_period": False, "at_least": False}
    assert budget_command.forecast(base) == "no release to go by yet"
    period = {**base, "releases_left": 3, "release_epsilon": 0.1, "one_period": True, "lasts_days": 21}
    expected = (
        "3 more releases at epsilon 0.1 each, of the configured period; other periods are counted apart"
    )
    assert budget_command.forecast(period) == expected
    many = {**base, "releases_left": 1000, "release_epsilon": 0.1, "at_least": True, "lasts_days": None}
    assert budget_command.forecast(many) == "at least 1000 more releases at epsilon 0.1 each"
    one = {**many, "releases_left": 1, "at_least": False}
    assert budget_command.forecast(one) == "1 more release at epsilon 0.1 each"


# --- the configuration ---


def refused(tmp_path: Path, edit) -> str:
    data = yaml.safe_load(DEPLOYMENT)
    edit(data["locales"])
    file = tmp_path / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load_deployment(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    return str(caught.value)


def test_a_budget_with_a_synthesizer_without_bound_is_refused_at_validation(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, "planned_cost", lambda config, unit: PrivacyCost.non_private(unit))
    message = refused(tmp_path, lambda locales: None)
    assert "locale eu-west: privacy.budget: found epsilon 0.6" in message
    assert "every release costs an infinite epsilon; allowed: a differentially private synthesizer" in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("epsilon", 0, "privacy.budget.epsilon: found 0; allowed: greater than 0"),
        ("delta", 1, "privacy.budget.delta: found 1; allowed: less than 1"),
        ("unit", "person", "allowed: 'record', 'window' or 'series'"),
        ("cadence", "fortnightly", "privacy.budget.cadence: found 'fortnightly'"),
        ("epsilom", 1, "unknown key (did you mean 'epsilon'?)"),
    ],
)
def test_a_wrong_budget_is_refused(tmp_path, key, value, words):
    assert words in refused(tmp_path, lambda locales: locales[0]["privacy"]["budget"].update({key: value}))


def test_the_policy_is_found_beside_the_file_and_an_open_locale_may_have_one(tmp_path):
    data = yaml.safe_load(DEPLOYMENT)
    data["locales"][1]["governance"] = {"policy": "us.yaml", "required_approvals": 2}
    (tmp_path / "isthmus.yaml").write_text(yaml.safe_dump(data))
    deployment = load_deployment(tmp_path / "isthmus.yaml")
    found = resolve_regional.governance_config(deployment, "us-east")
    assert (found.policy_file, found.required_approvals) == (str(tmp_path / "us.yaml"), 2)
    assert found.budget_unit is None and resolve_regional.ledger_access(deployment, "us-east") is None
    restricted = resolve_regional.governance_config(deployment, "eu-west")
    assert restricted.folder == str(tmp_path / "eu-west" / "governance")
    assert [key.file for key in restricted.trusted_keys] == [str(tmp_path / "key.pub")]


def test_the_border_sees_no_foreign_place_in_what_the_components_get(tmp_path):
    """The check of the graph refuses a restricted locale's node that names a place outside its root."""
    from pipeline.addresses import within
    from pipeline.border_addresses import addresses

    (tmp_path / "isthmus.yaml").write_text(DEPLOYMENT.replace("key.pub", "'ed25519:" + "A" * 43 + "='", 1))
    for _ in range(2):
        deployment = load_deployment(tmp_path / "isthmus.yaml")
        access = resolve_regional.ledger_access(deployment, "eu-west")
        found = list(addresses({"ledger": access.to_exec_property()}))
        assert found == [("ledger.governance.folder", str(tmp_path / "eu-west" / "governance"))]
        assert all(within(address, str(tmp_path / "eu-west")) for _, address in found)
        assert type(access).from_exec_property(access.to_exec_property()) == access
        (tmp_path / "isthmus.yaml").write_text(DEPLOYMENT)
