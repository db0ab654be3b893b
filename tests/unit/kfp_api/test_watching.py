"""A run is followed to its end, through failures of the API."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.kfp_api import experiments, pipelines, runs, specs, watching
from pipeline.kfp_api.failures import ApiError
from pipeline.kfp_api.runs import Order
from pipeline.kfp_api.watching import Pace

SCRIPT = [
    ("PENDING", {}),
    ("RUNNING", {"root": "RUNNING", "eu-west": "RUNNING", "eu-west-train": "RUNNING"}),
    ("RUNNING", {"root": "RUNNING", "eu-west": "RUNNING", "eu-west-train": "FAILED"}),
    ("RUNNING", {"eu-west": "RUNNING", "eu-west-train": "FAILED", "eu-west-train#2": "RUNNING"}),
    ("SUCCEEDED", {"eu-west": "SUCCEEDED", "eu-west-train": "FAILED", "eu-west-train#2": "SUCCEEDED"}),
]


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def pace(self, **fields):
        return Pace(sleep=self.sleep, clock=lambda: self.now, **{"poll": 5.0, **fields})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def run_id(server, api, spec_file):
    server.store.script = SCRIPT
    experiment = experiments.ensure(api, "isthmus").experiment_id
    parameters = {"span": -1, "exchange": "x"}
    return runs.start(api, Order(specs.read(spec_file), "nightly", experiment, parameters)).run_id


def test_every_change_is_seen_once(api, run_id, clock):
    looks = list(watching.watch(api, run_id, clock.pace()))

    assert [look.run.state for look in looks] == ["PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]
    changes = [{task.name: (task.state, task.attempts) for task in look.changes} for look in looks]
    assert changes == [
        {},
        {"eu-west": ("RUNNING", 1), "eu-west-train": ("RUNNING", 1)},
        {"eu-west-train": ("FAILED", 1)},
        {"eu-west-train": ("RUNNING", 2)},
        {"eu-west": ("SUCCEEDED", 1), "eu-west-train": ("SUCCEEDED", 2)},
    ]
    assert {task.region for look in looks for task in look.tasks} == {"eu-west"}
    assert clock.pauses == [5.0] * 4


def test_failures_are_survived_with_longer_pauses(server, api, run_id, clock):
    server.failures = [0, 503, 502, -1, 500, 0, 401]

    looks = list(watching.watch(api, run_id, clock.pace()))

    assert [bool(look.trouble) for look in looks] == [False, True, True, True, True, False, True] + [
        False
    ] * 3
    assert clock.pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 5.0, 10.0, 5.0, 5.0]
    assert looks[-1].run.state == "SUCCEEDED"
    assert "(503)" in looks[1].trouble and looks[1].run is None


def test_a_passing_failure_of_the_first_look_is_survived_too(server, api, run_id, clock):
    server.failures = [503]

    assert [bool(look.trouble) for look in watching.watch(api, run_id, clock.pace())][:2] == [True, False]


@pytest.mark.parametrize(
    ("failure", "message"),
    [(401, r"\(401\)"), (500, r"\(500\)"), (403, r"\(403\)"), (-1, "no answer to run")],
)
def test_a_first_look_that_is_refused_ends_it(server, api, run_id, clock, failure, message):
    server.failures = [failure]

    with pytest.raises(ApiError, match=message):
        list(watching.watch(api, run_id, clock.pace()))

    assert not clock.pauses


def test_a_refusal_later_ends_it_as_well(server, api, run_id, clock):
    server.failures = [0, 403]

    with pytest.raises(ApiError, match=r"\(403\)"):
        list(watching.watch(api, run_id, clock.pace()))


def test_no_answer_for_long_ends_it(server, api, run_id, clock):
    server.failures = [0] + [503] * 99

    with pytest.raises(ApiError, match=r"\(503\).*; no answer for 100 s: watching ends, the run goes on"):
        list(watching.watch(api, run_id, clock.pace(patience=100.0)))

    assert 100 < clock.now < 200
    assert server.store.runs[run_id]["state"] == "PENDING"


def test_the_time_limit_ends_it_and_leaves_the_run(server, api, run_id, clock):
    with pytest.raises(ApiError, match=f"run {run_id}: not ended within --timeout 12 s; it goes on"):
        list(watching.watch(api, run_id, clock.pace(timeout=12.0)))

    assert clock.now == 10.0
    assert {request.method for request in server.requests[-3:]} == {"GET"}


def test_a_run_that_is_not_there(api, clock):
    with pytest.raises(ApiError, match="run none: not found at http"):
        list(watching.watch(api, "none", clock.pace()))


def test_the_regions_of_a_kept_version_come_from_its_spec(server, api, spec_file, clock):
    server.store.script = [("SUCCEEDED", {"ap-south-train": "SUCCEEDED"})]
    spec = specs.read(spec_file)
    version = pipelines.ensure_version(api, spec, "fleet")
    experiment = experiments.ensure(api, "isthmus").experiment_id
    order = Order(spec, "nightly", experiment, {"span": -1, "exchange": "x"})
    run = runs.start(api, dataclasses.replace(order, version=version))

    (look,) = watching.watch(api, run.run_id, clock.pace())

    # By the names alone a lone task would have no region.
    assert [(task.name, task.region) for task in look.tasks] == [("ap-south-train", "ap-south")]


def test_a_version_that_is_gone_leaves_the_names(server, api, spec_file, clock):
    server.store.script = [("SUCCEEDED", {"ap-south": "SUCCEEDED", "ap-south-train": "SUCCEEDED"})]
    spec = specs.read(spec_file)
    version = pipelines.ensure_version(api, spec, "fleet")
    experiment = experiments.ensure(api, "isthmus").experiment_id
    order = Order(spec, "nightly", experiment, {"span": -1, "exchange": "x"}, version=version)
    run = runs.start(api, order)
    server.store.versions.clear()

    (look,) = watching.watch(api, run.run_id, clock.pace())

    assert {task.region for task in look.tasks} == {"ap-south"}


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_other_ends(server, api, run_id, clock, state):
    server.store.script = [(state, {})]

    assert [look.run.state for look in watching.watch(api, run_id, clock.pace())] == [state]


def test_a_root_that_the_driver_does_not_know_fails_the_simulated_run(server, api, run_id, clock):
    server.store.runs[run_id]["runtime_config"]["pipeline_root"] = "file:///x"

    assert [look.run.state for look in watching.watch(api, run_id, clock.pace())] == ["FAILED"]
