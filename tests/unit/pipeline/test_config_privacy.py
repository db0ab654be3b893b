"""What a deployment may say about differential privacy, and the one line for what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from components.config_base import canonical_json
from components.errors import ConfigError
from components.release.privacy import PrivacyClaim, synthetic_statement
from pipeline.config import resolve
from pipeline.config.model import Deployment
from tests.unit.pipeline.deployments import loaded, restricted

VALID = restricted(
    {
        "interval_s": 60,
        "features": [{"name": "temp_c"}, {"name": "mode", "kind": "categorical"}],
        "targets": ["temp_c"],
    },
    {
        "privacy": {"gate": {}, "target_epsilon": 4, "target_delta": 1e-6},
        "synthesizer": {
            "method": "dp_linear",
            "dp": {
                "bounds": {"temp_c": [0, 40]},
                "vocabularies": {"mode": ["sun", "safe"]},
                "kinds": ["spike"],
                "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
            },
        },
    },
)


def load(tmp_path: Any, edit: Any = lambda _: None) -> Deployment:
    return loaded(tmp_path, VALID, edit)


def test_the_guarantee_reaches_every_component(tmp_path: Any) -> None:
    configs = resolve.regional_configs(load(tmp_path), "eu-west")
    assert configs.synthesizer is not None and configs.synthesizer.dp is not None
    assert (configs.synthesizer.dp.epsilon, configs.synthesizer.dp.delta) == (4, 1e-6)
    # A row's split must not depend on other rows, or neighbours differ in more than one training row.
    assert configs.example_gen.splits.deal == "by_time"
    claim = configs.pusher.privacy
    assert isinstance(claim, PrivacyClaim)
    assert (claim.epsilon, claim.delta, claim.unit, claim.adjacency) == (
        4,
        1e-6,
        "record",
        "add_or_remove_one",
    )
    statement = synthetic_statement("eu-west", 1, claim)
    assert any("gate's verdict and metrics" in sentence for sentence in statement.sentences)
    assert statement.epsilon == 4


def test_a_private_gan_is_claimed_with_its_sampling(tmp_path: Any) -> None:
    configs = resolve.regional_configs(load(tmp_path, _gan()), "eu-west")
    assert configs.synthesizer is not None and configs.synthesizer.critic is not None
    assert configs.example_gen.splits.deal == "by_time"
    claim = configs.pusher.privacy
    assert isinstance(claim, PrivacyClaim)
    assert (claim.epsilon, claim.unit) == (4, "record") and "DP-SGD" in claim.mechanism
    assert "each window of 6 rows is in each of 20 batches with probability 0.1" in claim.sampling


@pytest.mark.parametrize("policy", ["none", "drop"])
def test_a_policy_that_looks_at_the_row_alone_goes_with_differential_privacy(
    tmp_path: Any, policy: str
) -> None:
    deployment = load(tmp_path, lambda d: d.update(quality={"imputation": {"features": {"temp_c": policy}}}))
    assert deployment.quality.imputation.policies(deployment.dataset)["temp_c"] == policy


def test_without_differential_privacy_nothing_changes(tmp_path: Any) -> None:
    def edit(d: dict[str, Any]) -> None:
        d["locales"][0]["privacy"] = {"gate": {}}
        d["locales"][0].pop("synthesizer")

    configs = resolve.regional_configs(load(tmp_path, edit), "eu-west")
    assert configs.pusher.privacy is None and configs.example_gen.splits.deal == "balanced"


def _locale(**changes: Any) -> Any:
    return lambda d: d["locales"][0].update(changes)


def _gan(**changes: Any) -> Any:
    def edit(d: dict[str, Any]) -> None:
        own = d["locales"][0]["synthesizer"]
        own.update(method="dp_gan")
        own["dp"].update(critic={"slot_rows": 6, "steps": 20}, **changes)

    return edit


def _dp(**changes: Any) -> Any:
    return lambda d: d["locales"][0]["synthesizer"]["dp"].update(changes)


def _without(key: str) -> Any:
    return lambda d: d["locales"][0]["synthesizer"]["dp"].pop(key)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_locale(synthesizer={}), "privacy.target_epsilon: found 4, but the synthesizer's method 'gan'"),
        (_locale(privacy={"gate": {}}), "privacy.target_epsilon: found none"),
        (_locale(privacy={"gate": {}, "target_epsilon": 4}), "mean something only together"),
        (_dp(epsilon=9), "locales[0].synthesizer.dp.epsilon: found 9; allowed: say it once"),
        (
            lambda d: d.update(quality={"imputation": {"features": {"temp_c": "median"}}}),
            "quality.imputation: found 'median' for 'temp_c', which fills a row from other rows",
        ),
        (_without("bounds"), "synthesizer.dp.bounds.temp_c: found none"),
        (_dp(bounds={"temp_c": [3, 3]}), "bounds.temp_c: 3 is not below 3"),
        (_dp(bounds={"temp": [0, 3]}), "dp.bounds.temp: allowed: temp_c"),
        (_without("vocabularies"), "synthesizer.dp.vocabularies.mode: found none"),
        (_without("kinds"), "synthesizer.dp.kinds: found none"),
        (_dp(unit="series"), "unit 'series' needs max_rows_per_series"),
        (_dp(max_rows_per_series=9), "max_rows_per_series belongs to unit 'series'"),
        (_dp(unit="people"), "synthesizer.dp.unit: found 'people'"),
        (_dp(period={"start": "2026-02-01", "end": "2026-01-01"}), "is not before end"),
        (_dp(critic={}), "dp.critic belongs to method 'dp_gan', found method 'dp_linear'"),
        (_gan(unit="window"), "dp.unit: found 'window' with method 'dp_gan'"),
        (_gan(epsilon=9), "locales[0].synthesizer.dp.epsilon: found 9; allowed: say it once"),
        (_locale(privacy={"gate": {}}, synthesizer={"method": "dp_gan"}),
         "privacy.target_epsilon: found none; the synthesizer's method 'dp_gan' needs it"),
        (lambda d: d["generation"].pop("sessions"), "generation.sessions: found none"),
        (lambda d: d["locales"][0].update(egress={"timestamps": "real"}, generation={"grid": "real"}),
         "generation.grid: found 'real', which releases times and number"),
        (_without("period"), "synthesizer.dp.period: found none"),
        (
            _locale(privacy={**VALID["locales"][0]["privacy"],
                             "budget": {"epsilon": 10, "delta": 1e-6, "unit": "series"}}),
            "privacy.budget.unit: found series",
        ),
        (
            _locale(privacy={**VALID["locales"][0]["privacy"],
                             "budget": {"epsilon": 3, "delta": 1e-6, "unit": "record"}}),
            "privacy.budget.epsilon: found 3, but a single release costs 4",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Any, edit: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, edit)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_a_private_gan_that_does_not_fit_once_is_refused_before_any_run(tmp_path: Any) -> None:
    def edit(d: dict[str, Any]) -> None:
        _gan()(d)
        d["locales"][0]["privacy"]["budget"] = {"epsilon": limit, "delta": 1e-6, "unit": "record"}

    limit = 3.9
    with pytest.raises(
        ConfigError, match=r"budget\.epsilon: found 3\.9, but a single release costs (3\.9\d+|4) at"
    ):
        load(tmp_path, edit)
    # Core and critic together cost what was asked for, and no more.
    limit = 4.0
    load(tmp_path, edit)


def test_a_curated_schema_gives_the_domains(tmp_path: Any) -> None:
    from components.synthesizer_trainer.public_domains import public_domains

    def edit(d: dict[str, Any]) -> None:
        d["dataset"]["schema_name"] = "simulated_fleet"
        d["locales"][0]["synthesizer"]["dp"] = {"kinds": ["spike"], "period": VALID["locales"][0][
            "synthesizer"]["dp"]["period"]}  # fmt: skip

    config = resolve.regional_configs(load(tmp_path, edit), "eu-west").synthesizer
    assert config is not None
    domains = public_domains(config)
    assert domains.bounds == {"temp_c": (-60.0, 120.0)}
    assert domains.vocabularies == {"mode": ("eclipse", "safe", "sun")} and domains.kinds == ("spike",)
    assert canonical_json(config.model_dump(mode="json"))


def test_a_budget_is_checked_for_its_own_neighbours(monkeypatch):
    from components.governance.config import BudgetConfig
    from components.governance.core import accounting
    from components.governance.core.events import Gaussian, PrivacyCost
    from pipeline.config.privacy import check_fits

    seen = []

    def spent(costs, delta, relation="add_or_remove_one"):
        seen.append(relation)
        return 1.0

    monkeypatch.setattr(accounting, "spent_epsilon", spent)
    events = (Gaussian(noise_multiplier=20.0),)
    for relation in ("add_or_remove_one", "replace_one"):
        cost = PrivacyCost(unit="series", events=events, neighboring_relation=relation)
        budget = BudgetConfig(epsilon=3, delta=1e-6, unit="series", neighboring_relation=relation)
        check_fits(cost, budget, "eu-west")
    assert seen == ["add_or_remove_one", "replace_one"]


def _merging(factors: Any) -> Any:
    def edit(found: dict[str, Any]) -> None:
        found["locales"][0]["privacy"] = {"gate": {}}
        found["locales"][0]["synthesizer"] = {"rare_events": {"below": "merge"}}
        found["generation"]["label_amplification"] = factors

    return edit


def test_merged_kinds_need_a_factor_under_their_new_name(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"label_amplification: found spike, but .*a factor for 'other'"):
        resolve.regional_configs(load(tmp_path, _merging({"spike": 5})), "eu-west")
    for factors in ({"spike": 5, "other": 5}, 3):
        found = resolve.regional_configs(load(tmp_path, _merging(factors)), "eu-west")
        assert found.pusher.rare_events is not None and found.pusher.rare_events.below == "merge"
