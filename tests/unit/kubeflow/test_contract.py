"""What `isthmus compile` writes against what the overlays give: labels, secrets, claims, ways out."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.kubeflow import fleet as fleets
from tests.unit.kubeflow.conftest import KUBEFLOW, NAMESPACED, render
from tests.unit.kubeflow.network_model import Cluster, Pod
from tests.unit.kubeflow.test_network import ARTIFACTS, DATA, EXCHANGE, ML_PIPELINE, RUN

pytestmark = [pytest.mark.kubeflow, pytest.mark.tfx]


def deployment(folder) -> dict:
    """The simulated fleet, placed as `placement.example.yaml` says, its rows in buckets."""
    example = (KUBEFLOW / "placement.example.yaml").read_text()
    data = fleets.write(folder, "s3://isthmus-exchange/releases").deployment
    shared = yaml.safe_load(example)
    data["kubeflow"], data["exchange"] = shared["kubeflow"], shared["exchange"]
    data["central"]["ideal"] = False
    data["central"]["test_set"]["pattern"] = "s3://isthmus-central-artifacts/test/*.csv"
    data["central"]["registry"] = "s3://isthmus-central-artifacts/registry"
    for locale in data["locales"]:
        own = yaml.safe_load(example.replace("eu-west", locale["name"]))["locales"][0]
        locale.update(own)
        locale["source"]["pattern"] = f"s3://isthmus-{locale['name']}-data/span-{{SPAN}}/*.csv"
    return data


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> dict[str, tuple[dict, dict]]:
    """Slug to the pipeline spec and the executors' platform settings."""
    from pipeline.compiler.compile import compile_deployment
    from pipeline.config.load import load_deployment

    folder = tmp_path_factory.mktemp("contract")
    (folder / "isthmus.yaml").write_text(yaml.safe_dump(deployment(folder), sort_keys=False))
    specs, _ = compile_deployment(load_deployment(folder / "isthmus.yaml"))
    found = {}
    for spec in specs:
        slug = next(x for x in NAMESPACED if spec.pipeline["pipelineInfo"]["name"].endswith(x))
        platform = spec.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        found[slug] = (spec.pipeline, platform)
    return found


@pytest.mark.parametrize("slug", NAMESPACED)
def test_every_step_has_its_way_out_and_no_other(compiled, fleet_manifests, slug):
    cluster = Cluster.of(fleet_manifests)
    _, executors = compiled[slug]
    assert len(executors) >= 4
    for settings in executors.values():
        labels = settings["podMetadata"]["labels"]
        pod = Pod(f"isthmus-{slug}", {**RUN, **labels})
        works = labels["isthmus.dev/role"] != "report"
        assert cluster.reaches(pod, ML_PIPELINE, 8887) and cluster.reaches(pod, ARTIFACTS[slug], 443)
        assert cluster.reaches(pod, EXCHANGE, 443)  # the report reads the run's notices
        for other, address in DATA.items():
            assert cluster.reaches(pod, address, 443) is (works and other == slug)
        for other, address in ARTIFACTS.items():
            assert cluster.reaches(pod, address, 443) is (other == slug)


@pytest.mark.parametrize("slug", NAMESPACED)
def test_every_secret_claim_and_bucket_is_the_locale_s_own(compiled, slug):
    spec, executors = compiled[slug]
    claims = {
        x["metadata"]["name"]
        for x in render(KUBEFLOW / "overlays" / slug)
        if x["kind"] == "PersistentVolumeClaim"
    }
    secrets = {y["secretName"] for x in executors.values() for y in x.get("secretAsEnv", [])}
    mounted = {y["constant"] for x in executors.values() for y in x.get("pvcMount", [])}
    assert secrets == {f"isthmus-{slug}"} and mounted == claims
    text = json.dumps(spec)
    for other in NAMESPACED:
        if other not in (slug, "central"):
            assert f"isthmus-{other}-artifacts" not in text and f"isthmus-{other}-data" not in text


def test_the_labels_are_those_that_the_policies_select_by(compiled):
    for slug, (_, executors) in compiled.items():
        labels = [x["podMetadata"]["labels"] for x in executors.values()]
        assert {x["isthmus.dev/locale"] for x in labels} == {slug}
        assert {x["app.kubernetes.io/name"] for x in labels} == {"isthmus"}
        working = [x for x in labels if x["isthmus.dev/role"] != "report"]
        assert {x["isthmus.dev/role"] for x in working} == {"centre" if slug == "central" else "region"}


def test_the_cronjob_s_command_is_one_that_isthmus_knows():
    pytest.importorskip("pipeline.commands.kubeflow_submit")
    import inspect

    from pipeline.commands.kubeflow_submit import submit

    known = {"--" + name.replace("_", "-") for name in inspect.signature(submit).parameters}
    (job,) = [x for x in render(KUBEFLOW / "overlays" / "eu-west") if x["kind"] == "CronJob"]
    arguments = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {x for x in arguments if x.startswith("--")} <= known
