"""The page on drift names tests, benchmarks and measures that exist; its example has the defaults."""

from __future__ import annotations

import re

import yaml

from components.drift.core.outward import NoiseRules
from components.drift.findings import CAUSES
from components.egress.config import EgressConfig, SketchConfig
from components.monitoring import MonitoringConfig
from tests.support.doc_pages import ROOT, named_tests_exist

PAGE = (ROOT / "docs" / "drift.md").read_text()


def test_every_test_and_benchmark_that_is_named_exists() -> None:
    named_tests_exist(PAGE)
    for name in re.findall(r"python -m benchmarks\.(\w+)", PAGE):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def test_the_example_is_a_section_with_the_defaults() -> None:
    text, _ = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert MonitoringConfig.model_validate(yaml.safe_load(text)["monitoring"]) == MonitoringConfig()


def test_the_example_of_a_sketch_is_a_section_with_the_defaults() -> None:
    _, text = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    (locale,) = yaml.safe_load(text.replace("# noise:", "noise:").split("noise:")[0])["locales"]
    found = EgressConfig.model_validate(locale["egress"]).sketch
    assert found == SketchConfig(mode="suppressed", begin=found.begin, end=found.end)
    assert set(locale["egress"]["sketch"]) == set(SketchConfig.model_fields) - {"noise"}
    noise = yaml.safe_load(text.split("# noise:")[1].split("#")[0])
    assert NoiseRules.model_validate(noise) == NoiseRules(epsilon=1, delta=1e-6)


def test_every_cause_is_named() -> None:
    told = PAGE.split("## Causes")[1].split("## ")[0]
    assert set(CAUSES) - {"unknown"} <= set(re.findall(r"`(\w+)`", told))
