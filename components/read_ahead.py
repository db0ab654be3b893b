"""Reads ahead in a thread, so that reading and what is done with it share two cores."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1


def read_ahead(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """The same items in the same order, at most `depth` of them made before they are asked for.

    zlib, Arrow, NumPy and TFDV's sketch let go of the interpreter lock, so one batch is decoded while the
    one before it is counted. Close the iterator, or read it to its end: the thread ends with it.

    Args:
      items: Consumed in a thread of its own.
      depth: Items that may wait.

    Yields:
      The items.

    Raises:
      BaseException: whatever `items` raised, after the items before it.
    """
    waiting: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(maxsize=depth)
    abandoned = threading.Event()

    def put(kind: str, value: T | BaseException | None) -> None:
        while not abandoned.is_set():
            try:
                waiting.put((kind, value), timeout=_POLL_S)
                return
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put("item", item)
                if abandoned.is_set():
                    return
            put("end", None)
        except BaseException as error:  # handed to the consumer, which raises it
            put("error", error)

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]
    finally:
        abandoned.set()
        thread.join()
