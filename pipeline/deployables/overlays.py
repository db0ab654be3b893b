"""One overlay for each namespace of a fleet, and one for the layout single-cluster: settings as data.

What is the same everywhere stands in `kubeflow/base`, `region` and `central`; an overlay holds only what
differs, so that fifty of them can be rendered and still be read.
"""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.deployables.fleet import Address, Artifacts, Fleet, Region

#: First line of everything that is rendered; a file without it is not ours to replace.
MARK = "# Rendered from kubeflow/fleet.yaml by `python -m pipeline.deployables`: change that file instead.\n"
#: What stands in for a compiled pipeline; written once and never replaced.
NO_PIPELINE = (
    "# Not compiled yet: `isthmus compile isthmus.yaml --layout multi-cluster` writes what belongs here.\n"
)


def render_overlays(fleet: Fleet) -> dict[str, str]:
    """Path below `kubeflow/` to content, for every overlay."""
    files: dict[str, str] = {}
    for region in [*fleet.regions, None]:
        slug = region.slug if region else "central"
        kind = "region" if region else "central"
        artifacts = region.artifacts if region else fleet.central.artifacts
        sharing = region.sharing if region else "central"
        settings = {
            **_namespace_settings(fleet, slug, sharing, artifacts),
            **_locale_settings(fleet, region),
        }
        files[f"overlays/{slug}/settings.yaml"] = _settings(settings)
        files |= {f"overlays/{slug}/{name}": _report_policy(fleet, slug) for name in _told(fleet)}
        files[f"overlays/{slug}/kustomization.yaml"] = _kustomization(
            {
                "namespace": f"isthmus-{slug}",
                "resources": ["../../base", f"../../{kind}", "settings.yaml", *_told(fleet)],
                "components": [
                    "../../settings",
                    f"../../settings-{kind}",
                    *_namespace_components(fleet, "../.."),
                    *_locale_components(fleet, "../.."),
                ],
                **_image_and_pipeline(fleet, "pipeline.yaml"),
            }
        )
    files = {**files, **_single_cluster(fleet)}
    overlays = [*(region.slug for region in fleet.regions), "central", "single-cluster"]
    return {**files, **{f"overlays/{name}/pipeline.yaml": NO_PIPELINE for name in overlays}}


def _single_cluster(fleet: Fleet) -> dict[str, str]:
    """One namespace: KFP knows one account and one artifact bucket, the centre's, for a run of all."""
    folder = "overlays/single-cluster"
    settings = _namespace_settings(fleet, "single-cluster", "central", fleet.central.artifacts)
    settings["namespace"] = "isthmus"
    files = {
        f"{folder}/kustomization.yaml": _kustomization(
            {
                "namespace": "isthmus",
                "resources": ["namespace", *(region.slug for region in fleet.regions), "central"],
                **_image_and_pipeline(fleet, "pipeline.yaml"),
            }
        ),
        f"{folder}/namespace/settings.yaml": _settings(settings),
        f"{folder}/namespace/kustomization.yaml": _kustomization(
            {
                "resources": ["../../../base", "settings.yaml"],
                "components": ["../../../settings", *_namespace_components(fleet, "../../..")],
            }
        ),
    }
    for region in [*fleet.regions, None]:
        slug = region.slug if region else "central"
        kind = "region" if region else "central"
        files[f"{folder}/{slug}/settings.yaml"] = _settings({"slug": slug, **_locale_settings(fleet, region)})
        # One run for all, so that the one report is the centre's.
        told = [] if region else _told(fleet)
        files |= {f"{folder}/{slug}/{name}": _report_policy(fleet, slug) for name in told}
        files[f"{folder}/{slug}/kustomization.yaml"] = _kustomization(
            {
                "resources": [f"../../../{kind}", "settings.yaml", *told],
                "components": [f"../../../settings-{kind}", *_locale_components(fleet, "../../..")],
            }
        )
    return files


def _told(fleet: Fleet) -> list[str]:
    """Files that an overlay has where a report may connect to somebody."""
    return ["network-report.yaml"] if fleet.report.endpoints or fleet.report.pushgateway else []


