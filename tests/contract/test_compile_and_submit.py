"""What `isthmus compile` writes, `isthmus submit` sends, and `watch` groups by region."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pipeline.kfp_api import specs
from pipeline.kfp_api.tasks import NO_REGION, regions_of
from tests.kubeflow import fleet
from tests.support.kfp_server import KfpServer

pytestmark = pytest.mark.tfx

_REGIONS = {"ap-south", "eu-west", "us-east", "central", NO_REGION}
_PARAMETERS = ["--span", "latest", "--seed", "7", "--exchange", "s3://exchange", "--image", fleet.IMAGE]


def _isthmus(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return fleet.write(tmp_path_factory.mktemp("fleet"), "s3://exchange", endpoint="http://s3:9000").config


@pytest.fixture(scope="module")
def single(config):
    path = config.parent / "single.yaml"
    _isthmus("compile", config, "-o", path)
    return path


def test_the_server_takes_it_now_kept_uncached_and_by_a_schedule(single):
    with KfpServer() as server:
        for options in ([], ["--no-cache"], ["--pipeline", "fleet"], ["--recurring", "0 4 * * *"]):
            _isthmus("submit", single, "--endpoint", server.endpoint, *_PARAMETERS, *options)

        assert len(server.store.runs) == 3 and len(server.store.schedules) == 1
        sent = server.bodies("create_run")[0]
    assert sent["pipeline_spec"]["platform_spec"] == specs.read(single).platform is not None
    assert sent["runtime_config"]["parameters"] == {
        "span": -1,
        "seed": 7,
        "exchange": "s3://exchange",
        "image": fleet.IMAGE,
    }


def test_watch_shows_every_region_and_the_centre(single):
    manifest = specs.read(single).manifest()
    names = regions_of(manifest)
    assert set(names.values()) == _REGIONS
    assert all(name.startswith(region) for name, region in names.items() if region != NO_REGION)

    with KfpServer() as server:
        server.store.script = [("SUCCEEDED", dict.fromkeys(names, "SUCCEEDED"))]
        options = ["--endpoint", server.endpoint, "--wait", "--poll", "0.1", "--json"]
        (run,) = json.loads(_isthmus("submit", single, *_PARAMETERS, *options))["runs"]

    assert run["exit"] == 0 and set(run["regions"]) == _REGIONS
    shown = {task["name"] for found in run["regions"].values() for task in found["tasks"]}
    assert shown == set(names)


def test_one_spec_per_cluster_is_one_run_each(config, tmp_path):
    out = tmp_path / "specs"
    _isthmus("compile", config, "-o", out, "--layout", "multi-cluster")
    files = sorted(out.glob("*.yaml"))

    with KfpServer() as server:
        _isthmus("submit", *files, "--endpoint", server.endpoint, *_PARAMETERS)

        assert len(server.store.runs) == len(files) == 4
    found = [set(regions_of(specs.read(file).manifest()).values()) - {NO_REGION} for file in files]
    assert sorted(region for regions in found for region in regions) == sorted(_REGIONS - {NO_REGION})
