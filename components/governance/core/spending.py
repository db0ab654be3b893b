"""What the trainer does with the ledger: a reservation around the training, a cost beside the model."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.errors import DataError
from components.executor_base import write_json
from components.governance.config import GovernanceConfig, LedgerAccess
from components.governance.core.audit import AuditLog
from components.governance.core.events import COST_FILE, PrivacyCost, parse_cost
from components.governance.core.ledger import Ledger
from components.release.keys import PrivateKey, PublicKey, load_private_key, load_public_key
from components.release.manifest import Manifest


def open_ledger(config: GovernanceConfig) -> Ledger | None:
    """The locale's ledger; None where it has no budget."""
    if config.budget_unit is None:
        return None
    return Ledger(Path(config.folder), config.locale, config.budget_unit, trusted_keys(config))


def open_audit_log(config: GovernanceConfig) -> AuditLog:
    """The locale's audit log."""
    return AuditLog(Path(config.folder), config.locale, trusted_keys(config))


def trusted_keys(config: GovernanceConfig) -> list[PublicKey]:
    """The locale's public keys.

    Raises:
      ConfigError: one cannot be read or is none.
    """
    texts = [
        key if isinstance(key, str) else key.read().decode("utf-8", "replace") for key in config.trusted_keys
    ]
    return [load_public_key(text) for text in texts]


@contextlib.contextmanager
def reserved(
    access: LedgerAccess | None, work_id: str, span: int, cost: PrivacyCost
) -> Iterator[PrivacyCost]:
    """Holds a reservation while a model is trained; gives the cost as it belongs beside the model.

    A training that fails has spent its reservation: the data decided that it did, and the next attempt
    draws its noise anew. One that is killed or interrupted leaves it, and the same work resumes it, since
    nobody saw what was drawn. What succeeds keeps it until the Pusher commits it.

    Args:
      access: The ledger; None where the locale has no budget (nothing is reserved then).
      work_id: Names data, settings and seed: the same in every attempt at the same work.
      span: The span.
      cost: What the training costs.

    Raises:
      PrivacyBudgetExceededError: it would exceed the budget.
    """
    cost = cost.model_copy(update={"work_id": work_id})
    ledger = open_ledger(access.governance) if access else None
    if access is None or ledger is None:
        yield cost
        return
    key = load_private_key(access.signing_key)
    reservation = ledger.reserve(key, work_id, span, cost)
    try:
        yield cost
    except Exception as error:
        # The type alone: a message may name what is in the data.
        ledger.fail(key, reservation.identifier, f"training failed ({type(error).__name__})")
        raise


def write_cost(model: Path, cost: PrivacyCost) -> None:
    """Puts the cost beside a model."""
    write_json(model / COST_FILE, cost.model_dump(mode="json"))


def read_cost(model: Path | None, place: str) -> PrivacyCost:
    """The cost of a model.

    Raises:
      DataError: the model does not say what it cost.
    """
    try:
        if model is None:
            raise FileNotFoundError
        raw = (model / COST_FILE).read_bytes()
    except OSError:
        raise DataError(
            f"{place}: the model does not say what it cost ({COST_FILE} is missing), and the locale has a "
            "privacy budget; nothing was published. Train again with a differentially private synthesizer."
        ) from None
    return parse_cost(raw, f"{place}: {COST_FILE}")


def commit(
    ledger: Ledger, key: PrivateKey, parts: Sequence[Path | None], manifest: Manifest, place: str
) -> None:
    """Spends the reservations of all that a release holds: of its model, and of a sketch with noise.

    Args:
      ledger: The locale's.
      key: Its signing key.
      parts: Folders that say what they cost.
      manifest: Of the release, its content settled.
      place: For messages.

    Raises:
      DataError: one of them does not say what it cost; nothing is spent then.
      PrivacyBudgetExceededError: as `Ledger.commit`.
    """
    costs = [(part, read_cost(part, place)) for part in parts]
    for part, cost in costs:
        assert part is not None  # `read_cost` refused otherwise
        digest = model_digest(part)
        ledger.commit(key, cost.work_id, manifest.span, cost, digest, manifest.content_digest)


def give_back(ledger: Ledger, key: PrivateKey, parts: Sequence[Path], reason: str) -> None:
    """Gives back what these parts of a release had reserved, since it will not be published."""
    for part in parts:
        cost = read_cost(part, f"locale={ledger.locale}")
        found = ledger.state().of_work(cost.work_id)
        if found is not None:
            ledger.release(key, found.identifier, reason)


def model_digest(model: Path) -> str:
    """SHA-256 (hex) of a model folder: of the names and contents of all its files, in order."""
    digest = hashlib.sha256()
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(model).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
