"""A ledger is opened before anything is trained, by whoever starts the work: a run, or a first pod."""

from __future__ import annotations

from components.errors import InternalError
from components.governance.config import BudgetConfig, LedgerAccess
from components.governance.core import anchors
from components.governance.core.spending import open_ledger, trusted_keys
from components.release.keys import load_private_key
from components.release.options import StorageOptions
from components.release.storage import open_store


def open_budget(
    access: LedgerAccess, budget: BudgetConfig, exchange_uri: str, storage: StorageOptions
) -> None:
    """Opens a ledger with the configured budget, where it was not opened yet, and checks it.

    Args:
      access: Where it is, and the key that signs in it.
      budget: The configured budget.
      exchange_uri, storage: Where the locale's releases are, each of which the ledger must count.

    Raises:
      ConfigError: the ledger was opened with another budget.
      ChainError: it does not verify, or does not count what was published.
      DataError: the exchange cannot be read.
    """
    ledger = open_ledger(access.governance)
    if ledger is None:
        raise InternalError(f"locale {access.governance.locale}: a budget without a privacy unit")
    state = ledger.open(load_private_key(access.signing_key), budget)
    store = open_store(exchange_uri, options=storage)
    found = list(anchors.own_releases(store, ledger.locale, trusted_keys(access.governance)))
    anchors.check_ledger(found, state, ledger.place)
