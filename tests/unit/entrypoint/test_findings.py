"""What a zone's last step leaves for the report: what may leave the zone, and only that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import Distribution, MonitorReport
from components.egress.config import EgressConfig
from components.egress.monitoring import outward_report, to_json
from components.errors import DataError, InternalError
from components.pusher.config import PusherConfig
from components.release.options import DEFAULT_OPTIONS
from components.secrets import SecretRef
from pipeline.entrypoint import findings
from tests.support.alerting import finding, run_of
from tests.support.deployments import deployment

PICTURE = Distribution(edges=(131.5, 132.5), share=(1.0,), share_baseline=(1.0,))


@pytest.fixture
def report() -> MonitorReport:
    return run_of(finding(distribution=PICTURE)).reports[0]


@pytest.fixture
def dataset(tmp_path: Path) -> Any:
    return deployment(tmp_path).dataset


def properties(dataset: Any, **egress: Any) -> dict[str, Any]:
    config = PusherConfig(
        kind="synthetic",
        exchange_uri="s3://exchange",
        signing_key=SecretRef(env="KEY"),
        dataset=dataset,
        egress=EgressConfig(**egress),
    )
    return {"Pusher": {"config": config.to_exec_property()}}


def made(folder: Path, report: MonitorReport, dataset: Any, **change: Any) -> dict[str, Path]:
    folder.mkdir()
    (folder / "monitor.json").write_text(report.model_dump_json())
    outward = to_json(outward_report(report, dataset, EgressConfig())) | change
    (folder / "outward.json").write_text(json.dumps(outward))
    return {"generatormonitor-monitor": folder}


def test_a_locale_leaves_its_outward_report_and_no_bin(tmp_path: Path, report, dataset) -> None:
    artifacts = made(tmp_path / "monitor", report, dataset)
    raw = findings.outward_bytes(artifacts, "eu-west", properties(dataset), whole=False)
    assert raw is not None and b"131.5" not in raw
    left = MonitorReport.model_validate_json(raw)
    assert [item.feature for item in left.findings] == ["load"] and left.findings[0].verdict == "ALERT"


def test_what_a_policy_withholds_stays_with_the_locale(tmp_path: Path, report, dataset) -> None:
    artifacts = made(tmp_path / "monitor", report, dataset)
    given = properties(dataset, monitoring="withheld")
    assert findings.outward_bytes(artifacts, "eu-west", given, whole=False) is None
    assert findings.outward_bytes(artifacts, "eu-west", given, whole=True) is not None


def test_what_is_on_no_list_is_not_left(tmp_path: Path, report, dataset) -> None:
    planted = made(tmp_path / "monitor", report, dataset, note="patient-4711")
    with pytest.raises(InternalError) as caught:
        findings.outward_bytes(planted, "eu-west", properties(dataset), whole=True)
    assert "4711" not in str(caught.value)


def test_the_centres_goes_without_pictures(tmp_path: Path, report, dataset) -> None:
    central = report.model_copy(update={"zone": "central", "sharing": "central"})
    artifacts = {"skewmonitor-monitor": made(tmp_path / "monitor", report, dataset).popitem()[1]}
    (tmp_path / "monitor" / "monitor.json").write_text(central.model_dump_json())
    raw = findings.outward_bytes(artifacts, "central", {}, whole=False)
    assert raw is not None and b"131.5" not in raw and MonitorReport.model_validate_json(raw).findings
    assert findings.outward_bytes({}, "central", {}, whole=False) is None


def test_a_state_that_holds_something_else_is_named(tmp_path: Path, report) -> None:
    store = findings.open_own(str(tmp_path), "eu-west", DEFAULT_OPTIONS)
    assert findings.from_state(store, "run-1", "eu-west") is None
    findings.leave_in_state(store, "run-1", report.model_dump_json().encode())
    assert findings.from_state(store, "run-1", "eu-west") == report
    assert findings.from_state(store, "run-2", "eu-west") is None
    with pytest.raises(DataError, match=r"latest\.json: is not of zone us-east"):
        findings.from_state(store, "run-1", "us-east")
    (tmp_path / "eu-west" / "monitoring" / "latest.json").write_text("[]")
    with pytest.raises(DataError, match=r"latest\.json: no monitoring report; remove it"):
        findings.from_state(store, "run-1", "eu-west")
