"""A locale's ledger and audit log, as a deployment names them. Imports no TFX."""

from __future__ import annotations

import hashlib
from pathlib import Path

from components.errors import ConfigError, nearest_name
from components.governance.config import GovernanceConfig
from components.governance.core.audit import AuditLog
from components.governance.core.ledger import Ledger
from components.governance.core.spending import open_audit_log, open_ledger
from components.release.keys import load_private_key
from pipeline.config.model import Deployment
from pipeline.config.resolve import governance_config


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
    """
    ledger = ledger_of(deployment, locale)
    section = deployment.locale(locale)
    if ledger is not None and section.privacy is not None and section.privacy.budget is not None:
        ledger.open(load_private_key(section.signing_key), section.privacy.budget)


def decisions_fingerprint(deployment: Deployment, locale: str) -> str:
    """Changes with the policy and with every decision, so that no cached Pusher misses one.

    Empty where nobody is asked. What the Pusher itself records does not count, or it would never be
    cached.
    """
    audit, found = audit_of(deployment, locale), governance_config(deployment, locale)
    if audit is None or found is None or found.policy is None:
        return ""
    digest = hashlib.sha256()
    policy = Path(found.policy)
    digest.update(policy.read_bytes() if policy.exists() else b"")
    for entry in audit.chain.read():
        if entry.kind in ("policy", "approve", "reject", "request"):
            digest.update(entry.line_digest.encode())
    return f"-decisions-{digest.hexdigest()[:16]}"
