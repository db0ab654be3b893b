"""What a run records of budget and approval: from the ledger and the audit log, and nothing else of them."""

from __future__ import annotations

import pytest
from pytest import approx

from components.errors import InternalError
from components.executor_base import write_json
from pipeline import outward, standing
from pipeline.config.load import load_deployment
from pipeline.run_state import PipelineState
from tests.unit.governance.test_governance_commands import DEPLOYMENT, fleet, isthmus, private_synthesizer

__all__ = ["fleet", "isthmus", "private_synthesizer"]  # fixtures
WHERE = ("--locale", "eu-west")


@pytest.fixture
def record(fleet, tmp_path):
    """What a run would record after a push."""

    def _record(push=None, locale="eu-west", text=DEPLOYMENT):
        (tmp_path / "isthmus.yaml").write_text(text)
        components = []
        if push is not None:
            write_json(tmp_path / "pushed" / "push.json", push)
            components = [{"id": "Pusher", "outputs": {"pushed": str(tmp_path / "pushed")}}]
        deployment = load_deployment(tmp_path / "isthmus.yaml")
        found = standing.record_of(deployment, locale, PipelineState(components=components))
        outward.run_record({"locales": {locale: {"governance": found}}})  # all of it may leave
        return found

    return _record


def test_a_release_from_waiting_to_approved(fleet, isthmus, record):
    model = fleet.train()
    waiting = record(fleet.push(model))
    assert waiting["approval"] == {"state": "waiting for approval", "required": 1, "decisions": []}
    assert waiting["budget"] == {
        "state": "recorded",
        "epsilon": 0.6,
        "delta": 1e-6,
        "unit": "series",
        "neighboring_relation": "add_or_remove_one",
        "spent": 0.0,
        "counted": approx(0.1892, abs=1e-4),  # one Gaussian of multiplier 20, as `isthmus budget` has it
        "left": approx(0.4108, abs=1e-4),
        "releases": 0,
        "reserved": 1,
        "refused": 0,
    }
    (digest,) = fleet.audit.state().releases
    note = "seen by Zyxwold"
    assert isthmus("request", *WHERE, "--key", "scientist.key", "--note", note)[0] == 0
    assert isthmus("approve", digest[:12], *WHERE, "--key", "approver.key", "--yes")[0] == 0
    done = record(fleet.push(model))
    (decision,) = done["approval"]["decisions"]
    (approval,) = fleet.audit.state().releases[digest].approvals
    assert done["approval"]["state"] == "approved"
    assert decision == {"who": "Cleo", "at": approval.at, "decision": "approved"}
    assert done["budget"]["spent"] == approx(0.1892, abs=1e-4) and done["budget"]["reserved"] == 0
    assert "Zyxwold" not in str(done)  # what people write to each other stays


def test_a_rejected_release(fleet, isthmus, record):
    model = fleet.train()
    fleet.push(model)
    (digest,) = fleet.audit.state().releases
    assert isthmus("request", *WHERE, "--key", "scientist.key")[0] == 0
    assert isthmus("reject", digest[:12], *WHERE, "--key", "approver.key", "--yes")[0] == 0
    found = record(fleet.push(model))
    assert found["approval"]["state"] == "rejected"
    assert [(x["who"], x["decision"]) for x in found["approval"]["decisions"]] == [("Cleo", "rejected")]
    assert found["budget"]["reserved"] == 0  # given back


def test_another_release_that_waits_does_not_stand_for_this_one(fleet, record):
    """The digest in `push.json` says which release was asked about."""
    model = fleet.train()
    first, second = fleet.push(model), fleet.push(model, rows=21)
    assert len({first["content_digest"], second["content_digest"], ""}) == 3
    assert set(fleet.audit.state().releases) == {first["content_digest"], second["content_digest"]}
    assert record(first | {"content_digest": "0" * 64})["approval"]["state"] == "not recorded"


def test_what_there_is_not_is_named(fleet, record, tmp_path):
    nothing = {"budget": {"state": "not configured"}, "approval": {"state": "not required"}}
    assert record(locale="us-east") == nothing
    # The gate refused: nobody was asked.
    refused = record(fleet.push(fleet.train(), verdict="NOT_BLESSED"))
    assert refused["approval"] == {"state": "nothing asked", "required": 1}
    assert record()["approval"]["state"] == "nothing asked"  # it ended before its Pusher
    (tmp_path / "elsewhere").mkdir()
    fresh = record(text=DEPLOYMENT.replace("root: .", "root: elsewhere"))
    assert fresh == {"budget": {"state": "not opened"}, "approval": {"state": "no policy in force"}}


def test_a_log_that_does_not_verify_gives_no_number(fleet, record):
    fleet.push(fleet.train())
    for log in (fleet.ledger.chain, fleet.audit.chain):
        log.path.write_text(log.path.read_text().replace("eu-west", "eu-wess", 1))
    assert record() == {"budget": {"state": "not readable"}, "approval": {"state": "not readable"}}


def test_a_ledger_that_was_put_back_gives_no_number(fleet, isthmus, record):
    """It verifies by itself, and shows less than was spent."""
    model = fleet.train()
    paths = [fleet.ledger.chain.path, fleet.ledger.chain.head_path]
    old = [path.read_bytes() for path in paths]
    fleet.push(model)
    (digest,) = fleet.audit.state().releases
    isthmus("request", *WHERE, "--key", "scientist.key")
    isthmus("approve", digest[:12], *WHERE, "--key", "approver.key", "--yes")
    push = fleet.push(model)
    assert record(push)["budget"]["state"] == "recorded"
    for path, content in zip(paths, old, strict=True):
        path.write_bytes(content)
    assert record(push)["budget"] == {"state": "not readable"}
    assert record(push)["approval"]["state"] == "approved"


@pytest.mark.parametrize(
    "odd",
    [
        {"budget": {"mean_of_rows": 3.5}},
        {"approval": {"note": "x"}},
        {"approval": {"decisions": [{"who": "Cleo", "note": "x"}]}},
        {"rows": {}},
    ],
)
def test_a_field_that_is_on_no_list_does_not_leave(odd):
    with pytest.raises(InternalError, match="on no list"):
        outward.run_record({"locales": {"eu-west": {"governance": odd}}})
