"""Searches bytes for marks that were planted in a restricted locale, in every form in which they might leave.

A mark is a text or a number that stands nowhere else in the world. Files are opened (gzip, zip, SQLite,
Parquet, TFRecord by way of gzip) and searched as text in several encodings and as numbers in binary and
decimal form. What is encrypted, or changed beyond rounding, is not found: the audit shows leaks of what was
planted, it proves nothing about what was not.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import html
import io
import json
import re
import sqlite3
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

#: Shorter texts occur by chance.
MIN_TEXT = 6
#: Significant digits of a number in decimal text: our own files round to 6.
MIN_DIGITS = 6
_MAX_BYTES = 1 << 30
_DEPTH = 3


@dataclass(frozen=True)
class Leak:
    """One find: a file (and what was opened in it), the name of the mark, and its form."""

    file: str
    mark: str
    form: str


@dataclass(frozen=True)
class _Needle:
    mark: str
    form: str
    data: bytes
    pattern: re.Pattern[bytes] | None = None


def text_forms(text: str) -> dict[str, bytes]:
    """The bytes that a text may have become, lower case where case does not matter.

    Raises:
      ValueError: the text is too short to be told from chance.
    """
    if len(text) < MIN_TEXT:
        raise ValueError(f"a mark of {len(text)} characters is found by chance; at least {MIN_TEXT}")
    raw = text.encode()
    forms = {
        "text": raw.lower(),
        "utf-16": text.lower().encode("utf-16-le"),
        "json": json.dumps(text)[1:-1].encode().lower(),
        "url": urllib.parse.quote(text, safe="").encode().lower(),
        "html": html.escape(text).encode().lower(),
        "hex": raw.hex().encode(),
    }
    for name in ("md5", "sha1", "sha256"):  # an unsalted hash of a name is found by trying names
        forms[name] = hashlib.new(name, raw, usedforsecurity=False).hexdigest().encode()
    # Of the three alignments of base64, what does not depend on the neighbours.
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        forms[f"base64+{shift}"] = coded[first:last]
    return forms


def number_forms(value: float) -> dict[str, bytes]:
    """The bytes that a number may have become: binary, and decimal text by rounding."""
    forms: dict[str, bytes] = {}
    for name, exact in (("float64", float(value)), ("of float32", float(np.float32(value)))):
        forms[f"{name} little-endian"] = struct.pack("<d", exact)
        forms[f"{name} big-endian"] = struct.pack(">d", exact)
        for digits in range(MIN_DIGITS, 10):
            forms[f"{name} {digits} digits"] = f"{abs(exact):.{digits}g}".encode()
    forms["float32 little-endian"] = struct.pack("<f", value)
    forms["float32 big-endian"] = struct.pack(">f", value)
    if float(value).is_integer() and abs(value) >= 2**24:
        whole = int(value)
        forms["int64"] = struct.pack("<q", whole)
        forms["varint"] = _varint(whole)
    return {name: data for name, data in forms.items() if "digits" not in name or _significant(data)}


def _significant(text: bytes) -> bool:
    return len(text.replace(b".", b"").split(b"e")[0].strip(b"0")) >= MIN_DIGITS


def _varint(value: int) -> bytes:
    out, rest = bytearray(), value & (2**64 - 1)
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


class Needles:
    """What to search for, with tables that find all of it in one pass over the bytes."""

    def __init__(self, wanted: Iterable[_Needle]) -> None:
        """Args: wanted: of at least four bytes each."""
        self._first, self._second = np.zeros(1 << 16, bool), np.zeros(1 << 16, bool)
        self._by_start: dict[int, list[_Needle]] = {}
        for needle in wanted:
            head = np.frombuffer(needle.data[:4], np.uint16)
            self._first[head[0]], self._second[head[1]] = True, True
            self._by_start.setdefault(int(np.frombuffer(needle.data[:4], np.uint32)[0]), []).append(needle)
        self._starts = np.array(sorted(self._by_start), np.uint32)

    def places(self, data: bytes) -> Iterator[tuple[_Needle, int]]:
        """Where needles stand. Two look-ups of 16 bits leave few places, one of 32 bits fewer."""
        for shift in range(2 if len(data) > 4 else 0):
            pairs = np.frombuffer(data, np.uint16, count=(len(data) - shift) // 2, offset=shift)
            likely = np.flatnonzero(self._first[pairs[:-1]] & self._second[pairs[1:]])
            heads = pairs[likely].astype(np.uint32) | pairs[likely + 1].astype(np.uint32) << 16
            keep = np.isin(heads, self._starts)
            for place, head in zip(likely[keep].tolist(), heads[keep].tolist(), strict=True):
                at = 2 * place + shift
                for needle in self._by_start[head]:
                    if data.startswith(needle.data, at):
                        yield needle, at


def needles(texts: dict[str, str], numbers: dict[str, float]) -> Needles:
    """What to search for, of marks by name."""
    found: dict[tuple[str, bytes], _Needle] = {}
    for mark, text in texts.items():
        for form, data in text_forms(text).items():
            found.setdefault((mark, data), _Needle(mark, form, data))
    for mark, value in numbers.items():
        for form, data in number_forms(value).items():
            # Digits are found inside longer numbers too: at their beginning only.
            pattern = re.compile(rb"(?<![\d.])" + re.escape(data)) if "digits" in form else None
            found.setdefault((mark, data), _Needle(mark, form, data, pattern))
    return Needles(found.values())


def search(files: Iterable[Path], wanted: Needles, root: Path) -> list[Leak]:
    """Searches files and their names.

    Args:
      files: Which.
      wanted: From `needles`.
      root: Names of files are told relative to it.

    Returns:
      A leak for each file, mark and form; sorted.
    """
    leaks: set[Leak] = set()
    for path in files:
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        leaks |= search_file(path, name, wanted)
    return sorted(leaks, key=lambda leak: (leak.file, leak.mark, leak.form))


def search_file(path: Path, name: str, wanted: Needles) -> set[Leak]:
    """Leaks in a file and in the name that it goes by."""
    leaks = set(search_bytes(name.encode(), wanted, f"{name} (its name)"))
    if path.is_file() and not path.is_symlink():
        for inside, data in contents(path):
            leaks |= set(search_bytes(data, wanted, f"{name}{inside}"))
    return leaks


def search_bytes(data: bytes, wanted: Needles, name: str) -> Iterator[Leak]:
    """Leaks in a piece of bytes."""
    # Binary forms and base64 have no case; searching both costs less than telling them apart.
    for text in (data, data.lower()):
        for needle, at in wanted.places(text):
            if needle.pattern is None or needle.pattern.match(text, at):
                yield Leak(name, needle.mark, needle.form)


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and those of whatever can be opened in it: (what was opened, bytes)."""
    data = path.read_bytes()
    yield "", data
    yield from _opened(data, "", _DEPTH)
    if data.startswith(b"SQLite format 3\0"):
        yield "!sqlite", _sqlite(path)


