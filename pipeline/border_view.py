"""TFX pipelines as the plain data that `pipeline.border` judges, and the proof for a deployment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from components import beam_engine
from components.tfx_shim import ExternalPipelineChannel, Pipeline
from pipeline.addresses import normal, within
from pipeline.border import check
from pipeline.border_model import BorderError, Node, Proof, Sharing, Source, Zone
from pipeline.config.model import Deployment
from pipeline.config.resolve_beam import own_places
from pipeline.config.resolve_regional import regional_configs

CENTRAL = "central"


def describe(pipelines: dict[str, Pipeline], bare: Iterable[Zone]) -> list[Zone]:
    """Zones with their nodes.

    Args:
      pipelines: By name of the zone.
      bare: All zones of the deployment, without nodes.

    Raises:
      BorderError: an input is of a form whose origin cannot be told.
    """
    owner = {id(node): name for name, pipeline in pipelines.items() for node in pipeline.components}
    names = {pipeline.pipeline_name: name for name, pipeline in pipelines.items()}
    zones = []
    for zone in bare:
        pipeline = pipelines.get(zone.name)
        if pipeline is None:
            zones.append(zone)
            continue
        # Whatever the workers' options name (a staging folder in a bucket) is a place of every node.
        workers = beam_engine.grounds([str(text) for text in pipeline.beam_pipeline_args])
        nodes = tuple(_node(zone.name, node, owner, names, workers) for node in pipeline.components)
        root = str(pipeline.pipeline_info.pipeline_root)
        zones.append(
            Zone(
                name=zone.name,
                sharing=zone.sharing,
                root=zone.root if within(root, zone.root) else root,
                metadata=_store(pipeline.metadata_connection_config),
                sources=zone.sources,
                nodes=nodes,
                places=zone.places,
            )
        )
    return zones


def bare_zones(deployment: Deployment) -> list[Zone]:
    """What the deployment file says of every zone, whether it runs or not."""
    root = Path(deployment.root)
    zones = []
    for locale in deployment.locales:
        sharing: Sharing = locale.sharing
        configs = regional_configs(deployment, locale.name)
        patterns = tuple(source.pattern for source in configs.example_gen.sources)
        places = own_places(deployment, locale.name)
        zones.append(Zone(locale.name, sharing, str(root / locale.name), sources=patterns, places=places))
    return [*zones, Zone(CENTRAL, "central", str(root / CENTRAL), places=own_places(deployment, CENTRAL))]


def prove(deployment: Deployment, pipelines: dict[str, Pipeline]) -> Proof:
    """Checks the pipelines of a deployment before any of them runs.

    Raises:
      BorderError: one of them would carry something across the border.
    """
    zones = describe(pipelines, bare_zones(deployment))
    exchange = deployment.exchange
    storage = exchange.storage_options.model_dump(mode="json")
    return check(zones, exchange.uri, storage=storage, ideal=deployment.central.ideal)


def _node(zone: str, node: Any, owner: dict[int, str], names: dict[str, str], workers: list[str]) -> Node:
    inputs = {
        key: tuple(
            _source(zone, f"{node.id}.{key}", found, owner, names) for found in _single_channels(channel)
        )
        for key, channel in node.inputs.items()
    }
    return Node(node.id, node.type, inputs, {**node.exec_properties, "beam_pipeline_args": workers})


def _single_channels(channel: Any) -> list[Any]:
    parts = getattr(channel, "channels", None)  # a union
    return [found for part in parts for found in _single_channels(part)] if parts else [channel]


def _source(zone: str, place: str, channel: Any, owner: dict[int, str], names: dict[str, str]) -> Source:
    if isinstance(channel, ExternalPipelineChannel):
        name = names.get(channel.pipeline_name, channel.pipeline_name)
        return Source(name, channel.producer_component_id, channel.output_key)
    producer = getattr(channel, "producer_component", None)
    if producer is None:
        raise BorderError(
            f"border: unknown → {zone}/{place}: where the channel ({type(channel).__name__}) comes from "
            "cannot be told; allowed: outputs of nodes"
        )
    return Source(owner.get(id(producer), "unknown"), producer.id, channel.output_key)


def _store(config: Any) -> str:
    """What identifies a metadata store."""
    if config is None:
        return ""
    if config.HasField("sqlite"):
        return normal(config.sqlite.filename_uri)
    return str(text_format.MessageToString(config, as_one_line=True))
