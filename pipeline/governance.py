"""A locale's ledger and audit log, as a deployment names them. Imports no TFX."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import ConfigError, DataError, nearest_name
from components.governance import opening
from components.governance.config import BudgetConfig, GovernanceConfig
from components.governance.core import anchors
from components.governance.core.audit import AuditLog
from components.governance.core.entries import Entry
from components.governance.core.ledger import Ledger, describe
from components.governance.core.spending import open_audit_log, open_ledger
from components.release.manifest import Manifest
from components.release.storage import open_store
from pipeline.config.model import Deployment
from pipeline.config.resolve_regional import budget_of, governance_config, ledger_access


def chosen(deployment: Deployment, asked: str | None) -> list[str]:
    """The locale that was asked for, or all of them.

    Raises:
      ConfigError: there is none of that name.
    """
    known = [locale.name for locale in deployment.locales]
    if asked is None:
        return known
    if asked not in known:
        raise ConfigError(
            f"--locale: unknown locale '{asked}'{nearest_name(asked, known)}; allowed: {', '.join(known)}"
        )
    return [asked]


def config_of(deployment: Deployment, locale: str) -> GovernanceConfig | None:
    """The governance of a locale; None where it has none."""
    return governance_config(deployment, locale)


def ledger_of(deployment: Deployment, locale: str) -> Ledger | None:
    """A locale's ledger; None where it has no budget."""
    found = governance_config(deployment, locale)
    return open_ledger(found) if found is not None else None


def audit_of(deployment: Deployment, locale: str) -> AuditLog | None:
    """A locale's audit log; None where it has no policy."""
    found = governance_config(deployment, locale)
    return open_audit_log(found) if found is not None and found.policy else None


def open_budget(deployment: Deployment, locale: str) -> None:
    """Opens a locale's ledger with the configured budget, where it has one and was not opened yet.

    Raises:
      ConfigError: the ledger was opened with another budget.
      ChainError: the ledger does not verify, or does not count what was published.
    """
    access, budget = ledger_access(deployment, locale), budget_of(deployment, locale)
    if access is not None and budget is not None:
        exchange = deployment.exchange
        opening.open_budget(access, budget, exchange.uri, exchange.storage_options)


def published(deployment: Deployment, locale: str) -> list[Manifest]:
    """What is in the exchange of a locale and signed by it, oldest first.

    Raises:
      DataError: the exchange cannot be read.
    """
    keys = [trusted.load() for trusted in deployment.locale(locale).trusted_key]
    store = open_store(deployment.exchange.uri, options=deployment.exchange.storage_options)
    return list(anchors.own_releases(store, locale, keys))


def decisions_fingerprint(deployment: Deployment, locale: str) -> str:
    """Changes with the policy and with every decision, so that no cached Pusher misses one.

    Empty where nobody is asked. What the Pusher itself records does not count, or it would never be
    cached.
    """
    audit, found = audit_of(deployment, locale), governance_config(deployment, locale)
    if audit is None or found is None or found.policy_file is None:
        return ""
    digest = hashlib.sha256()
    policy = Path(found.policy_file)
    digest.update(policy.read_bytes() if policy.exists() else b"")
    for entry in audit.chain.read():
        if entry.kind in ("policy", "approve", "reject", "request"):
            digest.update(entry.line_digest.encode())
    return f"-decisions-{digest.hexdigest()[:16]}"


def examine(deployment: Deployment, locale: str) -> dict[str, dict[str, Any]]:
    """Verifies a locale's logs, each by itself and against what is published.

    Returns:
      `ledger` and `audit log`, where the locale has them: `error` (None if it verifies) and `entries`,
      each with `sequence`, `at`, `kind`, `who`, `what` and its whole `body`.
    """
    found: dict[str, dict[str, Any]] = {}
    ledger, audit = ledger_of(deployment, locale), audit_of(deployment, locale)
    if ledger is not None:

        def check_ledger() -> list[Entry]:
            anchors.check_ledger(published(deployment, locale), ledger.state(), ledger.place)
            return ledger.chain.read()

        found["ledger"] = _examined(check_ledger)
    if audit is not None:

        def check_audit() -> list[Entry]:
            audit.state()
            entries = audit.chain.read()
            anchors.check_audit(published(deployment, locale), entries, audit.place)
            return entries

        found["audit log"] = _examined(check_audit)
    return found


def _examined(check: Callable[[], list[Entry]]) -> dict[str, Any]:
    try:
        entries = check()
    except DataError as error:
        return {"error": str(error), "entries": []}
    return {"error": None, "entries": [_described(entry) for entry in entries]}


def _described(entry: Entry) -> dict[str, Any]:
    """An entry for people: who did what."""
    body = entry.body
    who = body["by"]["name"] if isinstance(body.get("by"), dict) else "the locale"
    about = body.get("reservation") or body.get("content_digest", "")[:12]
    if entry.kind == "policy":
        about = ", ".join(f"{x['name']} ({' '.join(x['roles'])})" for x in body["policy"]["people"])
    elif entry.kind == "open":
        about = describe(BudgetConfig.model_validate(body["budget"]))
    said = body.get("note") or body.get("reason") or ""
    what = " ".join(filter(None, (entry.kind, about, f"({said})" if said else "")))
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "kind": entry.kind,
        "who": who,
        "what": what,
        "body": body,
    }
