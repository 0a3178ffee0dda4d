"""What the classical baselines paint, and what they may look at."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from calib.baselines import BASELINES, navier_stokes, telea, temporal_median
from runtime.frame import RGB, Hole
from tests.pictures import moving_holes, moving_pictures
from tests.tolerances import TOLERANCE

LENGTH, WIDTH, HEIGHT = 5, 64, 40


def flat(value: int, height: int = 24, width: int = 24) -> RGB:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("fill", [telea, navier_stokes])
def test_a_hole_in_flat_colour_gets_that_colour_and_the_rest_stays(fill: Callable[[RGB, Hole], RGB]) -> None:
    picture = flat(90)
    picture[:, :, 2] = 200
    hole = np.zeros((24, 24), np.bool_)
    hole[8:14, 9:15] = True
    damaged = picture.copy()
    damaged[hole] = 0
    filled = fill(damaged, hole)
    assert (filled[~hole] == picture[~hole]).all()
    assert np.abs(filled[hole].astype(int) - picture[hole]).max() <= TOLERANCE["telea", "levels on flat colour"]


@pytest.mark.parametrize(("fill", "how"), [(telea, cv2.INPAINT_TELEA), (navier_stokes, cv2.INPAINT_NS)])
def test_each_is_opencvs_of_its_name(fill: Callable[[RGB, Hole], RGB], how: int) -> None:
    (picture,), (hole,) = moving_pictures(1, WIDTH, HEIGHT), moving_holes(2, WIDTH, HEIGHT)[1:]
    assert (fill(picture, hole) == cv2.inpaint(picture, hole.astype(np.uint8), 3, how)).all()
    assert not (telea(picture, hole) == navier_stokes(picture, hole)).all()


@pytest.mark.parametrize("name", BASELINES)
def test_nothing_under_a_hole_is_looked_at_and_nothing_outside_is_changed(name: str) -> None:
    pictures, holes = moving_pictures(LENGTH, WIDTH, HEIGHT), moving_holes(LENGTH, WIDTH, HEIGHT)
    holes[2] = np.zeros_like(holes[2])
    garbled = [np.where(hole[..., None], np.uint8(7), picture) for picture, hole in zip(pictures, holes, strict=True)]
    filled = list(BASELINES[name](pictures, holes))
    again = list(BASELINES[name](garbled, holes))
    assert len(filled) == LENGTH
    for picture, hole, one, other in zip(pictures, holes, filled, again, strict=True):
        assert (one == other).all()
        assert (one[~hole] == picture[~hole]).all()
        assert one.dtype == np.uint8


def test_the_median_is_over_the_frames_that_show_a_pixel() -> None:
    pictures = [flat(value) for value in (10, 50, 11, 90)]
    holes = [np.zeros((24, 24), np.bool_) for _ in pictures]
    holes[0][3, 4] = True  # 11, 50 and 90 are left
    holes[1][5, 6] = holes[3][5, 6] = True  # 10 and 11: 10.5, to even
    filled = list(temporal_median(pictures, holes))
    assert (filled[0][3, 4] == 50).all()
    assert (filled[1][5, 6] == 10).all()
    assert (filled[3][5, 6] == 10).all()
    assert (filled[2] == pictures[2]).all()


def test_the_median_is_numpys_over_a_picture_of_several_blocks() -> None:
    generator = np.random.default_rng(3)
    pictures = list(generator.integers(0, 256, (6, 70, 9, 3)).astype(np.uint8))
    holes = list(generator.random((6, 70, 9)) < 0.4)
    for hole in holes:
        hole[0] = False
    holes[0][:, 1] = False  # so that every pixel is seen once
    seen = np.logical_and.reduce(holes)
    holes[0] &= ~seen
    levels = np.where(np.stack(holes)[..., None], np.nan, np.stack(pictures))
    middle = np.rint(np.nanmedian(levels, axis=0))
    for filled, hole in zip(temporal_median(pictures, holes), holes, strict=True):
        assert (filled[hole] == middle[hole]).all()


def test_what_no_frame_shows_is_filled_by_telea_frame_by_frame() -> None:
    pictures = [flat(40), flat(80)]
    hole = np.zeros((24, 24), np.bool_)
    hole[10:13, 10:13] = True
    filled = list(temporal_median(pictures, [hole, hole]))
    for got, picture in zip(filled, pictures, strict=True):
        assert (got == telea(picture, hole)).all()
    assert not (filled[0] == filled[1]).any()
