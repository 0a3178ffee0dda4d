"""Speed against quality: a dot for each way, those joined that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from xml.etree import ElementTree as ET

from bench import _svg

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 110, 20, 50  # margins; the right one holds the name of the last dot
_STYLE = ".dot{fill:#8aa}.best{fill:#0a62c4}.front{fill:none;stroke:#0a62c4;stroke-width:1.5}"
_GRIDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # distances of the lines: the first that needs few
_MOST_LINES = 8


@dataclass(frozen=True, slots=True)
class Point:
    """One way."""

    name: str
    speed: float  # in times that of the first way
    decibels: float


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one equals or beats in both speed and decibels, by speed."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (-each.speed, -each.decibels)):
        if not best or point.decibels > best[-1].decibels:
            best.append(point)
    return best[::-1]


def drawn(points: Sequence[Point], title: str) -> str:
    """The chart as SVG: speed to the right, PSNR up."""
    across = _Axis.over([0.0, *(point.speed for point in points)], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.over([point.decibels for point in points], _HEIGHT - _BOTTOM, _TOP)
    root = _svg.blank(_WIDTH, _HEIGHT, title, _STYLE)
    for value in across.values():
        _svg.line(root, (across.at(value), _TOP, across.at(value), _HEIGHT - _BOTTOM))
        _svg.write(root, across.at(value) - 8, _HEIGHT - _BOTTOM + 18, f"{value:g}")
    for value in up.values():
        _svg.line(root, (_LEFT, up.at(value), _WIDTH - _RIGHT, up.at(value)))
        _svg.write(root, _LEFT - 48, up.at(value) + 4, f"{value:.2f}")
    _svg.write(root, _LEFT, _HEIGHT - 10, "speed, in times the first way's; up: in-hole PSNR, dB")
    best = front(points)
    path = " ".join(f"{across.at(point.speed):.1f},{up.at(point.decibels):.1f}" for point in best)
    ET.SubElement(root, "polyline", {"class": "front", "points": path})
    for point in points:
        x, y = across.at(point.speed), up.at(point.decibels)
        _svg.dot(root, x, y, 5, "best" if point in best else "dot")
        _svg.write(root, x + 8, y - 6, point.name)
    return _svg.text_of(root)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range of values, in whole steps of its grid, and where it lies."""

    low: int  # in steps
    high: int
    step: float
    begin: float  # pixels
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        span = max(values) - min(values)
        step = next((each for each in _GRIDS if span / each < _MOST_LINES), _GRIDS[-1])
        low, high = floor(min(values) / step), ceil(max(values) / step)
        return cls(low, max(high, low + 1), step, begin, end)

    def values(self) -> list[float]:
        return [number * self.step for number in range(self.low, self.high + 1)]

    def at(self, value: float) -> float:
        return self.begin + (value / self.step - self.low) / (self.high - self.low) * (self.end - self.begin)
