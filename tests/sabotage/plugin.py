"""Does every test notice when the code that it runs is broken? A pytest plugin: `make sabotage`.

For each test that passes, one of the project's functions that it runs is sabotaged at a time, until
the test fails. A test that no sabotage makes fail asserts nothing about the code and is reported as
SURVIVED. The idea is extreme mutation (Niedermayr, Juergens and Wagner: "Will my tests tell me if I
break this code?", CSED 2016, arXiv:1611.07163), turned round: they look for functions that no test
notices, this looks for tests that notice no function.

How a function is sabotaged, in the order of trial:
  perturbed  it runs, and its result is changed but keeps its type (`perturb`): a number is raised by
             one, a bool negated, text reversed, likewise inside arrays, tables, dicts and records.
  fickle     the same from its second call on: for tests that compare two results of one function.
  removed    its body does not run; it returns None where it returned None, else an empty value (an
             empty one is filled; a generator yields nothing, or one word where it had nothing to yield).
  filled     it runs, and returns a word where it had returned None only.
Functions near the test come first: called directly, and last. The search stops at the first *assertion*
that fails in the test itself; a crash or a timeout is weak evidence (any test of broken code may crash),
so it is kept only where no assertion is found within the budget.

Fixtures. Each trial is a whole set-up, call and tear-down with fresh function-scoped fixtures under the
sabotage. Wider fixtures (module, session) stay as they were built by sound code. Only where that finds
no assertion are the wider ones rebuilt under the sabotage as well, and again afterwards; such a kill is
marked "fixtures rebuilt". What `functools.cache` keeps of a function is forgotten before it is sabotaged,
and what it kept of a sabotaged run afterwards.
A kill counts only if the test passes again, in the same process, without the sabotage.

What it cannot see: code in other processes (such a test is listed as "elsewhere" where nothing in this
process kills it), functions made anew at each call (their makers are sabotaged instead), code that runs
at import, traced TensorFlow graphs, and tests with pytest's `capfd` (use `capsys`). Hypothesis runs 20
examples and does not shrink here.

While code is sabotaged nothing outside pytest's temporary folders can be written, removed or killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.sabotage.functions import Guard, Project, Seen, sabotaged
from tests.sabotage.values import can_be_perturbed

#: Removing these leaves a broken object, which crashes: they come last.
SPECIAL = ("__init__", "__post_init__", "__enter__", "__exit__")


class TookTooLong(BaseException):
    """A sabotaged run went past its limit."""


class Sibling:
    """A test beside another: named as the next one, it leaves their common (wider) fixtures standing."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)

    def listchain(self) -> list[Any]:
        return self._item.listchain()[:-1]


@dataclasses.dataclass
class Outcome:
    """One run of a test: whether it passed, and how it failed."""

    passed: bool
    kind: str = ""
    error: str = ""
    seconds: float = 0.0


