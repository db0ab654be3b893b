"""Keeps a profile of the rows that the detector is asked about: never a row, never on a request's path.

A request's table is put into a bounded queue and its answer goes on; a thread of its own adds what is queued
to one profile a locale. Where the queue is full, rows are counted as not recorded, by reason, in `/metrics`
and in the record.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from components.dataset import DatasetConfig
from components.drift.core.arrow_columns import SeriesCodes, times_us
from components.drift.core.building import build_profile
from components.drift.core.looking import is_numeric
from components.drift.core.merging import merge, select
from components.drift.core.profile import Profile, ProfilePlan
from components.drift.core.profile_file import read_profile
from components.drift.served_rows import Record, plan_sha256, write_generation
from components.errors import ConfigError, IsthmusError, list_briefly

LOG = logging.getLogger("isthmus.serving")
#: Why a row is not in the profile. `full`: the queue was. `repeated`: not later than a row of its series that
#: is in it already, since requests send a series' context again and again. `ahead`: dated more than a day
#: ahead of this machine. `old`: of a bucket before the newest `MAX_BUCKETS`. `failed`: it could not be added.
Reason = Literal["full", "repeated", "ahead", "old", "failed"]
REASONS: Final[tuple[Reason, ...]] = ("full", "repeated", "ahead", "old", "failed")
#: Per locale; 42 days of hours. What a client dates must not fill the memory.
MAX_BUCKETS = 1_024
#: Series whose last time is kept; past it all are forgotten, and their next context is recorded again.
MAX_SERIES = 100_000
_AHEAD_US = 86_400_000_000
#: Rows that are added to the profile together.
_BATCH_ROWS = 32_768
_END = None


@dataclass(frozen=True)
class Settings:
    """How it is recorded.

    Attributes:
      folder: Where to.
      every_s: Time between two writings, in seconds: what a killed process loses at most.
      queued_rows: Rows that may wait for the thread.
      queued_requests: Requests that may.
    """

    folder: Path
    every_s: float = 60.0
    queued_rows: int = 200_000
    queued_requests: int = 256


def read_plan(folder: str, dataset: DatasetConfig) -> ProfilePlan:
    """The bins of the training rows, as SkewMonitor wrote them (`serving-plan` of its `monitor`).

    Args:
      folder: Of the profile whose plan it is.
      dataset: Of the detector, which must have the plan's features in its kinds and its interval.

    Raises:
      ConfigError: no folder is given, or the plan is of other columns.
      DataError: it cannot be read.
    """
    if not folder:
        raise ConfigError("--record: needs --record-plan, the bins of the training rows")
    plan = read_profile(Path(folder)).plan
    kinds = {feature.name: is_numeric(feature) for feature in dataset.features}
    strange = [f.name for f in plan.features if kinds.get(f.name) != (f.kind == "numeric")]
    if strange:
        raise ConfigError(
            f"--record-plan {folder}: feature {list_briefly(strange)} is not of this detector or kind"
        )
    if plan.interval_s != dataset.interval_s:
        raise ConfigError(
            f"--record-plan {folder}: rows every {plan.interval_s:g} s; the detector's come every "
            f"{dataset.interval_s:g} s"
        )
    return plan


class Recorder:
    """One process's record. `offer` never waits and never raises; everything else is the thread's."""

    def __init__(
        self,
        settings: Settings,
        plan: ProfilePlan,
        dataset: DatasetConfig,
        locales: Collection[str],
        content_digest: str,
    ) -> None:
        """Makes the process's folder and a record of nothing, so that a place that takes none is known.

        Args:
          settings: Where and how.
          plan: The bins; those of the training rows.
          dataset: Names the columns.
          locales: That the detector knows; rows of others are kept together under no name.
          content_digest: Of the version that is served.

        Raises:
          ConfigError: the folder cannot be written.
        """
        self._settings, self._plan, self._dataset = settings, plan, dataset
        self._locales, self._content_digest = frozenset(locales), content_digest
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        self._place = settings.folder / f"{now}-{os.getpid()}-{os.urandom(4).hex()}"
        self._generation = 0
        self._profiles: dict[str, Profile] = {}
        self._held: dict[str, list[pa.Table]] = {}
        self._held_rows = 0
        self._forget()
        self._lock = threading.Lock()  # guards the three numbers below
        self._queued = 0
        self._not_recorded: Counter[str] = Counter()
        self._recorded = 0
        self._queue: queue.Queue[tuple[pa.Table, str] | None] = queue.Queue(settings.queued_requests)
        try:
            self._write()
        except OSError as error:
            raise ConfigError(f"--record {settings.folder}: cannot be written ({error.strerror})") from None
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self) -> None:
        """Begins to take in what is offered."""
        self._thread.start()

    def offer(self, table: pa.Table, locale: str) -> None:
        """Hands over the rows of a request, or counts them where there is no room."""
        with self._lock:
            if self._queued + table.num_rows <= self._settings.queued_rows:
                try:
                    self._queue.put_nowait((table, locale))
                    self._queued += table.num_rows
                    return
                except queue.Full:
                    pass
            self._not_recorded["full"] += table.num_rows

    def close(self, timeout_s: float = 8.0) -> None:
        """Adds what still waits, writes, and ends; says what was not recorded.

        Args:
          timeout_s: How long it may take; past it, what was not written is lost, and that is said.
        """
        end = time.monotonic() + timeout_s
        try:
            self._queue.put(_END, timeout=timeout_s)
            self._thread.join(max(0.0, end - time.monotonic()))
        except queue.Full:
            pass
        recorded, lost = self.counts()
        words = ", ".join(f"{rows} {reason}" for reason, rows in lost.items() if rows) or "none"
        LOG.info("recorded %d rows; not recorded: %s", recorded, words)
        if self._thread.is_alive():
            LOG.error("the record was not finished in %.0f s: its last rows are lost", timeout_s)
        elif not recorded and not any(lost.values()):
            shutil.rmtree(self._place, ignore_errors=True)  # a server that was asked nothing

    def counts(self) -> tuple[int, dict[Reason, int]]:
        """Rows in the record since the process began, and those not, by reason."""
        with self._lock:
            return self._recorded, {reason: self._not_recorded[reason] for reason in REASONS}

    def _run(self) -> None:
        due = time.monotonic() + self._settings.every_s
        going = True
        while going:
            try:
                item = self._queue.get(timeout=max(0.0, due - time.monotonic()))
                going = item is not _END
                if item is not None:
                    self._take(*item)
            except queue.Empty:
                pass
            if not going or time.monotonic() >= due:
                self._fold()
                self._save()
                due = time.monotonic() + self._settings.every_s

    def _take(self, table: pa.Table, locale: str) -> None:
        """Rows that are later than those of their series so far wait for the next batch."""
        with self._lock:
            self._queued -= table.num_rows
        name = locale if locale in self._locales else ""
        try:
            fresh = self._fresh(table, name)
        except Exception as error:  # a fault of ours must end neither the thread nor the server
            self._failed(table.num_rows, error)
            return
        if fresh.num_rows:
            self._held.setdefault(name, []).append(fresh)
            self._held_rows += fresh.num_rows
        if self._held_rows >= _BATCH_ROWS:
            self._fold()

    def _fresh(self, table: pa.Table, name: str) -> pa.Table:
        times = times_us(table, self._dataset)
        ahead = times > time.time() * 1e6 + _AHEAD_US
        codes = self._series.setdefault(name, SeriesCodes(self._dataset.series))
        series = codes.of(table)
        last = self._last.get(name, np.zeros(0))
        last = np.concatenate([last, np.full(len(codes) - len(last), -np.inf)])
        repeated = (times <= last[series]) & ~ahead
        kept = ~(ahead | repeated)
        bucket = times // (self._plan.bucket_s * 1_000_000)
        newest = np.unique(bucket[kept])[-MAX_BUCKETS:]
        old = kept & (bucket < newest[0]) if len(newest) else np.zeros(len(kept), bool)
        kept &= ~old
        np.maximum.at(last, series[kept], times[kept])
        self._last[name] = last
        with self._lock:
            self._not_recorded["ahead"] += int(ahead.sum())
            self._not_recorded["repeated"] += int(repeated.sum())
            self._not_recorded["old"] += int(old.sum())
        if sum(map(len, self._series.values())) > MAX_SERIES:
            self._forget()
        return table if kept.all() else table.filter(pa.array(kept))

    def _forget(self) -> None:
        self._series: dict[str, SeriesCodes] = {}
        self._last: dict[str, np.ndarray] = {}

    def _fold(self) -> None:
        """Adds what is held to the profiles."""
        held, self._held, self._held_rows = self._held, {}, 0
        for name, tables in held.items():
            rows = sum(table.num_rows for table in tables)
            try:
                self._add(name, build_profile(tables, self._dataset, self._plan))
            except Exception as error:  # as above
                self._failed(rows, error)

    def _add(self, name: str, new: Profile) -> None:
        before = self._profiles.get(name)
        whole = new if before is None else merge([before, new])
        first = whole.bucket[-MAX_BUCKETS:][0]
        old = int(new.rows[new.bucket < first].sum())
        self._profiles[name] = select(whole, whole.bucket >= first)
        with self._lock:
            self._recorded += int(new.rows.sum()) - old
            self._not_recorded["old"] += old

    def _failed(self, rows: int, error: Exception) -> None:
        # The text of an exception can quote a row.
        LOG.error("%d rows not recorded: %s", rows, type(error).__name__)
        with self._lock:
            self._not_recorded["failed"] += rows

    def _save(self) -> None:
        """Where it cannot be written, the rows stay in memory for the next time."""
        try:
            self._write()
        except (OSError, IsthmusError) as error:
            LOG.error("record not written: %s", type(error).__name__)

    def _write(self) -> None:
        recorded, lost = self.counts()
        names = list(self._profiles)
        record = Record(
            plan_sha256=plan_sha256(self._plan),
            content_digest=self._content_digest,
            written=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
            locales={str(index): name for index, name in enumerate(names)},
            recorded=recorded,
            not_recorded={reason: rows for reason, rows in lost.items() if rows},
        )
        self._generation += 1
        write_generation(self._place, self._generation, record, [self._profiles[name] for name in names])
