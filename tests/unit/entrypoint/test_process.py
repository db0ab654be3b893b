"""A step's container from outside: exit status, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # a process each

DONE = """
def run(arguments, invocation, listener):
    invocation.prepare()
    listener("Node", None)
    listener("Node", 0.1)
    invocation.finish({}, {})
"""
#: Prints, warns, writes past Python and fails, each time with a value of a row.
CANARY = """
import logging, os, subprocess, warnings
def run(arguments, invocation, listener):
    value = "CANARY4711"
    print("row", value, flush=True)
    print("row", value, file=sys.stderr)
    warnings.warn(f"odd {value}")
    logging.getLogger("absl").warning("seen %s", value)
    os.write(1, f"native {value}\\n".encode())
    subprocess.run(["sh", "-c", f"echo child {value}; echo child {value} >&2"])
    raise ERROR(f"row 17 of column pressure holds {value} of Ada")
"""
OWN = "from components.errors import DataError as ERROR\n"
FOREIGN = "ERROR = type('ERROR', (KeyError,), {})\n"
SLEEPS = """
import time
def run(arguments, invocation, listener):
    listener("Node", None)
    time.sleep(60)
"""
#: Native code that keeps the interpreter's lock: no thread and no handler of Python's runs.
HOLDS = """
def run(arguments, invocation, listener):
    listener("Node", None)
    sum(range(10**12))
"""
SWALLOWS = """
import time
def run(arguments, invocation, listener):
    listener("Node", None)
    for _ in range(600):
        try:
            time.sleep(0.1)
        except BaseException:
            pass
"""
#: Swallows once, and goes on as if nothing were.
GOES_ON = """
import time
def run(arguments, invocation, listener):
    invocation.prepare()
    listener("Node", None)
    try:
        time.sleep(60)
    except BaseException:
        pass
    listener("Node", 60.0)
    invocation.finish({}, {})
"""
_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ eu-onboard: step onboard of eu: (.*)")


def ours(printed: str) -> list[str]:
    """What our own lines say; anything else on the output fails the test."""
    found = [_LINE.fullmatch(line) for line in printed.splitlines()]
    assert all(found), printed
    return [match.group(1) for match in found if match]


def fails_with(error: str) -> str:
    return f"""
from components import errors
def run(arguments, invocation, listener):
    raise {error}
"""


def started(made: Any) -> None:
    """Waits until the node runs."""
    for line in made.process.stdout:
        if "Node started" in line:
            time.sleep(0.3)  # until it is in what it was started for
            return
    raise AssertionError("it never started")


def test_a_step_that_is_done(pod: Callable[..., Any]) -> None:
    made = pod(DONE)
    status, printed = made.end()
    lines = ours(printed)
    assert status == 0 and made.output.exists(), printed
    assert lines[:3] == ["started", "Node started", "Node done in 0.1 s"]
    assert lines[3].startswith("done; ") and len(lines) == 4
    assert (made.output.parent / "timings.json").exists()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("errors.VerdictError('drift')", 1, "VerdictError: drift"),
        ("errors.PrivacyBudgetExceededError('budget')", 1, "PrivacyBudgetExceededError: budget"),
        ("errors.ConfigError('key')", 2, "ConfigError: key"),
        ("errors.DataError('a file\\n  and\\nmore')", 2, "DataError: a file and more"),
        ("errors.InternalError('config')", 3, "InternalError: config"),
        ("ValueError('x')", 3, "ValueError (see the traceback); our fault"),
        ("SystemExit(0)", 3, "SystemExit (see the traceback); our fault"),
        ("KeyboardInterrupt()", 3, "KeyboardInterrupt (see the traceback); our fault"),
        ("MemoryError()", 3, "MemoryError (see the traceback); our fault"),
    ],
)
def test_exit_statuses_and_the_last_line(pod, error: str, status: int, said: str) -> None:
    made = pod(fails_with(error), "open")
    found, printed = made.end()
    assert found == status, printed
    last = _LINE.fullmatch(printed.splitlines()[-1])
    assert last and last.group(1) == f"failed: {said}"
    assert "Traceback (most recent call last)" in printed and not made.output.exists()


def test_the_cause_under_what_a_library_raised_is_named(pod) -> None:
    body = """
