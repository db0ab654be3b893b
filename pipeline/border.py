"""Proves by data flow that nothing of a restricted locale reaches another zone but through its Pusher.

A zone is a locale or the centre: its nodes, its pipeline root, its metadata store and its sources. What a
restricted zone makes is its own; it may go to another zone only as the output of a Pusher that waits for
the blessing of a gate that judged exactly the rows it pushes. The check looks at channels, at every
address among the exec properties, at roots and at metadata stores. It is a pure function over plain data;
`pipeline.border_view` describes TFX pipelines so, and the compiler may describe its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.addresses import may_meet, within
from pipeline.border_addresses import check_reads, check_writes
from pipeline.border_gate import check_pushers, path_of
from pipeline.border_model import KNOWN, PUSHER, BorderError, Node, Proof, Zone
from pipeline.border_places import check_places


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
    check_places(zones, exchange)
    for zone in zones:
        if zone.sharing == "restricted":
            _check_apart(zone, zones, exchange)
            _check_kinds(zone)
            check_pushers(zone)
            check_writes(zone, exchange, dict(storage or {}))
    for zone in zones:
        for node in zone.nodes:
            _check_inputs(zone, node, by_name)
            exceptions += check_reads(zone, node, zones, ideal)
    count = sum(len(sources) for zone in zones for node in zone.nodes for sources in node.inputs.values())
    return Proof(sum(len(zone.nodes) for zone in zones), count, tuple(dict.fromkeys(exceptions)))


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
                "is; allowed in a restricted locale: the components that pipeline.border_model.KNOWN names"
            )


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
                f"border: {path_of(origin, source)} {zone.name}/{node.id}.{key}: an artifact of a restricted "
                "locale reaches another zone; allowed: a release, through the exchange"
            )
