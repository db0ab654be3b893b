"""A stand-in for Flink's REST service: takes Beam's jar as Flink does, and runs the pipeline in it.

The paths and answers are those that Beam 2.59 asks for (`runners/portability/flink_uber_jar_job_server.py`).
Beam's own local runner runs the pipeline, with the workers that its environment names: no Flink is here.
"""

from __future__ import annotations

import http.server
import io
import json
import re
import threading
import zipfile
from typing import Any


class FlinkRest:
    """A server on 127.0.0.1; `jars` are those it got, `calls` what it was asked."""

    def __init__(self) -> None:
        self.jars: list[bytes] = []
        self.calls: list[str] = []
        self.failure = ""
        self._job: threading.Thread | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.calls.append(f"{self.command} {self.path}")
                text = json.dumps(outer._answer_to(self.command, self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer_to(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        if (method, path) == ("POST", "/v1/jars/upload"):
            # multipart/form-data with one file: the archive is from its first to its last signature.
            end = body.rindex(b"PK\x05\x06") + 22
            self.jars.append(body[body.index(b"PK\x03\x04") : end])
            return {"filename": "/tmp/flink-web/abc_beam.jar"}
        if re.fullmatch(r"/v1/jars/[^/]+/run", path):
            self._job = threading.Thread(target=self._run, args=(self.jars[-1],))
            self._job.start()
            return {"jobid": "f00d"}
        if path == "/v1/jobs/f00d/execution-result":
            assert self._job is not None
            self._job.join(0.2)
            return {"status": {"id": "IN_PROGRESS" if self._job.is_alive() else "COMPLETED"}}
        if path == "/v1/jobs/f00d":
            return {"state": "FAILED" if self.failure else "FINISHED"}
        if path == "/v1/jobs/f00d/exceptions":
            return {"all-exceptions": [{"timestamp": 0, "exception": self.failure}] if self.failure else []}
        return {}

    def _run(self, jar: bytes) -> None:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.portability.api import beam_runner_api_pb2
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from google.protobuf import json_format

        try:
            with zipfile.ZipFile(io.BytesIO(jar)) as archive:
                text = archive.read("BEAM-PIPELINE/pipeline/pipeline.json")
            pipeline = json_format.Parse(text, beam_runner_api_pb2.Pipeline())
            result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([]))
            result.wait_until_finish()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
