"""What each identity may ask of the Kubernetes API, in its own namespace and in every other."""

from __future__ import annotations

import copy

import pytest

from tests.unit.kubeflow.rbac_model import Subject, may, rules_of

pytestmark = pytest.mark.kubeflow

SLUGS = ("us-east", "eu-west", "ap-south", "central")
KFP = "pipelines.kubeflow.org"
#: Ways to become somebody else, or to run whatever one likes.
ESCALATIONS = [
    ("create", "pods", ""),
    ("create", "pods/exec", ""),
    ("create", "serviceaccounts/token", ""),
    ("create", "workflows", "argoproj.io"),
    ("create", "rolebindings", "rbac.authorization.k8s.io"),
    ("escalate", "roles", "rbac.authorization.k8s.io"),
    ("impersonate", "users", ""),
    ("create", "cronjobs", "batch"),
    ("delete", "networkpolicies", "networking.k8s.io"),
    ("patch", "networkpolicies", "networking.k8s.io"),
    ("delete", "persistentvolumeclaims", ""),
    ("patch", "configmaps", ""),
    ("update", "resourcequotas", ""),
]


def account(name: str, slug: str) -> Subject:
    return Subject("ServiceAccount", name, f"isthmus-{slug}")


def identities(slug: str) -> dict[str, Subject]:
    return {
        "run": account("isthmus-run", slug),
        "submit": account("isthmus-submit", slug),
        "default": account("default", slug),
        "submitters": Subject("Group", f"isthmus-{slug}-submitters"),
        "viewers": Subject("Group", f"isthmus-{slug}-viewers"),
    }


@pytest.mark.parametrize("slug", SLUGS)
def test_a_run_may_do_what_argo_and_kfp_need_and_no_more(fleet_manifests, slug):
    run, here = identities(slug)["run"], f"isthmus-{slug}"
    assert may(fleet_manifests, run, "create", "workflowtaskresults", here, "argoproj.io")
    assert may(fleet_manifests, run, "patch", "workflowtaskresults", here, "argoproj.io")
    assert may(fleet_manifests, run, "get", "pods", here)
    assert may(fleet_manifests, run, "get", "configmaps", here, name="kfp-launcher")
    assert may(fleet_manifests, run, "get", "secrets", here, name=f"isthmus-{slug}-artifacts")
    assert not may(fleet_manifests, run, "list", "workflowtaskresults", here, "argoproj.io")
    assert not may(fleet_manifests, run, "get", "configmaps", here, name="isthmus-pipeline")
    assert not may(fleet_manifests, run, "create", "runs", here, KFP)
    rules = rules_of(fleet_manifests, run, here)
    assert sum(len(rule["verbs"]) * len(rule["resources"]) for rule in rules) == 7


@pytest.mark.parametrize("slug", SLUGS)
def test_nobody_reads_the_signing_key_or_lists_secrets(fleet_manifests, slug):
    here = f"isthmus-{slug}"
    for subject in identities(slug).values():
        assert not may(fleet_manifests, subject, "get", "secrets", here, name=here)
        for verb in ("list", "watch", "create", "update", "patch", "delete"):
            assert not may(fleet_manifests, subject, verb, "secrets", here)


@pytest.mark.parametrize("slug", SLUGS)
def test_no_identity_may_do_anything_in_another_namespace(fleet_manifests, slug):
    elsewhere = [f"isthmus-{other}" for other in SLUGS if other != slug] + ["kubeflow", "default"]
    for subject in identities(slug).values():
        for namespace in elsewhere:
            assert rules_of(fleet_manifests, subject, namespace) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_who_submits_may_submit_and_who_looks_may_look(fleet_manifests, slug):
    here, people = f"isthmus-{slug}", identities(slug)
    for name in ("submit", "submitters"):
        for verb in ("create", "get", "list", "terminate", "retry"):
            assert may(fleet_manifests, people[name], verb, "runs", here, KFP)
        assert may(fleet_manifests, people[name], "create", "experiments", here, KFP)
        assert may(fleet_manifests, people[name], "create", "jobs", here, KFP)
        assert not may(fleet_manifests, people[name], "delete", "runs", here, KFP)
    assert may(fleet_manifests, people["viewers"], "get", "runs", here, KFP)
    assert not may(fleet_manifests, people["viewers"], "create", "runs", here, KFP)
    for name in ("submitters", "viewers"):
        assert not may(fleet_manifests, people[name], "get", "pods", here)
        assert not may(fleet_manifests, people[name], "get", "pods/log", here)
    assert rules_of(fleet_manifests, people["default"], here) == []


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("verb, resource, group", ESCALATIONS)
def test_nobody_becomes_somebody_else(fleet_manifests, slug, verb, resource, group):
    for subject in identities(slug).values():
        assert not may(fleet_manifests, subject, verb, resource, f"isthmus-{slug}", group)


def test_only_a_run_s_pods_get_a_token(fleet_manifests):
    mounted = {
        x["metadata"]["name"]: x.get("automountServiceAccountToken", True)
        for x in fleet_manifests
        if x["kind"] == "ServiceAccount"
    }
    assert mounted == {"isthmus-run": True, "isthmus-submit": False, "default": False}


def test_in_one_namespace_one_account_runs_all(single_manifests):
    run = Subject("ServiceAccount", "isthmus-run", "isthmus")
    assert may(single_manifests, run, "create", "workflowtaskresults", "isthmus", "argoproj.io")
    assert may(single_manifests, run, "get", "secrets", "isthmus", name="isthmus-single-cluster-artifacts")
    for slug in (*SLUGS, "single-cluster"):
        assert not may(single_manifests, run, "get", "secrets", "isthmus", name=f"isthmus-{slug}")


def test_a_role_without_names_or_bound_elsewhere_shows(fleet_manifests):
    """The model sees what the tests above are there to catch."""
    broken = copy.deepcopy(fleet_manifests)
    for manifest in broken:
        if manifest["metadata"].get("namespace") == "isthmus-eu-west":
            if (manifest["kind"], manifest["metadata"]["name"]) == ("Role", "isthmus-run"):
                del manifest["rules"][3]["resourceNames"]
            if (manifest["kind"], manifest["metadata"]["name"]) == ("RoleBinding", "isthmus-run"):
                manifest["subjects"].append({**manifest["subjects"][0], "namespace": "isthmus-us-east"})
    for slug in ("eu-west", "us-east"):
        run = account("isthmus-run", slug)
        assert may(broken, run, "get", "secrets", "isthmus-eu-west", name="isthmus-eu-west")
        assert not may(fleet_manifests, run, "get", "secrets", "isthmus-eu-west", name="isthmus-eu-west")


def test_the_model_knows_cluster_roles_and_wildcards():
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    person = {"kind": "User", "name": "ada"}
    manifests = [
        {"kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [everything]},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "all"},
            "roleRef": {"kind": "ClusterRole", "name": "all"},
            "subjects": [person],
        },
    ]
    assert may(manifests, Subject("User", "ada"), "delete", "secrets", "anywhere", "group", "name")
    assert not may(manifests, Subject("User", "bob"), "get", "secrets", "anywhere")
