"""What is refused before anything is compiled, each in one line that says where and what is allowed."""

from __future__ import annotations

import pytest

from components.errors import ConfigError
from pipeline.compiler.rules import check, check_size, settings_for
from tests.support.deployments import deployment, golden


def west(data):
    return data["locales"][0]


def brazil(data):
    return data["locales"][1]


def placed(data, which=0):
    return data["locales"][which]["placement"]


def strict(data):
    """Residency by the letter: every restricted locale has a node, a bucket, Secrets and disks of its own."""
    data["kubeflow"]["residency"] = "strict"
    options = {"access_key_id": {"env": "BR_ID"}, "secret_access_key": {"env": "BR_SECRET"}}
    placed(data, 1)["store"] = {"uri": "s3://isthmus-pt-br", "storage_options": options}
    for name in ("BR_ID", "BR_SECRET"):
        placed(data, 1)["secret_env"].append({"env": name, "secret": "isthmus-pt-br", "key": name.lower()})


def set_in(*keys):
    """A change: the last of `keys` is the value, or a callable on what is there."""

    def change(data):
        for key in keys[:-2]:
            data = data[key]
        data[keys[-2]] = keys[-1]

    return change


def without(*keys):
    def change(data):
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return change


KUBE = "kubeflow"
PLACE = ("locales", 0, "placement")

REFUSED = [
    ([without(KUBE, "image")], ["kubeflow.image: found none", "registry.example/isthmus:1"]),
    ([set_in(KUBE, "image", "isthmus")], ["kubeflow.image: found 'isthmus'", "tag"]),
    ([set_in(KUBE, "image", "host:5000/isthmus")], ["kubeflow.image", "tag"]),
    ([set_in(KUBE, "image", "host:5000/isthmus:latest")], ["kubeflow.image", "pushed last", "digest"]),
    ([set_in(KUBE, "image", "isthmus:")], ["kubeflow.image", "pushed last"]),
    (
        [set_in(*PLACE, "service_account", "one")],
        ["locales.eu-west.placement.service_account", "found None, one", "layout: multi-cluster"],
    ),
    ([set_in(*PLACE, "namespace", "one")], ["locales.eu-west.placement.namespace", "multi-cluster"]),
    (
        [set_in(*PLACE, "steps", {"tran": {"cpu": 1}})],
        ["locales.eu-west.placement.steps: unknown step 'tran'", "train", "fuse: cheap"],
    ),
    (
        [set_in(KUBE, "fuse", "none")],
        ["unknown step 'train'", "fuse: none", "synthesizertrainer"],
    ),
    ([set_in(KUBE, "fuse", "region")], ["unknown step 'train'", "fuse: region", "resolve, work, push"]),
    (
        [set_in(KUBE, "central", "steps", {"train": {"cpu": 1}})],
        ["kubeflow.central.steps: unknown step 'train'", "merge"],
    ),
    ([without(*PLACE, "state")], ["locale eu-west: placement.state: found none", "budget"]),
    ([set_in(*PLACE, "state", "s3://isthmus-eu-west/state")], ["locale eu-west: placement.state", "locks"]),
    (
        [set_in(*PLACE, "state", "/elsewhere")],
        ["locale eu-west: placement.state: found /elsewhere", "gone with its pod; allowed: a path", "/state"],
    ),
    (
        [set_in("locales", 1, "placement", "state", "/secrets/signing")],
        ["locale pt-BR: placement.state", "gone with its pod"],
    ),
    (
        [set_in("locales", 2, "placement", "state", "/state")],
        ["locale depot_3: placement.state", "there is none"],
    ),
    (
        [set_in(KUBE, "central", "state", "/elsewhere")],
        ["kubeflow.central: placement.state: found /elsewhere", "gone with its pod"],
    ),
    (
        [strict, without(*PLACE, "node_selector")],
        ["locale eu-west: kubeflow.residency strict: its pods may run on any node", "node_selector"],
    ),
    (
        [
            strict,
            without(*PLACE, "node_selector"),
            set_in(*PLACE, "node_affinity", [{"key": "k", "operator": "NotIn", "values": ["us"]}]),
        ],
        ["locale eu-west: kubeflow.residency strict: its pods may run on any node"],
    ),
    ([strict, without(*PLACE, "store")], ["locale eu-west", "artifacts", "placement.store"]),
    (
        [strict, without(*PLACE, "store", "storage_options")],
        ["locale eu-west", "no credentials of its own", "storage_options"],
    ),
    (
        [strict, set_in("locales", 1, "placement", "secret_env", 0, "secret", "isthmus-eu-west")],
        ["locale eu-west", "shares the Secret isthmus-eu-west with pt-BR"],
    ),
    (
        [strict, set_in(KUBE, "central", "secret_env", 0, "secret", "isthmus-eu-west")],
        ["locale eu-west", "shares the Secret isthmus-eu-west with central"],
    ),
    (
        [strict, set_in("locales", 1, "placement", "store", "uri", "s3://isthmus-eu-west/artifacts/pt")],
        ["locale eu-west", "s3://isthmus-eu-west/artifacts is also that of pt-BR", "apart"],
    ),
    (
        [strict, set_in(KUBE, "pipeline_root", "s3://isthmus-eu-west")],
        ["locale eu-west", "kubeflow.pipeline_root s3://isthmus-eu-west", "apart"],
    ),
    (
        [strict, set_in(KUBE, "central", "volumes", 0, "claim", "isthmus-eu-west-data")],
        ["locale eu-west", "shares the claim isthmus-eu-west-data with central"],
    ),
    (
        [
            strict,
            set_in("locales", 1, "placement", "state", "s3://shared/state"),
            set_in("locales", 2, "placement", "state", "s3://shared"),
        ],
        ["locale pt-BR", "keeps its state in s3://shared/state", "depot_3"],
    ),
    ([strict, set_in("central", "ideal", True)], ["central.ideal: found true", "false"]),
]


