"""What a deployment's root and exchange hold: the data behind `isthmus status` and `lineage`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.egress import lists
from components.errors import DataError
from components.executor_base import read_json
from pipeline.config.model import Deployment
from pipeline.local_runner import latest_run
from pipeline.monitoring.collect import collect
from pipeline.revoked import revocations
from pipeline.root_lock import is_held
from pipeline.run_state import RUNNING, output_json

#: Of a run, beside `RUNNING`.
FINISHED, KILLED = "finished", "killed"
_GO_ON = "killed or interrupted before it ended; `isthmus run` goes on where it stopped"


def run_folder(deployment: Deployment, run_id: str | None = None) -> Path:
    """Folder of a run: the latest one where none is named.

    Raises:
      DataError: there is no such run.
    """
    root = Path(deployment.root)
    folder = root / "runs" / run_id if run_id else latest_run(root)
    if folder is None or not (folder / "run.json").exists():
        wanted = f"run '{run_id}'" if run_id else "no run yet"
        raise DataError(f"root {root}: {wanted}; `isthmus run` makes one")
    return folder


def status(deployment: Deployment, run_id: str | None = None) -> dict[str, Any]:
    """State of each pipeline of a run, its verdicts, and what was released.

    A run that was killed or interrupted wrote no end: that it is over is told by nobody holding the root
    any more.

    Returns:
      JSON-able: `run_id`, `state` (`FINISHED`, `RUNNING` or `KILLED`), `started_at`, `finished_at`,
      `exit_status`, `exit_reason`, `pipelines` (name -> `sharing`,
      `status`, `error`, `seconds`, `components`, `cached`, `verdict`, `alerts` of monitoring or null where
      there is no report, `release`). Of a killed run a pipeline's `status` is `KILLED` where it was at work,
      and `exit_reason` says how to go on.

    Raises:
      DataError: there is no such run.
      ConfigError: the root's lock cannot be read.
    """
    folder = run_folder(deployment, run_id)
    state, stage = _standing(deployment, folder)
    alerts = {report.zone: len(report.alerts) for report in collect(folder).reports}
    pipelines = {}
    for name, section in {**state["locales"], "central": state["central"]}.items():
        components = section["components"]
        killed = stage == KILLED and section["status"] == RUNNING
        pipelines[name] = {
            "sharing": section["sharing"],
            "status": KILLED if killed else section["status"],
            "error": section["error"],
            "seconds": section["seconds"],
            "log": section["log"],
            "components": len(components),
            "cached": sum(component["state"] == "cached" for component in components),
            "verdict": output_json(components, "blessing", "verdict.json").get("verdict"),
            "alerts": alerts.get(name),
            "release": _push_of(components),
        }
    keys = ("run_id", "started_at", "finished_at", "exit_status", "config_digest", "seed")
    # Runs of an earlier version have no reason.
    reason = _GO_ON if stage == KILLED else state.get("exit_reason", "")
    return {
        "state": stage,
        **{key: state[key] for key in keys},
        "exit_reason": reason,
        "pipelines": pipelines,
    }


def _standing(deployment: Deployment, folder: Path) -> tuple[dict[str, Any], str]:
    """`run.json`, and whether its run goes on, has ended, or was killed."""
    state = read_json(folder / "run.json")
    if state["finished_at"]:
        return state, FINISHED
    root = Path(deployment.root)
    if folder == latest_run(root) and is_held(root):
        return state, RUNNING
    state = read_json(folder / "run.json")  # it may have ended since
    return state, FINISHED if state["finished_at"] else KILLED


def lineage(deployment: Deployment, run_id: str | None = None) -> dict[str, Any]:
    """Which data fed which release, and which releases fed the detector.

    Returns:
      JSON-able: `regions` (locale -> artifact URIs per component and the release made of them),
      `merge` (accepted, refused and missing releases), `detector` (the registry's version, or why not),
      `revocations` (`pipeline.revoked.revocations`: what was revoked, in any run, and the detectors that
      were built on it).

    Raises:
      DataError: there is no such run.
    """
    state = read_json(run_folder(deployment, run_id) / "run.json")
    regions = {}
    for name, section in state["locales"].items():
        components = section["components"]
        ingest = output_json(components, "quarantine", "ingest.json")
        regions[name] = {
            "source": {key: ingest.get(key) for key in ("span", "fingerprint", "rows_kept") if key in ingest},
            "artifacts": {component["id"]: component.get("outputs", {}) for component in components},
            "release": _push_of(components),
        }
    central = state["central"]["components"]
    return {
        "run_id": state["run_id"],
        "config_digest": state["config_digest"],
        "regions": regions,
        "merge": output_json(central, "merge_report", "merge.json"),
        "detector": output_json(central, "pushed", "push.json"),
        "revocations": revocations(deployment),
    }


def _push_of(components: list[dict[str, Any]]) -> dict[str, Any]:
    """The listed fields of a `push.json`, a region's or the centre's."""
    known = lists.PUSH_FIELDS | lists.MODEL_PUSH_FIELDS
    return {
        key: value for key, value in output_json(components, "pushed", "push.json").items() if key in known
    }
