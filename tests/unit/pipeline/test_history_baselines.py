"""Which earlier spans become baselines, and what is said of those that are missing."""

from __future__ import annotations

import json
from pathlib import Path

from components.monitoring import BaselinesConfig
from pipeline.history import baselines, previous_monitor, previous_statistics


def ran(root: Path, number: int, span: int, *, fit: bool = True, profiled: bool = True) -> Path:
    """A run of a span; returns the folder of its profile."""
    base = root / "artifacts" / str(number)
    for name, file, text in (
        ("quarantine", "ingest.json", json.dumps({"span": span})),
        ("statistics", "span/FeatureStats.pb", f"statistics of run {number}"),
        ("profile", "profile.json", f"profile of run {number}"),
    ):
        path = base / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    components = [
        {"id": "ExampleGen", "state": "executed", "outputs": {"quarantine": str(base / "quarantine")}},
        {"id": "StatisticsGen", "state": "executed", "outputs": {"statistics": str(base / "statistics")}},
        {"id": "ExampleValidator", "state": "executed" if fit else "failed", "outputs": {}},
    ]
    if profiled:
        outputs = {"profile": str(base / "profile")}
        components.append({"id": "DriftMonitor", "state": "executed", "outputs": outputs})
    run = root / "runs" / f"r{number:03d}" / "run.json"
    run.parent.mkdir(parents=True)
    run.write_text(json.dumps({"locales": {"eu": {"components": components}}, "central": {}}))
    return base / "profile"


def test_previous_window_and_reference_are_the_spans_that_they_say(tmp_path):
    folders = [str(ran(tmp_path, n, n)) for n in range(6)]
    wanted = BaselinesConfig(previous=True, window=3, reference=1)
    found, digest = baselines(tmp_path, "eu", 5, wanted)
    previous, window, reference = found.sources
    assert (previous.kind, previous.profiles) == ("previous", (folders[4],))
    assert previous.statistics == folders[4].replace("profile", "statistics")
    assert (window.kind, window.profiles, window.statistics) == ("window", tuple(folders[2:5]), "")
    assert (reference.profiles, reference.absent) == ((folders[1],), "")
    assert found.plan == folders[4]
    Path(folders[2], "profile.json").write_text("of other rows")
    assert baselines(tmp_path, "eu", 5, wanted)[1] != digest


def test_a_refused_span_is_no_baseline_and_the_latest_run_of_a_span_counts(tmp_path):
    ran(tmp_path, 0, 0)
    again = ran(tmp_path, 1, 0)
    ran(tmp_path, 2, 1, fit=False)
    (previous,) = baselines(tmp_path, "eu", 2, BaselinesConfig())[0].sources
    assert previous.profiles == (str(again),)
    assert previous_statistics(tmp_path, "eu", 2)[0] == previous.statistics


def test_what_is_missing_has_its_reason(tmp_path):
    wanted = BaselinesConfig(previous=True, window=2, reference=7)
    none, digest = baselines(tmp_path, "eu", 3, wanted)
    assert [source.absent for source in none.sources] == [
        "there is no earlier span",
        "there is no earlier span",
        "the reference span 7 is not before this one",
    ]
    assert (digest, none.plan) == ("", "")
    old = ran(tmp_path, 0, 0)
    ran(tmp_path, 1, 1, profiled=False)
    found, _ = baselines(tmp_path, "eu", 3, BaselinesConfig(window=2, reference=1))
    previous, window, reference = found.sources
    # Span 0 is not the previous one, though it is the nearest that has a profile.
    assert (previous.profiles, previous.absent) == ((), "the previous span, 1, has no profile")
    assert window.profiles == (str(old),)
    assert reference.absent == "there is no profile of the reference span 1"


def test_the_centres_report_of_the_nearest_earlier_span_is_found(tmp_path):
    assert previous_monitor(tmp_path, 5) == ("", "")
    for number, span in enumerate((1, 3, 3, 5)):
        folder = tmp_path / "central" / str(number)
        folder.mkdir(parents=True)
        (folder / "monitor.json").write_text(json.dumps({"span": span, "run": number}))
        components = [{"id": "SkewMonitor", "outputs": {"monitor": str(folder)}}]
        run = tmp_path / "runs" / f"r{number}" / "run.json"
        run.parent.mkdir(parents=True)
        run.write_text(json.dumps({"locales": {}, "central": {"components": components}}))
    uri, digest = previous_monitor(tmp_path, 5)
    assert uri == str(tmp_path / "central" / "2") and len(digest) == 64  # the latest run of span 3
    assert previous_monitor(tmp_path, 3)[0] == str(tmp_path / "central" / "0")
