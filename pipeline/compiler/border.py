"""The border's check of data flow, on the compiled spec itself.

The spec is read back as a back end reads it: which task takes which output of which other task, through
however many nested graphs. What comes out is judged by the same `pipeline.border.check` as the pipelines
of a local run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from components import beam_engine
from pipeline.addresses import within
from pipeline.border import check
from pipeline.border_model import BorderError, Node, Proof, Sharing, Source, Zone
from pipeline.compiler.border_pods import check_form, check_pod
from pipeline.compiler.border_told import CENTRAL, check_told, known, placement_of
from pipeline.compiler.lower import Compiled
from pipeline.compiler.placeholders import fill
from pipeline.compiler.portable import SCRATCH
from pipeline.compiler.reading import Leaf, leaves
from pipeline.config.model import Deployment
from pipeline.config.resolve_beam import own_places
from pipeline.config.resolve_regional import regional_configs


def prove(deployment: Deployment, specs: Sequence[Compiled]) -> Proof:
    """Refuses specs that would carry anything of a restricted locale out of it but through its Pusher.

    Raises:
      BorderError: names the path, node → channel → node.
    """
    _check_stores(deployment)
    bare = {zone.name: zone for zone in _bare(deployment)}
    nodes: dict[str, list[Node]] = {name: [] for name in bare}
    graphs: dict[str, str] = {}
    for spec in specs:
        found = list(leaves(spec.pipeline))
        by_path = {leaf.path: leaf for leaf in found}
        working = [leaf.zone for leaf in found if not leaf.is_report]
        host = CENTRAL if CENTRAL in working else next(iter(working), "")
        for leaf in found:
            known(deployment, leaf)
            if not leaf.is_report:
                _check_graph(spec.name, leaf, graphs, bare)
        for leaf in found:
            _check_parameters(leaf, by_path, bare)
            if leaf.is_report:
                _check_report(leaf)
            else:
                nodes[leaf.zone] += _nodes(deployment, leaf, by_path)
            check_told(deployment, leaf, bare)
            zone = bare[host if leaf.is_report else leaf.zone]
            executors = spec.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
            seconds = deployment.kubeflow.step_timeout_s
            check_pod(leaf, executors, zone.name, zone.sharing, placement_of(deployment, zone.name), seconds)
    for name, made in nodes.items():
        ids = [node.id for node in made]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise BorderError(
                f"border: {name}/{twice[0]}: two nodes of the zone have this name, so what is checked of one "
                "would be believed of the other; allowed: each once"
            )
    zones = [dataclasses.replace(zone, nodes=tuple(nodes[zone.name])) for zone in bare.values()]
    exchange = deployment.exchange
    storage = exchange.storage_options.model_dump(mode="json")
    proof = check(zones, exchange.uri, storage=storage, ideal=deployment.central.ideal)
    for spec in specs:
        check_form(spec.pipeline)
    return proof


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
    values = known(deployment, leaf)
    made: dict[str, tuple[str, str]] = {}
    for node in leaf.nodes:
        for key, (port, _) in node["outputs"].items():
            if port in made or port in leaf.artifacts:
                raise BorderError(
                    f"border: {leaf.path}/{node['id']} —{key}→ {port}: two artifacts of the step have this "
                    "name; allowed: each its own"
                )
            made[port] = (node["id"], key)
    for node in leaf.nodes:
        package, _, _ = str(node["kind"]).rpartition(".")
        folder, _, module = package.rpartition(".")
        executor = f"{folder}.{module.replace('component', 'executor')}.Executor"
        if node["executor"] != executor:
            raise BorderError(
                f"border: {leaf.path}/{node['id']}: says that it is {node['kind']} and runs "
                f"{node['executor']}; allowed: {executor}"
            )
        inputs = {}
        for key, (port, _) in node["inputs"].items():
            source = Source(leaf.zone, *made[port]) if port in made else _origin(leaf, port, by_path)
            inputs[key] = (source,)
        properties = fill(leaf.told["properties"][node["id"]], values)
        if node["beam"]:
            properties = {**properties, "beam_pipeline_args": beam_engine.grounds(leaf.told.get("beam", ()))}
        yield Node(node["id"], node["kind"], inputs, properties)


def _check_graph(spec: str, leaf: Leaf, graphs: dict[str, str], zones: Mapping[str, Zone]) -> None:
    """A graph is of one zone, and a zone has one graph; `graphs` says which, and grows."""
    if leaf.zone not in zones:
        raise BorderError(
            f"border: {leaf.path}: the task is of zone '{leaf.zone}', which the deployment does not have; "
            "allowed: its locales, and central"
        )
    graph = f"{spec}/{leaf.graph}"
    zone = graphs.setdefault(graph, leaf.zone)
    other = next((found for found, name in graphs.items() if name == leaf.zone), graph)
    if zone != leaf.zone or other != graph:
        raise BorderError(
            f"border: {leaf.path}: says that it is of zone '{leaf.zone}', "
            + (f"among tasks of zone '{zone}'" if zone != leaf.zone else f"whose graph is {other}")
            + "; allowed: one graph per zone, with its own tasks only"
        )


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
        if maker is None or maker.is_report or maker.zone not in zones:
            raise BorderError(
                f"border: {producer or 'unknown'} —{key}→ {leaf.path}.{name}: where the value comes from "
                "cannot be told; allowed: outputs of the zone's own tasks"
            )
        if maker.zone != leaf.zone and zones[maker.zone].sharing == "restricted":
            raise BorderError(
                f"border: {producer} —{key}→ {leaf.path}.{name}: a value of a restricted locale reaches "
                "another zone; allowed: a release, through the exchange"
            )
    for name, (producer, key) in leaf.artifacts.items():
        maker = by_path.get(producer)
        used = {port for node in leaf.nodes for port, _ in node["inputs"].values()}
        if maker is None or maker.zone not in zones or maker.zone == leaf.zone or name in used:
            continue  # of nodes' inputs `check` says the whole path
        if zones[maker.zone].sharing == "restricted":
            raise BorderError(
                f"border: {producer} —{key}→ {leaf.path}.{name}: an artifact of a restricted locale reaches "
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
    if leaf.nodes or "question" in leaf.told:
        raise BorderError(f"border: {leaf.path}: the report runs nodes or asks for files; allowed: neither")


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
