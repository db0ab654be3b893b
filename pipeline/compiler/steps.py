"""Nodes grouped into steps: what one pod runs, what it takes and what it hands on.

A pod costs ten to twenty seconds before it does anything, most of them imports; so nodes that work
for seconds share one (`fuse: cheap`). What stays apart is what costs much, may fail for its own reasons,
or must never be cached.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pipeline.compiler.placeholders import names
from pipeline.config.kubeflow import Fuse
from pipeline.config.model import slug

if TYPE_CHECKING:
    from pipeline.compiler.graph import GraphNode

RESOLVE = "resolve"
PUSH = "push"
#: Step to its nodes; what is named nowhere is a step of its own.
_CHEAP_REGION = {
    "onboard": ("ExampleGen", "StatisticsGen", "SchemaGen", "DriftMonitor", "ExampleValidator"),
    "train": ("SynthesizerTrainer",),
    "generate": ("SyntheticGen", "SyntheticStatisticsGen", "GeneratorMonitor", "ReleaseEvaluator"),
    # Apart: what is drawn anew when another node of its step runs anew is paid for anew.
    "sketch": ("SketchGen",),
    PUSH: ("Pusher",),
}
_CHEAP_CENTRE = {
    "merge": (
        "MergeGen",
        "TestExampleGen",
        "IdealExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "SkewValidator",
        "SkewMonitor",
    ),
    "evaluate": ("ProphetEvaluator",),
    PUSH: ("ModelPusher",),
}
#: Nodes whose answers change while their inputs stay: exchange, registry and approvals are outside.
PUSHERS = ("Pusher", "ModelPusher")
#: Outputs that a node's step takes besides: the centre's report is made beside its Pusher, which also leaves
#: what monitoring found, and a span's profile is kept once ExampleValidator found the span fit.
_BESIDES = {
    "ModelPusher": (("SkewValidator", "skew"), ("SkewMonitor", "monitor")),
    "ExampleValidator": (("DriftMonitor", "profile"),),
}


@dataclasses.dataclass(frozen=True)
class Port:
    """An artifact that a step takes or gives.

    Attributes:
      name: In the step, `<node>-<output>` as a slug.
      node, key: The output that it is.
      type: Import path of the artifact type.
    """

    name: str
    node: str
    key: str
    type: str


@dataclasses.dataclass(frozen=True)
class Step:
    """What one pod runs.

    Attributes:
      name: Unique in its zone: `onboard`, `train`, …
      nodes: In the order in which they run.
      inputs: Artifacts from earlier steps.
      outputs: Every artifact of its nodes.
      after: Steps that must have succeeded before.
      parameters: What its nodes' properties take.
      cached: Whether KFP may serve it from its cache.
    """

    name: str
    nodes: tuple[GraphNode, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    after: tuple[str, ...]
    parameters: tuple[str, ...]
    cached: bool


def group(nodes: list[GraphNode], fuse: Fuse) -> list[Step]:
    """Steps in an order in which they can run.

    Args:
      nodes: Of one zone, in topological order.
      fuse: Which of them share a pod.
    """
    table = _table(nodes, fuse)
    step_of = {node_id: step for step, found in table.items() for node_id in found}
    producers = {(node.id, key): kind for node in nodes for key, kind in node.outputs.items()}
    steps = []
    for name, ids in table.items():
        own = tuple(node for node in nodes if node.id in ids)
        taken = {
            source
            for node in own
            for sources in node.inputs.values()
            for source in sources
            if step_of[source[0]] != name
        }
        taken |= {
            source
            for node in own
            for source in _BESIDES.get(node.id, ())
            if source in producers and step_of[source[0]] != name
        }
        inputs = tuple(_port(node, key, producers[node, key]) for node, key in sorted(taken))
        control = {step_of[other] for node in own for other in node.after}
        steps.append(
            Step(
                name=name,
                nodes=own,
                inputs=inputs,
                outputs=tuple(
                    _port(node.id, key, kind) for node in own for key, kind in node.outputs.items()
                ),
                after=tuple(sorted(({step_of[port.node] for port in inputs} | control) - {name})),
                parameters=tuple(sorted(set().union(*(names(node.properties) for node in own)))),
                cached=not any(node.id in PUSHERS for node in own),
            )
        )
    return steps


def step_names(fuse: Fuse, *, central: bool) -> tuple[str, ...]:
    """Names that `placement.steps` may use."""
    if fuse == "region":
        return (RESOLVE, "work", PUSH)
    table = _CHEAP_CENTRE if central else _CHEAP_REGION
    if fuse == "none":
        return (RESOLVE, *(slug(node) for nodes in table.values() for node in nodes))
    return (RESOLVE, *table)


def _table(nodes: list[GraphNode], fuse: Fuse) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    central = any(node.id == "MergeGen" for node in nodes)
    cheap = {
        node: step for step, ids in (_CHEAP_CENTRE if central else _CHEAP_REGION).items() for node in ids
    }
    for node in nodes:
        if fuse == "none":
            name = slug(node.id)
        elif fuse == "region":
            name = PUSH if node.id in PUSHERS else "work"
        else:
            name = cheap.get(node.id, slug(node.id))
        table.setdefault(name, []).append(node.id)
    return table


def _port(node: str, key: str, kind: str) -> Port:
    return Port(f"{slug(node)}-{slug(key)}", node, key, kind)
