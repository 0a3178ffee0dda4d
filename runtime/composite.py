"""The network's pictures back into the source's frame (formulas: docs/bundle.md, Pixels, Composite)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime._composite.layers import Layer, Opacity, depth_of, layers_of, pieces
from runtime._composite.samples import write
from runtime.errors import UsageError
from runtime.frame import RGB, Frame, Hole
from runtime.grain import add_grain
from runtime.patch import Patch
from runtime.resize import Area

MAX_FEATHER = 255  # pixels; the ramp has 256 steps


@dataclass(frozen=True, slots=True)
class Finish:
    """How the fill meets the source; raises `UsageError` unless `feather` is 0 to `MAX_FEATHER`."""

    feather: int = 0  # pixels of the source by which the hole grows, the fill fading out on the way
    grain: bool = False  # whether the fill gets noise like that of the source around it

    def __post_init__(self) -> None:
        if not 0 <= self.feather <= MAX_FEATHER:
            raise UsageError(f"--feather {self.feather}: wanted 0 to {MAX_FEATHER} pixels")


def composite(frame: Frame, patches: Sequence[Patch], finish: Finish) -> Frame:
    """`frame` with the holes of `patches` filled.

    Samples outside the holes, spread to the frame's size, grown by the feather and for chroma to the chroma grid, are
    the frame's own, bit for bit; planes are copied before they are written.  Where holes of several patches overlap
    the result is their mean, weighted by how far from its crop's edge each one is.  Without a hole it is `frame`.
    """
    layers = layers_of(frame, patches, finish.feather)
    if not layers:
        return frame
    planes = tuple(plane.copy() for plane in frame.planes)
    fills = [layer.pixels() for layer in layers]
    depth = depth_of(finish.feather)
    done: list[tuple[Area, Opacity]] = []
    for area, numbers in pieces(layers):
        fill, opacity = _together(area, [layers[k] for k in numbers], [fills[k] for k in numbers])
        write(planes, frame, area, fill, opacity, depth)
        done.append((area, opacity))
    if finish.grain:
        add_grain(planes, frame, [layer.patch.crop for layer in layers], done, depth)
    return replace(frame, planes=planes)


def replaced(frame: Frame, patches: Sequence[Patch], feather: int) -> Hole:
    """What `composite` may change, `[H, W]` in the orientation of the planes.

    A chroma sample may change where it may for any of the luma samples that share it.
    """
    changed = np.zeros((frame.height, frame.width), np.bool_)
    for layer in layers_of(frame, patches, feather):
        area = layer.area
        changed[area.top : area.bottom, area.left : area.right] |= layer.opacity != 0
    return changed


def _together(area: Area, layers: list[Layer], fills: list[RGB]) -> tuple[RGB, Opacity]:
    """Fill and opacity over `area`, which every one of `layers` covers."""
    boxes = [
        np.s_[area.top - own.top : area.bottom - own.top, area.left - own.left : area.right - own.left]
        for own in (layer.area for layer in layers)
    ]
    if len(layers) == 1:
        return fills[0][boxes[0]], layers[0].opacity[boxes[0]]
    shape = (area.bottom - area.top, area.right - area.left)
    total, weights = np.zeros((*shape, 3)), np.zeros(shape)  # whole numbers below 2**53: doubles hold them exactly
    opacity = np.zeros(shape, layers[0].opacity.dtype)
    for layer, fill, box in zip(layers, fills, boxes, strict=True):
        weight = layer.weight()[box]
        total += weight[..., None] * fill[box]
        weights += weight
        np.maximum(opacity, layer.opacity[box], out=opacity)
    weights[weights == 0] = 1
    mean = np.floor((2 * total + weights[..., None]) / (2 * weights[..., None]))
    return mean.astype(np.uint8), opacity
