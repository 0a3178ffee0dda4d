"""Busy seconds: every second counts once, for the stage that spent it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from runtime.clock import Clock


class Hands:
    """A time that moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("runtime.clock.time.perf_counter", lambda: self.now)

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


def test_a_block_inside_another_belongs_to_its_own_stage(hands: Hands) -> None:
    clock = Clock()
    with clock.busy("decode"):
        hands.spend(1)
        with clock.busy("masks"):
            hands.spend(2)
            with clock.busy("cuts"):
                hands.spend(4)
        with clock.busy("masks"):
            hands.spend(8)
        hands.spend(16)
    with clock.busy("decode"):
        hands.spend(32)
    assert clock.seconds() == {"cuts": 4, "masks": 10, "decode": 49}


def test_waiting_for_what_another_thread_makes_is_no_work(hands: Hands) -> None:
    def made() -> Iterator[int]:
        for number in range(3):
            hands.spend(100)
            yield number

    def doubled(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            hands.spend(1)
            yield 2 * item

    clock = Clock()
    taken: list[int] = []
    for item in clock.timed("smooth", doubled(clock.apart(made()))):
        hands.spend(10)  # the consumer's own
        taken.append(item)
    assert taken == [0, 2, 4]
    assert clock.seconds() == {"smooth": 3}


def test_work_that_fails_counts_and_leaves_the_next_block_alone(hands: Hands) -> None:
    clock = Clock()
    with pytest.raises(OSError, match="gone"), clock.busy("outer"), clock.busy("inner"):
        hands.spend(2)
        raise OSError("gone")
    with clock.busy("outer"):
        hands.spend(1)
    assert clock.seconds() == {"inner": 2, "outer": 1}


def test_threads_do_not_nest_in_each_other(hands: Hands) -> None:
    clock = Clock()

    def work() -> None:
        with clock.busy("network"):
            hands.spend(5)

    with clock.busy("write"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        hands.spend(1)
    assert clock.seconds() == {"network": 5, "write": 6}


def test_closing_timed_items_closes_their_source() -> None:
    closed: list[bool] = []

    def made() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    items = Clock().timed("decode", made())
    next(items)
    items.close()
    assert closed == [True]
