"""How pictures move: estimated from them, or known because a camera move was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import RGB

Flow = npt.NDArray[np.float32]  # [H, W, 2], pixels right and down

STEP = (3.3, 1.1)  # pixels that the made camera goes right and down from frame to frame
_MARGIN = 2  # pixels that cubic interpolation reads beyond a window


@dataclass(frozen=True, slots=True)
class Motion:
    """How a picture came from the one before it."""

    flow: Flow  # from each pixel to where its content lay in the picture before
    visible: npt.NDArray[np.bool_]  # [H, W], whether it could be seen there


def estimated_motions(pictures: Sequence[RGB]) -> Iterator[Motion]:
    """The motion into every picture but the first, by dense inverse search in both directions on the grey pictures.

    A pixel counts as hidden in the picture before where the two directions disagree,
    `|there + back|^2 > 0.01 (|there|^2 + |back|^2) + 0.5`, and on a boundary of the motion,
    `|grad u|^2 + |grad v|^2 > 0.01 |there|^2 + 0.002`.  Pictures uint8 `[H, W, 3]`, all of one size.  Sources:
    T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016 (OpenCV's, preset medium); N. Sundaram
    et al., "Dense Point Trajectories by GPU-Accelerated Large Displacement Optical Flow", ECCV 2010, section 3.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures)
    for before, now in pairwise(greys):
        nowhere = np.zeros((*now.shape, 2), np.float32)
        there = np.asarray(search.calc(now, before, nowhere), np.float32)
        back = np.asarray(search.calc(before, now, np.zeros_like(nowhere)), np.float32)
        yield Motion(there, _visible(there, back))


def camera_move(picture: RGB, size: tuple[int, int], count: int) -> tuple[list[RGB], list[Motion]]:
    """A window of `size`, width and height, on its straight way over a picture, and the motion into all but the first.

    The picture is first enlarged or shrunk until the way of `count` frames just fits.  The truth's own warping error is
    not zero: interpolation softens every frame differently, which is what it then measures.
    """
    needed = [side + step * (count - 1) + 2 * _MARGIN for side, step in zip(size, STEP, strict=True)]
    scale = max(needed[0] / picture.shape[1], needed[1] / picture.shape[0])
    whole = tuple(int(np.ceil(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    wide = cv2.resize(picture, whole, interpolation=how)
    windows: list[RGB] = []
    for frame in range(count):
        x, y = (_MARGIN + step * frame for step in STEP)
        place = np.array([[1, 0, x], [0, 1, y]], np.float64)
        window = cv2.warpAffine(wide, place, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        windows.append(np.asarray(window, np.uint8))
    flow = np.broadcast_to(np.array(STEP, np.float32), (size[1], size[0], 2))
    known = Motion(flow, np.ones((size[1], size[0]), np.bool_))
    return windows, [known] * (count - 1)


def _visible(there: Flow, back: Flow) -> npt.NDArray[np.bool_]:
    rows, columns = there.shape[:2]
    x = there[..., 0] + np.arange(columns, dtype=np.float32)
    y = there[..., 1] + np.arange(rows, dtype=np.float32)[:, None]
    returned = np.asarray(cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
    apart = _square(there + returned)
    agree = apart <= 0.01 * (_square(there) + _square(returned)) + 0.5
    down = np.gradient(there, axis=0)
    across = np.gradient(there, axis=1)
    smooth = _square(down) + _square(across) <= 0.01 * _square(there) + 0.002
    return np.asarray(agree & smooth, np.bool_)


def _square(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (flow * flow).sum(axis=-1)
