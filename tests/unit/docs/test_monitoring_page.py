"""The page on metrics lists those of the code, and names files, tests, options and keys that there are."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from typer.main import get_command

from pipeline.cli import app
from pipeline.config.metrics import MetricsSection, PushgatewaySection
from pipeline.metrics.catalogue import BY_NAME, CATALOGUE
from tests.unit.kubeflow.monitoring_files import DASHBOARDS, dashboard, rules

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "monitoring.md").read_text()


def test_the_table_is_the_list_of_the_code() -> None:
    rows = [
        f"| `{spec.name}`{' *(run)*' if spec.per == 'run' else ''} | {spec.kind} | "
        f"{', '.join(f'`{label}`' for label in spec.labels) or 'none of its own'} | {spec.help} |"
        for spec in CATALOGUE
    ]
    assert [line for line in PAGE.splitlines() if line.startswith("| `isthmus_")] == rows


def test_every_metric_rule_and_dashboard_that_is_named_exists() -> None:
    names = set(re.findall(r"`(isthmus[_:][a-z0-9_:]+)`", PAGE))
    assert names <= set(BY_NAME) | set(rules("record"))
    assert set(re.findall(r"`(Isthmus\w+)`", PAGE)) <= set(rules("alert"))
    for path in DASHBOARDS:
        assert f"| {dashboard(path)['title']} |" in PAGE


def test_every_test_and_file_that_is_named_exists() -> None:
    for file in re.findall(r"`(unit/[\w/]+\.py)`", PAGE):
        assert (ROOT / "tests" / file).is_file(), file
    for name in ("dashboards", "rules.yaml", "rules.test.yaml", "scrape-config.example.yaml"):
        assert name in PAGE and (ROOT / "kubeflow" / "monitoring" / name).exists()


def test_the_example_is_a_section_with_the_defaults() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    section = MetricsSection.model_validate(yaml.safe_load(text)["metrics"])
    gateway = section.pushgateway
    assert gateway is not None and section.textfile_folder is not None
    assert (section.max_features, section.max_series) == (
        MetricsSection().max_features,
        MetricsSection().max_series,
    )
    default = PushgatewaySection(url=gateway.url)
    for key in ("job", "timeout_s", "attempts"):
        assert getattr(gateway, key) == getattr(default, key)
    assert set(yaml.safe_load(text)["metrics"]) == set(MetricsSection.model_fields)
    told = set(yaml.safe_load(text)["metrics"]["pushgateway"]) | {"token"}
    assert told == set(PushgatewaySection.model_fields)


def test_the_command_has_the_options_of_the_page() -> None:
    known = {option for item in get_command(app).commands["metrics"].params for option in item.opts}
    named = set(re.findall(r"isthmus metrics \S+ (--[a-z]+)", PAGE))
    assert named and named <= known
