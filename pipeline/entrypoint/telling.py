"""The report's last duty: metrics and alerts of a compiled run, as `isthmus run` sends them.

What was told already, and the counters, are kept where `placement.state` of the report's zone is, or alerts
where `alerts.state` says; both are written under a lock (`pipeline.alerts.place`). A failure here is told in
one line and changes nothing about the run.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.drift.findings import MonitorReport, MonitorRun
from components.errors import DataError, IsthmusError
from components.executor_base import write_json
from components.release.manifest import utc_now
from components.release.options import StorageOptions
from components.release.storage import open_store
from components.version import __version__
from pipeline.entrypoint import findings, outcome
from pipeline.run_state import CENTRAL

if TYPE_CHECKING:
    from pipeline.alerts.place import Place
    from pipeline.config.model import Deployment
    from pipeline.metrics.counting import CounterState
    from pipeline.report.model import RunReport

_COUNTERS = "counters.json"
#: How long a report waits for another one that counts, and how long one counts at most.
_WAIT_S, _LEASE_S = 20.0, 60.0
#: Where a spec has a report of its own, that of all together (`isthmus_last_run_…`) is the centre's.
_OF_THE_RUN = ""


@dataclasses.dataclass(frozen=True)
class Told:
    """What a report knows of its run.

    Attributes:
      zones: One entry per zone of the spec (`pipeline.entrypoint.outcome.gather`).
      run: The run's id.
      exchange: Address and how it is reached.
      state: `placement.state` of the zone that the report runs beside; empty for none.
      options: How that is reached.
    """

    zones: Sequence[Mapping[str, Any]]
    run: str
    exchange: tuple[str, StorageOptions]
    state: str
    options: StorageOptions


def tell(content: Mapping[str, Any], told: Told, say: Callable[[str], None]) -> None:
    """Sends metrics and alerts of a run.

    Args:
      content: `pipeline.compiler.telling.content`.
      told: What is known of the run.
      say: Takes one line.
    """
    runs: list[tuple[Deployment, MonitorRun]] = []

    def look() -> None:
        deployment = known(content)
        runs.append((deployment, gather(content, told, deployment, say)))

    _guarded("monitoring", say, look)
    for deployment, run in runs:
        if deployment.metrics.pushgateway is not None:
            _guarded("metrics", say, _metrics, content, told, deployment, run)
        if deployment.alerts.channels:
            _guarded("alerts", say, _alerts, content, told, deployment, run, say)


def known(content: Mapping[str, Any]) -> Deployment:
    """The deployment as far as a report knows it: names, and who is told. Other fields are not there."""
    from components.dataset import DatasetConfig
    from components.example_gen.config import SourceConfig, SplitConfig
    from pipeline.config.alerts import AlertsSection
    from pipeline.config.metrics import MetricsSection
    from pipeline.config.model import CentralSection, Deployment, LocaleSection

    def part(kind: Any, **fields: Any) -> Any:
        return kind.model_construct(**fields)

    locales = tuple(
        part(LocaleSection, name=name, source=part(SourceConfig, name=source))
        for name, source in content["locales"]
    )
    found: Deployment = part(
        Deployment,
        name=content["name"],
        dataset=DatasetConfig.model_validate(content["dataset"]),
        splits=part(SplitConfig, name=content["split"]),
        locales=locales,
        central=part(CentralSection, test_set=part(SourceConfig, name=content["test"])),
        alerts=AlertsSection.model_validate(content["alerts"]),
        metrics=MetricsSection.model_validate(content["metrics"]),
    )
    return found


def gather(
    content: Mapping[str, Any], told: Told, deployment: Deployment, say: Callable[[str], None]
) -> MonitorRun:
    """What the spec's zones found, with the reason for each that left nothing."""
    reports: list[MonitorReport] = []
    missing: dict[str, str] = {}
    for zone in told.zones:
        name = str(zone["zone"])
        if zone["outcome"] == outcome.MISSING:
            missing[name] = f"{name} {outcome.MISSING}"
            continue
        try:
            found = _read(content, told, deployment, name, int(zone.get("span") or 0))
        except IsthmusError as error:
            say(f"monitoring: {error}")
            missing[name] = f"what {name} left cannot be read"
            continue
        if found is None:
            missing[name] = f"{name} left no findings"
        else:
            reports.append(found)
    return MonitorRun(
        deployment=deployment.name,
        run_id=told.run,
        finished=utc_now(),
        isthmus_version=__version__,
        reports=tuple(reports),
        missing=missing,
    )


def _read(
    content: Mapping[str, Any], told: Told, deployment: Deployment, zone: str, span: int
) -> MonitorReport | None:
    if content["through"] == "state":
        return findings.from_state(findings.open_own(told.state, zone, told.options), told.run, zone)
    exchange, options = told.exchange
    return findings.from_exchange(exchange, options, told.run, zone, span, deployment.dataset)


def _alerts(
    content: Mapping[str, Any],
    told: Told,
    deployment: Deployment,
    run: MonitorRun,
    say: Callable[[str], None],
) -> None:
    from pipeline.alerts.dispatch import dispatch

    alerts = deployment.alerts
    if not alerts.state:
        options = {"state": f"{_own(content, told)}/alerts", "state_storage_options": told.options}
    elif content["host"] != CENTRAL:
        options = {"state": f"{alerts.state.rstrip('/')}/zones/{content['host']}"}
    else:
        options = {}
    words = dispatch(
        deployment.model_copy(update={"alerts": alerts.model_copy(update=options)}),
        run,
    ).words
    if words:
        say(words)


