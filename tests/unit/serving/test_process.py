"""`isthmus serve` as a process: what it does not start with, its end, and the scores of `isthmus predict`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import requests

from components.drift.core.building import build_profile
from components.drift.core.merging import empty
from components.drift.core.planning import plan_profile
from components.drift.core.profile_file import write_profile
from components.drift.rules import rules_of
from components.release.keys import ensure_key_pair
from components.release.revocation import new_revocation, write_revocation
from components.release.storage import open_store
from components.skew_monitor.config import ServedRowsConfig, SkewMonitorConfig
from components.skew_monitor.core import Crossed
from components.skew_monitor.served import compare_served
from pipeline.config.load import load_deployment
from pipeline.predicting import apply_detector
from tests.unit.prophet_evaluator.conftest import DATASET, make_table
from tests.unit.serving.conftest import START_DAY
from tests.unit.serving.test_server import tensors

pytestmark = pytest.mark.slow

ISTHMUS = [str(Path(sys.executable).with_name("isthmus"))]


def start(world, *arguments):
    """A server on a free port, and its address once it listens."""
    command = [*ISTHMUS, "serve", "--model-dir", str(world.version), "--trusted-key", str(world.key)]
    command += ["--host", "127.0.0.1", "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stderr:
        lines.append(line)
        if '"port":' in line:
            return process, f"http://127.0.0.1:{json.loads(line[line.index('{') :])['port']}", lines
    raise AssertionError("".join(lines))


def refused(world, *arguments):
    """Exit status and stderr of a server that does not start."""
    command = [*ISTHMUS, "serve", "--model-dir", str(world.version), "--port", "0", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_it_does_not_start_with_what_is_not_vouched_for(world, tmp_path):
    stranger = tmp_path / "stranger.pem"
    ensure_key_pair(stranger)
    for arguments, words in (
        ((), "--trusted-key: none given"),
        (("--trusted-key", f"{stranger}.pub"), "not checked; trusted: "),
        (("--trusted-key", world.key, "--content-digest", "0" * 64), "expected 000000000000"),
        (("--trusted-key", stranger), "found a private key"),
    ):
        status, error = refused(world, *arguments)
        assert (status, error.count("\n")) == (2, 1) and words in error, error
    path = world.version / "model" / "detector.json"
    path.write_text(path.read_text().replace('"threshold"', '"threshold" ', 1))
    status, error = refused(world, "--trusted-key", world.key)
    assert (status, error.count("\n")) == (2, 1) and "missing or altered" in error
    assert "Traceback" not in error


def test_it_does_not_start_on_a_revoked_release_and_says_when_it_cannot_look(world):
    keys = [f"--locale-key={name}={world.root}/keys/{name}.pem.pub" for name in ("us-east", "eu-west")]
    entry = world.releases[1]
    note = new_revocation(
        "eu-west", 3, 1, entry["release_id"], entry["digest"], entry["manifest_sha256"], "a sensor lied"
    )
    key = ensure_key_pair(world.root / "keys" / "eu-west.pem")
    exchange = world.root / "exchange"
    write_revocation(open_store(str(exchange)), "eu-west/span-3", note, key)
    status, error = refused(world, "--trusted-key", world.key, "--exchange", exchange, *keys)
    assert status == 2 and "was revoked (a sensor lied). It is not served." in error
    shutil.rmtree(exchange)
    exchange.write_text("no folder")
    process, address, _ = start(world, "--exchange", str(exchange), *keys)
    try:
        assert requests.get(f"{address}/v2/health/ready", timeout=10).status_code == 200
    finally:
        process.kill()
        process.communicate()


def test_the_scores_are_those_of_isthmus_predict(world, new_rows, tmp_path):
    """The same rows through a file and through the server: equal to the last bit."""
    pacsv.write_csv(new_rows, tmp_path / "rows.csv")
    out = tmp_path / "scores.parquet"
    apply_detector(load_deployment(world.config), str(tmp_path / "rows.csv"), out, locale="eu-west")
    scores = pq.read_table(out)
    process, address, _ = start(world, "--name", "fleet")
    try:
        names = [name for name in scores.column_names if name not in ("timestamp", "device")]
        # Rows of both devices, mixed: the answer keeps the request's order.
        order = np.lexsort((new_rows["device"].to_numpy(), new_rows["timestamp"].to_numpy()))
        body = tensors(
            new_rows.take(order),
            parameters={"locale": "eu-west"},
            outputs=[{"name": name} for name in names],
        )
        answer = requests.post(f"{address}/v2/models/fleet/infer", json=body, timeout=60).json()
    finally:
        process.terminate()
        process.communicate(timeout=60)
    back = np.argsort(order)
    for output in answer["outputs"]:
        found = np.array(output["data"])[back]
        assert (found == scores[output["name"]].to_numpy()).all(), output["name"]
    assert {"interval_score", "classifier_score", "temp_upper"} <= {
        item["name"] for item in answer["outputs"]
    }
    assert 0 < sum(scores["classifier_flag"].to_pylist()) < scores.num_rows


def test_sigterm_turns_readiness_off_finishes_what_is_in_hand_and_ends_with_0(world, new_rows):
    process, address, lines = start(world, "--drain-s", "1.5")
    body = json.dumps(tensors(new_rows)).encode()
    answers = []
    senders = [
        threading.Thread(
            target=lambda: answers.append(
                requests.post(f"{address}/v2/models/detector/infer", body, timeout=60)
            )
        )
        for _ in range(5)
    ]
    for sender in senders:
        sender.start()
    in_hand = re.compile(r"isthmus_requests_in_hand (\d)\.0")
    for _ in range(100):  # all of them are at the server
        text = requests.get(f"{address}/metrics", timeout=10).text
        if int(in_hand.search(text).group(1)) + text.count('infer",status') >= 1:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    ready = requests.get(f"{address}/v2/health/ready", timeout=10)
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    late = requests.post(f"{address}/v2/models/detector/infer", body, timeout=60)  # the gateway's last ones
    assert late.status_code == 200
    for sender in senders:
        sender.join()
    assert [answer.status_code for answer in answers] == [200] * 5
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0 and "ended" in rest
    assert "Traceback" not in "".join(lines) + rest
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/v2/health/live", timeout=10)


def test_what_it_was_asked_is_recorded_and_shows_the_feature_that_is_not_as_in_training(world, tmp_path):
    training, asked = (
        make_table(seed, days=6, phase=0.4, start_day=day).drop(["label", "kind"])
        for seed, day in ((2, START_DAY), (5, START_DAY + 8))
    )
    at = asked.schema.get_field_index("temp")
    hotter = asked.set_column(at, "temp", pc.add(asked["temp"], 8.0))
    write_profile(tmp_path / "plan", empty(plan_profile([training], DATASET)))
    options = ["--record", str(tmp_path / "record"), "--record-plan", str(tmp_path / "plan")]
    process, address, _ = start(world, *options, "--record-s", "1", "--drain-s", "0")
    body = tensors(hotter, parameters={"locale": "eu-west"})
    for _ in range(2):  # the second time as context
        answer = requests.post(f"{address}/v2/models/detector/infer", json=body, timeout=60)
        assert answer.status_code == 200
    refused = requests.post(f"{address}/v2/models/detector/infer", json={"inputs": []}, timeout=60)
    assert refused.status_code == 400
    for _ in range(200):  # beside the requests, so a moment later
        text = requests.get(f"{address}/metrics", timeout=10).text
        if f"isthmus_rows_recorded {float(asked.num_rows)}" in text:
            break
        time.sleep(0.05)
    process.terminate()
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0 and f"recorded {asked.num_rows} rows; not recorded: " in rest
    assert f'isthmus_rows_not_recorded{{reason="repeated"}} {float(asked.num_rows)}' in text

    served = ServedRowsConfig(folder=str(tmp_path / "record"))
    config = SkewMonitorConfig(dataset=DATASET, locales={"eu-west": "open"}, served_rows=served)
    crossed = [Crossed("eu-west", 3, build_profile([training], DATASET, plan_profile([training], DATASET)))]
    rules = rules_of(config.monitoring, DATASET, {}, seed=0, row_rate=False)
    found = compare_served(config, served, crossed, {"eu-west": training}, rules)
    verdicts = {item.feature: item.verdict for item in found}
    assert verdicts.pop("temp") == "ALERT" and verdicts.pop("(all)") == "ALERT"  # the rows as a whole, too
    assert verdicts == {"load": "OK", "on": "OK", "mode": "OK"}


def test_a_port_that_is_taken_is_named_in_a_line(world):
    process, address, _ = start(world)
    port = address.rsplit(":", 1)[1]
    try:
        command = [*ISTHMUS, "serve", "--model-dir", str(world.version), "--trusted-key", str(world.key)]
        done = subprocess.run(
            [*command, "--host", "127.0.0.1", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ,
        )
    finally:
        process.kill()
        process.communicate()
    assert done.returncode == 2 and f"--port {port}: " in done.stderr and "Traceback" not in done.stderr
