"""Comparisons lined up over spans."""

from __future__ import annotations

from components.drift.findings import MonitorReport, MonitorRun
from pipeline.monitor_report.spans import MOST_SPANS, Cell, history_of
from tests.support.made_up_monitoring import finding, undefined


def _run(span: int, level: float | None, zone: str = "x") -> MonitorRun:
    one = (
        undefined("a", zone, "no value", span, baseline="window")
        if level is None
        else finding("a", zone, level, span=span, shapes=False)
    )
    report = MonitorReport(
        zone=zone, sharing="open", span=span, alpha=0.05, status="EVALUATED", findings=(one,)
    )
    return MonitorRun(deployment="d", run_id=f"r{span}", finished="", isthmus_version="0", reports=(report,))


def _row(run: MonitorRun, *earlier: MonitorRun) -> tuple[tuple[int, ...], list[str], int]:
    history = history_of(run, earlier)
    one = run.reports[0].findings[0]
    return history.spans, [cell.text for cell in history.row("x", one)], history.streak("x", one)


def test_spans_are_lined_up_with_a_column_for_the_missing_one() -> None:
    assert _row(_run(5, 2.0), _run(2, 0.4), _run(3, 1.5)) == ((2, 3, 4, 5), ["0.4", "1.5", "", "2.0"], 1)


def test_a_streak_ends_at_a_quiet_or_undefined_span() -> None:
    earlier = [_run(1, 3.0), _run(2, None), _run(3, 2.0), _run(4, 2.0)]
    assert _row(_run(5, 2.0), *earlier)[1:] == (["3.0", "?", "2.0", "2.0", "2.0"], 3)
    assert _row(_run(5, 0.3), *earlier)[2] == 0


def test_of_two_runs_over_a_span_the_later_counts_and_later_spans_are_left_out() -> None:
    assert _row(_run(2, 0.5), _run(1, 0.1), _run(1, 0.9), _run(7, 9.0)) == ((1, 2), ["0.9", "0.5"], 0)


def test_only_the_last_spans_have_columns_but_a_slow_locale_keeps_its_own() -> None:
    slow = _run(3, 0.4, "slow").reports
    run = _run(100, 0.4).model_copy(update={"reports": (*_run(100, 0.4).reports, *slow)})
    spans = history_of(run, [_run(span, 0.4) for span in range(90)]).spans
    assert spans == (3, *range(100 - MOST_SPANS + 1, 101))


def test_nothing_found_has_no_span() -> None:
    empty = MonitorRun(deployment="d", run_id="r", finished="", isthmus_version="0")
    assert history_of(empty).spans == ()


def test_texts_and_colours_of_cells() -> None:
    cells = [
        Cell("ALERT", None),
        Cell("OK", None),
        Cell("ALERT", 12.34),
        Cell("ALERT", 1234.0),
        Cell("OK", 0.5),
        Cell("UNDEFINED", None),
        Cell(),
    ]
    assert [cell.text for cell in cells] == ["!", "ok", "12", "99+", "0.5", "?", ""]
    assert [cell.level for cell in cells] == [100, 0, 100, 100, 12, 0, 0]
