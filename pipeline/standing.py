"""What a run records of each locale's budget and approvals, so that its report can show them later.

Numbers of the ledger, names of people, times and decisions: no value of a row, no note that a person
wrote. Imports no TFX.
"""

from __future__ import annotations

from typing import Any

from components.egress import lists
from components.errors import IsthmusError
from components.governance.config import REJECTED, WAITING
from components.governance.core import anchors, summary
from components.governance.core.audit_state import ReleaseState
from pipeline import governance
from pipeline.config.model import Deployment
from pipeline.run_state import PipelineState, output_json

#: The states of a record that holds nothing else.
NOT_CONFIGURED = "not configured"
NOT_OPENED = "not opened"
NOT_READABLE = "not readable"
NOT_REQUIRED = "not required"
NOT_ADOPTED = "no policy in force"
NOTHING_ASKED = "nothing asked"
NOT_RECORDED = "not recorded"
#: The states of a record that is whole.
RECORDED = "recorded"
APPROVED = "approved"


def record_of(deployment: Deployment, locale: str, section: PipelineState) -> dict[str, Any]:
    """A locale's budget and the decision about its release, as they are now.

    Args:
      deployment: The deployment.
      locale: The locale's name.
      section: What the run knows of the locale; names the release.

    Returns:
      `budget` and `approval`, each with a `state`; see `components.egress.lists` for the other fields.
    """
    try:
        budget = _budget(deployment, locale)
    except IsthmusError:
        budget = {"state": NOT_READABLE}
    try:
        approval = _approval(deployment, locale, output_json(section.components, "pushed", "push.json"))
    except IsthmusError:
        approval = {"state": NOT_READABLE}
    return {"budget": budget, "approval": approval}


def _budget(deployment: Deployment, locale: str) -> dict[str, Any]:
    ledger = governance.ledger_of(deployment, locale)
    if ledger is None:
        return {"state": NOT_CONFIGURED}
    state = ledger.state()
    # A ledger that was put back to an earlier state would show less than was spent.
    anchors.check_ledger(governance.published(deployment, locale), state, ledger.place)
    if state.budget is None:
        return {"state": NOT_OPENED}
    found = summary.standing(state)
    return {"state": RECORDED, **{key: found[key] for key in found if key in lists.BUDGET_FIELDS}}


def _approval(deployment: Deployment, locale: str, push: dict[str, Any]) -> dict[str, Any]:
    config = governance.config_of(deployment, locale)
    audit = governance.audit_of(deployment, locale)
    if config is None or audit is None:
        return {"state": NOT_REQUIRED}
    state = audit.state()
    if state.policy is None:
        return {"state": NOT_ADOPTED}
    required = max(config.required_approvals, state.policy.required_approvals)
    if not required:
        return {"state": NOT_REQUIRED}
    if not push.get("content_digest"):
        return {"state": NOTHING_ASKED, "required": required}
    found = state.releases.get(str(push["content_digest"]))
    decisions = _decisions(found) if found else []
    if found is None or (push.get("pushed") and not decisions):
        return {"state": NOT_RECORDED, "required": required}
    outcome = APPROVED if push.get("pushed") else push.get("outcome")
    known = outcome in (APPROVED, WAITING, REJECTED)
    return {"state": outcome if known else NOT_RECORDED, "required": required, "decisions": decisions}


def _decisions(found: ReleaseState) -> list[dict[str, str]]:
    decisions = [{"who": x.by.name, "at": x.at, "decision": "approved"} for x in found.approvals]
    if found.rejected_by is not None:
        decisions.append({"who": found.rejected_by.name, "at": found.at, "decision": "rejected"})
    return decisions
