"""Whole runs of a small simulated fleet through the command line, as a user makes them.

Slow (minutes): one run serves many tests. Each test says what a user sees, not what the code does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = pytest.mark.e2e

LOCALES = ("us-east", "eu-west", "ap-south")
RESTRICTED = ("eu-west", "ap-south")


def isthmus(*arguments: object, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)


def make_fleet(folder: Path, **changes) -> Path:
    """A small fleet with a lenient, still real, gate: its rows are too few for the default one."""
    from pipeline import starter

    config = starter.write(folder, seed=7, size="small")
    data = yaml.safe_load(config.read_text())
    data["synthesizer"] |= {"max_steps": 20, "evaluate_every": 10}
    data["central"]["detector"] = {
        "bootstrap_samples": 100,
        "classifier": {"max_iter": 30},
        **data["central"]["detector"],
    }
    for locale in data["locales"]:
        if locale["sharing"] == "restricted":
            locale["privacy"] = {"gate": {"checks": [GATE]}}
            file = folder / "data" / locale["name"] / "span-0" / "data.csv"
            file.write_text(file.read_text().replace(f"{locale['name']}-pump-", CANARY))
    data.update(changes)
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    return config


GATE = {
    "metric": "exact_copy_risk_rows",
    "of": "value",
    "rule": "max",
    "threshold": 0.2,
    "reason": "a test",
}


CANARY = "canary-asset-"


def release_digests(config: Path) -> dict[str, str]:
    """SHA-256 of every release's example files, by locale and file name."""
    exchange = config.parent / "exchange"
    return {
        str(file.relative_to(exchange)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(exchange.rglob("Split-*/*.gz"))
    }


def run_json(config: Path) -> dict:
    root = config.parent / "runs" / "runs"
    latest = json.loads((root / "latest.json").read_text())["run_id"]
    return json.loads((root / latest / "run.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    config = make_fleet(tmp_path_factory.mktemp("fleet") / "fleet")
    return config, isthmus("run", config)


def test_a_run_finishes_and_says_what_it_found(finished):
    _, done = finished
    # 0 or 1: on so small a fleet the detector need not beat No sharing, and then is not blessed.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    for scenario in ("No sharing", "Naive synthetic", "Isthmus", "Ideal"):
        assert done.stdout.count(scenario) >= 2, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    page = Path(done.stdout.split("report: ")[1].strip())
    assert page.stat().st_size > 10_000
    assert page.with_suffix(".json").exists()


def test_every_restricted_release_is_synthetic_signed_and_verifies(finished):
    config, _ = finished
    for locale in RESTRICTED:
        (manifest,) = (config.parent / "exchange" / locale).rglob("manifest.json")
        assert json.loads(manifest.read_text())["kind"] == "synthetic"
        key = config.parent / "keys" / f"{locale}.pem.pub"
        assert isthmus("verify", manifest.parent, "--key", key).returncode == 0
        other = config.parent / "keys" / "us-east.pem.pub"
        assert isthmus("verify", manifest.parent, "--key", other).returncode == 2


def test_no_canary_of_a_restricted_locale_is_outside_its_root(finished):
    """Marked asset ids, which only the restricted training rows have, stay below the locale's own root.

    *Ideal* (a simulation) reads the raw rows at the centre, so that one ExampleGen is left out. Names of
    operators, which the PII policy drops, are nowhere at all.
    """
    config, _ = finished
    folder = config.parent
    found: dict[str, set[str]] = {"canary": set(), "operator": set()}
    searched = 0
    for file in folder.rglob("*"):
        if not file.is_file() or folder / "data" in file.parents or file.name == "metadata.sqlite":
            continue
        raw = file.read_bytes()
        text = gzip.decompress(raw) if file.suffix == ".gz" else raw
        searched += 1
        if CANARY.encode() in text:
            found["canary"].add(str(file.relative_to(folder)))
        if b"Lindqvist" in text or b"Okafor" in text:
            found["operator"].add(str(file.relative_to(folder)))
    assert searched > 100
    own_roots = tuple(f"runs/{locale}/" for locale in RESTRICTED)
    assert any(path.startswith(own_roots) for path in found["canary"]), "the canaries were there to be found"
    outside = {
        p for p in found["canary"] if not p.startswith((*own_roots, "runs/central/artifacts/IdealExampleGen"))
    }
    assert outside == set()
    assert found["operator"] == set()


def test_a_second_run_takes_everything_from_the_cache(finished):
    config, _ = finished
    before = release_digests(config)
    started = time.monotonic()
    done = isthmus("run", config)
    seconds = time.monotonic() - started
    assert done.returncode in (0, 1)
    state = run_json(config)
    sections = [*state["locales"].values(), state["central"]]
    states = {
        component["id"]: component["state"] for section in sections for component in section["components"]
    }
    assert set(states.values()) == {"cached"}, states
    assert release_digests(config) == before
    print(f"second run: {seconds:.1f} s")


def test_every_zone_is_monitored_and_what_crosses_has_no_bin_of_a_restricted_locale(finished):
    config, _ = finished
    runs = config.parent / "runs" / "runs"
    latest = json.loads((runs / "latest.json").read_text())["run_id"]
    monitor = json.loads((runs / latest / "monitor.json").read_text())
    assert monitor["missing"] == {}
    reports = {report["zone"]: report for report in monitor["reports"]}
    assert set(reports) == {*LOCALES, "central"}
    for locale in RESTRICTED:
        (manifest,) = (config.parent / "exchange" / locale).rglob("manifest.json")
        assert "monitor.json" in json.loads(manifest.read_text())["files"]
        crossed = json.loads((manifest.parent / "monitor.json").read_text())
        assert {item["comparison"] for item in crossed["findings"]} == {"drift", "generator"}
        assert "distribution" not in json.dumps(crossed)
        assert all(item["distribution"] is None for item in reports[locale]["findings"])
    central = reports["central"]["findings"]
    assert {item["comparison"] for item in central} == {"skew", "serving"}
    pairs = {frozenset((item["locale"], item["against"])) for item in central if item["comparison"] == "skew"}
    assert len(pairs) == 3


def test_status_lineage_and_report_answer_for_people_and_machines(finished):
    config, _ = finished
    status = json.loads(isthmus("status", config, "--json").stdout)
    assert {name: row["status"] for name, row in status["pipelines"].items()} == dict.fromkeys(
        (*LOCALES, "central"), "succeeded"
    )
    lineage = json.loads(isthmus("lineage", config, "--json").stdout)
    assert {release["locale"] for release in lineage["merge"]["accepted"]} == set(LOCALES)
    assert "us-east" in isthmus("status", config).stdout
    assert "release" in isthmus("lineage", config).stdout
    assert isthmus("report", config).stdout.strip().endswith("report.html")


def test_the_same_seed_in_a_fresh_root_gives_the_same_releases(finished, tmp_path):
    config, _ = finished
    other = make_fleet(tmp_path / "again")
    assert isthmus("run", other, "--stage", "generate").returncode == 0
    assert release_digests(other) == release_digests(config)


def test_a_killed_run_goes_on_and_ends_the_same(finished, tmp_path):
    """kill -9 of everything while a synthesizer trains, then again while the centre merges."""
    config, _ = finished
    other = make_fleet(tmp_path / "killed")
    for mark in ("SynthesizerTrainer", "MergeGen"):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", str(other)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        for line in process.stderr:
            if mark in line:
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    done = isthmus("run", other)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert release_digests(other) == release_digests(config)
    states = [c["state"] for c in run_json(other)["locales"]["us-east"]["components"]]
    assert states.count("cached") == len(states), "what was finished before the kill is reused"


def test_one_locale_down_is_named_and_the_centre_goes_on_by_quorum(finished, tmp_path):
    config, _ = finished
    other = tmp_path / "quorum"
    shutil.copytree(config.parent, other, ignore=shutil.ignore_patterns("runs", "registry"))
    shutil.rmtree(other / "exchange" / "ap-south")
    shutil.rmtree(other / "data" / "ap-south")
    data = yaml.safe_load((other / "isthmus.yaml").read_text())
    data["central"].update(quorum=2, ideal=False)
    (other / "isthmus.yaml").write_text(yaml.safe_dump(data))
    done = isthmus("run", other / "isthmus.yaml")
    assert done.returncode == 2
    assert "ap-south" in done.stdout and "no file matches" in done.stdout
    state = run_json(other / "isthmus.yaml")
    assert state["central"]["status"] == "succeeded"
    assert state["locales"]["ap-south"]["status"] == "failed"
    page = Path(done.stdout.split("report: ")[1].strip()).read_text()
    assert "ap-south" in page and "missing" in page
    # And with the quorum not met, the centre refuses in one line.
    data["central"]["quorum"] = 3
    (other / "isthmus.yaml").write_text(yaml.safe_dump(data))
    done = isthmus("run", other / "isthmus.yaml")
    assert done.returncode == 2
    assert "quorum" in done.stdout + done.stderr


def test_an_altered_release_is_refused_by_name(finished, tmp_path):
    config, _ = finished
    other = tmp_path / "altered"
    shutil.copytree(config.parent, other, ignore=shutil.ignore_patterns("registry"))
    (shard,) = (other / "exchange" / "eu-west").rglob("Split-*/*.gz")
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(bytes(raw))
    from components.merge_gen.core import merge_releases
    from components.merge_gen.resolution import resolve_releases
    from pipeline.config.load import load_deployment
    from pipeline.config.resolve import central_configs

    merge = central_configs(load_deployment(other / "isthmus.yaml")).merge_gen
    found = resolve_releases(merge)
    result = merge_releases(merge, found, tmp_path / "out")
    (refused,) = result.refused
    assert refused["locale"] == "eu-west" and shard.name in refused["reason"]
    assert "\n" not in refused["reason"]
    assert result.verdict == "quorum not met"
    assert {release.locale for release in result.accepted} == {"us-east", "ap-south"}
    assert not (tmp_path / "out" / "Split-eu-west").exists()


@pytest.fixture(scope="module")
def registry(finished, tmp_path_factory) -> Path:
    """The finished run's deployment with its detector in the registry, whatever its blessing was."""
    from components.pusher.config import ModelPusherConfig
    from components.pusher.registry import ModelInputs, push_model

    config, _ = finished
    folder = config.parent
    (model,) = folder.glob("runs/central/artifacts/ProphetEvaluator/model/*")
    blessed = tmp_path_factory.mktemp("blessing")
    (blessed / "BLESSED").touch()
    copied = tmp_path_factory.mktemp("predict") / "isthmus.yaml"
    data = yaml.safe_load(config.read_text())
    shutil.copytree(folder, copied.parent, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifacts"))
    push_model(
        ModelPusherConfig(registry_uri=str(copied.parent / data["central"]["registry"])),
        ModelInputs(model, blessed),
    )
    return copied


def test_the_pushed_detector_judges_new_rows(registry, tmp_path):
    rows = pacsv.read_csv(next((registry.parent / "data" / "test").rglob("*.csv")))
    rows = rows.filter(pc.equal(rows["locale"], "eu-west")).drop(["locale"])
    pacsv.write_csv(rows, tmp_path / "new.csv")
    with (tmp_path / "new.csv").open("a") as file:
        file.write("not a time" + "," * (rows.num_columns - 1) + "\n")
    out = tmp_path / "scores.parquet"
    done = isthmus("predict", registry, tmp_path / "new.csv", "--out", out, "--locale", "eu-west", "--json")
    assert done.returncode == 0, done.stderr
    found, scores = json.loads(done.stdout), pq.read_table(out)
    assert found["uri"].endswith(f"/detector/{found['version']}")
    assert (found["rows"], found["quarantined"]) == (rows.num_rows, 1)
    reasons = (Path(found["quarantine"]) / "quarantine.csv").read_text()
    assert f'{rows.num_rows + 1},"timestamp","timestamp does not parse"' in reasons
    assert scores.num_rows == rows.num_rows
    # Flagged rows are anomalous more often than others: the scores belong to the rows beside them.
    key = ["timestamp", "asset"]
    labels = rows.select([*key, "label"]).to_pandas()
    labels["timestamp"] = pd.to_datetime(labels["timestamp"], utc=True)
    joined = scores.to_pandas().merge(labels, on=key)
    assert len(joined) == rows.num_rows
    flagged = joined[joined["classifier_flag"] == 1]
    assert 0 < len(flagged) < len(joined)
    assert flagged["label"].mean() > 2 * joined["label"].mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{rows}", "--out", "scores.txt"), "allowed: .parquet, .csv"),
        (("{rows}", "--out", "scores.csv", "--version", "9"), "--version 9: not in"),
        (("nowhere.csv", "--out", "scores.csv"), "nowhere.csv"),
    ],
)
def test_predict_refuses_bad_input_in_a_line(registry, arguments, message):
    rows = next((registry.parent / "data" / "test").rglob("*.csv"))
    done = isthmus("predict", registry, *(text.format(rows=rows) for text in arguments), cwd=registry.parent)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.count("\n") == 1 and not (registry.parent / "scores.csv").exists()


def test_an_altered_detector_is_not_used(registry):
    copied = registry.parent.with_name("altered")
    shutil.copytree(registry.parent, copied)
    for model in (copied / "registry").rglob("model/detector.json"):
        model.write_text(model.read_text().replace('"threshold"', '"threshold" ', 1))
    rows = next((copied / "data" / "test").rglob("*.csv"))
    done = isthmus("predict", copied / "isthmus.yaml", rows, "--out", copied / "scores.csv")
    assert done.returncode == 2 and "missing or altered" in done.stderr
