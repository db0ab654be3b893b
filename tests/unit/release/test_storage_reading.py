"""Reading an object that others replace: the new one is read, and a store that keeps failing is said to."""

from __future__ import annotations

import errno
import io

import pytest

from components.errors import DataError
from components.release.storage import Store, read_bounded


class Replaced:
    """A store whose object is another one by the time that it is read, so many times."""

    def __init__(self, times: int, number: int = errno.EBUSY) -> None:
        self.times, self.number, self.opened, self.forgot = times, number, 0, 0

    def open(self, path: str, mode: str) -> io.BytesIO:
        assert path == "bucket/state.lock" and mode == "rb"
        self.opened += 1
        if self.opened <= self.times:
            raise OSError(self.number, "The remote file no longer exists")
        return io.BytesIO(b"number %d" % self.opened)

    def invalidate_cache(self) -> None:
        self.forgot += 1


def read(fs: Replaced) -> bytes | None:
    return read_bounded(Store(fs, "bucket", "s3://bucket"), "state.lock", 100)


def test_an_object_that_was_replaced_is_read_anew():
    fs = Replaced(2)
    assert read(fs) == b"number 3"
    assert fs.forgot == 2  # what the listing said of it


def test_an_object_that_never_stands_still_is_one_line():
    fs = Replaced(100)
    with pytest.raises(
        DataError, match=r"cannot read s3://bucket/state\.lock: the remote file no longer exists"
    ):
        read(fs)
    assert fs.opened == 4


def test_other_errors_are_not_tried_again():
    fs = Replaced(1, errno.EIO)
    with pytest.raises(DataError, match=r"cannot read s3://bucket/state\.lock"):
        read(fs)
    assert fs.opened == 1 and fs.forgot == 0
