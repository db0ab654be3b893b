"""`isthmus egress` and `isthmus canary` on a deployment that never ran."""

from __future__ import annotations

import gzip
import json

import fsspec
import pytest
import yaml
from typer.testing import CliRunner

from components.errors import ConfigError, DataError, VerdictError
from pipeline.cli import app


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    from pipeline import starter

    return starter.write(tmp_path_factory.mktemp("cli") / "fleet", size="small")


def isthmus(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_list_in_words_and_as_json(config):
    words = isthmus("egress", config, "--locale", "eu-west").output
    for text in (
        "eu-west: what may leave",
        "EXCEPTION: central.ideal is true",
        "schema.pbtxt:",
        "needs 10 real rows; else it is called 'other' instead",
        "what never leaves",
        "refused, not dropped",
    ):
        assert text in words
    (found,) = json.loads(isthmus("egress", config, "--locale", "eu-west", "--json").output)
    assert found["policy"]["real_curves"] == "withheld" and found["columns"][:2] == ["timestamp", "asset"]
    assert "reason" not in found["fields"]["evaluation.json metrics"]
    assert [item["locale"] for item in json.loads(isthmus("egress", config, "--json").output)] == [
        "eu-west",
        "ap-south",
    ]


def test_a_stricter_policy_shows(config, tmp_path):
    data = yaml.safe_load(config.read_text())
    data["central"]["ideal"] = False
    data["locales"][1]["egress"] = {
        "statistics": "withheld",
        "evaluation": "withheld",
        "domains": "withheld",
        "rare_categories": "refuse",
    }
    strict = config.with_name("strict.yaml")
    strict.write_text(yaml.safe_dump(data))
    (found,) = json.loads(isthmus("egress", strict, "--locale", "eu-west", "--json").output)
    assert "statistics/FeatureStats.pb" not in found["files"] and not found["exceptions"]
    assert "no domains" in found["files"]["schema.pbtxt"]
    assert found["fields"]["evaluation.json metrics"] == []
    assert "stops the release" in isthmus("egress", strict, "--locale", "eu-west").output


@pytest.mark.parametrize(("locale", "match"), [("us-east", "us-east is open"), ("eu-wst", "did you mean")])
def test_a_locale_without_a_list(config, locale, match):
    with pytest.raises(ConfigError, match=match):
        raise isthmus("egress", config, "--locale", locale).exception


def test_a_policy_that_is_wrong_or_of_an_open_locale(config):
    data = yaml.safe_load(config.read_text())
    for change, match in (
        ({1: {"domain": "withheld"}}, "did you mean 'domains'"),
        ({0: {"domains": "withheld"}}, "open locale"),
    ):
        broken = json.loads(json.dumps(data))
        for index, section in change.items():
            broken["locales"][index]["egress"] = section
        file = config.with_name("broken.yaml")
        file.write_text(yaml.safe_dump(broken))
        with pytest.raises(ConfigError, match=match):
            raise isthmus("egress", file).exception
    data["generation"]["grid"] = "real"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match="releases the times of real rows"):
        raise isthmus("egress", file).exception


def test_the_canary_finds_what_left_and_not_what_stayed(config):
    root = config.parent / "runs"
    for place in ("eu-west/artifacts", "central/logs", "runs/1"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "eu-west" / "artifacts" / "rows").write_text("zyxwold-pump-01")
    done = isthmus("canary", config, "--locale", "eu-west", "--text", "zyxwold-pump-01")
    assert done.exit_code == 0 and "0 finds" in done.output
    log = root / "central" / "logs" / "1.log"
    log.write_text("row of ZYXWOLD-pump-01: 93.71828")
    done = isthmus(
        "canary", config, "--locale", "eu-west", "--text", "zyxwold-pump-01", "--number", "93.71828", "--json"
    )
    log.unlink()  # the deployment is shared with the tests beside this one
    assert isinstance(done.exception, VerdictError) and "zyxwold" not in str(done.exception)
    found = json.loads(done.output)
    assert {(leak["file"], leak["mark"]) for leak in found["leaks"]} == {
        ("runs/central/logs/1.log", "text 1"),
        ("runs/central/logs/1.log", "number 1"),
    }


@pytest.fixture
def elsewhere(config, tmp_path):
    """The deployment with exchange and registry in stores that are not on this disk; emptied afterwards."""
    data = yaml.safe_load(config.read_text())
    data["root"] = str(tmp_path / "runs")
    data["exchange"] = {"uri": "memory://canary/exchange"}
    data["central"]["registry"] = "memory://canary/registry"
    file = config.with_name("elsewhere.yaml")
    file.write_text(yaml.safe_dump(data))
    memory = fsspec.filesystem("memory")
    yield file, memory
    if memory.exists("/canary"):
        memory.rm("/canary", recursive=True)


@pytest.mark.parametrize("place", ["exchange/eu-west/span-0/1-abc/Split-train/a.gz", "registry/detector/1/m"])
def test_the_canary_searches_stores_that_are_not_on_this_disk(elsewhere, place):
    file, memory = elsewhere
    memory.pipe_file("/canary/exchange/honest", b"nothing")
    memory.pipe_file("/canary/registry/honest", b"nothing")
    wanted = ("--locale", "eu-west", "--text", "zyxwold-pump-01")
    done = isthmus("canary", file, *wanted)
    assert done.exit_code == 0
    assert "memory://canary/exchange: 1 objects fetched and searched" in done.output
    assert "2 files outside eu-west searched, 0 finds" in done.output
    memory.pipe_file(f"/canary/{place}", gzip.compress(b"row of zyxwold-pump-01"))
    done = isthmus("canary", file, *wanted, "--json")
    assert isinstance(done.exception, VerdictError)
    found = json.loads(done.output)
    (leak,) = found["leaks"]
    assert leak == {"file": f"memory://canary/{place}!gzip", "mark": "text 1", "form": "text"}
    assert sum(found["remote"].values()) == found["files"] == 3


def test_the_canary_says_so_where_it_cannot_search(elsewhere, monkeypatch, tmp_path):
    file, memory = elsewhere
    memory.pipe_file("/canary/exchange/a", b"nothing")
    wanted = ("--locale", "eu-west", "--text", "zyxwold-pump-01")

    def refused(*arguments, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(memory), "get_file", refused)
    with pytest.raises(DataError, match="cannot search memory://canary/exchange/a: permission denied"):
        raise isthmus("canary", file, *wanted).exception
    monkeypatch.setattr(type(memory), "find", refused)
    with pytest.raises(DataError, match="cannot search memory://canary/exchange: permission denied"):
        raise isthmus("canary", file, *wanted).exception
    with pytest.raises(ConfigError, match=r"--also: found .*absent, which is not there"):
        raise isthmus("canary", file, *wanted, "--also", tmp_path / "absent").exception


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--locale", "us-east", "--text", "abcdefgh"), "allowed: eu-west, ap-south"),
        (("--locale", "eu-west"), "at least one mark"),
        (("--locale", "eu-west", "--text", "abc"), "by chance"),
        (
            ("--locale", "eu-west", "--number", "48.25"),
            "--number: found 4 significant digits, .*: at least 6",
        ),
        (("--locale", "eu-west", "--number", "-0.000481230"), "found 5 significant digits"),
        (("--locale", "eu-west", "--number", "93.71828", "--number", "1e300"), "found 1 significant digits"),
        (("--locale", "eu-west", "--number", "nan"), "--number: found "),
    ],
)
def test_marks_that_are_none(config, arguments, match):
    with pytest.raises(ConfigError, match=match):
        raise isthmus("canary", config, *arguments).exception
