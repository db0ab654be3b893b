"""People: who may do what, four eyes, and a log of decisions that cannot be rewritten unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import ConfigError, DataError
from components.governance.core.audit import AuditLog
from components.governance.core.audit_state import PendingBody, PublishedBody
from components.governance.core.entries import ChainError
from components.governance.core.policy import Policy, load_policy
from components.release.keys import PrivateKey, new_private_key

DIGEST, SUMMARY = "1" * 64, "2" * 64
PENDING = PendingBody(content_digest=DIGEST, release_id=DIGEST[:12], span=3, summary_sha256=SUMMARY)

LOCALE = new_private_key()
OWNER, SCIENTIST, APPROVER, SECOND, STRANGER = (new_private_key() for _ in range(5))


def policy(*extra: tuple[str, list[str], PrivateKey], required: int = 1) -> Policy:
    people = [("Ada", ["owner"], OWNER), ("Benno", ["scientist", "approver"], SCIENTIST), *extra]
    people += [("Cleo", ["approver"], APPROVER), ("Dilnaz", ["approver"], SECOND)]
    return Policy(
        locale="eu-west",
        required_approvals=required,
        people=[{"name": n, "roles": r, "key": k.public.to_text()} for n, r, k in people],
    )


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    made = AuditLog(tmp_path, "eu-west", [LOCALE.public])
    made.adopt(OWNER, policy())
    made.record_pending(LOCALE, PENDING)
    return made


def test_a_release_goes_from_pending_over_request_and_approval_to_published(log: AuditLog) -> None:
    assert log.state().releases[DIGEST].status == "pending"
    assert log.request(SCIENTIST, DIGEST, "for the merge").requester.name == "Benno"
    found = log.decide(APPROVER, DIGEST, "approve", "looks fine")
    assert [approval.by.name for approval in found.approvals] == ["Cleo"]
    assert found.approvals[0].entry_digest == log.chain.read()[-1].line_digest
    log.record_published(
        LOCALE, PublishedBody(content_digest=DIGEST, release_id="x", span=3, approvers=("Cleo",))
    )
    assert log.state().releases[DIGEST].status == "published"
    kinds = [entry.kind for entry in log.chain.read()]
    assert kinds == ["policy", "pending", "request", "approve", "published"]
    log.record_published(
        LOCALE, PublishedBody(content_digest=DIGEST, release_id="x", span=3, approvers=("Cleo",))
    )
    assert len(log.chain.read()) == 5


def test_nobody_decides_on_their_own_request(log: AuditLog) -> None:
    log.request(SCIENTIST, DIGEST)
    for decision in ("approve", "reject"):
        with pytest.raises(DataError, match="requested by Benno; nobody decides on their own request"):
            log.decide(SCIENTIST, DIGEST, decision)
    assert log.state().releases[DIGEST].approvals == []


def test_a_new_name_or_a_new_key_does_not_make_one_person_two(log: AuditLog) -> None:
    log.request(SCIENTIST, DIGEST)
    people = policy().model_dump()["people"]
    renamed = [{**p, "name": "Someone Else"} if p["name"] == "Benno" else p for p in people]
    log.adopt(OWNER, Policy(locale="eu-west", people=renamed))
    with pytest.raises(DataError, match="nobody decides on their own request"):
        log.decide(SCIENTIST, DIGEST, "approve")
    fresh = new_private_key()
    rekeyed = [{**p, "key": fresh.public.to_text()} if p["name"] == "Benno" else p for p in people]
    log.adopt(OWNER, Policy(locale="eu-west", people=rekeyed))
    with pytest.raises(DataError, match="nobody decides on their own request"):
        log.decide(fresh, DIGEST, "approve")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (OWNER, r"Ada \(owner\) may not approve; allowed: approver"),
        (STRANGER, "may not approve; allowed: approver"),
        (LOCALE, "may not approve"),
    ],
)
def test_only_an_approver_approves(log: AuditLog, key: PrivateKey, words: str) -> None:
    log.request(SCIENTIST, DIGEST)
    with pytest.raises(ConfigError, match=words):
        log.decide(key, DIGEST, "approve")


def test_only_a_scientist_or_an_owner_requests_and_only_what_waits(log: AuditLog) -> None:
    with pytest.raises(ConfigError, match=r"Cleo .approver. may not request; allowed: scientist or owner"):
        log.request(APPROVER, DIGEST)
    with pytest.raises(DataError, match="no release 999999999999 waits"):
        log.request(SCIENTIST, "9" * 64)
    with pytest.raises(DataError, match="has not been requested by anyone"):
        log.decide(APPROVER, DIGEST, "approve")
    log.request(OWNER, DIGEST)
    with pytest.raises(DataError, match="was requested by Ada already"):
        log.request(SCIENTIST, DIGEST)


def test_one_approver_counts_once_and_a_rejection_closes_the_request(log: AuditLog) -> None:
    log.request(SCIENTIST, DIGEST)
    log.decide(APPROVER, DIGEST, "approve")
    with pytest.raises(DataError, match="approved by Cleo already"):
        log.decide(APPROVER, DIGEST, "approve")
    assert log.decide(SECOND, DIGEST, "reject", "too close").status == "rejected"
    with pytest.raises(DataError, match="was rejected by Dilnaz already"):
        log.decide(APPROVER, DIGEST, "approve")
    again = log.request(SCIENTIST, DIGEST, "explained in the note")
    assert (again.status, again.approvals) == ("requested", [])


def test_only_an_owner_of_the_policy_in_force_changes_it(log: AuditLog) -> None:
    mine = policy(("Eve", ["owner", "approver"], STRANGER))
    with pytest.raises(ConfigError, match="may not adopt a policy; allowed: owner"):
        log.adopt(STRANGER, mine)
    with pytest.raises(ConfigError, match=r"Benno .* may not adopt a policy"):
        log.adopt(SCIENTIST, mine)
    assert log.adopt(OWNER, mine) is not None
    assert log.adopt(OWNER, mine) is None


def test_what_people_were_asked_about_does_not_change_under_them(log: AuditLog) -> None:
    other = PENDING.model_copy(update={"summary_sha256": "3" * 64})
    assert log.record_pending(LOCALE, other).summary_sha256 == "3" * 64  # nobody has looked at it yet
    log.request(SCIENTIST, DIGEST)
    assert log.record_pending(LOCALE, PENDING).summary_sha256 == "3" * 64
    assert log.state().releases[DIGEST].status == "requested"


def _forge(log: AuditLog, kind: str, body: dict, key: PrivateKey) -> None:
    """Appends an entry as someone would who writes the file with their own code."""
    forger = AuditLog(log.chain.path.parent, "eu-west", [LOCALE.public])
    forger.chain._keys_of = lambda entry, before: [key.public]
    entries = log.chain.read()
    forger.chain.append(entries, kind, body, key)


@pytest.mark.parametrize("kind", ["approve", "policy", "published"])
def test_an_entry_that_somebody_else_signed_is_found(log: AuditLog, kind: str) -> None:
    log.request(SCIENTIST, DIGEST)
    by = {"name": "Cleo", "key_id": APPROVER.public.key_id}
    decision = {"by": by, "content_digest": DIGEST, "summary_sha256": SUMMARY, "note": ""}
    bodies = {
        "approve": decision,
        "policy": {"by": by, "policy": policy().model_dump(mode="json")},
        "published": {"content_digest": DIGEST, "release_id": "x", "span": 3, "approvers": ["Cleo"]},
    }
    _forge(log, kind, bodies[kind], STRANGER)
    with pytest.raises(ChainError, match="entry 4 is not signed by"):
        log.state()


def test_a_decision_that_breaks_the_rules_is_found_though_it_is_signed(log: AuditLog) -> None:
    log.request(SCIENTIST, DIGEST)
    by = {"name": "Benno", "key_id": SCIENTIST.public.key_id}
    own = {"by": by, "content_digest": DIGEST, "summary_sha256": SUMMARY, "note": ""}
    _forge(log, "approve", own, SCIENTIST)
    with pytest.raises(ChainError, match=r"entry 4 \(approve\) does not follow"):
        log.state()


def test_a_decision_about_another_summary_is_found(log: AuditLog) -> None:
    log.request(SCIENTIST, DIGEST)
    by = {"name": "Cleo", "key_id": APPROVER.public.key_id}
    _forge(
        log, "approve", {"by": by, "content_digest": DIGEST, "summary_sha256": "9" * 64, "note": ""}, APPROVER
    )
    with pytest.raises(ChainError, match="does not follow"):
        log.state()


# --- the policy file ---


def write_policy(folder: Path, **changes: str) -> Path:
    for name, key in (("ada", OWNER), ("cleo", APPROVER)):
        (folder / f"{name}.pub").write_text(key.public.to_text() + "\n")
    text = (
        "version: 1\nlocale: eu-west\npeople:\n"
        "  - {name: Ada, roles: [owner], key: ada.pub}\n"
        "  - {name: Cleo, roles: [approver], key: cleo.pub}\n"
    )
    for old, new in changes.items():
        text = text.replace(old.replace("_", " "), new)
    file = folder / "policy.yaml"
    file.write_text(text)
    return file


def test_a_policy_reads_keys_from_beside_it(tmp_path: Path) -> None:
    found = load_policy(write_policy(tmp_path), "eu-west")
    assert [person.public.key_id for person in found.people] == [OWNER.public.key_id, APPROVER.public.key_id]
    assert found.people[0].key.startswith("ed25519:")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[owner]", "[auditor]", "nobody is an owner"),
        ("cleo.pub", "ada.pub", "the key [0-9a-f]{16} is given twice"),
        ("name: Cleo", "name: Ada", "the name Ada is given twice"),
        ("[approver]", "[boss]", "people.1.roles.0: Input should be"),
        ("version: 1", "version: 1\nversion: 1", ":2: key 'version' is given twice"),
        ("locale: eu-west", "locale: us-east", "is the policy of locale 'us-east'; allowed: 'eu-west'"),
        ("cleo.pub", "nobody.pub", "neither PEM, nor base64"),
        ("people:", "folks:", "people: Field required"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = write_policy(tmp_path)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=words) as caught:
        load_policy(file, "eu-west")
    assert str(caught.value).startswith(f"policy {file}") and "\n" not in str(caught.value)


def test_more_approvals_than_there_are_approvers_is_refused() -> None:
    policy().check_quorum(2, "locale x")
    policy().check_quorum(3, "locale x")  # the owner requests, the three approve
    with pytest.raises(ConfigError, match="4 approvals are required, and there are 3 approvers"):
        policy().check_quorum(4, "locale x")
