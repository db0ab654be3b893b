"""What a budget ledger's entries say, and the state that follows from them; see `ledger`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import pydantic

from components.config_base import ComponentConfig
from components.governance.config import BudgetConfig
from components.governance.core import accounting
from components.governance.core.entries import Anchor, ChainError, Entry
from components.governance.core.events import SKETCH_WORK, PrivacyCost, PrivacyUnit, together
from components.release.manifest import Sha256

ReservationId = str


class OpenBody(ComponentConfig):
    """The budget from here on."""

    locale: str
    budget: BudgetConfig
    reason: str = ""


class ReserveBody(ComponentConfig):
    """An amount set aside for one piece of work (one training on one span)."""

    reservation: ReservationId
    work_id: str
    span: int
    cost: PrivacyCost


class CommitBody(ComponentConfig):
    """A release was, or is at this moment being, published from a model."""

    reservation: ReservationId
    model_digest: Sha256
    content_digest: Sha256


class ReleaseBody(ComponentConfig):
    """A reservation was given back; nothing made with it was published."""

    reservation: ReservationId
    reason: str


class FailBody(ComponentConfig):
    """A training failed after it had looked at the data: that it failed is an answer, and is paid for.

    A further attempt draws its noise anew, and pays for itself.
    """

    reservation: ReservationId
    reason: str


class RefuseBody(ComponentConfig):
    """A reservation was refused; None stands for an infinite epsilon."""

    work_id: str
    span: int
    cost: PrivacyCost
    epsilon_after: float | None


_BODIES: dict[str, type[ComponentConfig]] = {
    "open": OpenBody,
    "reserve": ReserveBody,
    "commit": CommitBody,
    "release": ReleaseBody,
    "fail": FailBody,
    "refuse": RefuseBody,
}


@dataclasses.dataclass
class Reservation:
    """One reservation and what became of it.

    Attributes:
      identifier: Its id in the ledger.
      at: UTC when it was made.
      work_id: The work it was made for.
      span: The span.
      cost: What it costs.
      status: `reserved`, `committed` or `released`; `failed`, spent on a training that failed.
      model_digest: The model that was published with it; empty until then.
      content_digests: The releases made from that model.
    """

    identifier: ReservationId
    at: str
    work_id: str
    span: int
    cost: PrivacyCost
    status: Literal["reserved", "committed", "released", "failed"] = "reserved"
    model_digest: str = ""
    content_digests: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_sketch(self) -> bool:
        """Whether it pays for a sketch of the real rows, not for a model."""
        return self.work_id.startswith(SKETCH_WORK)


@dataclasses.dataclass
class LedgerState:
    """What a verified ledger says.

    Attributes:
      budget: The last one opened; None for an empty ledger.
      reservations: By id, in order.
      refusals: How many were refused.
      anchor: Length and last digest; None for an empty ledger.
    """

    budget: BudgetConfig | None = None
    reservations: dict[ReservationId, Reservation] = dataclasses.field(default_factory=dict)
    refusals: int = 0
    anchor: Anchor | None = None

    def costs(self, *statuses: str) -> list[PrivacyCost]:
        """Costs of the reservations in these states; of all that count where none is named."""
        wanted = statuses or ("reserved", "committed", "failed")
        return [found.cost for found in self.reservations.values() if found.status in wanted]

    def epsilon(self, *statuses: str, plus: Sequence[PrivacyCost] = ()) -> float:
        """Epsilon of those costs and of `plus`, composed, at the budget's delta."""
        assert self.budget is not None  # the callers' own check
        return accounting.spent_epsilon(
            [*self.costs(*statuses), *plus], self.budget.delta, self.budget.neighboring_relation
        )

    def newest(self) -> PrivacyCost | None:
        """What the newest counted model cost, and the newest counted sketch with it; None for neither."""
        counted = [found for found in self.reservations.values() if found.status != "released"]
        models = [found.cost for found in counted if not found.is_sketch][-1:]
        sketches = [found.cost for found in counted if found.is_sketch][-1:]
        return together([*models, *sketches]) if models or sketches else None

    def of_work(self, work_id: str) -> Reservation | None:
        """The reservation that this work may resume."""
        found = [r for r in self.reservations.values() if r.work_id == work_id and r.status == "reserved"]
        return found[-1] if found else None

    def of_model(self, model_digest: str) -> Reservation | None:
        """The reservation that has paid for this model."""
        for found in self.reservations.values():
            if found.status == "committed" and found.model_digest == model_digest:
                return found
        return None


def replay(entries: Sequence[Entry], locale: str, unit: PrivacyUnit, place: str) -> LedgerState:
    """The state after all entries.

    Raises:
      ChainError: an entry that no ledger of ours writes there.
    """
    state = LedgerState()
    for entry in entries:
        state.anchor = Anchor(entries=entry.sequence, last_digest=entry.line_digest)
        body = _body(entry, place)
        if isinstance(body, OpenBody):
            if body.locale != locale or body.budget.unit != unit:
                raise ChainError(f"{place}: entry {entry.sequence} is of another locale or unit.")
            state.budget = body.budget
        elif isinstance(body, ReserveBody) and body.reservation not in state.reservations:
            state.reservations[body.reservation] = Reservation(
                body.reservation, entry.at, body.work_id, body.span, body.cost
            )
        elif isinstance(body, RefuseBody):
            state.refusals += 1
        elif not _settle(state, body):
            raise ChainError(
                f"{place}: entry {entry.sequence} ({entry.kind}) does not follow from those before it."
            )
    return state


def _settle(state: LedgerState, body: ComponentConfig) -> bool:
    """Takes a commit, a release or a failure; False where it does not follow."""
    found = state.reservations.get(str(getattr(body, "reservation", "")))
    if found is None or found.status in ("released", "failed"):
        return False
    if isinstance(body, CommitBody) and found.model_digest in ("", body.model_digest):
        found.status, found.model_digest = "committed", body.model_digest
        found.content_digests.append(body.content_digest)
        return True
    if isinstance(body, (ReleaseBody, FailBody)) and found.status == "reserved":
        found.status = "released" if isinstance(body, ReleaseBody) else "failed"
        return True
    return False


def _body(entry: Entry, place: str) -> ComponentConfig:
    try:
        return _BODIES[entry.kind].model_validate(entry.body)
    except (KeyError, pydantic.ValidationError):
        raise ChainError(f"{place}: entry {entry.sequence} is no entry of a ledger.") from None
