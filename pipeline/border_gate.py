"""That a restricted zone's Pusher waits for a gate which judged exactly the rows that it pushes."""

from __future__ import annotations

from pipeline.border_addresses import parsed
from pipeline.border_model import (
    EVALUATOR,
    EXAMPLE_GEN,
    GENERATOR_MONITOR,
    PUSHER,
    SKETCH_GEN,
    STATISTICS_GEN,
    SYNTHETIC_GEN,
    BorderError,
    Node,
    Source,
    Zone,
)


def path_of(zone: Zone, last: Source) -> str:
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


def check_pushers(zone: Zone) -> None:
    """Refuses a zone whose Pusher is not gated.

    Raises:
      BorderError: it names the node and what is amiss.
    """
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
            path = path_of(zone, found) if found else "nothing →"
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
        source, monitor = origin(node, "monitor")
        if node.inputs.get("monitor") and (
            monitor is None
            or source is None
            or source.key != "monitor"
            or monitor.kind != GENERATOR_MONITOR
            or origin(monitor, "synthetic")[0] != rows
        ):
            raise refuse("monitor", "what is said of drift is not of the rows that are pushed", found=source)
        source, sketcher = origin(node, "sketch")
        if node.inputs.get("sketch") and not (
            sketcher is not None
            and source is not None
            and source.key == "sketch"
            and sketcher.kind == SKETCH_GEN
            and getattr(origin(sketcher, "examples")[1], "kind", "") == EXAMPLE_GEN
        ):
            raise refuse("sketch", "what is told of the real rows was not made by SketchGen", found=source)
        config = parsed(node.properties.get("config"))
        if config.get("kind") != "synthetic" or not config.get("dataset"):
            raise refuse("config", "the Pusher is not set up for a restricted locale's egress policy")