class Sabotage:
    """Runs each test several times and notes what makes it fail."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.project = Project(config.rootpath)
        self.guard = Guard()
        self._pid = os.getpid()
        self.trials: int = config.getoption("sabotage_trials")
        self.seconds: float = config.getoption("sabotage_seconds")
        self.limit: float = config.getoption("sabotage_limit")
        self.findings: dict[str, dict[str, Any]] = {}
        self._error: BaseException | None = None
        self._starts = 0
        sys.addaudithook(self._count_starts)

    def _count_starts(self, event: str, _: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
            self._starts += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._starts = 0
        self._error = None
        reports = runtestprotocol(item, log=False, nextitem=Sibling(item))  # type: ignore[arg-type]
        if all(report.outcome == "passed" for report in reports) and not hasattr(reports[-1], "wasxfail"):
            tbstyle = self.config.option.tbstyle
            self.config.option.tbstyle = "value"
            try:
                finding = self._examine(item)
            finally:
                self.config.option.tbstyle = tbstyle
            reports[-1].user_properties.append(("sabotage", finding))
        with contextlib.suppress(Exception):
            item.session._setupstate.teardown_exact(nextitem)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        if report.outcome == "failed" and self._error is None and call.excinfo is not None:
            self._error = call.excinfo.value
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, finding in report.user_properties:
            if name == "sabotage":
                self.findings[report.nodeid] = finding

    def _run(self, item: pytest.Item, limit_s: float = 0.0) -> Outcome:
        """Set-up, call and tear-down of one test, its function-scoped fixtures fresh."""
        self._error = None
        item._initrequest()  # type: ignore[attr-defined]
        began = time.monotonic()
        error: BaseException | None = None
        try:
            if limit_s:
                signal.setitimer(signal.ITIMER_REAL, limit_s)
            reports = runtestprotocol(item, log=False, nextitem=Sibling(item))  # type: ignore[arg-type]
            passed = all(report.outcome != "failed" for report in reports)
        except BaseException as caught:
            error, passed = caught, False
        finally:
            if os.getpid() != self._pid:
                os._exit(70)  # a child that the test forked must not go on with our tests
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        error, self._error = error or self._error, None
        for name in ("last_type", "last_value", "last_traceback"):  # they hold the frames of the failure
            sys.__dict__.pop(name, None)
        seconds = time.monotonic() - began
        if passed:
            return Outcome(True, seconds=seconds)
        return Outcome(False, self._kind(error), f"{type(error).__name__}: {error}"[:300], seconds)

    def _kind(self, error: BaseException | None) -> str:
        if isinstance(error, TookTooLong):
            return "timeout"
        fails = isinstance(error, (AssertionError, pytest.fail.Exception))
        trace = error.__traceback__ if error is not None else None
        while fails and trace is not None:
            # An `assert` inside the project is the project's, not the test's.
            fails, trace = not self.project.owns(trace.tb_frame.f_code), trace.tb_next
        return "assertion" if fails else "crash"

    def _rebuild(self, item: pytest.Item) -> None:
        """Takes all fixtures down, so that the next run builds them anew."""
        with contextlib.suppress(BaseException):
            item.session._setupstate.teardown_exact(None)

    def _profiled(self, item: pytest.Item) -> tuple[Outcome, list[Seen]]:
        seen, profile = self.project.watch()
        threading.setprofile(profile)
        sys.setprofile(profile)
        try:
            with self.project.forgetting(before=True):
                outcome = self._run(item)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
        return outcome, [entry for entry in seen.values() if self.project.functions(entry.code)]

    def _examine(self, item: pytest.Item) -> dict[str, Any]:
        self.guard.allowed.append(os.path.realpath(item.config._tmp_path_factory.getbasetemp()) + os.sep)
        try:
            again, seen = self._profiled(item)
            if not again.passed:
                return {"verdict": "NOT REPEATABLE", "error": again.error}
            deadline = time.monotonic() + self.seconds
            best = self._search(item, seen, deadline, False)
            if best.get("kind") != "assertion":
                # Only what the wider fixtures ran: the rest has been tried.
                tried = {entry.code for entry in seen}
                self._rebuild(item)
                outcome, more = self._profiled(item)
                more = [entry for entry in more if entry.code not in tried]
                wider = self._search(item, more, deadline, True) if outcome.passed else {}
                if wider.get("kind") == "assertion" or not best:
                    best = wider
                seen = seen + more
            if best:
                return {"verdict": "KILLED", **best}
            if self._starts:
                return {"verdict": "ELSEWHERE", "functions": len(seen)}
            return {"verdict": "SURVIVED" if seen else "NO PROJECT CODE", "functions": len(seen)}
        finally:
            self.guard.allowed.pop()

    def _search(self, item: pytest.Item, seen: list[Seen], deadline: float, rebuilt: bool) -> dict[str, Any]:
        """Tries one sabotage after the other; the first failed assertion, else the first crash."""
        weak: dict[str, Any] = {}
        plan = []
        for entry in seen:
            sample = next(filter(can_be_perturbed, entry.samples), None)
            some = next(iter(entry.samples), None)
            near = (entry.code.co_name in SPECIAL, entry.depth)
            if sample is not None:
                plan += [(*near, 0, -entry.last, entry, "perturbed", sample)]
                plan += [(*near, 1, -entry.last, entry, "fickle", sample)]
            plan += [(*near, 0 if some is None else 2, -entry.last, entry, "removed", some)]
            plan += [(*near, 1, -entry.last, entry, "filled", None)] if some is None and not near[0] else []
        plan.sort(key=lambda trial: trial[:4])
        for *_, entry, mode, sample in plan[: self.trials]:
            if time.monotonic() > deadline:
                break
            outcome = self._spoiled(item, entry, mode, sample, rebuilt)
            if outcome.passed or (weak and outcome.kind != "assertion"):
                continue
            gc.collect()  # what the failed run left open is closed with its frames
            if not self._run(item).passed:
                # An earlier sabotage outlives its undoing, in a wider fixture: all anew, and once more.
                self._rebuild(item)
                outcome = self._spoiled(item, entry, mode, sample, rebuilt)
                self._rebuild(item)
                if outcome.passed or not self._run(item).passed:
                    continue
            found = {"kind": outcome.kind, "function": entry.name, "mode": mode, "error": outcome.error}
            found["rebuilt"] = rebuilt
            if outcome.kind == "assertion":
                return found
            weak = weak or found
        return weak

    def _spoiled(self, item: pytest.Item, entry: Seen, mode: str, sample: Any, rebuilt: bool) -> Outcome:
        """One run under one sabotage; with `rebuilt`, wider fixtures are made under it and then dropped."""
        if rebuilt:
            self._rebuild(item)
        functions = self.project.functions(entry.code)
        with self.project.forgetting(before=entry.cached), sabotaged(functions, mode, sample):
            self.guard.active = True
            try:
                outcome = self._run(item, self.limit)
            finally:
                self.guard.active = False
        if rebuilt:
            self._rebuild(item)
        return outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        path = self.config.getoption("sabotage_report")
        if path and not hasattr(self.config, "workerinput"):
            Path(path).write_text(json.dumps(self.findings, indent=1, sort_keys=True) + "\n")
        verdicts = {finding["verdict"] for finding in self.findings.values()}
        if session.exitstatus == 0 and ("SURVIVED" in verdicts or "KILLED" not in verdicts):
            session.exitstatus = 1  # where nothing at all was killed, it is the plugin that sees nothing

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("sabotage")
        for verdict in ("SURVIVED", "NOT REPEATABLE", "ELSEWHERE"):
            for test, finding in sorted(self.findings.items()):
                if finding["verdict"] == verdict:
                    write(f"{verdict}: {test} {finding.get('error', '')}".rstrip())
        apart = (t.partition("[")[0] for t, f in self.findings.items() if f["verdict"] == "NO PROJECT CODE")
        for test, count in sorted(Counter(apart).items()):
            write(f"NO PROJECT CODE: {test}" + (f" ({count} cases)" if count > 1 else ""))
        for test, finding in sorted(self.findings.items()):
            if finding["verdict"] == "KILLED" and finding["kind"] != "assertion":
                write(f"only a {finding['kind']}: {test} ({finding['function']} {finding['mode']})")
        counts = Counter(
            f"killed by {f['kind']}" if f["verdict"] == "KILLED" else f["verdict"].lower()
            for f in self.findings.values()
        )
        write(f"{len(self.findings)} tests: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sabotage", "break the code that each test runs; see tests/README.md")
    group.addoption("--sabotage-trials", type=int, default=40, help="sabotages per test and kind of fixtures")
    group.addoption("--sabotage-seconds", type=float, default=60.0, help="time per test")
    group.addoption("--sabotage-limit", type=float, default=20.0, help="seconds of one sabotaged run")
    group.addoption("--sabotage-report", default="", help="findings as JSON")


def _too_long(_: int, __: Any) -> None:
    raise TookTooLong("the run was stopped")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.timeout = 0  # pytest-timeout uses the same alarm
    signal.signal(signal.SIGALRM, _too_long)
    with contextlib.suppress(ImportError):
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "sabotage",
            max_examples=20,
            phases=[Phase.explicit, Phase.generate],
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("sabotage")
    config.pluginmanager.register(Sabotage(config), "isthmus-sabotage")
