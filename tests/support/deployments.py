"""Deployments for the compiler's tests: the golden one, and changes of it. Nothing of them exists on disk."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.load import load_deployment
from pipeline.config.model import Deployment

GOLDEN = Path(__file__).parents[1] / "golden"
Data = dict[str, Any]
Change = Callable[[Data], None]


def golden() -> Data:
    """The content of `tests/golden/deployment.yaml`."""
    text = (GOLDEN / "deployment.yaml").read_text()
    return dict(yaml.safe_load(re.sub(r"ed25519:@([^@]+)@", lambda match: public_key(match.group(1)), text)))


def public_key(name: str) -> str:
    """A public key that is always the same; nobody knows its private half."""
    return "ed25519:" + base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


def written(folder: Path, data: Data) -> Path:
    """Writes a deployment file."""
    file = folder / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def deployment(folder: Path, *changes: Change) -> Deployment:
    """The golden deployment, changed and loaded through a file in `folder`."""
    data = golden()
    for change in changes:
        change(data)
    return load_deployment(written(folder, data))


def many(count: int, *, alike: bool) -> Data:
    """A deployment of `count` restricted regions.

    Args:
      count: How many.
      alike: Placed alike, from shared Secrets; else each has a node, Secrets, disks and a bucket of its own.
    """
    data = golden()
    model = data["locales"][1]
    data["locales"] = []
    for i in range(count):
        name = f"region-{i:02d}"
        locale = copy.deepcopy(model) | {"name": name, "trusted_key": public_key(name)}
        locale["source"] = {"pattern": f"/data/{name}/span-{{SPAN}}/*.csv"}
        locale["signing_key"] = {"env": "SIGNING_KEY"}
        suffix = "regions" if alike else name
        places: Data = {
            "node_selector": {"topology.kubernetes.io/region": suffix},
            "secret_env": [
                {"env": env, "secret": f"isthmus-{suffix}", "key": env.lower().replace("_", "-")}
                for env in ("SIGNING_KEY", "EXCHANGE_KEY_ID", "EXCHANGE_SECRET", "KEY_ID", "SECRET")
            ],
            "volumes": [
                {"claim": f"data-{suffix}", "mount_path": "/data"},
                {"claim": f"state-{suffix}", "mount_path": "/state"},
            ],
            "state": "/state",
        }
        if not alike:
            places["store"] = {
                "uri": f"s3://isthmus-{name}/artifacts",
                "storage_options": {
                    "access_key_id": {"env": "KEY_ID"},
                    "secret_access_key": {"env": "SECRET"},
                },
            }
        locale["placement"] = places
        data["locales"].append(locale)
    data["central"]["quorum"] = max(1, count - 1)
    if not alike:
        data["kubeflow"]["residency"] = "strict"
    return data
