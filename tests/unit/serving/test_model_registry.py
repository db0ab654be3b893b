"""Registering: what is there stays, what is missing is made, what differs is refused, in a line."""

from __future__ import annotations

import pytest

from components.errors import ConfigError, DataError
from components.secrets import SecretRef
from pipeline.serving.model_registry import ModelRegistry, Registration
from tests.unit.serving.model_registry_api import BODIES, Server

WANTED = Registration(
    model="detector",
    version="3",
    uri="s3://registry/detector/3",
    properties={"content_digest": "a" * 64, "f1": 0.75, "epsilon.eu-west": 2.5, "locales": "eu-west,us-east"},
    content_digest="a" * 64,
    description="Isthmus detector",
    namespace="isthmus-central",
)


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


def client(server, **arguments):
    return ModelRegistry(server.url, backoff_s=0, **arguments)


def test_the_first_time_all_three_are_made_with_what_is_known_of_them(server):
    done = client(server).register(WANTED)
    assert done == {
        "model_id": "1",
        "version_id": "2",
        "artifact_id": "3",
        "made": ["registered_model", "model_version", "model_artifact"],
    }
    (version,), (artifact,) = server.stored["model_version"], server.stored["model_artifact"]
    assert (version["name"], version["registeredModelId"], version["state"]) == ("3", "1", "LIVE")
    assert version["customProperties"]["f1"] == {"metadataType": "MetadataDoubleValue", "double_value": 0.75}
    assert version["customProperties"]["locales"]["string_value"] == "eu-west,us-east"
    assert artifact["_parent"] == "2" and artifact["uri"] == WANTED.uri
    assert (artifact["modelFormatName"], artifact["modelSourceGroup"]) == (
        "isthmus-detector",
        "isthmus-central",
    )


def test_again_changes_nothing_and_sends_nothing(server):
    first = client(server).register(WANTED)
    before = len(server.requests)
    again = client(server).register(WANTED)
    assert again == {**first, "made": []}
    assert server.requests[before:] == ["GET registered_model", "GET model_version", "GET model_artifact"]


def test_an_existing_model_takes_another_version_and_keeps_the_properties_of_others(server):
    client(server).register(WANTED)
    (version,) = server.stored["model_version"]
    version["customProperties"]["reviewed"] = {"metadataType": "MetadataBoolValue", "bool_value": True}
    more = {**WANTED.properties, "f1": 0.8}
    done = client(server).register(Registration(**{**vars(WANTED), "properties": more, "uri": "s3://b/3"}))
    assert done["made"] == []
    assert version["customProperties"]["f1"]["double_value"] == 0.8
    assert version["customProperties"]["reviewed"]["bool_value"] is True
    assert server.stored["model_artifact"][0]["uri"] == "s3://b/3"
    done = client(server).register(Registration(**{**vars(WANTED), "version": "4"}))
    assert done["made"] == ["model_version", "model_artifact"] and done["model_id"] == "1"


def test_a_version_with_another_content_is_refused(server):
    client(server).register(WANTED)
    other = {**WANTED.properties, "content_digest": "b" * 64}
    with pytest.raises(
        DataError, match=r"detector 3 is registered with content aaaaaaaaaaaa, not bbbbbbbbbbbb"
    ):
        client(server).register(
            Registration(**{**vars(WANTED), "properties": other, "content_digest": "b" * 64})
        )
    assert server.stored["model_version"][0]["customProperties"]["content_digest"]["string_value"] == "a" * 64


def test_a_server_of_the_newer_api_is_spoken_to_in_it(server):
    server.api = "v1"
    assert len(client(server, api="v1").register(WANTED)["made"]) == 3
    with pytest.raises(DataError, match=r"registered_models: HTTP 404: no such path$"):
        client(server).register(WANTED)
    with pytest.raises(ConfigError, match=r"--api v2: not known; allowed: v1alpha3, v1"):
        client(server, api="v2")


@pytest.mark.parametrize("kind", ["registered_model", "model_version", "model_artifact"])
def test_who_is_beaten_to_it_takes_what_is_there_then(server, kind):
    """Two registrations at once: the second gets 409, and finds what the first made."""
    server.racing.add(kind)
    done = client(server).register(WANTED)
    assert kind not in done["made"] and len(done["made"]) == 2
    assert all(len(items) == 1 for items in server.stored.values())


def test_a_server_that_is_busy_is_asked_again_and_not_for_ever(server):
    server.script = [503, 429, 502]
    assert client(server).register(WANTED)["version_id"] == "2"
    server.script = [503] * 5
    with pytest.raises(DataError, match=r"GET registered_model: HTTP 503: scripted$"):
        client(server).register(WANTED)
    assert server.script == []


def test_the_token_is_sent_and_never_shown(server, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cr3t")
    server.token = "s3cr3t"
    assert client(server, token=SecretRef(env="TOKEN")).register(WANTED)["made"]
    for token in ("wrong", None):
        if token:
            monkeypatch.setenv("TOKEN", token)
        with pytest.raises(ConfigError, match=r"HTTP 401; the token is not accepted there$") as refusal:
            client(server, token=SecretRef(env="TOKEN") if token else None).register(WANTED)
        assert "wrong" not in str(refusal.value)
    monkeypatch.setenv("TOKEN", "two words")
    with pytest.raises(ConfigError, match="environment variable TOKEN: holds no token"):
        client(server, token=SecretRef(env="TOKEN"))


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("registry:8080", "no address"),
        ("https://", "no address"),
        ("https://user:pw@host", "no address"),
        ("http://registry.example.com", "a token over http"),
    ],
)
def test_an_endpoint_that_would_not_do_is_refused_before_anything_is_sent(endpoint, message, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cr3t")
    with pytest.raises(ConfigError, match=message) as refusal:
        ModelRegistry(endpoint, SecretRef(env="TOKEN"))
    assert "pw" not in str(refusal.value) and "s3cr3t" not in str(refusal.value)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "model-registry-service.kubeflow.svc.cluster.local"]
)
def test_a_token_may_go_in_the_clear_inside_the_cluster(host, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cr3t")
    assert ModelRegistry(f"http://{host}:8080/", SecretRef(env="TOKEN")).endpoint == f"http://{host}:8080"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((400, {"code": "400", "message": "bad\nname"}), r"GET registered_model: HTTP 400: bad\\nname$"),
        ((200, b"<html>"), "GET registered_model: HTTP 200$"),
        ((200, {"name": "x"}), "registered_model without an id in the answer; is this a model registry"),
        ((302, {}), "GET registered_model: HTTP 302$"),
        ((500, b""), "GET registered_model: HTTP 500$"),
    ],
)
def test_what_the_server_says_comes_back_in_a_line(server, answer, message):
    server.script = [answer]
    with pytest.raises(DataError, match=message) as refusal:
        client(server).register(WANTED)
    assert "\n" not in str(refusal.value)


def test_a_server_that_is_not_there_is_named(server):
    server.close()
    with pytest.raises(DataError, match=r"127.0.0.1:\d+: cannot be reached \(ConnectionError\)"):
        client(server).register(WANTED)


def test_the_stand_in_refuses_what_the_specification_does_not_have(server):
    """Else the tests above would say nothing of the real server."""
    _, form = BODIES["POST", "model_versions"]
    good = {"name": "3", "registeredModelId": "1"}
    assert not list(form.iter_errors(good))
    bad = {"double_value": "0.5", "metadataType": "MetadataDoubleValue"}
    for change in ({"name": ""}, {"registeredModelId": "x"}, {"more": 1}, {"customProperties": {"f1": bad}}):
        assert list(form.iter_errors({**good, **change})), change
