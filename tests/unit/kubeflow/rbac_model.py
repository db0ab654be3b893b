"""What an identity may do, by the Roles and RoleBindings of a cluster: as Kubernetes' authorizer decides.

Kubernetes, "Using RBAC Authorization": permissions only add up. A rule with names does not hold for `list`,
`watch` and `create` of a whole collection, where no name is in the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """An account (`kind` ServiceAccount, with a namespace), or a person's group."""

    kind: str
    name: str
    namespace: str | None = None


def may(
    manifests: list[Manifest],
    subject: Subject,
    verb: str,
    resource: str,
    namespace: str,
    group: str = "",
    name: str | None = None,
) -> bool:
    """Whether a subject may do `verb` on `resource` of an API group in a namespace."""
    return any(_covers(rule, verb, resource, group, name) for rule in rules_of(manifests, subject, namespace))


def rules_of(manifests: list[Manifest], subject: Subject, namespace: str) -> list[Manifest]:
    """Every rule that holds for a subject in a namespace."""
    found: list[Manifest] = []
    for binding in manifests:
        everywhere = binding["kind"] == "ClusterRoleBinding"
        if not everywhere and not (
            binding["kind"] == "RoleBinding" and binding["metadata"]["namespace"] == namespace
        ):
            continue
        if any(_is(entry, subject) for entry in binding.get("subjects") or []):
            found += _role(manifests, binding, namespace)["rules"]
    return found


def _is(entry: Manifest, subject: Subject) -> bool:
    return (entry["kind"], entry["name"]) == (subject.kind, subject.name) and (
        subject.kind != "ServiceAccount" or entry.get("namespace") == subject.namespace
    )


def _role(manifests: list[Manifest], binding: Manifest, namespace: str) -> Manifest:
    reference = binding["roleRef"]
    for manifest in manifests:
        here = reference["kind"] == "ClusterRole" or manifest["metadata"].get("namespace") == namespace
        if (manifest["kind"], manifest["metadata"]["name"]) == (
            reference["kind"],
            reference["name"],
        ) and here:
            return manifest
    raise AssertionError(f"{binding['metadata']['name']} binds {reference['name']}, which is not there")


def _covers(rule: Manifest, verb: str, resource: str, group: str, name: str | None) -> bool:
    def listed(values: list[str], wanted: str) -> bool:
        return wanted in values or "*" in values

    names = rule.get("resourceNames")
    return (
        listed(rule["apiGroups"], group)
        and listed(rule["resources"], resource)
        and listed(rule["verbs"], verb)
        and (not names or name in names)
    )
