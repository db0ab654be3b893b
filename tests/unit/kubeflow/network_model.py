"""Who may open a connection to whom, by the NetworkPolicies of a cluster: as a network plugin would decide.

Kubernetes, "Network Policies": a pod that no policy selects is open; else the union of what the policies that
select it allow holds, and both ends have to agree.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
#: Namespaces that every cluster of ours has.
OTHERS = ("default", "kube-system", "kubeflow")


@dataclass(frozen=True)
class Pod:
    """A pod: its namespace and labels."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """Policies, and the labels of namespaces. Kubernetes gives each namespace its name as a label."""

    policies: list[Manifest]
    namespaces: dict[str, dict[str, str]]

    @classmethod
    def of(cls, manifests: list[Manifest], others: tuple[str, ...] = OTHERS) -> Cluster:
        named = {
            x["metadata"]["name"]: x["metadata"].get("labels", {})
            for x in manifests
            if x["kind"] == "Namespace"
        }
        labels = {
            name: {**found, "kubernetes.io/metadata.name": name}
            for name, found in {**{name: {} for name in others}, **named}.items()
        }
        return cls([x for x in manifests if x["kind"] == "NetworkPolicy"], labels)

    def reaches(self, source: Pod, target: Pod | str, port: int, protocol: str = "TCP") -> bool:
        """Whether `source` may connect to a pod, or to an address outside."""
        out = self._allows(source, target, port, protocol, "Egress")
        return out and (isinstance(target, str) or self._allows(target, source, port, protocol, "Ingress"))

    def _allows(self, pod: Pod, other: Pod | str, port: int, protocol: str, direction: str) -> bool:
        chosen = [x for x in self.policies if self._selects(x, pod) and direction in _types(x["spec"])]
        if not chosen:
            return True
        rules = [rule for x in chosen for rule in x["spec"].get(direction.lower()) or []]
        peers = "to" if direction == "Egress" else "from"
        return any(
            self._one_of(rule.get(peers), other, pod.namespace)
            and _on_port(rule.get("ports"), port, protocol)
            for rule in rules
        )

    def _selects(self, policy: Manifest, pod: Pod) -> bool:
        return policy["metadata"]["namespace"] == pod.namespace and matches(
            policy["spec"].get("podSelector", {}), pod.labels
        )

    def _one_of(self, peers: list[Manifest] | None, other: Pod | str, own: str) -> bool:
        return not peers or any(self._is(peer, other, own) for peer in peers)

    def _is(self, peer: Manifest, other: Pod | str, own: str) -> bool:
        block = peer.get("ipBlock")
        if block is not None or isinstance(other, str):
            if block is None or not isinstance(other, str):
                return False
            address = ipaddress.ip_address(other)
            inside = address in ipaddress.ip_network(block["cidr"])
            return inside and not any(address in ipaddress.ip_network(x) for x in block.get("except", []))
        spaces = peer.get("namespaceSelector")
        here = other.namespace == own if spaces is None else matches(spaces, self.namespaces[other.namespace])
        return here and matches(peer.get("podSelector", {}), other.labels)


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels; an empty one picks everything."""
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        value, values = labels.get(rule["key"]), rule.get("values", [])
        held = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[rule["operator"]]
        if not held:
            return False
    return True


def _types(spec: Manifest) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _on_port(ports: list[Manifest] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        rule.get("protocol", "TCP") == protocol
        and (rule.get("port") is None or rule["port"] <= port <= rule.get("endPort", rule["port"]))
        for rule in ports
    )
