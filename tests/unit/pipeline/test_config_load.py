"""Deployment files: what is accepted, and the one line for each thing that is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from pipeline.config import resolve
from pipeline.config.load import load_deployment

VALID = """
version: 1
name: fleet
root: runs
dataset:
  series: [asset]
  label: label
  interval_s: 60
  features: [{name: temp_c}, {name: heater_on, kind: binary}]
  targets: [temp_c]
locales:
  - name: eu-west
    sharing: restricted
    source: {pattern: "eu/span-{SPAN}/*.csv"}
    privacy: {gate: {}}
    signing_key: {file: keys/eu.pem}
    trusted_key: keys/eu.pem.pub
  - name: us-east
    sharing: open
    source: {pattern: us/*.csv}
    signing_key: {env: US_KEY}
    trusted_key: keys/us.pem.pub
exchange: {uri: exchange}
central:
  quorum: 2
  test_set: {pattern: test.csv}
"""


def write(folder: Path, text: str = VALID) -> Path:
    file = folder / "isthmus.yaml"
    file.write_text(text)
    return file


def refused(folder: Path, edit) -> str:
    data = yaml.safe_load(VALID)
    edit(data)
    file = write(folder, yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load_deployment(file)
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    return message


def test_a_valid_file_is_read_and_its_paths_are_relative_to_it(tmp_path):
    deployment = load_deployment(write(tmp_path))
    assert deployment.root == str(tmp_path / "runs")
    assert deployment.exchange.uri == str(tmp_path / "exchange")
    assert deployment.locale("eu-west").source.pattern == str(tmp_path / "eu/span-{SPAN}/*.csv")
    assert deployment.locale("us-east").signing_key.env == "US_KEY"
    assert deployment.central.test_set.locale_column == "locale"


def test_uris_are_left_alone(tmp_path):
    file = write(tmp_path, VALID.replace("{uri: exchange}", "{uri: 's3://bucket/exchange'}"))
    assert load_deployment(file).exchange.uri == "s3://bucket/exchange"


def test_the_digest_does_not_depend_on_the_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = load_deployment(write(tmp_path / "a")).file_digest
    assert first == load_deployment(write(tmp_path / "b")).file_digest
    assert (
        first != load_deployment(write(tmp_path / "b", VALID.replace("quorum: 2", "quorum: 1"))).file_digest
    )


def test_an_unknown_key_names_the_nearest_known_one(tmp_path):
    message = refused(tmp_path, lambda d: d["central"].update(quorun=1))
    assert "central.quorun: unknown key (did you mean 'quorum'?)" in message
    assert ":" in message.split(str(tmp_path / "isthmus.yaml"))[1]


def test_an_unknown_key_in_a_components_section_is_found_too(tmp_path):
    message = refused(tmp_path, lambda d: d.update(synthesizer={"max_step": 3}))
    assert "synthesizer.max_step: unknown key (did you mean 'max_steps'?)" in message


def test_a_message_names_the_line(tmp_path):
    file = write(tmp_path, VALID.replace("interval_s: 60", "interval_s: often"))
    line = VALID.replace("interval_s: 60", "interval_s: often").splitlines().index("  interval_s: often") + 1
    with pytest.raises(
        ConfigError, match=rf"isthmus\.yaml:{line}: dataset\.interval_s: found 'often'; allowed"
    ):
        load_deployment(file)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d: d["locales"][0].update(sharing="secret"), "locales[0].sharing: found 'secret'"),
        (lambda d: d["locales"][0].pop("privacy"), "a restricted locale needs a release gate"),
        (lambda d: d["locales"][1].update(privacy={"gate": {}}), "an open locale has no synthesizer"),
        (lambda d: d["locales"][1].update(name="eu-west"), "'eu-west' is named twice"),
        (lambda d: d["locales"][1].update(name="EU_west"), "'EU_west' is named twice"),
        (lambda d: d["locales"][1].update(name="central"), "'central' is the centre's own name"),
        (
            lambda d: d["locales"][0]["privacy"].update(target_epsilon=-1),
            "locales[0].privacy.target_epsilon: found -1; allowed: greater than 0",
        ),
        (
            lambda d: d["locales"][0]["privacy"].update(target_epsilon=3),
            "target_epsilon and target_delta mean something only together",
        ),
        (lambda d: d["central"].update(quorum=3), "central.quorum: found 3; allowed: 1 to 2"),
        (
            lambda d: d["locales"][1].update(placement={"tolerations": [{"operator": "Equal"}]}),
            "locales[1].placement.tolerations[0]: operator Equal needs a key; allowed: a key, or operator: "
            "Exists",
        ),
        (lambda d: d["central"].update(quorum=0), "central.quorum: found 0"),
        (lambda d: d["locales"][0].update(span=-1), "locales[0].span: found -1"),
        (
            lambda d: (d["central"].update(ideal=True, quorum=1), d["locales"].pop(0)),
            "central.ideal: every locale is open",
        ),
        (lambda d: d["dataset"].pop("label"), "dataset.label: found none"),
        (lambda d: d["dataset"].update(targets=["heater_on"]), "target 'heater_on' is binary"),
        (lambda d: d["dataset"].update(targets=["speed"]), "target 'speed' is not a feature"),
        (lambda d: d["dataset"].update(interval_s=-5), "dataset.interval_s: found -5"),
        (lambda d: d.update(version=2), "version: found 2"),
        (lambda d: d.update(beam={"args": []}), "name the runner"),
        (lambda d: d.pop("exchange"), "exchange: missing"),
        (
            lambda d: d["locales"][0].update(pii=[{"column": "x", "action": "burn"}]),
            "locales[0].pii[0].action",
        ),
        (
            lambda d: d["central"].update(detector={"bootstrap_samples": 3}),
            "central.detector.bootstrap_samples",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, edit, expected):
    assert expected in refused(tmp_path, edit)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("name: other\n", "key 'name' is given twice"),
        ("central: {quorum: 1, quorum: 2}\n", "key 'quorum' is given twice"),
        ("? [a, b]\n: 1\n", "found unhashable key"),
    ],
)
def test_a_key_given_twice_is_refused_and_so_is_one_that_is_no_text(tmp_path, more, expected):
    last = (VALID + more).count("\n") - more.count("\n") + 1
    with pytest.raises(ConfigError, match=rf"isthmus\.yaml:{last}: {expected}"):
        load_deployment(write(tmp_path, VALID + more))


def test_no_yaml_no_file_and_no_mapping_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_deployment(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"isthmus\.yaml:\d+: "):
        load_deployment(write(tmp_path, "a: [1"))
    with pytest.raises(ConfigError, match="found a list"):
        load_deployment(write(tmp_path, "- a\n- b\n"))


def test_validate_imports_no_tfx(tmp_path):
    code = (
        "import sys; from pipeline.config.load import load_deployment; "
        f"load_deployment({str(write(tmp_path))!r}); "
        "heavy = {'tfx', 'tensorflow', 'apache_beam', 'prophet', 'pandas'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_locale_that_is_set_to_a_span_is_merged_with_that_one(tmp_path):
    data = yaml.safe_load(VALID)
    data["locales"][0]["span"] = 0
    data["central"]["ideal"] = True
    deployment = load_deployment(write(tmp_path, yaml.safe_dump(data)))
    assert resolve.central_configs(deployment).merge_gen.spans == {"eu-west": 0}
    assert resolve.ideal_span(deployment) == 0
    # They are rows of restricted locales there, too.
    assert resolve.central_configs(deployment).ideal.refuse_identifiers
    plain = load_deployment(write(tmp_path))
    assert resolve.central_configs(plain).merge_gen.spans == "latest"
    assert resolve.ideal_span(plain) == "latest"


def test_ideal_reads_one_span_of_all_restricted_locales(tmp_path):
    def edit(data):
        data["central"]["ideal"] = True
        data["locales"].append({**data["locales"][0], "name": "ap-south", "span": 3})

    assert "central.ideal: found restricted locales at the spans 3, latest" in refused(tmp_path, edit)


def test_a_gate_without_a_rule_on_privacy_is_no_gate(tmp_path):
    fidelity = {"metric": "marginal_fidelity", "rule": "min", "threshold": 0.5, "reason": "close enough"}

    def edit(data):
        data["locales"][0]["privacy"]["gate"] = {"checks": [fidelity]}

    assert "locale eu-west: privacy.gate.checks: found no rule on privacy" in refused(tmp_path, edit)


def test_one_policy_for_missing_values_reaches_every_place_that_reads_rows(tmp_path):
    data = yaml.safe_load(VALID)
    data["quality"] = {"imputation": {"default": "drop", "max_gap_intervals": 9}}
    data["central"]["ideal"] = True
    deployment = load_deployment(write(tmp_path, yaml.safe_dump(data)))
    central = resolve.central_configs(deployment)
    places = [central.test, central.ideal]
    places += [resolve.regional_configs(deployment, item.name).example_gen for item in deployment.locales]
    assert len(places) == 2 + len(deployment.locales)
    assert [place.quality.imputation for place in places] == [deployment.quality.imputation] * len(places)
    assert deployment.quality.imputation.default == "drop"


def test_a_policy_that_does_not_fit_is_named_in_one_line(tmp_path):
    def edit(data):
        data["quality"] = {"imputation": {"default": "mean"}}

    found = refused(tmp_path, edit)
    assert "quality.imputation.default: found 'mean' for 'heater_on', which is binary; allowed: none" in found


def test_slices_must_be_columns_of_the_test_rows(tmp_path):
    def edit(data):
        data["central"]["detector"] = {"fairness": {"slices": ["locale", "voltage"]}}

    assert "fairness.slices: found 'voltage'; allowed: asset, heater_on, locale" in refused(tmp_path, edit)
