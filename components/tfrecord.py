"""TFRecord framing and GZIP, as TensorFlow reads and writes them, without TensorFlow.

A record is: length (uint64), masked CRC-32C of the length, the bytes, masked CRC-32C of the bytes.
Source: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np

from components.errors import DataError

#: Level 1: half the size at a quarter of the processor time of level 6 (measured on random floats).
GZIP_LEVEL = 1
#: zlib's "gzip wrapper, largest window". It writes no time stamp: same records, same bytes.
_GZIP_WBITS = 31
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
#: A row of ours is some hundred bytes. A length is believed before the record is there, so a foreign
#: file could otherwise make the reader gather all of what follows in memory.
MAX_RECORD_BYTES = 64 << 20
#: Pieces (of some hundred kilobytes) that may wait to be compressed.
_WAITING = 4
HEADER_BYTES = 12
FOOTER_BYTES = 4


def mask_crc(crc: np.ndarray) -> np.ndarray:
    """Masked form of CRC-32C sums. Shape [records], little-endian uint32.

    A CRC of data that holds CRCs is weak, hence the rotation and the constant (core/lib/hash/crc32c.h).
    """
    crc = crc.astype(np.uint32)
    return (((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)).astype("<u4")


def record_header(length: int) -> bytes:
    """The twelve bytes before a record of so many bytes."""
    packed = struct.pack("<Q", length)
    return packed + mask_crc(np.array([google_crc32c.value(packed)])).tobytes()


def record_sums(records: Sequence[bytes]) -> np.ndarray:
    """Masked CRC-32C of each record. Shape [records], little-endian uint32."""
    return mask_crc(np.fromiter(map(google_crc32c.value, records), dtype=np.uint32, count=len(records)))


def frame_records(records: Sequence[bytes]) -> bytes:
    """Records with their headers and footers, one after another."""
    headers = {length: record_header(length) for length in set(map(len, records))}
    footers = record_sums(records).tobytes()
    pieces: list[bytes] = [b""] * (3 * len(records))
    pieces[0::3] = [headers[len(record)] for record in records]
    pieces[1::3] = records
    pieces[2::3] = [footers[start : start + 4] for start in range(0, len(footers), 4)]
    return b"".join(pieces)


class GzipFile:
    """A gzip stream being written; its header holds neither a time nor a name.

    A thread compresses and writes, at most `_WAITING` pieces behind: zlib lets go of the interpreter lock,
    so the next records are encoded meanwhile. What it could not write is raised by a later call.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._compressor = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
        self._thread = ThreadPoolExecutor(1, "gzip")
        self._waiting: deque[Future[int]] = deque()

    def write(self, data: bytes | memoryview) -> None:
        """Appends bytes, which must not change any more."""
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, data))

    def _write(self, data: bytes | memoryview) -> int:
        return self._file.write(self._compressor.compress(data))

    def close(self) -> None:
        """Ends the stream and brings it to the disk."""
        try:
            self._thread.shutdown()
            for written in self._waiting:
                written.result()
            self._file.write(self._compressor.flush())
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def read_file(path: Path) -> Iterator[list[bytes]]:
    """Records of a TFRecord file, GZIP or plain, in lists of about a megabyte: memory is flat.

    Raises:
      DataError: the file is missing, truncated, no GZIP TFRecord, or a checksum is wrong.
    """
    headers: dict[bytes, int] = {}
    rest = b""
    for chunk in _gunzip(path):
        buffer = rest + chunk if rest else chunk
        records, footers, position = [], [], 0
        while True:
            head = buffer[position : position + HEADER_BYTES]
            length = headers.get(head)
            if length is None:
                if len(head) < HEADER_BYTES:
                    break
                length = int(struct.unpack("<Q", head[:8])[0])
                if head != record_header(length):
                    raise DataError(f"{path}: corrupt TFRecord (checksum of a length). Make the file again.")
                if length > MAX_RECORD_BYTES:
                    raise DataError(f"{path}: a record of {length} bytes, allowed {MAX_RECORD_BYTES}.")
                headers[head] = length
            start = position + HEADER_BYTES
            end = start + length
            footer = buffer[end : end + FOOTER_BYTES]
            if len(footer) < FOOTER_BYTES:
                break
            records.append(buffer[start:end])
            footers.append(footer)
            position = end + FOOTER_BYTES
        rest = buffer[position:]
        if records:
            if record_sums(records).tobytes() != b"".join(footers):
                raise DataError(f"{path}: corrupt TFRecord (checksum of a record). Make the file again.")
            yield records
    if rest:
        raise DataError(f"{path}: truncated TFRecord ({len(rest)} bytes left over). Make the file again.")


def _gunzip(path: Path) -> Iterator[bytes]:
    """Chunks of the content, bounded in size; a gzip file may hold several members."""
    stream = zlib.decompressobj(_GZIP_WBITS)
    try:
        with path.open("rb") as file:
            head = file.peek(2)[:2]
            if not head:
                raise DataError(f"{path}: the file is empty")
            if head != _GZIP_MAGIC:
                yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
                return
            while data := file.read(_CHUNK_BYTES):
                while data:
                    if stream.eof:
                        stream = zlib.decompressobj(_GZIP_WBITS)
                    # The limit keeps a file of zeros from filling the memory at once.
                    if chunk := stream.decompress(data, 8 * _CHUNK_BYTES):
                        yield chunk
                    data = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error as error:
        raise DataError(f"{path}: not a gzip file, or corrupt ({error}). Make the file again.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not stream.eof:
        raise DataError(f"{path}: truncated gzip file. Make the file again.")
