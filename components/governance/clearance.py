"""What a Pusher asks before it publishes: is there consent, and does the budget allow it?

    desk = ClearanceDesk(config, key, store, model=...)
    report = push_region(..., before_publish=desk.before_publish)   # consent first, then the budget
    report = desk.close(report)               # what was refused gives its reservation back

The budget is committed *before* the release is visible. A crash in between leaves a release counted
that nobody sees, never one seen that is not counted; the rerun publishes the same content and
commits nothing new.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.errors import ConfigError, DataError, ReleaseError, list_briefly
from components.executor_base import write_atomically
from components.governance.config import REJECTED, WAITING, GovernanceConfig
from components.governance.core import anchors
from components.governance.core import summary as summaries
from components.governance.core.audit import AuditLog
from components.governance.core.audit_state import (
    Approval,
    AuditState,
    PendingBody,
    PublishedBody,
    ReleaseState,
)
from components.governance.core.policy import Policy, load_policy
from components.governance.core.spending import (
    commit,
    give_back,
    open_audit_log,
    open_ledger,
    trusted_keys,
)
from components.release.exchange import (
    MAX_MANIFEST_BYTES,
    MAX_MANIFEST_DEPTH,
    latest_release,
    read_manifest_bytes,
)
from components.release.keys import PrivateKey
from components.release.manifest import Approver, Manifest, parse_manifest
from components.release.publish import Clearance, Draft
from components.release.storage import Source, Store, read_bounded

EVALUATION_NAME = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Answer:
    """Whether a release may be published.

    Attributes:
      refusal: Why not, in one line; empty where it may.
      outcome: `cleared`, `waiting for approval` or `rejected`.
      approvals: Who approved it.
    """

    refusal: str = ""
    outcome: str = "cleared"
    approvals: tuple[Approval, ...] = ()


class ClearanceDesk:
    """Asks for one Pusher run. Without a configuration everything is cleared."""

    def __init__(
        self,
        config: GovernanceConfig | None,
        key: PrivateKey | None,
        store: Store | None,
        model: Path | None = None,
        sketch: Path | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
          config: The locale's governance; None where it has neither budget nor policy.
          key: The locale's signing key.
          store: The exchange, for the comparison with the last release.
          model: The Model artifact that the release was drawn from.
          sketch: The SpanSketch artifact that goes with it, where it has noise.
        """
        self._config, self._key, self._store = config, key, store
        self._model, self._sketch = model, sketch
        self._answer: Answer | None = None

    @contextlib.contextmanager
    def cleared(self, manifest: Manifest, evaluation: Source | None = None) -> Iterator[Answer]:
        """Gives the answer for a release; leaving without an exception means that it was published.

        Args:
          manifest: Unsigned, its content settled.
          evaluation: The release's `evaluation.json`: approvers are shown what leaves, and no more.

        Raises:
          PrivacyBudgetExceededError: the budget does not allow it.
          ConfigError: the policy in the file is not the one in force, or there is none.
          DataError: a log does not verify, or the model does not say what it cost.
        """
        self._answer = Answer()
        if self._config is None or self._key is None:
            yield self._answer
            return
        audit = open_audit_log(self._config) if self._config.policy else None
        self._check_against_published(self._config, audit)
        if audit is not None:
            self._answer = self._ask_people(self._config, audit, manifest, evaluation)
        if not self._answer.refusal:
            self._commit(self._config, manifest)
        yield self._answer
        if audit is not None and not self._answer.refusal:
            names = tuple(approval.by.name for approval in self._answer.approvals)
            audit.record_published(
                self._key,
                PublishedBody(
                    content_digest=manifest.content_digest,
                    release_id=manifest.release_id,
                    span=manifest.span,
                    approvers=names,
                ),
            )

    @contextlib.contextmanager
    def before_publish(self, draft: Draft) -> Iterator[Clearance]:
        """`cleared`, as `components.release.publish.BeforePublish` has it."""
        with self.cleared(draft.manifest, draft.files.get(EVALUATION_NAME)) as answer:
            yield Clearance(answer.refusal, approver_of(answer.approvals))

    def close(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Ends the run: names the outcome in `push.json`, and gives back what will not be published.

        What waits keeps its reservation. What the gate or an approver refused gives it back; should the
        same model be published after all, the Pusher reserves again, within the budget.

        Args:
          report: The content of `push.json`.
        """
        outcome = self._answer.outcome if self._answer else "cleared"
        closed = {**report, **({"outcome": outcome} if outcome != "cleared" else {})}
        if not report.get("pushed") and outcome != WAITING:
            self._give_back(str(report.get("reason", "refused")))
        return closed

    def _ask_people(
        self, config: GovernanceConfig, audit: AuditLog, manifest: Manifest, evaluation: Source | None
    ) -> Answer:
        state = audit.state()
        policy = policy_in_force(config, state)
        required = max(config.required_approvals, policy.required_approvals)
        if not required:
            return Answer()
        policy.check_quorum(required, f"locale {config.locale}: governance")
        found = state.releases.get(manifest.content_digest)
        approvals = valid_approvals(found, policy)
        if len(approvals) >= required:
            return Answer(approvals=tuple(approvals))
        if found is not None and found.status == "rejected" and found.rejected_by:
            return Answer(f"{REJECTED} by {found.rejected_by.name}", REJECTED)
        if found is None or found.status in ("pending", "published"):
            found = self._present(config, audit, manifest, evaluation)
        count = f"{len(approvals)} of {required}"
        next_step = "isthmus request" if found.status == "pending" else "isthmus approve"
        return Answer(f"{WAITING} ({count}); next: `{next_step}` in locale {config.locale}", WAITING)

    def _check_against_published(self, config: GovernanceConfig, audit: AuditLog | None) -> None:
        """Refuses logs that were put back to a state from before what is published."""
        if self._store is None:
            return
        keys = trusted_keys(config)
        releases = list(anchors.own_releases(self._store, config.locale, keys))
        ledger = open_ledger(config)
        if ledger is not None:
            anchors.check_ledger(releases, ledger.state(), ledger.place)
        if audit is not None:
            anchors.check_audit(releases, audit.chain.read(), audit.place)

    def _present(
        self, config: GovernanceConfig, audit: AuditLog, manifest: Manifest, evaluation: Source | None
    ) -> ReleaseState:
        """Writes what approvers are shown, and notes that the release waits."""
        assert self._key is not None  # `cleared` returned otherwise
        last, last_evaluation, note = self._last_release(config, manifest)
        ledger = open_ledger(config)
        standing = summaries.standing(ledger.state()) if ledger is not None else None
        leaves = evaluation.read_bytes() if isinstance(evaluation, Path) else evaluation
        shown = dict(json.loads(leaves)) if leaves is not None else None
        raw = summaries.to_bytes(summaries.summarise(manifest, shown, standing, last, last_evaluation, note))
        digest = summaries.digest(raw)
        write_atomically(summary_path(Path(config.folder), manifest.content_digest, digest), raw)
        return audit.record_pending(
            self._key,
            PendingBody(
                content_digest=manifest.content_digest,
                release_id=manifest.release_id,
                span=manifest.span,
                summary_sha256=digest,
            ),
        )

    def _commit(self, config: GovernanceConfig, manifest: Manifest) -> None:
        ledger = open_ledger(config)
        if ledger is None or self._key is None:
            return
        place = f"locale={config.locale} span={manifest.span}"
        commit(ledger, self._key, (self._model, *filter(None, (self._sketch,))), manifest, place)

    def _give_back(self, reason: str) -> None:
        ledger = open_ledger(self._config) if self._config else None
        if ledger is None or self._key is None:
            return
        parts = tuple(filter(None, (self._model, self._sketch)))
        give_back(ledger, self._key, parts, f"not published: {reason[:200]}")

    def _last_release(
        self, config: GovernanceConfig, manifest: Manifest
    ) -> tuple[Manifest | None, dict[str, Any] | None, str]:
        """The newest published release and its evaluation, or why there is nothing to compare with."""
        if self._store is None:
            return None, None, ""
        location = latest_release(self._store, config.locale)
        if location is None:
            return None, None, "there is no earlier release"
        raw = read_manifest_bytes(self._store, location.folder) or b""
        try:
            last = parse_manifest(raw, location.folder, MAX_MANIFEST_BYTES, MAX_MANIFEST_DEPTH)
        except ReleaseError:
            last = None
        keys = trusted_keys(config)
        if last is None or not any(key.verifies(last) for key in keys):
            return None, None, "the last release in the exchange does not verify"
        entry = last.files.get(EVALUATION_NAME)
        if entry is None:
            return last, None, ""
        # Others write there too: no more is read than the signed manifest says that there is.
        content = read_bounded(self._store, f"{location.folder}/{EVALUATION_NAME}", entry.size_bytes)
        if content is None or summaries.digest(content) != entry.sha256:
            return None, None, "the last release in the exchange does not verify"
        return last, dict(json.loads(content)), ""


def policy_in_force(config: GovernanceConfig, state: AuditState) -> Policy:
    """The policy that an owner adopted, which has to be the one in the file.

    Raises:
      ConfigError: nothing was adopted, or the file says something else.
    """
    assert config.policy_file is not None  # the callers' own check
    policy = load_policy(config.policy_file, config.locale)
    if state.policy is None:
        raise ConfigError(
            f"locale {config.locale}: no policy is in force; an owner adopts {config.policy_file} with "
            "`isthmus policy --adopt`"
        )
    if state.policy != policy:
        raise ConfigError(
            f"locale {config.locale}: {config.policy_file} is not the policy in force; an owner adopts it "
            "with `isthmus policy --adopt`, or puts the old one back"
        )
    return policy


def approver_of(approvals: Sequence[Approval]) -> Approver | None:
    """The manifest's field: who approved, when the last of them did, and the digest of that entry."""
    if not approvals:
        return None
    last = approvals[-1]
    names = list_briefly([approval.by.name for approval in approvals], limit=20)[:200]
    return Approver(name=names, decided_at=last.at, decision_digest=last.entry_digest)


def valid_approvals(found: ReleaseState | None, policy: Policy) -> list[Approval]:
    """Approvals of people who are approvers still, other than the requester."""
    if found is None or found.requester is None or found.status == "rejected":
        return []
    approvers = {person.public.key_id for person in policy.with_role("approver")}
    return [
        approval
        for approval in found.approvals
        if approval.by.key_id in approvers and approval.by.key_id != found.requester.key_id
    ]


def summary_path(folder: Path, content_digest: str, summary_sha256: str) -> Path:
    """Where the summary of a release is."""
    return folder / "requests" / f"{content_digest[:12]}-{summary_sha256[:8]}.json"


def read_summary(folder: Path, found: ReleaseState) -> dict[str, Any]:
    """What approvers are shown about a release.

    Raises:
      DataError: it is missing, or is not what the audit log recorded.
    """
    path = summary_path(folder, found.content_digest, found.summary_sha256)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Run the locale again.") from None
    if summaries.digest(raw) != found.summary_sha256:
        raise DataError(f"{path}: is not what the audit log recorded; it was altered. Run the locale again.")
    return dict(json.loads(raw))
