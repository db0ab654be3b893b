"""The metadata store and the cache's table: what ML Metadata and the API server keep, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTAINER, DAG = "system.ContainerExecution", "system.DAGExecution"
RUNNING, COMPLETE, FAILED, CACHED, CANCELED = "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED"

_TABLES = """
create table if not exists execution(id integer primary key, run text, parent integer, name text, type text,
  state text, inputs text, outputs text, producers text, total integer, fingerprint text);
create table if not exists artifact(id integer primary key, uri text, type text, properties text);
create table if not exists event(execution integer, artifact integer, direction text, name text);
create table if not exists cache(fingerprint text, pipeline text, namespace text, execution integer,
  created real);
create index if not exists execution_parent on execution(run, parent);
create index if not exists event_execution on event(execution);
create index if not exists cache_key on cache(fingerprint);
"""


class MetadataError(RuntimeError):
    """The store refuses what it is asked to keep, or does not have what it is asked for."""


@dataclass
class Execution:
    """An execution of a container or a DAG.

    Attributes:
      producers: Of a DAG: its DagOutputsSpec, {"artifacts": …, "parameters": …}.
      total: Of a DAG: the number of its tasks; 0 for the root.
    """

    id: int
    run: str
    parent: int
    name: str
    type: str
    state: str
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    producers: dict[str, Any] = field(default_factory=dict)
    total: int = 0
    fingerprint: str = ""


def to_property(name: str, value: Any) -> Any:
    """metadata/converter.go, StructValueToMLMDValue: what is kept of one metadata value.

    Raises:
      MetadataError: It is null; or an empty name, list or object, which this emulation refuses as well.
    """
    if value is None:
        raise MetadataError(f"metadata {name}: null is an unsupported value type")
    if not name or value == [] or value == {}:
        raise MetadataError(f"metadata {name!r}: an empty name, list or object")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    return value


class Store:
    """Safe for threads; kept over runs.

    Args:
      path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            return self._db.execute(statement, values)

    def create(self, execution: Execution, input_artifacts: dict[str, list[int]]) -> int:
        """client.go, CreateExecution, with the input events. Returns its number."""
        with self._lock:
            number = self._do(
                "insert into execution(run, parent, name, type, state, inputs, outputs, producers, total,"
                " fingerprint) values (?,?,?,?,?,?,?,?,?,?)",
                execution.run,
                execution.parent,
                execution.name,
                execution.type,
                execution.state,
                json.dumps(execution.inputs),
                json.dumps(execution.outputs),
                json.dumps(execution.producers),
                execution.total,
                execution.fingerprint,
            ).lastrowid
            for name, numbers in input_artifacts.items():
                for artifact in numbers:
                    self._do("insert into event values (?,?,'in',?)", number, artifact, name)
        return int(number or 0)

    def get(self, number: int) -> Execution:
        """The execution of that number.

        Raises:
          MetadataError: There is none.
        """
        row = self._do("select * from execution where id=?", number).fetchone()
        if row is None:
            raise MetadataError(f"execution {number}: not found")
        return _execution(row)

    def children(self, run: str, parent: int) -> dict[str, Execution]:
        """client.go, GetExecutionsInDAG: by name.

        Raises:
          MetadataError: Two have the same name.
        """
        found: dict[str, Execution] = {}
        for row in self._do("select * from execution where run=? and parent=? order by id", run, parent):
            execution = _execution(row)
            if execution.name in found:
                other = found[execution.name].id
                raise MetadataError(
                    f"two tasks have the same task name {execution.name!r}, id1={other} id2={execution.id}"
                )
            found[execution.name] = execution
        return found

    def set_state(self, number: int, state: str) -> None:
        """Records that an execution runs, or how it ended."""
        self._do("update execution set state=? where id=?", state, number)

    def publish(self, number: int, state: str, outputs: dict[str, Any], artifacts: dict[str, int]) -> None:
        """client.go, PublishExecution: state, output parameters and output events."""
        with self._lock:
            self._do("update execution set state=?, outputs=? where id=?", state, json.dumps(outputs), number)
            for name, artifact in artifacts.items():
                self._do("insert into event values (?,?,'out',?)", number, artifact, name)

    def record(self, name: str, uri: str, type_name: str, metadata: dict[str, Any]) -> int:
        """client.go, RecordArtifact: keeps an artifact, returns its number.

        Raises:
          MetadataError: A metadata value that cannot be kept, or a type without a name.
        """
        if not type_name:
            raise MetadataError(f"artifact {name}: its type has no title")
        properties = {
            key: to_property(key, value) for key, value in metadata.items() if key != "_kfp_workspace"
        }
        properties.setdefault("display_name", name)
        properties.setdefault("store_session_info", "{}")
        cursor = self._do(
            "insert into artifact(uri, type, properties) values (?,?,?)",
            uri,
            type_name,
            json.dumps(properties),
        )
        return int(cursor.lastrowid or 0)

    def artifacts(self, execution: int, direction: str) -> dict[str, dict[str, Any]]:
        """RuntimeArtifacts by name, without type; its `name` is the artifact's number.

        An artifact that was handed in under two names has the last one only: both of client.go's
        GetInputArtifactsByExecutionID and GetOutputArtifactsByExecutionId keep names by number.
        """
        names: dict[int, str] = {}
        rows = self._do(
            "select artifact, name from event where execution=? and direction=?", execution, direction
        )
        for artifact, name in rows:
            names[artifact] = name
        found = {}
        for number, name in names.items():
            uri, properties = self._do("select uri, properties from artifact where id=?", number).fetchone()
            found[name] = {"name": str(number), "uri": uri, "metadata": json.loads(properties)}
        return found

    def cached(self, fingerprint: str, pipeline: str, namespace: str) -> int:
        """cacheutils/cache.go, GetExecutionCache: the newest entry's execution, 0 for none."""
        row = self._do(
            "select execution from cache where fingerprint=? and pipeline=? and namespace=?"
            " order by created desc, rowid desc limit 1",
            fingerprint,
            pipeline,
            namespace,
        ).fetchone()
        return int(row[0]) if row else 0

    def remember(self, fingerprint: str, pipeline: str, namespace: str, execution: int) -> None:
        """cacheutils/cache.go, CreateExecutionCache."""
        self._do(
            "insert into cache values (?,?,?,?,?)", fingerprint, pipeline, namespace, execution, time.time()
        )

    def update_dag(self, number: int) -> None:
        """client.go, UpdateDAGExecutionsState: called when a launcher ends; goes up to the root."""
        with self._lock:
            while number:
                dag = self.get(number)
                if not dag.total:
                    return
                rows = self._do(
                    "select state from execution where run=? and parent=?", dag.run, number
                ).fetchall()
                states = [row[0] for row in rows]
                if sum(state in (COMPLETE, CACHED, CANCELED) for state in states) == dag.total:
                    self.set_state(number, COMPLETE)
                elif FAILED in states:
                    self.set_state(number, FAILED)
                else:
                    return
                number = dag.parent


def _execution(row: tuple[Any, ...]) -> Execution:
    number, run, parent, name, kind, state, inputs, outputs, producers, total, fingerprint = row
    execution = Execution(number, run, parent, name, kind, state, total=total, fingerprint=fingerprint)
    execution.inputs, execution.outputs = json.loads(inputs), json.loads(outputs)
    execution.producers = json.loads(producers)
    return execution
