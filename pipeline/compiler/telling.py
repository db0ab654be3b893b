"""What a compiled run's report is told of metrics and alerts, and what must hold for it. Plain data.

In one spec the report stands beside the centre and tells for all zones, of what they left in the exchange.
With a spec per zone each report tells of its own zone, from inside it.
"""

from __future__ import annotations

from typing import Any, Literal

from components.errors import ConfigError
from pipeline.addresses import within
from pipeline.compiler.portable import check_told_places
from pipeline.config.kubeflow import Layout
from pipeline.config.model import Deployment
from pipeline.config.placement import PlacementSection
from pipeline.run_state import CENTRAL

#: How a zone's findings reach its report; empty where nobody is told.
Through = Literal["", "exchange", "state"]


def through(deployment: Deployment, layout: Layout) -> Through:
    """How findings reach the report."""
    if not deployment.alerts.channels and deployment.metrics.pushgateway is None:
        return ""
    return "exchange" if layout == "single-cluster" else "state"


def content(deployment: Deployment, host: str, how: Through) -> dict[str, Any]:
    """What the report beside a zone is told: who is told, and the names that may be said.

    Args:
      deployment: The deployment.
      host: The zone that the report runs beside.
      how: `through`, not empty.
    """
    return {
        "host": host,
        "through": how,
        "name": deployment.name,
        "dataset": deployment.dataset.model_dump(mode="json"),
        "split": deployment.splits.name,
        "locales": [[locale.name, locale.source.name] for locale in deployment.locales],
        "test": deployment.central.test_set.name,
        "alerts": deployment.alerts.model_dump(mode="json"),
        "metrics": deployment.metrics.model_copy(update={"textfile_folder": None}).model_dump(mode="json"),
    }


def check(deployment: Deployment, layout: Layout) -> list[str]:
    """Refuses what a report could not do in its pod.

    Returns:
      Warnings: what pods do not do.

    Raises:
      ConfigError: a place to remember what was told is missing, or a secret or file that no pod has.
    """
    warnings = []
    if deployment.metrics.textfile_folder is not None:
        warnings.append(
            "metrics.textfile_folder: nothing is written there by pods, which no node_exporter looks into; "
            "metrics.pushgateway is for them"
        )
    how = through(deployment, layout)
    if not how:
        return warnings
    hosts = {CENTRAL: deployment.kubeflow.central}
    if how == "state":
        hosts |= {locale.name: locale.placement for locale in deployment.locales}
    for host, placement in sorted(hosts.items()):
        place = "kubeflow.central" if host == CENTRAL else f"locale {host}: placement"
        _check_memory(deployment, place, placement, how)
        check_told_places(host, {"": content(deployment, host, how)}, placement)
    return warnings


def _check_memory(deployment: Deployment, place: str, placement: PlacementSection, how: Through) -> None:
    state = deployment.alerts.state
    if state and "://" not in state and not any(within(state, mount) for mount in placement.mounts):
        raise ConfigError(
            f"alerts.state: found {state}, a path of this machine, and a pod has to remember what it told; "
            f"allowed: a URI, a path below a mount, or none, which is in {place}.state"
        )
    counts = deployment.metrics.pushgateway is not None
    if placement.state is None and (how == "state" or counts or not state):
        raise ConfigError(
            f"{place}.state: found none, and alerts and metrics of pods remember there what was told; "
            "allowed: a URI, or a path below a mount of volumes"
        )
