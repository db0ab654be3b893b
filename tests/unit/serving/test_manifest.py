"""The InferenceService of a version, and the kustomize base that it stands on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from components.errors import ConfigError
from components.release.storage import open_store
from pipeline.registry_version import RegistryVersion
from pipeline.serving.manifest import Place, inference_service, to_yaml
from tests.unit.serving.kserve_fields import INFERENCE_SERVICE, SERVING_RUNTIME

ROOT = Path(__file__).parents[3]
KSERVE = ROOT / "kubeflow" / "kserve"
MANIFEST = {
    "name": "detector",
    "format_version": 1,
    "content_digest": "c" * 64,
    "config_digest": "d" * 64,
    "signature": {"key_id": "0123456789abcdef"},
}


def version(uri="memory://registry", number=1):
    return RegistryVersion(number, f"detector/{number}", MANIFEST, open_store(uri, "registry"))


PLACE = Place(storage_uri="s3://models/detector/1")


def test_the_manifest_has_the_fields_that_kserve_has_and_pins_the_content():
    found = inference_service(version(), PLACE)
    jsonschema.validate(found, INFERENCE_SERVICE)
    predictor = found["spec"]["predictor"]
    assert predictor["model"]["env"] == [{"name": "ISTHMUS_CONTENT_DIGEST", "value": "c" * 64}]
    assert predictor["terminationGracePeriodSeconds"] > 10 + 60  # what the server takes at most to end
    notes = found["metadata"]["annotations"]
    assert notes["isthmus.dev/model-version"] == "1"
    assert notes["isthmus.dev/signing-key-id"] == "0123456789abcdef"
    assert to_yaml(found) == to_yaml(inference_service(version(), PLACE))
    assert yaml.safe_load(to_yaml(found)) == found


@pytest.mark.parametrize("uri", ["s3://models/detector/1", "s3://models/detector/1/"])
def test_the_address_ends_in_a_slash_or_version_10_would_be_fetched_with_version_1(uri):
    found = inference_service(version(), Place(storage_uri=uri))
    assert found["spec"]["predictor"]["model"]["storageUri"] == "s3://models/detector/1/"


def test_a_share_of_the_traffic_needs_knative():
    whole, share = (
        inference_service(version(), Place(storage_uri="gs://m/1", canary_percent=n)) for n in (None, 10)
    )
    jsonschema.validate(share, INFERENCE_SERVICE)
    mode = "serving.kserve.io/deploymentMode"
    assert (whole["metadata"]["annotations"][mode], share["metadata"]["annotations"][mode]) == (
        "RawDeployment",
        "Serverless",
    )
    assert share["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert "canaryTrafficPercent" not in whole["spec"]["predictor"]
    assert "terminationGracePeriodSeconds" not in share["spec"]["predictor"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (Place(), "--storage-uri: KServe cannot fetch from memory://registry/detector/1; allowed: s3://"),
        (Place(name="9detector"), "--name 9detector: allowed: a letter"),
        (Place(name="a" * 64), "--name a"),
        (Place(name="de\ntector"), "--name de"),
        (Place(namespace="No"), "--namespace No: no name that Kubernetes takes"),
        (Place(runtime=""), "--runtime : no name"),
        (Place(service_account="a_b"), "--service-account a_b: no name"),
    ],
)
def test_what_kubernetes_or_kserve_would_refuse_is_refused_here(place, message):
    with pytest.raises(ConfigError) as refusal:
        inference_service(version(), place)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_example_is_what_the_command_writes():
    """It stands in the repository so that an overlay can be rendered without a registry."""
    found = (KSERVE / "example" / "inference-service.yaml").read_text()
    assert found == to_yaml(inference_service(version(), Place(storage_uri="s3://my-registry/detector/1")))


def tool(name):
    """A program of `make kubeflow-tools`, or the machine's own."""
    own = ROOT / ".venvs" / "kubeflow-tools" / "bin"
    found = shutil.which(name, path=f"{own}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def render(folder):
    done = subprocess.run([tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


def test_the_overlay_renders_and_its_parts_fit_together():
    found = render(KSERVE / "example")
    assert sorted(found) == [
        "ConfigMap",
        "InferenceService",
        "NetworkPolicy",
        "ServiceAccount",
        "ServingRuntime",
    ]
    jsonschema.validate(found["ServingRuntime"], SERVING_RUNTIME)
    jsonschema.validate(found["InferenceService"], INFERENCE_SERVICE)
    assert {item["metadata"]["namespace"] for item in found.values()} == {"isthmus-central"}
    spec, predictor = found["ServingRuntime"]["spec"], found["InferenceService"]["spec"]["predictor"]
    assert predictor["model"]["runtime"] == found["ServingRuntime"]["metadata"]["name"]
    assert predictor["model"]["modelFormat"] == {
        key: spec["supportedModelFormats"][0][key] for key in ("name", "version")
    }
    assert predictor["model"]["protocolVersion"] in spec["protocolVersions"]
    assert predictor["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    keys = next(item["configMap"]["name"] for item in spec["volumes"] if "configMap" in item)
    assert keys == found["ConfigMap"]["metadata"]["name"]
    chosen = found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert chosen.items() <= predictor["labels"].items()
    assert "@sha256:" in spec["containers"][0]["image"]


def test_kubernetes_own_parts_are_valid_by_its_schemas(tmp_path):
    """The runtime's container and volumes as the pod that KServe makes of them; other kinds as they are."""
    found = render(KSERVE / "example")
    spec = found["ServingRuntime"]["spec"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "detector", "annotations": spec["annotations"]},
        "spec": {"containers": spec["containers"], "volumes": spec["volumes"]},
    }
    own = [pod, *(found[kind] for kind in ("ConfigMap", "NetworkPolicy", "ServiceAccount"))]
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(own))
    command = [tool("kubernetes-validate"), "-k", "1.32", "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and said.count(" passed for resource ") == len(own), said
    pod["spec"]["containers"][0]["livenesProbe"] = {}
    file.write_text(yaml.safe_dump_all(own))
    assert subprocess.run(command, capture_output=True, text=True).returncode == 1


def test_the_base_takes_requests_from_the_gateway_only():
    policy = render(KSERVE / "base")["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    (source,) = rule["from"]
    assert source == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "istio-system"}}}
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_the_runtime_calls_the_command_with_options_that_it_has():
    from typer.main import get_command

    from pipeline.cli import app

    options = {
        option: parameter
        for parameter in get_command(app).commands["serve"].params
        for option in parameter.opts
    }
    runtime = yaml.safe_load((KSERVE / "base" / "serving-runtime.yaml").read_text())
    container = runtime["spec"]["containers"][0]
    assert container["command"] == ["isthmus", "serve"]
    for argument in container["args"]:
        assert argument.split("=")[0] in options, argument
    known = {parameter.envvar for parameter in options.values()}
    text = json.dumps(container["env"]) + (KSERVE / "base" / "serving-runtime.yaml").read_text()
    assert set(re.findall(r"ISTHMUS_[A-Z_]+", text)) <= known
    found = inference_service(version(), PLACE)
    assert found["spec"]["predictor"]["model"]["env"][0]["name"] in known
    assert options["--model-dir"].default == "/mnt/models"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["containerPort"] == 8080


def test_the_schemas_refuse_a_field_that_kserve_does_not_have():
    found = inference_service(version(), PLACE)
    found["spec"]["predictor"]["model"]["storageURI"] = "s3://x"
    with pytest.raises(jsonschema.ValidationError, match="storageURI"):
        jsonschema.validate(found, INFERENCE_SERVICE)
