"""A simulated KFP API server: plain HTTP or TLS, requests checked against KFP's own OpenAPI.

It keeps experiments, pipelines, runs and schedules in memory, lets a run's tasks advance by a script, gives
lists in pages, asks for a token where it is told to, and fails now and then. It stands in for the server's
API only: nothing is compiled or run.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support import kfp_openapi, kfp_rules
from tests.support.kfp_rules import Store
from tests.support.kfp_spec_rules import Refused


@dataclass
class Request:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str


@dataclass
class KfpServer:
    """A server on a free port of this machine; use it in a `with`.

    Attributes:
      store: What it keeps, and the rules.
      token: Bearer token that every request needs; empty for none.
      page_size: Largest page, whatever is asked for.
      failures: Statuses that the next requests get, first in first out; 0 answers as usual, -1 hangs up.
      answers: Fixed answer to everything: status, headers, body.
      certificate: PEM file with key and certificate; plain HTTP without.
      requests: Those that came.
    """

    store: Store = field(default_factory=Store)
    token: str = ""
    page_size: int = 200
    failures: list[int] = field(default_factory=list)
    answers: tuple[int, dict[str, str], bytes] | None = None
    certificate: Path | None = None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> KfpServer:
        server = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One packet for an answer: two would wait 40 ms for each other.
            wbufsize = -1
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                with lock:
                    status, headers, body = server._answer(self.command, self.path, self.headers, raw)
                if status < 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def endpoint(self) -> str:
        """The server's address."""
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self._http.server_address[1]}"

    def bodies(self, operation: str) -> list[Any]:
        """The bodies of the requests for an operation, such as `create_run`."""
        found = []
        for request in self.requests:
            known = kfp_openapi.find(request.method, request.path)
            if known and known[0].name == operation:
                found.append(request.body)
        return found

    def _answer(
        self, method: str, target: str, headers: Any, raw: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(method, parts.path, query, None, headers.get("Authorization") or "")
        self.requests.append(request)
        if self.answers is not None:
            return self.answers
        failure = self.failures.pop(0) if self.failures else 0
        if failure:
            return failure, {"Content-Type": "text/plain"}, b"upstream connect error"
        json_type = {"Content-Type": "application/json"}
        try:
            answer = self._checked(request, headers, raw)
        except Refused as error:
            # As grpc-gateway writes errors.
            words = {"error": str(error), "code": error.code, "message": str(error), "details": []}
            return error.status, json_type, json.dumps(words).encode()
        return 200, json_type, json.dumps(answer).encode()

    def _checked(self, request: Request, headers: Any, raw: bytes) -> Any:
        if self.token and request.authorization != f"Bearer {self.token}":
            raise Refused((401, 16), "Request header error: there is no user identity header.")
        known = kfp_openapi.find(request.method, request.path)
        if known is None:
            raise Refused((404, 5), "Not Found")
        operation, values = known
        try:
            kfp_openapi.check_query(operation, request.query)
            if operation.files:
                request.body = _file_of_form(headers, raw, operation.files[0])
            elif operation.body:
                request.body = json.loads(raw)
                kfp_openapi.check(request.body, operation.body)
            elif raw:
                raise kfp_openapi.Invalid("body: none expected")
        except (kfp_openapi.Invalid, ValueError) as error:
            raise Refused((400, 3), str(error)) from None
        answer = self._handlers(request, values)[operation.name]()
        # The simulation's own answers must be KFP's too.
        kfp_openapi.check(answer, operation.answer, "answer")
        return answer

    def _handlers(self, request: Request, values: dict[str, str]) -> dict[str, Callable[[], Any]]:
        store, body, query = self.store, request.body, request.query
        run, schedule = values.get("run_id", ""), values.get("recurring_run_id", "")
        pipeline, version = values.get("pipeline_id", ""), values.get("pipeline_version_id", "")
        return {
            "get_healthz": lambda: {"multi_user": store.multi_user},
            "create_experiment": lambda: store.create_experiment(body),
            "list_experiments": lambda: self._page(store.list_experiments(query), query, "experiments"),
            "create_pipeline": lambda: store.create_pipeline(body),
            "list_pipelines": lambda: self._page(list(store.pipelines.values()), query, "pipelines"),
            "upload_pipeline_version": lambda: store.upload_version(query, body),
            "list_pipeline_versions": lambda: self._page(
                store.list_versions(pipeline), query, "pipeline_versions"
            ),
            "get_pipeline_version": lambda: store.get(store.versions, version, "PipelineVersion"),
            "create_run": lambda: store.create_run(body),
            "get_run": lambda: store.get_run(run),
            "list_runs": lambda: self._page(store.list_runs(query), query, "runs"),
            "terminate_run": lambda: store.terminate_run(run),
            "retry_run": lambda: store.retry_run(run),
            "create_recurring_run": lambda: store.create_schedule(body),
            "list_recurring_runs": lambda: self._page(store.list_schedules(query), query, "recurringRuns"),
            "enable_recurring_run": lambda: store.switch_schedule(schedule, True),
            "disable_recurring_run": lambda: store.switch_schedule(schedule, False),
            "delete_recurring_run": lambda: [store.schedules.pop(schedule), {}][1],
        }

    def _page(self, items: list[Any], query: dict[str, str], key: str) -> dict[str, Any]:
        found = kfp_rules.filtered(items, query)
        begin = int(query.get("page_token") or 0)
        end = begin + min(int(query.get("page_size") or 20), self.page_size)
        page: dict[str, Any] = {key: found[begin:end], "total_size": len(found)}
        if end < len(found):
            page["next_page_token"] = str(end)
        return page


def _file_of_form(headers: Any, raw: bytes, name: str) -> bytes:
    """The file of a multipart form."""
    kind = headers.get("Content-Type") or ""
    if not kind.startswith("multipart/form-data"):
        raise ValueError("request Content-Type isn't multipart/form-data")
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + raw)
    for part in message.get_payload():
        if re.search(rf'name="{name}"', part["Content-Disposition"] or ""):
            found: bytes = part.get_payload(decode=True)
            return found
    raise ValueError(f"http: no such file {name}")
