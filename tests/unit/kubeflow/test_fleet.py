"""`python -m pipeline.deployables`: what it reads, refuses, writes and leaves alone."""

from __future__ import annotations

import copy

import pytest
import yaml

from pipeline.deployables.__main__ import main
from tests.unit.kubeflow.fleets import demo


def change(data: dict, path: str, value: object) -> dict:
    """A copy with one value changed, or taken out where it is `...`."""
    made = copy.deepcopy(data)
    place = made
    *steps, last = [int(x) if x.isdigit() else x for x in path.split(".")]
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return made


@pytest.fixture
def write(tmp_path):
    def call(data: dict):
        (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        return tmp_path / "fleet.yaml"

    return call


@pytest.mark.parametrize(
    "path, value, said",
    [
        ("regions.1.data.cidr", "0.0.0.0/0", "every address"),
        ("regions.1.data.cidr", "203.0.113.49/28", "has host bits set"),
        ("regions.1.data.cidr", "eu-west.example.com", "a range as 203.0.113.8/32"),
        ("exchange.port", 0, "exchange.port: found 0"),
        ("regions.1.locale", "Us_East", "slug 'us-east' is given twice"),
        ("regions.1.slug", "EU_West", "found 'EU_West'; allowed: lower-case letters"),
        ("regions.1.locale", "Central", "found 'central'"),
        ("regions.1.slug", "central", "found 'central'"),
        ("regions.1.slug", "a" * 41, "at most 40"),
        ("regions.1.slug", "us-east", "slug 'us-east' is given twice"),
        ("regions.1.s3_principal", "eu-west", "regions[1].s3_principal: found 'eu-west'"),
        ("regions.1.s3_principal", ..., "s3_principal: missing for one"),
        (
            "regions.1.s3_principal",
            "arn:aws:iam::222222222222:role/isthmus-us-east",
            "s3_principal: two have the same one",
        ),
        ("regions.1.gcs_member", "allUsers", "regions[1].gcs_member: found 'allUsers'"),
        ("exchange.s3.admin_principals", ["*"], "found '*'"),
        ("exchange.prefix", "../x", "exchange.prefix"),
        ("regions.1.artifacts.endpoint", ..., "endpoint: needed for s3://"),
        ("regions.1.artifacts.endpoint", "https://x", "artifacts.endpoint"),
        ("regions.1.artifacts.pipeline_root", "s3://isthmus-us-east-artifacts/runs", "a bucket of its own"),
        ("image", "isthmus", "image: found 'isthmus'"),
        ("components", ["hold-drain"], "components[0]"),
        ("recurring", {"schedule": "daily"}, "recurring.schedule"),
        ("regions.1.sharing", "closed", "regions[1].sharing: found 'closed'"),
        ("region", [], "unknown key (did you mean 'regions'?)"),
    ],
)
def test_a_wrong_fleet_is_one_line(write, capsys, path, value, said):
    assert main([str(write(change(demo(), path, value)))]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1, error


def test_what_is_no_fleet_is_one_line(tmp_path, capsys):
    for text, said in (("a: [", "fleet.yaml:1"), ("a: 1\na: 2\n", "fleet.yaml:2"), ("- 1\n", "fleet.yaml")):
        (tmp_path / "fleet.yaml").write_text(text)
        assert main([str(tmp_path / "fleet.yaml")]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert main([str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_what_is_there_is_left_and_what_changed_is_written(write, tmp_path, capsys):
    file = write(demo())
    assert main([str(file)]) == 0
    assert "36 of 36 files written" in capsys.readouterr().out
    assert main([str(file)]) == 0
    assert "0 of 36 files written" in capsys.readouterr().out
    file = write(change(demo(), "regions.1.data.port", 9000))
    assert main([str(file), "--check"]) == 1
    assert "overlays/eu-west/settings.yaml" in capsys.readouterr().out
    assert main([str(file)]) == 0
    assert "2 of 36 files written" in capsys.readouterr().out
    assert main([str(file), "--check"]) == 0


def test_an_overlay_that_was_taken_over_and_a_compiled_pipeline_stay(write, tmp_path):
    file = write(demo())
    assert main([str(file)]) == 0
    overlay, settings = (tmp_path / "overlays/eu-west" / x for x in ("kustomization.yaml", "settings.yaml"))
    overlay.write_text(overlay.read_text().split("\n", 1)[1] + "patches: []\n")
    (tmp_path / "overlays/eu-west/pipeline.yaml").write_text("compiled\n")
    settings.write_text("gone\n")
    assert main([str(file)]) == 0
    assert overlay.read_text().endswith("patches: []\n")
    assert (tmp_path / "overlays/eu-west/pipeline.yaml").read_text() == "compiled\n"
    assert settings.read_text().startswith("# Rendered from")


def test_a_region_that_left_is_named(write, tmp_path, capsys):
    assert main([str(write(demo()))]) == 0
    file = write(change(demo(), "regions.2", ...))
    assert main([str(file), "--check"]) == 1
    assert "overlays/ap-south/settings.yaml" in capsys.readouterr().out
    assert main([str(file)]) == 2
    error = capsys.readouterr().err
    assert "no region of" in error and "delete its folder (and 4 more)" in error
