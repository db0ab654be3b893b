"""Where an evaluation collects its metrics; whatever goes wrong leaves UNDEFINED behind, never a gap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from components.errors import InsufficientDataError, IsthmusError
from components.release_evaluator.core.attacks.base import Measured, NotApplicable
from components.release_evaluator.core.catalogue import METRICS
from components.release_evaluator.core.metrics import Evidence, Interval, Metric


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
        evidence: Evidence | None = None,
    ) -> None:
        """Notes a value; one that is not finite leaves the metric UNDEFINED.

        Args:
          name: Of the catalogue.
          value: In the metric's own unit and range.
          interval: Of the value; cut to the metric's range.
          control: The same quantity of something that cannot leak, or of real rows.
          n: Records it was computed from.
          evidence: What an attack saw.

        Raises:
          KeyError: the catalogue does not have the metric.
        """
        if not np.isfinite(value):
            self.undefined(name, "the value is not finite")
            return
        spec = METRICS[name]
        inside = None if interval is None else interval.within(spec.range)
        self.found[name] = Metric(name, spec, "OK", float(value), "", inside, control, n, evidence)

    def measured(self, name: str, found: Measured | NotApplicable) -> None:
        """Notes what an attack gave: a value, or why there is nothing to measure."""
        if isinstance(found, NotApplicable):
            self.not_applicable(name, str(found))
        else:
            self.set(name, found.value, found.interval, found.control, found.n, found.evidence)

    def undefined(self, name: str, reason: str, too_few: bool = False) -> None:
        """Notes that a metric could not be computed.

        Args:
          name: Of the catalogue.
          reason: Why, without a value of a record.
          too_few: Whether for lack of records: the gate says so, and how many it would take.
        """
        self.found[name] = Metric(name, METRICS[name], "UNDEFINED", reason=reason, too_few=too_few)

    def not_applicable(self, name: str, reason: str) -> None:
        """Notes that the data hold nothing that a metric could measure; its rules pass, and say so."""
        self.found[name] = Metric(name, METRICS[name], "NOT_APPLICABLE", reason=reason)

    @contextmanager
    def section(self, *names: str, may_not_apply: bool = True) -> Iterator[None]:
        """Whatever goes wrong inside leaves the metrics that were not set UNDEFINED, and nothing else.

        `NotApplicable` leaves them NOT_APPLICABLE: the data hold nothing to measure, as a matter of fact.

        Args:
          names: Metrics that are set inside.
          may_not_apply: Whether `NotApplicable` speaks of these metrics. Around sections of their own it does
            not: one that got out of them is a fault, and the gate would let every metric pass.
        """
        reason, too_few = "not computed", False
        try:
            yield
        except NotApplicable as nothing:
            reason = f"outside any section that may not apply: {nothing}"
            for name in names if may_not_apply else ():
                if name not in self.found:
                    self.not_applicable(name, str(nothing))
        except IsthmusError as error:
            reason, too_few = str(error), isinstance(error, InsufficientDataError)
        except Exception as error:
            # the text of a foreign exception may hold a value of a private record: its type alone is told
            reason = f"computing it failed ({type(error).__name__})"
        for name in names:
            if name not in self.found:
                self.undefined(name, reason, too_few)
