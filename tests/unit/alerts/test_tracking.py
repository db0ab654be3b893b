"""What is told when: beginnings, reminders, ends, coming and going; across spans, runs and restarts."""

from __future__ import annotations

import pytest

from components.drift.findings import EXPECTED, Cause
from pipeline.alerts import text
from tests.support.alerting import finding, run_of

ALERT, DONE = [("alert", "hook")], [("resolved", "hook")]


def alerting(span, **changes):
    return run_of(finding(span=span, **changes), run_id=f"run-{span}", span=span)


def quiet(span, verdict="OK", **changes):
    return run_of(finding(span=span, verdict=verdict, **changes), run_id=f"run-{span}", span=span)


def test_one_message_when_it_begins_and_one_when_it_ends(world):
    world.dispatch(quiet(2))
    assert world.kinds() == []
    world.dispatch(alerting(3))
    assert world.kinds() == ALERT
    world.later(hours=1)
    world.dispatch(alerting(4))
    assert world.kinds() == []
    world.later(hours=1)
    world.dispatch(quiet(5))
    assert world.kinds() == DONE
    world.dispatch(quiet(6))
    assert world.kinds() == []


def test_the_same_run_again_sends_nothing_twice(world):
    world.dispatch(alerting(3))
    assert world.kinds() == ALERT
    world.later(days=3)
    for _ in range(2):
        summary = world.dispatch(alerting(3))
        assert world.kinds() == [] and summary.words == ""
    world.dispatch(quiet(4))
    assert world.kinds() == DONE
    world.dispatch(quiet(4))
    assert world.kinds() == []


@pytest.mark.parametrize("verdict", ["UNDEFINED", None])
def test_undefined_and_missing_are_no_end(world, verdict):
    world.dispatch(alerting(3))
    world.kinds()
    world.later(hours=1)
    after = quiet(4, verdict) if verdict else run_of(run_id="run-4", missing={"eu-west": "failed"})
    world.dispatch(after)
    assert world.kinds() == []
    world.later(hours=1)
    world.dispatch(alerting(5))  # still the same episode
    assert world.kinds() == []
    world.dispatch(quiet(6))
    assert world.kinds() == DONE


def test_undefined_alone_begins_nothing(world):
    world.dispatch(quiet(3, "UNDEFINED"))
    assert world.kinds() == []


def test_it_is_told_again_at_the_repeat_interval_and_no_sooner(world):
    world.dispatch(alerting(3))
    world.later(hours=23, minutes=59)
    world.dispatch(alerting(4))
    assert world.kinds() == ALERT
    world.later(minutes=1)
    world.dispatch(alerting(5))
    ((_, message),) = world.sent
    assert world.kinds() == [("reminder", "hook")]
    assert (message.notices[0].items[0].since_span, message.notices[0].items[0].span) == (3, 5)
    world.later(hours=23)
    world.dispatch(alerting(6))
    assert world.kinds() == []


def test_a_reminder_of_a_zone_that_is_missing_says_so(world):
    world.dispatch(alerting(3))
    world.kinds()
    world.later(hours=25)
    world.dispatch(run_of(run_id="run-4", missing={"eu-west": "failed"}))
    ((_, message),) = world.sent
    assert message.kind == "reminder" and not message.notices[0].items[0].judged


def test_no_reminders_where_none_are_wanted(world):
    world.section["repeat_h"] = None
    world.dispatch(alerting(3))
    world.later(days=30)
    world.dispatch(alerting(4))
    assert world.kinds() == ALERT


def test_findings_of_one_locale_and_cause_are_one_message(world):
    found = [finding(), finding(feature="starts"), finding(baseline="window", against="spans 0 to 2")]
    found += [finding(feature="label", cause=Cause(name="clock_shift", words="")), finding(locale="depot_3")]
    world.dispatch(run_of(*found))
    assert sorted((m.notices[0].locale, m.notices[0].cause, m.notices[0].total) for _, m in world.sent) == [
        ("depot_3", "stuck_sensor", 1),
        ("eu-west", "clock_shift", 1),
        ("eu-west", "stuck_sensor", 3),
    ]
    world.kinds()
    # One of three ends: the others are told to hold. Another one begins: it joins the episode.
    following = [finding(span=4, verdict="OK"), finding(span=4, feature="kind")]
    world.dispatch(run_of(*following, run_id="run-4", span=4))
    told = [(m.kind, m.notices[0].total, m.notices[0].open, m.notices[0].incident) for _, m in world.sent]
    assert told == [("alert", 1, 3, 1), ("resolved", 1, 3, 1)]


