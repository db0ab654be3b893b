"""The platform spec of one executor, and what its container asks for."""

from __future__ import annotations

import pytest

from pipeline.compiler.platform import executor_config, resources
from pipeline.config.placement import NOWHERE, PlacementSection


def placement(**sections):
    return PlacementSection.model_validate(sections)


def test_nothing_asked_for():
    assert executor_config(NOWHERE, {"b": "1", "a": "2"}, 60) == {
        "podMetadata": {"labels": {"a": "2", "b": "1"}},
        "activeDeadlineSeconds": "60",
    }
    assert resources(NOWHERE, "train") == {}


def test_variables_of_one_secret_stand_together():
    found = executor_config(
        placement(
            secret_env=[
                {"env": "B", "secret": "two", "key": "b"},
                {"env": "A", "secret": "one", "key": "a"},
                {"env": "C", "secret": "two", "key": "c"},
            ]
        ),
        {},
        60,
    )
    assert found["secretAsEnv"] == [
        {"secretName": "one", "keyToEnv": [{"secretKey": "a", "envVar": "A"}]},
        {
            "secretName": "two",
            "keyToEnv": [{"secretKey": "b", "envVar": "B"}, {"secretKey": "c", "envVar": "C"}],
        },
    ]


def test_a_toleration_of_no_seconds_at_all():
    found = executor_config(placement(tolerations=[{"key": "k", "toleration_seconds": 0}]), {}, 60)
    assert found["tolerations"] == [{"key": "k", "operator": "Equal", "tolerationSeconds": "0"}]


def test_a_steps_own_resources_come_first():
    section = placement(
        cpu=1, memory_gib=1, gpu={"count": 1}, steps={"train": {"memory_gib": 0.5}, "push": {"cpu": 0.25}}
    )
    usual = {"cpuLimit": 1.0, "cpuRequest": 1.0, "memoryLimit": 1.073742, "memoryRequest": 1.073742}
    gpu = {"accelerator": {"type": "nvidia.com/gpu", "count": "1"}}
    half = {"memoryLimit": 0.536871, "memoryRequest": 0.536871}
    assert resources(section, "generate") == usual | gpu
    assert resources(section, "train") == usual | half | gpu
    assert resources(section, "push") == usual | {"cpuLimit": 0.25, "cpuRequest": 0.25} | gpu


@pytest.mark.parametrize(
    "affinity, pinned",
    [
        ({"key": "zone", "values": ["eu"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "zone", "operator": "Gt", "values": ["1"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["us"]}, False),
        ({"key": "zone", "operator": "DoesNotExist"}, False),
    ],
)
def test_what_pins_a_pod(affinity, pinned):
    assert placement(node_affinity=[affinity]).is_pinned is pinned
    assert placement(node_affinity=[affinity], node_selector={"a": "b"}).is_pinned


@pytest.mark.parametrize(
    "sections, words",
    [
        ({"tolerations": [{"operator": "Exists", "value": "v"}]}, "takes no value"),
        ({"tolerations": [{"value": "v"}]}, "needs a key"),
        ({"node_affinity": [{"key": "k"}]}, "at least one value"),
        ({"node_affinity": [{"key": "k", "operator": "Exists", "values": ["v"]}]}, "no values"),
        ({"volumes": [{"claim": "a", "mount_path": "/a/../b"}]}, "without '..'"),
        ({"volumes": [{"claim": "a", "mount_path": "state"}]}, "absolute path"),
        (
            {"volumes": [{"claim": "a", "mount_path": "/a"}, {"claim": "b", "mount_path": "/a"}]},
            "given twice",
        ),
        (
            {
                "secret_env": [
                    {"env": "A", "secret": "s", "key": "a"},
                    {"env": "A", "secret": "s", "key": "b"},
                ]
            },
            "'A' is given twice",
        ),
    ],
)
def test_what_a_placement_may_not_say(sections, words):
    with pytest.raises(ValueError, match=words):
        placement(**sections)
