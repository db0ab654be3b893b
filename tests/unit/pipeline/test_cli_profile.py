"""`isthmus profile` on simulated and on mended deployments; what it writes, and what it refuses."""

from __future__ import annotations

import io
import json
import stat

import pytest
import yaml

from components.synthesizer_trainer.config import SynthesizerTrainerConfig
from pipeline import starter
from pipeline.config.load import load_deployment


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return starter.write(tmp_path_factory.mktemp("profile") / "fleet", size="small")


def changed(config, name, change):
    """The deployment under another name, after `change` of its YAML."""
    data = yaml.safe_load(config.read_text())
    change(data, {locale["name"]: locale for locale in data["locales"]})
    other = config.with_name(name)
    other.write_text(yaml.safe_dump(data))
    return other


def answer(isthmus, *arguments):
    exit_status, out, err = isthmus("profile", *arguments, "--json")
    assert exit_status == 0, err
    return json.loads(out)


def test_the_properties_of_the_simulated_fleet(isthmus, config):
    found = answer(isthmus, config, "--locale", "eu-west")
    assert found["version"] == 1 and "stays there" in found["notice"]
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["heater_on"]["kind"] == "flag" and columns["mode"]["kind"] == "category"
    assert (
        columns["pressure_kpa"]["kind"] == "number"
        and columns["pressure_kpa"]["modelled_as"] == "latent series"
    )
    assert found["cadence"]["median_step_s"] == 600 and found["remarks"] == []
    assert found["columns_not_read"] == ["operator", "serial"]
    assert found["rows"]["train"] == pytest.approx(0.7 * found["rows"]["profiled"], rel=0.1)
    assert {kind["name"] for kind in found["labels"]} and found["expected"]["cost"]["cpu_minutes"] > 0


def test_the_fragment_is_private_and_is_what_the_deployment_reads(isthmus, config, tmp_path):
    target = tmp_path / "proposed.yaml"
    exit_status, out, _ = isthmus("profile", config, "--locale", "eu-west", "-o", target)
    assert exit_status == 0 and f"proposal: {target}" in out and "stays there" in out
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    section = yaml.safe_load(target.read_text())
    assert set(section) == {"synthesizer"}
    assert target.read_text().count("  # ") >= len(section["synthesizer"])

    def take(data, locales):
        locales["eu-west"].update(section)

    mended = changed(config, "proposed-in.yaml", take)
    assert load_deployment(mended).locale("eu-west").synthesizer == section["synthesizer"]
    SynthesizerTrainerConfig.model_validate(
        {"dataset": load_deployment(mended).dataset, **section["synthesizer"]}
    )
    exit_status, _, err = isthmus("profile", config, "--locale", "eu-west", "-o", target)
    assert exit_status == 2 and "exists already" in err


def test_the_fragment_of_a_private_locale_takes_the_place_of_its_own_section(isthmus, config, tmp_path):
    period = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-07T00:00:00Z"}
    own = {"method": "dp_gan", "dp": {"period": period, "kinds": ["ramp"], "critic": {"steps": 50}}}

    def private(data, locales):
        locales["eu-west"]["privacy"] = {"gate": {}, "target_epsilon": 8, "target_delta": 1e-6}
        locales["eu-west"]["synthesizer"] = own
        data.pop("synthesizer")

    deployment = changed(config, "private.yaml", private)
    target = tmp_path / "proposed.yaml"
    exit_status, _, err = isthmus("profile", deployment, "--locale", "eu-west", "-o", target)
    assert exit_status == 0, err
    section = yaml.safe_load(target.read_text())
    assert section == {"synthesizer": own}
    exit_status, _, err = isthmus(
        "validate", changed(deployment, "again.yaml", lambda _, locales: locales["eu-west"].update(section))
    )
    assert exit_status == 0, err


def test_no_rows_stay_behind(isthmus, config):
    before = sorted(config.parent.rglob("*"))
    answer(isthmus, config, "--locale", "ap-south")
    assert sorted(config.parent.rglob("*")) == before


def test_plain_lines_without_a_terminal(isthmus, config):
    exit_status, out, _ = isthmus("profile", config, "--locale", "eu-west")
    lines = out.splitlines()
    assert exit_status == 0
    assert any(line.startswith("column: mode: kind category, different 3") for line in lines)
    assert any(line.startswith("proposal: window_steps: value 40") for line in lines)
    assert any(line.startswith("expected cost of a training: ") for line in lines)


def test_tables_on_a_terminal(config):
    from rich.console import Console

    from pipeline import profile_view, profiling

    console = Console(force_terminal=True, width=200, record=True, file=io.StringIO())
    profile_view.show(profiling.profile_locale(load_deployment(config), "eu-west", None), console)
    text = console.export_text()
    assert "remembers" in text and "heater_on" in text and "column: mode" not in text


def test_an_open_locale_has_a_profile_and_no_proposal(isthmus, config, tmp_path):
    found = answer(isthmus, config, "--locale", "us-east")
    assert found["proposal"] is None and found["columns"]
    exit_status, _, err = isthmus("profile", config, "--locale", "us-east", "-o", tmp_path / "p.yaml")
    assert exit_status == 2 and "us-east is open" in err and not (tmp_path / "p.yaml").exists()


def test_another_cadence_and_an_undeclared_identifier_are_told_not_refused(isthmus, config):
    def change(data, locales):
        data["dataset"]["interval_s"] = 60
        data["dataset"]["features"].append({"name": "operator", "kind": "categorical"})
        data["dataset"].pop("schema_name")
        locales["eu-west"]["pii"] = []
        for name in ("us-east", "ap-south"):
            locales[name]["pii"] = [{"column": "serial", "action": "drop"}]

    found = answer(isthmus, changed(config, "odd.yaml", change), "--locale", "eu-west")
    assert "Set dataset.interval_s: 600" in found["remarks"][0]
    assert ("operator", "identifier") in {(x["column"], x["risk"]) for x in found["risks"]}


def test_bad_input_is_one_line_and_exit_status_2(isthmus, config, tmp_path):
    def missing(data, locales):
        locales["eu-west"]["source"]["pattern"] = str(tmp_path / "nothing-{SPAN}.csv")

    def empty(data, locales):
        (tmp_path / "span-0").mkdir()
        header = next((config.parent / "data" / "eu-west").rglob("*.csv")).read_text().splitlines()[0]
        (tmp_path / "span-0" / "rows.csv").write_text(header + "\n")
        locales["eu-west"]["source"]["pattern"] = str(tmp_path / "span-{SPAN}" / "*.csv")

    cases = [
        (config, ("--locale", "eu-wset"), "unknown locale 'eu-wset' (did you mean 'eu-west'?)"),
        (config, ("--locale", "eu-west", "--span", "9"), "span 9 does not exist"),
        (tmp_path / "nowhere.yaml", ("--locale", "eu-west"), "no such file"),
        (changed(config, "missing.yaml", missing), ("--locale", "eu-west"), "no file matches"),
        (changed(config, "empty.yaml", empty), ("--locale", "eu-west"), "a header and no rows"),
        (config, ("--locale", "eu-west", "-o", config / "below" / "p.yaml"), "cannot be written"),
    ]
    for file, arguments, words in cases:
        exit_status, out, err = isthmus("profile", file, *arguments)
        assert exit_status == 2 and words in err and out == "" and len(err.splitlines()) <= 2, (words, err)
