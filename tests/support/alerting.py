"""A deployment with channels, and runs of its monitoring, made up."""

from __future__ import annotations

import functools
import json
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from components.drift.findings import Cause, Finding, Measurement, MonitorReport, MonitorRun
from pipeline.alerts.clock import stopped
from pipeline.alerts.outgoing import Outcome
from pipeline.config.alerts import AlertsSection
from tests.support import deployments

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


@functools.cache
def _golden():
    with tempfile.TemporaryDirectory() as folder:
        return deployments.deployment(Path(folder))


class World:
    """A deployment in a folder, with a clock, and a server that takes what it is told to take."""

    def __init__(self, folder):
        self.folder = folder
        self.section = {"webhook": [{"name": "hook", "url": "https://hook.example/x"}]}
        self.now = NOW
        self.outcomes = []
        self.sent = []
        self.tries = []
        self._loaded = {}

    def deployment(self):
        """Through the file's own section; the rest is read once for all tests, since it takes a while."""
        text = json.dumps(self.section, sort_keys=True)
        if text not in self._loaded:
            given = {"root": str(self.folder / "root"), "alerts": AlertsSection.model_validate(self.section)}
            self._loaded[text] = _golden().model_copy(update=given)
        return self._loaded[text]

    def attempt(self, channel, item, now):
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome("sent")
        if isinstance(outcome, BaseException):
            raise outcome
        self.tries.append((channel.name, item.message, now))
        if outcome.kind == "sent":
            self.sent.append((channel.name, item.message))
        return outcome

    def dispatch(self, monitor_run, **keywords):
        from pipeline.alerts.dispatch import dispatch

        keywords.setdefault("clock", stopped(self.now))
        return dispatch(self.deployment(), monitor_run, attempt=self.attempt, **keywords)

    def flush(self, patience_s=0.0):
        from pipeline.alerts.dispatch import empty
        from pipeline.alerts.place import open_place

        found = self.deployment()
        return empty(open_place(found), found, patience_s, clock=stopped(self.now), attempt=self.attempt)

    def later(self, **by):
        self.now += timedelta(**by)

    def kinds(self):
        """What was sent since the last look, as kind and channel."""
        found = [(message.kind, channel) for channel, message in self.sent]
        self.sent.clear()
        return found


def finding(**changes):
    """A drift of a restricted locale's temperature."""
    given = {
        "comparison": "drift",
        "locale": "eu-west",
        "against": "span 2",
        "baseline": "previous",
        "feature": "load",
        "span": 3,
        "verdict": "ALERT",
        "severity": "warning",
        "measurements": (
            Measurement(
                measure="wasserstein",
                value=2.34567,
                unit="kW",
                threshold=0.5,
                rule="number",
                n=4032,
                n_baseline=4000,
                verdict="ALERT",
            ),
        ),
        "cause": Cause(name="stuck_sensor", words="", begin="2026-11-20T08:00:00+00:00"),
    }
    given.update(changes)
    if given["verdict"] != "ALERT":
        given.update(cause=None, measurements=())
    return Finding(**given)


def run_of(*findings, run_id="20261121T115900-aaaaaa", span=3, zone="eu-west", missing=None):
    """A run whose region reports these findings; none at all where there is no finding."""
    report = MonitorReport(
        zone=zone, sharing="restricted", span=span, alpha=0.01, status="EVALUATED", findings=findings
    )
    return MonitorRun(
        deployment="x",
        run_id=run_id,
        finished="2026-11-21T11:59:00+00:00",
        isthmus_version="0",
        reports=(report,) if findings else (),
        missing=missing or {},
    )
