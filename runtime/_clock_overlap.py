"""How long at least two of many intervals ran at once, while they come in."""

from __future__ import annotations

from collections import Counter

_FEWEST = 256  # edges that are collected before they are counted


class Overlap:
    """Intervals are begun in any order and ended in any order; memory follows those that have not ended."""

    def __init__(self) -> None:
        self._open: Counter[float] = Counter()  # by the time before which no interval that is begun can begin
        self._edges: list[tuple[float, int]] = []  # ends of intervals: when, and +1 or -1
        self._settle_at = _FEWEST
        self._running = 0  # intervals at `_until`
        self._until = 0.0  # before it all is counted
        self._seconds = 0.0

    def begin(self, not_before: float) -> None:
        """An interval that begins then or later."""
        self._open[not_before] += 1

    def end(self, not_before: float, begin: float, end: float) -> None:
        """That interval took from `begin` to `end`."""
        self._open[not_before] -= 1
        if not self._open[not_before]:
            del self._open[not_before]
        self._edges += [(begin, 1), (end, -1)]
        if len(self._edges) >= self._settle_at:
            self._settle()

    def seconds(self) -> float:
        """Of the intervals that have ended, up to the first one that has not."""
        self._settle()
        return self._seconds

    def _settle(self) -> None:
        """Count all that no open interval can change any more."""
        horizon = min(self._open, default=float("inf"))
        self._edges.sort()
        settled = 0
        for when, step in self._edges:
            if when > horizon:
                break
            if self._running > 1:
                self._seconds += when - self._until
            self._running += step
            self._until = when
            settled += 1
        del self._edges[:settled]
        self._settle_at = max(_FEWEST, 2 * len(self._edges))  # whatever stays is not sorted again and again
