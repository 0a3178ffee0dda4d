"""The calibration report's pictures and small drawings."""

from __future__ import annotations

import math

import cv2
import numpy as np

from calib.histogram import Histogram
from runtime._report.markup import Node, node, picture_url
from runtime.frame import RGB, Hole
from runtime.stills import HOLE_COLOUR

_QUALITY = 90  # of JPEG
_TINT = 0.6  # the hole's colour over the picture
_HEIGHT = 22  # pixels of a histogram


def panel(picture: RGB, caption: str) -> Node:
    """A picture, uint8 `[H, W, 3]`, with its caption."""
    _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    image = node("img", {"src": picture_url(content.tobytes(), "jpeg"), "alt": caption})
    return node("figure", {}, image, node("figcaption", {}, caption))


def masked(picture: RGB, hole: Hole) -> RGB:
    """The picture with its hole `[H, W]` tinted."""
    shown = picture.copy()
    shown[hole] = ((1 - _TINT) * picture[hole] + _TINT * np.array(HOLE_COLOUR)).astype(np.uint8)
    return shown


def bar(share: float, kind: str) -> Node:
    """A bar of `share`, 0 to 1, of the width that is there."""
    track = node("rect", {"class": "track", "width": "100%", "height": "14", "rx": "2"})
    filled = node("rect", {"class": kind, "width": f"{100 * min(share, 1.0):.2f}%", "height": "14", "rx": "2"})
    return node("svg", {"aria-hidden": "true"}, track, filled)


def shape_of(histogram: Histogram) -> Node:
    """How many values each octave holds, of all rows, on a logarithmic scale."""
    octaves = histogram.counts[:, 1:].sum(axis=0).reshape(histogram.grid.octaves, -1).sum(axis=1)
    highest = math.log1p(max(int(octaves.max()), 1))
    width = 128 / len(octaves)
    drawn = node("svg", {"aria-hidden": "true", "viewBox": f"0 0 128 {_HEIGHT}"})
    for place, count in enumerate(octaves.tolist()):
        height = _HEIGHT * math.log1p(count) / highest
        box = {"x": f"{place * width:.2f}", "y": f"{_HEIGHT - height:.2f}", "height": f"{height:.2f}"}
        drawn.append(node("rect", {"class": "shape", "width": f"{width - 1:.2f}", **box}))
    return drawn
