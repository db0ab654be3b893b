"""Where pods may connect to, in a namespace per region and in one namespace for all."""

from __future__ import annotations

import copy

import pytest

from tests.unit.kubeflow.conftest import KUBEFLOW, render
from tests.unit.kubeflow.network_model import Cluster, Pod

pytestmark = pytest.mark.kubeflow

RUN = {"pipelines.kubeflow.org/v2_component": "true", "workflows.argoproj.io/workflow": "run"}
ML_PIPELINE = Pod("kubeflow", {"app": "ml-pipeline"})
METADATA = Pod("kubeflow", {"component": "metadata-grpc-server"})
MYSQL = Pod("kubeflow", {"app": "mysql"})
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
EXCHANGE, KUBERNETES, INTERNET = "198.51.100.3", "192.0.2.1", "8.8.8.8"
DATA = {"us-east": "203.0.113.17", "eu-west": "203.0.113.49", "ap-south": "203.0.113.81"}
ARTIFACTS = {
    "central": "203.0.113.1",
    "us-east": "203.0.113.33",
    "eu-west": "203.0.113.65",
    "ap-south": "203.0.113.97",
}
REGIONS = tuple(DATA)


def step(slug: str, namespace: str | None = None) -> Pod:
    """A pod of our step, as the compiler labels it."""
    labels = {
        "app.kubernetes.io/name": "isthmus",
        "isthmus.dev/locale": slug,
        "isthmus.dev/sharing": {"us-east": "open", "central": "central"}.get(slug, "restricted"),
        "isthmus.dev/role": "centre" if slug == "central" else "region",
    }
    return Pod(namespace or f"isthmus-{slug}", {**RUN, **labels})


def driver(slug: str) -> Pod:
    return Pod(f"isthmus-{slug}", RUN)


def submitter(slug: str) -> Pod:
    labels = {"app.kubernetes.io/name": "isthmus", "app.kubernetes.io/component": "submit"}
    return Pod(f"isthmus-{slug}", labels)


def places() -> dict[str, str]:
    """Every address that matters, by name."""
    return {
        **{f"data of {x}": address for x, address in DATA.items()},
        **{f"artifacts of {x}": address for x, address in ARTIFACTS.items()},
        "exchange": EXCHANGE,
        "kubernetes": KUBERNETES,
        "internet": INTERNET,
    }


def reached(cluster: Cluster, pod: Pod) -> set[str]:
    return {name for name, address in places().items() if cluster.reaches(pod, address, 443)}


@pytest.mark.parametrize("slug", REGIONS)
def test_a_region_reaches_its_own_stores_the_exchange_and_no_other_address(fleet_manifests, slug):
    cluster = Cluster.of(fleet_manifests)
    assert reached(cluster, step(slug)) == {
        f"data of {slug}",
        f"artifacts of {slug}",
        "exchange",
        "kubernetes",
    }
    assert reached(cluster, driver(slug)) == {f"artifacts of {slug}", "kubernetes"}
    assert reached(cluster, submitter(slug)) == set()
    assert reached(cluster, Pod(f"isthmus-{slug}")) == set()


def test_the_centre_reaches_the_exchange_and_no_region_s_store(fleet_manifests):
    cluster = Cluster.of(fleet_manifests)
    assert reached(cluster, step("central")) == {"artifacts of central", "exchange", "kubernetes"}


def test_only_the_ports_that_are_named(fleet_manifests):
    cluster = Cluster.of(fleet_manifests)
    for address in places().values():
        assert not cluster.reaches(step("eu-west"), address, 80)
        assert not cluster.reaches(step("eu-west"), address, 443, "UDP")


@pytest.mark.parametrize("slug", [*REGIONS, "central"])
def test_the_services_that_a_run_needs_and_no_other(fleet_manifests, slug):
    cluster = Cluster.of(fleet_manifests)
    for pod in (step(slug), driver(slug)):
        assert cluster.reaches(pod, DNS, 53, "UDP")
        assert cluster.reaches(pod, DNS, 53, "TCP")
        assert cluster.reaches(pod, ML_PIPELINE, 8887)
        assert cluster.reaches(pod, ML_PIPELINE, 8888)
        assert cluster.reaches(pod, METADATA, 8080)
        assert not cluster.reaches(pod, METADATA, 3306)
        assert not cluster.reaches(pod, MYSQL, 3306)
        assert not cluster.reaches(pod, Pod("default"), 443)
    assert cluster.reaches(submitter(slug), ML_PIPELINE, 8888)
    assert not cluster.reaches(submitter(slug), ML_PIPELINE, 8887)
    assert not cluster.reaches(submitter(slug), METADATA, 8080)
    assert not cluster.reaches(Pod(f"isthmus-{slug}"), ML_PIPELINE, 8888)


def test_no_pod_reaches_another_pod_of_the_fleet(fleet_manifests):
    cluster = Cluster.of(fleet_manifests)
    for source in (*REGIONS, "central"):
        for target in (*REGIONS, "central"):
            assert not cluster.reaches(step(source), step(target), 8080)
            assert not cluster.reaches(step(source), driver(target), 8080)
    assert not cluster.reaches(ML_PIPELINE, step("eu-west"), 8080)


def report(slug: str, namespace: str | None = None) -> Pod:
    """The report beside a zone's steps."""
    found = step(slug, namespace)
    return Pod(found.namespace, {**found.labels, "isthmus.dev/role": "report"})


CHAT, MAIL = "198.51.100.64", "198.51.100.65"
GATEWAY = Pod("isthmus-monitoring", {"app.kubernetes.io/name": "prometheus-pushgateway"})


