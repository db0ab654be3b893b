"""The HTTP server: routes, limits, readiness, and a log that repeats nothing of a request."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading

import pyarrow as pa
import pytest
from aiohttp.test_utils import TestClient, TestServer

from components.prophet_evaluator.core.storage import predict
from components.release.keys import load_public_key
from pipeline.serving.app import log_to_stderr, make_app
from pipeline.serving.loading import load_served
from pipeline.serving.predictor import LOG, Limits, Predictor

pytestmark = pytest.mark.heavy

INFER = "/v2/models/detector/infer"


@pytest.fixture(scope="session")
def served(shared_world):
    return load_served(str(shared_world.version), [load_public_key(str(shared_world.key))])


@pytest.fixture
def predictor(served):
    return Predictor("detector", served, Limits(max_bytes=4 << 20, max_rows=1000, waiting=1, read_s=0.5))


def ask(predictor, *requests, during=None):
    """Sends requests at once; gives status and parsed answer of each."""

    async def one(client, method, path, **arguments):
        async with client.request(method, path, **arguments) as response:
            body = await response.read()
            kind = response.content_type
            return response.status, json.loads(body) if kind == "application/json" else body.decode()

    async def scenario():
        async with TestClient(TestServer(make_app(predictor))) as client:
            answers = asyncio.gather(*(one(client, *item[:2], **item[2]) for item in requests))
            if during is not None:
                await during(client)
            return await answers

    return asyncio.run(scenario())


def get(predictor, path):
    ((status, body),) = ask(predictor, ("GET", path, {}))
    return status, body


def post(predictor, path, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    ((status, answer),) = ask(predictor, ("POST", path, {"data": data}))
    return status, answer


def tensors(table, **more):
    kinds = {"timestamp": "INT64", "device": "BYTES", "temp": "FP32", "load": "INT64", "on": "INT64"}
    return {
        "inputs": [
            {
                "name": name,
                "shape": [table.num_rows],
                "datatype": kinds.get(name, "BYTES"),
                "data": table[name].to_pylist(),
            }
            for name in table.column_names
        ],
        **more,
    }


def test_health_and_metadata_of_both_protocols(predictor):
    assert get(predictor, "/v2/health/live") == get(predictor, "/") == (200, {"live": True})
    assert get(predictor, "/v2/health/ready") == (200, {"ready": True})
    ready = (200, {"name": "detector", "ready": True})
    for path in ("/v1/models/detector", "/v2/models/detector/ready", "/v2/models/detector/versions/1/ready"):
        assert get(predictor, path) == ready
    assert get(predictor, "/v1/models") == (200, {"models": ["detector"]})
    assert get(predictor, "/v2")[1]["extensions"] == []
    status, found = get(predictor, "/v2/models/detector")
    assert (status, found["versions"]) == (200, ["1"])
    assert [item["name"] for item in found["outputs"]][:4] == [
        "interval_score",
        "interval_flag",
        "classifier_score",
        "classifier_flag",
    ]


def test_both_protocols_answer_what_the_detector_says(predictor, served, new_rows):
    rows = new_rows.slice(0, 200)
    expected = predict(served.detector, rows, "eu-west")
    status, second = post(predictor, INFER, tensors(rows, id="r1", parameters={"locale": "eu-west"}))
    assert (status, second["model_version"], second["id"]) == (200, "1", "r1")
    for output in second["outputs"]:
        assert output["shape"] == [200]
        assert output["data"] == expected[output["name"]].to_pylist()
    status, first = post(
        predictor,
        "/v1/models/detector:predict",
        {"instances": rows.to_pylist(), "parameters": {"locale": "eu-west"}},
    )
    names = [output["name"] for output in second["outputs"]]
    assert status == 200 and first["predictions"] == expected.select(names).to_pylist()
    # Another locale is another model: the parameter reaches it.
    _, other = post(predictor, INFER, tensors(rows, parameters={"locale": "us-east"}))
    assert other["outputs"] != second["outputs"]


def test_outputs_can_be_chosen_and_numbers_that_are_unknown_are_null(predictor, served, new_rows):
    rows = new_rows.slice(0, 40)
    body = tensors(rows, outputs=[{"name": "temp_yhat"}, {"name": "interval_score"}])
    body["inputs"][2]["data"][3:20] = [None] * 17
    temp = pa.array(body["inputs"][2]["data"], pa.float32())
    expected = predict(served.detector, rows.set_column(2, "temp", temp), "")
    status, answer = post(predictor, INFER, body)
    assert status == 200 and [output["name"] for output in answer["outputs"]] == [
        "temp_yhat",
        "interval_score",
    ]
    assert answer["outputs"][0]["datatype"] == "FP64"
    scores = answer["outputs"][1]["data"]
    assert scores == expected["interval_score"].to_pylist() and scores[12] is None and scores[0] is not None


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/other", 404, "no model of that name; there is detector"),
        ("POST", "/v2/models/other/infer", 404, "no model of that name; there is detector"),
        ("POST", "/v2/models/detector/versions/7/infer", 404, "no such version; there is 1"),
        ("GET", "/v2/models/detector/infer", 405, "Method Not Allowed"),
        ("GET", "/secret", 404, "Not Found"),
        ("POST", INFER, 400, "the body is not JSON"),
    ],
)
def test_what_is_not_there_is_answered_in_json(predictor, method, path, status, words):
    ((found, answer),) = ask(predictor, (method, path, {"data": b"{" if method == "POST" else None}))
    assert found == status and words in answer["error"] and "\n" not in answer["error"]


def test_bodies_and_rows_are_bounded(predictor, new_rows):
    status, answer = post(predictor, INFER, b" " * (5 << 20))
    assert (status, answer) == (413, {"error": "the body is larger than 4194304 bytes"})
    big = post(predictor, INFER, tensors(new_rows.slice(0, 768).take(list(range(768)) * 2)))
    assert big == (400, {"error": "1536 rows; allowed: 1 to 1000 in one request"})


def test_a_compressed_body_is_bounded_by_what_it_unpacks_to(predictor, new_rows):
    def packed(body):
        return ("POST", INFER, {"data": body, "headers": {"Content-Encoding": "gzip"}})

    good = gzip.compress(json.dumps(tensors(new_rows.slice(0, 20))).encode())
    answers = ask(predictor, packed(good))
    answers += ask(predictor, packed(gzip.compress(b" " * (200 << 20))))
    answers += ask(predictor, packed(b"no gzip"))
    assert [status for status, _ in answers] == [200, 413, 400]
    assert answers[2][1]["error"] == "the body is cut short, or not compressed as its header says"


def test_the_binary_extension_is_refused_by_its_name(predictor):
    binary = {"data": b"{}\x00", "headers": {"Inference-Header-Content-Length": "2"}}
    ((status, answer),) = ask(predictor, ("POST", INFER, binary))
    assert status == 400 and answer["error"].startswith(
        "binary tensor data is not spoken here; allowed: JSON"
    )


def test_a_client_that_sends_slowly_loses_its_place(predictor):
    async def drip():
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    ((status, answer),) = ask(predictor, ("POST", INFER, {"data": drip()}))
    assert (status, answer) == (408, {"error": "the body came too slowly"})
    predictor.acquire()  # the place is free again
    predictor.release()


def test_one_is_judged_one_waits_and_the_third_is_told_to_come_back(predictor, new_rows, monkeypatch):
    gate = threading.Event()
    judge = Predictor.judge

    def slowly(self, request):
        assert gate.wait(10)
        return judge(self, request)

    monkeypatch.setattr(Predictor, "judge", slowly)
    body = json.dumps(tensors(new_rows.slice(0, 20))).encode()

    async def until_refused(client):
        for _ in range(200):
            await asyncio.sleep(0.02)
            if predictor._in_hand == 2:
                break
        async with client.post(INFER, data=body) as response:
            refused.append((response.status, response.headers["Retry-After"], await response.json()))
        async with client.get("/v2/health/live") as response:
            refused.append(response.status)  # who is busy is alive
        gate.set()

    refused: list = []
    answers = ask(predictor, *[("POST", INFER, {"data": body})] * 2, during=until_refused)
    assert [status for status, _ in answers] == [200, 200] and answers[0] == answers[1]
    assert refused == [(503, "1", {"error": "too many requests wait; come back"}), 200]
    assert predictor._in_hand == 0


def test_who_drains_is_not_ready_and_still_answers(predictor, new_rows):
    predictor.draining = True
    assert get(predictor, "/v2/health/ready") == (503, {"ready": False})
    assert get(predictor, "/v2/models/detector/ready")[0] == get(predictor, "/v1/models/detector")[0] == 503
    assert get(predictor, "/v2/health/live")[0] == 200
    assert post(predictor, INFER, tensors(new_rows.slice(0, 20)))[0] == 200


def test_a_detector_that_was_revoked_is_not_ready_and_answers_nothing(served, new_rows):
    class List:
        words = ""

        def first(self, releases):
            assert releases == served.releases
            return self.words

    revocations = List()
    limits = Limits(check_s=0.01)
    predictor = Predictor("detector", served, limits, revocations)
    predictor.check_revocations()
    assert post(predictor, INFER, tensors(new_rows.slice(0, 20)))[0] == 200
    revocations.words = "eu/span-3/1-x was revoked (a sensor lied)"

    async def watch():
        task = asyncio.ensure_future(predictor.watch_revocations())
        while predictor.ready:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(watch(), 10))
    revocations.words = ""
    predictor.check_revocations()  # a note that is taken out again heals nothing
    status, answer = post(predictor, INFER, tensors(new_rows.slice(0, 20)))
    assert status == 503 and "was revoked (a sensor lied)" in answer["error"]
    assert get(predictor, "/v2/health/ready")[0] == 503


def test_a_list_that_cannot_be_read_changes_nothing_and_is_logged(served, caplog, monkeypatch):
    from components.errors import DataError

    class List:
        def first(self, releases):
            raise DataError("cannot list exchange: denied")

    monkeypatch.setattr(LOG, "propagate", True)
    predictor = Predictor("detector", served, Limits(), List())
    with caplog.at_level(logging.WARNING, "isthmus.serving"):
        predictor.check_revocations()
    assert predictor.ready and "revocations not read: cannot list exchange: denied" in caplog.text


def test_a_fault_of_ours_and_the_log_repeat_nothing_of_the_request(predictor, new_rows, monkeypatch, capsys):
    def fail(self, request):
        raise KeyError("s3cr3t")

    log_to_stderr()
    body = tensors(new_rows.slice(0, 20), id="s3cr3t")
    post(predictor, f"{INFER}?row=s3cr3t", body)
    get(predictor, "/s3cr3t")
    monkeypatch.setattr(Predictor, "judge", fail)
    assert post(predictor, INFER, body) == (500, {"error": "our fault; the server's log says where"})
    log = capsys.readouterr().err
    assert "our fault: KeyError at" in log and "test_server.py" in log and "s3cr3t" not in log
    assert "s3cr3t" not in get(predictor, "/metrics")[1]


def test_the_metrics_count_requests_and_rows(predictor, new_rows):
    post(predictor, INFER, tensors(new_rows.slice(0, 20)))
    post(predictor, INFER, b"{")
    status, text = get(predictor, "/metrics")
    assert status == 200
    assert f'isthmus_requests_total{{route="{"/v2/models/{name}/infer"}",status="200"}} 1.0' in text
    assert f'isthmus_requests_total{{route="{"/v2/models/{name}/infer"}",status="400"}} 1.0' in text
    assert "isthmus_rows_judged_total 20.0" in text
    assert f'content_digest="{predictor.served.content_digest}",model="detector",version="1"' in text
