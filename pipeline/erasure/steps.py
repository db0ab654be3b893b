"""What was made from what below a locale's root: the steps that its records name, and where they lead.

Two records say it. `run.json` has the outputs of every node of a run, and outlives the metadata store. The
metadata store has the inputs of every execution, also of runs whose record is gone, and it alone says which
statistics of an earlier span a drift result was measured against.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.drift_monitor.baselines import Baselines
from components.errors import DataError
from components.executor_base import read_json

STORE_FILE = "metadata.sqlite"


@dataclasses.dataclass(frozen=True)
class Step:
    """A run, or one execution of a component.

    Attributes:
      component: Name of the component's class; `run` for a whole run.
      reads: Addresses of what its outputs were made from.
      compares: Addresses of what they were only measured against.
      writes: Addresses of its outputs.
      span: Where it says one.
      run_id: Of a whole run.
    """

    component: str
    reads: frozenset[str]
    compares: frozenset[str]
    writes: frozenset[str]
    span: int | None = None
    run_id: str = ""


def steps_of(root: Path, name: str) -> list[Step]:
    """Everything that the records of a pipeline name, `<root>/<name>`'s own store and the runs'.

    Raises:
      DataError: the metadata store cannot be read.
    """
    return [*_of_runs(root, name), *of_store(root / name / STORE_FILE)]


def made_from(steps: Iterable[Step], seeds: Iterable[str]) -> set[str]:
    """The seeds, and all that was made from them, step after step."""
    steps = list(steps)
    found = set(seeds)
    while True:
        more = {uri for step in steps if step.reads & found for uri in step.writes} - found
        if not more:
            return found
        found |= more


def measured_against(steps: Iterable[Step], found: set[str]) -> set[str]:
    """Outputs that were measured against something in `found`, less those that are in it themselves.

    A report that repeats such a result, as GeneratorMonitor's repeats DriftMonitor's, is one of them.
    """
    steps = list(steps)
    direct = {uri for step in steps if step.compares & found for uri in step.writes}
    repeated = {
        uri
        for step in steps
        if step.component == "GeneratorMonitor" and step.reads & direct
        for uri in step.writes
    }
    return (direct | repeated) - found


def of_store(file: Path) -> list[Step]:
    """The executions in a metadata store, which is opened for reading only; none where there is no store.

    Raises:
      DataError: it cannot be read.
    """
    if not file.exists():
        return []
    from ml_metadata import errors
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(file)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    try:
        store = MetadataStore(config)
        types = {kind.id: kind.name for kind in store.get_execution_types()}
        executions = store.get_executions()
        events = store.get_events_by_execution_ids([execution.id for execution in executions])
        uris = {artifact.id: artifact.uri for artifact in store.get_artifacts()}
    except (errors.StatusError, RuntimeError) as error:  # RuntimeError: the file is no data base
        raise DataError(
            f"{file}: cannot be read ({type(error).__name__}), so what was made from what is not known. "
            "Mend it, or move it away; the records of the runs are followed then."
        ) from None
    kinds = metadata_store_pb2.Event
    reads: dict[int, set[str]] = {}
    writes: dict[int, set[str]] = {}
    for event in events:
        # What a killed execution was about to write may be there in part.
        side = reads if event.type in (kinds.INPUT, kinds.DECLARED_INPUT) else writes
        if event.artifact_id in uris:
            side.setdefault(event.execution_id, set()).add(uris[event.artifact_id])
    return [
        _execution(
            types[execution.type_id],
            {**dict(execution.properties), **dict(execution.custom_properties)},
            reads.get(execution.id, set()),
            writes.get(execution.id, set()),
        )
        for execution in executions
    ]


def _of_runs(root: Path, name: str) -> list[Step]:
    """One step per run: all that it names was made from the Examples that it names."""
    found = []
    for file in sorted((root / "runs").glob("*/run.json")):
        section = (read_json(file).get("locales") or {}).get(name)
        if not section:
            continue
        outputs = [component.get("outputs") or {} for component in section["components"]]
        found.append(
            Step(
                component="run",
                reads=frozenset(uris["examples"] for uris in outputs if uris.get("examples")),
                compares=frozenset(),
                writes=frozenset(uri for uris in outputs for uri in uris.values() if uri),
                run_id=file.parent.name,
            )
        )
    return found


def _execution(kind: str, properties: dict[str, Any], reads: set[str], writes: set[str]) -> Step:
    component = kind.rpartition(".")[2]
    against = {_text(properties, "previous_statistics_uri")}
    if component == "ReleaseEvaluator":
        try:
            against = {
                str(json.loads(_text(properties, "config") or "{}").get("previous_synthetic_uri") or "")
            }
        except ValueError:
            against = set()
    if component == "DriftMonitor":
        against = _baselines(_text(properties, "baselines"))
    span = properties.get("span")
    return Step(
        component=component,
        reads=frozenset(reads),
        compares=frozenset(against - {""}),
        writes=frozenset(writes),
        span=int(span.int_value) if span is not None else None,
    )


def _baselines(text: str) -> set[str]:
    """Profiles and statistics that a span's drift was measured against, and whose bins its profile has."""
    try:
        found = Baselines.model_validate_json(text or "{}")
    except ValueError:
        return set()
    places = {uri for source in found.sources for uri in (*source.profiles, source.statistics)}
    return {*places, found.plan}


def _text(properties: dict[str, Any], name: str) -> str:
    return str(properties[name].string_value) if name in properties else ""
