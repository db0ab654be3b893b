"""The log: what tampering is found, what a crash leaves behind, and what cannot be found."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from components.errors import BusyError, DataError
from components.governance.core import chain as chain_module
from components.governance.core.chain import Chain
from components.governance.core.entries import ChainError, Entry
from components.release.keys import PrivateKey, new_private_key


def make(folder: Path, key: PrivateKey, name: str = "ledger-record") -> Chain:
    return Chain(folder, name, "isthmus-ledger", lambda entry, before: [key.public], "locale x: ledger")


def add(chain: Chain, key: PrivateKey, *numbers: int) -> list[Entry]:
    for number in numbers:
        with chain.locked() as entries:
            chain.append(entries, "note", {"number": number}, key)
    return chain.read()


@pytest.fixture
def chain(tmp_path: Path, key: PrivateKey) -> Chain:
    made = make(tmp_path, key)
    add(made, key, 1, 2, 3)
    return made


def test_entries_come_back_in_order_and_each_carries_the_digest_before(chain: Chain) -> None:
    entries = chain.read()
    assert [entry.body["number"] for entry in entries] == [1, 2, 3]
    assert entries[0].previous == "0" * 64
    assert [entry.previous for entry in entries[1:]] == [entry.line_digest for entry in entries[:-1]]


def lines(chain: Chain) -> list[bytes]:
    return chain.path.read_bytes().splitlines(keepends=True)


def _edit(chain: Chain) -> None:
    chain.path.write_bytes(chain.path.read_bytes().replace(b'"number":2', b'"number":7'))


def _reformat(chain: Chain) -> None:
    chain.path.write_bytes(chain.path.read_bytes().replace(b'{"number":2}', b'{"number": 2}'))


def _drop_middle(chain: Chain) -> None:
    found = lines(chain)
    chain.path.write_bytes(found[0] + found[2])


def _drop_first(chain: Chain) -> None:
    chain.path.write_bytes(b"".join(lines(chain)[1:]))


def _drop_last(chain: Chain) -> None:
    chain.path.write_bytes(b"".join(lines(chain)[:-1]))


def _cut_last_in_half(chain: Chain) -> None:
    chain.path.write_bytes(chain.path.read_bytes()[:-40])


def _swap(chain: Chain) -> None:
    found = lines(chain)
    chain.path.write_bytes(found[0] + found[2] + found[1])


def _double(chain: Chain) -> None:
    chain.path.write_bytes(chain.path.read_bytes() + lines(chain)[-1])


def _remove_log(chain: Chain) -> None:
    chain.path.unlink()


def _remove_head(chain: Chain) -> None:
    chain.head_path.unlink()


def _empty_line(chain: Chain) -> None:
    chain.path.write_bytes(chain.path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (_edit, "entry 2 is not signed by the key"),
        (_reformat, "entry 2 is not in canonical form"),
        (_drop_middle, "entry 2 has the sequence number 3"),
        (_drop_first, "entry 1 has the sequence number 2"),
        (_drop_last, "2 entries, its head counts 3; the last were removed"),
        (_cut_last_in_half, "2 entries, its head counts 3; the last were removed"),
        (_swap, "entry 2 has the sequence number 3"),
        (_double, "entry 4 has the sequence number 3"),
        (_remove_log, "0 entries, its head counts 3"),
        (_remove_head, "head.json is missing"),
        (_empty_line, "entry 4 is no entry"),
    ],
)  # fmt: skip
def test_tampering_is_found_named_and_stops_appending(
    chain: Chain, key: PrivateKey, attack, words: str
) -> None:
    attack(chain)
    with pytest.raises(ChainError, match=words) as caught:
        chain.read()
    assert str(caught.value).startswith("locale x: ledger: ") and "\n" not in str(caught.value)
    before = chain.path.read_bytes() if chain.path.exists() else None
    with pytest.raises(ChainError):
        add(chain, key, 4)
    assert (chain.path.read_bytes() if chain.path.exists() else None) == before


def test_an_edit_that_mends_every_digest_is_found_by_its_signatures(chain: Chain, tmp_path: Path) -> None:
    # The forger has another key, and rewrites the whole log and its head with it.
    forger = new_private_key()
    shutil.rmtree(tmp_path / "forged", ignore_errors=True)
    forged = make(tmp_path / "forged", forger)
    add(forged, forger, 1, 7, 3)
    shutil.copy(forged.path, chain.path)
    shutil.copy(forged.head_path, chain.head_path)
    with pytest.raises(ChainError, match="entry 1 is not signed by the key"):
        chain.read()


def test_an_entry_of_another_history_by_the_same_key_is_found(
    key: PrivateKey, tmp_path: Path, monkeypatch
) -> None:
    # Signed by the right key, with the right number: only the digest that the next entry carries tells.
    monkeypatch.setattr(chain_module, "utc_now", lambda: "2026-01-01T00:00:00Z")
    chain, other = make(tmp_path, key), make(tmp_path / "other", key)
    add(chain, key, 1, 2, 3)
    add(other, key, 1, 7, 3)
    ours, theirs = lines(chain), lines(other)
    chain.path.write_bytes(ours[0] + theirs[1] + ours[2])
    with pytest.raises(ChainError, match="entry 3 does not carry the digest of the entry before"):
        chain.read()


def test_a_head_with_another_signature_is_found(chain: Chain) -> None:
    head = json.loads(chain.head_path.read_text())
    value = head["signature"]["value"]
    head["signature"]["value"] = ("B" if value[0] == "A" else "A") + value[1:]
    chain.head_path.write_text(json.dumps(head))
    with pytest.raises(ChainError, match="does not fit the log's 3 entries"):
        chain.read()


def test_an_entry_of_another_log_of_the_same_key_is_found(
    chain: Chain, key: PrivateKey, tmp_path: Path
) -> None:
    other = make(tmp_path / "other", key, name="ledger-series")
    add(other, key, 1, 2, 3)
    shutil.copy(other.path, chain.path)
    with pytest.raises(ChainError, match="belongs to the log isthmus-ledger ledger-series"):
        chain.read()


def test_an_older_state_of_both_files_verifies_by_itself(chain: Chain, key: PrivateKey) -> None:
    """The limit that the documentation states; what was published since shows it (`anchors`)."""
    old = chain.path.read_bytes(), chain.head_path.read_bytes()
    add(chain, key, 4)
    chain.path.write_bytes(old[0])
    chain.head_path.write_bytes(old[1])
    assert len(chain.read()) == 3


def test_another_key_may_not_append(chain: Chain) -> None:
    before = chain.path.read_bytes()
    with pytest.raises(ChainError, match="may not write this entry"):
        add(chain, new_private_key(), 4)
    assert chain.path.read_bytes() == before


def test_a_torn_last_line_that_nobody_acknowledged_is_cut_off(chain: Chain, key: PrivateKey) -> None:
    whole = chain.path.read_bytes()
    chain.path.write_bytes(whole + b'{"at":"2026-')
    assert len(chain.read()) == 3
    assert [entry.body["number"] for entry in add(chain, key, 4)] == [1, 2, 3, 4]
    assert chain.path.read_bytes().startswith(whole)


def test_an_entry_that_its_head_does_not_know_yet_counts(chain: Chain, key: PrivateKey) -> None:
    old_head = chain.head_path.read_bytes()
    add(chain, key, 4, 5)
    chain.head_path.write_bytes(old_head)  # killed between entry and head, twice
    assert len(add(chain, key, 6)) == 6


def test_a_crash_after_the_first_entry_does_not_lock_the_log(tmp_path: Path, key: PrivateKey) -> None:
    chain = make(tmp_path, key)
    add(chain, key, 1)
    chain.head_path.unlink()
    assert len(chain.read()) == 1
    assert len(add(chain, key, 2)) == 2


def test_a_full_disk_leaves_the_log_as_it_was(chain: Chain, key: PrivateKey, monkeypatch) -> None:
    before = chain.path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(chain_module.os, "fsync", full)
        with pytest.raises(DataError, match=r"cannot be written .*No space left on device"):
            add(chain, key, 4)
    assert chain.path.read_bytes() == before
    assert len(add(chain, key, 4)) == 4


def test_a_clock_that_jumps_back_does_not_matter(chain: Chain, key: PrivateKey, monkeypatch) -> None:
    monkeypatch.setattr(chain_module, "utc_now", lambda: "1999-01-01T00:00:00Z")
    assert [entry.sequence for entry in add(chain, key, 4)] == [1, 2, 3, 4]


def test_who_waits_too_long_is_told_so(chain: Chain, tmp_path: Path, key: PrivateKey) -> None:
    second = make(tmp_path, key).locked(timeout_s=0.05)
    with chain.locked(), pytest.raises(BusyError, match="held by another process"), second:
        pass


def _append_ten(folder: str, pem: str, offset: int) -> None:
    from components.release.keys import load_private_key
    from components.secrets import SecretRef

    key = load_private_key(SecretRef(file=pem))
    for number in range(10):
        add(make(Path(folder), key), key, offset + number)


def test_two_processes_at_once_lose_no_entry(tmp_path: Path) -> None:
    from components.release.keys import ensure_key_pair

    pem = tmp_path / "key"
    key = ensure_key_pair(pem)
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_append_ten, args=(str(tmp_path), str(pem), offset)) for offset in (0, 100)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    numbers = sorted(entry.body["number"] for entry in make(tmp_path, key).read())
    assert numbers == [*range(10), *range(100, 110)]


def _append_and_die(chain: Chain, key: PrivateKey, fatal: int) -> None:
    """Appends one entry in this process, and is killed before or after the `fatal`-th call that writes."""
    calls = 0

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(function):
        def call(*arguments, **options):
            tick()
            result = function(*arguments, **options)
            tick()
            return result

        return call

    for owner, name in (
        (os, "fsync"),
        (os, "fdopen"),
        (tempfile, "mkstemp"),
        (Path, "replace"),
        (Path, "open"),
    ):
        setattr(owner, name, watched(getattr(owner, name)))
    with chain.locked() as entries:
        chain.append(entries, "note", {"number": len(entries) + 1}, key)
    os._exit(0)


def test_a_kill_at_any_point_of_an_append_leaves_a_log_that_goes_on(tmp_path: Path, key: PrivateKey) -> None:
    chain, points, acknowledged = make(tmp_path, key), 0, False
    while not acknowledged:
        before = len(chain.read())
        points += 1
        child = os.fork()
        if child == 0:
            _append_and_die(chain, key, points)
        acknowledged = os.waitpid(child, 0)[1] == 0
        # Nothing that was there is lost; what was cut off in the middle is there whole or not at all.
        after = len(chain.read())
        assert after in (before, before + 1)
        assert after == before + 1 or not acknowledged
        add(chain, key, 0)
        assert len(chain.read()) == after + 1
    assert points > 10
