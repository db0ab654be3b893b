"""Every object that the overlays render to: valid, in its place, and without what does not belong there."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from pipeline.deployables.__main__ import main
from pipeline.deployables.__main__ import render as render_files
from pipeline.deployables.fleet import Fleet
from tests.unit.kubeflow.conftest import KUBEFLOW, NAMESPACED, OVERLAYS, find_tool, render
from tests.unit.kubeflow.fleets import demo, many_regions
from tests.unit.kubeflow.network_model import Cluster, Pod

pytestmark = pytest.mark.kubeflow

#: The oldest with what we use (a CronJob's `timeZone` is stable since 1.27), the tools', the newest.
VERSIONS = ("1.27", "1.32", "1.37")
#: Not in Kubernetes' own schemas.
FOREIGN = {"ExternalSecret"}


def validate(manifests, folder, version: str) -> subprocess.CompletedProcess:
    """What kubernetes-validate says of them, with unknown fields refused."""
    file = folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all([x for x in manifests if x["kind"] not in FOREIGN]))
    return subprocess.run(
        [find_tool("kubernetes-validate"), "-k", version, "--strict", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(tmp_path, version):
    manifests = [x for name in OVERLAYS for x in render(KUBEFLOW / "overlays" / name)]
    manifests += render(KUBEFLOW / "dev-store")
    done = validate(manifests, tmp_path, version)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count(" passed for resource ") == len(manifests) > 100


def test_a_wrong_object_is_refused(tmp_path):
    manifest = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x"}}
    wrong = {**manifest, "spec": {"podSelector": {}, "egres": []}}
    done = validate([wrong], tmp_path, "1.32")
    assert done.returncode == 1 and "egres" in done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMESPACED)
def test_an_overlay_stays_in_its_namespace(name):
    manifests = render(KUBEFLOW / "overlays" / name)
    for manifest in manifests:
        place = manifest["metadata"].get("namespace", manifest["metadata"]["name"])
        assert place == f"isthmus-{name}", manifest
        for subject in manifest.get("subjects", []):
            assert subject.get("namespace", place) == place
    kinds = {x["kind"] for x in manifests}
    assert kinds.isdisjoint({"ClusterRole", "ClusterRoleBinding", "Secret"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_placeholder_and_no_secret_is_left(name):
    for manifest in render(KUBEFLOW / "overlays" / name):
        text = yaml.safe_dump(manifest)
        assert not re.search(
            r"\b(SLUG|SHARING|ARTIFACTS|PROVIDERS|KFP_ENDPOINT|EXPERIMENT|NAMESPACE)\b", text
        )
        assert "192.0.2.0" not in text and not re.search(r"192\.0\.2\.[2-9]", text)
        assert manifest["kind"] not in ("Secret", "Settings")


@pytest.mark.parametrize("name", [*NAMESPACED, "single-cluster"])
def test_names_are_those_of_the_contract(name):
    manifests = render(KUBEFLOW / "overlays" / name)
    claims = {x["metadata"]["name"] for x in manifests if x["kind"] == "PersistentVolumeClaim"}
    assert claims == {f"isthmus-{x}-state" for x in (NAMESPACED if name == "single-cluster" else [name])}
    (space,) = [x for x in manifests if x["kind"] == "Namespace"]
    labels = space["metadata"]["labels"]
    assert space["metadata"]["name"] == ("isthmus" if name == "single-cluster" else f"isthmus-{name}")
    assert labels["isthmus.dev/sharing"] == {
        "us-east": "open",
        "eu-west": "restricted",
        "ap-south": "restricted",
    }.get(name, "central")
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"


@pytest.mark.parametrize("name", NAMESPACED)
def test_kfp_keeps_artifacts_in_the_locale_s_own_bucket(name):
    (launcher,) = [x for x in render(KUBEFLOW / "overlays" / name) if x["metadata"]["name"] == "kfp-launcher"]
    assert launcher["data"]["defaultPipelineRoot"] == f"s3://isthmus-{name}-artifacts/runs"
    provider = yaml.safe_load(launcher["data"]["providers"])["s3"]["default"]
    assert provider["credentials"] == {
        "fromEnv": False,
        "secretRef": {
            "secretName": f"isthmus-{name}-artifacts",
            "accessKeyKey": "accesskey",
            "secretKeyKey": "secretkey",
        },
    }
    assert provider["disableSSL"] is False


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_recurring_run_is_suspended_locked_down_and_of_its_namespace(name):
    manifests = render(KUBEFLOW / "overlays" / name)
    (job,) = [x for x in manifests if x["kind"] == "CronJob"]
    (spec,) = [x for x in manifests if x["metadata"]["name"].startswith("isthmus-pipeline")]
    space = job["metadata"]["namespace"]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["spec"]["suspend"] is True
    assert container["args"] == [
        *("submit", "/spec/pipeline.yaml"),
        *("--endpoint", "http://ml-pipeline.kubeflow.svc.cluster.local:8888"),
        *("--experiment", space, "--namespace", space),
        *("--service-account", "isthmus-run"),
    ]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == "registry.example.com/isthmus:0.1.0"
    volumes = {x["name"]: x for x in pod["volumes"]}
    assert volumes["spec"]["configMap"]["name"] == spec["metadata"]["name"]
    token = volumes["token"]["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == "pipelines.kubeflow.org"


def copied(tmp_path, fleet: dict | None = None):
    """The folder `kubeflow` elsewhere, rendered for another fleet."""
    folder = tmp_path / "kubeflow"
    shutil.copytree(KUBEFLOW, folder)
    if fleet is not None:
        shutil.rmtree(folder / "overlays")
        (folder / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    assert main([str(folder / "fleet.yaml")]) == 0
    return folder


def test_what_is_asked_for_is_added(tmp_path):
    folder = copied(tmp_path, {**demo(), "components": ["external-secrets", "hold-drains", "dev-store"]})
    manifests = render(folder / "overlays" / "eu-west")
    secrets = {x["metadata"]["name"]: x for x in manifests if x["kind"] == "ExternalSecret"}
    assert set(secrets) == {"isthmus-eu-west", "isthmus-eu-west-artifacts"}
    for name, secret in secrets.items():
        assert secret["spec"]["target"]["name"] == name
        assert secret["spec"]["secretStoreRef"] == {"kind": "SecretStore", "name": "isthmus-eu-west"}
        key = secret["spec"]["dataFrom"][0]["extract"]["key"]
        assert key == ("isthmus/eu-west/artifacts" if "artifacts" in name else "isthmus/eu-west/steps")
    assert [x["metadata"]["name"] for x in manifests if x["kind"] == "PodDisruptionBudget"] == [
        "steps-run-to-their-end"
    ]
    assert validate(manifests, tmp_path, "1.32").returncode == 0
    store = render(folder / "dev-store")
    cluster = Cluster.of([*manifests, *store])
    run = {"pipelines.kubeflow.org/v2_component": "true"}
    server = Pod("isthmus-dev-store", {"app.kubernetes.io/name": "isthmus-dev-store"})
    assert cluster.reaches(Pod("isthmus-eu-west", run), server, 8333)
    assert not cluster.reaches(Pod("isthmus-eu-west"), server, 8333)
    assert not cluster.reaches(Pod("isthmus-eu-west", run), server, 9333)
    assert not cluster.reaches(Pod("kubeflow", run), server, 8333)
    assert not cluster.reaches(server, "8.8.8.8", 443)
    assert (
        len([x for x in render(folder / "overlays" / "single-cluster") if x["kind"] == "ExternalSecret"]) == 5
    )
    # Without the component, the way is shut.
    plain = Cluster.of([*render(KUBEFLOW / "overlays" / "eu-west"), *store])
    assert not plain.reaches(Pod("isthmus-eu-west", run), server, 8333)


def test_fifty_regions_render(tmp_path):
    fleet = many_regions(50, mode="identity")
    folder = copied(tmp_path, fleet.model_dump(mode="json", exclude_none=True))
    assert len(list((folder / "overlays").iterdir())) == 52
    manifests = render(folder / "overlays" / "region-49")
    assert validate(manifests, tmp_path, "1.32").returncode == 0
    single = render(folder / "overlays" / "single-cluster")
    assert len([x for x in single if x["metadata"]["name"].startswith("region-to-data-region-")]) == 50
    (quota,) = [x for x in single if x["kind"] == "ResourceQuota"]
    claims = [x for x in single if x["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == 51 <= int(quota["spec"]["hard"]["persistentvolumeclaims"])


def test_other_ports_names_and_stores_arrive(tmp_path):
    data = demo()
    data["image"] = "registry.example.com:5000/isthmus@sha256:" + "a" * 64
    data["kfp_namespace"] = "pipelines"
    data["kubernetes_api"]["port"] = 6443
    data["exchange"]["port"] = 9001
    data["regions"][1].update(locale="EU_West.1")
    data["regions"][1]["data"]["port"] = 9002
    data["regions"][1]["artifacts"] = {
        "cidr": "203.0.113.64/28",
        "port": 9003,
        "pipeline_root": "gs://bucket/runs",
    }
    data["recurring"] = {"schedule": "15 */6 * * 1-5", "suspend": False}
    folder = copied(tmp_path, data)
    manifests = render(folder / "overlays" / "eu-west-1")
    assert validate(manifests, tmp_path, "1.32").returncode == 0
    cluster = Cluster.of(manifests, ("kubeflow", "pipelines"))
    labels = {
        "pipelines.kubeflow.org/v2_component": "true",
        "app.kubernetes.io/name": "isthmus",
        "isthmus.dev/locale": "eu-west-1",
        "isthmus.dev/role": "region",
    }
    pod = Pod("isthmus-eu-west-1", labels)
    for address, port in (
        ("192.0.2.1", 6443),
        ("198.51.100.1", 9001),
        ("203.0.113.49", 9002),
        ("203.0.113.65", 9003),
    ):
        assert cluster.reaches(pod, address, port) and not cluster.reaches(pod, address, 443)
    for name, labelled in (("pipelines", True), ("kubeflow", False)):
        assert cluster.reaches(pod, Pod(name, {"app": "ml-pipeline"}), 8887) is labelled
        assert cluster.reaches(pod, Pod(name, {"component": "metadata-grpc-server"}), 8080) is labelled
    (job,) = [x for x in manifests if x["kind"] == "CronJob"]
    assert (job["spec"]["schedule"], job["spec"]["suspend"]) == ("15 */6 * * 1-5", False)
    image = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == data["image"]
    (launcher,) = [x for x in manifests if x["metadata"]["name"] == "kfp-launcher"]
    reference = {"secretName": "isthmus-eu-west-1-artifacts", "tokenKey": "token"}
    assert yaml.safe_load(launcher["data"]["providers"]) == {
        "gs": {"default": {"credentials": {"fromEnv": False, "secretRef": reference}}}
    }
    assert "releases/EU_West.1/*" in (folder / "exchange/s3-bucket-policy.json").read_text()


def test_the_files_in_the_repository_are_those_of_its_fleet(capsys):
    assert main([str(KUBEFLOW / "fleet.yaml"), "--check"]) == 0
    assert "up to date" in capsys.readouterr().out
    assert len(render_files(Fleet.model_validate(demo()))) == 36
