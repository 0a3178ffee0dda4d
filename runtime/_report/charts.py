"""The report's drawings, as SVG: lengths in per cent and texts in pixels, so that they stay sharp at any width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor

from runtime._report.course import Span
from runtime._report.markup import Node, extend, node
from runtime.regions import Region

LANES = 8  # regions drawn below the timeline, at most
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)  # seconds
_TICKS = 8  # on an axis, at most
_ROUNDING = 1e-9  # steps: six tenths and a bit of a second are six ticks
_BAR, _LANE = 22, 17  # pixels: heights
_TOP = 26  # of the timeline's bar
_NARROWEST = 0.25  # per cent; what is shorter would not be seen
_PIN = 1.8  # per cent; the width of a sample's number on a page of full width


def moment(seconds: float, digits: int = 0) -> str:
    """`1:02:03`, `2:03`, with `digits` after the point."""
    ticks = round(abs(seconds) * 10**digits)
    whole, rest = divmod(ticks, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    sign = "-" if seconds < 0 and ticks else ""
    return sign + text + (f".{rest:0{digits}}" if digits else "")


class Axis:
    """Frames of a run on a line from 0 to 100 per cent, by the times at which they are shown."""

    def __init__(self, start: float, end: float) -> None:
        self._start = start
        self._length = max(end - start, 1e-9)

    def place(self, seconds: float) -> float:
        """Per cent of the line."""
        return min(max((seconds - self._start) / self._length, 0.0), 1.0) * 100

    def ticks(self) -> list[tuple[float, str]]:
        """Places and labels of round times, a handful."""
        step = next((step for step in _STEPS if self._length / step <= _TICKS), self._length / _TICKS)
        first = ceil(self._start / step - _ROUNDING)
        last = floor((self._start + self._length) / step + _ROUNDING)
        digits = 1 if step < 1 else 0
        return [(self.place(number * step), moment(number * step, digits)) for number in range(first, last + 1)]


class Timeline:
    """The bar of the video's length with what happened when."""

    def __init__(self, axis: Axis, label: str) -> None:
        self._axis = axis
        self._parts: list[Node] = [_box(0, 100, _TOP, _BAR, "track")]
        self._bottom = _TOP + _BAR
        self._label = label
        self._pinned = -100.0  # where the last sample's number stands

    def repaired(self, start: float, end: float) -> None:
        """Frames shown between these seconds were repaired."""
        self._span(start, end, _TOP, _BAR, "repaired")

    def cut(self, seconds: float) -> None:
        """A new scene begins."""
        place = _per_cent(self._axis.place(seconds))
        ends = {"x1": place, "x2": place, "y1": str(_TOP - 5), "y2": str(_TOP + _BAR + 5)}
        self._parts.append(node("line", {"class": "cut", **ends}))

    def sample(self, seconds: float, number: int) -> None:
        """A picture of the report shows this moment."""
        if self._axis.place(seconds) - self._pinned < _PIN:  # its number would cover the last one's
            return
        self._pinned = self._axis.place(seconds)
        place = _per_cent(self._pinned)
        self._parts.append(node("circle", {"class": "pin", "cx": place, "cy": "10", "r": "9"}))
        self._parts.append(node("text", {"class": "pin", "x": place, "y": "14"}, str(number)))

    def lane(self, start: float, end: float, number: int) -> None:
        """A region of that number may be repainted between these seconds."""
        top = self._bottom + 7
        self._span(start, end, top, _LANE - 5, "lane")
        place = min(self._axis.place(start), 97.0)
        self._parts.append(node("text", {"class": "lane", "x": _per_cent(place), "y": str(top + 10)}, str(number)))
        self._bottom += _LANE

    def drawn(self) -> Node:
        """The drawing, with its axis."""
        base = self._bottom + 10
        for place, label in self._axis.ticks():
            anchor = "start" if place < 3 else "end" if place > 97 else "middle"
            line = {
                "class": "tick",
                "x1": _per_cent(place),
                "x2": _per_cent(place),
                "y1": str(base),
                "y2": str(base + 5),
            }
            self._parts.append(node("line", line))
            text = {"class": "tick", "x": _per_cent(place), "y": str(base + 19), "text-anchor": anchor}
            self._parts.append(node("text", text, label))
        frame = {
            "class": "timeline",
            "role": "img",
            "aria-label": self._label,
            "width": "100%",
            "height": str(base + 24),
        }
        return node("svg", frame, *self._parts)

    def _span(self, start: float, end: float, top: int, height: int, kind: str) -> None:
        left = self._axis.place(start)
        width = max(self._axis.place(end) - left, _NARROWEST)
        self._parts.append(_box(min(left, 100 - width), width, top, height, kind))


def stage_chart(busy: Mapping[str, float], seconds: float, frames: int) -> Node:
    """Busy seconds by stage as bars against the run's `seconds`; the busiest comes first and stands out."""
    table = node("table", {"class": "stages"})
    heads = [node("th", {"scope": "col"}, text) for text in ("stage", "share of the run", "busy", "a frame")]
    table.append(node("thead", {}, node("tr", {}, *heads)))
    body = node("tbody", {})
    longest = max([seconds, *busy.values()])
    for stage, spent in sorted(busy.items(), key=lambda entry: -entry[1]):
        kind = "bar" if len(body) else "bar busiest"
        bar = node("svg", {"aria-hidden": "true", "width": "100%", "height": "14"})
        extend(bar, [_box(0, 100, 0, 14, "track"), _box(0, 100 * spent / longest, 0, 14, kind)])
        share = node("td", {"class": "share"}, bar, node("span", {}, f"{spent / seconds:.0%}"))
        figures = (f"{spent:.2f} s", f"{1000 * spent / max(frames, 1):.1f} ms")
        cells = [node("td", {"class": "figure"}, figure) for figure in figures]
        body.append(node("tr", {}, node("th", {"scope": "row"}, stage), share, *cells))
    table.append(body)
    return table


def lanes(regions: Sequence[Region], frames: int) -> list[tuple[int, Span]]:
    """Numbers, from 1, and frames of the regions that get a lane of their own below the timeline."""
    return [(number, frames_of(region, frames)) for number, region in enumerate(regions[:LANES], 1)]


def frames_of(region: Region, frames: int) -> Span:
    """The frames of the region in a video that turned out to have `frames`."""
    end = frames - 1
    return Span(min(region.first, end), end if region.last is None else min(region.last, end))


def _box(left: float, width: float, top: int, height: int, kind: str) -> Node:
    across = {"x": _per_cent(left), "width": _per_cent(width)}
    return node("rect", {"class": kind, "y": str(top), "height": str(height), "rx": "2", **across})


def _per_cent(value: float) -> str:
    return f"{value:.3f}%"
