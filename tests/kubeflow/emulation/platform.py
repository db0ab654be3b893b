"""What the platform spec adds to a pod: secrets as environment or files, volumes, a deadline."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Secrets = dict[str, dict[str, str]]


class PlatformError(RuntimeError):
    """The pod cannot be made: on a cluster it would wait, until its deadline or for ever."""


@dataclass
class Settings:
    """Of one pod.

    Attributes:
      environment: Variables from secrets.
      mounts: Folder of a claim by mount path.
      files: Content by path, of secrets that are mounted.
      deadline_s: activeDeadlineSeconds.
    """

    environment: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, Path] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    deadline_s: float | None = None

    def apply(self, root: Path) -> None:
        """Puts volumes and secrets below a pod's root, at their mount paths."""
        for mount_path, folder in self.mounts.items():
            folder.mkdir(parents=True, exist_ok=True)
            link = root / mount_path.strip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder)
        for name, content in self.files.items():
            path = root / name.strip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            path.chmod(0o600)


def settings(
    kubernetes: dict[str, Any], parameters: dict[str, Any], secrets: Secrets, volumes: Path
) -> Settings:
    """driver/k8s.go, extendPodSpecPatch, as far as a process can feel it.

    Args:
      kubernetes: The executor's platform spec.
      parameters: Of the DAG that holds the task: names may come from there.
      secrets: Keys and values of every secret, by its name.
      volumes: The folder of all claims.

    Raises:
      PlatformError: A secret or key does not exist, or a name cannot be resolved.
    """
    found = Settings()
    for secret in kubernetes.get("secretAsEnv", []):
        name, values = _secret(secret, parameters, secrets)
        for key in secret.get("keyToEnv", []):
            if key["secretKey"] in values:
                found.environment[key["envVar"]] = values[key["secretKey"]]
            elif not secret.get("optional"):
                raise PlatformError(f"secret {name}: has no key {key['secretKey']}")
    for secret in kubernetes.get("secretAsVolume", []):
        _, values = _secret(secret, parameters, secrets)
        for key, value in values.items():
            found.files[f"{secret['mountPath']}/{key}"] = value
    for mount in kubernetes.get("pvcMount", []):
        if not mount.get("mountPath"):
            raise PlatformError("pvcMount: volume mount path not provided")
        source = mount.get("pvcNameParameter", mount)
        claim = _name(source, mount.get("constant", ""), parameters)
        if not claim:
            raise PlatformError("pvcMount: the claim's name cannot be resolved")
        found.mounts[mount["mountPath"]] = volumes / claim / mount.get("subPath", "")
    if kubernetes.get("activeDeadlineSeconds"):
        found.deadline_s = float(kubernetes["activeDeadlineSeconds"])
    return found


def _secret(
    secret: dict[str, Any], parameters: dict[str, Any], secrets: Secrets
) -> tuple[str, dict[str, str]]:
    name = _name(secret.get("secretNameParameter", {}), secret.get("secretName", ""), parameters)
    if not name:
        raise PlatformError("missing either SecretName or SecretNameParameter")
    if name not in secrets and not secret.get("optional"):
        raise PlatformError(f"secret {name}: does not exist")
    return name, secrets.get(name, {})


def _name(source: dict[str, Any], otherwise: str, parameters: dict[str, Any]) -> str:
    if "componentInputParameter" in source:
        return str(parameters.get(source["componentInputParameter"]) or "")
    if "runtimeValue" in source:
        return str(source["runtimeValue"].get("constant", ""))
    return otherwise
