"""A locale's rows as ExampleGen reads them: the same formats, PII rules, refusals; nothing is kept.

Two refusals become remarks instead, because a profile is where their remedy is looked for: an identifier that
no rule covers, and a cadence other than the configured one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from components.errors import DataError
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core import pii
from components.example_gen.core.cadence import Cadence
from components.example_gen.core.keys import Keys
from components.example_gen.core.quarantine import Quarantine
from components.example_gen.core.rows import RowGroup, Tally
from components.example_gen.core.spans import resolve_sources
from components.example_gen.core.splits import assign_rows

#: Rows that are looked at: of more, the latest of each series.
MAX_ROWS = 2_000_000


@dataclass(frozen=True)
class SpanRows:
    """Rows of a span, sorted by series, then time.

    Attributes:
      span: Its number.
      table: In the form of decision 1, under the PII rules.
      series: Number of each row's series. Shape [row], ascending.
      train: Which rows the synthesizer would be trained on. Shape [row].
      early: Which rows would end its training early, the split `eval`. Shape [row].
      rows_read: Rows found.
      rows_bad: Rows that were set aside.
      ignored: Columns of the source that the data set does not name.
      remarks: What ExampleGen would refuse, in its words.
    """

    span: int
    table: pa.Table
    series: np.ndarray
    train: np.ndarray
    early: np.ndarray
    rows_read: int
    rows_bad: int
    ignored: tuple[str, ...]
    remarks: tuple[str, ...]


def read_span(
    config: ExampleGenConfig,
    folder: Path,
    *,
    locale: str,
    span: int | Literal["latest"],
    seed: int,
    max_rows: int = MAX_ROWS,
) -> SpanRows:
    """Reads a span's rows.

    Args:
      config: What is read, and how.
      folder: The locale's own; gets a hidden folder for rows beyond `memory_budget_mb`, which goes again.
      locale: For messages.
      span: Its number, or `latest`.
      seed: Of the splits.
      max_rows: That are looked at.

    Raises:
      ConfigError, DataError: as ExampleGen, but for the two refusals that become remarks.
    """
    # What is set aside keeps the rules of a restricted locale: no text that nothing was searched in.
    strict, config = config, config.model_copy(update={"refuse_identifiers": False})
    number, resolved, _ = resolve_sources([source.pattern for source in config.sources], span)
    place = f"locale={locale} span={number}"
    keys = pii.read_keys(config.pii)
    tally = Tally(config, keys, place)
    with (
        _folder(folder) as own,
        Quarantine(own, strict, keys) as quarantine,
        RowGroup(tally, own) as rows,
    ):
        for source, files in zip(config.sources, resolved, strict=True):
            rows.read(source, files, quarantine)
        kept = rows.sort(quarantine)
        quarantine.check(tally.rows_read, place)
        if not kept:
            raise DataError(f"{place}: the source has no rows. Check the path and the span.")
        cadence, remarks = Cadence(config.dataset.interval_s), []
        pieces: list[Keys] = []
        for piece in rows.keys:
            cadence.add(piece.series, piece.timestamp)
            pieces.append(piece)
        try:
            cadence.require(place)
        except DataError as error:
            remarks.append(str(error))
        fractions = list(config.splits.fractions())
        split = assign_rows(pieces, config.splits, config.dataset.interval_s, seed).of(0, kept)
        series = np.concatenate([piece.series for piece in pieces])
        order = np.concatenate([np.asarray(piece.order) for piece in pieces])
        chosen = _latest(series, max_rows)
        train, early = (
            split[chosen] == fractions.index(name) if name in fractions else np.zeros(len(chosen), bool)
            for name in ("train", "eval")
        )
        return SpanRows(
            span=number,
            table=rows.take(order[chosen]).combine_chunks(),
            series=series[chosen].astype(np.int64),
            train=train,
            early=early,
            rows_read=tally.rows_read,
            rows_bad=quarantine.rows,
            ignored=tuple(sorted(tally.dropped)),
            remarks=tuple(remarks),
        )


@contextlib.contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """A folder of the locale for its rows, and afterwards no trace of it."""
    made = [path for path in (parent, *parent.parents) if not path.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=".profile-") as name:
            yield Path(name)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # somebody else uses it by now
                path.rmdir()


def _latest(series: np.ndarray, most: int) -> np.ndarray:
    """Places of the last rows of each series, so many in all. `series`: shape [row], ascending."""
    if len(series) <= most:
        return np.arange(len(series))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(series)) + 1])
    sizes = np.diff(np.append(starts, len(series)))
    number = np.repeat(np.arange(len(sizes)), sizes)
    from_end = np.repeat(starts + sizes, sizes) - np.arange(len(series))
    kept = np.maximum(sizes * most // len(series), 1)
    return np.flatnonzero(from_end <= kept[number])
