"""The border's check of data flow, on the compiled spec itself.

The spec is read back as a back end reads it: which task takes which output of which other task, through
however many nested graphs. What comes out is judged by the same `pipeline.border.check` as the pipelines
of a local run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components import beam_engine
from pipeline.addresses import may_meet, within
from pipeline.border import check
from pipeline.border_model import BorderError, Node, Proof, Sharing, Source, Zone
from pipeline.compiler.lower import Compiled
from pipeline.compiler.placeholders import fill
from pipeline.compiler.portable import SCRATCH
from pipeline.compiler.reading import Leaf, leaves
from pipeline.compiler.steps import RESOLVE
from pipeline.config.model import Deployment
from pipeline.config.resolve_beam import own_places
from pipeline.config.resolve_regional import regional_configs

CENTRAL = "central"


def prove(deployment: Deployment, specs: Sequence[Compiled]) -> Proof:
    """Refuses specs that would carry anything of a restricted locale out of it but through its Pusher.

    Raises:
      BorderError: names the path, node → channel → node.
    """
    bare = {zone.name: zone for zone in _bare(deployment)}
    nodes: dict[str, list[Node]] = {name: [] for name in bare}
    for spec in specs:
        found = list(leaves(spec.pipeline))
        by_path = {leaf.path: leaf for leaf in found}
        for leaf in found:
            if not leaf.nodes and leaf.step != RESOLVE:
                _check_report(leaf)
                continue
            if leaf.zone not in bare:
                raise BorderError(
                    f"border: {leaf.path}: the task is of zone '{leaf.zone}', which the deployment does not "
                    "have; allowed: its locales, and central"
                )
            _check_parameters(leaf, by_path, bare)
            _check_question(deployment, leaf, bare)
            nodes[leaf.zone] += _nodes(deployment, leaf, by_path)
    zones = [dataclasses.replace(zone, nodes=tuple(nodes[zone.name])) for zone in bare.values()]
    _check_stores(deployment)
    exchange = deployment.exchange
    storage = exchange.storage_options.model_dump(mode="json")
    return check(zones, exchange.uri, storage=storage, ideal=deployment.central.ideal)


def _bare(deployment: Deployment) -> Iterator[Zone]:
    """Zones without nodes. A pod has a file system of its own, so a root is a folder of the zone's state."""
    for locale in deployment.locales:
        sharing: Sharing = locale.sharing
        patterns = tuple(x.pattern for x in regional_configs(deployment, locale.name).example_gen.sources)
        root = f"{locale.placement.state or SCRATCH}/{locale.name}"
        places = own_places(deployment, locale.name)
        yield Zone(locale.name, sharing, root, sources=patterns, places=places)
    root = f"{deployment.kubeflow.central.state or SCRATCH}/{CENTRAL}"
    yield Zone(CENTRAL, "central", root, places=own_places(deployment, CENTRAL))


def _nodes(deployment: Deployment, leaf: Leaf, by_path: Mapping[str, Leaf]) -> Iterator[Node]:
    known = _Known(deployment.exchange.uri)
    made = {port: (node["id"], key) for node in leaf.nodes for key, (port, _) in node["outputs"].items()}
    for node in leaf.nodes:
        inputs = {}
        for key, (port, _) in node["inputs"].items():
            if port in made and port not in leaf.artifacts:
                inputs[key] = (Source(leaf.zone, *made[port]),)
                continue
            inputs[key] = (_origin(leaf, port, by_path),)
        properties = fill(leaf.told["properties"][node["id"]], known)
        if node["beam"]:
            workers = beam_engine.grounds(leaf.told["beam"])
            properties = {**properties, "beam_pipeline_args": workers}
        yield Node(node["id"], node["kind"], inputs, properties)


def _origin(leaf: Leaf, port: str, by_path: Mapping[str, Leaf]) -> Source:
    """The node and output behind an input artifact of a task."""
    producer, key = leaf.artifacts.get(port, ("", ""))
    maker = by_path.get(producer)
    for node in maker.nodes if maker else ():
        for output, (name, _) in node["outputs"].items():
            if name == key and maker:
                return Source(maker.zone, node["id"], output)
    raise BorderError(
        f"border: {producer or 'unknown'} → {leaf.path}.{port}: where the artifact comes from cannot be "
        "told; allowed: outputs of the zone's own tasks"
    )


def _check_parameters(leaf: Leaf, by_path: Mapping[str, Leaf], zones: Mapping[str, Zone]) -> None:
    for name, (producer, key) in leaf.parameters.items():
        maker = by_path.get(producer)
        if maker is None or maker.zone == leaf.zone:
            continue
        if zones[maker.zone].sharing == "restricted":
            raise BorderError(
                f"border: {producer} —{key}→ {leaf.path}.{name}: a value of a restricted locale reaches "
                "another zone; allowed: a release, through the exchange"
            )


def _check_report(leaf: Leaf) -> None:
    taken = {**leaf.parameters, **leaf.artifacts}
    if taken:
        name, (producer, key) = next(iter(taken.items()))
        raise BorderError(
            f"border: {producer} —{key}→ {leaf.path}.{name}: the report takes an output of a task; allowed: "
            "what is in the exchange"
        )


def _check_question(deployment: Deployment, leaf: Leaf, zones: Mapping[str, Zone]) -> None:
    """The first step reads names and digests of files: of its own zone only."""
    if leaf.step != RESOLVE:
        return
    known = _Known(deployment.exchange.uri)
    question = fill(leaf.told["question"], known)
    for key in ("patterns", "test", "ideal"):
        for pattern in question.get(key) or ():
            for other in zones.values():
                if other.name == leaf.zone or other.sharing != "restricted":
                    continue
                allowed = key == "ideal" and deployment.central.ideal
                if not allowed and any(may_meet(pattern, theirs) for theirs in other.sources):
                    raise BorderError(
                        f"border: {other.name} → source {pattern} → {leaf.path}: a task reads the files of a "
                        "restricted locale; allowed: its own locale's"
                    )


def _check_stores(deployment: Deployment) -> None:
    """A bucket of a restricted locale is nobody else's, and not the exchange."""
    stores = {
        locale.name: locale.placement.store.uri for locale in deployment.locales if locale.placement.store
    }
    if deployment.kubeflow.central.store:
        stores[CENTRAL] = deployment.kubeflow.central.store.uri
    places = {**stores, "exchange": deployment.exchange.uri}
    for locale in deployment.locales:
        own = stores.get(locale.name)
        if locale.sharing != "restricted" or own is None:
            continue
        for name, other in places.items():
            if name != locale.name and (within(own, other) or within(other, own)):
                raise BorderError(
                    f"border: {locale.name} → placement.store {own} → {name}: one lies inside the other; "
                    "allowed: places apart"
                )


class _Known(dict[str, Any]):
    """The exchange; what is known at run time only counts as nothing."""

    def __init__(self, exchange: str) -> None:
        super().__init__({"exchange": exchange})

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Any:
        return ""
