"""Shows a run as it goes: a bar per locale on a terminal, timestamped lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Training reports many times a second; a log needs a line now and then.
LINE_EVERY_S = 10.0


def bars(console: Console) -> Progress | None:
    """Bars with the fields `name` and `doing`, on a terminal; None elsewhere."""
    if not console.is_terminal:
        return None
    return Progress(
        TextColumn("{task.fields[name]:<12}"),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[doing]}"),
        TimeElapsedColumn(),
        console=console,
    )


def print_line(console: Console, name: str, text: str) -> None:
    """A line with the time and whose it is."""
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    console.print(f"{stamp} {name}: {text}", markup=False, highlight=False, soft_wrap=True)


class RunView:
    """A context manager whose `listen` is the runner's listener."""

    def __init__(self, names: Iterable[str], console: Console | None = None) -> None:
        """Shows nothing yet.

        Args:
          names: The pipelines, in the order of their bars; how long a bar is, its worker says.
          console: Where to show; the error stream where None.
        """
        self._console = console or Console(file=sys.stderr)
        self._names = tuple(names)
        self._bars: dict[str, TaskID] = {}
        self._spoke: dict[str, float] = {}
        self._progress = bars(self._console)

    def __enter__(self) -> RunView:
        if self._progress:
            self._progress.start()
            for name in self._names:
                self._bars[name] = self._progress.add_task(
                    "", name=name, doing="waiting", total=None, start=False
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def listen(self, name: str, event: str, payload: dict[str, Any]) -> None:
        """Takes one event of the runner."""
        text = _describe(event, payload)
        if event == "built":
            if self._progress and name in self._bars:
                self._progress.update(self._bars[name], total=payload["nodes"])
        elif self._progress:
            self._show_bar(name, event, text)
        elif event != "progress" or time.monotonic() - self._spoke.get(name, 0.0) >= LINE_EVERY_S:
            self._spoke[name] = time.monotonic()
            print_line(self._console, name, text)

    def _show_bar(self, name: str, event: str, text: str) -> None:
        assert self._progress is not None
        bar = self._bars.get(name)
        if bar is None:
            return
        if event == "started":
            self._progress.start_task(bar)
        if event == "finished":
            self._progress.advance(bar)
        if event in ("done", "failed"):
            self._progress.stop_task(bar)
        self._progress.update(bar, doing=text[:60])


def _describe(event: str, payload: dict[str, Any]) -> str:
    if event == "progress":
        values = "".join(f" {key} {value:.4g}" for key, value in payload["values"].items())
        return f"{payload['stage']} {payload['done']:.0f}/{payload['total']:.0f}{values}"
    if event == "running":
        return f"{payload['id']}"
    if event == "finished":
        return f"{payload['id']} {payload['state']} in {payload['seconds']:.1f} s"
    if event == "done":
        return f"done in {payload['seconds']:.0f} s"
    if event == "failed":
        return f"failed: {payload['error']}"
    return event
