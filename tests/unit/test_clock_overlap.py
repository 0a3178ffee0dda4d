"""Overlap: however intervals come in, what is counted is what counting every moment gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime._clock_overlap import Overlap

intervals_of_seconds = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=40)


@given(intervals_of_seconds, st.integers(1, 8))
def test_it_is_the_number_of_seconds_in_which_two_or_more_run(intervals: list[tuple[int, int]], settle_at: int) -> None:
    overlap = Overlap()
    overlap._settle_at = settle_at
    edges = [(begin, 1, begin, begin + length) for begin, length in intervals]
    edges += [(begin + length, 0, begin, begin + length) for begin, length in intervals]
    for _, begins, begin, end in sorted(edges, key=lambda edge: (edge[0], -edge[1])):
        if begins:
            overlap.begin(begin)
        else:
            overlap.end(begin, begin, end)
    moments = [sum(begin <= moment < begin + length for begin, length in intervals) for moment in range(50)]
    assert overlap.seconds() == sum(running >= 2 for running in moments)


@given(intervals_of_seconds, st.data())
def test_work_that_is_told_of_later_counts_the_same(intervals: list[tuple[int, int]], data: st.DataObject) -> None:
    """A GPU's times come when its events are asked for, long after; what was announced keeps the count open."""
    overlap = Overlap()
    announced = [max(0, begin - data.draw(st.integers(0, 5))) for begin, _ in intervals]
    for not_before in announced:
        overlap.begin(not_before)
    for number in data.draw(st.permutations(range(len(intervals)))):
        begin, length = intervals[number]
        overlap.end(announced[number], begin, begin + length)
        overlap.seconds()
    moments = [sum(begin <= moment < begin + length for begin, length in intervals) for moment in range(50)]
    assert overlap.seconds() == sum(running >= 2 for running in moments)


def test_memory_follows_what_has_not_ended() -> None:
    """Each second an interval of two begins, and the one before it is told of."""
    overlap = Overlap()
    overlap.begin(0)
    for second in range(1, 10_000):
        overlap.begin(second)
        overlap.end(second - 1, second - 1, second + 1)
        assert len(overlap._edges) < 1000
    assert overlap.seconds() == 9_998
