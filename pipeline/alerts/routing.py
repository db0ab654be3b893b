"""Where a fact goes, whose it is, and where its report is."""

from __future__ import annotations

import fnmatch
from urllib.parse import quote

from components.drift.findings import CauseName, Severity
from pipeline.alerts.message import Owner
from pipeline.alerts.words import rank
from pipeline.config.alerts import AlertsSection


def channels_of(
    alerts: AlertsSection, locale: str, feature: str, cause: CauseName, severity: Severity
) -> tuple[str, ...]:
    """Names of the channels of a finding, in the order of the file; none where it is not severe enough."""
    if rank(severity) < rank(alerts.minimum_severity):
        return ()
    if not alerts.routes:
        return tuple(alerts.channels)
    chosen: set[str] = set()
    for route in alerts.routes:
        fits = (
            rank(severity) >= rank(route.minimum_severity or alerts.minimum_severity)
            and any(fnmatch.fnmatchcase(locale, pattern) for pattern in route.locales)
            and any(fnmatch.fnmatchcase(feature, pattern) for pattern in route.features)
            and (not route.causes or cause in route.causes)
        )
        chosen |= set(route.channels) if fits else set()
    return tuple(name for name in alerts.channels if name in chosen)


def owner_of(alerts: AlertsSection, locale: str, feature: str) -> Owner | None:
    """The first owner that fits, or None."""
    for owner in alerts.owners:
        if fnmatch.fnmatchcase(locale, owner.locale) and fnmatch.fnmatchcase(feature, owner.feature):
            return Owner(names=owner.names, slack=owner.slack, address=owner.address)
    return None


def report_address(base: str, run_id: str, locale: str) -> str:
    """The address of a report: the base with its places filled in, or with the run's id added."""
    if not base:
        return ""
    if "{" not in base:
        return f"{base.rstrip('/')}/{quote(run_id, safe='')}"
    return base.replace("{run_id}", quote(run_id, safe="")).replace("{locale}", quote(locale, safe=""))
