"""A server that answers as a Pushgateway does, or as it is told to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Gateway:
    """Keeps what is put; answers `answers` first, each a status with a text, then 200."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                status, text = outer.answers.pop(0) if outer.answers else (200, "")
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_GET = do_POST = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def series(self) -> dict[str, dict[str, dict[str, float]]]:
        """Zone, empty for the run, to metric to its other labels, joined, to its value; forgets what came."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for _, path, _, body in self.seen:
            group = found.setdefault(path.partition("/zone/")[2], {})
            for family in text_string_to_metric_families(body.decode()):
                for item in family.samples:
                    labels = [v for k, v in sorted(item.labels.items()) if k not in ("deployment", "zone")]
                    group.setdefault(item.name, {})[" ".join(labels)] = item.value
        self.seen.clear()
        return found

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
