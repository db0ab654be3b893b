"""Anomaly recall kept: equal false alarms, recalls by kind, and when there is no answer."""

from __future__ import annotations

import numpy as np
import pytest

from components.release_evaluator.core.anomaly_recall import (
    LabelledRows,
    RecallKept,
    _found,
    anomaly_recall_kept,
    labelled_rows,
)

ROWS = 3000


def _side(seed: int, shifts: dict[str, float], events: int = 6, rows: int = ROWS) -> LabelledRows:
    """White noise in two columns; events of ten rows shift the first one by so many standard deviations."""
    generator = np.random.default_rng(seed)
    values, kind = generator.normal(size=(rows, 2)), np.full(rows, "", object)
    places = np.arange(events * len(shifts)) * (rows // max(events * len(shifts), 1)) + 20
    for place, name in zip(places, [name for name in shifts for _ in range(events)]):
        values[place : place + 10, 0] += shifts[name]
        kind[place : place + 10] = name
    return labelled_rows(values, kind, np.zeros(rows, np.int64))


BOTH = {"jam": 6.0, "leak": -6.0}


def _by_kind(found: tuple[RecallKept, ...]) -> dict[str, RecallKept]:
    return {one.kind: one for one in found}


def test_another_draw_of_the_same_process_keeps_the_recall() -> None:
    found = _by_kind(anomaly_recall_kept(_side(0, BOTH), _side(1, BOTH), _side(2, BOTH)))
    assert set(found) == {"jam", "leak"}
    for one in found.values():
        assert one.events == 6 and one.real is not None and one.real > 0.8 and one.reason == ""
        assert one.kept is not None and one.low is not None and one.high is not None
        assert 0.85 < one.kept < 1.15 and one.low <= one.kept <= one.high < one.low + 0.5


def test_a_release_without_a_kind_loses_it_and_keeps_the_other() -> None:
    found = _by_kind(anomaly_recall_kept(_side(0, BOTH), _side(1, {"jam": 6.0}), _side(2, BOTH)))
    assert found["jam"].kept is not None and found["jam"].kept > 0.85
    assert found["leak"].kept is not None and found["leak"].kept < 0.3
    assert found["leak"].high is not None and found["leak"].high < 0.5


def test_a_release_that_merged_its_kinds_is_judged_by_the_real_names() -> None:
    release = _side(1, BOTH)
    merged = LabelledRows(release.features, np.where(release.kind == "", "", "other"), release.event)
    apart = anomaly_recall_kept(_side(0, BOTH), release, _side(2, BOTH))
    assert anomaly_recall_kept(_side(0, BOTH), merged, _side(2, BOTH)) == apart


def test_a_release_without_anomalies_finds_what_chance_finds() -> None:
    (one,) = anomaly_recall_kept(_side(0, {"jam": 6.0}), _side(1, {}), _side(2, {"jam": 6.0}))
    assert one.release == pytest.approx(0.01) and one.kept is not None and one.kept < 0.02


def test_amplified_anomalies_buy_no_recall_with_false_alarms() -> None:
    """A detector that cries wolf has the same threshold as any other: its rate of false alarms."""
    real, held_out = _side(0, {"jam": 1.5}, events=20), _side(2, {"jam": 1.5}, events=20)
    loud = _side(1, {"jam": 0.0}, events=150)
    (one,) = anomaly_recall_kept(real, loud, held_out)
    assert one.kept is not None and one.kept < 0.4


def test_no_answer_has_its_reason() -> None:
    real = _side(0, {"jam": 6.0, "leak": 6.0, "whisper": 0.0})
    held_out = _side(2, {"jam": 6.0, "whisper": 0.0, "new": 6.0}, rows=6000)
    found = _by_kind(anomaly_recall_kept(real, _side(1, {"jam": 6.0}), held_out))
    assert found["jam"].reason == "" and found["jam"].kept is not None
    assert (found["leak"].reason, found["leak"].events) == ("no event of it is held out", 0)
    assert found["leak"].real is found["leak"].kept is None
    assert found["new"].reason == "the real training rows hold none of it" and found["new"].kept is None
    # All of it at a rate of false alarms that hardly any detector stays under.
    (deaf,) = anomaly_recall_kept(_side(0, {}), _side(1, {}), _side(2, {"jam": 6.0}))
    assert deaf.kept is None and deaf.real == pytest.approx(0.01)
    silent = LabelledRows(real.features * 0, real.kind, real.event)
    (chance, *_) = anomaly_recall_kept(silent, real, _side(2, {"jam": 6.0}))
    assert chance.reason == "the detector trained on real rows finds no more than by chance"
    assert chance.kept is None and chance.release is not None and chance.release > 0.5
    with pytest.raises(ValueError, match="normal held-out rows"):
        anomaly_recall_kept(
            real, real, LabelledRows(real.features[:9], np.full(9, "jam", object), np.arange(9))
        )


def test_few_events_have_no_interval_and_events_weigh_alike() -> None:
    (one,) = anomaly_recall_kept(
        _side(0, {"jam": 6.0}), _side(1, {"jam": 6.0}), _side(2, {"jam": 6.0}, events=2)
    )
    assert one.events == 2 and one.kept is not None and one.low is one.high is None
    # One long event that is found and three short ones that are not.
    held_out = _side(2, {"jam": 6.0}, events=1)
    kind, event = held_out.kind.copy(), held_out.event.copy()
    for number, place in enumerate((1000, 1100, 1200)):
        kind[place], event[place] = "jam", 10_000 + number
    (one,) = anomaly_recall_kept(
        _side(0, {"jam": 6.0}), _side(1, {"jam": 6.0}), LabelledRows(held_out.features, kind, event)
    )
    assert one.events == 4 and one.real is not None and 0.2 < one.real < 0.3


@pytest.mark.parametrize("rate", [0.01, 0.0333, 0.5])
def test_the_rate_of_false_alarms_is_met_exactly_even_with_ties(rate: float) -> None:
    generator = np.random.default_rng(0)
    normal = np.arange(997) < 900
    for scores in (generator.normal(size=997), generator.integers(0, 4, 997) * 1.0, np.zeros(997)):
        found = _found(scores, normal, rate)
        assert found[normal].mean() == pytest.approx(rate)
        assert found.min() >= 0 and found.max() <= 1
        assert (np.diff(found[np.argsort(scores, kind="stable")]) >= 0).all()


def test_windows_and_events_end_at_a_segments_border() -> None:
    values = np.r_[np.zeros(30), np.full(30, 9.0)][:, None]
    kind = np.full(60, "", object)
    kind[25:35] = "jam"
    segment = np.repeat([0, 1], 30)
    cut, whole = labelled_rows(values, kind, segment), labelled_rows(values, kind, segment * 0)
    assert len(np.unique(cut.event[kind != ""])) == 2 and len(np.unique(whole.event[kind != ""])) == 1
    # Behind the border nothing is known of what was before it: no step, and a mean of its own rows.
    place = 1 + 1  # value, step, then value less mean of the first window
    assert np.isnan(cut.features[30, 1]) and whole.features[30, 1] == 9
    assert cut.features[30, place] == 0 and whole.features[30, place] > 8
    # Trailing windows: what comes later changes no row.
    later = values.copy()
    later[45:] = 100
    again = labelled_rows(later, kind, segment)
    np.testing.assert_array_equal(again.features[:45], cut.features[:45])
