"""The text: what Prometheus' own readers make of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from components.drift.findings import MonitorRun
from pipeline.config.model import Deployment
from pipeline.metrics.catalogue import BY_NAME, CATALOGUE, PREFIX
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group, Sample
from pipeline.metrics.write import groups_of

UNITS = ("seconds", "ratio")


def test_names_follow_the_rules() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for spec in CATALOGUE:
        assert re.fullmatch(r"isthmus_[a-z0-9]+(_[a-z0-9]+)*", spec.name) and spec.name.startswith(PREFIX)
        assert (spec.kind == "counter") == spec.name.endswith("_total")
        assert (spec.kind == "info") == spec.name.endswith("_info")
        assert spec.unit == next((unit for unit in UNITS if spec.family.endswith(f"_{unit}")), "")
        assert len(set(spec.all_labels)) == len(spec.all_labels)
        assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in spec.labels)
        assert "le" not in spec.labels and "quantile" not in spec.labels
        assert len(spec.help) < 120 and spec.help[0].isupper() | spec.help[0].isdigit() | (
            spec.help[:2] == "p "
        )


def test_the_two_forms_say_the_same(
    deployment: Deployment, run_report: Any, monitor: MonitorRun, text_of: Callable[..., Any]
) -> None:
    groups = groups_of(deployment, run_report, monitor)
    plain, other = render(groups), render(groups, "openmetrics")
    families = list(read_openmetrics(other.decode()))  # refuses what is no OpenMetrics 1.0
    told = {(x.name, frozenset(x.labels.items())): x.value for f in families for x in f.samples}
    assert told == text_of(plain)
    assert other.endswith(b"# EOF\n") and b"# EOF" not in plain
    assert {f.name: f.unit for f in families} == {
        s.family: s.unit for s in CATALOGUE if s.family in {f.name for f in families}
    }
    assert len(told) == sum(len(group.samples) for group in groups)


def test_every_series_has_its_labels_and_no_time(
    deployment: Deployment, run_report: Any, monitor: MonitorRun
) -> None:
    text = render(groups_of(deployment, run_report, monitor)).decode()
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()  # type: ignore[union-attr]
            assert set(re.findall(r'(\w+)="', labels)) == set(BY_NAME[name].all_labels)
            float(value)
    assert text.count("# HELP isthmus_zone_success ") == text.count("# TYPE isthmus_zone_success ") == 1
    # One block per metric, in the order of the list.
    order = re.findall(r"# TYPE (\w+)", text)
    assert order == [spec.name for spec in CATALOGUE if spec.name in order]


def test_text_in_a_label_is_escaped(text_of: Callable[..., Any]) -> None:
    name = 'a "b" \\ c\nd'
    group = Group(name, "é", (Sample("isthmus_zone_success", (), 1),))
    ((key, value),) = text_of(render([group])).items()
    assert key[1] == {("deployment", name), ("zone", "é")} and value == 1
    ((family),) = read_openmetrics(render([group], "openmetrics").decode())
    assert family.samples[0].labels["deployment"] == name


def test_no_other_name_of_ours_is_taken() -> None:
    """The detector's server exports `isthmus_` too; one Prometheus reads both."""
    source = (Path(__file__).parents[3] / "pipeline" / "serving" / "predictor.py").read_text()
    served = set(re.findall(r'"(isthmus_\w+)"', source))
    ours = {spec.name for spec in CATALOGUE}
    assert len(served) >= 5 and not {name for name in served if name in ours or f"{name}_total" in ours}
