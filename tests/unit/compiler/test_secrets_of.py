"""Which secrets a step's pod gets."""

from __future__ import annotations

import pytest

from pipeline.compiler.secrets_of import restrict
from pipeline.config.placement import PlacementSection


def reference(env=None, file=None):
    return {"env": env, "file": file}


SIGN = {"properties": {"Pusher": {"config": {"$json": {"signing_key": reference("KEY")}}}}}
HASH = {"properties": {"ExampleGen": {"config": {"$json": {"pii": [{"key": reference(file="/s/pii/a")}]}}}}}
TOKEN = {"notices": {"token_file": "/s/token/token.json"}}
NONE = {"properties": {"SchemaGen": {}}}

PLACEMENT = PlacementSection.model_validate(
    {
        "secret_env": [
            {"env": "KEY", "secret": "s", "key": "key"},
            {"env": "STORE", "secret": "s", "key": "store"},
            {"env": "AWS_REGION", "secret": "s", "key": "region"},
        ],
        "secret_volumes": [
            {"secret": "pii", "mount_path": "/s/pii"},
            {"secret": "token", "mount_path": "/s/token"},
            {"secret": "store", "mount_path": "/s/store"},
            {"secret": "ca", "mount_path": "/etc/ca"},
        ],
        "volumes": [{"claim": "data", "mount_path": "/data"}],
        "store": {
            "uri": "gs://own",
            "storage_options": {"token_file": "/s/store/token.json", "account_key": {"env": "STORE"}},
        },
    }
)
ALWAYS_ENV, ALWAYS_FILES = {"STORE", "AWS_REGION"}, {"store", "ca"}


@pytest.mark.parametrize(
    "step, variables, volumes",
    [
        (SIGN, {"KEY"}, set()),
        (HASH, set(), {"pii"}),
        (TOKEN, set(), {"token"}),
        (NONE, set(), set()),
        ({**SIGN, **TOKEN}, {"KEY"}, {"token"}),
    ],
)
def test_a_step_gets_what_it_names_its_bucket_and_what_no_step_names(step, variables, volumes):
    found = restrict(PLACEMENT, step, [SIGN, HASH, TOKEN, NONE])
    assert {item.env for item in found.secret_env} == variables | ALWAYS_ENV
    assert {item.secret for item in found.secret_volumes} == volumes | ALWAYS_FILES


def test_all_else_of_a_placement_stays():
    found = restrict(PLACEMENT, NONE, [SIGN, NONE])
    assert found.volumes == PLACEMENT.volumes and found.store == PLACEMENT.store


def test_a_neighbouring_folder_is_another():
    placement = PlacementSection.model_validate(
        {"secret_volumes": [{"secret": "a", "mount_path": "/s/pi"}, {"secret": "b", "mount_path": "/s/pii"}]}
    )
    found = restrict(placement, NONE, [HASH])
    assert [item.secret for item in found.secret_volumes] == ["a"]
