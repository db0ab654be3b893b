"""Shards that a killed process left: the next one removes them, and never those of one that lives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.beam import leftovers
from components.beam.leftovers import own_folder, remove_leftovers
from components.beam.shared_folder import put, shared_folder
from components.errors import DataError

HOLD = """
import sys, time
from pathlib import Path
from components.beam.leftovers import own_folder
with own_folder(Path(sys.argv[1])) as folder:
    (folder / "rows").write_text("1")
    print(folder, flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Another process that works in a folder of its own."""
    parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_what_a_killed_process_left_is_removed_by_the_next_trainer_and_not_while_it_lives(tmp_path: Path):
    model = tmp_path / "SynthesizerTrainer" / "model"
    other = tmp_path / "SynthesizerTrainer" / "report" / "1"
    with holder(model / "1") as (process, folder), shared_folder((), model / "2", "locale=eu") as store:
        put(store, "x", b"1")
        assert (folder / "rows").exists(), "its owner lives"
        process.kill()
        process.wait()
        kept = other / ".shards-elsewhere"
        kept.mkdir(parents=True)
        (model / "1" / "model.json").write_text("{}")
        with shared_folder((), model / "3", "locale=eu") as third:
            assert not folder.exists() and (model / "1" / "model.json").exists()
            assert Path(store.path("x")).exists() and Path(third.path("")).is_dir()
        assert kept.exists(), "another component's"


def test_own_folders_are_told_apart_within_one_process_too(tmp_path: Path):
    with own_folder(tmp_path) as mine:
        left = tmp_path / f"{leftovers.PREFIX}left"
        left.mkdir()
        (tmp_path / ".shards-link").symlink_to(tmp_path)
        assert remove_leftovers([tmp_path, tmp_path / "none"]) == [left]
        assert mine.is_dir()
    assert not mine.exists()
    assert remove_leftovers([tmp_path]) == []


def test_where_there_are_no_locks_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    with own_folder(tmp_path) as mine:
        assert remove_leftovers([tmp_path]) == [] and mine.is_dir()
    assert not mine.exists()


def test_a_folder_that_somebody_takes_for_a_leftover_is_made_again(tmp_path: Path, monkeypatch):
    lock, taken = leftovers._lock, []

    def once(folder: Path) -> int:
        if not taken:
            taken.append(folder)
            raise BlockingIOError
        return lock(folder)

    monkeypatch.setattr(leftovers, "_lock", once)
    with own_folder(tmp_path) as mine:
        assert mine not in taken and mine.is_dir()

    def always(folder: Path) -> int:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(leftovers, "_lock", always)
    with pytest.raises(DataError, match="deleted as soon as it is made"), own_folder(tmp_path):
        pass
