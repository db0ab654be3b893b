"""The `monitoring` section: defaults, per-locale overrides, and the one line for what it cannot mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from components.monitoring import MonitoringConfig
from pipeline.config.load import load_deployment
from pipeline.config.resolve import central_configs
from pipeline.config.resolve_regional import egress_config, regional_configs
from tests.unit.pipeline.test_config_load import VALID, write


def loaded(folder: Path, edit):
    data = yaml.safe_load(VALID)
    edit(data)
    return load_deployment(write(folder, yaml.safe_dump(data, sort_keys=False)))


def monitoring(section, locale=None):
    def edit(data):
        target = data if locale is None else data["locales"][locale]
        target["monitoring"] = section

    return edit


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"alpha": 5}, "monitoring.alpha: found 5; allowed: less than or equal to 0.5"),
        ({"alhpa": 0.1}, "monitoring.alhpa: unknown key (did you mean"),
        ({"measures": {"kolmogorov": 0.1}}, "monitoring.measures.kolmogorov"),
        (
            {"measures": {"infinity_norm": 20}},
            "infinity_norm: found 20, which it never exceeds; allowed: a number from 0 to 1, or noise",
        ),
        (
            {"features": {"temp_c": {"measures": {"missing_rate": 1.5}}}},
            "missing_rate: found 1.5, which it never exceeds",
        ),
        (
            {"baselines": {"previous": False}},
            "no baseline at all, so that no drift would ever be found",
        ),
        ({"baselines": {"window": 1}}, "window: found 1, which is the previous span again; allowed: 0"),
        ({"baselines": {"window": "2 weeks"}}, "monitoring.baselines.window: found '2 weeks'"),
        ({"block_s": 60, "bucket_s": 3600}, "block_s: found 60, less than bucket_s 3600"),
        ({"severity": {"default": "loud"}}, "allowed: 'info', 'warning' or 'critical'"),
        (
            {"severity": {"features": {"tmep_c": "critical"}}},
            "monitoring.severity.features: found 'tmep_c'; allowed: temp_c, heater_on, label, (all), or a",
        ),
    ],
)
def test_what_it_cannot_mean_is_one_line(tmp_path, section, words):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, monitoring(section))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_locales_own_key_goes_before_the_deployments_and_the_rest_stays(tmp_path):
    def edit(data):
        data["monitoring"] = {"alpha": 0.05, "min_count": 7}
        data["locales"][0]["monitoring"] = {"alpha": 0.001}

    deployment = loaded(tmp_path, edit)
    eu, us = (regional_configs(deployment, name).drift_monitor for name in ("eu-west", "us-east"))
    assert (eu.monitoring.alpha, eu.monitoring.min_count) == (0.001, 7)
    assert (us.monitoring.alpha, us.monitoring.min_count) == (0.05, 7)
    assert central_configs(deployment).skew_monitor.monitoring.alpha == 0.05


def test_a_wrong_key_of_a_locale_is_named_where_it_stands(tmp_path):
    with pytest.raises(ConfigError, match=r"locales\[1\]\.monitoring\.alhpa: unknown key"):
        loaded(tmp_path, monitoring({"alhpa": 1}, locale=1))
    with pytest.raises(ConfigError, match=r"locales\[0\]\.monitoring\.severity\.features: found 'x'"):
        loaded(tmp_path, monitoring({"severity": {"features": {"x": "info"}}}, locale=0))


def test_how_drift_is_judged_repeats_nothing_of_the_schema(tmp_path):
    """SchemaGen's outputs feed the synthesizer: another level must not train it anew."""
    more = {"alpha": 0.2, "measures": {"wasserstein": 3.0}}
    before, after = loaded(tmp_path, monitoring({})), loaded(tmp_path, monitoring(more))
    one, two = (regional_configs(found, "eu-west") for found in (before, after))
    assert (one.schema_gen, one.example_validator) == (two.schema_gen, two.example_validator)
    assert one.drift_monitor != two.drift_monitor
    assert central_configs(before).skew_validator == central_configs(after).skew_validator


def test_a_release_with_differential_privacy_says_nothing_of_distances_of_real_rows(tmp_path):
    def listed(data):
        data["locales"][0]["privacy"] = {"gate": {}, "target_epsilon": 2, "target_delta": 1e-6}
        data["locales"][0]["egress"] = {"monitoring": "listed"}

    plain = loaded(tmp_path, lambda data: None)
    assert egress_config(plain, "eu-west").monitoring == "listed"
    with pytest.raises(ConfigError, match=r"egress\.monitoring: found 'listed', distances of real rows"):
        loaded(tmp_path, listed)
    locale = plain.locales[0]
    privacy = locale.privacy.model_copy(update={"target_epsilon": 2.0, "target_delta": 1e-6})
    bounded = plain.model_copy(
        update={"locales": (locale.model_copy(update={"privacy": privacy}), plain.locales[1])}
    )
    assert egress_config(bounded, "eu-west").monitoring == "withheld"


def test_severity_is_the_worst_that_applies():
    config = MonitoringConfig.model_validate(
        {
            "severity": {
                "default": "info",
                "features": {"temp*": "warning"},
                "measures": {"missing_rate": "critical"},
                "faults": "warning",
            },
        }
    )
    severity = config.severity.of
    assert severity("flow", ["wasserstein"]) == "info"
    assert severity("temp_c", ["wasserstein"]) == "warning"
    assert severity("temp_c", ["wasserstein", "missing_rate"]) == "critical"
    assert severity("flow", [], is_fault=True) == "warning"


def served_rows(section):
    return lambda data: data["central"].update(served_rows=section)


def test_what_the_detector_was_asked_is_looked_for_where_the_deployment_says(tmp_path):
    deployment = loaded(tmp_path, served_rows({"folder": "served", "days": 7}))
    assert central_configs(deployment).skew_monitor.served_rows.folder == str(tmp_path / "served")
    for section, words in (
        ({"folder": "s3://bucket/served"}, "central.served_rows.folder: found a URI; allowed: a folder"),
        (
            {"folder": "served", "days": 0},
            "central.served_rows.days: found 0; allowed: greater than or equal",
        ),
        ({"folder": "served", "hours": 1}, "central.served_rows.hours: unknown key"),
    ):
        with pytest.raises(ConfigError) as error:
            loaded(tmp_path, served_rows(section))
        assert words in str(error.value)
