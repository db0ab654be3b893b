"""What an audit log's entries say, and the state that follows from them; see `audit`."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.governance.core.entries import Anchor, Entry
from components.governance.core.policy import Policy, Role
from components.release.manifest import Sha256

Decision = Literal["approve", "reject"]
#: Which role may write which kind of entry. What is not named here is written by the locale's key.
ROLES: dict[str, tuple[Role, ...]] = {
    "policy": ("owner",),
    "request": ("scientist", "owner"),
    "approve": ("approver",),
    "reject": ("approver",),
}
#: What the locale itself records.
LOCALE_KINDS = ("pending", "published", "retention", "erasure")


class Writer(ComponentConfig):
    """Who wrote an entry, as the policy in force names them."""

    name: str
    key_id: str


class PolicyBody(ComponentConfig):
    """A policy from here on; whole, so that the log can be verified by itself."""

    by: Writer
    policy: Policy


class PendingBody(ComponentConfig):
    """A release that is ready and may not leave without consent."""

    content_digest: Sha256
    release_id: str
    span: int
    summary_sha256: Sha256


class DecisionBody(ComponentConfig):
    """A request or a decision about one release; `summary_sha256` is what the person was shown."""

    by: Writer
    content_digest: Sha256
    summary_sha256: Sha256
    note: str = pydantic.Field(default="", max_length=2000)


class PublishedBody(ComponentConfig):
    """A release was published with these people's approval."""

    content_digest: Sha256
    release_id: str
    span: int
    approvers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Approval:
    """One approval: who, when, and the digest of its entry."""

    by: Writer
    at: str
    entry_digest: str


@dataclasses.dataclass
class ReleaseState:
    """What has been decided about one release.

    Attributes:
      content_digest: Which release.
      release_id, span: The same for people.
      summary_sha256: Digest of what people are shown.
      status: `pending` (nobody has requested it), `requested`, `rejected` or `published`.
      requester: Who requested it last.
      approvals: Since that request.
      rejected_by: Who rejected it.
      at: UTC of the last change.
    """

    content_digest: str
    release_id: str
    span: int
    summary_sha256: str
    status: Literal["pending", "requested", "rejected", "published"] = "pending"
    requester: Writer | None = None
    approvals: list[Approval] = dataclasses.field(default_factory=list)
    rejected_by: Writer | None = None
    at: str = ""


@dataclasses.dataclass
class AuditState:
    """What a verified audit log says: the policy in force, the releases by content digest."""

    policy: Policy | None = None
    releases: dict[str, ReleaseState] = dataclasses.field(default_factory=dict)
    anchor: Anchor | None = None


def why_not(found: ReleaseState, by: Writer) -> str:
    """Why this person may not decide on this release now; empty where they may."""
    if found.status == "pending":
        return "has not been requested by anyone; a scientist does so with `isthmus request`"
    if found.status != "requested":
        who = f" by {found.rejected_by.name}" if found.rejected_by else ""
        return f"was {found.status}{who} already"
    # By name and by key: a person may have changed either since.
    if found.requester and (by.name == found.requester.name or by.key_id == found.requester.key_id):
        return f"was requested by {by.name}; nobody decides on their own request"
    if any(by.key_id == approval.by.key_id or by.name == approval.by.name for approval in found.approvals):
        return f"was approved by {by.name} already"
    return ""


def take(state: AuditState, entry: Entry, locale: str) -> bool:
    """Brings the state forward by one entry; False where it does not follow."""
    if entry.kind == "policy":
        state.policy = PolicyBody.model_validate(entry.body).policy
        return state.policy.locale == locale
    if entry.kind == "pending":
        pending = PendingBody.model_validate(entry.body)
        before = state.releases.get(pending.content_digest)
        if before is not None and before.status not in ("pending", "published"):
            return False  # what people have been asked about does not change under them
        state.releases[pending.content_digest] = ReleaseState(**pending.model_dump(), at=entry.at)
        return True
    if entry.kind in ("retention", "erasure"):
        return True
    if entry.kind == "published":
        published = PublishedBody.model_validate(entry.body)
        # A locale without required approvals publishes what never waited.
        empty = ReleaseState(published.content_digest, published.release_id, published.span, "")
        found = state.releases.setdefault(published.content_digest, empty)
        found.status, found.at = "published", entry.at
        return True
    return entry.kind in ROLES and _decide(state, entry)


def _decide(state: AuditState, entry: Entry) -> bool:
    body = DecisionBody.model_validate(entry.body)
    found = state.releases.get(body.content_digest)
    if found is None or found.summary_sha256 != body.summary_sha256:
        return False
    found.at = entry.at
    if entry.kind == "request":
        if found.status not in ("pending", "rejected"):
            return False
        found.status, found.requester = "requested", body.by
        found.approvals, found.rejected_by = [], None
        return True
    if why_not(found, body.by):
        return False
    if entry.kind == "reject":
        found.status, found.rejected_by = "rejected", body.by
    else:
        found.approvals.append(Approval(body.by, entry.at, entry.line_digest))
    return True
