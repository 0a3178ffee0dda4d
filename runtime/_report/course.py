"""When frames were shown and which of them were repaired, in bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

MOMENTS = 1024  # frames whose time is remembered, at most; those between are interpolated
SPANS = 400  # stretches of repaired frames, at most; beyond, those nearest to each other become one


@dataclass(frozen=True, slots=True)
class Span:
    """Frames that were repaired, both ends included."""

    first: int
    last: int


class Course:
    """A run's frames as they went by."""

    def __init__(self) -> None:
        self._moments: list[tuple[int, float]] = []
        self._step = 1
        self._latest: tuple[int, float] | None = None
        self._spans: list[Span] = []
        self._reach = 1  # frames so near to a span join it

    def add(self, index: int, seconds: float, *, repaired: bool) -> None:
        """Frame `index`, shown at `seconds`; indices ascend by one, from wherever the run began."""
        if self._latest is None or (index - self._moments[0][0]) % self._step == 0:
            self._moments.append((index, seconds))
        self._latest = index, seconds
        if len(self._moments) > MOMENTS:
            self._moments = self._moments[::2]
            self._step *= 2
        if repaired:
            self._extend(Span(index, index))
            while len(self._spans) > SPANS:
                self._reach *= 2
                spans, self._spans = self._spans, []
                for span in spans:
                    self._extend(span)

    @property
    def end(self) -> int:
        """The number after the last frame's that went by; 0 where none did."""
        return 0 if self._latest is None else self._latest[0] + 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where frames were repaired, ascending; gaps below a `SPANS`th of the run may be left out."""
        return tuple(self._spans)

    def seconds_of(self, index: int) -> float:
        """When frame `index` is shown: exact where the rate is constant, else within a `MOMENTS`th of the run.

        Frames outside those seen are taken to go on at the same rate.
        """
        if self._latest is None:
            return 0.0
        points = self._moments if self._moments[-1] == self._latest else [*self._moments, self._latest]
        if len(points) == 1:
            return points[0][1]
        place = min(max(bisect_right(points, (index, float("inf"))) - 1, 0), len(points) - 2)
        (left, start), (right, end) = points[place], points[place + 1]
        return start + (end - start) * (index - left) / (right - left)

    def _extend(self, span: Span) -> None:
        if self._spans and span.first - self._spans[-1].last <= self._reach:
            span = Span(self._spans.pop().first, span.last)
        self._spans.append(span)