def test_more_severe_is_told_at_once_and_less_severe_is_not(world):
    world.dispatch(alerting(3))
    world.dispatch(alerting(4, severity="critical"))
    world.dispatch(alerting(5, severity="warning"))
    assert world.kinds() == [*ALERT, ("escalated", "hook")]


def test_below_the_lowest_severity_nothing_begins_and_what_began_goes_on(world):
    world.dispatch(alerting(2, severity="info"))
    assert world.kinds() == []
    world.dispatch(alerting(3))
    world.dispatch(alerting(4, severity="info"))
    world.dispatch(quiet(5))
    assert world.kinds() == ALERT + DONE


def test_an_older_span_changes_nothing(world):
    world.dispatch(alerting(5))
    world.kinds()
    summary = world.dispatch(quiet(4))
    assert world.kinds() == [] and summary.older == 1
    world.dispatch(quiet(6))
    assert world.kinds() == DONE
    world.dispatch(alerting(5, severity="critical"))
    assert world.kinds() == []


def test_the_span_that_alerted_ends_it_once_its_data_are_mended(world):
    world.dispatch(alerting(3))
    world.dispatch(run_of(finding(verdict="OK"), run_id="mended"))
    assert world.kinds() == ALERT + DONE


def test_it_ends_after_as_many_spans_as_are_asked_for(world):
    world.section["clear_after"] = 2
    world.dispatch(alerting(3))
    world.dispatch(quiet(4))
    world.dispatch(run_of(finding(span=4, verdict="OK"), run_id="again", span=4))
    assert world.kinds() == ALERT
    world.dispatch(quiet(5))
    assert world.kinds() == DONE


def test_what_comes_and_goes_is_told_as_such_and_then_damped(world):
    for span in range(0, 6, 2):
        world.dispatch(alerting(span))
        if span < 4:
            world.dispatch(quiet(span + 1))
    last = world.sent[-1][1]
    assert world.kinds() == [*ALERT, *DONE, *ALERT, *DONE, *ALERT]
    assert last.notices[0].items[0].flapping
    for span in (5, 7, 8):
        world.dispatch(quiet(span))
        assert world.kinds() == []
        if span == 5:
            world.dispatch(alerting(6))
            assert world.kinds() == []
    world.dispatch(run_of(finding(span=8, verdict="OK"), run_id="again", span=8))
    assert world.kinds() == []
    world.dispatch(quiet(9))
    assert world.kinds() == DONE


def test_starts_that_are_long_ago_are_no_coming_and_going(world):
    for span in range(0, 8, 2):
        world.dispatch(alerting(span))
        world.dispatch(quiet(span + 1))
        world.later(days=5)
    assert world.kinds() == (ALERT + DONE) * 4


def test_a_cause_that_changes_stays_in_its_episode(world):
    world.dispatch(alerting(3))
    world.dispatch(alerting(4, cause=Cause(name="unknown", words="")))
    world.dispatch(quiet(5))
    assert world.kinds() == ALERT + DONE


def test_a_channel_that_is_new_hears_of_what_holds(world):
    world.dispatch(alerting(3))
    world.section["webhook"].append({"name": "second", "url": "https://other.example/"})
    world.kinds()
    world.dispatch(alerting(4))
    assert world.kinds() == [("alert", "second")]
    world.dispatch(quiet(5))
    assert sorted(world.kinds()) == [("resolved", "hook"), ("resolved", "second")]


def test_the_end_goes_to_whom_the_beginning_went(world):
    world.section["webhook"].append({"name": "second", "url": "https://other.example/"})
    world.section["routes"] = [
        {"channels": ["second"], "minimum_severity": "critical"},
        {"channels": ["hook"]},
    ]
    world.dispatch(alerting(3))
    world.dispatch(alerting(4, severity="critical"))
    assert world.kinds() == [("alert", "hook"), ("alert", "second"), ("escalated", "hook")]
    world.dispatch(alerting(5))
    world.dispatch(quiet(6))
    assert sorted(world.kinds()) == [("resolved", "hook"), ("resolved", "second")]


def test_messages_of_an_episode_have_one_thread_and_ids_of_their_own(world):
    world.dispatch(alerting(3))
    world.dispatch(quiet(4))
    world.dispatch(alerting(5))
    messages = [message for _, message in world.sent]
    first, end, again = [message.notices[0].thread for message in messages]
    assert first == end == messages[0].id != again
    assert len({message.id for message in messages}) == 3


def test_without_a_channel_nothing_happens(world):
    world.section = {}
    summary = world.dispatch(alerting(3))
    assert not summary.configured and not (world.folder / "root").exists()


