"""The few shapes that charts are drawn with, as SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

_STYLE = "text{font:13px sans-serif;fill:#333}.grid{stroke:#e4e4e4}"


def blank(width: int, height: int, title: str, style: str) -> ET.Element:
    """An empty chart of that many pixels; `style` is CSS for the classes of its own shapes."""
    sizes = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **sizes})
    ET.SubElement(root, "style").text = _STYLE + style
    ET.SubElement(root, "title").text = title
    return root


def line(root: ET.Element, ends: tuple[float, float, float, float]) -> None:
    """A line of the grid: x and y of its two ends."""
    named = {key: f"{value:.1f}" for key, value in zip(("x1", "y1", "x2", "y2"), ends, strict=True)}
    ET.SubElement(root, "line", {"class": "grid", **named})


def dot(root: ET.Element, x: float, y: float, radius: float, name: str = "dot") -> None:
    """A disc of the class `name`."""
    ET.SubElement(root, "circle", {"class": name, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:.1f}"})


def write(root: ET.Element, x: float, y: float, text: str) -> None:
    """Text that begins at `x` and stands on `y`."""
    ET.SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}"}).text = text


def text_of(root: ET.Element) -> str:
    """The file's text."""
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
