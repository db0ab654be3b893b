"""Reads a locale's budget and approval from `run.json`, where `pipeline.standing` recorded them.

The privacy statement is the Pusher's record of what it signed.
"""

from __future__ import annotations

from typing import Any

from pipeline.report.model import Approval, Budget, Decision, Part, Statement
from pipeline.report.reading import (
    PipelineFiles,
    as_count,
    as_list,
    as_mapping,
    as_number,
    as_sentences,
    as_text,
)


def read_budget(files: PipelineFiles) -> Part[Budget]:
    """What is spent and left of the privacy budget, or why that cannot be said."""
    found = _recorded(files, "budget")
    epsilon, delta = as_number(found.get("epsilon")), as_number(found.get("delta"))
    if found.get("state") != "recorded" or epsilon is None or delta is None:
        if files.entry.get("sharing") == "open":
            why = f"{files.name} is open: it shares its validated rows, which no privacy budget limits."
            return Part[Budget](absent=why)
        return Part[Budget](absent=_why_no_budget(files.name, found.get("state")))
    return Part[Budget](
        content=Budget(
            epsilon=epsilon,
            delta=delta,
            unit=as_text(found.get("unit"), "unit"),
            neighboring_relation=as_text(found.get("neighboring_relation")),
            spent=as_number(found.get("spent")),
            counted=as_number(found.get("counted")),
            left=as_number(found.get("left")),
            releases=as_count(found.get("releases")),
            reserved=as_count(found.get("reserved")),
            refused=as_count(found.get("refused")),
        )
    )


def read_approval(files: PipelineFiles) -> Part[Approval]:
    """Who decided what about the release of this run, or why nobody did."""
    found = _recorded(files, "approval")
    state = as_text(found.get("state"))
    if state not in ("approved", "rejected", "waiting for approval"):
        return Part[Approval](absent=_why_no_approval(files.name, state))
    decisions = (as_mapping(item) for item in as_list(found.get("decisions")))
    return Part[Approval](
        content=Approval(
            state=state,
            required=as_count(found.get("required")),
            decisions=tuple(
                Decision(
                    who=as_text(item.get("who"), "?"),
                    at=as_text(item.get("at")),
                    decision=as_text(item.get("decision"), "not recorded"),
                )
                for item in decisions
            ),
        )
    )


def read_statement(files: PipelineFiles) -> Part[Statement]:
    """What the release of this run says of privacy, or why nothing does."""
    part = files.read("Pusher", "pushed", "push.json", "privacy statement")
    if part.content is None:
        return Part[Statement](absent=part.absent)
    if part.content.get("pushed") is not True:
        return Part[Statement](absent=f"{files.name} released nothing in this run, so nothing is stated.")
    found = as_mapping(part.content.get("privacy"))
    if not found:  # pushed by an earlier version
        why = f"This run did not record the statement of {files.name}; the release's manifest holds it."
        return Part[Statement](absent=why)
    return Part[Statement](
        content=Statement(
            mechanism=as_text(found.get("mechanism"), "not recorded"),
            epsilon=as_number(found.get("epsilon")),
            delta=as_number(found.get("delta")),
            unit=as_text(found.get("unit")),
            adjacency=as_text(found.get("adjacency")),
            sentences=as_sentences(found.get("sentences")),
        )
    )


def _recorded(files: PipelineFiles, part: str) -> dict[str, Any]:
    return as_mapping(as_mapping(files.entry.get("governance")).get(part))


def _why_no_budget(locale: str, state: Any) -> str:
    return {
        "not configured": f"No budget is configured for {locale}, so nothing limits what its releases cost.",
        "not opened": f"The budget of {locale} was not opened yet; its first run opens it.",
        "not readable": f"The budget ledger of {locale} cannot be read or does not verify; "
        "`isthmus audit` says why.",
    }.get(as_text(state), f"This run did not record the budget of {locale}.")


def _why_no_approval(locale: str, state: str) -> str:
    return {
        "not required": f"No approval is required for releases of {locale}.",
        "no policy in force": f"No policy is in force in {locale}, so nobody can approve a release.",
        "nothing asked": f"No release of {locale} came to a decision in this run.",
        "not recorded": f"The audit log of {locale} holds no decision about this release.",
        "not readable": f"The audit log of {locale} cannot be read or does not verify; "
        "`isthmus audit` says why.",
    }.get(state, f"This run did not record the approvals of {locale}.")
