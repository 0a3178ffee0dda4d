"""A roofline: how near each kind of layer comes to what the machine can do at its ratio of operations to bytes.

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree import ElementTree as ET

from bench import _svg
from bench.ceilings import Ceilings

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 20, 50  # margins; the right one holds the names of the roofs
_STYLE = ".roof{fill:none;stroke:#888;stroke-width:1.5}.dot{fill:#0a62c4;fill-opacity:.75}"


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of layer."""

    name: str
    intensity: float  # operations a byte
    rate: float  # operations a second
    share: float  # of the stage's time, 0 to 1; the area of its dot


def drawn(points: Sequence[Point], ceilings: Ceilings, title: str) -> str:
    """The chart as SVG."""
    plane = _Plane.around(points, ceilings)
    root = _svg.blank(_WIDTH, _HEIGHT, title, _STYLE)
    plane.draw_axes(root)
    for kind, most in ceilings.operations.items():
        plane.draw_roof(root, f"{kind}: {most / 1e9:.0f} Gop/s", most, ceilings.bytes_moved)
    for point in points:
        x, y = plane.x(point.intensity), plane.y(point.rate)
        radius = 3 + 22 * point.share**0.5
        _svg.dot(root, x, y, radius)
        _svg.write(root, x + radius + 4, y + 4, f"{point.name} {point.share:.0%}")
    return _svg.text_of(root)


@dataclass(frozen=True, slots=True)
class _Plane:
    """Powers of ten at the edges of the drawing."""

    left: int
    right: int
    bottom: int
    top: int

    @classmethod
    def around(cls, points: Sequence[Point], ceilings: Ceilings) -> _Plane:
        ridge = max(ceilings.operations.values()) / ceilings.bytes_moved
        across = [ridge, *(point.intensity for point in points)]
        up = [max(ceilings.operations.values()), *(point.rate for point in points)]
        return cls(floor(log10(min(across))), ceil(log10(max(across))), floor(log10(min(up))), ceil(log10(max(up))))

    def x(self, intensity: float) -> float:
        return _LEFT + (log10(intensity) - self.left) / (self.right - self.left) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, rate: float) -> float:
        return _TOP + (self.top - log10(rate)) / (self.top - self.bottom) * (_HEIGHT - _TOP - _BOTTOM)

    def draw_axes(self, root: ET.Element) -> None:
        floor_y, end_x = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        for power in range(self.left, self.right + 1):
            x = self.x(10**power)
            _svg.line(root, (x, _TOP, x, floor_y))
            _svg.write(root, x - 8, floor_y + 18, f"{10.0**power:g}")
        for power in range(self.bottom, self.top + 1):
            y = self.y(10**power)
            _svg.line(root, (_LEFT, y, end_x, y))
            _svg.write(root, _LEFT - 45, y + 4, f"{10.0 ** (power - 9):g}")
        _svg.write(root, _LEFT, _HEIGHT - 10, "operations a byte; up: Gop/s; a dot's area: share of the time")

    def draw_roof(self, root: ET.Element, name: str, most: float, bytes_moved: float) -> None:
        """Up along the memory's slope, then level."""
        begin = max(10.0**self.left, 10.0**self.bottom / bytes_moved)
        ends = [(begin, begin * bytes_moved), (most / bytes_moved, most), (10.0**self.right, most)]
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in ends)
        ET.SubElement(root, "polyline", {"class": "roof", "points": path})
        _svg.write(root, _WIDTH - _RIGHT + 6, self.y(most) + 4, name)
