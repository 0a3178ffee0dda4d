"""Random masks: the published generator's statistics, its motion, and that they repeat."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from PIL import Image, ImageDraw

from calib import random_masks as rules
from calib.random_masks import random_hole, random_masks, random_shape
from tests.tolerances import TOLERANCE


def test_holes_are_as_large_as_the_published_ones() -> None:
    generator = np.random.default_rng(1)
    shapes = [random_shape(generator, 432, 240) for _ in range(1500)]
    areas = np.array([shape.sum() / (432 * 240) for shape in shapes])
    near = TOLERANCE["random masks", "share of the frame"]
    assert areas.mean() == pytest.approx(0.076, abs=near)
    low, high = np.percentile(areas, [5, 95])
    assert low == pytest.approx(0.029, abs=near)
    assert high == pytest.approx(0.146, abs=2 * near)
    box = np.mean([(shape.shape[0] / 240, shape.shape[1] / 432) for shape in shapes], axis=0)
    assert box == pytest.approx(0.37, abs=TOLERANCE["random masks", "share of a side"])


def test_half_of_them_move() -> None:
    generator = np.random.default_rng(2)
    moving = 0
    for _ in range(400):
        holes = random_hole(generator, 20, 432, 240)
        moving += bool(np.any(holes.places != holes.places[0]))
    assert moving / 400 == pytest.approx(0.5, abs=TOLERANCE["random masks", "share that moves"])


@pytest.mark.parametrize(("width", "height"), [(432, 240), (216, 120), (96, 200), (16, 16)])
def test_a_hole_keeps_its_shape_and_never_leaves_the_frame(width: int, height: int) -> None:
    generator = np.random.default_rng(3)
    for _ in range(20):
        holes = random_masks(generator, 40, width, height)
        assert holes.shape == (40, height, width)
        assert holes.dtype == np.bool_
        areas = holes.sum(axis=(1, 2))
        assert areas[0] > 0
        assert np.all(areas == areas[0])


def test_the_same_seed_gives_the_same_holes_and_few_frames_are_those_of_all() -> None:
    every = random_masks(np.random.default_rng(6), 30, 96, 64)
    assert np.any(every[2] != every[7])  # it moves
    assert np.array_equal(every, random_masks(np.random.default_rng(6), 30, 96, 64))
    assert not np.array_equal(every, random_masks(np.random.default_rng(5), 30, 96, 64))
    assert np.array_equal(random_hole(np.random.default_rng(6), 30, 96, 64).at((2, 7, 29)), every[[2, 7, 29]])


class Scripted:
    """A generator whose draws are written down."""

    def __init__(self, uniform: list[float], normal: list[float]) -> None:
        self._uniform, self._normal = uniform, normal

    def uniform(self, low: float, high: float) -> float:
        value = self._uniform.pop(0)
        assert low <= value <= high
        return value

    def normal(self, mean: float, spread: float, shape: tuple[int, int] | None = None) -> float | np.ndarray:
        return self._normal.pop(0) if shape is None else np.zeros(shape)


def test_motion_is_truncated_and_turns_where_the_border_is_met() -> None:
    down, left = 0.0, -np.pi / 2 + 2 * np.pi
    generator = cast(np.random.Generator, Scripted([2.9, down, left], [-1.5]))
    places = rules._wander(generator, (5, 4), (10, 8), 7)
    # 2.9 rows a frame count as 2; beyond row 10 it is put back and goes on with |-1.5| columns, which count as 1.
    assert places.tolist() == [[5, 4], [7, 4], [9, 4], [10, 4], [10, 3], [10, 2], [10, 1]]


def test_the_shape_is_drawn_as_pillow_draws_it_large() -> None:
    generator, finer = np.random.default_rng(6), 4
    for _ in range(5):
        outline = rules._outline(rules._random_controls(generator))
        large = Image.new("L", (finer * rules.CANVAS_WIDTH, finer * rules.CANVAS_HEIGHT))
        points = [(float(x), float(y)) for x, y in outline * finer - 0.5]
        draw = ImageDraw.Draw(large)
        draw.polygon(points, fill=255)
        draw.line([*points, *points[:2]], fill=255, width=round(2 * 100 / 72 * finer), joint="curve")
        expected = np.asarray(large.reduce(finer)) > 127
        found = rules._draw(outline) > 127
        assert np.mean(found != expected) / expected.mean() <= TOLERANCE["random masks", "share drawn otherwise"]


@pytest.mark.parametrize(("frames", "width", "height"), [(0, 96, 64), (5, 15, 64), (5, 96, 15)])
def test_what_has_no_room_for_a_hole_is_refused(frames: int, width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"masks of {frames} frames of {width}x{height}; wanted"):
        random_masks(np.random.default_rng(0), frames, width, height)
