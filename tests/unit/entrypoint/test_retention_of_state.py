"""What pods keep of a locale falls under its retention policy, as what a local run keeps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import yaml

from pipeline import retaining, starter
from pipeline.config.load import load_deployment
from pipeline.entrypoint.state import PROFILE, RELEASE, STATISTICS, State

DAY_S = 86_400


def made(folder: Path, text: str) -> Path:
    (folder / "Split-train").mkdir(parents=True)
    (folder / "Split-train" / "FeatureStats.pb").write_text(text)
    return folder


def test_old_spans_go_and_what_the_next_is_compared_with_stays(tmp_path: Path) -> None:
    config = starter.write(tmp_path, size="small")
    data = yaml.safe_load(config.read_text())
    data["root"] = str(tmp_path / "state")
    for locale in data["locales"]:
        locale["retention"] = {"examples_days": 30, "logs_days": 30}
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    deployment = load_deployment(config)
    state = State(str(tmp_path / "state"), "eu-west")
    for span in (1, 2, 9, 10):
        state.remember(STATISTICS, span, made(tmp_path / f"s{span}", f"s{span}"))
    for span in (1, 2, 9):  # nothing of span 10 was released
        state.remember(RELEASE, span, made(tmp_path / f"r{span}", f"r{span}"))
    log = tmp_path / "state" / "eu-west" / "logs" / "eu-west-onboard.log"
    log.parent.mkdir()
    log.write_text("rows")
    old = time.time() - 60 * DAY_S
    for path in (tmp_path / "state" / "eu-west").rglob("*"):
        os.utime(path, (old, old))
    young = tmp_path / "state" / "eu-west" / "history" / "span-2" / "statistics.json"
    os.utime(young, None)

    overdue = retaining.overdue(deployment, "eu-west", time.time())
    named = {Path(item.uri).name: (item.kind, bool(item.needed_by)) for item in overdue}
    assert named == {
        "span-1": ("examples", False),
        "span-9": ("examples", True),
        "span-10": ("examples", True),
        log.name: ("logs", False),
    }
    before = state.before(STATISTICS, 11), state.before(RELEASE, 11)
    for item in overdue:
        if not item.needed_by:
            retaining.remove(deployment, item)
    assert (state.before(STATISTICS, 11), state.before(RELEASE, 11)) == before
    assert state.fetch(STATISTICS, *before[0]) and state.fetch(RELEASE, *before[1])
    assert state.before(STATISTICS, 2) == ("", "") and not log.exists()
    kept = [path.name for path in (tmp_path / "state" / "eu-west" / "history").iterdir()]
    assert sorted(kept) == ["span-10", "span-2", "span-9"]


def test_a_window_and_a_reference_span_stay(tmp_path: Path) -> None:
    config = starter.write(tmp_path, size="small")
    data = yaml.safe_load(config.read_text())
    data["root"] = str(tmp_path / "state")
    data["monitoring"] = {"baselines": {"window": 2, "reference": 1}}
    for locale in data["locales"]:
        locale["retention"] = {"examples_days": 30}
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    state = State(str(tmp_path / "state"), "eu-west")
    for span in (0, 1, 2, 3, 4):
        folder = made(tmp_path / f"p{span}" / "x", f"p{span}").parent
        (folder / "profile.json").write_text(f"{span}")
        state.remember(PROFILE, span, folder)
    old = time.time() - 60 * DAY_S
    for path in (tmp_path / "state" / "eu-west").rglob("*"):
        os.utime(path, (old, old))
    overdue = retaining.overdue(load_deployment(config), "eu-west", time.time())
    kept = {Path(item.uri).name: bool(item.needed_by) for item in overdue}
    assert kept == {"span-0": False, "span-1": True, "span-2": False, "span-3": True, "span-4": True}


def test_what_a_killed_removal_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "history" / ".deleted-span-1-0123"
    left.mkdir(parents=True)
    assert retaining.sweep(tmp_path) == 1 and not left.exists()
