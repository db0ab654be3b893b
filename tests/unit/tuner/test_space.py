"""What a search space may say; and which rows are held back."""

from __future__ import annotations

import numpy as np
import pytest

from components.dataset import DatasetConfig, FeatureConfig
from components.errors import ConfigError
from components.example_gen.config import SplitConfig
from components.example_gen.core.keys import Keys
from components.example_gen.core.splits import assign_rows
from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from components.tuner.config import DEFAULT_SPACE, SEARCHABLE, KeySpace, check_space, configured, read_space
from components.tuner.core.dividing import JUDGED, judged_rows

BASE = SynthesizerTrainerConfig(
    dataset=DatasetConfig(features=(FeatureConfig(name="a"),), targets=("a",), interval_s=60)
)


def test_the_default_space_is_one_that_the_trainer_takes():
    check_space(DEFAULT_SPACE, BASE, "default")
    defaults = {name: getattr(BASE, name) for name in DEFAULT_SPACE}
    # The configuration by default is in it, so the search learns from trial 0.
    assert all(DEFAULT_SPACE[name].holds(value) for name, value in defaults.items())


def test_only_numbers_that_are_the_models_are_searched():
    assert {"var_order", "ridge", "critic_units", "patience"} <= set(SEARCHABLE)
    assert not {"method", "dataset", "dp", "max_minutes", "min_train_rows", "memory_steps"} & set(SEARCHABLE)


def test_a_space_is_read():
    found = read_space({"var_order": {"choices": [1, 2]}, "ridge": {"low": 1e-6, "high": 1e-3}}, BASE, "file")
    assert found == {"var_order": KeySpace(choices=(1, 2)), "ridge": KeySpace(low=1e-6, high=1e-3)}
    assert configured(BASE, {"var_order": 1}).var_order == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "found no keys"),
        (["var_order"], "found no keys"),
        ({"var_ordr": {"choices": [1, 2]}}, "unknown key 'var_ordr' (did you mean 'var_order'?)"),
        ({"method": {"choices": ["gan", "dp_linear"]}}, "unknown key 'method'"),
        ({"max_minutes": {"low": 1, "high": 2}}, "unknown key 'max_minutes'"),
        ({"var_order": {"choices": [2, 9]}}, "var_order: found 9; Input should be less than or equal to 8"),
        ({"var_order": {"low": 0, "high": 3}}, "var_order: found 0; Input should be greater than or equal"),
        ({"var_order": {"choices": [1, 2.5]}}, "var_order: found 2.5; allowed: whole numbers"),
        ({"var_order": {"choices": [2]}}, "var_order: choices [2]: allowed: at least two, each once"),
        ({"var_order": {"choices": [1, 2], "low": 1}}, "allowed: choices alone, or low and high"),
        ({"ridge": {"low": 1e-3}}, "allowed: choices, or low and high"),
        ({"ridge": {"low": 1e-3, "high": 1e-4}}, "low 0.001 is not below high 0.0001"),
        ({"ema_decay": {"low": 0, "high": 0.9, "scale": "log"}}, "found 0 with scale log"),
        ({"ridge": {"low": 1e-6, "high": 1e-3, "step": 2}}, "step: Extra inputs are not permitted"),
        ({"ridge": {"low": "few", "high": 1}}, "ridge: "),
    ],
)
def test_what_is_not_allowed_is_one_line(given, words):
    with pytest.raises(ConfigError) as caught:
        read_space(given, BASE, "--space x.yaml")
    text = str(caught.value)
    assert words in text and text.startswith("--space x.yaml: ") and "\n" not in text


class TestHeldBack:
    SERIES = np.repeat(np.arange(3), 2000)
    TIME = np.tile(np.arange(2000, dtype=np.int64) * 60_000_000, 3)
    LABEL = (np.arange(6000) % 500 < 12).astype(np.int8)

    def held(self, seed=0):
        return judged_rows(self.TIME, self.SERIES, self.LABEL, SplitConfig(), 60.0, seed)

    def test_a_quarter_interleaved_in_time_and_another_with_another_seed(self):
        held = self.held()
        assert held.mean() == pytest.approx(JUDGED, abs=0.05)
        # Early and late alike, in every series: no part is simply later.
        for series in range(3):
            own = self.TIME[(series == self.SERIES) & held]
            assert own.min() < 0.35 * self.TIME.max() and own.max() > 0.65 * self.TIME.max()
        assert (self.held() == held).all() and (self.held(1) != held).any()

    def test_labelled_rows_are_on_both_sides(self):
        held = self.held()
        assert self.LABEL[held].sum() and self.LABEL[~held].sum()

    def test_a_block_of_training_rows_is_held_back_whole_or_not_at_all(self):
        splits = SplitConfig()
        dealt = assign_rows([Keys(self.SERIES, self.TIME, self.LABEL)], splits, 60.0, 7)
        held = self.held()
        for begin, end in zip(dealt.starts, np.append(dealt.starts[1:], len(held))):
            assert held[begin:end].all() or not held[begin:end].any()

    def test_another_mode_of_splits_is_dealt_alike(self):
        splits = SplitConfig(mode="single", name="train")
        found = judged_rows(self.TIME, self.SERIES, self.LABEL, splits, 60.0, 0)
        assert (found == self.held()).all()
