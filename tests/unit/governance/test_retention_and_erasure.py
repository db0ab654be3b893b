"""Retention and erasure on a locale's folder as runs leave it: what goes, what stays, what is evidence."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import ConfigError
from components.release.keys import load_public_key
from components.release.storage import open_store
from components.release.verify import RevokedReleaseError, verify_release
from components.split_io import write_split
from pipeline import cli, erasing, retaining
from pipeline.config.load import load_deployment
from pipeline.evidence import Evidence, subject_digest

DEPLOYMENT = """
version: 1
name: fleet
root: .
dataset: {series: [asset], label: label, interval_s: 60, features: [{name: temp_c}], targets: [temp_c]}
locales:
  - name: eu-west
    sharing: restricted
    source: {pattern: eu.csv}
    privacy: {gate: {}}
    governance: {policy: policy.yaml, required_approvals: 0}
    retention: {examples_days: 30, models_days: 90, releases_days: 365, logs_days: 7}
    pii: [{column: asset, action: pseudonymise, key: {file: salt}}]
    signing_key: {file: key}
    trusted_key: key.pub
  - name: us-east
    sharing: open
    source: {pattern: us.csv}
    signing_key: {file: us}
    trusted_key: us.pub
exchange: {uri: exchange}
central: {quorum: 2, test_set: {pattern: test.csv}}
"""
DAY_S = 86_400.0
COMPONENTS = {"ExampleGen": "examples", "SynthesizerTrainer": "model", "Pusher": "pushed"}


class Locale:
    """The folder of `eu-west` after some runs."""

    def __init__(self, root: Path, region) -> None:
        self.root, self.region, self.runs = root, region, 0
        (root / "isthmus.yaml").write_text(DEPLOYMENT)
        (root / "salt").write_text("a secret that stays in the locale")

    @property
    def deployment(self):
        return load_deployment(self.root / "isthmus.yaml")

    def source(self, *assets: str) -> None:
        rows = [f"2026-01-01T00:0{n}:00Z,{asset},1.5,0" for n, asset in enumerate(assets)]
        (self.root / "eu.csv").write_text("timestamp,asset,temp_c,label\n" + "\n".join(rows) + "\n")

    def run(self, *assets: str, rows: int = 20, age_days: float = 0) -> dict[str, Path]:
        """One run on rows of these assets; returns its artifacts."""
        self.runs += 1
        made = {}
        for component, channel in COMPONENTS.items():
            folder = self.root / "eu-west" / "artifacts" / component / channel / str(self.runs)
            folder.mkdir(parents=True)
            (folder / "content").write_text(component)
            made[channel] = folder
        stored = [erasing.stored_forms(self.deployment, "eu-west", "asset", asset)[0][0] for asset in assets]
        write_split(made["examples"], "train", pa.table({"asset": stored, "temp_c": [1.0] * len(stored)}))
        push = self.region.push(rows=rows)
        (made["pushed"] / "push.json").write_text(json.dumps(push))
        log = self.root / "eu-west" / "logs" / f"{self.runs}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("a run")
        components = [
            {"id": name, "state": "executed", "outputs": {channel: str(made[channel])}}
            for name, channel in COMPONENTS.items()
        ]
        section = {"components": components, "log": str(log)}
        folder = self.root / "runs" / f"2026010{self.runs}"
        folder.mkdir(parents=True)
        state = {"locales": {"eu-west": section}, "central": None}
        (folder / "run.json").write_text(json.dumps(state))
        then = time.time() - age_days * DAY_S
        for path in [*(p for folder in made.values() for p in (folder, *folder.rglob("*"))), log]:
            os.utime(path, (then, then))
        for path in Path(push["uri"]).rglob("*"):
            os.utime(path, (then, then))
        return {**made, "release": Path(push["uri"]), "log": log}


@pytest.fixture
def locale(make_region, tmp_path) -> Locale:
    (tmp_path / "eu-west").mkdir()
    region = make_region(approvals=0, folder=str(tmp_path / "eu-west" / "governance"))
    return Locale(tmp_path, region)


@pytest.fixture
def isthmus(locale, monkeypatch, capsys):
    def run(command: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["isthmus", command, str(locale.root / "isthmus.yaml"), *arguments])
        capsys.readouterr()
        status = cli._run_app()
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


# --- retention ---


def test_a_dry_run_names_what_is_past_its_time_and_changes_nothing(locale, isthmus):
    old = locale.run("zoe", rows=20, age_days=40)
    locale.run("zoe", rows=21)
    before = sorted(locale.root.rglob("*"))
    status, text = isthmus("retain", "--locale", "eu-west")
    assert status == 0 and sorted(locale.root.rglob("*")) == before
    assert f"eu-west: examples: {old['examples']}: 40.0 days old; would be deleted (--apply)" in text
    assert f"eu-west: logs: {old['log']}: 40.0 days old; would be deleted" in text
    assert str(old["model"]) not in text and str(old["release"]) not in text  # 90 and 365 days


def test_what_is_past_its_time_goes_and_what_the_lineage_needs_stays(locale, isthmus):
    old = locale.run("zoe", rows=20, age_days=400)
    new = locale.run("zoe", rows=21, age_days=400)
    status, text = isthmus("retain", "--apply")
    assert status == 0
    for kind in ("examples", "model", "release", "log"):
        assert not old[kind].exists(), kind
        assert new[kind].exists(), kind
    assert f"{new['model']}: 400.0 days old; kept: needed by the current lineage" in text
    assert f"{new['release']}: 400.0 days old; kept: needed by the newest release of the locale" in text
    (entry,) = [e for e in locale.region.audit.chain.read() if e.kind == "retention"]
    assert str(old["model"]) in entry.body["deleted"] and str(new["model"]) not in entry.body["deleted"]
    assert isthmus("retain", "--apply")[0] == 0
    assert len([e for e in locale.region.audit.chain.read() if e.kind == "retention"]) == 1


def test_a_release_that_the_latest_merge_stands_on_stays(locale):
    old, new = locale.run("zoe", rows=20, age_days=400), locale.run("zoe", rows=21, age_days=400)
    merge = locale.root / "merge"
    merge.mkdir()
    release_id = old["release"].name.split("-")[1]
    (merge / "merge.json").write_text(json.dumps({"accepted": [{"release_id": release_id}]}))
    state = json.loads((locale.root / "runs" / "20260102" / "run.json").read_text())
    state["central"] = {"components": [{"id": "MergeGen", "outputs": {"merge_report": str(merge)}}]}
    (locale.root / "runs" / "20260102" / "run.json").write_text(json.dumps(state))
    items = {i.uri: i.needed_by for i in retaining.overdue(locale.deployment, "eu-west", time.time())}
    assert items[str(old["release"])] == "the latest merge"
    assert items[str(new["release"])] == "the newest release of the locale"


def test_without_a_policy_nothing_is_past_its_time(locale, isthmus):
    locale.run("zoe", age_days=4000)
    file = locale.root / "isthmus.yaml"
    lines = [line for line in file.read_text().splitlines() if "retention" not in line]
    file.write_text("\n".join(lines))
    assert isthmus("retain", "--apply")[1].count("nothing is past its time") == 2


def test_a_deletion_that_was_killed_is_finished_by_the_next(locale, monkeypatch):
    old = locale.run("zoe", age_days=400)

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retaining.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            retaining.delete_folder(old["examples"])
    # Half a folder under its old name would be taken for whole by a cache.
    assert not old["examples"].exists()
    assert retaining.sweep(locale.root / "eu-west") == 1
    assert not list(old["examples"].parent.iterdir())


# --- erasure ---


def test_a_drill_follows_a_pseudonym_from_source_to_release_and_changes_nothing(locale, isthmus):
    locale.source("zoe", "bob")
    hers, his = locale.run("zoe", "bob", rows=20), locale.run("bob", "bob", rows=21)
    before = sorted(locale.root.rglob("*"))
    status, text = isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")
    found = json.loads(text)
    assert status == 0 and sorted(locale.root.rglob("*")) == before
    assert found["examples"] == {str(hers["examples"]): {"train": 1}}
    assert found["stored_as"] == "pseudonymise" and not found["applied"]
    assert [release["uri"] for release in found["releases"]] == [str(hers["release"])]
    assert found["retrain"] == [str(hers["model"])] and str(his["model"]) not in found["artifacts"]
    assert found["sources"] == {"eu.csv": 1} or list(found["sources"].values()) == [1]


def test_an_applied_erasure_revokes_deletes_and_leaves_signed_evidence(locale, isthmus, monkeypatch):
    locale.source("bob")
    hers, his = locale.run("zoe", "bob", rows=20), locale.run("bob", rows=21)
    digest = json.loads((hers["pushed"] / "push.json").read_text())["content_digest"]
    detector = {
        "name": "detector",
        "version": 1,
        "uri": "registry/detector/1",
        "releases": [{"digest": digest}],
    }
    other = {**detector, "uri": "registry/detector/2", "releases": [{"digest": "f" * 64}]}
    monkeypatch.setattr(erasing, "registry_versions", lambda deployment: [detector, other])
    status, text = isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--apply")
    assert status == 0, text
    for kind in ("examples", "model", "pushed"):
        assert not hers[kind].exists() and his[kind].exists(), kind
    key = load_public_key(str(locale.root / "key.pub"))
    with pytest.raises(RevokedReleaseError):
        verify_release(open_store(str(hers["release"])), "", {"eu-west": [key]})
    verify_release(open_store(str(his["release"])), "", {"eu-west": [key]})
    (pack,) = (locale.root / "eu-west" / "governance" / "erasures").iterdir()
    evidence = Evidence.model_validate_json((pack / "evidence.json").read_bytes())
    assert key.verifies(evidence) and evidence.complete and evidence.applied
    assert [release["outcome"] for release in evidence.releases] == ["revoked"]
    assert [found["uri"] for found in evidence.detectors] == ["registry/detector/1"]
    assert subject_digest(evidence.subject_salt, "zoe") == evidence.subject_sha256
    forged = evidence.model_copy(update={"complete": False})
    assert not key.verifies(forged)
    (entry,) = [e for e in locale.region.audit.chain.read() if e.kind == "erasure"]
    assert entry.body["erasure_id"] == evidence.erasure_id
    # The drill again finds nothing, and neither pack, log nor revocation names the subject.
    again = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert (again["examples"], again["artifacts"], again["releases"], again["notes"]) == ({}, [], [], [])
    for file in [
        *pack.iterdir(),
        locale.region.audit.chain.path,
        *(locale.root / "exchange").rglob("*.json"),
    ]:
        assert b"zoe" not in file.read_bytes(), file


def test_an_erasure_is_not_complete_while_the_source_has_the_rows(locale, isthmus):
    locale.source("zoe", "zoe", "bob")
    locale.run("zoe", "bob")
    (locale.root / "subject").write_text("zoe\n")
    where = ("--locale", "eu-west", "--series-file", str(locale.root / "subject"))
    status, text = isthmus("erase", *where, "--apply")
    assert status == 1 and "NOT complete" in text and ": 2 rows" in text
    locale.source("bob")
    status, text = isthmus("erase", *where, "--apply")
    assert status == 0 and "have no row of the subject" in text


def test_where_subjects_share_a_form_all_of_that_form_count(locale, isthmus):
    file = locale.root / "isthmus.yaml"
    rule = "action: generalise, mapping: {zoe: site-1, bob: site-1, eve: site-2}"
    file.write_text(file.read_text().replace("action: pseudonymise, key: {file: salt}", rule))
    locale.source("bob")
    theirs = locale.run("bob", "bob")
    locale.run("eve", rows=21)
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(theirs["examples"]): {"train": 2}}
    assert found["stored_as"] == "generalise (with all others of the same form)"


def test_a_rotated_key_is_followed_and_a_forgotten_one_is_named(locale, isthmus):
    locale.source("bob")
    hers = locale.run("zoe", "bob")
    (locale.root / "salt2").write_text("the next secret")
    file = locale.root / "isthmus.yaml"
    before = file.read_text()
    file.write_text(before.replace("key: {file: salt}", "key: {file: salt2}, old_key: {file: salt}"))
    newer = locale.run("zoe", rows=21)
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(hers["examples"]): {"train": 1}, str(newer["examples"]): {"train": 1}}
    assert found["notes"] == []
    file.write_text(before.replace("key: {file: salt}", "key: {file: salt2}"))
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["examples"] == {str(newer["examples"]): {"train": 1}}
    (note,) = found["notes"]
    assert note.startswith(f"{hers['examples']}: 2 rows have pseudonyms of a key that is not configured")


def test_a_release_whose_examples_are_gone_is_named_as_not_known(locale, isthmus):
    locale.source("bob")
    old = locale.run("bob")
    retaining.delete_folder(old["examples"])
    found = json.loads(isthmus("erase", "--locale", "eu-west", "--series", "zoe", "--json")[1])
    assert found["releases"] == [] and str(old["release"]) in found["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--series", "zoe", "--column", "temp_c"), "--column: found 'temp_c'; allowed: asset"),
        ((), "--series: found neither or both"),
        (("--series", "zoe", "--series-file", "x"), "--series: found neither or both"),
    ],
)
def test_what_is_asked_wrongly_of_an_erasure_is_said(locale, isthmus, arguments, words):
    status, text = isthmus("erase", "--locale", "eu-west", *arguments)
    assert status == 2 and words in text


def test_an_unknown_column_is_refused_by_the_trace_itself(locale):
    with pytest.raises(ConfigError, match="--column"):
        erasing.trace(locale.deployment, "eu-west", "site", "x")
