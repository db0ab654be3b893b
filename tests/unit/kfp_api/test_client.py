"""What the API answers, and what becomes of it: pages, second tries, one-line errors."""

from __future__ import annotations

import pytest

from pipeline.kfp_api import experiments, runs
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.connection import connect
from pipeline.kfp_api.failures import ApiError, of_response, one_line


def test_passing_failures_of_reading_are_tried_again_with_longer_pauses(server, api, pauses):
    server.failures = [503, 502, 429]

    assert list(runs.find(api)) == []
    assert (pauses, len(server.requests)) == ([1.0, 2.0, 4.0], 4)


def test_the_fourth_failure_is_final(server, api, pauses):
    server.failures = [503] * 4

    with pytest.raises(ApiError, match=r"refused runs \(503\); the server says: upstream connect error"):
        list(runs.find(api))


def test_writing_is_never_tried_again(server, api):
    server.failures = [0, 503]

    with pytest.raises(ApiError, match=r"refused experiment e \(503\)"):
        experiments.ensure(api, "e")

    assert [request.method for request in server.requests] == ["GET", "POST"]


def test_a_refusal_is_not_tried_again(server, api, pauses):
    server.failures = [400]

    with pytest.raises(ApiError, match=r"refused runs \(400\)"):
        list(runs.find(api))

    assert not pauses


def test_all_pages_are_read(server, api):
    for number in range(5):
        experiments.ensure(api, f"e{number}")
    server.page_size = 2
    server.requests.clear()

    found = api.pages("Experiment", "list_experiments", "experiments", "experiments")

    assert [item["display_name"] for item in found] == [f"e{number}" for number in range(5)]
    assert [request.query.get("page_token") for request in server.requests] == [None, "2", "4"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (
            302,
            {"Location": "/dex/auth"},
            b"",
            r"redirects instead of answering \(302\), most often to a login",
        ),
        (
            200,
            {"Content-Type": "text/html"},
            b"<html>Log in",
            r"something other than JSON \('<html>Log in'\)",
        ),
        (200, {}, b"[]", r"answered run x with JSON of another form \(no run_id\); allowed: a KFP v2 API"),
        (200, {}, b'{"status": "ok"}', r"JSON of another form \(no run_id\)"),
        (404, {}, b"Not Found\n", r"has no KFP v2beta1 API \(404\); a KFP v1 server"),
        (404, {}, b'{"code":5, "message":"Not Found"}', r"has no KFP v2beta1 API \(404\)"),
        (404, {}, b"<html>nginx</html>", r"has no KFP v2beta1 API \(404\)"),
        (
            404,
            {},
            b'{"code":5, "message":"Run x not found."}',
            r"^run x: not found at http://.*: Run x not found",
        ),
        (403, {}, b'{"message":"User is not authorized"}', r"forbids run x \(403\).*User is not authorized"),
        (409, {}, b'{"message":"The name already exist"}', r"^run x: exists already at http"),
        (
            500,
            {},
            b'{"error_message":"broken\\nspec"}',
            r"refused run x \(500\); the server says: broken spec",
        ),
        (418, {}, b"", r"refused run x \(418\); the server says: nothing"),
        (500, {}, b'["?"]', r"the server says: \[\"\?\"\]"),
    ],
)
def test_every_other_answer_is_one_line(server, api, status, headers, body, message):
    server.answers = (status, headers, body)

    with pytest.raises(ApiError, match=message) as error:
        runs.get(api, "x")

    assert "\n" not in str(error.value)
    assert len(server.requests) == 1


def test_a_list_that_is_no_object(server, api):
    server.answers = (200, {}, b"[]")

    with pytest.raises(ApiError, match=r"answered runs with JSON of another form \(no object\)"):
        list(runs.find(api))


def test_a_redirect_is_not_followed_with_the_token(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("word")
    server.answers = (307, {"Location": f"{server.endpoint}/elsewhere"}, b"")

    with pytest.raises(ApiError, match="redirects instead of answering"):
        runs.get(Api(connect(server.endpoint, token_file=token)), "x")

    assert [request.path for request in server.requests] == ["/apis/v2beta1/runs/x"]


def test_a_server_that_hangs_up_may_have_done_it(server, api):
    server.failures = [-1]

    with pytest.raises(ApiError, match="no answer to experiment e") as error:
        api.write("Experiment", "create_experiment", "experiment e", body={"display_name": "e"})

    assert error.value.done_perhaps


@pytest.mark.parametrize(("status", "perhaps"), [(502, True), (504, True), (503, False), (400, False)])
def test_which_statuses_leave_it_open(status, perhaps):
    assert of_response("http://kfp", "x", status, b"", False).done_perhaps is perhaps


def test_foreign_text_is_printable_and_short():
    assert one_line("a\x1b[31m\n\tb  c") == "a [31m b c"
    assert one_line("x" * 400) == "x" * 299 + "…"
