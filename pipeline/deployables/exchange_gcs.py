"""Who may do what in the exchange's bucket on Google Cloud Storage: an IAM policy with conditions.

Overwriting an object takes `storage.objects.delete` there. A region has it below its own prefix, but
for manifests and revocations, because a publisher that was killed writes the other files again; and on
the notices that bear its name, as the centre has it on its own and the report's.

Google Cloud, "IAM permissions for JSON methods" and "Configure resource-based access" (IAM conditions:
`resource.name`, `resource.type`, and the API attribute `storage.googleapis.com/objectListPrefix`, since
listing is asked of the bucket and not of an object).
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.deployables.exchange_s3 import CENTRE_NOTICES, NOTICES
from pipeline.deployables.fleet import Fleet, GcsExchange

#: Custom roles of the project; `predefined` ones give more than is needed.
ROLES: dict[str, tuple[str, list[str]]] = {
    "isthmusRegionPublisher": (
        "Isthmus: a region publishes releases",
        ["storage.objects.create", "storage.objects.get", "storage.objects.list"],
    ),
    "isthmusRegionRetry": (
        "Isthmus: a region writes the files of an unfinished release again",
        ["storage.objects.delete"],
    ),
    "isthmusCentreReader": (
        "Isthmus: the centre reads releases",
        ["storage.objects.get", "storage.objects.list"],
    ),
    "isthmusCentreNotice": (
        "Isthmus: the centre writes its notices",
        ["storage.objects.create", "storage.objects.delete"],
    ),
}
LIST_PREFIX = "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"


def render_gcs(fleet: Fleet) -> dict[str, str]:
    """Path below `kubeflow/` to content: the bucket's IAM policy and the custom roles."""
    exchange = fleet.exchange.gcs
    if exchange is None:
        return {}
    bindings: list[dict[str, Any]] = [
        {"role": "roles/storage.admin", "members": list(exchange.admin_members)},
    ]
    notices = f"{fleet.exchange.prefix}/{NOTICES}/"
    for region in fleet.regions:
        folder = f"{fleet.exchange.prefix}/{region.locale}/"
        objects = f"resource.name.startsWith('{_objects(exchange)}{folder}')"
        noted = _notice(exchange, notices, region.locale)
        member = str(region.gcs_member)
        bindings += [
            _binding(
                exchange,
                "isthmusRegionPublisher",
                member,
                f"{region.locale} publishes",
                f"{objects} || {LIST_PREFIX}.startsWith('{folder}') || {noted} || "
                f"{LIST_PREFIX}.startsWith('{notices}')",
            ),
            _binding(
                exchange,
                "isthmusRegionRetry",
                member,
                f"{region.locale} writes again what is no manifest and no revocation",
                f"{objects} && !resource.name.endsWith('/manifest.json') && "
                f"resource.name.extract('.revoked-{{key}}.json') == '' || {noted}",
            ),
        ]
    everything = f"{fleet.exchange.prefix}/"
    bindings.append(
        _binding(
            exchange,
            "isthmusCentreReader",
            str(fleet.central.gcs_member),
            "the centre reads",
            f"resource.name.startsWith('{_objects(exchange)}{everything}') || "
            f"{LIST_PREFIX}.startsWith('{everything}')",
        )
    )
    bindings.append(
        _binding(
            exchange,
            "isthmusCentreNotice",
            str(fleet.central.gcs_member),
            "the centre writes its notices",
            " || ".join(_notice(exchange, notices, zone) for zone in CENTRE_NOTICES),
        )
    )
    roles = {
        name: {"title": title, "stage": "GA", "includedPermissions": permissions}
        for name, (title, permissions) in ROLES.items()
    }
    return {
        # Version 3 is the one that has conditions.
        "exchange/gcs-iam-policy.json": json.dumps({"version": 3, "bindings": bindings}, indent=2) + "\n",
        **{f"exchange/gcs-role-{name}.json": json.dumps(x, indent=2) + "\n" for name, x in roles.items()},
    }


def _objects(exchange: GcsExchange) -> str:
    return f"projects/_/buckets/{exchange.bucket}/objects/"


def _notice(exchange: GcsExchange, notices: str, zone: str) -> str:
    return (
        f"resource.name.startsWith('{_objects(exchange)}{notices}') && resource.name.endsWith('/{zone}.json')"
    )


def _binding(exchange: GcsExchange, role: str, member: str, title: str, expression: str) -> dict[str, Any]:
    return {
        "role": f"projects/{exchange.project}/roles/{role}",
        "members": [member],
        "condition": {"title": title[:100], "expression": expression},
    }