def _opened(data: bytes, name: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if not depth:
        return
    inner: list[tuple[str, bytes]] = []
    if data.startswith(b"\x1f\x8b"):
        inner.append((f"{name}!gzip", _gunzip(data)))
    elif data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                inner += [(f"{name}!{item}", archive.read(item)) for item in archive.namelist()]
        except (zipfile.BadZipFile, RuntimeError, zlib.error):
            pass
    elif data.startswith(b"PAR1"):
        inner.append((f"{name}!parquet", _parquet(data)))
    elif data.startswith(b"\x89PNG"):
        # Text chunks and the picture's bytes; a mark that is drawn is not found.
        inner.append((f"{name}!png", _png(data)))
    for found, content in inner:
        yield found, content
        yield from _opened(content, found, depth - 1)


def _gunzip(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(_MAX_BYTES)
    except (OSError, EOFError, zlib.error):
        # A truncated one still holds what was written.
        try:
            return zlib.decompressobj(wbits=31).decompress(data)
        except zlib.error:
            return b""


def _parquet(data: bytes) -> bytes:
    try:
        table = pa.parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError):
        return b""
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:  # uncompressed, little-endian
        writer.write_table(table)
    return out.getvalue()


def _png(data: bytes) -> bytes:
    out, at = b"", 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + size]
        if kind in (b"zTXt", b"iTXt", b"IDAT"):
            body = chunk if kind == b"IDAT" else chunk.partition(b"\0")[2][1:]
            try:
                out += zlib.decompressobj().decompress(body)
            except zlib.error:
                out += body
        at += size + 12
    return out


def _sqlite(path: Path) -> bytes:
    """Every value of every table: a long one is split over pages in the raw file."""
    out: list[bytes] = []
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        database.text_factory = bytes
        with contextlib.suppress(sqlite3.DatabaseError):  # damaged: its raw bytes are searched all the same
            for (table,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                for row in database.execute(f'SELECT * FROM "{table.decode()}"'):
                    out += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(out)
