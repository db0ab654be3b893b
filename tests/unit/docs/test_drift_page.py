"""The page on drift names tests, benchmarks and measures that exist; its example has the defaults."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from components.drift.findings import CAUSES
from components.monitoring import MonitoringConfig

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "drift.md").read_text()


def test_every_test_and_benchmark_that_is_named_exists() -> None:
    file, found = "", 0
    for path, test in re.findall(r"`((?:unit/[\w/]+\.py)?)::(test_\w+)`", PAGE):
        file = path or file
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
        found += 1
    assert found == PAGE.count("::test_") >= 6
    for name in re.findall(r"python -m benchmarks\.(\w+)", PAGE):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def test_the_example_is_a_section_with_the_defaults() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert MonitoringConfig.model_validate(yaml.safe_load(text)["monitoring"]) == MonitoringConfig()


def test_every_cause_is_named() -> None:
    told = PAGE.split("## Causes")[1].split("## ")[0]
    assert set(CAUSES) - {"unknown"} <= set(re.findall(r"`(\w+)`", told))
