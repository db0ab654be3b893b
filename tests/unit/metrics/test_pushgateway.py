"""A push to a server that answers as a Pushgateway does, or does not. The real one: tests/unit/kubeflow."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError, DataError
from pipeline.config.metrics import PushgatewaySection
from pipeline.metrics.pushgateway import grouping_path, push
from pipeline.metrics.render import render
from pipeline.metrics.samples import Group, Sample
from tests.support import tls
from tests.support.gateway import Gateway

ZONE = Group("fleet", "eu-west", (Sample("isthmus_zone_success", (), 1),))
RUN = Group("fleet", "", (Sample("isthmus_run_exit_status", (), 0),))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.close()


def section(gateway: Gateway, **more: Any) -> PushgatewaySection:
    return PushgatewaySection.model_validate({"url": gateway.url, "timeout_s": 5} | more)


def test_each_group_is_replaced_at_its_own_key(gateway: Gateway) -> None:
    push(section(gateway, job="nightly"), [RUN, ZONE])
    assert [(method, path) for method, path, _, _ in gateway.seen] == [
        ("PUT", "/metrics/job/nightly/deployment/fleet"),
        ("PUT", "/metrics/job/nightly/deployment/fleet/zone/eu-west"),
    ]
    assert [body for *_, body in gateway.seen] == [render([RUN]), render([ZONE])]
    headers = gateway.seen[0][2]
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "Authorization" not in headers


@pytest.mark.parametrize("name", ["a/b", "über uns", "..", "", "a b", "x" * 40 + "/?#%"])
def test_any_name_is_a_path(name: str) -> None:
    path = grouping_path("isthmus", Group(name, "eu", ()))
    parts = path.removeprefix("/metrics/").split("/")
    assert parts[:2] == ["job", "isthmus"] and parts[2] == "deployment@base64" and parts[4:] == ["zone", "eu"]
    text = parts[3]
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() == name
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")


def test_a_busy_gateway_is_asked_again_and_not_for_ever(gateway: Gateway) -> None:
    gateway.answers = [(503, ""), (429, ""), (502, "")]
    push(section(gateway), [ZONE], backoff_s=0.001)
    assert [status for status, *_ in gateway.seen] == ["PUT"] * 4
    gateway.answers = [(503, "full\nup \x1b[31m")] * 9
    with pytest.raises(DataError, match=r"^pushgateway 127\.0\.0\.1:\d+: group 'eu-west': HTTP 503: full up"):
        push(section(gateway, attempts=2), [ZONE], backoff_s=0.001)
    assert len(gateway.seen) == 6


def test_what_the_gateway_says_comes_back_in_one_line(gateway: Gateway) -> None:
    gateway.answers = [(400, "pushed metrics are invalid\nor \x1b[31minconsistent")]
    with pytest.raises(DataError) as caught:
        push(section(gateway), [RUN])
    assert "group 'run': HTTP 400: pushed metrics are invalid" in str(caught.value)
    assert str(caught.value).isprintable() and len(gateway.seen) == 1


def test_a_redirect_is_not_followed(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_TOKEN", "t0p-secret")
    gateway.answers = [(302, "")]
    with pytest.raises(DataError, match="HTTP 302"):
        push(section(gateway, token={"env": "PUSH_TOKEN"}), [ZONE])
    assert len(gateway.seen) == 1


def test_credentials_are_sent_and_never_shown(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH_SECRET", "t0p-secret:ü")
    push(section(gateway, username="isthmus", password={"env": "PUSH_SECRET"}), [ZONE])
    sent = gateway.seen[-1][2]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "isthmus:t0p-secret:ü"
    monkeypatch.setenv("PUSH_SECRET", "t0p-secret")
    push(section(gateway, token={"env": "PUSH_SECRET"}), [ZONE])
    assert gateway.seen[-1][2]["Authorization"] == "Bearer t0p-secret"
    for status in (401, 403, 400):
        gateway.answers = [(status, "no")]
        with pytest.raises(DataError) as caught:
            push(section(gateway, token={"env": "PUSH_SECRET"}), [ZONE])
        assert "t0p" not in str(caught.value)
    monkeypatch.setenv("PUSH_SECRET", "t0p\nsecret")
    with pytest.raises(ConfigError, match="PUSH_SECRET: holds more than one line") as refused:
        push(section(gateway, token={"env": "PUSH_SECRET"}), [ZONE])
    assert "t0p" not in str(refused.value)


def test_neither_a_proxy_nor_a_netrc_of_the_machine_is_used(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    push(section(gateway), [ZONE])
    assert "Authorization" not in gateway.seen[-1][2]


def test_a_gateway_that_is_not_there_is_named(gateway: Gateway) -> None:
    there = section(gateway, attempts=2)
    gateway.close()
    with pytest.raises(
        DataError, match=r"^pushgateway 127\.0\.0\.1:\d+: cannot be reached \(ConnectionError\)"
    ):
        push(there, [ZONE], backoff_s=0.001)


def test_a_gateway_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient = PushgatewaySection(url=url, timeout_s=0.1, attempts=1)
        with pytest.raises(DataError, match=r"cannot be reached \((ConnectionError|Timeout)\) in 1 attempts"):
            push(patient, [ZONE], backoff_s=0.001)


def test_the_certificate_is_checked(gateway: Gateway, tmp_path: Path) -> None:
    authority, server = tls.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    gateway.server.socket = context.wrap_socket(gateway.server.socket, server_side=True)
    url = gateway.url.replace("http:", "https:")
    with pytest.raises(DataError, match=r"cannot be reached \(SSLError\)"):
        push(section(gateway, url=url, attempts=1), [ZONE], backoff_s=0.001)
    assert gateway.seen == []
    push(section(gateway, url=url, ca_file=str(authority)), [ZONE])
    assert [path for _, path, *_ in gateway.seen] == ["/metrics/job/isthmus/deployment/fleet/zone/eu-west"]
