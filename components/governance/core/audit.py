"""The audit log of a locale: who adopted, requested, approved, rejected and published what.

    policy (an owner) ── pending (the locale's Pusher) ── request (a scientist)
                                   ├── approve (approvers, not the requester) ── published (the locale)
                                   └── reject  (an approver): closes the request

Every entry is signed by whoever it names: people by the key that the policy in force gives them,
what a run does by the locale's key. Decisions are bound to a release's content digest, so that other
bytes need another decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from components.errors import ConfigError, DataError
from components.governance.core.audit_state import (
    LOCALE_KINDS,
    ROLES,
    AuditState,
    Decision,
    DecisionBody,
    PendingBody,
    PolicyBody,
    PublishedBody,
    ReleaseState,
    Writer,
    take,
    why_not,
)
from components.governance.core.chain import Chain
from components.governance.core.entries import Anchor, ChainError, Entry
from components.governance.core.policy import Policy
from components.release.keys import PrivateKey, PublicKey


class AuditLog:
    """The audit log of one locale: `<folder>/audit.jsonl`."""

    def __init__(self, folder: Path, locale: str, trusted: Sequence[PublicKey]) -> None:
        """Makes nothing on disk; `trusted` are the locale's public keys, old ones included."""
        self.locale, self.place = locale, f"locale {locale}: audit log"
        self._trusted = list(trusted)
        self.chain = Chain(folder, "audit", "isthmus-audit", self._keys_of, self.place)

    def state(self) -> AuditState:
        """What the log says now.

        Raises:
          ChainError: it does not verify.
        """
        return self.replay(self.chain.read())

    def adopt(self, key: PrivateKey, policy: Policy) -> Entry | None:
        """Puts a policy in force; None where it is already.

        The first policy is signed by an owner that it names itself; every later one by an owner of the
        one before, so that nobody makes themselves an approver.

        Raises:
          ConfigError: the key is no owner's.
        """
        with self.chain.locked() as entries:
            current = self.replay(entries).policy
            if current == policy:
                return None
            by = self._writer(current or policy, key, "policy")
            body = PolicyBody(by=by, policy=policy)
            return self.chain.append(entries, "policy", body.model_dump(mode="json"), key)

    def record_pending(self, key: PrivateKey, pending: PendingBody) -> ReleaseState:
        """Notes that a release waits; the same again changes nothing."""
        with self.chain.locked() as entries:
            found = self.replay(entries).releases.get(pending.content_digest)
            changed = found is not None and found.summary_sha256 != pending.summary_sha256
            # Published once without approval, and now there has to be one: it waits like a new release.
            unapproved = found is not None and found.status == "published" and not found.approvals
            if found is None or unapproved or (changed and found.status == "pending"):
                self.chain.append(entries, "pending", pending.model_dump(mode="json"), key)
            return self.replay(entries).releases[pending.content_digest]

    def request(self, key: PrivateKey, content_digest: str, note: str = "") -> ReleaseState:
        """A scientist asks for approval; after a rejection this opens the question again.

        Raises:
          ConfigError: the key is no scientist's or owner's.
          DataError: no such release waits, or it is requested or published already.
        """
        with self.chain.locked() as entries:
            state = self.replay(entries)
            found = self._release(state, content_digest)
            by = self._writer(state.policy, key, "request")
            if found.status in ("requested", "published"):
                who = f" by {found.requester.name}" if found.requester else ""
                raise DataError(f"{self.place}: release {found.release_id} was {found.status}{who} already.")
            self._append(entries, "request", by, found, note, key)
            return self.replay(entries).releases[content_digest]

    def decide(
        self, key: PrivateKey, content_digest: str, decision: Decision, note: str = ""
    ) -> ReleaseState:
        """An approver approves or rejects a requested release.

        Raises:
          ConfigError: the key is no approver's.
          DataError: nobody requested it, the approver did so themselves or has decided already.
        """
        with self.chain.locked() as entries:
            state = self.replay(entries)
            found = self._release(state, content_digest)
            by = self._writer(state.policy, key, decision)
            problem = why_not(found, by)
            if problem:
                raise DataError(f"{self.place}: release {found.release_id} {problem}.")
            self._append(entries, decision, by, found, note, key)
            return self.replay(entries).releases[content_digest]

    def record_published(self, key: PrivateKey, published: PublishedBody) -> None:
        """Notes that a release was published; the same again changes nothing."""
        with self.chain.locked() as entries:
            found = self.replay(entries).releases.get(published.content_digest)
            if found is None or found.status != "published":
                self.chain.append(entries, "published", published.model_dump(mode="json"), key)

    def record(self, key: PrivateKey, kind: Literal["retention", "erasure"], body: dict[str, Any]) -> Entry:
        """Notes what the locale itself did."""
        with self.chain.locked() as entries:
            return self.chain.append(entries, kind, body, key)

    def replay(self, entries: Sequence[Entry]) -> AuditState:
        """The state after all entries.

        Raises:
          ChainError: an entry that no log of ours has there.
        """
        state = AuditState()
        for entry in entries:
            state.anchor = Anchor(entries=entry.sequence, last_digest=entry.line_digest)
            try:
                fits = take(state, entry, self.locale)
            except pydantic.ValidationError:
                fits = False
            if not fits:
                raise ChainError(
                    f"{self.place}: entry {entry.sequence} ({entry.kind}) does not follow from those before."
                )
        return state

    def _append(
        self, entries: list[Entry], kind: str, by: Writer, found: ReleaseState, note: str, key: PrivateKey
    ) -> None:
        body = DecisionBody(
            by=by, content_digest=found.content_digest, summary_sha256=found.summary_sha256, note=note
        )
        self.chain.append(entries, kind, body.model_dump(mode="json"), key)

    def _release(self, state: AuditState, content_digest: str) -> ReleaseState:
        found = state.releases.get(content_digest)
        if found is None:
            raise DataError(
                f"{self.place}: no release {content_digest[:12]} waits; `isthmus request` lists what does."
            )
        return found

    def _writer(self, policy: Policy | None, key: PrivateKey, kind: str) -> Writer:
        if policy is None:
            raise ConfigError(
                f"{self.place}: no policy is in force; an owner adopts it with `isthmus policy`."
            )
        person = policy.by_key(key.public.key_id)
        roles = ROLES[kind]
        if person is None or not set(person.roles) & set(roles):
            who = f"{person.name} ({', '.join(person.roles)})" if person else f"key {key.public.key_id}"
            verb = "adopt a policy" if kind == "policy" else kind
            raise ConfigError(f"{self.place}: {who} may not {verb}; allowed: {' or '.join(roles)}")
        return Writer(name=person.name, key_id=key.public.key_id)

    def _keys_of(self, entry: Entry, before: Sequence[Entry]) -> Sequence[PublicKey]:
        """The key of the person that the entry names, if the policy then in force let them write it."""
        if entry.kind in LOCALE_KINDS:
            return self._trusted
        policies = [found for found in before if found.kind == "policy"] or (
            [entry] if entry.kind == "policy" else []
        )
        try:
            by = Writer.model_validate(entry.body["by"])
            policy = PolicyBody.model_validate(policies[-1].body).policy
            person = policy.by_key(by.key_id)
        except (pydantic.ValidationError, KeyError, IndexError, ConfigError):
            return []
        allowed = person is not None and person.name == by.name
        if not allowed or person is None or not set(person.roles) & set(ROLES.get(entry.kind, ())):
            return []
        return [person.public]
