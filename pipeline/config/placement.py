"""Where steps run on Kubernetes, and where what they make is kept. Imports no TFX.

What a section says becomes the platform spec of the compiled pipeline, executor by executor; the field
names are those of Kubernetes (and of KFP's `kubernetes_executor_config.proto`) in snake case.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic

from components.config_base import ComponentConfig
from components.release.options import DEFAULT_OPTIONS, StorageOptions

#: RFC 1123 label: what namespaces and service accounts are named.
_LABEL = r"^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$"
#: RFC 1123 subdomain: what Secrets and claims are named.
_SUBDOMAIN = r"^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$"
_ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_MOUNT = re.compile(r"/(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+")
Name = Annotated[str, pydantic.Field(pattern=_LABEL)]
ObjectName = Annotated[str, pydantic.Field(pattern=_SUBDOMAIN)]


def _mount(path: str) -> str:
    if not _MOUNT.fullmatch(path) or ".." in path.split("/"):
        raise ValueError("allowed: an absolute path without '..' and without '/' at its end")
    return path


MountPath = Annotated[str, pydantic.AfterValidator(_mount)]


class Toleration(ComponentConfig):
    """A Kubernetes toleration.

    Attributes:
      key: The taint's key; none tolerates every key (only with operator `Exists`).
      operator: `Equal` compares the value, `Exists` does not.
      value: The taint's value.
      effect: The taint's effect; none is every effect.
      toleration_seconds: How long a `NoExecute` taint is tolerated.
    """

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = pydantic.Field(default=None, ge=0)

    @pydantic.model_validator(mode="after")
    def _check_operator(self) -> Toleration:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value; allowed: remove 'value', or operator: Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key; allowed: a key, or operator: Exists")
        return self


class NodeRequirement(ComponentConfig):
    """One requirement on a node's labels; all of a list must hold (required node affinity)."""

    key: str = pydantic.Field(min_length=1)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    values: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check_values(self) -> NodeRequirement:
        bare = self.operator in ("Exists", "DoesNotExist")
        if bare == bool(self.values):
            raise ValueError(
                f"operator {self.operator} takes {'no values' if bare else 'at least one value'}, "
                f"found {len(self.values)}"
            )
        return self


class SecretEnv(ComponentConfig):
    """An environment variable that is filled from a Kubernetes Secret."""

    env: str = pydantic.Field(pattern=_ENV_NAME)
    secret: ObjectName
    key: str = pydantic.Field(min_length=1)


class SecretVolume(ComponentConfig):
    """A Kubernetes Secret as files below a path."""

    secret: ObjectName
    mount_path: MountPath


class ClaimVolume(ComponentConfig):
    """A PersistentVolumeClaim, mounted."""

    claim: ObjectName
    mount_path: MountPath


class Gpu(ComponentConfig):
    """Accelerators of a step: the resource's name and how many."""

    resource: str = "nvidia.com/gpu"
    count: int = pydantic.Field(ge=1)


class StepResources(ComponentConfig):
    """What a pod gets.

    Attributes:
      cpu: Cores, requested and the limit.
      memory_gib: GiB, requested and the limit.
      gpu: Accelerators.
    """

    cpu: float | None = pydantic.Field(default=None, gt=0)
    memory_gib: float | None = pydantic.Field(default=None, gt=0)
    gpu: Gpu | None = None


class RegionStore(ComponentConfig):
    """A bucket of the locale's own for what its steps hand to one another.

    Attributes:
      uri: Where; `s3://`, `gs://`, `az://`, or whatever fsspec opens.
      storage_options: How it is reached, credentials by reference.
    """

    uri: str = pydantic.Field(min_length=1)
    storage_options: StorageOptions = DEFAULT_OPTIONS


class PlacementSection(ComponentConfig):
    """Where a locale's (or the centre's) steps run on Kubernetes.

    Attributes:
      namespace: Namespace that its spec is submitted to (layout `multi-cluster`).
      service_account: Of its pods. KFP has one per run, so a locale has its own only in the layout
        `multi-cluster`.
      node_selector: Node labels that a node must have.
      node_affinity: Further requirements on a node's labels.
      tolerations: Taints that are tolerated.
      cpu, memory_gib, gpu: What every step's pod gets.
      steps: Other resources for single steps, by the step's name (`resolve`, `onboard`, `train`,
        `generate`, `push`; of the centre `resolve`, `merge`, `evaluate`, `push`).
      image_pull_secrets: Names of Secrets with registry credentials.
      image_pull_policy: As Kubernetes has it.
      secret_env: Secrets as environment variables; `signing_key: {env: NAME}` and the like read them.
      secret_volumes: Secrets as files.
      volumes: PersistentVolumeClaims.
      store: A bucket of its own for artifacts; none leaves them to KFP's pipeline root.
      state: What is kept from run to run (statistics and release of earlier spans, budget ledger, audit
        log, memory of the exchange): a path below one of `volumes`, or a URI. None keeps nothing: no drift
        baseline, and no locale with a ledger or a policy.
    """

    namespace: Name | None = None
    service_account: Name | None = None
    node_selector: dict[str, str] = {}
    node_affinity: tuple[NodeRequirement, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    cpu: float | None = pydantic.Field(default=None, gt=0)
    memory_gib: float | None = pydantic.Field(default=None, gt=0)
    gpu: Gpu | None = None
    steps: dict[str, StepResources] = {}
    image_pull_secrets: tuple[ObjectName, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    secret_env: tuple[SecretEnv, ...] = ()
    secret_volumes: tuple[SecretVolume, ...] = ()
    volumes: tuple[ClaimVolume, ...] = ()
    store: RegionStore | None = None
    state: str | None = pydantic.Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _check_once(self) -> PlacementSection:
        _once("secret_env", [item.env for item in self.secret_env])
        _once("secret_volumes and volumes", list(self.mounts))
        return self

    @property
    def is_pinned(self) -> bool:
        """Whether Kubernetes may run its pods on chosen nodes only; that it may not on some is no pin."""
        named = any(item.operator not in ("NotIn", "DoesNotExist") for item in self.node_affinity)
        return bool(self.node_selector) or named

    @property
    def mounts(self) -> tuple[str, ...]:
        """Paths that exist in its pods."""
        secrets = tuple(item.mount_path for item in self.secret_volumes)
        return secrets + tuple(item.mount_path for item in self.volumes)

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the Kubernetes Secrets that its pods get."""
        return frozenset({x.secret for x in self.secret_env} | {x.secret for x in self.secret_volumes})


def _once(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: '{twice[0]}' is given twice; allowed: once")


NOWHERE = PlacementSection()