def _report_policy(fleet: Fleet, slug: str) -> str:
    """Lets the report of a namespace reach whom it tells, and no other pod."""
    rules: list[dict[str, Any]] = [
        {"to": [{"ipBlock": {"cidr": found.cidr}}], "ports": [{"protocol": "TCP", "port": found.port}]}
        for found in fleet.report.endpoints
    ]
    if gateway := fleet.report.pushgateway:
        there = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": gateway.namespace}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus-pushgateway"}},
        }
        rules.append({"to": [there], "ports": [{"protocol": "TCP", "port": gateway.port}]})
    labels = {
        "app.kubernetes.io/name": "isthmus",
        "isthmus.dev/locale": slug,
        "isthmus.dev/role": "report",
    }
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"report-to-told-{slug}"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Egress"], "egress": rules},
    }
    return MARK + yaml.dump(policy, Dumper=_Dumper, sort_keys=False)


def _namespace_components(fleet: Fleet, top: str) -> list[str]:
    asked = {
        "external-secrets": "external-secrets/artifacts",
        "hold-drains": "hold-drains",
        "dev-store": "dev-store/reach",
    }
    return [f"{top}/recurring", *(f"{top}/{asked[name]}" for name in fleet.components)]


def _locale_components(fleet: Fleet, top: str) -> list[str]:
    return [f"{top}/external-secrets/locale"] if "external-secrets" in fleet.components else []


def _image_and_pipeline(fleet: Fleet, pipeline: str) -> dict[str, Any]:
    name, at, digest = fleet.image.partition("@")
    image = {"name": "isthmus", "newName": name, "digest": digest}
    if not at:
        name, _, tag = fleet.image.rpartition(":")
        image = {"name": "isthmus", "newName": name, "newTag": tag}
    return {
        "images": [image],
        "configMapGenerator": [{"name": "isthmus-pipeline", "files": [pipeline]}],
    }


def _namespace_settings(fleet: Fleet, slug: str, sharing: str, artifacts: Artifacts) -> dict[str, Any]:
    return {
        "slug": slug,
        "namespace": f"isthmus-{slug}",
        "sharing": sharing,
        "kfpNamespace": fleet.kfp_namespace,
        "kfpEndpoint": fleet.kfp_endpoint,
        "schedule": fleet.recurring.schedule,
        "suspend": fleet.recurring.suspend,
        "kubernetesApi": _address(fleet.kubernetes_api),
        "artifacts": {
            **_address(artifacts),
            "pipelineRoot": artifacts.pipeline_root,
            "providers": _providers(artifacts, f"isthmus-{slug}-artifacts"),
        },
    }


def _locale_settings(fleet: Fleet, region: Region | None) -> dict[str, Any]:
    """What a region needs, or the centre where there is none."""
    exchange = {"exchange": _address(fleet.exchange)}
    if region is None:
        return exchange
    return {"data": _address(region.data), "store": _address(region.artifacts), **exchange}


def _address(address: Address) -> dict[str, Any]:
    return {"cidr": address.cidr, "port": address.port}


def _providers(artifacts: Artifacts, secret: str) -> str:
    """The `providers` of the ConfigMap kfp-launcher (KFP, backend/src/v2/config/s3.go and gcs.go)."""
    scheme = artifacts.pipeline_root.split("://", 1)[0]
    if scheme == "gs":
        reference = {"secretName": secret, "tokenKey": "token"}
        default: dict[str, Any] = {"credentials": {"fromEnv": False, "secretRef": reference}}
    else:
        reference = {"secretName": secret, "accessKeyKey": "accesskey", "secretKeyKey": "secretkey"}
        default = {
            "endpoint": artifacts.endpoint,
            "region": artifacts.region,
            "disableSSL": artifacts.disable_tls,
            "credentials": {"fromEnv": False, "secretRef": reference},
        }
    return yaml.safe_dump({scheme: {"default": default}}, sort_keys=False)


def _settings(spec: dict[str, Any]) -> str:
    return MARK + yaml.dump(
        {
            "apiVersion": "isthmus.dev/v1",
            "kind": "Settings",
            "metadata": {
                "name": f"settings-{spec['slug']}",
                # kustomize reads it and leaves it out of what it prints.
                "annotations": {"config.kubernetes.io/local-config": "true"},
            },
            "spec": spec,
        },
        Dumper=_Dumper,
        sort_keys=False,
    )


def _kustomization(content: dict[str, Any]) -> str:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return MARK + yaml.dump({**head, **content}, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block; no aliases, which kustomize's readers would have to follow."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
