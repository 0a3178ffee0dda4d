"""Runs of frames with the same hole: found in a sequence of holes, and united over several sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from runtime.frame import Hole, MaskRun


class Recent:
    """Gives the object that it gave last for as long as the hole is the same, so that the same is seen by identity."""

    def __init__(self) -> None:
        self._last: Hole | None = None

    def same(self, hole: Hole | None) -> Hole | None:
        """`hole`, or the object before it where that equals it; None where nothing is True."""
        if hole is None or not hole.any():
            self._last = None
        elif self._last is None or not np.array_equal(hole, self._last):
            self._last = hole
        return self._last


class Union:
    """What several holes cover together; the same objects together give the same object."""

    def __init__(self) -> None:
        self._parts: tuple[Hole, ...] = ()
        self._hole: Hole | None = None

    def of(self, parts: tuple[Hole, ...]) -> Hole | None:
        """The union of the holes `parts`; None of none."""
        if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
            self._parts = parts
            self._hole = parts[0] if len(parts) == 1 else _unite(parts)
        return self._hole


def runs_of(holes: Iterable[Hole | None]) -> Iterator[MaskRun]:
    """The runs of holes of frames 0, 1, 2, ...; None where a frame has none."""
    recent = Recent()
    first = 0
    before: Hole | None = None
    index = -1
    for index, hole in enumerate(holes):
        now = recent.same(hole)
        if now is not before:
            if before is not None:
                yield MaskRun(first, index - 1, before)
            first, before = index, now
    if before is not None:
        yield MaskRun(first, index, before)


def united(sources: Sequence[Iterator[MaskRun]]) -> Iterator[MaskRun]:
    """The runs of all sources as one sequence in which no two runs share a frame.

    The runs of each source ascend and share no frame.  Neighbouring runs of the same object become one.
    """
    union = Union()
    waiting: MaskRun | None = None
    for run in _pieces(sources, union):
        joined = waiting is not None and waiting.hole is run.hole and waiting.last == run.first - 1
        if waiting is not None and not joined:
            yield waiting
        waiting = MaskRun(waiting.first, run.last, run.hole) if waiting is not None and joined else run
    if waiting is not None:
        yield waiting


def _pieces(sources: Sequence[Iterator[MaskRun]], union: Union) -> Iterator[MaskRun]:
    """The runs cut wherever a run of any source begins or ends."""
    heads = [next(source, None) for source in sources]
    first = 0
    while any(head is not None for head in heads):
        last: int | None = None
        for head in heads:
            if head is not None:
                bound = head.last if head.first <= first else head.first - 1
                last = bound if last is None else last if bound is None else min(last, bound)
        hole = union.of(tuple(head.hole for head in heads if head is not None and head.first <= first))
        if hole is not None:
            yield MaskRun(first, last, hole)
        if last is None:
            return
        heads = [_after(head, source, last) for head, source in zip(heads, sources, strict=True)]
        first = last + 1


def _after(head: MaskRun | None, source: Iterator[MaskRun], last: int) -> MaskRun | None:
    """The run of `source` that holds or follows frame `last + 1`."""
    return next(source, None) if head is not None and head.last == last else head


def _unite(parts: tuple[Hole, ...]) -> Hole | None:
    return np.logical_or.reduce(parts) if parts else None