def test_what_a_first_span_showed_by_itself_ends_with_the_first_clean_comparison(world):
    """Without a baseline a fault is found in the span alone; no later span is looked at that way again."""
    alone = {"against": "the span by itself", "baseline": ""}
    world.dispatch(run_of(finding(span=0, **alone), run_id="run-0", span=0))
    ((_, first),) = world.sent
    assert first.notices[0].items[0].against == "the span by itself" and world.kinds() == ALERT
    window = finding(span=1, baseline="window", against="spans 0 to 0", verdict="UNDEFINED")
    world.dispatch(run_of(finding(span=1, verdict="OK"), window, run_id="run-1", span=1))
    assert world.kinds() == []
    world.dispatch(run_of(finding(span=2, feature="starts", verdict="OK"), run_id="run-2", span=2))
    assert world.kinds() == []
    world.dispatch(quiet(3))
    assert world.kinds() == DONE


def test_a_fault_without_a_distance_is_told_as_one(world):
    from pipeline.alerts.text import measures_of

    world.dispatch(run_of(finding(measurements=())))
    ((_, message),) = world.sent
    assert measures_of(message.notices[0].items[0]) == ["found in the rows themselves; no distance passed"]


def test_an_incident_may_be_closed_by_hand(world):
    from components.errors import ConfigError
    from pipeline.alerts.dispatch import close_incident

    world.dispatch(run_of(finding(), finding(feature="starts")))
    world.kinds()
    with pytest.raises(ConfigError, match="incident 2: nothing of it holds; allowed: 1"):
        close_incident(world.deployment(), 2, attempt=world.attempt)
    assert close_incident(world.deployment(), 1, attempt=world.attempt).sent == 1
    ((_, message),) = world.sent
    assert (message.kind, message.notices[0].total, message.notices[0].open) == ("closed", 2, 0)
    assert message.notices[0].thread != message.id
    world.kinds()
    world.dispatch(quiet(4))
    assert world.kinds() == []
    world.dispatch(alerting(5))
    assert world.kinds() == ALERT


@pytest.mark.parametrize("order", [1, -1])
def test_columns_that_the_deployment_does_not_name_are_one_and_the_worst_counts(world, order):
    names = (("Jane Doe", "OK"), ("John Doe", "ALERT"), ("June Doe", "UNDEFINED"))
    found = [finding(feature=name, verdict=verdict) for name, verdict in names]
    world.dispatch(run_of(*found[::order]))
    ((_, message),) = world.sent
    assert [item.feature for item in message.notices[0].items] == [
        "(a column that the deployment does not name)"
    ]
    world.kinds()
    world.dispatch(run_of(*(x.model_copy(update={"span": 4, "verdict": "OK"}) for x in found), run_id="b"))
    assert world.kinds() == DONE


def refused(span, feature="load", cause="schema_change"):
    """A locale that came to no monitor."""
    return alerting(
        span,
        comparison="intake",
        against=EXPECTED,
        baseline="",
        feature=feature,
        measurements=(),
        cause=Cause(name=cause, words="not to be told"),
    )


def test_a_span_that_is_refused_is_told_once_and_ends_when_a_span_is_taken_in(world):
    world.dispatch(refused(3))
    assert world.kinds() == ALERT
    world.dispatch(refused(4))
    assert world.kinds() == []
    world.dispatch(refused(5, "label"))  # another column is lost: it joins the incident
    ((_, message),) = world.sent
    assert (message.notices[0].items[0].feature, message.notices[0].open) == ("label", 2)
    assert world.kinds() == ALERT
    # Whatever the monitor says then, also that there was nothing to compare with.
    world.dispatch(quiet(6, "UNDEFINED"))
    ((_, message),) = world.sent
    assert {item.feature for item in message.notices[0].items} == {"load", "label"}
    assert world.kinds() == DONE
    world.dispatch(quiet(7))
    assert world.kinds() == []


def test_a_span_that_is_refused_ends_no_drift_and_another_cause_is_another_incident(world):
    world.dispatch(alerting(3))
    world.kinds()
    world.dispatch(refused(4, "(all)", "span_refused"))
    ((_, message),) = world.sent
    assert (message.notices[0].cause, message.notices[0].incident) == ("span_refused", 2)
    assert world.kinds() == ALERT
    world.dispatch(refused(5, "(all)", "run_failed"))
    ((_, message),) = world.sent
    assert (message.notices[0].cause, message.notices[0].incident) == ("run_failed", 3)
    lines = text.measures_of(message.notices[0].items[0])
    assert lines == ["not taken in, so that nothing was compared; the report says why"]
    assert world.kinds() == ALERT
    world.dispatch(alerting(6))
    assert world.kinds() == [("resolved", "hook")] * 2
