"""Proves by data flow that nothing of a restricted locale reaches another zone but through its Pusher.

A zone is a locale or the centre: its nodes, its pipeline root, its metadata store and its sources. What a
restricted zone makes is its own; it may go to another zone only as the output of a Pusher that waits for
the blessing of a gate that judged exactly the rows it pushes. The check looks at channels, at every
address among the exec properties, at roots and at metadata stores. It is a pure function over plain data;
`pipeline.border_view` describes TFX pipelines so, and the compiler may describe its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.errors import ConfigError, list_briefly
from pipeline.addresses import is_address, may_meet, within

Sharing = Literal["restricted", "open", "central"]

PUSHER = "components.pusher.component.Pusher"
EXAMPLE_GEN = "components.example_gen.component.ExampleGen"
SYNTHETIC_GEN = "components.synthetic_gen.component.SyntheticGen"
EVALUATOR = "components.release_evaluator.component.ReleaseEvaluator"
STATISTICS_GEN = "components.statistics_gen.component.StatisticsGen"
#: Components whose executors were read for what they write. Another one in a restricted zone is refused:
#: nobody has said where it writes.
KNOWN = frozenset(
    {
        PUSHER,
        EXAMPLE_GEN,
        SYNTHETIC_GEN,
        EVALUATOR,
        STATISTICS_GEN,
        "components.schema_gen.component.SchemaGen",
        "components.example_validator.component.ExampleValidator",
        "components.synthesizer_trainer.component.SynthesizerTrainer",
    }
)
#: The one node of the centre that may read raw rows, where the operator holds them anyway.
IDEAL_NODE = "IdealExampleGen"


class BorderError(ConfigError):
    """A pipeline would carry something of a restricted locale across the border; names the path."""


@dataclass(frozen=True)
class Source:
    """Where an input comes from: an output of a node of a zone."""

    zone: str
    node: str
    key: str

    def __str__(self) -> str:
        return f"{self.zone}/{self.node} —{self.key}→"


@dataclass(frozen=True)
class Node:
    """One node of a pipeline.

    Attributes:
      id: Unique in its zone.
      kind: Import path of its component class.
      inputs: Channel name to where it comes from, all of them.
      properties: Exec properties; JSON texts are read.
    """

    id: str
    kind: str
    inputs: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Zone:
    """A locale or the centre.

    Attributes:
      name: The locale's, or `central`.
      sharing: What of it may leave.
      root: Its pipeline root, with all artifacts.
      metadata: What identifies its metadata store.
      sources: Patterns of its raw rows.
      nodes: Of its pipeline; none where it does not run.
    """

    name: str
    sharing: Sharing
    root: str
    metadata: str = ""
    sources: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What was shown.

    Attributes:
      nodes: Nodes looked at.
      channels: Channels followed.
      exceptions: What the operator allowed, one sentence each.
    """

    nodes: int
    channels: int
    exceptions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For `run.json`."""
        return {"nodes": self.nodes, "channels": self.channels, "exceptions": list(self.exceptions)}


def check(
    zones: Sequence[Zone], exchange: str, *, storage: Mapping[str, Any] | None = None, ideal: bool = False
) -> Proof:
    """Refuses pipelines that carry something of a restricted zone out of it in any other way.

    Args:
      zones: All zones of the deployment, also those that do not run.
      exchange: The only place where they meet.
      storage: How the deployment reaches it (`StorageOptions` as JSON); a Pusher that reaches it in
        another way is refused: the endpoint and the account say whose place a bucket is.
      ideal: Whether the operator holds the raw rows, and lets one node of the centre read them.

    Returns:
      What was shown.

    Raises:
      BorderError: names the path, node → channel → node.
    """
    by_name = {zone.name: zone for zone in zones}
    exceptions: list[str] = []
    for zone in zones:
        if zone.sharing == "restricted":
            _check_apart(zone, zones, exchange)
            _check_kinds(zone)
            _check_pushers(zone)
            _check_writes(zone, exchange, dict(storage or {}))
    for zone in zones:
        for node in zone.nodes:
            _check_inputs(zone, node, by_name)
            exceptions += _check_reads(zone, node, zones, ideal)
    count = sum(len(sources) for zone in zones for node in zone.nodes for sources in node.inputs.values())
    return Proof(sum(len(zone.nodes) for zone in zones), count, tuple(dict.fromkeys(exceptions)))


# --- places ----------------------------------------------------------------------------------------


def _check_apart(zone: Zone, zones: Sequence[Zone], exchange: str) -> None:
    for other in zones:
        if other.name == zone.name:
            continue
        if within(zone.root, other.root) or within(other.root, zone.root):
            raise BorderError(
                f"border: {zone.name} → pipeline root {zone.root} → {other.name}: the two share a pipeline "
                "root; allowed: one folder per locale, neither inside the other"
            )
        if zone.metadata and zone.metadata == other.metadata:
            raise BorderError(
                f"border: {zone.name} → metadata store {zone.metadata} → {other.name}: the two share a "
                "metadata store; allowed: one per locale"
            )
        for pattern in zone.sources:
            if other.sharing == "open" and any(may_meet(pattern, theirs) for theirs in other.sources):
                raise BorderError(
                    f"border: {zone.name} → source {pattern} → {other.name}: an open locale reads the files "
                    "of a restricted one; allowed: sources of their own"
                )
    if within(zone.root, exchange) or within(exchange, zone.root):
        raise BorderError(
            f"border: {zone.name} → pipeline root {zone.root} → exchange {exchange}: one lies inside the "
            "other; allowed: places apart"
        )


def _check_kinds(zone: Zone) -> None:
    for node in zone.nodes:
        if node.kind not in KNOWN:
            raise BorderError(
                f"border: {zone.name}/{node.id} → wherever {node.kind} writes: no one has said where that "
                "is; allowed in a restricted locale: the components that pipeline.border.KNOWN names"
            )


# --- channels --------------------------------------------------------------------------------------


def _check_inputs(zone: Zone, node: Node, zones: Mapping[str, Zone]) -> None:
    for key, sources in node.inputs.items():
        for source in sources:
            origin = zones.get(source.zone)
            if origin is None:
                raise BorderError(
                    f"border: {source} {zone.name}/{node.id}.{key}: the channel comes from no zone of this "
                    "deployment; allowed: outputs of the zone's own nodes"
                )
            if origin.name == zone.name or origin.sharing != "restricted":
                continue
            producer = next((found for found in origin.nodes if found.id == source.node), None)
            if producer is not None and producer.kind == PUSHER and source.key == "pushed":
                continue  # that its gate holds is checked where its zone is
            raise BorderError(
                f"border: {_path(origin, source)} {zone.name}/{node.id}.{key}: an artifact of a restricted "
                "locale reaches another zone; allowed: a release, through the exchange"
            )


def _path(zone: Zone, last: Source) -> str:
    """From the rows to an output: the chain of nodes and channels, shortest first."""
    nodes = {node.id: node for node in zone.nodes}
    found: dict[str, list[Source]] = {last.node: [last]}
    queue = [last.node]
    while queue:
        name = queue.pop(0)
        node = nodes.get(name)
        inputs = [source for sources in node.inputs.values() for source in sources] if node else []
        if node is not None and not inputs:
            return " ".join(str(source) for source in found[name])
        for source in inputs:
            if source.zone == zone.name and source.node not in found:
                found[source.node] = [source, *found[name]]
                queue.append(source.node)
    return str(last)


# --- the gate --------------------------------------------------------------------------------------


def _check_pushers(zone: Zone) -> None:
    nodes = {node.id: node for node in zone.nodes}

    def origin(node: Node, key: str) -> tuple[Source | None, Node | None]:
        sources = node.inputs.get(key, ())
        if len(sources) != 1:
            return None, None
        return sources[0], nodes.get(sources[0].node) if sources[0].zone == zone.name else None

    for node in zone.nodes:
        if node.kind != PUSHER:
            continue
        rows, maker = origin(node, "examples")

        def refuse(key: str, why: str, node: Node = node, found: Source | None = None) -> BorderError:
            path = _path(zone, found) if found else "nothing →"
            return BorderError(
                f"border: {path} {zone.name}/{node.id}.{key} → exchange: {why}; allowed: the rows of "
                "SyntheticGen with the blessing of a ReleaseEvaluator that judged them"
            )

        if maker is None or maker.kind != SYNTHETIC_GEN or rows is None or rows.key != "synthetic":
            raise refuse("examples", "the Pusher does not push synthetic rows", found=rows)
        for key in ("blessing", "evaluation"):
            source, judge = origin(node, key)
            if judge is None or judge.kind != EVALUATOR or source is None or source.key != key:
                raise refuse(key, "the Pusher has no gate", found=source)
            if origin(judge, "synthetic")[0] != rows:
                raise refuse(key, "the gate judged other rows than those that are pushed", found=source)
            real = origin(judge, "examples")[1]
            if real is None or real.kind != EXAMPLE_GEN:
                raise refuse(key, "the gate compared with no real rows", found=source)
        source, summary = origin(node, "statistics")
        if node.inputs.get("statistics") and (
            summary is None or summary.kind != STATISTICS_GEN or origin(summary, "examples")[0] != rows
        ):
            raise refuse(
                "statistics", "the statistics are not those of the rows that are pushed", found=source
            )
        config = _parsed(node.properties.get("config"))
        if config.get("kind") != "synthetic" or not config.get("dataset"):
            raise refuse("config", "the Pusher is not set up for a restricted locale's egress policy")


# --- addresses among the exec properties -----------------------------------------------------------


def _check_writes(zone: Zone, exchange: str, storage: dict[str, Any]) -> None:
    """No node of a restricted zone names a place outside it but its sources and, a Pusher, the exchange."""
    for node in zone.nodes:
        properties = node.properties
        if node.kind == PUSHER:
            properties = _without_storage(zone, node, storage)
        for key, address in addresses(properties):
            if within(address, zone.root) or any(may_meet(address, pattern) for pattern in zone.sources):
                continue
            if node.kind == PUSHER and address == exchange:
                continue
            raise BorderError(
                f"border: {zone.name}/{node.id} → {key} → {address}: a node of a restricted locale names a "
                f"place outside the locale's root; allowed: below {zone.root}, or its own source"
            )


def _without_storage(zone: Zone, node: Node, storage: dict[str, Any]) -> dict[str, Any]:
    """A Pusher's properties less what says how the exchange is reached: its endpoint, its credentials' file.

    Neither is a place that rows are written to: the one is a part of the exchange's address, the other a
    secret that is read. That holds for the deployment's own options alone.
    """
    config = _parsed(node.properties.get("config"))
    if not isinstance(config, dict):
        return dict(node.properties)
    found = config.get("storage") or {}
    if found != storage:
        names = sorted(key for key in {*found, *storage} if found.get(key) != storage.get(key))
        where = found.get("endpoint_url") if "endpoint_url" in names else None
        raise BorderError(
            f"border: {zone.name}/{node.id} → config.storage.{names[0]} → {where or 'exchange'}: the Pusher "
            f"reaches the exchange by other options than the deployment ({list_briefly(names)}); allowed: "
            "exchange.storage_options as they stand"
        )
    rest = {key: value for key, value in config.items() if key != "storage"}
    return {**node.properties, "config": rest}


def _check_reads(zone: Zone, node: Node, zones: Sequence[Zone], ideal: bool) -> Iterator[str]:
    """No node names a place of another, restricted zone; sentences about what is allowed all the same."""
    for key, address in addresses(node.properties):
        for other in zones:
            if other.name == zone.name or other.sharing != "restricted":
                continue
            if may_meet(address, other.root) or within(address, other.root):
                raise BorderError(
                    f"border: {other.name} → pipeline root {other.root} → {zone.name}/{node.id}.{key}: a "
                    "node reads artifacts of a restricted locale; allowed: a release, through the exchange"
                )
            if not any(may_meet(address, pattern) for pattern in other.sources):
                continue
            allowed = ideal and zone.sharing == "central"
            if not (allowed and node.id == IDEAL_NODE and node.kind == EXAMPLE_GEN):
                raise BorderError(
                    f"border: {other.name} → source {address} → {zone.name}/{node.id}.{key}: a node reads "
                    "the raw rows of a restricted locale; allowed: its own locale's ExampleGen"
                    + (
                        ""
                        if ideal
                        else ", or central.ideal: true where the operator holds them (a simulation)"
                    )
                )
            yield (
                f"The centre reads the raw rows of {other.name} (central.ideal): this is a simulation, and "
                "no border protects them from its operator."
            )


def addresses(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every address among the exec properties with its key; those of secrets are left out."""
    for key, value in properties.items():
        yield from _addresses(key, _parsed(value) if isinstance(value, str) else value)


def _addresses(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if is_address(value):
            yield key, value
    elif isinstance(value, Mapping):
        if set(value) == {"env", "file"}:  # a SecretRef: read by the node, never written
            return
        for name, item in value.items():
            yield from _addresses(f"{key}.{name}", item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _addresses(key, item)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value if value is not None else {}
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, (dict, list)) else value
