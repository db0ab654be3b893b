"""A real S3 server on this machine, and one that misbehaves in front of it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import werkzeug.serving

from components.release.options import StorageOptions
from components.release.storage import Store, open_store
from components.secrets import SecretRef


@dataclass
class S3:
    """A bucket of its own on a server on 127.0.0.1.

    Attributes:
      endpoint: The server's address.
      uri: The bucket's.
    """

    endpoint: str
    uri: str

    def options(self, **change) -> StorageOptions:
        base = {
            "endpoint_url": self.endpoint,
            "region": "eu-west-1",
            "access_key_id": SecretRef(env="TEST_S3_KEY"),
            "secret_access_key": SecretRef(env="TEST_S3_SECRET"),
            "connect_timeout_s": 5,
            "read_timeout_s": 20,
            "attempts": 1,
        }
        return StorageOptions(**{**base, **change})

    def open(self, what: str = "exchange", **change) -> Store:
        return open_store(f"{self.uri}/{what}", options=self.options(**change))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """moto's server: S3 over HTTP, in memory, in threads of this process.

    Writes are served one at a time. moto falls over (500) where two write the same key at once, and it
    checks the condition of a conditional write and writes in two steps, so that two writers can both be
    told that they were first. S3 does neither ("Amazon S3 conditional writes", AWS's user guide).
    """
    from moto.moto_server import werkzeug_app as backend

    application = backend.DomainDispatcherApplication(backend.create_backend_app)
    writing = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        alone = writing if environ["REQUEST_METHOD"] == "PUT" else contextlib.nullcontext()
        with alone:
            return [*application(environ, start_response)]

    server = werkzeug.serving.make_server(
        "127.0.0.1", 0, serve, threaded=True, request_handler=backend.MotoRequestHandler
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def s3(s3_server, monkeypatch) -> S3:
    """A new bucket; credentials come from the environment, by reference."""
    monkeypatch.setenv("TEST_S3_KEY", "testing")
    monkeypatch.setenv("TEST_S3_SECRET", "testing-secret")
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    made = S3(s3_server, f"s3://{bucket}")
    made.open().fs.mkdir(bucket)
    return made


_HOP_HEADERS = ("transfer-encoding", "connection", "content-length", "date", "server")
Fault = str  # "", "500", "silent", "cut before", "cut after", "cut in body", "no conditions"


@dataclass
class FaultyServer:
    """A proxy that does what `plan` says to the n-th request (from 1).

    "500": answers 500 without asking the server. "silent": takes the request and does not answer for
    `silence_s`. "cut before": hangs up before the server has seen the request. "cut after": hangs up
    when the server has done what was asked, so that the answer is lost. "cut in body": sends half of
    the answer's body, or takes half of the request's, and hangs up. "no conditions": answers a
    conditional write as a server that has none (501).
    """

    endpoint: str
    plan: Callable[[int, str, str], Fault] = field(default=lambda number, method, path: "")
    silence_s: float = 1.0
    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self, plan: Callable[[int, str, str], Fault] | None = None) -> None:
        self.plan = plan or (lambda number, method, path: "")
        self.requests.clear()

    def fail_at(self, point: int, fault: Fault) -> None:
        """The fault at the n-th request and at every repetition of it.

        The HTTP client itself repeats a request once where a kept connection was closed.
        """
        broken: list[tuple[str, str]] = []

        def plan(number: int, method: str, path: str) -> Fault:
            if number == point:
                broken.append((method, path))
            return fault if (method, path) in broken else ""

        self.reset(plan)


def _handler(faulty: FaultyServer, server: str) -> type[BaseHTTPRequestHandler]:
    address = urllib.parse.urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "transfer-encoding",
                    "connection",
                    "content-length",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Content-Length", headers.get("Content-Length", "0"))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            with faulty.lock:
                conditional = self.headers.get("If-None-Match") is not None
                faulty.requests.append((self.command, self.path, conditional))
                number = len(faulty.requests)
                fault = faulty.plan(number, self.command, self.path)
            if fault == "cut in body" and length:
                self.rfile.read(length // 2)
                return self.hang_up()
            body = self.rfile.read(length)
            if fault == "cut before":
                return self.hang_up()
            if fault == "silent":
                time.sleep(faulty.silence_s)
                return self.hang_up()
            if fault == "500" or (fault == "no conditions" and conditional):
                status, code = (500, "InternalError") if fault == "500" else (501, "NotImplemented")
                text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                return self.answer(status, text, {"Content-Type": "application/xml"})
            upstream = http.client.HTTPConnection(address, timeout=20)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            upstream.request(self.command, self.path, body, headers)
            found = upstream.getresponse()
            content = found.read()
            upstream.close()
            if fault == "cut after":
                return self.hang_up()
            if fault == "cut in body" and len(content) > 1:
                self.send_response(found.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                return self.hang_up()
            return self.answer(found.status, content, dict(found.getheaders()))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    return Handler


@pytest.fixture
def faulty_s3(s3_server) -> Iterator[FaultyServer]:
    """A proxy before the S3 server, on 127.0.0.1; it does nothing until it is given a plan."""
    faulty = FaultyServer("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(faulty, s3_server))
    server.daemon_threads = True
    faulty.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield faulty
    server.shutdown()
    server.server_close()
