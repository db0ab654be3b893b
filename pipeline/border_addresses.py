"""The border check's look at addresses among exec properties: who names which place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.errors import list_briefly
from pipeline.addresses import is_address, may_meet, within
from pipeline.border_model import EXAMPLE_GEN, IDEAL_NODE, PUSHER, BorderError, Node, Zone


def check_writes(zone: Zone, exchange: str, storage: dict[str, Any]) -> None:
    """No node of a restricted zone names a place outside it but its sources and, a Pusher, the exchange."""
    for node in zone.nodes:
        properties = node.properties
        if node.kind == PUSHER:
            properties = _without_storage(zone, node, storage)
        for key, address in addresses(properties):
            if within(address, zone.root) or any(may_meet(address, pattern) for pattern in zone.sources):
                continue
            if any(within(address, place) for place in zone.places):
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
    config = parsed(node.properties.get("config"))
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


def check_reads(zone: Zone, node: Node, zones: Sequence[Zone], ideal: bool) -> Iterator[str]:
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
            for place in other.places:
                if may_meet(address, place) or within(address, place):
                    raise BorderError(
                        f"border: {other.name} → beam → {place} → {zone.name}/{node.id}.{key}: a node names "
                        "a place of a restricted locale's workers; allowed: places of its own"
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
        yield from _addresses(key, parsed(value) if isinstance(value, str) else value)


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


def parsed(value: Any) -> Any:
    """What a text holds as JSON, else the value as it is; an empty mapping for None."""
    if not isinstance(value, str):
        return value if value is not None else {}
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, (dict, list)) else value
