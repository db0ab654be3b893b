"""The engines' manifests: known fields only, and what the fragments of `isthmus.yaml` beside them name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml

from components.strict_yaml import StrictLoader
from pipeline.config.load import load_deployment
from pipeline.config.resolve_beam import beam_args
from tests.unit.kubeflow.conftest import KUBEFLOW, render
from tests.unit.kubeflow.network_model import OTHERS, Cluster, Pod
from tests.unit.kubeflow.test_network import driver, reached, step

FOLDER = Path(__file__).parents[3] / "kubeflow" / "beam"
#: `spec` of flink.apache.org/v1beta1, from apache/flink-kubernetes-operator,
#: helm/flink-kubernetes-operator/crds/flinkdeployments.flink.apache.org-v1.yml at commit 0121afbaa824 and the
#: classes in flink-kubernetes-operator-api/.../api/spec beside it. A dict is an object, a list a choice.
RESOURCE = {"cpu": (int, float), "memory": str, "ephemeralStorage": str}
FLINK_SPEC: dict[str, Any] = {
    "flinkConfiguration": {"*": str},
    "flinkVersion": [f"v1_{minor}" for minor in range(13, 21)],
    "image": str,
    "imagePullPolicy": str,
    "ingress": {"annotations": {"*": str}, "className": str, "labels": {"*": str}, "template": str},
    "jobManager": {"podTemplate": "V1PodTemplateSpec", "replicas": int, "resource": RESOURCE},
    "logConfiguration": {"*": str},
    "mode": ["native", "standalone"],
    "podTemplate": "V1PodTemplateSpec",
    "restartNonce": int,
    "serviceAccount": str,
    "taskManager": {"podTemplate": "V1PodTemplateSpec", "replicas": int, "resource": RESOURCE},
}
#: What the operator's validator asks for (DefaultValidator.java).
REQUIRED = {"flinkVersion", "image", "serviceAccount", "jobManager", "taskManager"}
#: PUBLISHED_FLINK_VERSIONS of Beam 2.59's pipeline options.
BEAM_FLINK = ["1.15", "1.16", "1.17", "1.18"]
KINDS = {
    "Service": "V1Service",
    "ServiceAccount": "V1ServiceAccount",
    "Deployment": "V1Deployment",
    "NetworkPolicy": "V1NetworkPolicy",
}
#: Fields that hold an integer or a text.
EITHER = ("object", "IntOrString")


def documents(*names: str) -> list[dict[str, Any]]:
    return [
        document
        for name in names
        for document in yaml.load_all((FOLDER / name).read_text(), Loader=StrictLoader)
    ]


def manifest_files() -> list[str]:
    found = [*FOLDER.glob("*/*.yaml")]
    skipped = ("kustomization.yaml", "isthmus-fragment.yaml")
    return sorted(str(file.relative_to(FOLDER)) for file in found if file.name not in skipped)


def strangers(value: Any, kind: str, at: str = "") -> list[str]:
    """Places of a Kubernetes object that its kind does not have, or that hold another type."""
    if kind in EITHER:
        return []
    if match := re.fullmatch(r"(?:list\[|dict\(str, )(.*)[\])]", kind):
        items = (
            enumerate(value)
            if isinstance(value, list)
            else value.items()
            if isinstance(value, dict)
            else None
        )
        if items is None or isinstance(value, list) != kind.startswith("list"):
            return [f"{at}: {type(value).__name__}"]
        return [text for key, item in items for text in strangers(item, match[1], f"{at}.{key}")]
    model = getattr(kubernetes.client, kind, None)
    if model is None:
        return [] if isinstance(value, {"str": str, "int": int, "bool": bool, "float": float}[kind]) else [at]
    if not isinstance(value, dict):
        return [f"{at}: {type(value).__name__}"]
    fields = {name: model.openapi_types[key] for key, name in model.attribute_map.items()}
    found = [f"{at}.{key}" for key in value if key not in fields]
    return found + [
        text
        for key, item in value.items()
        if key in fields
        for text in strangers(item, fields[key], f"{at}.{key}")
    ]


def flink_strangers(value: Any, schema: Any, at: str = "spec") -> list[str]:
    if isinstance(schema, str):
        return strangers(value, schema, at)
    if isinstance(schema, list):
        return [] if value in schema else [at]
    if not isinstance(schema, dict):
        return [] if isinstance(value, schema) and not isinstance(value, bool) else [at]
    found = []
    for key, item in value.items():
        known = schema.get(key, schema.get("*"))
        found += flink_strangers(item, known, f"{at}.{key}") if known is not None else [f"{at}.{key}"]
    return found


@pytest.mark.parametrize("name", manifest_files())
def test_manifests_hold_known_fields_only(name: str) -> None:
    for document in documents(name):
        if document["kind"] == "FlinkDeployment":
            assert document["apiVersion"] == "flink.apache.org/v1beta1"
            assert flink_strangers(document["spec"], FLINK_SPEC) == []
            assert set(document["spec"]) >= REQUIRED
        else:
            assert strangers(document, KINDS[document["kind"]]) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda spec: spec.update(flinkVersion="v1_9"), ["spec.flinkVersion"]),
        (lambda spec: spec.update(paralelism=1), ["spec.paralelism"]),
        (lambda spec: spec["taskManager"].update(replicas="2"), ["spec.taskManager.replicas"]),
        (
            lambda spec: spec["flinkConfiguration"].update({"rest.port": 8081}),
            ["spec.flinkConfiguration.rest.port"],
        ),
        (
            lambda spec: spec["taskManager"]["podTemplate"]["spec"]["containers"][0].update(envfrom=[]),
            ["spec.taskManager.podTemplate.spec.containers.0.envfrom"],
        ),
        (
            lambda spec: spec["podTemplate"]["spec"]["securityContext"].update(runAsUser="9999"),
            ["spec.podTemplate.spec.securityContext.runAsUser"],
        ),
    ],
)
def test_a_field_that_is_not_known_is_found(change: Any, place: list[str]) -> None:
    (document,) = documents("flink/flinkdeployment.yaml")
    change(document["spec"])
    assert flink_strangers(document["spec"], FLINK_SPEC) == place


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_the_folders_render_into_the_regions_namespace(engine: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / engine)], capture_output=True, text=True, check=True
    )
    found = list(yaml.safe_load_all(done.stdout))
    assert len(found) >= 4 and {document["metadata"]["namespace"] for document in found} == {
        "isthmus-eu-west"
    }


def deployment_with(fragment: str, folder: Path) -> Any:
    """A deployment of one restricted region with a fragment put in, checked as `isthmus validate` does."""
    (given,) = documents(fragment)
    locale = {
        "name": "eu-west",
        "sharing": "restricted",
        "source": {"pattern": "eu/*.csv"},
        "privacy": {"gate": {}},
        "signing_key": {"env": "KEY"},
        "trusted_key": "keys/eu.pub",
        **given["locales"][0],
    }
    dataset = {
        "series": ["a"],
        "label": "label",
        "features": [{"name": "t"}],
        "targets": ["t"],
        "interval_s": 60,
    }
    data = {
        "name": "fleet",
        "root": "runs",
        "dataset": dataset,
        "locales": [locale],
        "exchange": {"uri": "s3://exchange/releases"},
        "central": {"quorum": 1, "test_set": {"pattern": "test.csv"}},
        "beam": given["beam"],
    }
    file = folder / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data))
    return load_deployment(file)


def test_flink_and_its_fragment_name_the_same_things(tmp_path: Path) -> None:
    args = dict(
        text.removeprefix("--").partition("=")[::2]
        for text in beam_args(deployment_with("flink/isthmus-fragment.yaml", tmp_path), "eu-west")
    )
    (cluster,) = documents("flink/flinkdeployment.yaml")
    (kustomization,) = documents("flink/kustomization.yaml")
    spec, name = cluster["spec"], cluster["metadata"]["name"]
    # The operator's REST service is named after the deployment.
    port = spec["flinkConfiguration"]["rest.port"]
    assert args["flink_master"] == f"http://{name}-rest.{kustomization['namespace']}.svc:{port}"
    minor = spec["flinkVersion"].removeprefix("v").replace("_", ".")
    assert minor in BEAM_FLINK and spec["image"].startswith(f"flink:{minor}-")
    (pool,) = spec["taskManager"]["podTemplate"]["spec"]["containers"]
    assert pool["command"][-1] == f"--service_port={args['environment_config'].removeprefix('localhost:')}"
    assert pool["image"] == args["sdk_container_image"]
    slots = int(spec["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    assert int(args["parallelism"]) == slots * spec["taskManager"]["replicas"]
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert f"flink-{minor}-job-server-2.59.0.jar {args['flink_job_server_jar']}" in dockerfile
    account, *_ = documents("flink/service-account.yaml")
    assert account["metadata"]["name"] == spec["serviceAccount"]


def test_spark_and_its_fragment_name_the_same_things(tmp_path: Path) -> None:
    args = beam_args(deployment_with("spark/isthmus-fragment.yaml", tmp_path), "eu-west")
    found = {(d["kind"], d["metadata"]["name"]): d["spec"] for d in documents("spark/spark.yaml")}
    ports = {port["name"]: port["port"] for port in found["Service", "isthmus-spark-jobs"]["ports"]}
    assert f"--job_endpoint=isthmus-spark-jobs.isthmus-eu-west.svc:{ports['jobs']}" in args
    assert f"--artifact_endpoint=isthmus-spark-jobs.isthmus-eu-west.svc:{ports['artifacts']}" in args
    _, pool = found["Deployment", "isthmus-spark-worker"]["template"]["spec"]["containers"]
    assert f"--sdk_container_image={pool['image']}" in args
    for (kind, name), spec in found.items():
        if kind == "Service":
            chosen = spec["selector"].items()
            labels = found["Deployment", name]["template"]["metadata"]["labels"].items()
            assert chosen <= labels


def test_the_dataflow_fragment_is_whole(tmp_path: Path) -> None:
    args = beam_args(deployment_with("dataflow/isthmus-fragment.yaml", tmp_path), "eu-west")
    assert "--runner=DataflowRunner" in args and "--region=europe-west1" in args


@pytest.mark.parametrize("engine", ["flink", "spark"])
def test_nobody_but_the_pods_own_engine_reaches_a_worker_pool(engine: str) -> None:
    """The pool's port is in no ingress rule, and pods of the engine have no way to the exchange's address."""
    policies = documents(f"{engine}/networkpolicy.yaml")
    pool = 50000
    for policy in policies:
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            assert rule["ports"], "a rule without ports opens all"
            for port in rule["ports"]:
                assert not port["port"] <= pool <= port.get("endPort", port["port"])
    (engines,) = [
        p for p in policies if p["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] != "isthmus"
    ]
    assert set(engines["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    labels = engines["spec"]["podSelector"]["matchLabels"].items()
    for document in documents(*[name for name in manifest_files() if name.startswith(engine)]):
        spec = document.get("spec", {})
        templates = [
            spec.get("template"),
            *(spec.get(k, {}).get("podTemplate") for k in ("jobManager", "taskManager")),
        ]
        for template in filter(None, templates):
            assert labels <= template["metadata"]["labels"].items()
            # Not one of the region's steps: those may reach the exchange.
            assert template["metadata"]["labels"]["isthmus.dev/role"] == "engine"
    blocks = [
        to["ipBlock"]["cidr"] for rule in engines["spec"]["egress"] for to in rule["to"] if "ipBlock" in to
    ]
    assert blocks == ["192.0.2.10/32"]


def test_beam_is_one_version_everywhere() -> None:
    project = (FOLDER.parents[1] / "pyproject.toml").read_text()
    (pin,) = re.findall(r'^    "apache-beam==([0-9.]+)", {2,}#', project, re.M)
    named = [
        version
        for file in FOLDER.rglob("*")
        if file.is_file()
        for version in re.findall(r"(?:beam[\w.]*|job-server)[:-](\d+\.\d+\.\d+)", file.read_text())
    ]
    assert len(named) >= 4 and set(named) == {pin}


@pytest.mark.kubeflow
@pytest.mark.parametrize(
    ("engine", "name", "submit", "inner"),
    [
        ("flink", "isthmus-beam", (8081,), (6122, 6123)),
        ("spark", "isthmus-spark", (8098, 8099), (7077, 41_000)),
    ],
)
def test_what_an_engine_reaches_in_a_region_of_the_fleet(
    engine: str, name: str, submit: tuple[int, ...], inner: tuple[int, ...]
) -> None:
    """Judged as a network plugin would, with the policies of the region's own overlay beside the engine's."""
    folders = [KUBEFLOW / "overlays" / zone for zone in ("eu-west", "ap-south")]
    objects = [found for folder in (*folders, FOLDER / engine) for found in render(folder)]
    cluster = Cluster.of(objects, (*OTHERS, "flink-operator"))
    labels = {"app.kubernetes.io/name": name, "isthmus.dev/locale": "eu-west", "isthmus.dev/role": "engine"}
    worker, bucket, pool = Pod("isthmus-eu-west", labels), "192.0.2.10", 50_000
    mine, theirs = step("eu-west"), step("ap-south")
    for port in submit:
        assert cluster.reaches(mine, worker, port)
        assert not cluster.reaches(theirs, worker, port)
        assert not cluster.reaches(driver("eu-west"), worker, port)
    assert cluster.reaches(Pod("flink-operator"), worker, 8081) == (engine == "flink")
    assert all(cluster.reaches(worker, worker, port) for port in inner)
    assert not any(
        cluster.reaches(pod, worker, pool) for pod in (mine, theirs, worker, Pod("flink-operator"))
    )
    assert cluster.reaches(mine, bucket, 443) and cluster.reaches(worker, bucket, 443)
    assert not cluster.reaches(theirs, bucket, 443)
    assert reached(cluster, worker) == set()  # no data, no exchange, no Kubernetes, no internet
    assert reached(cluster, mine) == {"data of eu-west", "artifacts of eu-west", "exchange", "kubernetes"}
