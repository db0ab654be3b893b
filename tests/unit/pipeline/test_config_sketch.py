"""What `egress.sketch` may say, and the one line for what it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.errors import ConfigError
from pipeline.commands.egress import describe
from pipeline.config import resolve
from pipeline.config.load import load_deployment
from pipeline.config.model import Deployment
from tests.unit.pipeline.deployments import loaded, restricted

SUPPRESSED = {"mode": "suppressed"}
NOISED = {
    "mode": "noised",
    "begin": "2026-01-01",
    "end": "2026-01-15",
    "noise": {"epsilon": 1, "delta": 1e-6},
}
PRIVATE = {"gate": {}, "target_epsilon": 4, "target_delta": 1e-6}
BUDGET = {"epsilon": 10, "delta": 1e-6, "unit": "record"}
PERIOD = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
LINEAR = {"method": "dp_linear", "dp": {"kinds": ["spike"], "period": PERIOD}}
VALID = restricted(
    {
        "interval_s": 300,
        "schema_name": "simulated_fleet",
        "features": [{"name": "temp_c"}, {"name": "soc"}],
        "targets": ["temp_c"],
    },
    {"privacy": {"gate": {}}, "egress": {"sketch": SUPPRESSED}},
)


def load(tmp_path: Any, edit: Any = lambda _: None) -> Deployment:
    return loaded(tmp_path, VALID, edit)


def locale(**changes: Any) -> Any:
    return lambda d: d["locales"][0].update(changes)


def private(sketch: Any, budget: Any = BUDGET, **dp: Any) -> Any:
    privacy = {**PRIVATE, **({"budget": budget} if budget else {})}
    synthesizer = {**LINEAR, "dp": {**LINEAR["dp"], **dp}}
    return locale(privacy=privacy, synthesizer=synthesizer, egress={"sketch": sketch})


def test_withheld_is_the_default_and_leaves_every_configuration_as_it_was(tmp_path: Any) -> None:
    configs = resolve.regional_configs(load(tmp_path, locale(egress={})), "eu-west")
    assert configs.sketch is None
    said = load(tmp_path, locale(egress={"sketch": {"mode": "withheld"}}))
    assert resolve.regional_configs(said, "eu-west").sketch is None
    for config in (configs.pusher, configs.drift_monitor, configs.generation):
        assert config is not None and "sketch" not in config.to_exec_property()


def test_a_sketch_is_made_and_pushed_by_the_policy_and_repeats_no_other_work(tmp_path: Any) -> None:
    given = {**SUPPRESSED, "minimum": 30, "period_days": 7}
    configs = resolve.regional_configs(load(tmp_path, locale(egress={"sketch": given})), "eu-west")
    assert configs.sketch is not None and configs.sketch.sketch == configs.pusher.egress.sketch
    rules = configs.sketch.sketch.rules()
    assert rules is not None and (rules.minimum, rules.period_s, rules.noise) == (30, 7 * 86_400, None)
    for config in (configs.drift_monitor, configs.generation):
        assert config is not None and "sketch" not in config.to_exec_property()
    assert type(configs.pusher).from_exec_property(configs.pusher.to_exec_property()) == configs.pusher


def test_noise_is_of_the_declared_days_and_counted_with_the_release(tmp_path: Any) -> None:
    configs = resolve.regional_configs(load(tmp_path, private(NOISED)), "eu-west")
    assert configs.sketch is not None
    rules = configs.sketch.sketch.rules()
    assert rules is not None and rules.noise is not None
    assert (rules.begin_s, rules.end_s) == (1_767_225_600, 1_768_435_200)
    with pytest.raises(
        ConfigError, match=r"privacy\.budget\.epsilon: found 4, but a single release costs 4\.\d"
    ):
        load(tmp_path, private(NOISED, {**BUDGET, "epsilon": 4}))


def test_days_need_no_quotes(tmp_path: Any) -> None:
    load(tmp_path, private(NOISED))
    path = tmp_path / "isthmus.yaml"
    text = path.read_text()
    path.write_text(text.replace("'2026-01-01'", "2026-01-01").replace("'2026-01-15'", "2026-01-15"))
    assert path.read_text() != text
    found = load_deployment(path)
    configs = resolve.regional_configs(found, "eu-west")
    assert configs.sketch is not None and str(configs.sketch.sketch.begin) == "2026-01-01"
    assert len(found.file_digest) == 64


def test_what_leaves_is_listed_where_it_leaves(tmp_path: Any) -> None:
    shown = describe(load(tmp_path), "eu-west")
    assert "small ones hidden" in shown["files"]["sketch.json"]
    assert "bins" in shown["fields"]["sketch.json"] and shown["policy"]["sketch"]["mode"] == "suppressed"
    without = describe(load(tmp_path, locale(egress={})), "eu-west")
    assert "sketch.json" not in without["files"] and "sketch" not in json.dumps(without["policy"])


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (private(SUPPRESSED), "egress.sketch.mode: found 'suppressed', counts of real rows"),
        (private(SUPPRESSED, None), "egress.sketch.mode: found 'suppressed'"),
        (private(NOISED, None), "egress.sketch.mode: found 'noised' without privacy.budget"),
        (locale(egress={"sketch": NOISED}), "egress.sketch.mode: found 'noised' without privacy.budget"),
        (
            private({**NOISED, "noise": {**NOISED["noise"], "unit": "window", "unit_rows": 12}}),
            "egress.sketch.noise.unit: found window, the budget is per record",
        ),
        (
            private(NOISED, {**BUDGET, "unit": "series"}, unit="series", max_rows_per_series=5),
            "found record, the budget is per series; allowed: record or window",
        ),
        (
            private(
                {**NOISED, "noise": {**NOISED["noise"], "unit": "window", "unit_rows": 6}},
                {**BUDGET, "unit": "window"},
                unit="window",
                window_rows=12,
            ),
            "egress.sketch.noise.unit_rows: found 6, the synthesizer's unit has 12",
        ),
        (
            locale(egress={"sketch": {**NOISED, "noise": {**NOISED["noise"], "unit": "series"}}}),
            "egress.sketch.noise.unit: found 'series'",
        ),
        (lambda d: d["dataset"].pop("schema_name"), "egress.sketch: dataset.schema_name: found none"),
        (
            lambda d: d["dataset"].update(features=[{"name": "other"}], targets=["other"]),
            "egress.sketch: public plan: schema 'simulated_fleet': no feature has a domain",
        ),
        (locale(egress={"sketch": {"mode": "told"}}), "egress.sketch.mode: found 'told'"),
        (locale(egress={"sketch": {"minimum": 30}}), "found minimum with mode withheld"),
        (locale(egress={"sketch": {**SUPPRESSED, "minimum": 4}}), "egress.sketch.minimum: found 4"),
        (locale(egress={"sketch": {**NOISED, **SUPPRESSED}}), "found noise with mode suppressed"),
        (locale(egress={"sketch": {"mode": "noised"}}), "found no noise with mode noised"),
        (locale(egress={"sketch": {"mode": "noised", "noise": NOISED["noise"]}}), "found no begin and end"),
        (locale(egress={"sketch": {**SUPPRESSED, "begin": "2026-01-01"}}), "found one of begin and end"),
        (
            locale(egress={"sketch": {**SUPPRESSED, "begin": "2026-01-02", "end": "2026-01-02"}}),
            "begin 2026-01-02 is not before end",
        ),
        (
            locale(egress={"sketch": {**SUPPRESSED, "begin": "1900-01-02", "end": "2026-01-02"}}),
            "periods; allowed: 10000",
        ),
        (
            locale(egress={"sketch": SUPPRESSED, "supporters": "series"}),
            "whose minimum counts rows, with supporters: series",
        ),
        (
            locale(egress={"sketch": SUPPRESSED, "min_supporters": 30}),
            "found sketch.minimum 20, less than min_supporters 30",
        ),
        (locale(egress={"sketch": {**SUPPRESSED, "seed": 3}}), "egress.sketch.seed: unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Any, edit: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, edit)
    assert expected in str(caught.value) and "\n" not in str(caught.value)
