"""What is recorded of a locale that came to no monitor, and the report that is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.errors import ColumnError, ConfigError, DataError, InternalError
from pipeline.monitoring.collect import collect, collect_own
from pipeline.refusals import fill, refusal_of
from pipeline.run_state import PipelineState, take
from tests.support import deployments
from tests.unit.pipeline.test_runner_parts import make_state


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return deployments.deployment(tmp_path_factory.mktemp("refusals"))


@pytest.fixture
def locale(deployment):
    return deployment.locales[0].name


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DataError("the file is empty"), "span_refused"),
        (ConfigError("no such key"), "run_failed"),
        (InternalError("ours"), "run_failed"),
        (None, "run_failed"),
    ],
)
def test_the_cause_is_what_ended_the_run(deployment, locale, error, cause):
    found = refusal_of(deployment, locale, error)
    assert (found["cause"], found["feature"]) == (cause, "(all)")


def test_a_column_is_named_if_the_deployment_has_it(deployment, locale):
    own = deployment.dataset.features[0].name
    found = refusal_of(deployment, locale, ColumnError(f"no column {own}", own))
    assert (found["cause"], found["feature"]) == ("schema_change", own)
    # A column that is there twice may be one that only the source has.
    found = refusal_of(deployment, locale, ColumnError("patient_4711 twice", "patient_4711"))
    assert (found["cause"], found["feature"]) == ("schema_change", "(all)")


def test_severity_and_level_are_those_of_the_section(deployment, locale):
    section = {"alpha": 0.05, "severity": {"default": "info", "measures": {"schema": "critical"}}}
    found = deployment.model_copy(update={"monitoring": section})
    own = found.dataset.features[0].name
    severe = refusal_of(found, locale, ColumnError("gone", own))
    assert (severe["severity"], severe["alpha"]) == ("critical", 0.05)
    assert refusal_of(found, locale, DataError("empty"))["severity"] == "info"
    section["severity"] = {"default": "info", "faults": "critical"}
    assert refusal_of(found, locale, DataError("empty"))["severity"] == "critical"
    assert refusal_of(found, locale, None)["severity"] == "info"
    # A section that breaks a rule may be why the run failed.
    broken = deployment.model_copy(update={"monitoring": {"alpha": 7}})
    assert refusal_of(broken, locale, ConfigError("alpha"))["severity"] == "warning"


def test_the_span_is_the_one_that_was_asked_for(deployment, locale, tmp_path):
    section = deployment.locale(locale)

    def span(wanted, pattern):
        source = section.source.model_copy(update={"pattern": pattern})
        changed = section.model_copy(update={"source": source, "span": wanted})
        found = deployment.model_copy(update={"locales": (changed,)})
        return refusal_of(found, locale, DataError("x"))["span"]

    for number in (3, 8):
        (tmp_path / f"span-{number}").mkdir()
        (tmp_path / f"span-{number}" / "a.csv").write_text("x")
    there = str(tmp_path / "span-{SPAN}" / "*.csv")
    assert (span("latest", there), span(3, there), span(5, there)) == (8, 3, 5)
    assert span("latest", str(tmp_path / "gone-{SPAN}" / "*.csv")) is None


def test_a_locale_that_ended_without_an_error_gets_one_too(deployment, locale):
    told = {"cause": "schema_change"}
    state = make_state(**{locale: PipelineState(status="failed"), "b": PipelineState(status="succeeded")})
    fill(deployment, state)
    assert state.locales[locale].refusal["cause"] == "run_failed" and state.locales["b"].refusal == {}
    take(state.locales[locale], "failed", {"seconds": 1, "exit_status": 2, "error": "e", "refusal": told})
    fill(deployment, state)
    assert state.locales[locale].refusal == told


REFUSAL = {
    "cause": "schema_change",
    "feature": "load",
    "span": 4,
    "severity": "critical",
    "alpha": 0.02,
    "correction": "benjamini_yekutieli",
}


def made(tmp_path: Path, refusal: dict, run_id: str = "r1", **change) -> Path:
    """A run's folder with one locale that failed."""
    section = {"sharing": "restricted", "status": "failed", "error": "no such column", "components": []}
    record = {"run_id": run_id, "name": "fleet", "locales": {"eu": {**section, "refusal": refusal, **change}}}
    folder = tmp_path / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_a_run_that_came_to_no_monitor_has_a_report_with_one_alert(tmp_path):
    folder = made(tmp_path, REFUSAL)
    (report,) = collect(folder).reports
    assert "eu" not in collect(folder).missing
    assert (report.zone, report.sharing, report.span, report.alpha) == ("eu", "restricted", 4, 0.02)
    assert (report.status, report.correction) == ("NOT_EVALUATED", "benjamini_yekutieli")
    assert report.reason == "DriftMonitor did not run because eu failed before it: no such column"
    (finding,) = report.alerts
    assert (finding.comparison, finding.feature, finding.severity) == ("intake", "load", "critical")
    assert finding.cause.name == "schema_change"
    assert finding.cause.words.startswith("eu: the span was refused, since column load is gone")
    assert collect_own(folder, "eu").reports == (report,)


def test_a_span_that_is_not_known_stands_at_the_last_that_was_seen(tmp_path):
    earlier = made(tmp_path, REFUSAL | {"span": 6}, "r0")
    (earlier / "monitor.json").write_text(collect(earlier).model_dump_json())
    unknown = REFUSAL | {"span": None, "cause": "span_refused", "feature": "(all)"}
    (report,) = collect(made(tmp_path, unknown)).reports
    assert report.span == report.findings[0].span == 6
    assert report.findings[0].reason.endswith("the last one that was seen stands for it.")
    (report,) = collect(made(tmp_path / "else", unknown)).reports
    assert report.span == 0


@pytest.mark.parametrize(
    ("refusal", "change"),
    [
        ({}, {}),
        (REFUSAL | {"cause": "of a later version"}, {}),
        ({"cause": "run_failed"}, {}),
        (REFUSAL, {"status": "skipped"}),
    ],
)
def test_without_a_record_there_is_the_reason_alone(tmp_path, refusal, change):
    found = collect(made(tmp_path, refusal, **change))
    assert found.reports == () and "eu" in found.missing
