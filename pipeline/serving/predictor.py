"""The detector at work: one request is judged at a time, a few wait, the rest is told to come back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from components.errors import DataError, IsthmusError
from components.prophet_evaluator.core.storage import predict
from pipeline.serving import protocol
from pipeline.serving.loading import Served
from pipeline.serving.recording import REASONS, Recorder
from pipeline.serving.revocation import RevocationList
from pipeline.serving.rows import to_table

LOG = logging.getLogger("isthmus.serving")


@dataclass(frozen=True)
class Limits:
    """What one process takes on.

    Attributes:
      max_bytes: Of a request's body.
      max_rows: Of a request.
      waiting: Requests that may wait for the one that is judged; one more is answered 503.
      read_s: How long a client may take to send its body, in seconds.
      check_s: Time between two looks at the revocations, in seconds.
      drain_s: Time between readiness off and the listening socket closed, in seconds: so long the gateway
        may take to learn of it.
      finish_s: How long requests in hand may take after that, in seconds.
    """

    max_bytes: int = 32 << 20
    max_rows: int = 100_000
    waiting: int = 8
    read_s: float = 30.0
    check_s: float = 300.0
    drain_s: float = 5.0
    finish_s: float = 60.0


class Busy(Exception):
    """More requests wait than may."""


class Metrics:
    """Counters for `/metrics`, in a registry of their own: nothing of the process, nothing of a row."""

    def __init__(self, name: str, served: Served) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "isthmus_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.rows = Counter("isthmus_rows_judged", "Rows judged.", registry=self.registry)
        self.seconds = Histogram(
            "isthmus_judge_seconds",
            "From the body's last byte to the answer, without waiting.",
            registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.in_hand = Gauge("isthmus_requests_in_hand", "Judged or waiting now.", registry=self.registry)
        self.checked = Gauge(
            "isthmus_revocations_checked_timestamp_seconds",
            "When the revocations were last read; 0: never.",
            registry=self.registry,
        )
        info = Gauge(
            "isthmus_model_info",
            "The version that is served.",
            ("model", "version", "content_digest"),
            registry=self.registry,
        )
        info.labels(name, str(served.version), served.content_digest).set(1)

    def follow(self, recorder: Recorder) -> None:
        """Shows what is recorded, and what is not; read when it is asked for."""
        recorded = Gauge("isthmus_rows_recorded", "Rows in the record.", registry=self.registry)
        recorded.set_function(lambda: recorder.counts()[0])
        lost = Gauge(
            "isthmus_rows_not_recorded",
            "Rows asked about that are not in it.",
            ("reason",),
            registry=self.registry,
        )
        for reason in REASONS:
            lost.labels(reason).set_function(lambda reason=reason: recorder.counts()[1][reason])  # type: ignore[misc]


class Predictor:
    """State and work of the server.

    Attributes:
      name: Under which the detector is served.
      served: The detector.
      limits: What is taken on.
      metrics: Counters.
      draining: The process was asked to end.
      revoked: Why the detector must not be used any more; empty while it may.
    """

    def __init__(
        self,
        name: str,
        served: Served,
        limits: Limits,
        revocations: RevocationList | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name, self.served, self.limits = name, served, limits
        self.metrics = Metrics(name, served)
        self._recorder = recorder
        if recorder is not None:
            self.metrics.follow(recorder)
        self.draining = False
        self.revoked = ""
        self._revocations = revocations
        self._in_hand = 0
        # One thread: NumPy, Arrow and scikit-learn leave the interpreter's lock where it counts, and a
        # second request beside the first would only make both slower. More load takes more replicas.
        self._judge = ThreadPoolExecutor(1, "judge")

    @property
    def ready(self) -> bool:
        """Whether new requests should come here."""
        return not (self.draining or self.revoked)

    def acquire(self) -> None:
        """Takes a place before the body is read.

        Raises:
          Busy: as many as may wait do.
        """
        if self._in_hand > self.limits.waiting:
            raise Busy
        self._in_hand += 1
        self.metrics.in_hand.set(self._in_hand)

    def release(self) -> None:
        """Gives the place back."""
        self._in_hand -= 1
        self.metrics.in_hand.set(self._in_hand)

    async def answer(self, body: bytes, version: int) -> bytes:
        """Judges a request of protocol version 1 or 2, in the order of its rows.

        Raises:
          DataError: it is refused; the message names column, rule and row number, and no value.
        """
        work: Callable[[], bytes] = lambda: self._answer(body, version)  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._judge, work)

    def _answer(self, body: bytes, version: int) -> bytes:
        begin = time.perf_counter()
        parse = protocol.parse_v1 if version == 1 else protocol.parse_v2
        request = parse(body, self.limits.max_rows)
        scores = self.judge(request)
        if version == 1:
            found = protocol.answer_v1(scores)
        else:
            found = protocol.answer_v2(scores, request, self.name, self.served.version)
        answer = protocol.to_json(found)
        self.metrics.rows.inc(request.rows)
        self.metrics.seconds.observe(time.perf_counter() - begin)
        return answer

    def judge(self, request: protocol.Request) -> pa.Table:
        """Scores and flags, one row per row."""
        detector = self.served.detector
        table = to_table(request.columns, detector.config.dataset)
        scores = predict(detector, table, request.locale)
        if self._recorder is not None:
            self._recorder.offer(table, request.locale)
        return scores

    def metadata(self) -> dict[str, object]:
        """V2's model metadata."""
        detector = self.served.detector
        return protocol.metadata_v2(
            detector.config.dataset, self.name, self.served.version, detector.classifier is not None
        )

    def check_revocations(self) -> None:
        """Looks once; where the list cannot be read, what was known stays.

        A detector that is revoked stays so: a note that someone takes out of the exchange does not heal it.
        """
        if self._revocations is None or self.revoked:
            return
        try:
            self.revoked = self._revocations.first(self.served.releases)
        except DataError as error:
            LOG.warning("revocations not read: %s", error)
            return
        self.metrics.checked.set(time.time())
        if self.revoked:
            LOG.error("not served any more: %s", self.revoked)

    async def watch_revocations(self) -> None:
        """Looks again and again, beside the requests."""
        while True:
            await asyncio.sleep(self.limits.check_s)
            try:
                await asyncio.get_running_loop().run_in_executor(None, self.check_revocations)
            except IsthmusError as error:
                LOG.error("revocations not read: %s", error)
