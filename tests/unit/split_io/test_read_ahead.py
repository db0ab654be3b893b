"""Reading ahead: the same items, errors where they belong, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from components.read_ahead import read_ahead
from components.statistics_gen.config import StatisticsGenConfig


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_same_items_in_order(count: int) -> None:
    assert list(read_ahead(range(count))) == list(range(count))


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    ahead = read_ahead(broken())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(ahead)


def test_an_exception_object_is_an_item_like_any_other() -> None:
    item = ValueError("not raised")
    assert list(read_ahead([item])) == [item]


def test_it_stays_within_its_depth_and_leaves_no_thread() -> None:
    made = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    ahead = read_ahead(endless(), depth=3)
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    # One was taken, three may wait, one may be in hand.
    assert len(made) <= 5
    assert "read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_config_round_trip_and_limits() -> None:
    config = StatisticsGenConfig(batch_rows=7)
    assert StatisticsGenConfig.from_exec_property(config.to_exec_property()) == config
    with pytest.raises(ValueError, match="batch_rows"):
        StatisticsGenConfig(batch_rows=0)
