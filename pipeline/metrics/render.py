"""Groups as text: the Prometheus format 0.0.4, which collectors and gateways read, or OpenMetrics 1.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from pipeline.metrics.catalogue import CATALOGUE, DEPLOYMENT, MetricSpec
from pipeline.metrics.samples import Group, Sample

Form = Literal["prometheus", "openmetrics"]


class _Groups(Collector):
    """The families of groups, in the catalogue's order."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)

    def collect(self) -> Iterator[Metric]:
        """One family per metric that has a value."""
        by_metric: dict[str, list[tuple[Group, Sample]]] = {}
        for group in self.groups:
            for sample in group.samples:
                by_metric.setdefault(sample.metric, []).append((group, sample))
        for spec in CATALOGUE:
            if spec.name in by_metric:
                yield _family(spec, by_metric[spec.name])


def _family(spec: MetricSpec, found: list[tuple[Group, Sample]]) -> Metric:
    names = spec.all_labels
    if spec.kind == "info":
        info = InfoMetricFamily(spec.family, spec.help, labels=(DEPLOYMENT,))
        for group, sample in found:
            info.add_metric((group.deployment,), dict(zip(spec.labels, sample.labels)))
        return info
    kinds: dict[str, type[GaugeMetricFamily] | type[CounterMetricFamily]] = {
        "gauge": GaugeMetricFamily,
        "counter": CounterMetricFamily,
    }
    family = kinds[spec.kind](spec.family, spec.help, labels=names, unit=spec.unit)
    for group, sample in found:
        zone = (group.zone,) if spec.per == "zone" else ()
        family.add_metric((group.deployment, *zone, *sample.labels), sample.value)
    return family


def render(groups: Iterable[Group], form: Form = "prometheus") -> bytes:
    """The text of groups, UTF-8, one `HELP` and `TYPE` per metric, in a fixed order.

    Args:
      groups: Of one deployment; a zone at most once.
      form: `prometheus` (text format 0.0.4) or `openmetrics` (1.0, with units and `# EOF`).
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Groups(groups))
    made: bytes = generate_openmetrics(registry) if form == "openmetrics" else generate_latest(registry)
    return made
