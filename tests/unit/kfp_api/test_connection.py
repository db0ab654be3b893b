"""Address, token and certificates: checked before anything is sent, and sent as they should be."""

from __future__ import annotations

import socket

import pytest

from components.errors import ConfigError
from pipeline.kfp_api import connection, runs
from pipeline.kfp_api.client import Api
from pipeline.kfp_api.connection import connect
from pipeline.kfp_api.failures import ApiError
from tests.support import tls
from tests.support.kfp_server import KfpServer

TOKEN = "made-up-word"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (None, "--endpoint: missing, and ISTHMUS_KFP_ENDPOINT is not set; allowed: http"),
        ("localhost:8888", "--endpoint localhost:8888: not an address"),
        ("ftp://kfp", "not an address"),
        ("http://", "not an address"),
        ("http://kfp:port", "not an address"),
        ("http://kfp:99999", "not an address"),
        ("https://kfp/pipeline/#/runs", "a page of the UI"),
        ("https://kfp?run=1", "a page of the UI"),
    ],
)
def test_another_address_is_refused(endpoint, message):
    with pytest.raises(ConfigError, match=message):
        connect(endpoint)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="holds a user or a password") as error:
        connect("https://me:word-of-mine@kfp")

    assert "word-of-mine" not in str(error.value)


def test_address_and_token_come_from_the_environment(monkeypatch, token_file):
    monkeypatch.setenv("ISTHMUS_KFP_ENDPOINT", "https://kfp.example/pipeline/")
    monkeypatch.setenv("ISTHMUS_KFP_TOKEN_FILE", str(token_file))

    found = connect(None)

    assert (found.endpoint, found.token()) == ("https://kfp.example/pipeline", TOKEN)


def test_what_is_given_goes_before_the_environment(monkeypatch, token_file, tmp_path):
    monkeypatch.setenv("ISTHMUS_KFP_ENDPOINT", "https://other")
    monkeypatch.setenv("ISTHMUS_KFP_TOKEN_FILE", str(tmp_path / "none"))

    found = connect("https://kfp", token_file=token_file)

    assert (found.endpoint, found.token_file) == ("https://kfp", token_file)


def test_a_token_variable_goes_before_a_file_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ISTHMUS_KFP_TOKEN_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("MY_TOKEN", TOKEN)

    assert connect("https://kfp", token_variable="MY_TOKEN").token() == TOKEN


def test_two_sources_of_a_token_are_refused(token_file):
    with pytest.raises(ConfigError, match="--token-file and --token-env: both given"):
        connect("https://kfp", token_file=token_file, token_variable="MY_TOKEN")


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "wörd"])
def test_a_file_without_a_token_is_refused_and_not_repeated(token_file, text):
    token_file.write_text(text)

    with pytest.raises(ConfigError, match=r"token: holds no token; allowed: one word of ASCII") as error:
        connect("https://kfp", token_file=token_file)

    assert "wörd" not in str(error.value) and "two" not in str(error.value)