from components import errors
def run(arguments, invocation, listener):
    try:
        raise errors.DataError("the file is empty")
    except errors.DataError as error:
        raise RuntimeError("wrapped") from error
"""
    status, printed = pod(body, "open").end()
    assert status == 2 and printed.splitlines()[-1].endswith("failed: DataError: the file is empty")


def test_a_restricted_pod_prints_our_lines_only(pod) -> None:
    made = pod(OWN + CANARY)
    status, printed = made.end()
    lines = ours(printed)
    assert status == 2 and "CANARY4711" not in printed and "Ada" not in printed
    assert lines[-1] == "failed: DataError: row 17 of column pressure holds … of …"
    assert lines[-2] == f"the locale's own log: {made.state}/eu/logs/eu-onboard.log"
    for text in ("row CANARY4711", "odd CANARY4711", "seen CANARY4711", "native CANARY4711", "Traceback"):
        assert text in made.log
    assert made.log.count("child CANARY4711") == 2
    assert made.log.count("CANARY4711 of Ada") >= 1


def test_a_foreign_error_of_a_restricted_locale_says_its_type_and_where_to_look(pod) -> None:
    made = pod(FOREIGN + CANARY)
    status, printed = made.end()
    assert status == 3 and "CANARY4711" not in printed
    assert ours(printed)[-1] == f"failed: ERROR (see {made.state}/eu/logs/eu-onboard.log); our fault"


def test_the_log_is_the_locales_own(pod) -> None:
    made = pod(OWN + CANARY)
    made.end()
    (log,) = (made.state / "eu" / "logs").iterdir()
    assert log.stat().st_mode & 0o077 == 0
    assert [path.name for path in made.state.iterdir()] == ["eu"]


def test_without_a_volume_the_log_of_a_failed_step_goes_to_the_locales_bucket(pod, tmp_path) -> None:
    store = json.dumps({"uri": f"file://{tmp_path}/bucket"})
    made = pod(OWN + CANARY, "restricted", f"--store={store}", volume=False)
    status, printed = made.end()
    assert status == 2 and "CANARY4711" not in printed
    (log,) = (tmp_path / "bucket" / "logs" / "eu-onboard").iterdir()
    assert "row CANARY4711" in log.read_text() and "Traceback" in log.read_text()
    assert ours(printed)[-2] == f"the locale's own log: file://{log}"
    assert ours(printed)[-1].startswith("failed: DataError: row 17")


def test_a_bucket_that_takes_no_log_hides_no_failure(pod, tmp_path) -> None:
    (tmp_path / "bucket").write_text("a file")
    store = json.dumps({"uri": f"file://{tmp_path}/bucket"})
    status, printed = pod(OWN + CANARY, "restricted", f"--store={store}", volume=False).end()
    assert status == 2 and ours(printed)[-1].startswith("failed: DataError: row 17")


def test_where_no_log_can_be_kept_nothing_is_printed_instead(pod, tmp_path) -> None:
    (tmp_path / "state").write_text("a file")
    status, printed = pod(OWN + CANARY).end()
    assert status == 2 and "CANARY4711" not in printed and ours(printed)


def test_an_open_pod_prints_everything(pod) -> None:
    status, printed = pod(OWN + CANARY, "open").end()
    assert status == 2 and printed.count("child CANARY4711") == 2
    assert "Traceback (most recent call last)" in printed and "row CANARY4711" in printed
    assert printed.splitlines()[-1].endswith("DataError: row 17 of column pressure holds CANARY4711 of Ada")


@pytest.mark.parametrize("bad", ["{", "[]", "{}", '{"inputs": {"parameterValues": {"zone": "../x"}}}'])
def test_an_executor_input_that_is_none(pod, bad: str, tmp_path) -> None:
    body = "def run(arguments, invocation, listener): raise KeyError(invocation.text('zone'))\n"
    body += "sys.argv[-1] = " + repr(bad) + "\n"
    made = pod(body)
    status, printed = made.end()
    assert status == 3 and "of no zone: failed: " in printed.splitlines()[-1]
    assert "Traceback" not in printed and "../x" not in printed
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["unknown"]


@pytest.mark.parametrize("body", [SLEEPS, HOLDS, SWALLOWS], ids=["sleeps", "holds the lock", "swallows"])
def test_a_step_whose_time_is_over_ends(pod, body: str) -> None:
    begun = time.monotonic()
    made = pod(body, "restricted", "--timeout-s=3")
    status, printed = made.end(30)
    assert status == 124 and time.monotonic() - begun < 20
    assert ours(printed)[-1] == "failed: not done after 3 s (kubeflow.step_timeout_s)"
    assert not made.output.exists()


@pytest.mark.parametrize("sharing", ["restricted", "open"])
def test_sigterm_ends_a_step_and_nothing_is_handed_on(pod, sharing: str) -> None:
    made = pod(SLEEPS, sharing)
    started(made)
    begun = time.monotonic()
    made.process.send_signal(signal.SIGTERM)
    status, printed = made.end(30)
    assert status == 143 and time.monotonic() - begun < 10 and not made.output.exists()
    assert ours(printed) == ["ended by SIGTERM; nothing was handed on"]


@pytest.mark.parametrize("body", [HOLDS, SWALLOWS], ids=["holds the lock", "swallows"])
def test_sigterm_ends_a_step_that_does_not_hear_within_the_grace_period(pod, body: str) -> None:
    made = pod("guard.GRACE_S = 1.5\n" + body)
    started(made)
    begun = time.monotonic()
    made.process.send_signal(signal.SIGTERM)
    status, printed = made.end(30)
    assert status == 143 and 1.4 < time.monotonic() - begun < 15
    assert ours(printed)[-1] == "ended by SIGTERM; nothing was handed on"


def test_a_step_that_swallows_the_end_hands_nothing_on(pod) -> None:
    made = pod(GOES_ON)
    started(made)
    made.process.send_signal(signal.SIGTERM)
    status, printed = made.end(30)
    assert status == 143 and not made.output.exists(), printed


def test_a_group_that_is_ended_at_once_ends_quietly(pod) -> None:
    """Argo signals the whole process group: both processes hear it."""
    made = pod("import os\nos.setpgid(0, 0)\n" + SLEEPS, "open")
    started(made)
    os.killpg(made.process.pid, signal.SIGTERM)
    status, printed = made.end(30)
    assert status == 143 and ours(printed) == ["ended by SIGTERM; nothing was handed on"]


def test_the_grace_period_ends_before_kubernetes_kills() -> None:
    from pipeline.entrypoint import guard

    assert guard.GRACE_S <= 25  # terminationGracePeriodSeconds is 30 where nobody says otherwise


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "its process was ended by SIGKILL; most often there was too little memory"),
        (signal.SIGSEGV, "its process was ended by SIGSEGV"),
    ],
)
def test_a_step_that_the_system_ends_says_so(pod, number: signal.Signals, said: str) -> None:
    body = f"""
import os
def run(arguments, invocation, listener):
    os.kill(os.getpid(), {int(number)})
"""
    made = pod(body)
    status, printed = made.end()
    assert status == 128 + number and ours(printed)[-1].startswith(f"failed: {said}")
    assert not made.output.exists()


def test_nobody_outlives_a_waiting_process_that_is_killed(pod, tmp_path) -> None:
    """A killed pod in tests, where no container ends with it."""
    body = f"""
import os, time, pathlib
def run(arguments, invocation, listener):
    pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
    listener("Node", None)
    time.sleep(60)
"""
    made = pod(body)
    started(made)
    child = int((tmp_path / "pid").read_text())
    made.process.kill()
    made.process.wait()
    for _ in range(100):
        try:
            stat = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if stat == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the working process lives on")
