"""The keys of the deployment file that are about the exchange: trusted keys, storage options, central key."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from components.release import keys
from components.release.options import StorageOptions
from pipeline import preflight, starter
from pipeline.config.load import load_deployment
from pipeline.config.resolve import central_configs
from pipeline.config.resolve_regional import regional_configs


@pytest.fixture(scope="module")
def starting_point(tmp_path_factory) -> Path:
    return starter.write(tmp_path_factory.mktemp("start") / "fleet", size="small")


@pytest.fixture
def config(starting_point, tmp_path) -> Path:
    """The starter's file in a folder of its own; the data stay where they are."""
    data = yaml.safe_load(starting_point.read_text())
    for locale in data["locales"]:
        locale["source"]["pattern"] = str(starting_point.parent / locale["source"]["pattern"])
    file = tmp_path / "isthmus.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def edit(config: Path, change) -> None:
    data = yaml.safe_load(config.read_text())
    change(data)
    config.write_text(yaml.safe_dump(data, sort_keys=False))


def test_one_trusted_key_is_a_list_of_one(config):
    (only,) = load_deployment(config).locale("eu-west").trusted_key
    assert only.key == str(config.parent / "keys/eu-west.pem.pub")
    assert (only.not_before, only.not_after) == (None, None)


def test_several_trusted_keys_with_their_times(config):
    inline = keys.new_private_key().public.to_text()
    trusted = [
        "keys/old.pub",
        {"key": "keys/new.pub", "not_before": "2026-03-01T12:00:00+02:00"},
        {"key": inline, "not_after": "2026-04-01"},
    ]
    edit(config, lambda d: d["locales"][0].update(trusted_key=trusted))
    deployment = load_deployment(config)
    first, second, third = deployment.locales[0].trusted_key
    assert first.key == str(config.parent / "keys/old.pub")
    assert second.key == str(config.parent / "keys/new.pub")
    assert second.not_before == datetime(2026, 3, 1, 10, tzinfo=timezone.utc)
    assert (third.key, third.not_after) == (inline, datetime(2026, 4, 1, tzinfo=timezone.utc))
    merge = central_configs(deployment).merge_gen
    assert type(merge).from_exec_property(merge.to_exec_property()) == merge
    assert merge.locales[0].trusted_key == (first, second, third)


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        ([], r"locales\[0\]\.trusted_key"),
        ([{"key": "a", "not_before": "2026-02-01", "not_after": "2026-01-01"}], "must be before not_after"),
        ([{"key": "a", "until": "2026-02-01"}], "unknown key"),
        ([{"not_after": "2026-02-01"}], "missing"),
        ([{"key": "a", "not_after": "soon"}], "not_after"),
        (7, r"trusted_key"),
    ],
)
def test_trusted_keys_that_cannot_be(config, trusted, expected):
    edit(config, lambda d: d["locales"][0].update(trusted_key=trusted))
    with pytest.raises(ConfigError, match=expected) as caught:
        load_deployment(config)
    assert "\n" not in str(caught.value)


def test_a_locale_may_sign_with_any_key_that_is_believed_now(config):
    locale = load_deployment(config).locales[0]
    signing = keys.ensure_key_pair(locale.signing_key.file)
    other = keys.new_private_key().public.to_text()
    text = signing.public.to_text()

    def examine(trusted):
        edit(config, lambda d: d["locales"][0].update(trusted_key=trusted))
        return preflight.examine_locale(load_deployment(config), locale.name)

    assert examine([other, text]) is None
    assert examine([{"key": text, "not_after": "2999-01-01"}]) is None
    assert "trusted only until 2020-01-01T00:00:00Z" in str(
        examine([{"key": text, "not_after": "2020-01-01"}])
    )
    assert "allowed: the two halves of one pair, believed now" in str(examine([other]))
    assert "trusted_key: public key (text not shown): neither PEM" in str(examine(["ed25519:nonsense", text]))


def test_storage_options_reach_the_pusher_and_the_merge_and_name_secrets_only(config):
    options = {
        "endpoint_url": "http://127.0.0.1:9000",
        "access_key_id": {"env": "S3_KEY"},
        "secret_access_key": {"file": "keys/s3.secret"},
    }
    edit(config, lambda d: d.update(exchange={"uri": "s3://bucket/exchange", "storage_options": options}))
    edit(
        config,
        lambda d: d["central"].update(registry="gs://b/r", registry_storage_options={"token_file": "t.json"}),
    )
    edit(config, lambda d: d["central"].update(signing_key={"file": "keys/centre.pem"}))
    deployment = load_deployment(config)
    storage = deployment.exchange.storage_options
    assert storage.secret_access_key.file == str(config.parent / "keys/s3.secret")
    central = central_configs(deployment)
    assert regional_configs(deployment, "eu-west").pusher.storage == storage == central.merge_gen.storage
    assert central.pusher.storage == StorageOptions(token_file=str(config.parent / "t.json"))
    assert central.pusher.signing_key.file == str(config.parent / "keys/centre.pem")
    assert central.merge_gen.memory_uri == f"{deployment.root}/central"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"secret_access_key": "plain text"}, r"exchange\.storage_options\.secret_access_key"),
        ({"endpoint": "http://x"}, r"unknown key \(did you mean 'endpoint_url'\?\)"),
        ({"access_key_id": {"env": "A"}}, "go together"),
    ],
)
def test_storage_options_that_cannot_be(config, options, expected):
    edit(config, lambda d: d.update(exchange={"uri": "s3://bucket/x", "storage_options": options}))
    with pytest.raises(ConfigError, match=expected):
        load_deployment(config)


@pytest.mark.parametrize("place", ["the key", "its name", "a list"])
def test_a_secret_that_stands_in_the_file_is_not_quoted(config, place):
    secret = "hO8s1Vnq3sYxkzC0ZkS2u1bq5lqz4d6h1h7m3o9tEAA="
    given = {"the key": secret, "its name": {"env": [secret]}, "a list": [secret]}[place]
    edit(config, lambda d: d["locales"][0].update(signing_key=given))
    with pytest.raises(ConfigError, match=r"signing_key.*: found (text|a list); allowed") as caught:
        load_deployment(config)
    assert secret[:8] not in str(caught.value)
