"""Parameters, metadata and outputs on their way through drivers, store and launcher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kubeflow.emulation import DriverError, Fault, SpecError
from tests.kubeflow.emulation.metadata import DAG, RUNNING, Execution, MetadataError, Store, to_property
from tests.kubeflow.emulation.objects import ObjectError, Objects, S3Account, connect, local_path, split
from tests.kubeflow.emulation.resolve import NIL, text_of
from tests.support.kfp_specs import Pipeline, task

pytestmark = pytest.mark.slow  # half a minute of small pods

SAY = 'mkdir -p tmp/kfp_outputs; printf %s "$1" > tmp/kfp_outputs/output_metadata.json'


@pytest.mark.parametrize(
    "value, text",
    [
        (3, "3"),
        (3.0, "3"),
        (0.25, "0.25"),
        (True, "true"),
        ("x", "x"),
        ([1, "a"], '[1,"a"]'),
        (None, ""),
        (NIL, ""),
    ],
)
def test_any_value_is_a_text(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, [], {}])
def test_metadata_that_is_refused(value):
    with pytest.raises(MetadataError):
        to_property("name", value)


@pytest.mark.parametrize(
    "said, reason",
    [
        ({"artifacts": {"data": {"artifacts": [{"metadata": {"x": None}}]}}}, "metadata x: null"),
        ({"artifacts": {"data": {"artifacts": [{"uri": "s3://elsewhere/x"}]}}}, "expected bucket prefix"),
        ({"nonsense": 1}, "failed to unmarshall ExecutorOutput"),
    ],
)
def test_executor_outputs_that_fail_the_pod(cluster, tmp_path, said, reason):
    pipeline = Pipeline()
    pipeline.container("talk", SAY, json.dumps(said), out_artifacts={"data": "system.Dataset"})
    run = cluster.run(pipeline.write(tmp_path / "a.yaml", talk=task("talk")))
    assert run.task("talk").state == "failed"
    assert reason in run.task("talk").reason


def test_a_local_uri_skips_the_upload(cluster, tmp_path):
    pipeline = Pipeline()
    said = {"artifacts": {"data": {"artifacts": [{"uri": "/minio/b/x"}]}}}
    pipeline.container("talk", SAY, json.dumps(said), out_artifacts={"data": "system.Dataset"})
    run = cluster.run(pipeline.write(tmp_path / "a.yaml", talk=task("talk")))
    # As in KeyFromURI's absence: the launcher warns and records the URI as it is.
    assert run.task("talk").artifacts == {"data": "/minio/b/x"}
    assert "is not uploaded" in Path(run.task("talk").attempts[0].log).read_text()


def test_an_output_that_is_not_there(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("nothing", "true", out_artifacts={"data": "system.Dataset"})
    pipeline.container(
        "take", 'test ! -e "$1"', "{{$.inputs.artifacts['data'].path}}", artifacts={"data": "x"}
    )
    spec = pipeline.write(
        tmp_path / "a.yaml",
        nothing=task("nothing"),
        take=task("take", artifacts={"data": ("nothing", "data")}),
    )
    run = cluster.run(spec)
    assert run.state == "SUCCEEDED", run.table()
    assert "nothing at" in Path(run.task("take").attempts[0].log).read_text()


def test_output_parameters_are_read_by_their_types(cluster, tmp_path):
    kinds = {
        "s": "STRING",
        "i": "NUMBER_INTEGER",
        "d": "NUMBER_DOUBLE",
        "b": "BOOLEAN",
        "l": "LIST",
        "m": "STRUCT",
    }
    text = {"s": "a b", "i": " 7\n", "d": "0.5", "b": "True", "l": "[1]", "m": '{"x": null}'}
    pipeline = Pipeline()
    pipeline.container(
        "write",
        " ".join(f"printf %s '{text[name]}' > tmp/kfp/outputs/{name};" for name in kinds),
        out_parameters=kinds,
    )
    pipeline.container(
        "check", 'test "$1" = "$2"', "{{$.inputs.parameters['all']}}", "7", parameters={"all": "STRING"}
    )
    spec = pipeline.write(
        tmp_path / "a.yaml", write=task("write"), check=task("check", {"all": ("write", "i")})
    )
    run = cluster.run(spec)
    assert run.state == "SUCCEEDED", run.table()
    assert run.task("write").parameters == {
        "s": "a b",
        "i": 7,
        "d": 0.5,
        "b": True,
        "l": [1],
        "m": {"x": None},
    }
    pipeline.container("write", "printf x > tmp/kfp/outputs/i", out_parameters={"i": "NUMBER_INTEGER"})
    broken = cluster.run(pipeline.write(tmp_path / "b.yaml", write=task("write")))
    assert "failed to read output parameter name='i'" in broken.task("write").reason
    missing = Pipeline()
    missing.container("write", "true", out_parameters={"i": "NUMBER_INTEGER"})
    run = cluster.run(missing.write(tmp_path / "c.yaml", write=task("write")))
    assert "No such file" in run.task("write").reason


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "parameter n: has neither a value nor a default"),
        ({"n": "x"}, "'n' type mismatch: expect NUMBER_INTEGER, got str"),
        ({"n": True}, "'n' type mismatch: expect NUMBER_INTEGER, got bool"),
        ({"n": 1, "m": 1}, "parameter m: the pipeline has none of that name"),
    ],
)
def test_parameters_of_a_run(cluster, tmp_path, given, message):
    pipeline = Pipeline(n="NUMBER_INTEGER")
    pipeline.container("work", "true")
    with pytest.raises(DriverError, match=message):
        cluster.run(pipeline.write(tmp_path / "a.yaml", work=task("work")), given)


def test_optional_parameters(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container(
        "work",
        'test "$1" = kept; test "$2" = 5; case "$3" in *\'"x":"kept"\'*) ;; *) exit 1 ;; esac',
        "{{$.inputs.parameters['x']}}",
        "{{$.inputs.parameters['n']}}",
        "{{$}}",
        parameters={"x": "STRING", "n": "NUMBER_INTEGER"},
    )
    pipeline.components["work"]["inputDefinitions"]["parameters"]["x"] |= {
        "defaultValue": "kept",
        "isOptional": True,
    }
    pipeline.dag("region", {"region-work": task("work", {"n": "@n"})}, {"n": "NUMBER_INTEGER"})
    pipeline.components["region"]["inputDefinitions"]["parameters"]["n"] |= {
        "defaultValue": 5,
        "isOptional": True,
    }
    run = cluster.run(pipeline.write(tmp_path / "a.yaml", region=task("region")))
    assert run.state == "SUCCEEDED", run.table()
    del pipeline.components["region"]["inputDefinitions"]["parameters"]["n"]["defaultValue"]
    run = cluster.run(pipeline.write(tmp_path / "a.yaml", region=task("region")))
    assert "the resolved input parameter is null" in run.task("region-work").reason


def test_a_driver_that_fails_leaves_its_task_out_and_no_hook_runs(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.container("report", "true")
    spec = pipeline.write(
        tmp_path / "a.yaml", work=task("work"), report=task("report", after=("work",), on_exit=True)
    )
    run = cluster.run(spec, faults={"work": Fault("driver")})
    assert (run.state, run.states()) == ("FAILED", {"work": "failed"})
    assert run.task("work").reason == "driver: fault: driver"
    assert run.task("work").attempts == []


def test_an_exit_task_cannot_use_what_the_failed_dag_did_not_make(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("bad", "exit 1", out_parameters={"n": "NUMBER_INTEGER", "s": "STRING"})
    pipeline.container("number", "true", parameters={"n": "NUMBER_INTEGER"})
    pipeline.container("text", 'test -z "$1"', "{{$.inputs.parameters['s']}}", parameters={"s": "STRING"})
    outputs = {"n": ("NUMBER_INTEGER", "region-bad", "n"), "s": ("STRING", "region-bad", "s")}
    pipeline.dag("region", {"region-bad": task("bad")}, out_parameters=outputs)
    for name, key, state in (("number", "n", "failed"), ("text", "s", "succeeded")):
        spec = pipeline.write(
            tmp_path / "a.yaml",
            region=task("region"),
            last=task(name, {key: ("region", key)}, on_exit=True),
        )
        run = cluster.run(spec)
        assert (run.state, run.task("last").state) == ("FAILED", state)


def test_an_exit_task_of_two_runs_twice_and_none_is_strict(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.container("report", "true")
    spec = pipeline.write(
        tmp_path / "a.yaml",
        a=task("work"),
        b=task("work"),
        report=task("report", after=("a", "b"), on_exit=True),
    )
    with pytest.raises(SpecError, match="runs once for each"):
        cluster.run(spec)
    assert len(cluster.run(spec, strict=False).all("report")) == 2
    old = cluster.run(spec, strict=False, release="2.4")
    assert len(old.all("report")) == 1


@pytest.mark.parametrize("release, state", [("2.4", "SUCCEEDED"), ("2.5", "FAILED")])
def test_before_2_5_an_exit_task_hides_the_failure(cluster, tmp_path, release, state):
    pipeline = Pipeline()
    pipeline.container("bad", "exit 1")
    pipeline.container("report", "true")
    spec = pipeline.write(
        tmp_path / "a.yaml", bad=task("bad"), report=task("report", after=("bad",), on_exit=True)
    )
    run = cluster.run(spec, release=release)
    assert (run.state, run.task("report").state) == (state, "succeeded")


def test_the_final_status_of_a_region(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("bad", "exit 1")
    pipeline.container(
        "report",
        'test "$1" = \'{"state":"FAILED","pipelineTaskName":"region",'
        '"pipelineJobResourceName":"the-run","error":{}}\'',
        "{{$.inputs.parameters['status']}}",
        parameters={"status": "TASK_FINAL_STATUS"},
    )
    pipeline.dag("region", {"region-bad": task("bad")})
    last = task("report", after=("region",), on_exit=True)
    last["inputs"] = {"parameters": {"status": {"taskFinalStatus": {"producerTask": "region"}}}}
    spec = pipeline.write(tmp_path / "a.yaml", region=task("region"), last=last)
    run = cluster.backend().run(spec, {}, f"minio://{cluster.bucket}/v2", run_id="the-run")
    assert run.task("last").state == "succeeded", run.table()
    with pytest.raises(SpecError, match="task final status is not supported before"):
        cluster.run(spec, release="2.5")


@pytest.mark.parametrize("release, word", [("2.5", "inner"), ("2.14", "outer")])
def test_until_2_5_a_nested_namesake_hides_a_task(cluster, tmp_path, release, word):
    pipeline = Pipeline()
    for name in ("inner", "outer"):
        pipeline.container(name, f"printf {name} > tmp/kfp/outputs/w", out_parameters={"w": "STRING"})
    pipeline.container(
        "take", f'test "$1" = {word}', "{{$.inputs.parameters['w']}}", parameters={"w": "STRING"}
    )
    pipeline.dag("region", {"make": task("inner")})
    spec = pipeline.write(
        tmp_path / "a.yaml",
        region=task("region"),
        make=task("outer"),
        take=task("take", {"w": ("make", "w")}, after=("region",)),
    )
    run = cluster.run(spec, release=release, strict=False)
    assert run.state == "SUCCEEDED", run.table()


def test_an_image_may_be_a_parameter(cluster, tmp_path):
    pipeline = Pipeline(image="STRING")
    pipeline.container(
        "work", "true", image="{{$.inputs.parameters['image']}}", parameters={"image": "STRING"}
    )
    spec = pipeline.write(tmp_path / "a.yaml", work=task("work", {"image": "@image"}))
    assert cluster.run(spec, {"image": "isthmus:1"}).state == "SUCCEEDED"
    del pipeline.components["work"]["inputDefinitions"]
    wrong = pipeline.write(tmp_path / "a.yaml", work=task("work"))
    assert "container Image input parameter" in cluster.run(wrong, {"image": "isthmus:1"}).task("work").reason


def test_objects(cluster, tmp_path):
    objects = Objects(connect(S3Account(cluster.endpoint)))
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_text("x")
    (tmp_path / "tree/empty").mkdir()
    root = f"s3://{cluster.bucket}/v2"
    assert objects.upload(tmp_path / "tree", f"{root}/a", root)
    assert objects.upload(tmp_path / "tree/deep/file", f"{root}/a2", root)
    assert not objects.upload(tmp_path / "gone", f"{root}/b", root)
    assert objects.download(f"{root}/a", tmp_path / "back") == 1
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["deep", "file"]
    with pytest.raises(ObjectError, match="NoSuchBucket"):
        objects.download("s3://no-such-bucket-here/x", tmp_path / "c")
    with pytest.raises(ObjectError, match="has empty key"):
        split("s3://bucket")
    assert local_path("gs://b/x", Path("/r")) == Path("/r/gcs/b/x")
    assert local_path("file:///x", Path("/r")) is None


def test_two_names_of_one_artifact_are_one(tmp_path):
    store = Store(tmp_path / "m.sqlite")
    number = store.record("data", "s3://b/x", "system.Dataset", {})
    execution = store.create(Execution(0, "run", 0, "a", DAG, RUNNING), {"one": [number], "two": [number]})
    assert list(store.artifacts(execution, "in")) == ["two"]
    with pytest.raises(MetadataError, match="no title"):
        store.record("data", "s3://b/x", "", {})
    with pytest.raises(MetadataError, match="not found"):
        store.get(99)
    store.create(Execution(0, "run", execution, "a", DAG, RUNNING), {})
    store.create(Execution(0, "run", execution, "a", DAG, RUNNING), {})
    with pytest.raises(MetadataError, match="two tasks have the same task name 'a'"):
        store.children("run", execution)


def test_the_newest_entry_of_the_cache_is_taken(tmp_path):
    store = Store(tmp_path / "m.sqlite")
    assert store.cached("key", "pipeline/a", "n") == 0
    for execution in (3, 5, 4):
        store.remember("key", "pipeline/a", "n", execution)
    store.remember("key", "pipeline/b", "n", 9)
    assert store.cached("key", "pipeline/a", "n") == 4


def test_faults_have_names():
    with pytest.raises(ValueError, match="fault explode"):
        Fault("explode")
