"""The record of what a detector is asked about: what is in it, what is not and is said, and its wholeness."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.drift.core.building import build_profile
from components.drift.core.merging import empty
from components.drift.core.planning import plan_profile
from components.drift.core.profile_file import check_profile, write_profile
from components.drift.served_rows import fingerprint, read_served
from components.errors import ConfigError, DataError
from pipeline.serving import recording
from pipeline.serving.recording import Recorder, Settings, read_plan
from tests.unit.prophet_evaluator.conftest import DATASET, make_table

DAYS = 3650
LOCALES = ("us-east", "eu-west")


@pytest.fixture(scope="module")
def training() -> pa.Table:
    return make_table(1, days=3, start_day=19_723).drop(["label", "kind"])


@pytest.fixture(scope="module")
def plan(training):
    return plan_profile([training], DATASET, bins=16, random_features=8)


def recorder(folder: Path, plan, **settings) -> Recorder:
    return Recorder(Settings(folder, **settings), plan, DATASET, LOCALES, "c" * 64)


def same_counts(one, other) -> None:
    for name in ("bucket", "rows", "counts", "missing", "complete"):
        assert (getattr(one, name) == getattr(other, name)).all(), name
    np.testing.assert_allclose(one.sums, other.sums)


def test_two_processes_records_are_the_profile_of_all_rows(tmp_path, plan, training):
    times = training["timestamp"].to_numpy()
    middle = int(np.median(times))
    halves = [training.filter(pa.array(times <= middle)), training.filter(pa.array(times > middle))]
    for half in halves:  # a restart between them
        one = recorder(tmp_path, plan)
        one.start()
        one.offer(half, "eu-west")
        one.close()
        assert one.counts() == (half.num_rows, dict.fromkeys(recording.REASONS, 0))
    assert len(list(tmp_path.iterdir())) == 2
    found = read_served(tmp_path, DAYS)
    assert list(found.profiles) == ["eu-west"] and found.remarks == () and found.not_recorded == {}
    check_profile(found.profiles["eu-west"], "merged")
    same_counts(found.profiles["eu-west"], build_profile([training], DATASET, plan))


def test_a_context_that_is_sent_again_is_recorded_once_and_unknown_locales_have_no_name(
    tmp_path, plan, training
):
    one = recorder(tmp_path, plan)
    one.start()
    for locale in ("eu-west", "eu-west", "someone's words", "other words"):
        one.offer(training, locale)
    one.close()
    recorded, lost = one.counts()
    assert (recorded, lost["repeated"]) == (2 * training.num_rows, 2 * training.num_rows)
    found = read_served(tmp_path, DAYS)
    assert set(found.profiles) == {"eu-west", ""}
    assert all(int(profile.rows.sum()) == training.num_rows for profile in found.profiles.values())
    assert not any(b"words" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_full_queue_makes_nobody_wait_and_is_counted(tmp_path, plan, training):
    one = recorder(tmp_path, plan, queued_rows=training.num_rows, queued_requests=8)
    for _ in range(50):  # the thread was not started: nothing is taken out, and whoever waited would wait on
        one.offer(training, "eu-west")
    assert one.counts()[1]["full"] == 49 * training.num_rows
    few = recorder(tmp_path, plan, queued_requests=2)
    for _ in range(5):
        few.offer(training.slice(0, 10), "eu-west")
    assert few.counts()[1]["full"] == 30
    one.start()
    one.close()
    assert one.counts()[0] == training.num_rows
    assert read_served(tmp_path, DAYS).not_recorded == {"full": 49 * training.num_rows}


def test_what_is_dated_ahead_or_long_ago_does_not_fill_the_memory(tmp_path, plan, training, monkeypatch):
    monkeypatch.setattr(recording, "MAX_BUCKETS", 24)
    times = training["timestamp"].to_numpy()
    one = recorder(tmp_path, plan)
    one.start()
    ahead = training.set_column(
        training.schema.get_field_index("timestamp"),
        "timestamp",
        pa.array(times - times.min() + int((time.time() + 2 * 86_400) * 1e6)),
    )
    one.offer(ahead, "us-east")
    half = pa.array(times <= np.median(times))  # a request's own buckets are cut, and those of both together
    one.offer(training.filter(half), "us-east")
    one.offer(training.filter(pc.invert(half)), "us-east")
    one.close()
    recorded, lost = one.counts()
    assert lost["ahead"] == training.num_rows and lost["old"] > 0
    assert recorded + lost["old"] == training.num_rows
    (profile,) = read_served(tmp_path, DAYS).profiles.values()
    assert len(profile.bucket) == 24 and int(profile.rows.sum()) == recorded
    last = build_profile([training], DATASET, plan)
    assert (profile.rows == last.rows[-24:]).all()


def test_a_fault_while_adding_ends_nothing_and_quotes_nothing(tmp_path, plan, training, monkeypatch, caplog):
    real = recording.build_profile

    def broken(*arguments):
        monkeypatch.setattr(recording, "build_profile", real)
        raise ValueError("row 7: 31.25")

    monkeypatch.setattr(recording, "build_profile", broken)
    one = recorder(tmp_path, plan, every_s=0.05)
    one.start()
    half = training.num_rows // 2
    caplog.set_level("INFO", "isthmus.serving")
    monkeypatch.setattr(recording.LOG, "propagate", True)
    one.offer(training, "eu-west")
    for _ in range(200):
        if one.counts()[1]["failed"]:
            break
        time.sleep(0.02)
    one.offer(training.slice(0, half), "us-east")
    one.close()
    recorded, lost = one.counts()
    assert (recorded, lost["failed"]) == (half, training.num_rows)
    assert "31.25" not in caplog.text and "ValueError" in caplog.text


def test_it_is_written_again_and_again_and_a_reader_meets_whole_records_only(tmp_path, plan, training):
    one = recorder(tmp_path, plan, every_s=0.02)
    one.start()
    stop, faults, seen = threading.Event(), [], []

    def read():
        while not stop.is_set():
            try:
                found = read_served(tmp_path, DAYS)
                seen.append(sum(int(p.rows.sum()) for p in found.profiles.values()))
            except DataError as error:
                faults.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for start in range(0, 400, 100):
        one.offer(training.slice(start, 100), "eu-west")
        for _ in range(500):  # until the reader met it
            if seen and seen[-1] == start + 100:
                break
            time.sleep(0.01)
    stop.set()
    reader.join()
    one.close()
    assert not faults and seen == sorted(seen) and set(seen) >= {100, 200, 300, 400}
    (place,) = tmp_path.iterdir()
    assert len(list(place.iterdir())) == 1  # earlier generations are removed
    assert place.stat().st_mode & 0o077 == 0


def test_a_process_that_was_asked_nothing_leaves_nothing_and_the_plan_of_rows_counts(
    tmp_path, plan, training
):
    idle = recorder(tmp_path, plan)
    before = fingerprint(tmp_path)
    idle.start()
    idle.close()
    assert list(tmp_path.iterdir()) == [] and fingerprint(tmp_path) != before
    other = dataclasses.replace(plan, seed=plan.seed + 1)
    for bins in (plan, other):
        one = recorder(tmp_path, bins)
        one.start()
        one.offer(training, "eu-west")
        one.close()
    recorder(tmp_path, plan)  # just begun: nothing in it yet
    found = read_served(tmp_path, DAYS)
    assert found.profiles["eu-west"].plan == other
    assert found.remarks == ("2 records on another plan are left out",)


def test_only_the_latest_days_count(tmp_path, plan, training):
    one = recorder(tmp_path, plan)
    one.start()
    one.offer(training, "eu-west")
    one.close()
    profile = read_served(tmp_path, 1).profiles["eu-west"]
    whole = build_profile([training], DATASET, plan)
    day = 86_400 // plan.bucket_s
    assert (profile.bucket == whole.bucket[whole.bucket > whole.bucket[-1] - day]).all()
    assert len(profile.bucket) < len(whole.bucket)


def test_a_missing_empty_or_damaged_record_is_said(tmp_path, plan, training):
    with pytest.raises(DataError, match="the folder of recorded rows is not there"):
        read_served(tmp_path / "none", DAYS)
    with pytest.raises(DataError, match="holds no record"):
        read_served(tmp_path, DAYS)
    one = recorder(tmp_path, plan)
    one.start()
    one.offer(training, "eu-west")
    one.close()
    (arrays,) = tmp_path.rglob("profile.npz")
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(DataError, match="a recorded profile is damaged") as error:
        read_served(tmp_path, DAYS)
    assert str(tmp_path) not in str(error.value)


def test_a_place_or_a_plan_that_does_not_fit_is_refused_in_a_line(tmp_path, plan):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--record .*file: cannot be written"):
        recorder(tmp_path / "file", plan)
    with pytest.raises(ConfigError, match="--record: needs --record-plan"):
        read_plan("", DATASET)
    write_profile(tmp_path / "plan", empty(plan))
    assert read_plan(str(tmp_path / "plan"), DATASET) == plan
    features = (dataclasses.replace(plan.features[0], name="other"), *plan.features[1:])
    write_profile(tmp_path / "strange", empty(dataclasses.replace(plan, features=features)))
    with pytest.raises(ConfigError, match="feature other is not of this detector"):
        read_plan(str(tmp_path / "strange"), DATASET)
    write_profile(tmp_path / "slow", empty(dataclasses.replace(plan, interval_s=7.0)))
    with pytest.raises(ConfigError, match="rows every 7 s"):
        read_plan(str(tmp_path / "slow"), DATASET)
