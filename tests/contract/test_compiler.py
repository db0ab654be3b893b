"""The compiled spec: the same bytes, as KFP reads it, for one region or fifty, whatever they are called."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import ConfigError
from pipeline.compiler import zones
from pipeline.compiler.rules import check_size
from pipeline.compiler.steps import step_names
from pipeline.compiler.text import to_text
from pipeline.config.model import slug
from tests.kubeflow.emulation import checks
from tests.kubeflow.emulation.spec import load
from tests.support import golden as golden_files
from tests.support.compiled import compiled, executors, fused, graphs, named, replaced, tasks
from tests.support.deployments import GOLDEN, deployment, golden, many
from tests.support.kfp_local import check_specs

pytestmark = pytest.mark.tfx

LONGEST = "Region-" + "x" * 40 + "9"
ODD = (
    ("pt-BR", LONGEST),
    ("regions", "report", "after", "central-merge", "root"),
    ("a", "a-push", "a-resolve"),
    ("y", "1e3", "0x10", "n"),
    ("in", "a", "a-driver", "3com", "zz"),
)


def variants():
    """Name to spec, over everything that changes its form."""
    found = {}
    for layout in golden_files.LAYOUTS:
        for fuse in ("none", "cheap", "region"):
            for spec in compiled(fused(fuse), layout=layout):
                found[f"{layout}-{fuse}-{spec.name}"] = spec
    for i, names in enumerate(ODD):
        for layout in golden_files.LAYOUTS:
            found |= {f"names-{i}-{spec.name}": spec for spec in compiled(named(*names), layout=layout)}
    for alike in (False, True):
        found[f"three-{alike}"] = compiled(replaced(many(3, alike=alike)))[0]
    return found


@pytest.fixture(scope="module")
def specs():
    return variants()


@pytest.fixture(scope="module")
def files(specs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("specs")
    for name, spec in specs.items():
        (folder / f"{name}.yaml").write_text(to_text(spec))
    return sorted(folder.iterdir())


def test_golden_files():
    expected = {
        str(file.relative_to(GOLDEN)): file.read_text() for file in sorted(GOLDEN.glob("*-cluster/*.yaml"))
    }
    found = golden_files.compiled()
    assert found.keys() == expected.keys()
    different = [name for name in found if found[name] != expected[name]]
    assert not different, f"{different}: run `make golden`, and look at what changed"


@pytest.mark.slow
def test_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from tests.support.golden import compiled;"
        "print(hashlib.sha256(repr(sorted(compiled().items())).encode()).hexdigest())"
    )
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_fits_the_protos_of_the_installed_kfp(files):
    for file in files:
        pipeline, platform = yaml.safe_load_all(file.read_text())
        json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())


@pytest.mark.kubeflow
def test_fits_a_current_kfp_and_its_kubernetes_settings(files):
    assert check_specs(files) == {file: [] for file in files}


@pytest.mark.parametrize("release", ["2.5", "2.14", "2.17"])
def test_the_back_end_does_what_it_says(files, release):
    for file in files:
        assert checks.problems(load(file, release)) == [], file.name


def test_what_kfp_reads_from_a_task(specs):
    for name, spec in specs.items():
        for graph, found in graphs(spec):
            for key, task in found.items():
                where = f"{name}: {graph}/{key}"
                assert task["taskInfo"]["name"] == key, where
                assert task["inputs"]["parameters"], f"{where}: a graph without parameters loses artifacts"
                sources = [*task["inputs"]["parameters"].values()]
                sources += task["inputs"].get("artifacts", {}).values()
                producers = {
                    one["producerTask"]
                    for source in sources
                    if (one := source.get("taskOutputParameter") or source.get("taskOutputArtifact"))
                }
                after = task.get("dependentTasks", [])
                assert producers <= set(after) <= set(found), where
                if task.get("triggerPolicy"):
                    assert len(after) == 1, f"{where}: a hook has one thing to hang on"
                policy = task.get("retryPolicy")
                assert (policy is None) == (
                    "dag" in spec.pipeline["components"][task["componentRef"]["name"]]
                    or key in ("report", "verdict")
                ), where
        keys = [key for _, found in graphs(spec) for key in found]
        assert len(keys) == len(set(keys)), name


def test_retries_end_after_all_attempts():
    def change(data):
        data["kubeflow"] |= {
            "retries": {"max_retries": 4, "backoff_s": 10, "backoff_factor": 3},
            "step_timeout_s": 100,
        }

    for _, found in graphs(compiled(change)[0]):
        for task in found.values():
            if policy := task.get("retryPolicy"):
                longest = 5 * 100 + 10 + 30 + 90 + 270
                assert int(policy["backoffMaxDuration"].rstrip("s")) > longest
                assert policy["maxRetryCount"] == 4 and policy["backoffDuration"] == "10s"
                assert policy["backoffFactor"] == 3


def test_nothing_but_a_hook_waits_for_the_regions():
    pipeline = compiled()[0].pipeline
    root = pipeline["root"]["dag"]["tasks"]
    assert set(root) == {"regions", "after", "verdict"}
    assert root["verdict"]["dependentTasks"] == ["regions"] and "triggerPolicy" not in root["verdict"]
    assert root["after"]["dependentTasks"] == ["regions"]
    assert root["after"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    last = pipeline["components"]["comp-after"]["dag"]["tasks"]
    assert "triggerPolicy" not in last["central"] and "dependentTasks" not in last["central"]
    assert last["report"]["dependentTasks"] == ["central"] and last["report"]["triggerPolicy"]
    regions = pipeline["components"]["comp-regions"]["dag"]["tasks"]
    assert all("dependentTasks" not in task for task in regions.values())


def test_layouts():
    assert [spec.name for spec in compiled(layout="single-cluster")] == ["golden"]
    specs = compiled(layout="multi-cluster")
    assert [spec.name for spec in specs] == [
        "golden-eu-west",
        "golden-pt-br",
        "golden-depot-3",
        "golden-central",
    ]
    for spec, zone in zip(specs, ("eu-west", "pt-BR", "depot_3", "central")):
        assert {leaf.zone for leaf in tasks(spec).values()} == {zone, "report"}
        assert zone in ("eu-west", "central") or "eu-west" not in to_text(spec)


def test_parameters_with_their_defaults():
    for spec in compiled(layout="multi-cluster"):
        found = spec.pipeline["root"]["inputDefinitions"]["parameters"]
        assert {name: how["defaultValue"] for name, how in found.items()} == {
            "span": -1,
            "seed": 7,
            "exchange": "s3://exchange/releases",
            "image": "registry.example/isthmus:1",
        }


@pytest.mark.parametrize("names", ODD)
def test_names(names):
    spec = compiled(named(*names))[0]
    found = tasks(spec)
    for name in names:
        own = {task for task, leaf in found.items() if leaf.zone == name and not leaf.is_report}
        assert len(own) == 5
        assert all(len(task) <= 63 and task == slug(task) for task in own)
        labels = [executors(spec)[found[task].executor]["podMetadata"]["labels"] for task in own]
        assert all(label.get("isthmus.dev/locale", slug(name)) == slug(name) for label in labels)


def test_names_that_only_a_digest_tells_apart():
    twins = ("x" * 47 + "a", "x" * 47 + "b")
    found = tasks(compiled(named(*twins))[0])
    assert len({task for task, leaf in found.items() if leaf.zone in twins}) == 10


def test_a_deployment_may_be_called_like_a_component(tmp_path):
    def change(data):
        data["name"] = "central"

    spec = compiled(change)[0]
    assert spec.name == "central" and set(tasks(spec)) == set(tasks(compiled()[0]))
    file = tmp_path / "central.yaml"
    file.write_text(to_text(spec))
    assert checks.problems(load(file, "2.14")) == []


def test_names_that_are_one_after_normalisation_are_refused():
    with pytest.raises(ConfigError, match="'eu-west' has the same form"):
        compiled(named("eu-west", "eu_west"))


@pytest.mark.parametrize("count", [1, 3, 50])
def test_size(count):
    distinct = compiled(replaced(many(count, alike=False)))[0]
    alike = compiled(replaced(many(count, alike=True)))[0]
    sizes = [len(to_text(spec).encode()) for spec in (distinct, alike)]
    assert sizes[0] < 1 << 20
    assert len(tasks(distinct)) == len(tasks(alike)) == 5 * count + 6
    assert len(executors(distinct)) == 5 * count + 6
    # Regions that are placed alike share their five components.
    assert len(executors(alike)) == 5 + 6
    assert count == 1 or sizes[1] < sizes[0] * (0.9 if count == 3 else 0.6)
    check_size(sizes[0])


@pytest.mark.parametrize("fuse", ["none", "cheap", "region"])
def test_pages_notices_and_keys_go_with_the_nodes(fuse):
    """However steps are cut: who pushes writes a notice and a page, who evaluates shows metrics."""
    spec = compiled(fused(fuse))[0]
    for name, leaf in tasks(spec).items():
        ids = {node["id"] for node in leaf.nodes}
        component = spec.pipeline["components"][f"comp-{name}"]
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})
        pushes, evaluates = ids & {"Pusher", "ModelPusher"}, "ProphetEvaluator" in ids
        assert ("notices" in leaf.told) == bool(pushes), name
        assert ("summary" in outputs) == (bool(pushes) or leaf.is_report), name
        assert ("report" in outputs) == ("ModelPusher" in ids or leaf.is_report), name
        assert ("metrics" in outputs) == evaluates, name


def test_one_seed_of_the_deployment_is_not_in_the_steps():
    """Nor is the exchange: a run may choose both, and a step takes them as parameters."""
    spec = compiled()[0]
    for leaf in tasks(spec).values():
        assert "s3://exchange" not in str(leaf.told)
        assert '"seed":7' not in str(leaf.told)


def test_the_golden_deployment_is_complete():
    assert {locale["sharing"] for locale in golden()["locales"]} == {"restricted", "open"}


@pytest.mark.parametrize("fuse", ["none", "cheap", "region"])
def test_steps_are_in_an_order_in_which_they_can_run(fuse, tmp_path):
    loaded = deployment(tmp_path, fused(fuse))
    for zone in [*(zones.region(loaded, locale.name) for locale in loaded.locales), zones.centre(loaded)]:
        done, ran, ports = set(), [], {}
        for step in zone.steps:
            assert set(step.after) <= done, f"{zone.name}: {step.name} comes too early"
            inside = {node.id for node in step.nodes}
            assert all(ports[port.name] in step.after for port in step.inputs)
            assert all(port.node not in inside for port in step.inputs), "ports only between steps"
            earlier = set(ran)
            for node in step.nodes:
                sources = {source for found in node.inputs.values() for source, _ in found}
                assert sources | set(node.after) <= earlier, f"{node.id} comes too early"
                earlier.add(node.id)
                outside = {(node_id, key) for node_id, key in sources_of(node) if node_id not in inside}
                assert outside <= {(port.node, port.key) for port in step.inputs}
            ran += [node.id for node in step.nodes]
            ports |= {port.name: step.name for port in step.outputs}
            done.add(step.name)
        assert len(ran) == len(set(ran)) == {"restricted": 11, "open": 6, "central": 8}[zone.sharing]
        count = {"none": len(ran), "region": 2, "cheap": {6: 2, 8: 3, 11: 4}[len(ran)]}[fuse]
        assert len(zone.steps) == count
        known = {*step_names(fuse, central=zone.sharing == "central")}
        assert {step.name for step in zone.steps} <= known


def sources_of(node):
    return [source for found in node.inputs.values() for source in found]
