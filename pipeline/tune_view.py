"""Shows a search as it goes, and its result: a bar and a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from components.tuner.core.scoring import Outcome
from components.tuner.core.study import Values
from pipeline.progress_view import LINE_EVERY_S, bars, print_line

#: Titles of the measures.
_TITLES = {
    "marginal_fidelity": "marginal ↑",
    "worst_column_fidelity": "worst ↑",
    "pairwise_fidelity": "pair ↑",
    "acf_error": "ACF err. ↓",
    "step_change_fidelity": "step ↑",
}


class TuneView:
    """A context manager; `tell` and `steps` are the search's listeners."""

    def __init__(
        self,
        locale: str,
        minutes: float,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Shows nothing yet.

        Args:
          locale: The locale.
          minutes: Of the whole search: the bar's length.
          console: Where to show; the error stream where None.
          clock: Seconds.
        """
        self._console = console or Console(file=sys.stderr)
        self._locale, self._seconds, self._clock = locale, 60 * minutes, clock
        self._doing, self._began, self._spoke = "reading rows", clock(), clock()
        self._progress = bars(self._console)
        self._bar: TaskID | None = None

    def __enter__(self) -> TuneView:
        if self._progress:
            self._progress.start()
            self._bar = self._progress.add_task("", name=self._locale, doing=self._doing, total=self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def tell(self, trial: int, repeat: int, values: Values, outcome: Outcome | None, known: bool) -> None:
        """Hears of each training's beginning and end."""
        self._doing = f"trial {trial}" + (f" repeat {repeat}" if repeat else "")
        if outcome is None:
            said = ", ".join(f"{name} {value}" for name, value in values.items()) or "as configured"
            if not known:
                self._say(f"{self._doing}: {said}")
            return
        told = outcome.hindrance or f"done in {outcome.wall_s:.0f} s"
        self._say(f"{self._doing}: {told}" + (" (known from before)" if known else ""))

    def steps(self, step: int, total: int, losses: dict[str, float]) -> None:
        """Hears of a training's updates."""
        text = f"{self._doing}: step {step}/{total}"
        if self._progress and self._bar is not None:
            self._progress.update(self._bar, completed=self._clock() - self._began, doing=text)
        elif self._clock() - self._spoke >= LINE_EVERY_S:
            self._say(text)

    def _say(self, text: str) -> None:
        self._spoke = self._clock()
        if self._progress and self._bar is not None:
            self._progress.update(self._bar, completed=self._spoke - self._began, doing=text[:70])
            return
        print_line(self._console, self._locale, text)


def show(answer: dict[str, Any], console: Console) -> None:
    """Prints what `pipeline.tune_answer.answer` gave."""

    def line(text: str, style: str = "") -> None:
        console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    line(answer["notice"], "bold")
    line(answer["privacy"])
    rows, budget = answer["rows"], answer["budget"]
    line(
        f"locale {answer['locale']}, span {answer['span']}, seed {answer['seed']}: fitted to "
        f"{rows['fit']:,} rows, judged on {rows['judged']:,} held-back ones; "
        f"{budget['spent_minutes']:.1f} of {budget['minutes']:g} minutes in trials, ended by: "
        f"{answer['ended']}"
    )
    measures = list(answer["objective"]["measures"])
    header = [
        "trial",
        "score ↑",
        *(_TITLES[name] for name in measures),
        "excess ↓",
        "CPU s",
        "note",
        "values",
    ]
    found = [_row(answer, trial, run, measures) for trial in answer["trials"] for run in trial["runs"]]
    if console.is_terminal:
        table = Table(title="trials", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in header:
            table.add_column(name, overflow="fold")
        for row in found:
            table.add_row(*map(escape, row))
        console.print(table)
    else:
        for row in found:
            told = ", ".join(f"{name} {cell}" for name, cell in zip(header[1:], row[1:]) if cell)
            line(f"trial {row[0]}: {told}")
    line(f"result: {answer['result']['words']}", "bold")


def _row(
    answer: dict[str, Any], trial: dict[str, Any], run: dict[str, Any], measures: list[str]
) -> list[str]:
    name = str(trial["trial"]) + (f" repeat {run['repeat']}" if run["repeat"] else "")
    now = answer["configured"]
    values = ", ".join(f"{key} {value}" for key, value in trial["values"].items() if value != now[key])
    return [
        name,
        _number(run["score"], 4),
        *(_number(run["measures"].get(key), 4) for key in measures),
        _number(run["excess"], 3),
        f"{run['cpu_s']:.1f}",
        run["hindrance"],
        values or "as configured",
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
