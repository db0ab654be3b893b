"""Whole runs of small pipelines: data flow, caching, failed regions, hooks, retries, kills."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.kubeflow.emulation import Fault
from tests.support.kfp_specs import Pipeline, task

pytestmark = pytest.mark.slow  # half a minute of small pods

DATA = "system.Dataset"
WRITE = 'mkdir -p "$1"; echo "$2" > "$1/data.txt"'
PATH, COPY = "{{$.outputs.artifacts['data'].path}}", 'cp -r "$1" "$2"'
RETRY = {"maxRetryCount": 2, "backoffDuration": "0s", "backoffFactor": 1, "backoffMaxDuration": "3600s"}


def two_regions(tmp_path: Path, cache: bool = False, **regions: str) -> Path:
    """regions (DAG of DAGs), then an exit task: a DAG of the centre, with a report as its exit task."""
    pipeline = Pipeline(span="NUMBER_INTEGER")
    for name, script in regions.items():
        pipeline.container(
            f"make-{name}",
            script,
            "{{$.inputs.parameters['span']}}",
            parameters={"span": "NUMBER_INTEGER"},
            out_artifacts={"data": DATA},
        )
        inner = {f"{name}-make": task(f"make-{name}", {"span": "@span"}, cache=cache, retry=RETRY)}
        pipeline.dag(name, inner, {"span": "NUMBER_INTEGER"})
    each = {name: task(name, {"span": "@span"}) for name in regions}
    pipeline.dag("all-regions", each, {"span": "NUMBER_INTEGER"})
    pipeline.container(
        "train", 'echo train "$1"', "{{$.inputs.parameters['span']}}", parameters={"span": "NUMBER_INTEGER"}
    )
    pipeline.container("write-report", "echo report")
    centre = {
        "centre": task("train", {"span": "@span"}),
        "report": task("write-report", after=("centre",), on_exit=True),
    }
    pipeline.dag("after", centre, {"span": "NUMBER_INTEGER"})
    return pipeline.write(
        tmp_path / "pipeline.yaml",
        regions=task("all-regions", {"span": "@span"}),
        after=task("after", {"span": "@span"}, after=("regions",), on_exit=True),
    )


def test_artifacts_and_parameters_go_from_a_nested_dag_through_s3(cluster, tmp_path):
    pipeline = Pipeline(word="STRING", count="NUMBER_INTEGER")
    pipeline.container(
        "write",
        WRITE + '; printf 7 > "$3"; printf \'{"artifacts":{"data":{"artifacts":[{"metadata":{"rows":3,'
        '"ok":true,"names":["a"],"deep":{"x":1}}}]}}}\' > "$4"',
        PATH,
        "{{$.inputs.parameters['word']}}-{{$.inputs.parameters['count']}}",
        "{{$.outputs.parameters['n'].output_file}}",
        "OUTPUT",
        parameters={"word": "STRING", "count": "NUMBER_INTEGER"},
        out_artifacts={"data": DATA},
        out_parameters={"n": "NUMBER_INTEGER"},
    )
    # `outputFile` is known from {{$}} only, and its folder is the process's to make.
    pipeline.executors["exec-write"]["container"]["command"][2] = (
        'file=$(echo "$5" | sed -E \'s/.*"outputFile":"([^"]*output_metadata.json)".*/\\1/\'); '
        'mkdir -p "$(dirname "$file")"; set -- "$1" "$2" "$3" "$file"; '
        + pipeline.executors["exec-write"]["container"]["command"][2]
    )
    pipeline.executors["exec-write"]["container"]["args"].append("{{$}}")
    pipeline.container(
        "copy",
        'test "$3" = 7; cp -r "$1" "$2"; printf %s "$4" > seen.json',
        "{{$.inputs.artifacts['given'].path}}",
        "{{$.outputs.artifacts['copied'].path}}",
        "{{$.inputs.parameters['n']}}",
        "{{$}}",
        parameters={"n": "NUMBER_INTEGER"},
        artifacts={"given": DATA},
        out_artifacts={"copied": DATA},
    )
    pipeline.dag(
        "region",
        {"region-write": task("write", {"word": "@word", "count": "@count"})},
        {"word": "STRING", "count": "NUMBER_INTEGER"},
        out_parameters={"n": ("NUMBER_INTEGER", "region-write", "n")},
        out_artifacts={"data": (DATA, "region-write", "data")},
    )
    pipeline.dag(
        "centre",
        {"centre-copy": task("copy", {"n": "@n"}, {"given": "@given"})},
        {"n": "NUMBER_INTEGER"},
        {"given": DATA},
        out_artifacts={"copied": (DATA, "centre-copy", "copied")},
    )
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        region=task("region", {"word": "@word", "count": "@count"}),
        centre=task("centre", {"n": ("region", "n")}, {"given": ("region", "data")}),
        last=task("copy", {"n": ("region", "n")}, {"given": ("centre", "copied")}),
    )
    run = cluster.run(spec, {"word": "hello", "count": 3}, keep_pods=True)
    assert run.state == "SUCCEEDED", run.table()
    copied = run.task("last").artifacts["copied"]
    assert copied.startswith(f"minio://{cluster.bucket}/v2/artifacts/small/{run.run_id}/last/")
    assert cluster.read(f"{copied}/data.txt") == b"hello-3\n"
    assert re.fullmatch(r"[0-9a-f-]{36}/copied", copied.split("/last/")[1])
    assert run.task("region-write").parameters == {"n": 7}

    folder = cluster.folder / "work" / run.run_id / "centre" / "centre-copy" / "attempt-1"
    given = json.loads((folder / "executor_input.json").read_text())["inputs"]["artifacts"]["given"][
        "artifacts"
    ][0]
    # Through the input of a DAG an artifact comes without a type, and its metadata as the store keeps it.
    assert "type" not in given
    assert given["metadata"]["ok"] is not True  # which equals 1
    assert given["uri"] == run.task("region-write").artifacts["data"]
    assert given["metadata"] == {
        "rows": 3,
        "ok": 1,
        "names": {"list": ["a"]},
        "deep": {"struct": {"x": 1}},
        "display_name": "data",
        "store_session_info": "{}",
    }
    log = (cluster.folder / "work" / run.run_id / "last" / "attempt-1" / "executor_input.json").read_text()
    assert json.loads(log)["inputs"]["artifacts"]["given"]["artifacts"][0]["type"] == {"instanceSchema": ""}


def test_the_cache_knows_inputs_and_arguments_and_nothing_of_files(cluster, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("one")
    pipeline = Pipeline(span="NUMBER_INTEGER")
    pipeline.container(
        "read",
        f'mkdir -p "$1"; cp {outside} "$1/data.txt"',
        PATH,
        parameters={"span": "NUMBER_INTEGER"},
        out_artifacts={"data": DATA},
    )
    pipeline.container(
        "copy",
        COPY,
        "{{$.inputs.artifacts['given'].path}}",
        PATH,
        artifacts={"given": DATA},
        out_artifacts={"data": DATA},
    )
    pipeline.container("never", "true")
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        first=task("read", {"span": "@span"}, cache=True),
        second=task("copy", artifacts={"given": ("first", "data")}, cache=True),
        third=task("never", after=("second",)),
    )
    once = cluster.run(spec, {"span": 1})
    assert once.states() == {"first": "succeeded", "second": "succeeded", "third": "succeeded"}
    outside.write_text("two")
    again = cluster.run(spec, {"span": 1})
    assert again.states() == {"first": "cached", "second": "cached", "third": "succeeded"}
    assert again.task("second").artifacts == once.task("second").artifacts
    other = cluster.run(spec, {"span": 2})
    assert other.states() == {"first": "succeeded", "second": "succeeded", "third": "succeeded"}
    assert cluster.read(other.task("second").artifacts["data"] + "/data.txt") == b"two"
    assert cluster.run(spec, {"span": 1}, cache=False).task("first").state == "succeeded"
    assert cluster.run(spec, {"span": 1}, namespace="other").task("first").state == "succeeded"


def test_a_failed_region_leaves_out_what_depends_on_it_and_a_hook_runs(cluster, tmp_path):
    spec = two_regions(tmp_path, de="echo fine", pt="echo broken; exit 3")
    run = cluster.run(spec, {"span": 1})
    assert run.state == "FAILED"
    assert run.states() == {
        "regions": "failed",
        "regions/de": "succeeded",
        "regions/de/de-make": "succeeded",
        "regions/pt": "failed",
        "regions/pt/pt-make": "failed",
        "after": "succeeded",
        "after/centre": "succeeded",
        "after/report": "succeeded",
    }
    failed = run.task("pt-make")
    assert [attempt.exit_code for attempt in failed.attempts] == [3, 3, 3]
    assert failed.reason == "exit status 3"
    assert "broken" in Path(failed.attempts[0].log).read_text()
    assert "pt-make" in run.table() and "exit status 3" in run.table()
    assert json.loads((cluster.folder / "work" / run.run_id / "run.json").read_text())["state"] == "FAILED"


def test_a_hook_s_failure_changes_nothing_and_the_next_task_waits_for_it(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("work", "true")
    pipeline.container("centre", f"sleep 0.5; touch {tmp_path}/ended; exit 1")
    pipeline.container("look", f"test -e {tmp_path}/ended")
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        regions=task("work"),
        after=task("centre", after=("regions",), on_exit=True),
        verdict=task("look", after=("regions",)),
    )
    run = cluster.run(spec)
    assert run.states() == {"regions": "succeeded", "after": "failed", "verdict": "succeeded"}
    assert run.state == "SUCCEEDED"


def test_dependent_tasks_means_succeeded(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("bad", "exit 1")
    pipeline.container("good", "true")
    pipeline.dag("region", {"region-bad": task("bad")})
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        pt=task("region"),
        de=task("good"),
        centre=task("good", after=("pt", "de")),
        report=task("good", after=("centre",)),
    )
    run = cluster.run(spec)
    assert run.state == "FAILED"
    assert [run.task(name).state for name in ("pt", "de", "centre", "report")] == [
        "failed",
        "succeeded",
        "skipped",
        "skipped",
    ]


def test_resubmitting_runs_the_failed_region_only(cluster, tmp_path):
    spec = two_regions(tmp_path, cache=True, de="echo de", pt="echo pt")
    broken = cluster.run(spec, {"span": 1}, faults={"pt-make": Fault("exit", code=137)})
    assert (broken.task("de-make").state, broken.task("pt-make").state) == ("succeeded", "failed")
    again = cluster.run(spec, {"span": 1})
    assert again.state == "SUCCEEDED"
    assert (again.task("de-make").state, again.task("pt-make").state) == ("cached", "succeeded")


def test_a_task_is_tried_again_with_the_same_uris_in_a_new_pod(cluster, tmp_path):
    count = tmp_path / "count"
    pipeline = Pipeline()
    pipeline.container(
        "write",
        f'test ! -e /proc/self/cwd/left; touch left; echo x >> {count}; mkdir "$1"; '
        f'echo $(wc -l < {count}) > "$1/data.txt"; test $(wc -l < {count}) -ge 3',
        PATH,
        out_artifacts={"data": DATA},
    )
    spec = pipeline.write(tmp_path / "pipeline.yaml", write=task("write", retry=RETRY))
    run = cluster.run(spec)
    assert run.state == "SUCCEEDED", run.table()
    assert [attempt.phase for attempt in run.task("write").attempts] == ["Failed", "Failed", "Succeeded"]
    assert cluster.read(run.task("write").artifacts["data"] + "/data.txt") == b"3\n"
    left = [(Path(attempt.log).parent / "root").exists() for attempt in run.task("write").attempts]
    assert left == [True, True, False]


@pytest.mark.parametrize(
    "release, retry, tries",
    [
        ("2.4", RETRY, 1),
        ("2.5", RETRY, 3),
        ("2.14", RETRY, 3),
        ("2.14", {"maxRetryCount": 2}, 1),
        ("2.5", {"maxRetryCount": 2}, 3),
        ("2.14", None, 1),
        ("2.17", RETRY, 1),
    ],
)
def test_retry_policies_by_release(cluster, tmp_path, release, retry, tries):
    pipeline = Pipeline()
    pipeline.container("bad", "sleep 0.01; exit 1")
    spec = pipeline.write(tmp_path / "pipeline.yaml", bad=task("bad", retry=retry))
    assert len(cluster.run(spec, release=release).task("bad").attempts) == tries


@pytest.mark.parametrize("release, retry, tries", [("2.14", RETRY, 1), ("2.17", RETRY, 3), ("2.17", None, 3)])
def test_a_lost_node_is_made_good_from_2_17(cluster, tmp_path, release, retry, tries):
    pipeline = Pipeline()
    pipeline.container("long", "sleep 60")
    spec = pipeline.write(tmp_path / "pipeline.yaml", long=task("long", retry=retry))
    run = cluster.run(spec, release=release, faults={"long": Fault("lost", after_s=0.0)})
    assert [attempt.phase for attempt in run.task("long").attempts] == ["Error"] * tries


def test_a_dag_s_retry_policy_goes_to_its_tasks_from_2_14(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("bad", "exit 1")
    pipeline.dag("region", {"region-bad": task("bad")})
    spec = pipeline.write(tmp_path / "pipeline.yaml", region=task("region", retry=RETRY))
    assert len(cluster.run(spec).task("region-bad").attempts) == 3
    assert len(cluster.run(spec, release="2.5").task("region-bad").attempts) == 1


def test_a_pod_dies_with_all_its_processes(cluster, tmp_path):
    beat = tmp_path / "beat"
    pipeline = Pipeline()
    pipeline.container("train", f"setsid sh -c 'while true; do date >> {beat}; sleep 0.05; done' & sleep 60")
    spec = pipeline.write(tmp_path / "pipeline.yaml", train=task("train", retry=RETRY))
    run = cluster.run(spec, faults={"train": Fault("lost", after_s=0.5)})
    train = run.task("train")
    assert train.state == "failed"
    assert [(attempt.phase, attempt.exit_code) for attempt in train.attempts] == [("Error", -9)]
    size = beat.stat().st_size
    time.sleep(0.3)
    assert beat.stat().st_size == size > 0


def test_a_hanging_task_ends_at_its_deadline_and_hears_of_it(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container(
        "train",
        "trap 'echo told; exit 143' TERM; sleep 60 & wait",
        platform={"activeDeadlineSeconds": 1},
    )
    spec = pipeline.write(tmp_path / "pipeline.yaml", train=task("train", retry=RETRY | {"maxRetryCount": 1}))
    run = cluster.run(spec)
    assert [attempt.phase for attempt in run.task("train").attempts] == ["Failed", "Failed"]
    assert run.task("train").reason == "DeadlineExceeded: active longer than 1 s"
    assert "told" in Path(run.task("train").attempts[0].log).read_text()
    hung = cluster.run(spec, faults={"train": Fault("hang", attempts=(1,)), "x": Fault("exit")})
    assert hung.task("train").attempts[0].reason.startswith("DeadlineExceeded")


def test_a_bucket_that_refuses(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("write", WRITE, PATH, "x", out_artifacts={"data": DATA})
    spec = pipeline.write(tmp_path / "pipeline.yaml", write=task("write", retry=RETRY))
    run = cluster.run(spec, faults={"write": Fault("deny", attempts=(1,))})
    assert [attempt.phase for attempt in run.task("write").attempts] == ["Failed", "Succeeded"]
    assert "AccessDenied" in run.task("write").attempts[0].reason


def test_pods_run_at_the_same_time(cluster, tmp_path):
    pipeline = Pipeline()
    other = {"a": "b", "b": "a"}
    for name in other:
        pipeline.container(
            name,
            f"touch {tmp_path}/{name}; for i in $(seq 20); do test -e {tmp_path}/{other[name]} && exit 0; "
            "sleep 0.05; done; exit 1",
        )
    spec = pipeline.write(tmp_path / "pipeline.yaml", a=task("a"), b=task("b"))
    assert cluster.run(spec).state == "SUCCEEDED"
    for name in other:
        (tmp_path / name).unlink()
    assert cluster.run(spec, parallel=1).state == "FAILED"


def test_secrets_volumes_and_the_environment(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME_OF_CALLER", "x")
    pipeline = Pipeline(claim="STRING")
    script = (
        'test "$KEY" = geheim; test -z "$HOME_OF_CALLER"; echo $PLAIN >> "$ISTHMUS_MOUNT_ROOT/state/ledger"'
    )
    pipeline.container(
        "spend",
        script,
        env={"PLAIN": "x"},
        platform={
            "secretAsEnv": [{"secretName": "isthmus-de", "keyToEnv": [{"secretKey": "k", "envVar": "KEY"}]}],
            "pvcMount": [{"componentInputParameter": "claim", "mountPath": "/state"}],
        },
    )
    spec = pipeline.write(tmp_path / "pipeline.yaml", spend=task("spend"))
    secrets = {"isthmus-de": {"k": "geheim"}}
    for _ in range(2):
        run = cluster.run(spec, {"claim": "isthmus-de-state"}, secrets=secrets)
        assert run.state == "SUCCEEDED", run.table()
    assert (cluster.folder / "state/volumes/isthmus-de-state/ledger").read_text() == "x\nx\n"
    missing = cluster.run(spec, {"claim": "isthmus-de-state"})
    assert missing.task("spend").reason == "secret isthmus-de: does not exist"
    keyless = cluster.run(spec, {"claim": "isthmus-de-state"}, secrets={"isthmus-de": {"other": "x"}})
    assert keyless.task("spend").reason == "secret isthmus-de: has no key k"


def test_start_up_and_work_come_from_the_process(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container(
        "train",
        "mkdir -p tmp/kfp_outputs; sleep 0.3; "
        "printf '{\"ready\": %s}' $(date +%s.%N) > tmp/kfp_outputs/timings.json; sleep 0.1",
    )
    run = cluster.run(pipeline.write(tmp_path / "pipeline.yaml", train=task("train")))
    assert 0.25 < run.task("train").seconds("start_up_s") < 2
    assert 0.05 < run.task("train").seconds("work_s") < 2


def test_conditions(cluster, tmp_path):
    pipeline = Pipeline(go="BOOLEAN")
    pipeline.container("work", "true", parameters={"go": "BOOLEAN"})
    pipeline.container("rest", "true")
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        work=task("work", {"go": "@go"}, condition="inputs.parameter_values['go'] == true"),
        rest=task("rest", after=("work",)),
    )
    run = cluster.run(spec, {"go": False})
    assert (run.state, run.task("work").state, run.task("rest").state) == ("SUCCEEDED", "skipped", "skipped")
    assert cluster.run(spec, {"go": True}).task("rest").state == "succeeded"


def test_logs_are_artifacts_from_2_5(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("talk", "echo words")
    spec = pipeline.write(tmp_path / "pipeline.yaml", talk=task("talk"))
    run = cluster.run(spec, publish_logs=True)
    assert b"words" in cluster.read(run.task("talk").artifacts["executor-logs"])
    assert "executor-logs" not in cluster.run(spec, publish_logs=True, release="2.4").task("talk").artifacts


def test_uris_before_2_5(cluster, tmp_path):
    pipeline = Pipeline()
    pipeline.container("write", WRITE, PATH, "x", out_artifacts={"data": DATA})
    run = cluster.run(pipeline.write(tmp_path / "pipeline.yaml", write=task("write")), release="2.4")
    assert run.task("write").artifacts["data"].endswith(f"/small/{run.run_id}/write/data")


def test_a_shape_without_its_work(cluster, tmp_path):
    pipeline = Pipeline(span="NUMBER_INTEGER")
    kinds = {"n": "NUMBER_INTEGER", "items": "LIST", "map": "STRUCT", "ok": "BOOLEAN", "text": "STRING"}
    pipeline.container(
        "work",
        "exit 1",
        parameters={"span": "NUMBER_INTEGER"},
        out_parameters=kinds,
        out_artifacts={"data": DATA, "page": "system.HTML"},
    )
    pipeline.container("next", "exit 2", artifacts={"data": DATA}, out_artifacts={"copy": DATA})
    spec = pipeline.write(
        tmp_path / "pipeline.yaml",
        work=task("work", {"span": "@span"}, cache=True),
        next=task("next", artifacts={"data": ("work", "data")}, cache=True),
    )
    runs = [cluster.run(spec, {"span": span}, hollow=True, publish_logs=True) for span in (1, 2, 1)]
    assert [run.state for run in runs] == ["SUCCEEDED"] * 3, runs[0].table()
    assert runs[2].states() == {"work": "cached", "next": "cached"}
    assert runs[0].task("work").parameters == {"n": 0, "items": [], "map": {}, "ok": False, "text": "0"}
    contents = [cluster.read(run.task("next").artifacts["copy"] + "/content") for run in runs]
    assert contents[0] != contents[1]
    assert cluster.read(runs[0].task("work").artifacts["page"]).endswith(b"page\n")
