"""What is compiled of each zone: its graph in steps, and what its first step is told."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline import central
from pipeline.compiler.graph import (
    RELEASES_FINGERPRINT,
    central_graph,
    exchange_placeholder,
    key_parameter,
    region_graph,
)
from pipeline.compiler.portable import check_meeting, check_places, in_pods
from pipeline.compiler.steps import PUSHERS, RESOLVE, Step, group
from pipeline.compiler.telling import Through
from pipeline.config.model import Deployment
from pipeline.config.placement import PlacementSection
from pipeline.config.resolve import central_configs, ideal_span
from pipeline.config.resolve_beam import beam_args
from pipeline.config.resolve_regional import budget_of, ledger_access, regional_configs

#: What a first step finds out; parameters of the steps after it.
_REGION_FACTS = (
    "span",
    "fingerprint",
    "statistics_baseline",
    "statistics_baseline_digest",
    "baselines",
    "release_baseline",
    "release_baseline_digest",
)
_CENTRE_FACTS = ("releases", RELEASES_FINGERPRINT, "test_fingerprint", "ideal_fingerprint", "ideal_span")


@dataclasses.dataclass(frozen=True)
class Zone:
    """A region or the centre, ready to be lowered.

    Attributes:
      name: The locale's name, or `central`.
      sharing: `restricted`, `open` or `central`.
      placement: Where its pods run.
      steps: After the first.
      facts: Output parameters of the first step.
      question: What the first step is told, with placeholders.
      beam_args: Of the nodes that run Beam.
      deployment, config_digest: Name and digest of the deployment.
      exchange_storage: How the exchange is reached.
      findings: How what its monitoring found reaches the run's report; empty where nobody is told.
    """

    name: str
    sharing: str
    placement: PlacementSection
    steps: tuple[Step, ...]
    facts: tuple[str, ...]
    question: dict[str, Any]
    beam_args: tuple[str, ...]
    deployment: str
    config_digest: str
    exchange_storage: dict[str, Any]
    findings: Through = ""

    @property
    def role(self) -> str:
        """`region` or `centre`."""
        return "centre" if self.sharing == "central" else "region"


def region(deployment: Deployment, locale: str, findings: Through = "") -> Zone:
    """A locale's zone; `findings` as in `Zone`.

    Raises:
      ConfigError: a pod of it could not read something that it needs.
    """
    section = deployment.locale(locale)
    portable = in_pods(deployment, section.placement)
    graph = region_graph(portable, locale)
    check_places(f"locale {locale}", graph, section.placement, deployment.exchange.uri)
    args = beam_args(portable, locale)
    check_meeting(f"locale {locale}", args, section.placement)
    configs = regional_configs(portable, locale)
    source = configs.example_gen
    keyed = [rule for rule in source.pii if rule.key is not None]
    question = {
        "zone": "region",
        "patterns": [found.pattern for found in source.sources],
        "span": section.span,
        "pii": [rule.model_dump(mode="json") for rule in keyed],
        "baselines": configs.drift_monitor.monitoring.baselines.model_dump(mode="json"),
        "asked_span": {"$": "span"},
        **_budget(portable, locale),
    }
    return Zone(
        name=locale,
        sharing=section.sharing,
        placement=section.placement,
        steps=tuple(group(graph, deployment.kubeflow.fuse)),
        facts=(*_REGION_FACTS, *(key_parameter(i) for i in range(len(keyed)))),
        question=question,
        beam_args=tuple(args),
        deployment=deployment.name,
        config_digest=deployment.file_digest,
        exchange_storage=deployment.exchange.storage_options.model_dump(mode="json"),
        findings=findings,
    )


def _budget(portable: Deployment, locale: str) -> dict[str, Any]:
    """What a first step opens the locale's ledger with; nothing where it has no budget."""
    access, budget = ledger_access(portable, locale), budget_of(portable, locale)
    if access is None or budget is None:
        return {}
    return {
        "budget": {
            "access": access.model_dump(mode="json"),
            "budget": budget.model_dump(mode="json"),
            "exchange": exchange_placeholder(),
            "storage": portable.exchange.storage_options.model_dump(mode="json"),
        }
    }


def centre(deployment: Deployment, findings: Through = "") -> Zone:
    """The centre's zone; `findings` as in `Zone`.

    Raises:
      ConfigError: a pod of it could not read something that it needs.
    """
    placement = deployment.kubeflow.central
    portable = in_pods(deployment, placement)
    graph = central_graph(portable)
    check_places("central", graph, placement, deployment.exchange.uri)
    configs = central_configs(portable)
    merge = configs.merge_gen.model_copy(update={"exchange_uri": "exchange"}).model_dump(mode="json")
    question = {
        "zone": "central",
        "test": [found.pattern for found in configs.test.sources],
        "ideal": [found.pattern for found in configs.ideal.sources] if configs.ideal else [],
        "ideal_span": ideal_span(portable) if configs.ideal else "latest",
        "merge": merge | {"exchange_uri": exchange_placeholder()},
    }
    return Zone(
        name=central.NAME,
        sharing="central",
        placement=placement,
        steps=tuple(group(graph, deployment.kubeflow.fuse)),
        facts=_CENTRE_FACTS,
        question=question,
        beam_args=tuple(beam_args(portable, central.NAME)),
        deployment=deployment.name,
        config_digest=deployment.file_digest,
        exchange_storage=deployment.exchange.storage_options.model_dump(mode="json"),
        findings=findings,
    )


def shape(step: Step) -> list[dict[str, Any]]:
    """What a container is told of a step's nodes besides their properties.

    Per node: id, component and executor by import path, whether it runs Beam, inputs (channel: the
    artifact's name, and type) and outputs (the same).
    """
    ports = {(port.node, port.key): port.name for port in (*step.inputs, *step.outputs)}
    return [
        {
            "id": node.id,
            "kind": node.kind,
            "executor": node.executor,
            "beam": node.is_beam,
            "inputs": {
                key: [ports[sources[0]], node.input_types[key]] for key, sources in node.inputs.items()
            },
            "outputs": {key: [ports[node.id, key], kind] for key, kind in node.outputs.items()},
        }
        for node in step.nodes
    ]


def content(zone: Zone, step: Step) -> dict[str, Any]:
    """What a step's container is told, with placeholders: a first step `question`, others `nodes`,
    `properties` by node, `beam`; a Pusher's step also what its notice and pages need."""
    if step.name == RESOLVE:
        return {"question": zone.question}
    told: dict[str, Any] = {
        "nodes": shape(step),
        "properties": {node.id: node.properties for node in step.nodes},
    }
    if any(node.id in PUSHERS for node in step.nodes):
        told["deployment"] = {"name": zone.deployment, "config_digest": zone.config_digest}
        told["notices"] = zone.exchange_storage
        told["exchange"] = exchange_placeholder()
        if zone.findings:
            told["findings"] = zone.findings
    if any(node.is_beam for node in step.nodes):
        told["beam"] = list(zone.beam_args)
    return told
