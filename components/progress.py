"""Progress of long work, from inside a component to whoever shows it.

A component says `report("training", step, steps, loss=...)`; the local runner shows a bar, a pod
prints lines. Without a listener the call costs nothing. Values are counts and losses, never data.
"""

from __future__ import annotations

from collections.abc import Callable

#: stage, done, total, values
Listener = Callable[[str, float, float, dict[str, float]], None]

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Makes `listener` the one that hears of progress in this process; None takes it away."""
    global _listener
    _listener = listener


def report(stage: str, done: float, total: float, **values: float) -> None:
    """Says that `done` of `total` units of a stage are finished.

    Args:
      stage: A short word, such as `training`.
      done: Units finished.
      total: Units in all.
      **values: What else is worth a look, such as a loss.
    """
    if _listener is not None:
        _listener(stage, float(done), float(total), values)
