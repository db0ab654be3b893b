"""Bad input through the command line: exit status 2, one line that says what and where, no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.e2e


def isthmus(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Path:
    from pipeline import starter

    folder = tmp_path_factory.mktemp("bad") / "fleet"
    starter.write(folder, seed=7, size="small")
    return folder


@pytest.fixture
def copy(fleet, tmp_path) -> Path:
    shutil.copytree(fleet, tmp_path / "fleet")
    return tmp_path / "fleet"


def edit(folder: Path, change) -> None:
    file = folder / "isthmus.yaml"
    data = yaml.safe_load(file.read_text())
    change(data)
    file.write_text(yaml.safe_dump(data, sort_keys=False))


def source(folder: Path) -> Path:
    return folder / "data" / "eu-west" / "span-0" / "data.csv"


def only_line(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("isthmus: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_deployment_file_that_is_not_there():
    assert "no such file" in only_line(isthmus("run", "nowhere.yaml"))


CONFIG_FAULTS = {
    "unknown key": (lambda d: d.update(sed=1), "sed: unknown key (did you mean 'seed'?)"),
    "wrong type": (lambda d: d.update(seed="many"), "seed: found 'many'; allowed"),
    "negative epsilon": (
        lambda d: d["locales"][1]["privacy"].update(target_epsilon=-2),
        "target_epsilon: found -2",
    ),
    "locale named twice": (lambda d: d["locales"].append(d["locales"][0]), "'us-east' is named twice"),
    "no gate": (lambda d: d["locales"][1].pop("privacy"), "a restricted locale needs a release gate"),
}


@pytest.mark.parametrize("fault", CONFIG_FAULTS)
def test_what_is_wrong_in_the_deployment_file(copy, fault):
    change, expected = CONFIG_FAULTS[fault]
    edit(copy, change)
    for command in ("validate", "run"):
        line = only_line(isthmus(command, copy / "isthmus.yaml"))
        assert expected in line and "isthmus.yaml" in line


def _truncate(folder: Path) -> None:
    source(folder).write_text("")


def _semicolons(folder: Path) -> None:
    source(folder).write_text(source(folder).read_text().replace(",", ";"))


def _no_timestamp(folder: Path) -> None:
    source(folder).write_text(source(folder).read_text().replace("timestamp", "when", 1))


SOURCE_FAULTS = {
    "missing file": (lambda folder: source(folder).unlink(), "no file matches"),
    "empty file": (_truncate, "data.csv: the file is empty"),
    "wrong delimiter": (_semicolons, "semicolon"),
    "no timestamp column": (_no_timestamp, "no timestamp column 'timestamp'"),
    "a span that does not exist": (
        lambda folder: edit(
            folder, lambda d: (d["locales"][1].update(span=5), d["central"].update(ideal=False))
        ),
        "span 5 does not exist",
    ),
}


@pytest.mark.parametrize("fault", SOURCE_FAULTS)
def test_what_is_wrong_with_a_locales_source(copy, fault):
    change, expected = SOURCE_FAULTS[fault]
    change(copy)
    line = only_line(isthmus("run", copy / "isthmus.yaml", "--locale", "eu-west"))
    assert expected in line


def test_text_in_a_float_column_names_file_and_column(copy):
    import pandas as pd

    frame = pd.read_csv(source(copy), keep_default_na=False)
    frame["temp_c"] = "warm"
    frame.to_csv(source(copy), index=False)
    done = isthmus("run", copy / "isthmus.yaml", "--locale", "eu-west", "--stage", "onboard")
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("eu-west: ")]
    assert "data.csv" in line and "temp_c" in line
    assert "warm" not in line, "a message holds no value of a private record"


def test_a_test_set_without_labels(copy):
    file = copy / "data" / "test" / "test.csv"
    file.write_text(file.read_text().replace("label", "lable", 1))
    line = only_line(isthmus("run", copy / "isthmus.yaml"))
    assert "central.test_set" in line and "no label column 'label'" in line and "lable" in line


def test_an_exchange_that_cannot_be_written(copy):
    (copy / "exchange").write_text("a file where the folder should be")
    assert "exchange.uri" in only_line(isthmus("run", copy / "isthmus.yaml"))


def test_an_altered_release_and_one_that_is_none(copy, tmp_path):
    from components.release import keys

    keys.ensure_key_pair(tmp_path / "k.pem")
    (tmp_path / "empty").mkdir()
    assert "isthmus: " in only_line(isthmus("verify", tmp_path / "empty", "--key", tmp_path / "k.pem.pub"))


def test_usage_errors_are_bad_input():
    done = isthmus("run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert isthmus("run", "x.yaml", "--stage", "never").returncode == 2


def test_validate_answers_in_two_seconds_of_processor_time(fleet):
    """Wall-clock time decides nothing in a test; the processor's does not depend on the neighbours."""
    before = os.times()
    done = isthmus("validate", fleet / "isthmus.yaml")
    after = os.times()
    assert done.returncode == 0
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 4, f"{spent:.1f} s"
