"""What a zone keeps from run to run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.drift_monitor.baselines import Baselines, BaselineSource
from components.errors import DataError
from components.executor_base import write_json
from pipeline import history
from pipeline.entrypoint.state import PROFILE, RELEASE, STATISTICS, State, fetched


def statistics(folder: Path, text: str = "one") -> Path:
    for split in ("train", "eval"):
        (folder / f"Split-{split}").mkdir(parents=True)
        (folder / f"Split-{split}" / "FeatureStats.pb").write_bytes(f"{text} {split}".encode())
    (folder / "span").mkdir()
    (folder / "span" / "FeatureStats.pb").write_bytes(text.encode())
    (folder / "Split-train" / "other.json").write_text("{}")
    return folder


def profile(folder: Path, text: str = "one") -> Path:
    folder.mkdir(parents=True)
    for name in ("profile.json", "profile.npz", "span.json"):
        (folder / name).write_text(f"{text} {name}")
    return folder


def release(folder: Path, text: str = "one") -> Path:
    for split in ("train", "eval"):
        (folder / f"Split-{split}").mkdir(parents=True)
        for part in range(2):
            (folder / f"Split-{split}" / f"data-{part}.gz").write_bytes(f"{text} {split} {part}".encode())
    return folder


def names(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "file", "memory"])
def place(request, tmp_path: Path) -> str:
    return {
        "folder": str(tmp_path / "state"),
        "file": f"file://{tmp_path}/state",
        "memory": f"memory://state-{tmp_path.name}",
    }[request.param]


@pytest.mark.parametrize(
    ("kind", "make", "files"),
    [
        (
            STATISTICS,
            statistics,
            ["Split-eval/FeatureStats.pb", "Split-train/FeatureStats.pb", "span/FeatureStats.pb"],
        ),
        (PROFILE, profile, ["profile.json", "profile.npz", "span.json"]),
        (RELEASE, release, ["Split-train/data-0.gz", "Split-train/data-1.gz"]),
    ],
)
def test_what_is_remembered_is_found_and_fetched(place, tmp_path, kind, make, files) -> None:
    made = make(tmp_path / "made")
    State(place, "eu").remember(kind, 1, made)
    found, digest = State(f"{place}/", "eu").before(kind, 2)
    folder = State(place, "eu").fetch(kind, found, digest)
    assert names(folder) == files
    assert all((Path(folder) / name).read_bytes() == (made / name).read_bytes() for name in files)


def test_the_nearest_earlier_span_is_taken_and_no_other(place, tmp_path) -> None:
    state = State(place, "eu")
    for span in (1, 3, 10):
        state.remember(STATISTICS, span, statistics(tmp_path / str(span), str(span)))
    digests = {span: state.before(STATISTICS, span)[1] for span in (0, 1, 2, 3, 4, 10, 11)}
    assert digests[0] == digests[1] == ""
    assert digests[2] == digests[3] != digests[4] == digests[10] != digests[11]
    assert len(set(digests.values())) == 4
    assert state.before(RELEASE, 11) == ("", "")
    assert state.before(STATISTICS, 1) == ("", "")


def test_zones_know_nothing_of_each_other(place, tmp_path) -> None:
    State(place, "eu").remember(STATISTICS, 1, statistics(tmp_path / "a"))
    assert State(place, "us").before(STATISTICS, 2) == ("", "")
    State(place, "us").remember(STATISTICS, 1, statistics(tmp_path / "b", "two"))
    found = {zone: State(place, zone).before(STATISTICS, 2) for zone in ("eu", "us")}
    assert found["eu"][1] != found["us"][1]
    folder = State(place, "eu").fetch(STATISTICS, *found["eu"])
    assert (Path(folder) / "Split-train" / "FeatureStats.pb").read_bytes() == b"one train"


def test_a_span_that_is_run_again_replaces_what_was_kept(place, tmp_path) -> None:
    state = State(place, "eu")
    state.remember(RELEASE, 1, release(tmp_path / "a"))
    old = state.before(RELEASE, 2)
    (tmp_path / "b" / "Split-train").mkdir(parents=True)
    (tmp_path / "b" / "Split-train" / "data-0.gz").write_bytes(b"new")
    state.remember(RELEASE, 1, tmp_path / "b")
    new = state.before(RELEASE, 2)
    assert new[1] != old[1]
    assert names(state.fetch(RELEASE, *new)) == ["Split-train/data-0.gz"]
    with pytest.raises(DataError, match="replaced during this run; start a new run"):
        state.fetch(RELEASE, *old)  # its digest is in the step's cache key: nothing else may be compared


def test_what_was_replaced_is_not_kept(tmp_path) -> None:
    state = State(str(tmp_path / "state"), "eu")
    state.remember(RELEASE, 1, release(tmp_path / "a"))
    state.remember(RELEASE, 1, release(tmp_path / "b", "two"))
    state.remember(STATISTICS, 1, statistics(tmp_path / "c"))
    state.remember(STATISTICS, 1, statistics(tmp_path / "d", "two"))
    kept = [path.name for path in (tmp_path / "state" / "eu" / "history" / "span-1").iterdir()]
    assert sorted(name.split("-")[0] for name in kept) == [
        "release",
        "release.json",
        "statistics",
        "statistics.json",
    ]


def test_the_same_again_changes_nothing(place, tmp_path) -> None:
    state = State(place, "eu")
    made = statistics(tmp_path / "a")
    state.remember(STATISTICS, 1, made)
    found = state.before(STATISTICS, 2)
    state.remember(STATISTICS, 1, made)
    assert state.before(STATISTICS, 2) == found and names(state.fetch(STATISTICS, *found))


def test_half_of_a_span_is_not_seen(tmp_path) -> None:
    """Killed before the record was written, by hand: the record comes last."""
    state = State(str(tmp_path / "state"), "eu")
    state.remember(STATISTICS, 1, statistics(tmp_path / "a"))
    state.remember(STATISTICS, 2, statistics(tmp_path / "b", "two"))
    (tmp_path / "state" / "eu" / "history" / "span-2" / "statistics.json").unlink()
    assert state.before(STATISTICS, 3) == state.before(STATISTICS, 2)
    assert state.before(STATISTICS, 3)[1]


def test_a_kill_while_files_are_written_leaves_the_former_ones(tmp_path, monkeypatch) -> None:
    state = State(str(tmp_path / "state"), "eu")
    state.remember(RELEASE, 1, release(tmp_path / "a"))
    before = state.before(RELEASE, 2)
    second = State(str(tmp_path / "state"), "eu")

    class Killed(BaseException):
        pass

    put = type(second._store.fs).put_file
    done: list[str] = []

    def once(self, source: str, target: str, **how) -> None:
        if done:
            raise Killed
        done.append(target)
        put(self, source, target, **how)

    monkeypatch.setattr(type(second._store.fs), "put_file", once)
    with pytest.raises(Killed):
        second.remember(RELEASE, 1, release(tmp_path / "b", "two"))
    monkeypatch.undo()
    assert done and state.before(RELEASE, 2) == before
    assert len(names(state.fetch(RELEASE, *before))) == 2


def test_two_attempts_at_once_never_mix_their_files(tmp_path, monkeypatch) -> None:
    """The second writes everything while the first is between two files."""
    first, second = (State(str(tmp_path / "state"), "eu") for _ in range(2))
    one, two = release(tmp_path / "a"), release(tmp_path / "b", "two")
    fs = type(first._store.fs)
    put = fs.put_file
    calls: list[str] = []

    def between(self, source: str, target: str, **how) -> None:
        calls.append(target)
        if len(calls) == 2:
            second.remember(RELEASE, 1, two)
        put(self, source, target, **how)

    monkeypatch.setattr(fs, "put_file", between)
    first.remember(RELEASE, 1, one)
    found = first.before(RELEASE, 2)
    folder = Path(first.fetch(RELEASE, *found))  # checks the digest
    texts = {path.read_bytes().split()[0] for path in folder.rglob("*.gz")}
    assert texts == {b"one"}


def test_what_is_altered_or_gone_is_refused(tmp_path) -> None:
    state = State(str(tmp_path / "state"), "eu")
    state.remember(STATISTICS, 1, statistics(tmp_path / "a"))
    found = state.before(STATISTICS, 2)
    file = Path(state.fetch(STATISTICS, *found)) / "Split-eval" / "FeatureStats.pb"
    file.write_bytes(b"other")
    with pytest.raises(DataError, match="span-1: the statistics kept there were altered"):
        state.fetch(STATISTICS, *found)
    file.unlink()
    with pytest.raises(DataError, match="cannot read"):
        state.fetch(STATISTICS, *found)
    state.remember(STATISTICS, 1, statistics(tmp_path / "b"))  # and running the span again mends it
    assert state.fetch(STATISTICS, *found)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        "null",
        '{"digest": "x"}',
        json.dumps({"digest": "a" * 64, "files": ["../../x"]}),
        json.dumps({"digest": "../" * 16 + "a" * 16, "files": []}),
        json.dumps({"digest": "a" * 64, "files": ["/etc/x"]}),
    ],
)
def test_a_record_that_is_none_is_named_and_nothing_is_compared(tmp_path, record: str) -> None:
    state = State(str(tmp_path / "state"), "eu")
    state.remember(STATISTICS, 1, statistics(tmp_path / "a"))
    (tmp_path / "state" / "eu" / "history" / "span-1" / "statistics.json").write_text(record)
    with pytest.raises(DataError, match=r"statistics\.json: is no record of a span; remove it"):
        state.before(STATISTICS, 2)


@pytest.mark.parametrize("place", ["/etc", "span-1/..", "..", "memory://x/span-1x"])
def test_a_place_that_no_state_gave_is_refused(tmp_path, place: str) -> None:
    state = State(str(tmp_path / "state"), "eu")
    with pytest.raises(DataError, match="start a new run"):
        state.fetch(STATISTICS, place, "a" * 64)


def test_without_a_place_nothing_is_remembered(tmp_path) -> None:
    state = State("", "eu")
    state.remember(STATISTICS, 1, statistics(tmp_path / "a"))
    assert state.before(STATISTICS, 2) == ("", "") and state.fetch(STATISTICS, "", "") == ""


def test_an_unwritable_state_is_one_line(tmp_path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(DataError, match="cannot keep") as caught:
        State(str(tmp_path / "state"), "eu").remember(STATISTICS, 1, statistics(tmp_path / "a"))
    assert "\n" not in str(caught.value)


def test_digests_are_those_of_a_local_run(tmp_path) -> None:
    """A pod's drift baseline has the digest that `pipeline.history` gives the same artifact."""
    stats, made = statistics(tmp_path / "stats"), release(tmp_path / "release")
    for name, content in (("quarantine", {"span": 1}), ("pushed", {"pushed": True, "span": 1})):
        write_json(tmp_path / name / {"quarantine": "ingest.json", "pushed": "push.json"}[name], content)
    components = [
        {"id": "ExampleGen", "state": "executed", "outputs": {"quarantine": str(tmp_path / "quarantine")}},
        {"id": "StatisticsGen", "state": "executed", "outputs": {"statistics": str(stats)}},
        {"id": "ExampleValidator", "state": "executed", "outputs": {}},
        {"id": "SyntheticGen", "state": "executed", "outputs": {"synthetic": str(made)}},
        {"id": "Pusher", "state": "executed", "outputs": {"pushed": str(tmp_path / "pushed")}},
    ]
    write_json(tmp_path / "runs" / "1" / "run.json", {"locales": {"eu": {"components": components}}})
    state = State(str(tmp_path / "state"), "eu")
    state.remember(STATISTICS, 1, stats)
    state.remember(RELEASE, 1, made)
    local = history.previous_statistics(tmp_path, "eu", 2), history.previous_release(tmp_path, "eu", 2)
    assert local[0][1] and local[1][1]
    assert (state.before(STATISTICS, 2)[1], state.before(RELEASE, 2)[1]) == (local[0][1], local[1][1])


