"""What monitoring found in a region goes with its signed release; the centre keeps what verifies of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.drift.findings import Finding, Measurement, MonitorReport
from components.egress.config import EgressConfig
from components.egress.monitoring import accepted_monitor, outward_report, to_json
from components.errors import InternalError
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import resolve_releases
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs, push_region
from components.secrets import SecretRef
from components.split_io import write_split
from tests.unit.merge_gen.test_merge_core import DATASET, Fleet, table


def found(locale: str = "eu-west", span: int = 1) -> dict:
    finding = Finding(
        comparison="drift",
        locale=locale,
        against="span 0",
        baseline="previous",
        feature="x",
        span=span,
        measurements=(Measurement(measure="wasserstein", value=0.25, n=120, n_baseline=80),),
        verdict="OK",
    )
    report = MonitorReport(
        zone=locale, sharing="restricted", span=span, alpha=0.01, status="EVALUATED", findings=(finding,)
    )
    return to_json(outward_report(report, DATASET, EgressConfig()))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def push(fleet: Fleet, content: dict | None, **policy) -> dict:
    inputs = fleet.root / "inputs"
    rows = table(drop=("label",))
    write_split(inputs / "examples", "train", rows)
    for folder in ("blessing", "monitor"):
        (inputs / folder).mkdir()
    (inputs / "blessing" / "BLESSED").touch()
    if content is not None:
        (inputs / "monitor" / "outward.json").write_text(json.dumps(content))
        (inputs / "monitor" / "monitor.json").write_text('{"edges": [17.125]}')
    # No supporters are asked for: the twelve made-up rows are not what this is about.
    config = PusherConfig(
        kind="synthetic",
        exchange_uri=fleet.store.uri,
        signing_key=SecretRef(file=str(fleet.key_path("eu-west"))),
        dataset=DATASET,
        egress=EgressConfig(min_supporters=1, **policy),
    )
    given = RegionInputs(inputs / "examples", blessing=inputs / "blessing", monitor=inputs / "monitor")
    return push_region(config, "eu-west", 1, given)


def merge(fleet: Fleet):
    config = fleet.config()
    monitors = fleet.root / "monitors"
    return merge_releases(config, resolve_releases(config), fleet.root / "merged", monitors), monitors


@pytest.fixture
def categories_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up rows' category is of no curated schema; that gate has its own tests."""
    from components.egress import rows

    monkeypatch.setattr(rows, "check_values", lambda *arguments: None)


@pytest.mark.usefixtures("categories_pass")
def test_it_is_digested_and_signed_with_the_release_and_the_centre_reads_it_from_there(fleet):
    content = found()
    report = push(fleet, content)
    release = Path(report["uri"])
    assert json.loads((release / "monitor.json").read_text()) == content
    assert b"17.125" not in (release / "monitor.json").read_bytes()
    assert "monitor.json" in json.loads((release / "manifest.json").read_text())["files"]
    result, monitors = merge(fleet)
    assert [item.locale for item in result.accepted] == ["eu-west"]
    kept = (monitors / "eu-west.json").read_bytes()
    assert to_json(accepted_monitor(kept, DATASET, "eu-west", 1, "x")) == content


@pytest.mark.usefixtures("categories_pass")
def test_a_byte_that_was_changed_on_the_way_refuses_the_release(fleet):
    release = Path(push(fleet, found())["uri"])
    file = release / "monitor.json"
    file.write_bytes(file.read_bytes().replace(b"0.25", b"0.52"))
    result, monitors = merge(fleet)
    assert result.accepted == () and not monitors.exists()
    assert "its SHA-256 is not the one in the manifest" in result.refused[0]["reason"]


@pytest.mark.usefixtures("categories_pass")
def test_nothing_is_released_where_it_holds_more_and_none_of_it_where_the_policy_withholds_it(fleet):
    with pytest.raises(InternalError, match="nothing was released"):
        push(fleet, {**found(), "edges": [17.125]})
    assert not (fleet.root / "exchange").exists() or not any((fleet.root / "exchange").rglob("*"))
    for folder in ("examples", "blessing", "monitor"):
        (fleet.root / "inputs" / folder).rename(fleet.root / f"first-{folder}")
    report = push(fleet, found(), monitoring="withheld")
    assert "monitor.json" not in report["files"]


def test_a_signed_release_whose_monitoring_says_more_is_refused_whole(fleet):
    from components.split_io import shard_paths

    inputs = fleet.root / "rows"
    write_split(inputs, "train", table(drop=("label",)))
    files = {f"Split-train/{path.name}": path for path in shard_paths(inputs, "train")}
    more = {**found(), "edges": [17.125]}
    fleet.publish("eu-west", {**files, "monitor.json": json.dumps(more).encode()})
    result, monitors = merge(fleet)
    assert result.accepted == () and not monitors.exists()
    assert "not a monitoring report (edges: extra_forbidden)" in result.refused[0]["reason"]


def test_a_release_without_it_is_merged_as_before(fleet):
    fleet.push("eu-west")
    result, monitors = merge(fleet)
    assert [item.locale for item in result.accepted] == ["eu-west"] and not monitors.exists()
