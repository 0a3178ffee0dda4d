"""The thread boundary: order, back-pressure, errors and cancellation cross it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ahead import ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_items_arrive_complete_and_in_order(items: list[int], depth: int) -> None:
    assert list(ahead(items, depth)) == items


def test_the_producer_waits_for_a_slow_consumer() -> None:
    made = 0

    def produce() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    with closing(ahead(produce(), depth=3)) as items:
        next(items)
        time.sleep(0.1)
        assert made <= 1 + 3 + 1  # taken, queued, and the one that waits for room


def test_an_error_arrives_after_the_items_before_it() -> None:
    def produce() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    items = ahead(produce(), depth=8)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_stops_and_closes_the_producer_in_its_own_thread(taken: int) -> None:
    closed_in: list[str] = []

    def produce() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed_in.append(threading.current_thread().name)

    before = threading.active_count()
    items = ahead(produce(), depth=2)
    for _ in range(taken):
        next(items)
    items.close()
    assert threading.active_count() == before
    assert closed_in == (["ahead"] if taken else [])


def test_an_error_while_closing_is_not_lost() -> None:
    def produce() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("flush failed")

    with pytest.raises(OSError, match="flush failed"):
        list(ahead(produce(), depth=1))
