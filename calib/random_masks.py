"""Random holes that stand still or wander: what the network is trained with, and one of the evaluation's mask sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import Hole

Holes = npt.NDArray[np.bool_]  # [T, H, W], True where pixels are to be replaced
Points = npt.NDArray[np.float64]  # [points, 2], x before y

SMALLEST = 16  # pixels a side; a third of less is no shape any more

# The published program draws with matplotlib, whose default figure these are.
CANVAS_WIDTH, CANVAS_HEIGHT = 640, 480
AXES_LEFT, AXES_RIGHT, AXES_BOTTOM, AXES_TOP = 0.125, 0.9, 0.11, 0.88  # shares of the canvas
MARGIN = 1.1  # both axes' limits over the least and the greatest of all coordinates
# Canvas pixels that the outline, 2 points at 100 dots an inch, adds around the shape; OpenCV's filling adds half a one.
# So drawn, 0.4 % of a hole's pixels differ from matplotlib's (50 shapes, 0.7 % in the worst).
OUTLINE = 2 / 2 * 100 / 72 - 0.5

CORNERS, BULGES = (6, 8), (0.6, 0.7, 0.8)  # corners from and to; largest excursion from the unit circle
STEPS = 24  # straight pieces that a cubic is drawn with: they leave it by less than 0.2 canvas pixels
FIXED = 8  # binary places of a coordinate when it is drawn

SPEED_LOW, SPEED_HIGH = 1.0, 3.0  # pixels a frame at the start: what numpy's uniform(3), whose high end is 1, gives
SPEED_SPREAD, ANGLE_SPREAD = 1.5, 0.25  # standard deviations of a frame's change: pixels a frame, radians


@dataclass(frozen=True, slots=True)
class WanderingHole:
    """One shape and where it is in each frame of a clip."""

    shape: Hole  # [h, w], smaller than the frame
    places: npt.NDArray[np.intp]  # [frames of the clip, 2], row and column of the shape's corner
    width: int  # of the frame
    height: int

    def at(self, indices: Sequence[int]) -> Holes:
        """The holes of those frames of the clip, `[len(indices), H, W]`."""
        holes = np.zeros((len(indices), self.height, self.width), np.bool_)
        rows, columns = self.shape.shape
        for hole, index in zip(holes, indices, strict=True):
            row, column = self.places[index]
            hole[row : row + rows, column : column + columns] = self.shape
        return holes


def random_masks(generator: np.random.Generator, frames: int, width: int, height: int) -> Holes:
    """The holes of `frames` successive frames, `[T, H, W]`: one random shape, at rest or wandering with p = 1/2 each.

    Source: STTN's `create_random_shape_with_random_motion`.  At 432x240 a hole covers 7.6 % of the frame on average.
    Speeds are in pixels a frame whatever the size.  Raises `ValueError` below 16 pixels a side or one frame.
    """
    return random_hole(generator, frames, width, height).at(range(frames))


def random_hole(generator: np.random.Generator, frames: int, width: int, height: int) -> WanderingHole:
    """As `random_masks`, drawn only for the frames that are asked for."""
    if min(width, height) < SMALLEST or frames < 1:
        raise ValueError(
            f"masks of {frames} frames of {width}x{height}; wanted a frame and {SMALLEST} pixels a side at least"
        )
    shape = random_shape(generator, width, height)
    legal: tuple[int, int] = (height - shape.shape[0], width - shape.shape[1])
    place = (int(generator.integers(legal[0] + 1)), int(generator.integers(legal[1] + 1)))
    if generator.random() < 0.5:
        places = np.tile(np.array(place, np.intp), (frames, 1))
    else:
        places = _wander(generator, place, legal, frames)
    return WanderingHole(shape, places, width, height)


def random_shape(generator: np.random.Generator, width: int, height: int) -> Hole:
    """A closed chain of cubic curves, filled: `[h, w]`, cut to the hole's box, smaller than `[height, width]`."""
    while True:
        columns = int(generator.integers(width // 3, width))
        rows = int(generator.integers(height // 3, height))
        drawn = _draw(_outline(_random_controls(generator)))
        # A pixel is in the hole where it is fully black: bilinear, as there, so all that it mixes must be covered.
        hole: Hole = np.asarray(cv2.resize(drawn, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8) == 255
        lines, places = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        # The box goes without its last row and column, as Pillow's crop has it there.
        cut = hole[lines[0] : lines[-1], places[0] : places[-1]] if lines.size and places.size else hole[:0]
        if cut.any():  # only in the smallest sizes may a shape fall between the pixels
            return cut


def _random_controls(generator: np.random.Generator) -> Points:
    """Control points of a closed chain of cubics around the origin, `[3 n + 1, 2]`; every third is a corner on it."""
    corners = int(generator.integers(CORNERS[0], CORNERS[1] + 1))
    bulge = BULGES[int(generator.integers(len(BULGES)))]
    angles = np.linspace(0, 2 * pi, 3 * corners + 1)
    radii = 1 - bulge + 2 * bulge * generator.random(3 * corners + 1)
    controls = np.stack((np.cos(angles), np.sin(angles)), axis=1) * radii[:, None]
    controls[-1] = controls[0]
    return controls


def _outline(controls: Points) -> Points:
    """The chain as a polygon in canvas pixels, `[corners * STEPS, 2]`."""
    last = len(controls) - 1
    pieces = np.stack([controls[first : first + last : 3] for first in range(4)], axis=1)  # [corners, 4, 2]
    outline = (_bernstein() @ pieces).reshape(-1, 2)
    low, high = MARGIN * controls.min(), MARGIN * controls.max()
    share = (outline - low) / (high - low)
    x = CANVAS_WIDTH * (AXES_LEFT + (AXES_RIGHT - AXES_LEFT) * share[:, 0])
    y = CANVAS_HEIGHT * (1 - AXES_BOTTOM - (AXES_TOP - AXES_BOTTOM) * share[:, 1])
    return np.stack((x, y), axis=1)


@lru_cache(maxsize=1)
def _bernstein() -> Points:
    """Weights of a cubic's four control points, `[STEPS, 4]`; the end belongs to the next piece."""
    t = np.arange(STEPS) / STEPS
    weights = np.stack(((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3), axis=1)
    weights.setflags(write=False)  # the cache hands out one array
    return weights


def _draw(outline: Points) -> npt.NDArray[np.uint8]:
    """How much of each pixel of the canvas the shape and its outline cover, 0 to 255."""
    along = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1 / (1 << FIXED))
    outwards = np.stack((-along[:, 1], along[:, 0]), axis=1) / length[:, None]  # clockwise, as rows go down
    # Drawing counts from the pixels' centres.  The curve winds once around the origin: odd-even is what nonzero is.
    points = np.rint((outline + OUTLINE * outwards - 0.5) * (1 << FIXED)).astype(np.int32)
    canvas = np.zeros((CANVAS_HEIGHT, CANVAS_WIDTH), np.uint8)
    cv2.fillPoly(canvas, [points], (255.0,), cv2.LINE_AA, FIXED)
    return canvas


def _wander(
    generator: np.random.Generator, place: tuple[int, int], legal: tuple[int, int], frames: int
) -> npt.NDArray[np.intp]:
    """Rows and columns `[frames, 2]` from `place` on, each from 0 to `legal`; at the border a new velocity."""
    places = np.empty((frames, 2), np.intp)
    speed, angle = generator.uniform(SPEED_LOW, SPEED_HIGH), generator.uniform(0, 2 * pi)
    changes = generator.normal(0, (SPEED_SPREAD, ANGLE_SPREAD), (frames, 2))
    row, column = places[0] = place
    for index in range(1, frames):
        row, column = row + int(speed * cos(angle)), column + int(speed * sin(angle))
        speed, angle = speed + changes[index, 0], angle + changes[index, 1]
        if not (0 <= row <= legal[0] and 0 <= column <= legal[1]):
            speed, angle = abs(generator.normal(0, SPEED_SPREAD)), generator.uniform(0, 2 * pi)
        row, column = min(max(row, 0), legal[0]), min(max(column, 0), legal[1])
        places[index] = row, column
    return places
