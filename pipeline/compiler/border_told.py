"""The border's check of what tasks are told, on the compiled spec: other zones' places, and the exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.addresses import is_address, may_meet, within
from pipeline.border_addresses import parsed
from pipeline.border_model import BorderError, Zone
from pipeline.compiler.graph import PIPELINE_PARAMETERS
from pipeline.compiler.placeholders import fill
from pipeline.compiler.portable import walk
from pipeline.compiler.reading import Leaf
from pipeline.config.model import Deployment
from pipeline.config.placement import PlacementSection

CENTRAL = "central"


def placement_of(deployment: Deployment, zone: str) -> PlacementSection:
    """Where a zone's pods run."""
    return deployment.kubeflow.central if zone == CENTRAL else deployment.locale(zone).placement


def known(deployment: Deployment, leaf: Leaf) -> dict[str, Any]:
    """What placeholders stand for, as far as it is known before a run.

    Raises:
      BorderError: something that must be written in the spec comes with the run.
    """
    for name, asked in leaf.asked.items():
        if asked != name or name not in PIPELINE_PARAMETERS:
            raise BorderError(
                f"border: {leaf.path}.{name}: is whatever the pipeline's parameter '{asked}' says; allowed: "
                f"{', '.join(PIPELINE_PARAMETERS)}, each under its own name"
            )
    for name in ("zone", "template", "own"):
        if name not in leaf.constants:
            raise BorderError(
                f"border: {leaf.path}.{name}: is known only in a run; allowed: what is written in the spec"
            )
    uri = deployment.exchange.uri
    if "exchange" not in leaf.asked and leaf.constants.get("exchange", uri) != uri:
        raise BorderError(
            f"border: {leaf.path} → exchange → {leaf.constants['exchange']}: another exchange than the "
            f"deployment's; allowed: {uri}"
        )
    if "exchange" in leaf.parameters or "image" not in leaf.asked:
        raise BorderError(
            f"border: {leaf.path}: exchange or image are not the pipeline's; allowed: its parameters"
        )
    return _Known(leaf.constants | {"exchange": uri})


def check_told(deployment: Deployment, leaf: Leaf, zones: Mapping[str, Zone]) -> None:
    """No task names a place of another, restricted zone; that of nodes' properties `check` looks at too.

    Raises:
      BorderError: names the task and the place.
    """
    told = fill({key: value for key, value in leaf.told.items() if key != "nodes"}, known(deployment, leaf))
    for key, wanted in (
        ("exchange", deployment.exchange.uri),
        ("notices", deployment.exchange.storage_options.model_dump(mode="json")),
        ("storage", deployment.exchange.storage_options.model_dump(mode="json")),
    ):
        if key in told and told[key] != wanted:
            raise BorderError(
                f"border: {leaf.path} → {key}: reaches the exchange in another way than the deployment; "
                "allowed: exchange.uri and exchange.storage_options as they stand"
            )
    asks = "question" in told
    addresses = list(_addresses(told))
    for other in zones.values():
        if other.name == leaf.zone or other.sharing != "restricted":
            continue
        store = placement_of(deployment, other.name).store
        for place, address in addresses:
            if store and _meets(address, store.uri):
                raise BorderError(
                    f"border: {other.name} → placement.store {store.uri} → {leaf.path}.{place}: a task "
                    "reaches into the bucket of a restricted locale; allowed: its own locale's"
                )
            if not asks:
                continue
            allowed = deployment.central.ideal and leaf.zone == CENTRAL and place == "question.ideal"
            if not allowed and any(may_meet(address, theirs) for theirs in other.sources):
                raise BorderError(
                    f"border: {other.name} → source {address} → {leaf.path}: a task reads the files of a "
                    "restricted locale; allowed: its own locale's"
                )
            if _meets(address, other.root):
                raise BorderError(
                    f"border: {other.name} → placement.state {other.root} → {leaf.path}.{place}: a task "
                    "reads what a restricted locale keeps; allowed: its own locale's"
                )


def _addresses(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every address with its place; exec properties that are JSON texts are read."""
    for place, value in walk(told, ""):
        if isinstance(value, str):
            found = parsed(value)
            if isinstance(found, str) and is_address(found):
                yield place.strip("."), found
            elif not isinstance(found, str):
                yield from _addresses({place.strip("."): found})


def _meets(one: str, other: str) -> bool:
    return may_meet(one, other) or within(one, other) or within(other, one)


class _Known(dict[str, Any]):
    """What placeholders stand for; what is known at run time only counts as nothing."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Any:
        return ""