def test_a_token_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none: token file cannot be read \(No such file"):
        connect("https://kfp", token_file=tmp_path / "none")


@pytest.mark.parametrize(
    ("endpoint", "used"),
    [
        ("http://ml-pipeline.kubeflow.svc:8888", True),
        ("http://ml-pipeline.kubeflow.svc.cluster.local:8888", True),
        ("https://kfp.example", False),
        ("https://evil.svc.example", False),
        ("http://localhost:8888", False),
    ],
)
def test_a_pods_own_token_goes_to_the_cluster_only(monkeypatch, token_file, endpoint, used):
    monkeypatch.setattr(connection, "POD_TOKEN_FILE", token_file)

    assert connect(endpoint).has_token is used


@pytest.mark.parametrize("endpoint", ["http://kfp.example", "http://10.0.0.1:8888", "http://kfp"])
def test_a_token_does_not_travel_in_the_clear_unless_said(token_file, endpoint):
    with pytest.raises(ConfigError, match="a token would travel in the clear; allowed: https://"):
        connect(endpoint, token_file=token_file)

    assert connect(endpoint, token_file=token_file, insecure=True).has_token


@pytest.mark.parametrize("endpoint", ["http://localhost:8888", "http://127.0.0.1:1", "http://[::1]:1"])
def test_it_may_on_this_machine(token_file, endpoint):
    assert connect(endpoint, token_file=token_file).has_token


def test_a_ca_file_without_certificates_is_refused(token_file, tmp_path):
    with pytest.raises(ConfigError, match=r"--ca-file .*token: no certificates in PEM form"):
        connect("https://kfp", ca_file=token_file)
    with pytest.raises(ConfigError, match=r"--ca-file .*none: no such file"):
        connect("https://kfp", ca_file=tmp_path / "none")


def test_the_token_is_sent_and_read_anew_for_every_request(token_file):
    with KfpServer(token=TOKEN) as server:
        api = Api(connect(server.endpoint, token_file=token_file))
        assert list(runs.find(api)) == []
        token_file.write_text("renewed")
        server.token = "renewed"

        assert list(runs.find(api)) == []

    assert [request.authorization for request in server.requests] == [f"Bearer {TOKEN}", "Bearer renewed"]


def test_a_missing_and_a_wrong_token_are_told_apart(token_file):
    with KfpServer(token="another") as server:
        with pytest.raises(ApiError, match=r"wants a token \(401\); allowed: --token-file FILE"):
            list(runs.find(Api(connect(server.endpoint))))
        with pytest.raises(ApiError, match=r"does not accept the token \(401\)") as error:
            list(runs.find(Api(connect(server.endpoint, token_file=token_file))))

    assert TOKEN not in str(error.value)


def test_a_server_of_our_own_authority_is_believed(tmp_path):
    authority, certificate = tls.make(tmp_path)
    with KfpServer(certificate=certificate) as server:
        assert list(runs.find(Api(connect(server.endpoint, ca_file=authority)))) == []


def test_another_authority_is_not_believed_unless_said(tmp_path):
    _, certificate = tls.make(tmp_path)
    with KfpServer(certificate=certificate) as server:
        with pytest.raises(
            ApiError, match=r"certificate does not verify \(.+\); allowed: --ca-file"
        ) as error:
            list(runs.find(Api(connect(server.endpoint))))
        assert not server.requests and "\n" not in str(error.value)

        assert list(runs.find(Api(connect(server.endpoint, insecure=True)))) == []


def test_a_certificate_for_another_address_is_not_believed(tmp_path):
    authority, certificate = tls.make(tmp_path, address="127.0.0.2")
    with (
        KfpServer(certificate=certificate) as server,
        pytest.raises(ApiError, match=r"TLS certificate is another's \(.*127.0.0.2"),
    ):
        list(runs.find(Api(connect(server.endpoint, ca_file=authority))))


def test_tls_towards_a_plain_server_is_said(server):
    with pytest.raises(ApiError, match="speaks no TLS there; allowed: an http:// address"):
        list(runs.find(Api(connect(server.endpoint.replace("http:", "https:")))))


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ApiError, match="connection refused; is the address right") as error:
        list(runs.find(Api(connect(f"http://127.0.0.1:{port}"), sleep=_never)))

    assert error.value.passing and not error.value.done_perhaps


def test_no_such_host():
    with pytest.raises(ApiError, match="no such host; allowed: the address of a KFP API"):
        list(runs.find(Api(connect("http://no-such-host.invalid"))))


def test_a_server_that_says_nothing_is_left_after_the_time_limit():
    # The system takes the connection; nobody reads what comes.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = connection.Connection(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=(1.0, 0.2))

        with pytest.raises(ApiError, match="no answer in time to run x") as error:
            Api(found).read("Run", "get_run", "run x", patient=False, run_id="x")

    assert error.value.passing and error.value.done_perhaps


def _never(seconds):
    raise AssertionError(f"slept {seconds} s")