def several(place: str, tmp_path: Path, spans: tuple[int, ...], bare: tuple[int, ...] = ()) -> State:
    """A state that keeps statistics of these spans, and profiles of all but the bare ones."""
    state = State(place, "eu")
    for span in spans:
        state.remember(STATISTICS, span, statistics(tmp_path / f"s{span}", f"s{span}"))
        if span not in bare:
            state.remember(PROFILE, span, profile(tmp_path / f"p{span}", f"p{span}"))
    return state


def test_as_many_earlier_spans_are_named_as_are_asked_for_and_one_more(place, tmp_path) -> None:
    state = several(place, tmp_path, (0, 1, 2, 3, 5), bare=(2,))
    found = {
        (profiles, also): [one.span for one in state.earlier(5, profiles, also)]
        for profiles, also in ((1, None), (2, None), (2, 0), (1, 9), (99, None))
    }
    assert found == {
        (1, None): [3],
        (2, None): [3, 2, 1],
        (2, 0): [3, 2, 1, 0],
        (1, 9): [3],
        (99, None): [3, 2, 1, 0],
    }
    third, second = state.earlier(4, 2)[:2]
    assert third.profile.startswith("span-3/profile-") and third.statistics.startswith("span-3/statistics-")
    assert second.profile == ""
    assert State("", "eu").earlier(5, 2) == []


