"""Rows set aside: which, where and why in one file, the rows themselves in another, both in the region.

`quarantine.csv` holds no values and may be shown. `quarantine_rows.csv` holds the rows as their
source has them, under the PII policy, so that they can be mended and fed in again. A row with another
number of fields than its header cannot be put under that policy, nor searched for identifiers: where there
is a policy, where a column must not be kept, and in every restricted locale, its place and reason alone are
stored; it can be read at the source.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from components.errors import DataError, list_briefly
from components.example_gen.config import ExampleGenConfig
from components.example_gen.core.blocks import RawBlock, needed_columns
from components.example_gen.core.convert import convert_text, is_text
from components.example_gen.core.pii import apply_rule_to_text

PLACES_FILE = "quarantine.csv"
ROWS_FILE = "quarantine_rows.csv"
WITHHELD = (
    "withheld: a row that does not split into columns cannot be put under the PII policy; see the source"
)
REPEATED = "repeats a timestamp within its series"
FIELDS = "wrong number of fields"

_PLACES_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("column", pa.string()), ("reason", pa.string())]
)


class Quarantine:
    """Writes the two files as a stream and counts.

    Attributes:
      rows: Rows set aside.
      by_reason: Rows by the first reason found for each.
      first: Place of the first bad cell.
    """

    def __init__(self, folder: Path, config: ExampleGenConfig, keys: dict[str, bytes]) -> None:
        self.rows = 0
        self.by_reason: Counter[str] = Counter()
        self.first = ""
        self._config, self._keys = config, keys
        self._columns = list(needed_columns(config))
        folder.mkdir(parents=True, exist_ok=True)
        self._places = (folder / PLACES_FILE).open("wb")
        self._rows = (folder / ROWS_FILE).open("wb")
        self._places.write(b"file,row,column,reason\n")
        header = pa.table(
            {name: pa.array([], pa.string()) for name in ("file", "row", *self._columns, "text")}
        )
        self._rows.write(",".join(_quote(name) for name in header.column_names).encode() + b"\n")

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.close()
        self._rows.close()

    def add_cells(self, file: str, block: RawBlock, bad: dict[tuple[str, str], np.ndarray]) -> None:
        """Rows of a block, for each bad (column, reason) a mask. Shape [row], bool."""
        if not bad:
            return
        hit = np.concatenate([np.flatnonzero(mask) for mask in bad.values()])
        cells = np.repeat(np.arange(len(bad)), [int(mask.sum()) for mask in bad.values()])
        order = np.lexsort((cells, hit))
        hit, cells = hit[order], cells[order]
        names = pa.array([name for name, _ in bad]).take(pa.array(cells))
        reasons = pa.array([reason for _, reason in bad]).take(pa.array(cells))
        self._write_places(file, block.rows[hit], names, reasons)
        whole = np.unique(hit)
        _, first = np.unique(hit, return_index=True)
        self._count(reasons.take(pa.array(first)))
        columns = {name: values.take(pa.array(whole)) for name, values in block.columns.items()}
        self._write_rows(file, block.rows[whole], columns, None)

    def add_malformed(self, file: str, block: RawBlock, fields: int) -> None:
        """Rows of a block that have another number of fields than the header."""
        if not block.malformed:
            return
        rows = np.fromiter(block.malformed, dtype=np.int64)
        reasons = pa.array([f"{FIELDS}: {found}, expected {fields}" for found in block.malformed.values()])
        self._write_places(file, rows, pa.array([""] * len(rows)), reasons)
        self._count(pa.array([FIELDS] * len(rows)))
        # Which field is which is not known, so a rule for a column, or a column that must not be
        # kept, cannot be obeyed; and an identifier in it would be in no column that was searched.
        unsafe = bool(self._config.pii or block.ignored or self._config.refuse_identifiers)
        self._write_rows(file, rows, {}, [WITHHELD if unsafe else block.texts[row] for row in rows.tolist()])

    def add_repeated(self, files: pa.Array, rows: np.ndarray, table: pa.Table) -> None:
        """Rows whose series has one of the same time already. They are under the PII policy."""
        if not len(rows):
            return
        name = self._config.dataset.timestamp
        self._write_places(files, rows, pa.array([name] * len(rows)), pa.array([REPEATED] * len(rows)))
        self._count(pa.array([REPEATED] * len(rows)))
        columns = {column: _one(table[column]) for column in table.column_names}
        columns[name] = columns.pop("timestamp")
        self._write_rows(files, rows, columns, None, protected=True)

    def check(self, rows_read: int, place: str) -> None:
        """Fails the run where too many rows are bad, or none is left.

        Raises:
          DataError: names the counts, the commonest reasons and the first place.
        """
        allowed = self._config.max_bad_fraction
        if not self.rows or (self.rows <= allowed * rows_read and self.rows < rows_read):
            return
        reasons = list_briefly(f"{count} times {reason}" for reason, count in self.by_reason.most_common())
        raise DataError(
            f"{place}: {self.rows} of {rows_read} rows ({self.rows / rows_read:.1%}) are bad, "
            f"allowed {allowed:.1%} (max_bad_fraction): {reasons}. "
            f"First: {self.first}. Mend the source, or raise max_bad_fraction."
        )

    def _count(self, reasons: pa.Array) -> None:
        self.rows += len(reasons)
        for item in reasons.value_counts().to_pylist():
            self.by_reason[item["values"]] += item["counts"]

    def _write_places(
        self, files: str | pa.Array, rows: np.ndarray, names: pa.Array, reasons: pa.Array
    ) -> None:
        if isinstance(files, str):
            files = pa.array([files] * len(rows))
        if not self.first:
            column = f" column '{names[0]}'" if str(names[0]) else ""
            self.first = f"file {files[0]} row {rows[0]}{column} ({reasons[0]})"
        table = pa.table([files, pa.array(rows), names, reasons], schema=_PLACES_SCHEMA)
        _append(self._places, table)

    def _write_rows(
        self,
        files: str | pa.Array,
        rows: np.ndarray,
        columns: dict[str, pa.Array],
        texts: list[str] | None,
        protected: bool = False,
    ) -> None:
        if isinstance(files, str):
            files = pa.array([files] * len(rows))
        out: dict[str, Any] = {"file": files, "row": pa.array(rows)}
        rules = {rule.column: rule for rule in self._config.pii if rule.action is not None}
        for name in self._columns:
            values = _as_text(columns[name]) if name in columns else pa.nulls(len(rows), pa.string())
            if name in rules and not protected:
                values = apply_rule_to_text(rules[name], values, self._keys.get(name))
            out[name] = values
        out["text"] = pa.array(texts, pa.string()) if texts else pa.nulls(len(rows), pa.string())
        _append(self._rows, pa.table(list(out.values()), names=[f"c{number}" for number in range(len(out))]))


def _as_text(values: pa.Array) -> pa.Array:
    return convert_text(values).values if is_text(values.type) else values.cast(pa.string())


def _append(file: Any, table: pa.Table) -> None:
    stream = io.BytesIO()
    pa.csv.write_csv(table, stream, pa.csv.WriteOptions(include_header=False))
    file.write(stream.getvalue())


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
