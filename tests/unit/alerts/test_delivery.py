"""The outbox: failures, pauses, kills between two steps, quiet hours, digests, order, locks, places."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone

import fsspec
import pytest

from components.drift.findings import Cause
from components.errors import BusyError, DataError
from pipeline.alerts import outbox
from pipeline.alerts.clock import stopped
from pipeline.alerts.outgoing import Outcome, pause_s, retry_after_s
from pipeline.alerts.place import Place, open_place
from pipeline.config.alerts import DeliverySection
from pipeline.config.alerts_quiet import QuietHours
from tests.support.alerting import NOW, finding, run_of

BRIEF = {"wait_s": 0.0, "lease_s": 60.0}
LATER, NEVER = Outcome("later", "HTTP 503"), Outcome("never", "HTTP 400")


class Killed(BaseException):
    """The process ends here."""


def files(world, folder="outbox"):
    return sorted((world.folder / "root" / "alerts" / folder).glob("*.json"))


def patience(world, **given):
    world.section["delivery"] = {"patience_s": 0.0, **given}
    return world


# --- failures


def test_a_failure_is_tried_again_within_the_runs_patience(world):
    world.outcomes = [LATER, LATER]
    summary = world.dispatch(run_of(finding()), chance=random.Random(1))
    assert summary.sent == 1 and len(world.tries) == 3
    waits = [(after[2] - before[2]).total_seconds() for before, after in zip(world.tries, world.tries[1:])]
    assert 1 <= waits[0] <= 2 and 2 <= waits[1] <= 4
    assert len({message.id for _, message, _ in world.tries}) == 1


def test_what_fails_longer_stays_in_the_outbox_and_is_told_in_one_line(world):
    world.outcomes = [LATER] * 50
    summary = world.dispatch(run_of(finding()))
    assert summary.waiting == 1 and len(files(world)) == 1
    assert summary.words == "alerts: 1 waiting in the outbox; channel hook: HTTP 503; it is tried again"
    assert 3 <= len(world.tries) <= 6
    world.outcomes = []
    assert world.flush().waiting == 1  # its pause is not over
    world.later(hours=1)
    assert world.flush().sent == 1 and files(world) == []


def test_a_channel_that_is_well_again_begins_with_short_pauses(world):
    patience(world)
    world.outcomes = [LATER, LATER, LATER]
    for hour in range(3):
        world.dispatch(run_of(finding(span=3 + hour), run_id=f"run-{hour}", span=3 + hour))
        world.later(hours=1)
    place = open_place(world.deployment())
    assert place.read(outbox.STATE)["pauses"]["hook"]["failures"] == 3
    assert world.flush().sent == 1
    assert place.read(outbox.STATE)["pauses"] == {}


def test_pauses_double_with_jitter_up_to_the_longest():
    delivery = DeliverySection(first_pause_s=2, longest_pause_s=100)
    found = [
        [pause_s(n, None, delivery, random.Random(seed)) for seed in range(50)] for n in (1, 2, 3, 9, 4000)
    ]
    for pauses, most in zip(found, (2, 4, 8, 100, 100)):
        assert most / 2 <= min(pauses) < max(pauses) <= most and len(set(pauses)) > 40
    assert pause_s(1, 300.0, delivery, random.Random(0)) == 300
    assert pause_s(1, 1e9, delivery, random.Random(0)) == 86400
    assert pause_s(9, 0.0, delivery, random.Random(0)) >= 50


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Sat, 21 Nov 2026 12:01:00 GMT", 60.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after_s(text, NOW) == seconds


def test_what_is_refused_for_good_is_set_aside_where_it_can_be_found_and_brought_back(world):
    world.outcomes = [NEVER]
    summary = world.dispatch(run_of(finding()))
    (file,) = files(world, "failed")
    assert summary.set_aside == 1 and str(file) in summary.words and files(world) == []
    assert json.loads(file.read_text())["error"] == "HTTP 400"
    assert outbox.bring_back(open_place(world.deployment()), world.now.isoformat()) == 1
    assert world.flush().sent == 1 and files(world, "failed") == []


def test_what_grew_too_old_is_set_aside(world):
    patience(world, give_up_h=2.0)
    world.outcomes = [LATER] * 2
    world.dispatch(run_of(finding()))
    world.later(hours=2)
    found = world.flush()
    assert (found.set_aside, len(files(world, "failed"))) == (1, 1) and "given up" in found.problems[0]


def test_a_message_that_a_server_chokes_on_stops_no_other(world):
    patience(world)
    world.outcomes = [LATER]
    world.dispatch(run_of(finding(), finding(locale="pt-BR")))
    assert len(files(world)) == 2
    world.later(minutes=1)
    world.outcomes = [Outcome("sent"), LATER]
    world.flush()
    assert [message.notices[0].locale for _, message in world.sent] == ["pt-BR"]


def test_an_end_never_comes_before_its_beginning(world):
    patience(world)
    world.outcomes = [LATER]
    world.dispatch(run_of(finding()))
    world.later(seconds=1)
    world.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    assert world.kinds() == []
    world.later(hours=1)
    world.flush()
    assert world.kinds() == [("alert", "hook"), ("resolved", "hook")]


def test_one_channel_that_is_down_stops_no_other(world):
    patience(world)
    world.section["webhook"].append({"name": "second", "url": "https://other.example/"})
    world.outcomes = [LATER]
    world.dispatch(run_of(finding(), finding(locale="pt-BR")))
    assert [channel for channel, _ in world.sent] == ["second", "second"]


def test_what_waits_for_a_channel_that_is_gone_is_set_aside(world):
    patience(world).outcomes = [LATER]
    world.dispatch(run_of(finding()))
    world.section["webhook"][0]["name"] = "renamed"
    assert "no longer configured" in world.flush().problems[0] and len(files(world, "failed")) == 1


# --- kills


def killed_with_findings(place, state):
    """In place of `save_state`: the process ends before it writes what a run found."""
    if state.findings:
        raise Killed
    place.write(outbox.STATE, state.model_dump(mode="json"))


def test_killed_before_the_state_is_written_everything_is_told_once(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "save_state", killed_with_findings)
        with pytest.raises(Killed):
            world.dispatch(run_of(finding()))
    assert len(files(world)) == 1
    world.flush()  # another process sends what is there already
    assert len(world.sent) == 1
    world.dispatch(run_of(finding()))
    assert len(world.sent) == 1 and files(world) == []
    world.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    assert world.kinds() == [("alert", "hook"), ("resolved", "hook")]


def test_killed_before_the_state_is_written_what_is_new_meanwhile_is_not_lost(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "save_state", killed_with_findings)
        with pytest.raises(Killed):
            world.dispatch(run_of(finding()))
    world.flush()
    world.dispatch(run_of(finding(), finding(feature="starts"), run_id="b"))
    told = {item.feature for _, message in world.sent for item in message.notices[0].items}
    assert told == {"load", "starts"}


def test_killed_between_sending_and_booking_it_is_sent_again_under_the_same_id(world, monkeypatch):
    from pipeline.alerts import flush

    with monkeypatch.context() as patch:
        patch.setattr(flush, "_book", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            world.dispatch(run_of(finding()))
    assert len(files(world)) == 1
    assert world.flush().sent == 1
    first, second = world.sent
    assert first == second


def test_killed_between_booking_and_removing_it_is_not_sent_again(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "remove", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            world.dispatch(run_of(finding()))
    assert len(files(world)) == 1
    assert world.flush().sent == 0 and files(world) == [] and len(world.sent) == 1


def test_the_state_may_be_deleted_and_ids_never_come_again(world):
    world.dispatch(run_of(finding()))
    (world.folder / "root" / "alerts" / "state.json").unlink()
    world.dispatch(run_of(finding()))
    (_, first), (_, second) = world.sent
    assert first.id != second.id


# --- quiet hours


NIGHT = {"time_zone": "Europe/Berlin", "windows": [{"begin": "20:00", "end": "07:00"}]}


def at_night(world, **changes):
    """22:00 in Berlin, in winter."""
    world.section["quiet_hours"] = {**NIGHT, **changes}
    world.now = datetime(2026, 11, 21, 21, 0, tzinfo=timezone.utc)
    return world


def test_in_quiet_hours_warnings_wait(world):
    at_night(world)
    causes = ("stuck_sensor", "clock_shift")
    found = [finding(cause=Cause(name=c, words=""), feature=f) for c, f in zip(causes, ("load", "starts"))]
    summary = world.dispatch(run_of(*found))
    assert (summary.sent, summary.held) == (0, 2) and "2 held back in quiet hours" in summary.words
    assert world.sent == [] and len(files(world)) == 2


def test_the_digest_comes_when_the_hours_end_and_not_before(world):
    at_night(world)
    world.dispatch(run_of(finding(), finding(locale="pt-BR")))
    world.now = datetime(2026, 11, 22, 5, 59, 59, tzinfo=timezone.utc)
    assert (world.flush().held, world.sent) == (2, [])
    world.later(seconds=1)
    assert world.flush().sent == 1
    ((_, digest),) = world.sent
    assert (digest.kind, [notice.locale for notice in digest.notices]) == ("digest", ["eu-west", "pt-BR"])
    assert files(world) == []
    world.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    assert world.sent[-1][1].notices[0].thread == digest.notices[0].thread


def test_a_digest_is_no_longer_than_a_person_reads(world):
    at_night(world)
    splits = ("train", "eval", "test", "(span)")
    many = [finding(feature=f, split=s) for f in ("load", "starts", "label", "kind") for s in splits]
    world.dispatch(run_of(*many, finding(locale="pt-BR")))
    world.later(hours=9)
    world.flush()
    ((_, digest),) = world.sent
    assert [(len(notice.items), notice.total) for notice in digest.notices] == [(10, 16), (1, 1)]


def test_a_time_of_another_zone_is_told_in_utc(world):
    there = timezone(timedelta(hours=5))
    world.dispatch(run_of(finding()), now=datetime(2026, 11, 21, 17, 0, tzinfo=there))
    ((_, message),) = world.sent
    assert message.at == "2026-11-21T12:00:00+00:00"


def test_what_was_held_alone_comes_as_itself(world):
    at_night(world)
    world.dispatch(run_of(finding()))
    world.later(hours=9)
    world.flush()
    assert world.kinds() == [("alert", "hook")]


def test_critical_goes_through_unless_nothing_may(world):
    at_night(world)
    world.dispatch(run_of(finding(severity="critical")))
    assert world.kinds() == [("alert", "hook")]
    at_night(world, through=None)
    world.dispatch(run_of(finding(locale="pt-BR", severity="critical"), run_id="b"))
    assert world.kinds() == []


def test_a_channel_that_ignores_them_is_told_at_once(world):
    at_night(world).section["webhook"][0]["ignores_quiet_hours"] = True
    world.dispatch(run_of(finding()))
    assert world.kinds() == [("alert", "hook")]


def test_a_test_message_goes_at_any_hour(world):
    from pipeline.alerts.trying import try_channels

    at_night(world)
    (tried,) = try_channels(world.deployment(), ["hook"], clock=stopped(world.now), attempt=world.attempt)
    assert tried.sent and world.kinds() == [("test", "hook")]


def test_what_became_severe_goes_through_though_its_beginning_is_held(world):
    at_night(world)
    world.dispatch(run_of(finding()))
    world.dispatch(run_of(finding(span=4, severity="critical"), run_id="b", span=4))
    assert world.kinds() == [("escalated", "hook")]


def test_a_joining_that_is_killed_loses_and_doubles_nothing(world, monkeypatch):
    at_night(world)
    world.dispatch(run_of(finding(), finding(locale="pt-BR")))
    world.later(hours=9)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "remove", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            world.flush()
    assert len(files(world)) == 3
    world.flush()
    assert [message.kind for _, message in world.sent] == ["digest"] and files(world) == []


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T18:59:59", None),  # Friday, 19:59:59 in Berlin
        ("2026-11-20T19:00:00", "2026-11-23T06:00:00"),  # the whole weekend
        ("2026-11-23T05:59:59", "2026-11-23T06:00:00"),
        ("2026-11-23T06:00:00", None),
        # The last Sunday of March is an hour shorter, that of October an hour longer.
        ("2026-03-27T19:00:00", "2026-03-30T05:00:00"),
        ("2026-10-23T18:00:00", "2026-10-26T06:00:00"),
    ],
)
def test_quiet_hours_follow_days_and_summer_time(now, until):
    windows = [{"begin": "20:00", "end": "07:00"}, {"days": ["sat", "sun"], "begin": "00:00", "end": "00:00"}]
    quiet = QuietHours(time_zone="Europe/Berlin", windows=windows)
    moment = datetime.fromisoformat(now).replace(tzinfo=timezone.utc)
    assert quiet.until(moment) == (
        datetime.fromisoformat(until).replace(tzinfo=timezone.utc) if until else moment
    )


@pytest.mark.parametrize(
    ("day", "begin", "hours"), [("2026-03-28", 19, 10), ("2026-10-24", 18, 12), ("2026-11-21", 19, 11)]
)
def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is(day, begin, hours):
    quiet = QuietHours(time_zone="Europe/Berlin", windows=[{"begin": "20:00", "end": "07:00"}])
    moment = datetime.fromisoformat(day).replace(hour=begin, tzinfo=timezone.utc)
    assert quiet.until(moment) == moment + timedelta(hours=hours)
    before = moment - timedelta(seconds=1)
    assert quiet.until(before) == before


# --- places and locks


@pytest.fixture
def memory(world):
    world.section["state"] = "memory://alerts-of-a-test"
    yield world
    fsspec.filesystem("memory").store.clear()


def test_the_state_may_be_in_an_object_store(memory):
    memory.outcomes = [LATER] * 50
    memory.dispatch(run_of(finding()))
    assert not (memory.folder / "root").exists()
    memory.outcomes = []
    memory.later(hours=1)
    assert memory.flush().sent == 1
    memory.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    assert memory.kinds() == [("alert", "hook"), ("resolved", "hook")]
    left = sorted(name.rsplit("/", 1)[-1] for name in fsspec.filesystem("memory").find("/alerts-of-a-test"))
    assert left == ["state.json"]


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_a_lock_is_held_by_one_and_let_go_of(world, where):
    if where == "memory":
        world.section["state"] = "memory://alerts-of-a-test"
    place, clock = open_place(world.deployment()), stopped(NOW)
    with place.locked("state", clock, **BRIEF):
        with (
            pytest.raises(BusyError, match="held by another process"),
            place.locked("state", clock, **BRIEF),
        ):
            pass
        with place.locked("sending", clock, **BRIEF):
            pass
    with place.locked("state", clock, **BRIEF):
        pass
    fsspec.filesystem("memory").store.clear()


def test_on_an_object_store_a_lock_whose_holder_was_killed_is_over_in_time(memory):
    place = open_place(memory.deployment())
    before = place.locked("state", stopped(NOW), **BRIEF)
    before.__enter__()
    with (
        pytest.raises(BusyError),
        place.locked("state", stopped(NOW + timedelta(seconds=59)), **BRIEF),
    ):
        pass
    with place.locked("state", stopped(NOW + timedelta(seconds=60)), **BRIEF):
        pass


def test_while_another_process_sends_it_is_left_to_that_one(world):
    place = open_place(world.deployment())
    with place.locked("sending", stopped(NOW), **BRIEF):
        summary = world.dispatch(run_of(finding()))
    assert world.sent == [] and "another process is sending" in summary.words
    assert world.flush().sent == 1


def test_a_state_that_cannot_be_used_is_told_in_one_line_and_raises_nothing(world):
    folder = world.folder / "root" / "alerts"
    folder.mkdir(parents=True)
    for content, words in (("{", "no JSON"), ('{"version": 2}', "no state of this version (version 2)")):
        (folder / "state.json").write_text(content)
        summary = world.dispatch(run_of(finding()))
        assert words in summary.words and "\n" not in summary.words
    (folder / "state.json").write_text('{"version": 1, "uid": "x", "deployment": "other"}')
    assert "belongs to the deployment 'other'" in world.dispatch(run_of(finding())).words
    (folder / "state.json").unlink()
    (folder / "outbox").mkdir()
    (folder / "outbox" / "000000001-x.json").write_text("{}")
    assert "no message of this version" in world.dispatch(run_of(finding())).words


def test_a_place_that_cannot_be_written_is_told_in_one_line(world):
    (world.folder / "root").write_text("a file")
    summary = world.dispatch(run_of(finding()))
    assert summary.words.startswith("alerts: cannot write") and "\n" not in summary.words


def test_a_file_of_the_outbox_is_whole_or_not_there(world, monkeypatch):
    from components.release import atomic

    place = open_place(world.deployment())
    place.write("state.json", {"a": 1})
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_write_synced", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(DataError, match="Free space"):
            place.write("state.json", {"a": 2})
    assert place.read("state.json") == {"a": 1} and isinstance(place, Place)