def test_baselines_become_folders_and_nothing_else_is_taken(place, tmp_path) -> None:
    state = several(place, tmp_path, (0, 1))
    one, zero = state.earlier(2, 2)
    window = BaselineSource(kind="window", profiles=(zero.profile, one.profile))
    previous = BaselineSource(kind="previous", profiles=(one.profile,), statistics=one.statistics)
    missing = BaselineSource(kind="reference", absent="there is no profile of the reference span 7")
    named = Baselines(sources=(previous, window, missing), plan=one.profile)
    found = Baselines.from_exec_property(fetched(named.to_exec_property(), state))
    texts = [
        [(Path(folder) / "profile.npz").read_text().split()[0] for folder in source.profiles]
        for source in found.sources
    ]
    assert texts == [["p1"], ["p0", "p1"], []]
    assert found.plan == found.sources[0].profiles[0] == found.sources[1].profiles[1]
    assert (Path(found.sources[0].statistics) / "span" / "FeatureStats.pb").read_text() == "s1"
    assert found.sources[2] == missing

    state.remember(PROFILE, 0, profile(tmp_path / "again", "other"))
    with pytest.raises(DataError, match="replaced during this run; start a new run"):
        fetched(named.to_exec_property(), state)


@pytest.mark.parametrize(
    "reference", ["/etc", "span-1", "../span-1/profile-" + "a" * 64, "span-1/release-" + "a" * 64]
)
def test_what_is_no_reference_is_refused(tmp_path, reference: str) -> None:
    state = several(str(tmp_path / "state"), tmp_path, (1,))
    with pytest.raises(DataError, match="names nothing that a state keeps"):
        fetched(Baselines(plan=reference).to_exec_property(), state)
