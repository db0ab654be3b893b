"""What is refused before anything heavy starts."""

from __future__ import annotations

import pytest
import yaml

from components.errors import ConfigError
from components.release import keys
from pipeline import preflight, starter
from pipeline.config.load import load_deployment


@pytest.fixture
def config(tmp_path):
    return starter.write(tmp_path / "fleet", size="small")


def edit(config, change):
    data = yaml.safe_load(config.read_text())
    change(data)
    config.write_text(yaml.safe_dump(data, sort_keys=False))


def test_a_good_locale_passes(config):
    deployment = load_deployment(config)
    for locale in deployment.locales:
        keys.ensure_key_pair(locale.signing_key.file)
        assert preflight.examine_locale(deployment, locale.name) is None
    preflight.examine_centre(deployment)


def test_two_halves_of_different_pairs_are_refused(config):
    for name in ("us-east", "eu-west"):
        keys.ensure_key_pair(config.parent / "keys" / f"{name}.pem")
    edit(config, lambda d: d["locales"][0].update(trusted_key="keys/eu-west.pem.pub"))
    error = preflight.examine_locale(load_deployment(config), "us-east")
    assert isinstance(error, ConfigError)
    assert "allowed: the two halves of one pair" in str(error)


def test_a_key_that_is_not_there_is_named(config):
    edit(config, lambda d: d["locales"][0].update(signing_key={"env": "NO_SUCH_VARIABLE"}, create_key=False))
    assert "NO_SUCH_VARIABLE is not set" in str(preflight.examine_locale(load_deployment(config), "us-east"))


def test_ideal_with_different_pii_rules_is_refused(config):
    """One locale's milder rule must not be applied to another's rows."""
    rule = {"column": "operator", "action": "redact"}
    edit(config, lambda d: d["locales"][1].update(pii=[rule]))
    with pytest.raises(ConfigError, match="different pii rules for 'operator'"):
        load_deployment(config)
    edit(config, lambda d: d["central"].update(ideal=False))
    assert load_deployment(config).locale("eu-west").pii[0]["action"] == "redact"


@pytest.mark.parametrize(("folder", "name"), [("7", "7"), ("yes", "yes"), ("Großer Hof: #1", "gro-er-hof-1")])
def test_a_starter_is_valid_whatever_its_folder_is_called(tmp_path, folder, name):
    assert load_deployment(starter.write(tmp_path / folder, size="small")).name == name
