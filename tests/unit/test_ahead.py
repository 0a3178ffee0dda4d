"""The thread boundary: order, back-pressure, errors and cancellation cross it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator, Iterator
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


@pytest.mark.parametrize("begun", [False, True], ids=["before-the-thread", "in-the-thread"])
def test_ctrl_c_while_the_thread_is_started_stops_it(begun: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_in: list[str] = []
    producing = threading.Event()
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def produce() -> Generator[int, None, None]:
        try:
            producing.set()
            yield from itertools.count()
        finally:
            closed_in.append(threading.current_thread().name)

    def start_interrupted(thread: threading.Thread) -> None:
        threads.append(thread)
        if begun:
            start(thread)
            producing.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with pytest.raises(KeyboardInterrupt), closing(produce()) as source, closing(ahead(source, depth=2)) as items:
        next(items)
    assert closed_in == (["ahead"] if begun else [])
    assert not any(thread.is_alive() for thread in threads)


def test_a_thread_that_comes_too_late_leaves_the_producer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[threading.Thread] = []
    start = threading.Thread.start

    def start_later(thread: threading.Thread) -> None:
        late.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_later)
    made = iter([1, 2])
    with pytest.raises(KeyboardInterrupt):
        next(ahead(made, depth=2))
    start(late[0])  # the system may have had it under way
    late[0].join(timeout=5)
    assert list(made) == [1, 2]
