"""What monitoring found, from a zone's last step to the run's report.

    <exchange>/_notices/monitor-<run>/<zone>.json     where the report runs beside the centre, for all zones
    <state>/<zone>/monitoring/latest.json             where a zone's spec has a report of its own

A hook takes nothing from what may have failed, so the report can be given no artifact. What goes this way is
a locale's `outward.json`, whatever its sharing: what may leave it, judged once more by the lists of releases;
into the exchange only the bytes that a release of this run took there. The centre's goes without pictures.
Whoever may write a zone's notice may write this, and nobody else: the bucket policies cover both. It
is read as a release's report is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from components.dataset import DatasetConfig
from components.drift.findings import MonitorReport
from components.egress.monitoring import MAX_BYTES, OUTWARD_FILE, accepted_monitor, released_monitor
from components.errors import DataError
from components.pusher.config import PusherConfig
from components.release.options import StorageOptions
from components.release.storage import Store, open_store, read_bounded, storage_errors
from pipeline.entrypoint.notices import FOLDER, folder_of
from pipeline.entrypoint.storing import put
from pipeline.run_state import CENTRAL

#: Artifacts that hold a zone's report, the fullest first.
_PORTS = ("generatormonitor-monitor", "driftmonitor-monitor", "skewmonitor-monitor")
_MONITOR_FILE = "monitor.json"
_LATEST = "latest.json"


def open_own(state: str, zone: str, options: StorageOptions) -> Store:
    """Where a zone's own findings wait for the report of the same run."""
    return open_store(f"{state.rstrip('/')}/{zone}/monitoring", "placement.state", options=options)


def leave_in_exchange(exchange: str, options: StorageOptions, run: str, zone: str, raw: bytes) -> None:
    """Leaves a zone's findings for the report beside the centre.

    Raises:
      DataError: the exchange cannot be written.
    """
    store = open_store(exchange, options=options)
    name = _place(run, zone)
    with storage_errors("cannot write to", store.address(name)):
        put(store, name, raw)


def leave_in_state(store: Store, run: str, raw: bytes) -> None:
    """Leaves a zone's findings for the report beside it; those of an earlier run are replaced.

    Raises:
      DataError: the state cannot be written.
    """
    content = json.dumps({"run": run, "report": json.loads(raw)}, sort_keys=True).encode()
    with storage_errors("cannot write to", store.address(_LATEST)):
        put(store, _LATEST, content)


def outward_bytes(
    artifacts: Mapping[str, Path], zone: str, properties: Mapping[str, Any], *, whole: bool
) -> bytes | None:
    """A zone's findings as they may leave it; None where there are none, or where they are withheld.

    Args:
      artifacts: Of the zone's Pusher's step.
      zone: Whose.
      properties: Exec properties of the step's nodes by id; the Pusher's have the locale's egress policy.
      whole: Whether a locale's policy that releases no findings has no say, since they stay with the locale.

    Raises:
      InternalError: the file holds what is on no list.
    """
    folder = next((artifacts[port] for port in _PORTS if port in artifacts), None)
    if folder is None:
        return None
    if zone == CENTRAL:
        return _without_pictures(folder / _MONITOR_FILE)
    config = PusherConfig.model_validate_json(properties["Pusher"]["config"])
    file = folder / OUTWARD_FILE
    if config.dataset is None or not file.exists() or (config.egress.monitoring == "withheld" and not whole):
        return None
    return released_monitor(file.read_bytes(), config.dataset, config.egress, zone)


def from_exchange(
    exchange: str, options: StorageOptions, run: str, zone: str, span: int, dataset: DatasetConfig
) -> MonitorReport | None:
    """A zone's findings of this run; None where it left none.

    Raises:
      DataError: the exchange cannot be read.
      ReleaseError: a locale left what no release may hold, or what is not of it.
    """
    store = open_store(exchange, options=options)
    name = _place(run, zone)
    raw = read_bounded(store, name, MAX_BYTES)
    if raw is None:
        return None
    if zone == CENTRAL:
        return _central(raw, store.address(name))
    return accepted_monitor(raw, dataset, zone, span, store.address(FOLDER, f"monitor-{folder_of(run)}"))


def from_state(store: Store, run: str, zone: str) -> MonitorReport | None:
    """A zone's findings of this run; None where the last that were left are of another.

    Raises:
      DataError: the state cannot be read, or holds something else.
    """
    raw = read_bounded(store, _LATEST, MAX_BYTES)
    if raw is None:
        return None
    try:
        found = json.loads(raw)
        report = MonitorReport.model_validate(found["report"]) if found["run"] == run else None
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{store.address(_LATEST)}: no monitoring report; remove it, then run again"
        ) from None
    if report is not None and report.zone != zone:
        raise DataError(f"{store.address(_LATEST)}: is not of zone {zone}; remove it, then run again")
    return report


def _central(raw: bytes, place: str) -> MonitorReport:
    try:
        report = MonitorReport.model_validate_json(raw)
    except pydantic.ValidationError:
        raise DataError(f"{place}: no monitoring report; run again") from None
    if report.zone != CENTRAL:
        raise DataError(f"{place}: is not of zone {CENTRAL}; run again")
    return report


def _without_pictures(file: Path) -> bytes | None:
    if not file.exists():
        return None
    report = MonitorReport.model_validate_json(file.read_bytes())
    bare = [item.model_copy(update={"distribution": None, "time_line": None}) for item in report.findings]
    return report.model_copy(update={"findings": tuple(bare)}).model_dump_json().encode()


def _place(run: str, zone: str) -> str:
    return f"{FOLDER}/monitor-{folder_of(run)}/{zone}.json"
