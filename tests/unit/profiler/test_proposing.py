"""What is proposed for data sets made to need it; every proposal is a valid configuration."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.profiler.core import likeness, profile, proposing
from components.profiler.core.proposing import propose
from components.synthesizer_trainer.config import DpConfig, RareEventsConfig, SynthesizerTrainerConfig


def proposal(made, dataset, table, train=None, kinds=None, **labels):
    columns = dataset(**labels, **kinds)
    train = np.ones(table.num_rows, bool) if train is None else train
    found = profile.describe(table, made.series, train, columns)
    now = SynthesizerTrainerConfig(dataset=columns)
    out = propose(found, now)
    # The same classes that read the deployment's section accept what is proposed.
    SynthesizerTrainerConfig.model_validate({"dataset": columns, **out.section()})
    for setting in out.settings:
        assert (
            setting.reason and setting.default == SynthesizerTrainerConfig.model_fields[setting.key].default
        )
    return {setting.key: setting for setting in out.settings}, out, found


def test_ordinary_telemetry_keeps_the_defaults(made, dataset):
    own = made(days=30, series=2)
    table = own.table(x=own.memory(9), y=own.white(), on=(own.white() > 0).astype(int))
    kinds = {"x": "continuous", "y": "continuous", "on": "binary"}
    settings, out, found = proposal(own, dataset, table, kinds=kinds)
    assert not [key for key, setting in settings.items() if setting.departs] and out.warnings == ()
    assert (found.latent, found.chained) == (2, 1)


def test_few_rows_get_fewer_knots(made, dataset):
    own = made(days=5, series=1)
    settings, _, _ = proposal(own, dataset, own.table(x=own.white()), kinds={"x": "continuous"})
    assert settings["quantiles"].value == 140 and settings["quantiles"].departs


def test_short_runs_get_shorter_windows_and_shorter_ones_no_critics(made, dataset):
    own = made(days=10, series=1)
    table, kinds = own.table(x=own.white()), {"x": "continuous"}
    for run, key, value in ((36, "window_steps", 32), (26, "window_steps", 24), (6, "max_steps", 0)):
        # Every so many rows two are not trained on, which is a gap.
        train = np.arange(table.num_rows) % (run + 2) < run
        settings, out, _ = proposal(own, dataset, table, train, kinds)
        assert settings[key].value == value and settings[key].departs
        assert ("runs of at most 6 rows" in str(out.warnings)) == (run == 6)


def test_rare_levels_merge_in_a_crowd(made, dataset):
    own = made(days=20, series=1)
    mode = np.where(np.arange(len(own.series)) < 4, "odd", "usual")
    table = own.table(x=own.white(), mode=mode)
    settings, _, _ = proposal(own, dataset, table, kinds={"x": "continuous", "mode": "categorical"})
    assert settings["min_state_count"].value == proposing.CROWD


def test_what_the_trainer_refuses_is_said_and_not_raised(made, dataset):
    own = made(days=1, series=1)
    words = [f"w{n}" for n in range(len(own.series))]
    table = own.table(x=own.white(), code=words)
    _, out, _ = proposal(own, dataset, table, kinds={"x": "continuous", "code": "categorical"})
    told = " ".join(out.warnings)
    assert "144 normal training rows" in told and "code" not in told
    own = made(days=4, series=1)
    table = own.table(x=own.white(), code=[f"w{n}" for n in range(len(own.series))])
    settings, out, _ = proposal(own, dataset, table, kinds={"x": "continuous", "code": "categorical"})
    assert "column 'code': 576 values" in " ".join(out.warnings) and not settings["max_vocabulary"].departs


def test_a_rare_kind_is_warned_of(made, dataset):
    own = made(days=20, series=1)
    label, kind = np.zeros(len(own.series), int), np.full(len(own.series), "", dtype=object)
    for begin in range(0, 2400, 100):
        label[begin : begin + 5], kind[begin : begin + 5] = 1, "often" if begin >= 900 else "rare"
    table = own.table(x=own.white(), label=label, kind=kind.tolist())
    _, out, found = proposal(own, dataset, table, kinds={"x": "continuous"}, label="label", label_kind="kind")
    assert [(x.name, x.rare) for x in found.labels] == [("often", False), ("rare", True)]
    (told,) = out.warnings
    assert "'rare' has 9 windows" in told and found.labelled_rows == 120
    assert "will refuse it (rare_events.below: merge" in told
    now = SynthesizerTrainerConfig(dataset=dataset(label="label", label_kind="kind", x="continuous"))
    for policy, fate in (
        ({"below": "merge"}, "merged with other"),
        ({"min_windows": 1}, "released by itself"),
    ):
        other = now.model_copy(update={"rare_events": RareEventsConfig(**policy)})
        assert fate in propose(found, other).warnings[0]


def test_a_training_that_would_be_cut_gets_more_minutes(made, dataset, monkeypatch):
    own = made(days=20, series=1)
    monkeypatch.setattr(proposing, "adversarial_s", lambda size: 600.0)
    settings, _, _ = proposal(own, dataset, own.table(x=own.white()), kinds={"x": "continuous"})
    assert settings["max_minutes"].value == 20.0


@pytest.mark.parametrize("method", ["dp_linear", "dp_gan"])
def test_nothing_is_proposed_from_the_rows_of_a_differentially_private_locale(made, dataset, method):
    own = made(days=5, series=1)
    columns = dataset(x="continuous")
    private = DpConfig(epsilon=1, delta=1e-6, kinds=("ramp",))
    now = SynthesizerTrainerConfig(dataset=columns, method=method, dp=private, max_minutes=7)
    found = profile.describe(own.table(x=own.white()), own.series, np.ones(len(own.series), bool), columns)
    out = propose(found, now)
    # What stands in the deployment file, so that the section can take its place.
    assert out.section() == {"method": method, "dp": {"kinds": ["ramp"]}, "max_minutes": 7}
    assert out.cost is None


def like(found, **changes):
    return likeness.expect(dataclasses.replace(found, **changes))


def test_the_band_is_that_of_the_data_set_which_is_alike(made, dataset):
    own = made(days=30, series=3)
    kinds = dict.fromkeys("abcd", "continuous") | {"on": "binary"}
    table = own.table(**{name: own.daily() + own.white() for name in "abcd"}, on=own.white() > 0)
    found = profile.describe(table, own.series, np.arange(len(own.series)) % 10 < 7, dataset(**kinds))
    assert like(found).like == "simulated eu-west"
    low, high = like(found).bands["step change"]
    assert low == pytest.approx(0.954) and high == pytest.approx(0.988)
    far = like(found, train_rows=100_000)
    assert far.like is None and far.bands == {} and "more than 4 times" in far.reason

    def columns(latent, chained):
        return tuple(
            dataclasses.replace(found.columns[0], name=f"{kind}{n}", latent=kind == "x")
            for kind, count in (("x", latent), ("f", chained))
            for n in range(count)
        )

    one = dataclasses.replace(found.cadence, series=1)
    assert like(found, columns=columns(25, 0), cadence=one).like == "dense"
    assert like(found, columns=columns(1, 20), cadence=one).like == "SMAP A-2"
    none = like(found, columns=columns(3, 9), cadence=one)
    assert none.like is None and "nothing is promised" in none.reason


def test_without_a_latent_series_nothing_is_trained(made, dataset):
    own = made(days=10, series=1)
    table = own.table(x=own.rng.integers(0, 5, len(own.series)).astype(float))
    settings, out, found = proposal(own, dataset, table, kinds={"x": "continuous"})
    assert (found.latent, found.chained) == (0, 1)
    assert settings["max_steps"].value == 0 and "window_steps" not in settings
    assert out.cost.cpu_s < 15


def test_what_the_deployment_says_beside_counts_for_the_cost(made, dataset):
    own = made(days=20, series=1)
    columns = dataset(x="continuous")
    found = profile.describe(own.table(x=own.white()), own.series, np.ones(len(own.series), bool), columns)
    costs = [
        propose(found, SynthesizerTrainerConfig(dataset=columns, patience=patience)).cost.cpu_s
        for patience in (1, 6)
    ]
    assert costs[0] < costs[1]
