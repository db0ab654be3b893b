"""TFX pipelines as plain data: the same nodes that the local runner runs, with placeholders.

`pipeline.regional.nodes` and `pipeline.central.nodes` are called once per zone with values that stand
for what is known only at run time; where these turn up among the exec properties, a placeholder goes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from components.drift_monitor.baselines import Baselines
from components.merge_gen.resolution import Resolution
from components.tfx_shim import BaseComponent, BeamExecutorSpec
from pipeline import central, regional
from pipeline.compiler.placeholders import KEY, mark
from pipeline.config.model import Deployment
from pipeline.config.resolve import central_configs, ideal_span
from pipeline.config.resolve_regional import ledger_access, regional_configs

#: Stand for run-time values. Far from any number or text of a configuration.
_NUMBERS = {"seed": 1_987_654_321, "span": 1_876_543_210, "ideal_span": 1_765_432_109}
_TEXTS = {
    name: f"isthmus-parameter-{name}"
    for name in (
        "exchange",
        "fingerprint",
        "statistics_baseline",
        "statistics_baseline_digest",
        "release_baseline",
        "release_baseline_digest",
        "releases",
        "test_fingerprint",
        "ideal_fingerprint",
    )
}
_KEY = "isthmus-parameter-key-id-"
#: What drift is measured against; each region's state knows it when it runs.
_BASELINES = Baselines(plan="isthmus-parameter-baselines")
#: What `MergeGen` is given for a resolution that exists only at run time; its digest goes with it.
RELEASES_FINGERPRINT = "releases_fingerprint"
PIPELINE_PARAMETERS = ("span", "seed", "exchange", "image")


@dataclasses.dataclass(frozen=True)
class GraphNode:
    """One TFX node.

    Attributes:
      id: Unique in its zone.
      kind: Import path of the component class.
      executor: Import path of the executor class.
      is_beam: Whether the executor takes Beam's arguments.
      inputs: Channel to the outputs that feed it, as (node id, output key).
      input_types: Channel to the artifact type's import path.
      outputs: Channel to the artifact type's import path.
      properties: Exec properties with placeholders.
      after: Nodes that must have succeeded before, though no channel says so.
    """

    id: str
    kind: str
    executor: str
    is_beam: bool
    inputs: dict[str, tuple[tuple[str, str], ...]]
    input_types: dict[str, str]
    outputs: dict[str, str]
    properties: dict[str, Any]
    after: tuple[str, ...]


def region_graph(deployment: Deployment, locale: str) -> list[GraphNode]:
    """A region's nodes in topological order.

    Args:
      deployment: As it is in the region's pods (`pipeline.compiler.portable`).
      locale: The locale's name.
    """
    probe = _probe(deployment)
    configs = regional_configs(probe, locale)
    keyed = [rule.column for rule in configs.example_gen.pii if rule.key is not None]
    rules = tuple(
        rule.model_copy(update={"key_id": f"{_KEY}{keyed.index(rule.column)}"}) if rule.key else rule
        for rule in configs.example_gen.pii
    )
    source = configs.example_gen.model_copy(update={"pii": rules})
    nodes = regional.nodes(
        dataclasses.replace(configs, example_gen=source),
        locale=locale,
        span=_NUMBERS["span"],
        fingerprint=_TEXTS["fingerprint"],
        seed=_NUMBERS["seed"],
        previous_statistics_uri=_TEXTS["statistics_baseline"],
        previous_statistics_fingerprint=_TEXTS["statistics_baseline_digest"],
        earlier=_BASELINES,
        previous_synthetic_uri=_TEXTS["release_baseline"],
        previous_synthetic_fingerprint=_TEXTS["release_baseline_digest"],
        ledger=ledger_access(probe, locale),
    )
    sentinels: dict[Any, str] = {f"{_KEY}{i}": key_parameter(i) for i in range(len(keyed))}
    sentinels[_BASELINES.to_exec_property()] = "baselines"
    return [_described(node, sentinels) for node in nodes]


def key_parameter(index: int) -> str:
    """The parameter with the id of the key of the PII rule that has the index-th key."""
    return f"key_id_{index}"


def exchange_placeholder() -> dict[str, str]:
    """In place of the exchange's address."""
    return {KEY: "exchange"}


def central_graph(deployment: Deployment) -> list[GraphNode]:
    """The centre's nodes in topological order."""
    probe = _probe(deployment)
    configs = central_configs(probe)
    if configs.ideal:
        ideal_span(probe)  # refuses restricted locales at different spans
    stand_in = Resolution(missing=("isthmus-parameter",))
    nodes = central.nodes(
        configs,
        releases=stand_in,
        test_fingerprint=_TEXTS["test_fingerprint"],
        ideal_fingerprint=_TEXTS["ideal_fingerprint"],
        ideal_span=_NUMBERS["ideal_span"],
        seed=_NUMBERS["seed"],
    )
    sentinels = {
        stand_in.to_exec_property(): "releases",
        stand_in.fingerprint: RELEASES_FINGERPRINT,
    }
    return [_described(node, sentinels) for node in nodes]


def _probe(deployment: Deployment) -> Deployment:
    """The deployment with stand-ins for what pipeline parameters override."""
    exchange = deployment.exchange.model_copy(update={"uri": _TEXTS["exchange"]})
    probe = deployment.model_copy(update={"seed": _NUMBERS["seed"], "exchange": exchange})
    probe._file_digest = deployment.file_digest
    return probe


def _described(node: BaseComponent, sentinels: dict[Any, str] | None = None) -> GraphNode:
    known: dict[Any, str] = {value: name for name, value in {**_NUMBERS, **_TEXTS}.items()}
    known.update(sentinels or {})
    return GraphNode(
        id=node.id,
        kind=node.type,
        executor=class_path(node.executor_spec.executor_class),
        is_beam=isinstance(node.executor_spec, BeamExecutorSpec),
        inputs={
            key: ((channel.producer_component_id, channel.output_key),)
            for key, channel in sorted(node.inputs.items())
        },
        input_types={key: class_path(channel.type) for key, channel in sorted(node.inputs.items())},
        outputs={key: class_path(channel.type) for key, channel in sorted(node.outputs.items())},
        properties={key: mark(value, known) for key, value in sorted(node.exec_properties.items())},
        after=tuple(sorted(found.id for found in node.upstream_nodes)),
    )


def class_path(found: type) -> str:
    """Import path of a class."""
    return f"{found.__module__}.{found.__qualname__}"
