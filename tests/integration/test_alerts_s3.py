"""State and outbox of the alerts in a bucket: a real server over HTTP."""

from __future__ import annotations

import threading

import pytest

from components.errors import BusyError
from pipeline.alerts.clock import stopped
from pipeline.alerts.outgoing import Outcome
from pipeline.alerts.place import open_place
from tests.support.alerting import NOW, World, finding, run_of

pytestmark = pytest.mark.e2e  # a server and many requests: seconds, not milliseconds


@pytest.fixture
def world(tmp_path, s3):
    found = World(tmp_path)
    options = s3.options().model_dump(mode="json", exclude_none=True)
    found.section |= {"state": f"{s3.uri}/alerts", "state_storage_options": options}
    return found


def test_the_outbox_and_the_state_may_be_in_a_bucket(world):
    world.section["delivery"] = {"patience_s": 0}
    world.outcomes = [Outcome("later", "HTTP 503")]
    assert world.dispatch(run_of(finding())).waiting == 1
    world.later(hours=1)
    assert world.flush().sent == 1
    world.dispatch(run_of(finding(span=4, verdict="OK"), run_id="b", span=4))
    assert world.kinds() == [("alert", "hook"), ("resolved", "hook")]
    place = open_place(world.deployment())
    assert place.names("outbox") == place.names("failed") == []
    assert not (world.folder / "root").exists()


def test_of_many_that_want_a_lock_in_a_bucket_one_has_it_at_a_time(world):
    place = open_place(world.deployment())
    entered = []

    def work() -> None:
        clock = stopped(NOW)
        for _ in range(4):
            try:
                with place.locked("state", clock, wait_s=0.0, lease_s=60.0):
                    found = place.read("count.json") or 0
                    place.write("count.json", found + 1)
                    entered.append(1)
            except BusyError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Two that were inside at once would have counted one step together.
    assert place.read("count.json") == len(entered) >= 1