def message_of(folder, changes, layout="single-cluster"):
    with pytest.raises(ConfigError) as caught:
        check(deployment(folder, *changes), layout)
    return str(caught.value)


@pytest.mark.parametrize("changes, words", REFUSED)
def test_what_is_refused(tmp_path, changes, words):
    message = message_of(tmp_path, changes)
    assert "\n" not in message and "allowed" in message
    assert [word for word in words if word not in message] == [], message


def test_the_golden_deployment_passes_also_by_the_letter(tmp_path):
    for layout in ("single-cluster", "multi-cluster"):
        assert check(deployment(tmp_path), layout) == [
            "locale depot_3: placement.state: none, so nothing is known of earlier spans: drift is not "
            "evaluated"
        ]
        check(deployment(tmp_path, strict), layout)


@pytest.mark.parametrize(
    "image",
    ["isthmus:1", "host:5000/isthmus:1.2-rc", "isthmus@sha256:" + "a" * 64, "isthmus:latest@sha256:aa"],
)
def test_images_with_a_tag_or_a_digest(tmp_path, image):
    check(deployment(tmp_path, set_in(KUBE, "image", image)), "single-cluster")


def test_accounts_and_namespaces_may_differ_between_clusters(tmp_path):
    def change(data):
        for i, found in enumerate([*data["locales"]]):
            found["placement"] |= {"service_account": f"isthmus-{i}", "namespace": f"isthmus-{i}"}

    check(deployment(tmp_path, change), "multi-cluster")


def test_claims_of_one_name_are_two_in_two_namespaces(tmp_path):
    def same(data):
        strict(data)
        for found in (placed(data), placed(data, 1)):
            found["volumes"].append({"claim": "scratch", "mount_path": "/scratch"})

    def apart(data):
        placed(data)["namespace"], placed(data, 1)["namespace"] = "isthmus-eu-west", "isthmus-pt-br"

    def together(data):
        placed(data)["namespace"] = placed(data, 1)["namespace"] = "isthmus"

    check(deployment(tmp_path, same), "multi-cluster")
    check(deployment(tmp_path, same, apart), "multi-cluster")
    assert "shares the claim scratch with pt-BR" in message_of(tmp_path, [same, together], "multi-cluster")
    assert "shares the claim scratch with pt-BR" in message_of(tmp_path, [same])


def test_an_open_locale_needs_no_place_of_its_own(tmp_path):
    assert golden()["locales"][2]["sharing"] == "open"
    check(deployment(tmp_path, strict), "single-cluster")


def test_a_centre_without_state_is_warned_about(tmp_path):
    warnings = check(deployment(tmp_path, without(KUBE, "central", "state")), "single-cluster")
    assert any("kubeflow.central.state: none" in line and "set back" in line for line in warnings)


def test_steps_of_every_fusion(tmp_path):
    for fuse, steps in (("none", ("synthesizertrainer", "pusher")), ("region", ("work", "push"))):
        change = set_in(*PLACE, "steps", {step: {"cpu": 1} for step in ("resolve", *steps)})
        check(deployment(tmp_path, set_in(KUBE, "fuse", fuse), change), "single-cluster")


def test_sizes():
    assert check_size((700 << 10) - 1) == []
    assert check_size(700 << 10) == ["the compiled spec has 700 KiB; from 1024 KiB on it is refused"]
    assert check_size((1 << 20) - 1) == ["the compiled spec has 1023 KiB; from 1024 KiB on it is refused"]
    with pytest.raises(ConfigError, match="has 1024 KiB; allowed: less than 1024 KiB"):
        check_size(1 << 20)


def test_the_layout_of_the_command_line_comes_first(tmp_path):
    found = deployment(tmp_path, set_in(KUBE, "layout", "multi-cluster"))
    assert settings_for(found, None).layout == "multi-cluster"
    assert settings_for(found, "single-cluster").layout == "single-cluster"
