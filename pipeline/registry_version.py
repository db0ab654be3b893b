"""One version of the detector in the registry: found by number, believed only after its signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.errors import ConfigError, ReleaseError
from components.pusher.registry import list_versions, signed_by
from components.release.storage import Store, open_store
from pipeline.config.model import Deployment
from pipeline.revoked import registry_keys, revocations


@dataclass(frozen=True)
class RegistryVersion:
    """A version that may be used.

    Attributes:
      number: Of the version.
      folder: Of the version, below the registry's root.
      manifest: What `list_versions` gives of it.
      registry: Where it is.
    """

    number: int
    folder: str
    manifest: dict[str, Any]
    registry: Store

    @property
    def uri(self) -> str:
        """Where the registry has it."""
        return self.registry.address(self.folder)


def choose_version(deployment: Deployment, version: int | None = None) -> RegistryVersion:
    """The version of that number, or the newest, after its signature and the revocations were looked at.

    Args:
      deployment: Names the registry, the centre's key and the exchange.
      version: None takes the newest.

    Raises:
      ConfigError: there is no such version.
      DataError: the registry cannot be read.
      ReleaseError: its signature does not fit, or it stands on a release that was revoked.
    """
    central = deployment.central
    registry = open_store(central.registry, "registry", central.registry_storage_options)
    name = central.model_name
    known = list_versions(registry, name)
    if not known:
        raise ConfigError(f"{registry.address(name)}: no version of the detector; `isthmus run` pushes one")
    number = max(known) if version is None else version
    if number not in known:
        listed = ", ".join(map(str, known))
        raise ConfigError(f"--version {number}: not in {registry.address(name)}; allowed: {listed}")
    found = RegistryVersion(number, f"{name}/{number}", known[number], registry)
    _check_trust(deployment, found)
    return found


def _check_trust(deployment: Deployment, found: RegistryVersion) -> None:
    keys = registry_keys(deployment)
    signed = signed_by(found.manifest, keys)
    if keys and signed != f"signed by key {keys[0].key_id}":
        raise ReleaseError(
            f"{found.uri}: {signed}; the centre signs with key {keys[0].key_id}. Do not use it."
        )
    for release in revocations(deployment)["revoked"]:
        if any(detector["version"] == found.number for detector in release["detectors"]):
            raise ReleaseError(
                f"{found.uri}: stands on {release['release']}, which was revoked ({release['reason']}). Run "
                "the deployment again for a detector without it, or name another --version."
            )
