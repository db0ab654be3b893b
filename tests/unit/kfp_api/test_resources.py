"""Experiments, pipelines, runs and schedules, against a server that checks every request."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from components.errors import ConfigError
from pipeline.kfp_api import experiments, pipelines, runs, schedules, specs
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.connection import connect
from pipeline.kfp_api.failures import ApiError
from pipeline.kfp_api.runs import Order
from tests.support import kfp_api_specs

_PARAMETERS = {"span": -1, "exchange": "s3://exchange"}


@pytest.fixture
def spec(spec_file):
    return specs.read(spec_file)


@pytest.fixture
def order(api, spec):
    return Order(spec, "nightly", experiments.ensure(api, "isthmus").experiment_id, _PARAMETERS)


@pytest.fixture
def in_namespace(server):
    """The API of a server for several users, in a namespace."""
    server.store.multi_user = True
    return lambda name: Api(connect(server.endpoint, namespace=name))


def test_an_experiment_is_made_once(server, api):
    first = experiments.ensure(api, "isthmus")

    assert experiments.ensure(api, "isthmus") == first
    assert len(server.bodies("create_experiment")) == 1


def test_an_experiment_that_somebody_else_makes_meanwhile_is_taken(server, api, monkeypatch):
    other = experiments.ensure(api, "isthmus")
    looks = []
    find = experiments.find

    def late(api, name):
        looks.append(name)
        return find(api, name) if len(looks) > 1 else None

    monkeypatch.setattr(experiments, "find", late)

    assert experiments.ensure(api, "isthmus") == other


def test_an_experiment_that_exists_where_none_can_be_seen_is_an_error(server, api, monkeypatch):
    experiments.ensure(api, "isthmus")
    monkeypatch.setattr(experiments, "find", lambda api, name: None)

    with pytest.raises(ApiError, match="experiment isthmus: exists already at http"):
        experiments.ensure(api, "isthmus")


def test_experiments_of_the_same_name_stay_in_their_namespaces(in_namespace):
    one, two = in_namespace("isthmus-eu-west"), in_namespace("isthmus-central")
    first, second = experiments.ensure(one, "isthmus"), experiments.ensure(two, "isthmus")

    assert first.experiment_id != second.experiment_id
    assert experiments.find(one, "isthmus") == first
    assert (first.namespace, second.namespace) == ("isthmus-eu-west", "isthmus-central")


def test_several_users_need_a_namespace(in_namespace):
    with pytest.raises(ApiError, match="An experiment cannot have an empty namespace in multi-user mode"):
        experiments.ensure(in_namespace(""), "isthmus")


def test_a_namespace_that_is_not_ours(server, in_namespace):
    server.store.forbidden = frozenset({"theirs"})

    with pytest.raises(ApiError, match=r"forbids experiments in namespace theirs \(403\)"):
        experiments.ensure(in_namespace("theirs"), "isthmus")


def test_an_experiment_that_must_exist(api):
    with pytest.raises(ConfigError, match="experiment none: none at http"):
        experiments.existing(api, "none")


def test_a_run_carries_both_specs_parameters_root_and_account(server, api, order):
    order = dataclasses.replace(order, pipeline_root="s3://bucket/root", service_account="isthmus-eu-west")

    run = runs.start(api, order)

    assert run.state == "PENDING" and run.run_id in server.store.runs
    assert server.bodies("create_run") == [
        {
            "display_name": "nightly",
            "experiment_id": order.experiment_id,
            "pipeline_spec": dict(zip(("pipeline_spec", "platform_spec"), kfp_api_specs.documents())),
            "runtime_config": {"parameters": _PARAMETERS, "pipeline_root": "s3://bucket/root"},
            "service_account": "isthmus-eu-west",
        }
    ]


def test_without_caching_no_task_of_the_sent_spec_caches(server, api, order):
    runs.start(api, dataclasses.replace(order, caching=False))

    sent = yaml.safe_dump(server.bodies("create_run")[0])
    assert "enableCache: false" in sent and "enableCache: true" not in sent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, r"\(500\); the server says: Run name cannot be empty"),
        ({"experiment_id": "none"}, "run nightly: not found at http.*Experiment none not found"),
        ({"parameters": {**_PARAMETERS, "more": 1}}, r"\(400\).*not required by pipeline: more"),
    ],
)
def test_what_the_server_refuses(api, order, change, message):
    with pytest.raises(ApiError, match=message):
        runs.start(api, dataclasses.replace(order, **change))


def test_a_spec_that_is_not_kfps_is_refused_by_the_server(api, order):
    order.spec.pipeline["surplus"] = 1

    with pytest.raises(
        ApiError, match=r"\(500\); the server says: InvalidInputError: pipeline spec is invalid"
    ):
        runs.start(api, order)


def test_a_run_that_may_have_started_is_said_to(server, api, order):
    server.failures = [504]

    with pytest.raises(
        ApiError, match=r"\(504\).*; it may have started all the same: look with isthmus runs"
    ):
        runs.start(api, order)


def test_a_run_that_has_not_started_is_not(server, api, order):
    server.failures = [503]

    with pytest.raises(ApiError) as error:
        runs.start(api, order)

    assert "may have started" not in str(error.value)


@pytest.mark.parametrize("root", ["", "gs://b", "s3://b/p", "minio://b/p/q/", "s3://b/p?region=x"])
def test_pipeline_roots(root):
    assert runs.pipeline_root(root) == root


@pytest.mark.parametrize("root", ["b/p", "file:///b", "az://b", "s3://", "s3:// b", "s3://b/a b"])
def test_other_pipeline_roots_are_refused(root):
    with pytest.raises(ConfigError, match=r"not a bucket; allowed: gs://, s3:// or minio://bucket/prefix"):
        runs.pipeline_root(root)


def test_runs_newest_first_over_pages_by_experiment_and_state(server, api, order):
    server.page_size = 2
    ids = [runs.start(api, dataclasses.replace(order, name=f"r{number}")).run_id for number in range(5)]
    other = experiments.ensure(api, "other").experiment_id
    stray = runs.start(api, dataclasses.replace(order, experiment_id=other)).run_id
    server.store.runs[ids[1]]["state"] = "FAILED"

    assert [run.run_id for run in runs.find(api)] == [stray, *reversed(ids)]
    assert [run.run_id for run in runs.find(api, order.experiment_id)] == list(reversed(ids))
    assert [run.run_id for run in runs.find(api, state="FAILED")] == [ids[1]]


def test_runs_of_a_namespace(server, in_namespace, spec):
    one, two = in_namespace("one"), in_namespace("two")
    for api in (one, two):
        experiment = experiments.ensure(api, "isthmus").experiment_id
        runs.start(api, Order(spec, f"in {api.connection.namespace}", experiment, _PARAMETERS))

    assert [run.name for run in runs.find(one)] == ["in one"]
    assert [run.name for run in runs.find(two)] == ["in two"]


def test_a_run_is_stopped(server, api, order):
    run = runs.start(api, order)

    runs.stop(api, run.run_id)

    assert runs.get(api, run.run_id).state == "CANCELED"
    with pytest.raises(ApiError, match="already finished"):
        runs.stop(api, run.run_id)


def test_only_a_failed_run_is_retried(server, api, order):
    server.store.script = [("FAILED", {})]
    run = runs.start(api, order)

    with pytest.raises(ApiError, match="refused run"):
        runs.retry(api, run.run_id)
    assert runs.get(api, run.run_id).state == "FAILED"
    runs.retry(api, run.run_id)
    assert server.store.runs[run.run_id]["state"] == "RUNNING"


def test_the_epoch_is_no_time(server, api, order):
    run = runs.start(api, order)

    assert run.finished == "" and run.created.startswith("2026-")


def test_a_version_is_kept_once_and_run(server, api, spec, order):
    version = pipelines.ensure_version(api, spec, "fleet")

    assert pipelines.ensure_version(api, spec, "fleet") == version
    assert (len(server.store.pipelines), len(server.store.versions)) == (1, 1)
    assert version.name == spec.digest[:16]
    assert pipelines.manifest(api, version.pipeline_id, version.version_id) == spec.manifest()

    run = runs.start(api, dataclasses.replace(order, version=version))
    sent = server.bodies("create_run")[0]
    assert "pipeline_spec" not in sent and run.state == "PENDING"
    assert sent["pipeline_version_reference"] == {
        "pipeline_id": version.pipeline_id,
        "pipeline_version_id": version.version_id,
    }


def test_another_file_is_another_version_of_the_same_pipeline(server, api, spec, spec_file):
    pipelines.ensure_version(api, spec, "fleet")
    spec_file.write_text("# changed\n" + spec_file.read_text())

    pipelines.ensure_version(api, specs.read(spec_file), "fleet")

    assert (len(server.store.pipelines), len(server.store.versions)) == (1, 2)


def test_a_pipeline_and_a_version_that_somebody_else_makes_meanwhile_are_taken(api, spec, monkeypatch):
    version = pipelines.ensure_version(api, spec, "fleet")
    for name in ("_pipeline_id", "_version_id"):
        find, looks = getattr(pipelines, name), []

        def late(*arguments, find=find, looks=looks):
            looks.append(arguments)
            return find(*arguments) if len(looks) > 1 else None

        monkeypatch.setattr(pipelines, name, late)

    assert pipelines.ensure_version(api, spec, "fleet") == version


def test_a_schedule_has_seconds_one_run_at_a_time_and_no_catching_up(server, api, order):
    made = schedules.start(api, order, "0 4 * * *")

    assert (made.name, made.cron, made.enabled) == ("nightly", "0 0 4 * * *", True)
    sent = server.bodies("create_recurring_run")[0]
    assert sent["trigger"] == {"cron_schedule": {"cron": "0 0 4 * * *"}}
    assert (sent["mode"], sent["max_concurrency"], sent["no_catchup"]) == ("ENABLE", "1", True)
    assert sent["pipeline_spec"]["platform_spec"] == kfp_api_specs.documents()[1]


def test_a_schedule_can_be_made_disabled_and_switched(server, api, order):
    made = schedules.start(api, order, "0 4 * * *", enabled=False, at_once=3)
    assert not made.enabled and server.bodies("create_recurring_run")[0]["max_concurrency"] == "3"

    schedules.enable(api, made.schedule_id, True)
    assert [found.enabled for found in schedules.find(api, order.experiment_id)] == [True]
    schedules.enable(api, made.schedule_id, False)
    assert [found.enabled for found in schedules.find(api, order.experiment_id)] == [False]
    schedules.delete(api, made.schedule_id)
    assert list(schedules.find(api, order.experiment_id)) == []


def test_a_schedule_of_the_same_name_is_refused(server, api, order):
    made = schedules.start(api, order, "0 4 * * *")

    with pytest.raises(
        ConfigError, match=f"recurring run nightly: exists already \\({made.schedule_id}, cron"
    ):
        schedules.start(api, order, "0 5 * * *")

    schedules.start(api, dataclasses.replace(order, name="hourly"), "0 * * * *")
    assert len(server.store.schedules) == 2


@pytest.mark.parametrize("at_once", [0, 11])
def test_another_number_at_once_is_refused(server, api, order, at_once):
    with pytest.raises(ConfigError, match=f"--max-concurrency {at_once}; allowed: 1 to 10"):
        schedules.start(api, order, "0 4 * * *", at_once=at_once)

    assert not server.bodies("create_recurring_run")


def test_a_schedule_in_a_namespace(server, in_namespace, spec):
    api = in_namespace("isthmus-central")
    experiment = experiments.ensure(api, "isthmus").experiment_id

    schedules.start(api, Order(spec, "nightly", experiment, _PARAMETERS), "0 4 * * *")

    assert server.bodies("create_recurring_run")[0]["namespace"] == "isthmus-central"


def test_an_experiment_of_another_namespace_is_refused_by_the_server(in_namespace, spec):
    experiment = experiments.ensure(in_namespace("one"), "isthmus").experiment_id

    with pytest.raises(ApiError, match="belongs to namespace 'one' instead of 'two'"):
        schedules.start(in_namespace("two"), Order(spec, "nightly", experiment, _PARAMETERS), "0 4 * * *")
