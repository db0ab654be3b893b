"""`isthmus submit`, `runs`, `watch` as processes, over TLS with a token; Ctrl-C; a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.support import kfp_api_specs, tls
from tests.support.kfp_server import KfpServer

pytestmark = pytest.mark.slow

TOKEN = "made-up-word"
SCRIPT = [
    ("PENDING", {}),
    ("RUNNING", {"root": "RUNNING", "eu-west": "RUNNING", "eu-west-train": "RUNNING"}),
    ("RUNNING", {"eu-west": "RUNNING", "eu-west-train": "FAILED"}),
    ("RUNNING", {"eu-west": "RUNNING", "eu-west-train": "FAILED", "eu-west-train#2": "RUNNING"}),
    (
        "SUCCEEDED",
        {
            "eu-west": "SUCCEEDED",
            "eu-west-train": "FAILED",
            "eu-west-train#2": "SUCCEEDED",
            "central": "SUCCEEDED",
        },
    ),
]
_COMMAND = [sys.executable, "-m", "pipeline"]


@pytest.fixture
def secured(tmp_path):
    """A server over TLS that wants a token, and the environment and options that reach it."""
    authority, certificate = tls.make(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with KfpServer(certificate=certificate, token=TOKEN) as server:
        server.store.script = SCRIPT
        reach = {"ISTHMUS_KFP_ENDPOINT": server.endpoint, "ISTHMUS_KFP_TOKEN_FILE": str(token)}
        yield server, {**os.environ, **reach}, ["--ca-file", str(authority)]


@pytest.fixture
def compiled_file(tmp_path):
    """As KFP's own compiler writes it, with the platform document after it."""
    path = tmp_path / "compiled.yaml"
    path.write_text(yaml.safe_dump_all([kfp_api_specs.compiled(), kfp_api_specs.documents()[1]]))
    return path


def _run(environment, *arguments):
    return subprocess.run(
        [*_COMMAND, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_submit_list_and_watch(secured, compiled_file):
    server, environment, options = secured
    given = ["--span", "latest", "--exchange", "s3://exchange", "--run-name", "nightly"]

    submitted = _run(environment, "submit", compiled_file, *given, "--json", *options)
    assert (submitted.returncode, submitted.stderr) == (0, "")
    run_id = json.loads(submitted.stdout)["runs"][0]["run_id"]

    listed = _run(environment, "runs", "--state", "PENDING", *options)
    assert (listed.returncode, listed.stdout.split("\t")[:3]) == (0, [run_id, "nightly", "PENDING"])

    server.failures = [0, 503]
    watched = _run(environment, "watch", run_id, "--poll", 0.1, *options)
    assert (watched.returncode, watched.stderr) == (0, "")
    lines = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in watched.stdout.splitlines()]
    assert lines.pop(0).startswith("- api https://127.0.0.1")
    assert lines == [
        "eu-west eu-west RUNNING",
        "eu-west eu-west-train RUNNING",
        "eu-west eu-west-train FAILED",
        "eu-west eu-west-train RUNNING attempt 2",
        "eu-west eu-west SUCCEEDED",
        "eu-west eu-west-train SUCCEEDED attempt 2",
        "central central SUCCEEDED",
        f"run {run_id} SUCCEEDED; eu-west SUCCEEDED, central SUCCEEDED",
    ]
    assert all(request.authorization == f"Bearer {TOKEN}" for request in server.requests)


def test_a_failed_run_ends_watch_with_3(secured, compiled_file):
    server, environment, options = secured
    server.store.script = [("RUNNING", {"eu-west": "RUNNING"}), ("FAILED", {"eu-west": "FAILED"})]

    given = ["--span", "3", "--exchange", "x", "--wait", "--poll", "0.1"]
    done = _run(environment, "submit", compiled_file, *given, *options)

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines()[-1].endswith("FAILED; eu-west FAILED")


def test_without_the_authority_nothing_is_sent(secured, compiled_file):
    server, environment, _ = secured

    done = _run(environment, "submit", compiled_file, "--span", "1", "--exchange", "x")

    assert done.returncode == 2 and "its TLS certificate does not verify" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not server.requests


def test_ctrl_c_leaves_the_run_and_says_so(secured, compiled_file):
    server, environment, options = secured
    server.store.script = [("RUNNING", {"eu-west": "RUNNING"})]
    _run(environment, "submit", compiled_file, "--span", "1", "--exchange", "x", *options)
    (run_id,) = server.store.runs
    watching = subprocess.Popen(
        [*_COMMAND, "watch", run_id, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "eu-west RUNNING" in watching.stdout.readline()

    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)

    assert watching.returncode == 130
    assert said == f"isthmus: interrupted; run {run_id} goes on: isthmus watch {run_id} looks again\n"
    assert server.store.runs[run_id]["state"] == "RUNNING"
    assert not [request.path for request in server.requests if "terminate" in request.path]


def test_a_terminal_gets_a_table(secured, compiled_file):
    server, environment, options = secured
    _run(environment, "submit", compiled_file, "--span", "1", "--exchange", "x", *options)
    (run_id,) = server.store.runs
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [*_COMMAND, "watch", run_id, "--poll", "0.1", *options],
        env={**environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    shown = _read_all(ours)

    assert watching.wait(timeout=60) == 0
    watching.stderr.close()
    assert "│ eu-west" in shown and "region" in shown
    assert f"run {run_id} SUCCEEDED; eu-west SUCCEEDED, central SUCCEEDED" in shown


def test_the_commands_stay_light(spec_file):
    code = (
        "import sys; from pipeline import cli\n"
        f"sys.argv = ['isthmus', 'submit', {str(spec_file)!r}, '--span', '1', '--exchange', 'x',"
        " '--endpoint', 'http://127.0.0.1:1']\n"
        "heavy = {'kfp', 'tfx', 'tensorflow', 'pandas', 'kubernetes'}\n"
        "print(cli._run_app(), sorted(heavy & set(sys.modules)))"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout == "2 []\n" and "connection refused" in done.stderr
    # Half a second on a machine at rest; this one may be busy.
    assert time.monotonic() - begin < 15


def _read_all(descriptor):
    shown = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            # Linux says so when the other end of a pseudo-terminal is closed.
            piece = b""
        if not piece:
            os.close(descriptor)
            return shown.decode()
        shown += piece
