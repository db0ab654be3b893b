"""The budget ledger of a locale: what its releases cost, reserved before it is spent.

    open ── reserve ──┬── commit   (published: spent for good)
                      └── release  (nothing of it was published)
    refuse: a reservation that the budget did not allow

What is reserved counts as spent. A run that is killed leaves its reservation; the same work resumes
it, or a person releases it. What was committed is spent, whatever becomes of the release: revoking it
calls nothing back. One model is paid for once; what else is drawn from it costs nothing more
(post-processing, Dwork and Roth 2014, proposition 2.1).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from components.errors import ConfigError, DataError, PrivacyBudgetExceededError
from components.governance.config import BudgetConfig
from components.governance.core.chain import Chain
from components.governance.core.entries import Entry
from components.governance.core.events import PrivacyCost, PrivacyUnit
from components.governance.core.ledger_state import (
    CommitBody,
    FailBody,
    LedgerState,
    OpenBody,
    RefuseBody,
    ReleaseBody,
    Reservation,
    ReservationId,
    ReserveBody,
    replay,
)
from components.release.keys import PrivateKey, PublicKey

RESERVATION_DIGITS = 12


class Ledger:
    """The ledger of one locale and privacy unit: `<folder>/ledger-<unit>.jsonl`."""

    def __init__(self, folder: Path, locale: str, unit: PrivacyUnit, trusted: Sequence[PublicKey]) -> None:
        """Makes nothing on disk; `trusted` are the locale's public keys, old ones included."""
        self.locale, self.unit = locale, unit
        self.place = f"locale {locale}: budget ledger ({unit})"
        self.chain = Chain(
            folder, f"ledger-{unit}", "isthmus-ledger", lambda entry, before: trusted, self.place
        )

    def state(self) -> LedgerState:
        """What the ledger says now.

        Raises:
          ChainError: it does not verify.
        """
        return self._replay(self.chain.read())

    def open(
        self, key: PrivateKey, budget: BudgetConfig, reason: str = "", *, change: bool = False
    ) -> LedgerState:
        """Opens the ledger with a budget; the same budget again changes nothing.

        Args:
          key: The locale's signing key.
          budget: The budget.
          reason: Why, in words; needed for a change.
          change: Whether another budget than the ledger's may be set. The locale decides that, with its
            key, not the central configuration.

        Raises:
          ConfigError: the ledger has another budget, and `change` is not set.
        """
        with self.chain.locked() as entries:
            state = self._replay(entries)
            if state.budget is not None and state.budget.same_limit(budget):
                return state
            if state.budget is not None and not change:
                raise ConfigError(
                    f"locale {self.locale}: privacy.budget is {describe(budget)}, the ledger was opened with "
                    f"{describe(state.budget)}; allowed: that one, or `isthmus budget --change` by the locale"
                )
            body = OpenBody(locale=self.locale, budget=budget, reason=reason)
            self.chain.append(entries, "open", body.model_dump(mode="json"), key)
            return self._replay(entries)

    def reserve(self, key: PrivateKey, work_id: str, span: int, cost: PrivacyCost) -> Reservation:
        """Sets a cost aside before training, or resumes what this work had set aside already.

        Args:
          key: The locale's signing key.
          work_id: Names the work: the same data, settings and seed have the same id in every run.
          span: The span.
          cost: What the training will cost.

        Raises:
          PrivacyBudgetExceededError: it would exceed the budget; the refusal is recorded.
          DataError: the cost is of another unit or relation, or no budget was opened.
        """
        with self.chain.locked() as entries:
            state = self._replay(entries)
            resumed = state.of_work(work_id)
            if resumed is not None and resumed.cost == cost:
                return resumed
            return self._reserve(entries, state, key, work_id, span, cost, "trained")

    def commit(
        self,
        key: PrivateKey,
        work_id: str,
        span: int,
        cost: PrivacyCost,
        model_digest: str,
        content_digest: str,
    ) -> Reservation:
        """Spends a reservation for the release that is about to be published.

        A reservation that was given back, or has paid for another model of the same work, is made
        again first, within the budget. Committing the same release twice changes nothing.

        Args:
          key: The locale's signing key.
          work_id: As for `reserve`.
          span: The span.
          cost: What the model cost.
          model_digest: SHA-256 of the model that the release was drawn from.
          content_digest: The release's content digest.

        Raises:
          PrivacyBudgetExceededError: there was no reservation, and the budget does not allow one.
          DataError: the cost is not what was reserved, or is of another unit or relation.
        """
        with self.chain.locked() as entries:
            state = self._replay(entries)
            found = state.of_model(model_digest)
            if found is not None and content_digest in found.content_digests:
                return found
            if found is None:
                found = state.of_work(work_id)
                if found is None:
                    found = self._reserve(entries, state, key, work_id, span, cost, "published")
            if found.cost != cost:
                raise DataError(
                    f"{self.place}: the model says that it cost something else than reservation "
                    f"{found.identifier} set aside; nothing was published. Train again."
                )
            body = CommitBody(
                reservation=found.identifier, model_digest=model_digest, content_digest=content_digest
            )
            self.chain.append(entries, "commit", body.model_dump(mode="json"), key)
            return self._replay(entries).reservations[found.identifier]

    def release(self, key: PrivateKey, identifier: ReservationId, reason: str) -> Reservation:
        """Gives a reservation back; one that is given back already stays so.

        Raises:
          DataError: there is no such reservation, or it is spent: on a release, or a training that failed.
        """
        with self.chain.locked() as entries:
            found = self._replay(entries).reservations.get(identifier)
            if found is None:
                raise DataError(f"{self.place}: no reservation '{identifier}'; `isthmus budget` lists them.")
            if found.status == "committed":
                raise DataError(
                    f"{self.place}: reservation {identifier} was spent on a release; what is published "
                    "cannot be called back, so neither can what it cost."
                )
            if found.status == "failed":
                raise DataError(
                    f"{self.place}: reservation {identifier} was spent on a training that failed after it "
                    "had looked at the data. The next attempt pays for itself."
                )
            if found.status == "reserved":
                body = ReleaseBody(reservation=identifier, reason=reason)
                self.chain.append(entries, "release", body.model_dump(mode="json"), key)
            return self._replay(entries).reservations[identifier]

    def fail(self, key: PrivateKey, identifier: ReservationId, reason: str) -> None:
        """Spends a reservation on a training that failed after it had looked at the data.

        Args:
          key: The locale's signing key.
          identifier: The reservation, which nothing was published with.
          reason: Without anything from the data.
        """
        with self.chain.locked() as entries:
            found = self._replay(entries).reservations.get(identifier)
            if found is not None and found.status == "reserved":
                body = FailBody(reservation=identifier, reason=reason)
                self.chain.append(entries, "fail", body.model_dump(mode="json"), key)

    def _reserve(
        self,
        entries: list[Entry],
        state: LedgerState,
        key: PrivateKey,
        work_id: str,
        span: int,
        cost: PrivacyCost,
        undone: str,
    ) -> Reservation:
        budget = state.budget
        if budget is None:
            raise DataError(f"{self.place}: not opened; `isthmus run` or `isthmus budget --change` does so.")
        if (cost.unit, cost.neighboring_relation) != (budget.unit, budget.neighboring_relation):
            raise DataError(
                f"{self.place}: the cost is per {cost.unit} ({cost.neighboring_relation}), the budget per "
                f"{budget.unit} ({budget.neighboring_relation}); one does not bound the other."
            )
        after = state.epsilon(plus=[cost])
        if not after <= budget.epsilon:  # a NaN is refused too
            refused = RefuseBody(
                work_id=work_id, span=span, cost=cost, epsilon_after=after if math.isfinite(after) else None
            )
            self.chain.append(entries, "refuse", refused.model_dump(mode="json"), key)
            raise PrivacyBudgetExceededError(
                f"locale={self.locale} span={span}: the release would bring epsilon per {budget.unit} from "
                f"{state.epsilon():.4g} to {after:.4g} at delta {budget.delta:g}, the budget is "
                f"{budget.epsilon:g}. Nothing was {undone}; `isthmus budget` shows more."
            )
        name = f"{self.locale} {self.unit} {work_id} {len(entries) + 1}"
        identifier = hashlib.sha256(name.encode()).hexdigest()[:RESERVATION_DIGITS]
        body = ReserveBody(reservation=identifier, work_id=work_id, span=span, cost=cost)
        self.chain.append(entries, "reserve", body.model_dump(mode="json"), key)
        return self._replay(entries).reservations[identifier]

    def _replay(self, entries: Sequence[Entry]) -> LedgerState:
        return replay(entries, self.locale, self.unit, self.place)


def describe(budget: BudgetConfig) -> str:
    """`epsilon 3 at delta 1e-06 per series`."""
    return f"epsilon {budget.epsilon:g} at delta {budget.delta:g} per {budget.unit}"
