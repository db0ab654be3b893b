"""The simulated fleet as a deployment for Kubeflow: keys by environment, an exchange on S3."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from components.release import keys
from pipeline import starter

IMAGE = "registry.example/isthmus:1"
_MILD = {
    "metric": "exact_copy_risk_rows",
    "of": "value",
    "rule": "max",
    "threshold": 0.2,
    "reason": "a test",
}


@dataclasses.dataclass(frozen=True)
class Fleet:
    """A deployment file, and what its pods need.

    Attributes:
      config: The deployment file.
      environment: Zone to the environment variables that its Secret holds.
      deployment: The file's content.
    """

    config: Path
    environment: dict[str, dict[str, str]]
    deployment: dict[str, Any]

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """Kubernetes Secrets by name, with their keys."""
        return {
            f"isthmus-{zone}": {key.lower(): value for key, value in held.items()}
            for zone, held in self.environment.items()
        }

    @property
    def everything(self) -> dict[str, str]:
        """All of them, for a run on one machine."""
        return {key: value for zone in self.environment.values() for key, value in zone.items()}


def variable(locale: str) -> str:
    """The environment variable with a locale's signing key."""
    return f"{locale.upper().replace('-', '_')}_SIGNING_KEY"


def write(
    folder: Path,
    exchange: str,
    *,
    endpoint: str | None = None,
    size: starter.Size = "small",
    credentials: tuple[str, str] = ("testing", "testing-secret"),
    lenient: bool = False,
    own_buckets: bool = False,
    **changes: Any,
) -> Fleet:
    """Simulates a fleet and writes its deployment for Kubeflow.

    Args:
      folder: Gets data, keys and `isthmus.yaml`. It stands for a volume that every pod mounts.
      exchange: The exchange's address.
      endpoint: Of the S3 server.
      size: Of the fleet.
      credentials: Key id and secret of the exchange.
      lenient: A short training and a mild gate, for tests of what happens around them.
      own_buckets: Restricted locales keep their artifacts in `s3://<locale>-own`, which must exist.
      changes: Top-level sections to merge in, such as `synthesizer`.
    """
    config = starter.write(folder, size=size)
    deployment = yaml.safe_load(config.read_text())
    environment: dict[str, dict[str, str]] = {}
    stored: dict[str, Any] = {}
    names: dict[str, str] = {}
    if endpoint:
        names = {"EXCHANGE_KEY_ID": credentials[0], "EXCHANGE_SECRET": credentials[1]}
        stored = {
            "endpoint_url": endpoint,
            "region": "us-east-1",
            "access_key_id": {"env": "EXCHANGE_KEY_ID"},
            "secret_access_key": {"env": "EXCHANGE_SECRET"},
        }
    if lenient:
        deployment["synthesizer"] |= {"max_steps": 20, "evaluate_every": 10}
        detector = deployment["central"]["detector"]
        detector.update(bootstrap_samples=100, classifier={"max_iter": 30})
    volumes = [{"claim": "fleet", "mount_path": str(folder)}]
    for locale in deployment["locales"]:
        name = locale["name"]
        pair = keys.ensure_key_pair(folder / "keys" / f"{name}.pem")
        locale["signing_key"] = {"env": variable(name)}
        locale["trusted_key"] = pair.public.to_text()
        locale["create_key"] = False
        if lenient and locale["sharing"] == "restricted":
            locale["privacy"] = {"gate": {"checks": [_MILD]}}
        environment[name] = {variable(name): (folder / "keys" / f"{name}.pem").read_text(), **names}
        if own_buckets and locale["sharing"] == "restricted":
            environment[name] |= {"STORE_KEY_ID": credentials[0], "STORE_SECRET": credentials[1]}
        locale["placement"] = {
            "secret_env": [
                {"env": key, "secret": f"isthmus-{name}", "key": key.lower()} for key in environment[name]
            ],
            "volumes": volumes,
            "state": str(folder / "state"),
        }
        if "STORE_KEY_ID" in environment[name]:
            reached = {
                **stored,
                "access_key_id": {"env": "STORE_KEY_ID"},
                "secret_access_key": {"env": "STORE_SECRET"},
            }
            locale["placement"]["store"] = {"uri": f"s3://{name}-own/artifacts", "storage_options": reached}
    environment["central"] = dict(names)
    deployment["exchange"] = {"uri": exchange} | ({"storage_options": stored} if stored else {})
    deployment["kubeflow"] = {
        "image": IMAGE,
        "central": {
            "secret_env": [{"env": key, "secret": "isthmus-central", "key": key.lower()} for key in names],
            "volumes": volumes,
            "state": str(folder / "state"),
        },
        "retries": {"max_retries": 1, "backoff_s": 1},
    }
    for key, value in changes.items():
        found = deployment.get(key)
        deployment[key] = {**found, **value} if isinstance(found, dict) and isinstance(value, dict) else value
    config.write_text(yaml.safe_dump(deployment, sort_keys=False))
    return Fleet(config, environment, deployment)
