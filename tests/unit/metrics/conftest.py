"""A deployment, a made-up run of it, and what monitoring found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.drift.findings import Cause, Finding, Measurement, MonitorReport, MonitorRun, Null
from pipeline.config.model import Deployment
from pipeline.report.collect import collect
from pipeline.report.model import RunReport
from tests.unit.report.made_up_run import FEATURES, MadeUpRun

TOOLS = Path(__file__).parents[3] / ".venvs" / "monitoring-tools"
#: A category, a value and a note that no series may hold.
SECRETS = ("patient-4711", "ward-seven", "131.5")
LOCALES = {"eu-west": "restricted", "ap-south": "restricted", "us-east": "open"}


def find_tool(name: str) -> str:
    """Path of a program that `make monitoring-tools` installs, or the machine's own.

    Without it a test is skipped; where ISTHMUS_MONITORING_TOOLS is `required`, it fails.
    """
    own = TOOLS / "usr" / "bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found:
        return found
    why = f"{name}: not found; `make monitoring-tools` unpacks Debian's into {TOOLS.name}"
    if os.environ.get("ISTHMUS_MONITORING_TOOLS") == "required":
        pytest.fail(why)
    pytest.skip(why)


def deployment_of(
    root: Path, features: tuple[Any, ...] = (), locales: Any = LOCALES, **more: Any
) -> Deployment:
    """A deployment of the made-up run's locales."""
    named = features or tuple(
        {"name": name, "unit": unit, "kind": "categorical" if name == "mode" else "continuous"}
        for name, unit in FEATURES
    )
    return Deployment.model_validate(
        {
            "name": "orbital-fleet",
            "root": str(root),
            "dataset": {
                "label": "label",
                "features": named,
                "targets": [named[0]["name"]],
                "interval_s": 60,
            },
            "locales": [
                {
                    "name": name,
                    "sharing": sharing,
                    "source": {"pattern": f"{name}/*.csv"},
                    "signing_key": {"env": "KEY"},
                    "trusted_key": f"keys/{name}.pub",
                    **({"privacy": {"gate": {}}} if sharing == "restricted" else {}),
                }
                for name, sharing in dict(locales).items()
            ],
            "exchange": {"uri": str(root / "exchange")},
            "central": {"quorum": 1, "test_set": {"pattern": "test/*.csv"}},
            **more,
        }
    )


def measured(measure: str, value: float | None, **more: Any) -> Measurement:
    """One measurement; an alert where the value is over the threshold."""
    limit = more.get("threshold")
    verdict = "UNDEFINED" if value is None else "ALERT" if limit is not None and value > limit else "OK"
    return Measurement.model_validate({"measure": measure, "value": value, "verdict": verdict, **more})


def found(locale: str, feature: str, *measurements: Measurement, **more: Any) -> Finding:
    """One comparison with the previous span."""
    verdicts = {item.verdict for item in measurements}
    verdict = next((word for word in ("ALERT", "OK") if word in verdicts), "UNDEFINED")
    return Finding.model_validate(
        {
            "comparison": "drift",
            "locale": locale,
            "against": "span 3",
            "baseline": "previous",
            "feature": feature,
            "span": 4,
            "measurements": measurements,
            "verdict": verdict,
            **more,
        }
    )


def report_of(zone: str, *findings: Finding, **more: Any) -> MonitorReport:
    """What one zone found."""
    sharing = LOCALES.get(zone, "central" if zone == "central" else "restricted")
    given = {"zone": zone, "sharing": sharing, "span": 4, "alpha": 0.01, "status": "EVALUATED"}
    return MonitorReport.model_validate(given | {"findings": findings} | more)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Its root is the test's folder."""
    return deployment_of(tmp_path)


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUpRun:
    """A whole run on disk."""
    return MadeUpRun(tmp_path)


@pytest.fixture
def run_report(made_up: MadeUpRun) -> RunReport:
    """Its report."""
    return collect(made_up.run_dir)


@pytest.fixture
def monitor() -> MonitorRun:
    """A drift with a cause, one that is undefined, a skew, and names that only the rows know."""
    cause = Cause(
        name="unit_change", words=f"the scale changed from {SECRETS[2]}", begin="2026-11-20T00:00:00Z"
    )
    null = Null(mean=0.02, limit=0.06, draws=200, blocks=40, block_s=3600)
    drift = found(
        "eu-west",
        "panel_temperature",
        measured("jensen_shannon_divergence", 0.41, unit="bit", threshold=0.2, rule="number", null=null),
        measured("wasserstein", 3.5, unit="°C", p_value=0.001, q_value=0.004),
        measured("population_stability_index", 1.7),
        cause=cause,
        severity="critical",
    )
    quiet = found(
        "eu-west", "bus_voltage", measured("jensen_shannon_divergence", 0.01, unit="bit", threshold=0.2)
    )
    blind = found("eu-west", "mode", measured("infinity_norm", None, reason=f"category {SECRETS[0]}"))
    strange = found("eu-west", SECRETS[1], measured("schema", 1.0), split=SECRETS[0])
    skew = found(
        "ap-south",
        "mode",
        measured("infinity_norm", 0.31, threshold=0.2, rule="number"),
        comparison="skew",
        against="us-east",
        baseline="",
        cause=Cause(name="real_regional_difference", words="the duty cycle differs"),
    )
    return MonitorRun(
        deployment="orbital-fleet",
        run_id="20261121T035100-abc123",
        finished="2026-11-21T03:54:12+00:00",
        isthmus_version="0.1.0",
        reports=(
            report_of("eu-west", drift, quiet, blind, strange),
            report_of("ap-south", status="NOT_EVALUATED", reason="no earlier span"),
            report_of("central", skew),
        ),
        missing={"us-east": "not monitored"},
    )


@pytest.fixture
def text_of() -> Callable[..., dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """Parses exposition text with prometheus_client's own reader: name and labels to value."""
    from prometheus_client.parser import text_string_to_metric_families

    def read(text: str | bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        told = text.decode() if isinstance(text, bytes) else text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }

    return read