def _metrics(content: Mapping[str, Any], told: Told, deployment: Deployment, run: MonitorRun) -> None:
    from pipeline.alerts.clock import SYSTEM
    from pipeline.alerts.place import Place
    from pipeline.metrics.build import build, seconds_of
    from pipeline.metrics.counting import count
    from pipeline.metrics.pushgateway import push
    from pipeline.metrics.words import words_of

    section, words = deployment.metrics, words_of(deployment)
    assert section.pushgateway is not None
    place = Place(open_store(f"{_own(content, told)}/metrics", "placement.state", options=told.options))
    with place.locked("counters", SYSTEM, wait_s=_WAIT_S, lease_s=_LEASE_S):
        before, releases = _counters(place)
        report = _report(told, run, before, releases)
        after = count(before, report, words, seconds_of(report.run.finished_at))
        if after != before:
            known = releases | {zone["zone"]: zone["release_id"] for zone in _released(told)}
            place.write(_COUNTERS, {"counters": after.model_dump(mode="json"), "releases": known})
    groups = build(words, section, report, run, after)
    if content["host"] != CENTRAL:
        groups = [group for group in groups if group.zone != _OF_THE_RUN]
    push(section.pushgateway, groups)


def _own(content: Mapping[str, Any], told: Told) -> str:
    return f"{told.state.rstrip('/')}/{content['host']}"


def _counters(place: Place) -> tuple[CounterState, dict[str, str]]:
    """The counters, and the release of each zone that was counted last.

    Raises:
      DataError: the file is not what was written.
    """
    from pipeline.metrics.counting import CounterState

    found = place.read(_COUNTERS)
    if found is None:
        return CounterState(), {}
    try:
        return CounterState.model_validate(found["counters"]), dict(found["releases"])
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"{place.store.address(_COUNTERS)}: no counters; remove it, then counting begins anew"
        ) from None


def _released(told: Told) -> list[Mapping[str, Any]]:
    return [zone for zone in told.zones if zone.get("release_id")]


def _report(told: Told, run: MonitorRun, before: CounterState, releases: Mapping[str, str]) -> RunReport:
    """The run's report as far as notices tell it; rows read, epsilon and F1 stay with the steps."""
    from pipeline.report.collect import collect

    # Counters take ids for times; one that this run was counted under stays.
    stamped = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{told.run}"
    run_id = next((found for found in before.runs if found.endswith(f"-{told.run}")), stamped)
    with tempfile.TemporaryDirectory(prefix="isthmus-report-") as folder:
        # A push runs always; a release that was there already is no new one.
        known = {zone["zone"] for zone in _released(told) if releases.get(zone["zone"]) == zone["release_id"]}
        sections = {
            str(zone["zone"]): _section(zone, Path(folder), zone["zone"] in known) for zone in told.zones
        }
        central = sections.pop(CENTRAL, {"status": "skipped", "sharing": CENTRAL, "components": []})
        record = {
            "run_id": run_id,
            "name": run.deployment,
            "finished_at": run.finished,
            "exit_status": _exit_status(told.zones),
            "versions": {"isthmus": __version__},
            "words": [],
            "locales": sections,
            "central": central,
        }
        write_json(Path(folder) / "run.json", record)
        return collect(Path(folder))


def _section(zone: Mapping[str, Any], folder: Path, known: bool) -> dict[str, Any]:
    """A pipeline's part of `run.json`, with the artifacts that its notice stands for."""
    name, central = str(zone["zone"]), zone["sharing"] == CENTRAL
    if zone["outcome"] == outcome.MISSING:
        return {"status": "failed", "sharing": zone["sharing"], "components": []}
    made: dict[str, tuple[str, str, dict[str, Any]]] = {
        "ModelPusher" if central else "Pusher": (
            "pushed",
            "push.json",
            {"pushed": zone["outcome"] == "pushed", "release_id": zone.get("release_id", "")},
        )
    }
    if zone.get("verdict"):
        made["ProphetEvaluator"] = ("blessing", "verdict.json", {"verdict": zone["verdict"]})
    components = []
    for component, (channel, file, content) in made.items():
        place = folder / name / component
        place.mkdir(parents=True)
        (place / file).write_text(json.dumps(content))
        components.append(
            {"id": component, "state": "cached" if known else "executed", "outputs": {channel: str(place)}}
        )
    return {"status": "succeeded", "sharing": zone["sharing"], "components": components}


def _exit_status(zones: Sequence[Mapping[str, Any]]) -> int:
    """As `isthmus run` ends: 2 where a zone failed, 1 where a verdict was negative, else 0."""
    if any(zone["outcome"] == outcome.MISSING for zone in zones):
        return 2
    good = all(
        zone["outcome"] == "pushed" and zone.get("verdict", "BLESSED") in ("", "BLESSED") for zone in zones
    )
    return 0 if good else 1


def _guarded(name: str, say: Callable[[str], None], act: Callable[..., object], *given: Any) -> None:
    try:
        act(*given)
    except IsthmusError as error:
        say(f"{name}: {error}; the run is not affected")
    except Exception as error:  # the run is over; whatever breaks here must not take its outcome away
        say(f"{name}: {type(error).__name__} (our fault); the run is not affected")