def watched(manifests: list[dict]) -> Cluster:
    """The fleet's namespaces and the one of `kubeflow/monitoring`."""
    return Cluster.of([*manifests, *render(KUBEFLOW / "monitoring")])


@pytest.mark.parametrize("slug", [*REGIONS, "central"])
def test_only_the_report_reaches_those_who_are_told_and_nothing_else(fleet_manifests, slug):
    cluster = watched(fleet_manifests)
    assert reached(cluster, report(slug)) == {f"artifacts of {slug}", "exchange", "kubernetes"}
    for pod, may in ((report(slug), True), (step(slug), False), (driver(slug), False)):
        assert cluster.reaches(pod, CHAT, 443) == may
        assert cluster.reaches(pod, MAIL, 587) == may
        assert cluster.reaches(pod, GATEWAY, 9091) == may
    for address, port in ((CHAT, 587), (MAIL, 443), (CHAT, 80), ("198.51.100.66", 443)):
        assert not cluster.reaches(report(slug), address, port)
    assert not cluster.reaches(report(slug), GATEWAY, 9090)
    assert not cluster.reaches(report(slug), Pod("isthmus-monitoring"), 9091)
    # Another namespace's label helps nobody.
    stolen = Pod(f"isthmus-{slug}", report("other").labels)
    assert not cluster.reaches(stolen, CHAT, 443)


def test_in_one_namespace_the_one_report_is_the_centres(single_manifests):
    cluster = watched(single_manifests)
    assert cluster.reaches(report("central", "isthmus"), CHAT, 443)
    assert cluster.reaches(report("central", "isthmus"), GATEWAY, 9091)
    for slug in REGIONS:
        assert not cluster.reaches(report(slug, "isthmus"), CHAT, 443)
        assert not cluster.reaches(report(slug, "isthmus"), GATEWAY, 9091)


@pytest.mark.parametrize("slug", REGIONS)
def test_in_one_namespace_a_label_decides(single_manifests, slug):
    cluster = Cluster.of(single_manifests)
    wanted = {f"data of {slug}", f"artifacts of {slug}", "artifacts of central", "exchange", "kubernetes"}
    assert reached(cluster, step(slug, "isthmus")) == wanted
    assert reached(cluster, step("central", "isthmus")) == {"artifacts of central", "exchange", "kubernetes"}
    assert reached(cluster, Pod("isthmus", RUN)) == {"artifacts of central", "kubernetes"}
    assert not cluster.reaches(step(slug, "isthmus"), step("central", "isthmus"), 8080)


@pytest.mark.parametrize("policy", ["default-deny", "region-to-data-eu-west", "region-to-exchange-eu-west"])
def test_a_policy_that_is_lost_shows(fleet_manifests, policy):
    broken = [
        x
        for x in fleet_manifests
        if (x["metadata"]["name"], x["metadata"].get("namespace")) != (policy, "isthmus-eu-west")
    ]
    assert len(broken) == len(fleet_manifests) - 1
    denials = [x for x in fleet_manifests if x["metadata"]["name"] == "default-deny"]
    assert all(set(x["spec"]["policyTypes"]) == {"Ingress", "Egress"} for x in denials)
    cluster = Cluster.of(broken)
    if (
        policy == "default-deny"
    ):  # the DNS policy still selects every pod for what goes out, none for what comes in
        assert cluster.reaches(Pod("kubeflow"), step("eu-west"), 8080)
    else:
        assert reached(cluster, step("eu-west")) != reached(Cluster.of(fleet_manifests), step("eu-west"))


def test_a_policy_without_its_locale_shows_in_one_namespace(single_manifests):
    broken = copy.deepcopy(single_manifests)
    for manifest in broken:
        if manifest["metadata"]["name"] == "region-to-data-eu-west":
            del manifest["spec"]["podSelector"]["matchLabels"]["isthmus.dev/locale"]
    assert "data of eu-west" in reached(Cluster.of(broken), step("us-east", "isthmus"))
    assert "data of eu-west" not in reached(Cluster.of(single_manifests), step("us-east", "isthmus"))


def test_the_model_knows_ranges_exceptions_expressions_and_both_ends():
    def policy(name, selector, **spec):
        metadata = {"name": name, "namespace": "a"}
        return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": selector, **spec}}

    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    ports = [{"port": 8000, "endPort": 8010}]
    there = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]}
    absent = {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}
    cluster = Cluster.of(
        [
            {"kind": "Namespace", "metadata": {"name": "a"}},
            {"kind": "Namespace", "metadata": {"name": "b"}},
            policy(
                "out", there, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}], "ports": ports}]
            ),
            policy("in", absent, ingress=[{"from": [{"podSelector": there}]}]),
        ]
    )
    x = Pod("a", {"app": "x"})
    assert cluster.reaches(x, "10.2.0.1", 8005) and not cluster.reaches(x, "10.2.0.1", 8011)
    assert not cluster.reaches(x, "10.1.0.1", 8005) and not cluster.reaches(x, "11.0.0.1", 8005)
    assert cluster.reaches(Pod("b"), "1.1.1.1", 1)  # selected by nothing
    assert not cluster.reaches(Pod("b", {"app": "x"}), Pod("a"), 1)  # another namespace is not meant
    assert cluster.reaches(Pod("a", {"app": "z"}), "1.1.1.1", 1)
    assert not cluster.reaches(Pod("a", {"app": "z"}), Pod("a"), 1)
    assert not cluster.reaches(x, Pod("a"), 8005)  # may come in, may not go out
