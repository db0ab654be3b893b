"""What the border check looks at: zones, their nodes, and where inputs come from, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.errors import ConfigError

Sharing = Literal["restricted", "open", "central"]

PUSHER = "components.pusher.component.Pusher"
EXAMPLE_GEN = "components.example_gen.component.ExampleGen"
SYNTHETIC_GEN = "components.synthetic_gen.component.SyntheticGen"
EVALUATOR = "components.release_evaluator.component.ReleaseEvaluator"
STATISTICS_GEN = "components.statistics_gen.component.StatisticsGen"
SKETCH_GEN = "components.sketch_gen.component.SketchGen"
DRIFT_MONITOR = "components.drift_monitor.component.DriftMonitor"
GENERATOR_MONITOR = "components.drift_monitor.generator_component.GeneratorMonitor"
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
        SKETCH_GEN,
        DRIFT_MONITOR,
        GENERATOR_MONITOR,
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
      places: Folders, buckets and engines outside the root that are the zone's own, for Beam's workers.
    """

    name: str
    sharing: Sharing
    root: str
    metadata: str = ""
    sources: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    places: tuple[str, ...] = ()


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
