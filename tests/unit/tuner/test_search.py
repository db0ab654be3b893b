"""keras-tuner's oracle, asked and told."""

from __future__ import annotations

import pytest

from components.tuner.config import DEFAULT_SPACE, SEARCHABLE, KeySpace
from components.tuner.core.search import Proposer, rounded

NOW = {"var_order": 2, "generator_learning_rate": 5e-4}
SPACE = {
    "var_order": KeySpace(choices=(1, 2, 3, 4)),
    "generator_learning_rate": KeySpace(low=1e-4, high=2e-3, scale="log"),
}


def score(values):
    """Highest at three lags and a learning rate of 0.001."""
    return 0.9 - 0.02 * abs(values["var_order"] - 3) - 20 * abs(values["generator_learning_rate"] - 1e-3)


def asked(folder, count, seed=3, space=SPACE, now=NOW, score=score):
    folder.mkdir()
    proposer, found = Proposer(space, now, seed, folder), []
    proposer.begin(score(now))
    for _ in range(count):
        values = proposer.ask()
        if values is None:
            break
        found.append(values)
        proposer.tell(values, score(values))
    return found


def test_the_same_seed_and_scores_ask_for_the_same_and_others_for_others(tmp_path):
    found = asked(tmp_path / "a", 11)
    assert found == asked(tmp_path / "b", 11)
    assert found[:2] != asked(tmp_path / "c", 2, seed=4)
    assert max(map(score, found)) > 0.89 > score(NOW)
    assert len({tuple(values.values()) for values in found}) == 11 and NOW not in found
    # The first two are random; what is asked for after them follows the scores.
    other = asked(tmp_path / "d", 4, score=lambda values: 1 - score(values))
    assert other[:2] == found[:2] and other[2:] != found[2:4]


def test_values_are_of_their_type_in_their_range_and_short(tmp_path):
    space = {**DEFAULT_SPACE, "batch_size": KeySpace(low=8, high=64, scale="log")}
    now = {name: values.ends()[0] for name, values in space.items()}
    for values in asked(tmp_path / "a", 4, space=space, now=now, score=lambda values: 0.5):
        assert list(values) == list(space)
        for name, value in values.items():
            assert type(value) is SEARCHABLE[name] and space[name].holds(value)
            assert len(f"{value:.12g}".lstrip("0.").split("e")[0]) <= 4


def test_a_space_that_is_used_up_ends(tmp_path):
    space = {"var_order": KeySpace(choices=(1, 2, 3))}
    found = asked(
        tmp_path / "a", 10, space=space, now={"var_order": 2}, score=lambda v: 0.8 + v["var_order"] / 100
    )
    assert sorted(v["var_order"] for v in found) == [1, 3]


def test_a_configuration_outside_of_the_space_and_failures_are_not_learned_from(tmp_path):
    space = {"var_order": KeySpace(choices=(3, 4)), "critic_steps": KeySpace(low=1, high=4)}
    proposer = Proposer(space, {"var_order": 2, "critic_steps": 2}, 0, tmp_path)
    proposer.begin(0.9)
    for _ in range(6):
        values = proposer.ask()
        assert values["var_order"] in (3, 4)
        proposer.tell(values, None)


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (0.00123456, float, 0.00123),
        (0, float, 0.0),
        (3.0, int, 3),
        (123.456, float, 123.0),
        (1e-6, float, 1e-6),
    ],
)
def test_rounded(value, kind, wanted):
    assert rounded(value, kind) == wanted and type(rounded(value, kind)) is kind
