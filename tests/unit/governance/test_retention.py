"""Retention on a locale's folder as runs leave it: what goes, what stays."""

from __future__ import annotations

import json
import time

import pytest

from pipeline import retaining


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


def test_what_the_next_span_is_compared_with_stays(locale, monkeypatch):
    from components.drift_monitor.baselines import Baselines, BaselineSource

    old, other = (locale.run("zoe", rows=rows, span=span, age_days=400) for span, rows in ((1, 20), (2, 21)))
    locale.run("zoe", rows=22, span=3, age_days=400)
    window = BaselineSource(kind="window", profiles=(str(old["drift"]),))
    asked = []

    def baselines(root, name, span, wanted):
        asked.append((name, span, wanted.previous))
        return Baselines(sources=(window,)), ""

    monkeypatch.setattr(retaining, "baselines", baselines)
    items = {i.uri: i.needed_by for i in retaining.overdue(locale.deployment, "eu-west", time.time())}
    assert items[str(old["drift"])] == "the current lineage" and items[str(other["drift"])] == ""
    assert asked == [("eu-west", 3, True)]
