"""A small HTTP server that keeps what it gets and fails as it is told to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Got:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpSink:
    """A server on a free port; use it in a `with`.

    Attributes:
      answers: Statuses with headers that the next requests get, first in first out; -1 hangs up, -2 says
        nothing until the server ends.
      judge: Raises ValueError, whose text is the answer (400), for a body that is not accepted.
      certificate: PEM file with key and certificate; plain HTTP without.
      got: Requests that came, refused ones too.
      taken: Those that were answered with 200.
    """

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    judge: Callable[[bytes], None] | None = None
    certificate: Path | None = None
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)

    def fail(self, *statuses: int, retry_after: str = "", body: bytes = b"No.") -> None:
        headers = {"Retry-After": retry_after} if retry_after else {}
        self.answers += [(status, headers, body) for status in statuses]

    def _judged(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            if self.judge is not None:
                self.judge(body)
        except ValueError as error:
            return 400, {}, str(error).encode()
        return 200, {}, b"ok"

    def __enter__(self) -> HttpSink:
        sink = self
        self._end = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                sink.got.append(request)
                status, headers, answer = sink.answers.pop(0) if sink.answers else sink._judged(body)
                if status < 0:
                    if status == -2:
                        sink._end.wait(10)
                    self.close_connection = True
                    return
                if status == 200:
                    sink.taken.append(request)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self._http.server_address[1]}"
