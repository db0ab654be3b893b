"""Where an evaluation collects its metrics; whatever goes wrong leaves UNDEFINED behind, never a gap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from components.errors import IsthmusError
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.metrics import Interval, Metric
from components.release_evaluator.core.privacy import Measured


class Board:
    """Collects metrics; what is never set stays UNDEFINED, with the reason of its section."""

    def __init__(self) -> None:
        self.found: dict[str, Metric] = {}

    def set(
        self,
        name: str,
        value: float,
        interval: Interval | None = None,
        control: float | None = None,
        n: int = 0,
    ) -> None:
        if not np.isfinite(value):
            self.undefined(name, "the value is not finite")
            return
        self.found[name] = Metric(name, METRICS[name], "OK", float(value), "", interval, control, n)

    def measured(self, name: str, found: Measured) -> None:
        self.set(name, found.value, found.interval, found.control, found.n)

    def undefined(self, name: str, reason: str) -> None:
        self.found[name] = Metric(name, METRICS[name], "UNDEFINED", reason=reason)

    def not_applicable(self, name: str, reason: str) -> None:
        self.found[name] = Metric(name, METRICS[name], "NOT_APPLICABLE", reason=reason)

    @contextmanager
    def section(self, *names: str) -> Iterator[None]:
        """Whatever goes wrong inside leaves the metrics that were not set UNDEFINED, and nothing else."""
        reason = "not computed"
        try:
            yield
        except IsthmusError as error:
            reason = str(error)
        except Exception as error:
            # the text of a foreign exception may hold a value of a private record: its type alone is told
            reason = f"computing it failed ({type(error).__name__})"
        for name in names:
            if name not in self.found:
                self.undefined(name, reason)
