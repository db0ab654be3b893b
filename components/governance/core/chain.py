"""An append-only log of signed entries, each of which carries the SHA-256 of the one before.

One implementation for the budget ledger and for the audit log of people's decisions. A log is a file
of JSON lines, `<name>.jsonl`, and a signed head beside it, `<name>.head.json`, with the number of
entries and the digest of the last.

What is detected: a changed, swapped, inserted, doubled or removed entry anywhere (digests and
sequence), an entry by a key that may not write it (signature), and missing last entries (head).
What is not: whoever may write the folder and has kept an older state of *both* files can put both
back. What was published in the meantime shows that: `anchors` looks up each release in the logs, for
`isthmus audit`, `isthmus budget`, every run and every Pusher. A put-back state with nothing published
since is not found.

A crash in mid-append leaves a last line without an end, which was never acknowledged and is cut off
by the next append, or an entry that the head does not know yet, which counts. Clocks are not trusted:
`at` is information, order is the sequence.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import portalocker
import pydantic

from components.errors import BusyError, DataError, list_briefly
from components.executor_base import write_atomically
from components.governance.core.entries import GENESIS, ChainError, Entry, Head, Purpose
from components.release.keys import PrivateKey, PublicKey
from components.release.manifest import utc_now
from components.release.signature import Signature

#: An entry is a kilobyte or two; a policy of a thousand people is some hundred kilobytes.
MAX_ENTRY_BYTES = 4 << 20
#: Whose signature makes an entry valid, given the entries before it: any of these. A locale that has
#: changed its key has several. Raises ChainError where nobody's would.
KeysOf = Callable[[Entry, Sequence[Entry]], Sequence[PublicKey]]


class Chain:
    """A log in a folder.

    Not shared between threads; each `locked()` excludes every other process and thread.
    """

    def __init__(self, folder: Path, name: str, format: Purpose, keys_of: KeysOf, place: str) -> None:
        """Makes nothing on disk.

        Args:
          folder: Where the log is.
          name: Its file name without ending; written into each entry.
          format: What kind of log it is.
          keys_of: Whose signature makes an entry valid.
          place: Begins every message, such as `locale eu-west: budget ledger`.
        """
        self.path = folder / f"{name}.jsonl"
        self.head_path = folder / f"{name}.head.json"
        self.name, self.format, self.place = name, format, place
        self._keys_of = keys_of
        self._lock_path = folder / f".{name}.lock"

    @contextlib.contextmanager
    def locked(self, timeout_s: float = 60.0) -> Iterator[list[Entry]]:
        """Holds the log for reading and appending; gives its verified entries.

        Raises:
          BusyError: another process has held it for `timeout_s`.
          ChainError: the log does not verify.
          DataError: the folder cannot be written.
        """
        lock = portalocker.Lock(self._lock_path, mode="a", timeout=timeout_s, check_interval=0.02)
        with self._os_errors("cannot be locked"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except portalocker.exceptions.BaseLockException:
                raise BusyError(f"{self.place}: held by another process. Wait for it, or stop it.") from None
        try:
            yield self.read()
        finally:
            lock.release()

    def read(self) -> list[Entry]:
        """The entries, all verified.

        Raises:
          ChainError: a line, a digest, a signature or the head does not fit; names the entry.
        """
        while True:
            head = self._head_bytes()
            try:
                return self._verified(head)
            except ChainError:
                # Read without the lock: someone appended between the two files.
                if self._head_bytes() == head:
                    raise

    def _verified(self, head: bytes | None) -> list[Entry]:
        lines, _ = self._lines()
        entries: list[Entry] = []
        digest = GENESIS
        for number, line in enumerate(lines, start=1):
            entry = self._parse(line, number)
            if (entry.format, entry.name) != (self.format, self.name):
                raise self._broken(number, f"belongs to the log {entry.format} {entry.name}")
            if entry.sequence != number:
                raise self._broken(
                    number, f"has the sequence number {entry.sequence}; one was moved or removed"
                )
            if entry.previous != digest:
                raise self._broken(number, "does not carry the digest of the entry before; one was altered")
            keys = self._keys_of(entry, entries)
            if not _signed_by(entry, keys):
                names = list_briefly(key.key_id for key in keys) or "anyone who might"
                raise self._broken(number, f"is not signed by the key {names}")
            digest = hashlib.sha256(line).hexdigest()
            entries.append(entry)
        self._check_head(entries, head)
        return entries

    def append(self, entries: list[Entry], kind: str, body: dict[str, Any], key: PrivateKey) -> Entry:
        """Adds one entry at the end, on disk for good before this returns.

        Args:
          entries: What `locked` gave; the new entry is added to it as well.
          kind: What kind of entry.
          body: Its content; plain JSON without NaN.
          key: The writer's.

        Raises:
          ChainError: this key may not write this entry.
          DataError: not writable or disk full. The log then ends where it did, or the entry is in it.
        """
        draft = Entry(
            format=self.format,
            name=self.name,
            sequence=len(entries) + 1,
            previous=entries[-1].line_digest if entries else GENESIS,
            at=utc_now(),
            kind=kind,
            body=body,
        )
        # As a reader will see it: numbers and texts in their JSON form.
        draft = Entry.model_validate_json(draft.to_exec_property())
        allowed = [found.key_id for found in self._keys_of(draft, entries)]
        if key.public.key_id not in allowed:
            raise ChainError(
                f"{self.place}: key {key.public.key_id} may not write this entry ({kind}); "
                f"allowed: {list_briefly(allowed) or 'nobody'}"
            )
        signature = Signature(key_id=key.public.key_id, value=key.sign_bytes(draft.signed_bytes()))
        entry = draft.model_copy(update={"signature": signature})
        with self._os_errors("cannot be written"):
            if len(entries) == 1 and not self.head_path.exists() and self._wrote(entries[0], key):
                self._write_head(
                    entries[0], key
                )  # its writer was killed; two such in a row look like a removal
            self._write_line(entry.to_exec_property().encode() + b"\n")
            self._write_head(entry, key)
        entries.append(entry)
        return entry

    def _lines(self) -> tuple[list[bytes], int]:
        """Complete lines, and how many bytes they take; a torn last line is left out."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise DataError(f"{self.place}: {self.path} cannot be read ({error.strerror}).") from None
        complete = data.rfind(b"\n") + 1
        return data[:complete].split(b"\n")[:-1], complete

    def _parse(self, line: bytes, number: int) -> Entry:
        if len(line) > MAX_ENTRY_BYTES:
            raise self._broken(number, f"is larger than {MAX_ENTRY_BYTES} bytes")
        try:
            entry = Entry.model_validate_json(line)
        except pydantic.ValidationError:
            raise self._broken(number, "is no entry") from None
        if entry.to_exec_property().encode() != line:
            raise self._broken(number, "is not in canonical form; it was edited")
        return entry

    def _head_bytes(self) -> bytes | None:
        try:
            return self.head_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{self.place}: {self.head_path} cannot be read ({error.strerror}).") from None

    def _check_head(self, entries: Sequence[Entry], raw: bytes | None) -> None:
        if raw is None:
            if len(entries) > 1:
                raise ChainError(
                    f"{self.place}: {self.head_path.name} is missing; whether last entries are missing "
                    "too cannot be told. Restore it from a copy."
                )
            return  # empty, or killed between the first entry and the first head
        try:
            head = Head.model_validate_json(raw)
        except pydantic.ValidationError:
            raise ChainError(f"{self.place}: {self.head_path.name} is no head of a log.") from None
        if head.entries > len(entries):
            raise ChainError(
                f"{self.place}: {len(entries)} entries, its head counts {head.entries}; the last were "
                "removed. Restore it from a copy."
            )
        # A head may be behind: killed between an entry and its head. The entries after it are signed.
        fits = (head.format, head.name) == (self.format, self.name)
        if (
            not fits
            or head.last_digest != entries[head.entries - 1].line_digest
            or not self._head_signed(head, entries)
        ):
            raise ChainError(
                f"{self.place}: {self.head_path.name} does not fit the log's {len(entries)} entries; "
                "one of the two was replaced. Restore both from a copy."
            )

    def _wrote(self, entry: Entry, key: PrivateKey) -> bool:
        return entry.signature is not None and entry.signature.key_id == key.public.key_id

    def _write_head(self, entry: Entry, key: PrivateKey) -> None:
        head = Head(format=self.format, name=self.name, entries=entry.sequence, last_digest=entry.line_digest)
        signature = Signature(key_id=key.public.key_id, value=key.sign_bytes(head.signed_bytes()))
        head = head.model_copy(update={"signature": signature})
        write_atomically(self.head_path, head.to_exec_property() + "\n")

    def _head_signed(self, head: Head, entries: Sequence[Entry]) -> bool:
        writer = entries[head.entries - 1]
        keys = self._keys_of(writer, entries[: head.entries - 1])
        same = head.signature and writer.signature and head.signature.key_id == writer.signature.key_id
        return bool(same) and _signed_by(head, keys)

    def _write_line(self, line: bytes) -> None:
        _, complete = self._lines()
        new = not self.path.exists()
        with self.path.open("ab") as file:
            if file.tell() > complete:
                file.truncate(complete)  # a torn line of a writer that was killed
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, complete)
                raise
        if new:
            handle = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _broken(self, number: int, why: str) -> ChainError:
        return ChainError(f"{self.place}: entry {number} {why}. Restore the log from a copy.")

    @contextlib.contextmanager
    def _os_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DataError(f"{self.place}: {what} ({self.path.parent}: {reason}).") from error


def _signed_by(document: Entry | Head, keys: Sequence[PublicKey]) -> bool:
    if document.signature is None:
        return False
    key_id, value = document.signature.key_id, document.signature.value
    return any(key.key_id == key_id and key.verifies_bytes(document.signed_bytes(), value) for key in keys)
