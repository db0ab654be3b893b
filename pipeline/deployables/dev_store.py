"""Who may do what in the dev store: SeaweedFS' own identities, as near to the bucket policies as they come.

SeaweedFS, "Amazon S3 API": an action holds for a bucket or a path in it. `Write` includes deleting, so a
region can delete what is its own there; on S3 it cannot.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.deployables.exchange_s3 import CENTRE_NOTICES, NOTICES
from pipeline.deployables.fleet import Artifacts, Fleet


def render_dev_store(fleet: Fleet) -> dict[str, str]:
    """Path below `kubeflow/` to content: identities whose keys are names of variables, for `envsubst`."""
    store = fleet.exchange.s3
    if store is None:
        return {}
    exchange = f"{store.bucket}/{fleet.exchange.prefix}"
    identities: list[dict[str, Any]] = [_identity("admin", ["Admin"])]
    for region in fleet.regions:
        below = f"{exchange}/{region.locale}/*"
        noted = f"{exchange}/{NOTICES}/*/{region.locale}.json"
        granted = [*_all(below), f"Read:{noted}", f"Write:{noted}", f"List:{exchange}/{NOTICES}/*"]
        identities.append(_identity(region.slug, [*granted, *_all(_bucket(region.artifacts))]))
    granted = [f"Read:{exchange}/*", f"List:{exchange}/*"]
    granted += [f"Write:{exchange}/{NOTICES}/*/{zone}.json" for zone in CENTRE_NOTICES]
    identities.append(_identity("central", [*granted, *_all(_bucket(fleet.central.artifacts))]))
    return {"dev-store/identities.json": json.dumps({"identities": identities}, indent=2) + "\n"}


def _identity(name: str, actions: list[str]) -> dict[str, Any]:
    variable = "DEV_STORE_" + name.upper().replace("-", "_")
    keys = {"accessKey": f"${{{variable}_KEY}}", "secretKey": f"${{{variable}_SECRET}}"}
    return {"name": name, "credentials": [keys], "actions": actions}


def _all(place: str) -> list[str]:
    return [f"Read:{place}", f"List:{place}", f"Write:{place}"]


def _bucket(artifacts: Artifacts) -> str:
    return artifacts.pipeline_root.split("://", 1)[1].split("/", 1)[0]
