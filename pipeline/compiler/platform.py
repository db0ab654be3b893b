"""The platform spec of one executor: where Kubernetes runs it, and with which secrets.

Written as data: the helpers of kfp-kubernetes 1.0.0 know no tolerations and refuse nested graphs. The field
names are the JSON form of `kubernetes_platform/proto/kubernetes_executor_config.proto`. Secrets and claims
are named by the older fields, which every back end reads; the newer ones are refused by strict older ones.
"""

from __future__ import annotations

from typing import Any

from pipeline.config.placement import PlacementSection, Toleration

Data = dict[str, Any]
_BYTES_PER_GB, _BYTES_PER_GIB = 10**9, 1 << 30


def executor_config(placement: PlacementSection, labels: dict[str, str], deadline_s: int) -> Data:
    """`platforms.kubernetes.deploymentSpec.executors.<label>` of a step.

    Args:
      placement: Where it runs, with the secrets of this step only.
      labels: Of the pod.
      deadline_s: Seconds after which Kubernetes ends the pod, also one whose node hangs.
    """
    found: Data = {
        "podMetadata": {"labels": dict(sorted(labels.items()))},
        "activeDeadlineSeconds": str(deadline_s),
    }
    if placement.node_selector:
        found["nodeSelector"] = {"labels": dict(sorted(placement.node_selector.items()))}
    if placement.node_affinity:
        found["nodeAffinity"] = [
            {"matchExpressions": [_without_nothing(item.model_dump()) for item in placement.node_affinity]}
        ]
    if placement.tolerations:
        found["tolerations"] = [_toleration(item) for item in placement.tolerations]
    if placement.image_pull_secrets:
        found["imagePullSecret"] = [{"secretName": name} for name in placement.image_pull_secrets]
    if placement.image_pull_policy:
        found["imagePullPolicy"] = placement.image_pull_policy
    if placement.secret_env:
        found["secretAsEnv"] = _secret_env(placement)
    if placement.secret_volumes:
        found["secretAsVolume"] = [
            {"secretName": item.secret, "mountPath": item.mount_path} for item in placement.secret_volumes
        ]
    if placement.volumes:
        found["pvcMount"] = [
            {"constant": item.claim, "mountPath": item.mount_path} for item in placement.volumes
        ]
    return found


def resources(placement: PlacementSection, step: str) -> Data:
    """`container.resources` of a step; empty where nothing is asked for.

    KFP counts memory in GB of 10^9 bytes (`pipeline_spec.proto`, `ResourceSpec.memory_limit`).
    """
    own = placement.steps.get(step)
    cpu = own.cpu if own and own.cpu is not None else placement.cpu
    memory = own.memory_gib if own and own.memory_gib is not None else placement.memory_gib
    gpu = own.gpu if own and own.gpu is not None else placement.gpu
    found: Data = {}
    if cpu is not None:
        found |= {"cpuLimit": cpu, "cpuRequest": cpu}
    if memory is not None:
        size = round(memory * _BYTES_PER_GIB / _BYTES_PER_GB, 6)
        found |= {"memoryLimit": size, "memoryRequest": size}
    if gpu is not None:
        found["accelerator"] = {"type": gpu.resource, "count": str(gpu.count)}
    return found


def _secret_env(placement: PlacementSection) -> list[Data]:
    secrets: dict[str, list[Data]] = {}
    for item in placement.secret_env:
        secrets.setdefault(item.secret, []).append({"secretKey": item.key, "envVar": item.env})
    return [{"secretName": name, "keyToEnv": keys} for name, keys in sorted(secrets.items())]


def _toleration(item: Toleration) -> Data:
    found = _without_nothing(item.model_dump())
    if "toleration_seconds" in found:
        # 64-bit numbers are texts in protobuf's JSON form.
        found["tolerationSeconds"] = str(found.pop("toleration_seconds"))
    return found


def _without_nothing(found: Data) -> Data:
    return {
        key: list(item) if isinstance(item, tuple) else item
        for key, item in found.items()
        if item not in (None, ())
    }
