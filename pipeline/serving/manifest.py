"""A version of the registry as a KServe InferenceService, for whoever applies what stands in git.

Fields after kserve/kserve, pkg/apis/serving/v1beta1: `predictor.go` and `podspec.go` at commit 0217bda,
`component.go` at f7bf4fd, `predictor_model.go` at 00d2aa2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from components.errors import ConfigError
from components.release.canonical import printable
from pipeline.registry_version import RegistryVersion

#: `validateInferenceServiceName` in inference_service_validation.go; a Kubernetes label ends at 63.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
#: A Kubernetes namespace, service account or runtime.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
#: Without Knative, and with it, where the traffic is to be split: only Knative can. Newer releases call these
#: Standard and Knative, take the old names too, and are the only ones to know the new ones (from 0.16 on).
_PLAIN, _SPLIT = "RawDeployment", "Serverless"
#: What KServe's storage initializer fetches and our registries can be.
_SCHEMES = ("s3://", "gs://", "pvc://", "https://")


@dataclass(frozen=True)
class Place:
    """Where and how it is to be served.

    Attributes:
      name: Of the InferenceService, and of the model in its URLs.
      namespace: Kubernetes namespace.
      runtime: Name of the ServingRuntime (`kubeflow/kserve`).
      service_account: Whose secrets read the registry.
      storage_uri: Where KServe finds the version, if not under the registry's own address.
      canary_percent: Share of the traffic for this version, 1 to 99; None: all of it.
    """

    name: str = "detector"
    namespace: str = "isthmus-central"
    runtime: str = "isthmus-detector"
    service_account: str = "isthmus-detector"
    storage_uri: str = ""
    canary_percent: int | None = None


def inference_service(found: RegistryVersion, place: Place) -> dict[str, Any]:
    """The manifest. The same version and place give the same one.

    The server gets the version's content digest: a signed older version that is laid in its place later
    does not start.

    Raises:
      ConfigError: a name is none that Kubernetes takes; or KServe cannot fetch from the registry's address.
    """
    _check(place)
    manifest = found.manifest
    signature = manifest.get("signature") or {}
    predictor: dict[str, Any] = {
        "serviceAccountName": place.service_account,
        "minReplicas": 1,
        "labels": {
            "app.kubernetes.io/name": "isthmus",
            "app.kubernetes.io/component": "detector",
            "isthmus.dev/locale": "central",
            "isthmus.dev/sharing": "central",
            "isthmus.dev/role": "centre",
        },
        "model": {
            "modelFormat": {"name": "isthmus-detector", "version": str(manifest["format_version"])},
            "runtime": place.runtime,
            "protocolVersion": "v2",
            "storageUri": _storage_uri(found, place),
            "env": [{"name": "ISTHMUS_CONTENT_DIGEST", "value": str(manifest["content_digest"])}],
        },
    }
    if place.canary_percent is None:
        # Longer than the server takes to end; Knative sets its own and refuses this field.
        predictor["terminationGracePeriodSeconds"] = 80
    else:
        predictor["canaryTrafficPercent"] = place.canary_percent
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": place.name,
            "namespace": place.namespace,
            "labels": {"app.kubernetes.io/name": "isthmus", "app.kubernetes.io/component": "detector"},
            "annotations": {
                "serving.kserve.io/deploymentMode": _SPLIT if place.canary_percent else _PLAIN,
                "isthmus.dev/model": str(manifest["name"]),
                "isthmus.dev/model-version": str(found.number),
                "isthmus.dev/content-digest": str(manifest["content_digest"]),
                "isthmus.dev/config-digest": str(manifest.get("config_digest", "")),
                "isthmus.dev/signing-key-id": str(signature.get("key_id", "")),
            },
        },
        "spec": {"predictor": predictor},
    }


def to_yaml(manifest: dict[str, Any]) -> str:
    """The manifest's text, keys in the order in which people read them."""
    return yaml.safe_dump(manifest, sort_keys=False, width=200, allow_unicode=True)


def _storage_uri(found: RegistryVersion, place: Place) -> str:
    """With a slash at its end: KServe fetches by prefix, and `.../1` is also the beginning of `.../10`.

    Source: kserve/kserve, python/storage/kserve_storage/kserve_storage.py, `_download_s3`.
    """
    uri = place.storage_uri or found.uri
    if not uri.startswith(_SCHEMES):
        raise ConfigError(
            f"--storage-uri: KServe cannot fetch from {printable(uri)[:200]}; allowed: "
            f"{', '.join(_SCHEMES)}, such as pvc://CLAIM/PATH where the registry is a folder"
        )
    return uri.rstrip("/") + "/"


def _check(place: Place) -> None:
    if not _NAME.fullmatch(place.name):
        raise ConfigError(
            f"--name {printable(place.name)[:80]}: allowed: a letter, then letters, digits and '-', lower "
            "case, at most 63"
        )
    for option, value in (
        ("--namespace", place.namespace),
        ("--runtime", place.runtime),
        ("--service-account", place.service_account),
    ):
        if not _LABEL.fullmatch(value):
            raise ConfigError(f"{option} {printable(value)[:80]}: no name that Kubernetes takes")
