"""Holes shrunk to the network's grid, grown, turned and spread, against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import PixelRule
from runtime.holes import cover, spread
from runtime.patch import Crop


def rule_of(width: int, height: int) -> PixelRule:
    return PixelRule(width, height, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)


def covered(mask: np.ndarray, width: int, height: int, dilate: int) -> np.ndarray:
    """`cover` of the whole picture, as an array even where nothing is masked."""
    hole = cover(mask, whole(mask), rule_of(width, height), dilate)
    assert (hole is None) == (not mask.any())
    return np.zeros((height, width), np.bool_) if hole is None else hole


def whole(mask: np.ndarray) -> Crop:
    return Crop(0, 0, mask.shape[1], mask.shape[0])


@st.composite
def masks(draw: st.DrawFn, smallest: int = 1) -> np.ndarray:
    rows, columns = draw(st.integers(smallest, 40)), draw(st.integers(smallest, 40))
    seed, density = draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 0.01, 0.2, 1.0]))
    return np.random.default_rng(seed).random((rows, columns)) < density


@st.composite
def crops(draw: st.DrawFn, mask: np.ndarray) -> Crop:
    rows, columns = mask.shape
    left, top = draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))
    width, height = draw(st.integers(1, columns - left)), draw(st.integers(1, rows - top))
    return Crop(left, top, width, height, draw(st.integers(0, 3)))


@given(masks(), st.integers(1, 30), st.integers(1, 30))
def test_a_cell_is_hole_when_it_overlaps_a_masked_pixel(mask: np.ndarray, width: int, height: int) -> None:
    rows, columns = mask.shape
    wanted = np.zeros((height, width), np.bool_)
    for y, x in np.argwhere(mask):
        top, bottom = math.floor(y * height / rows), math.ceil((y + 1) * height / rows)
        left, right = math.floor(x * width / columns), math.ceil((x + 1) * width / columns)
        wanted[top:bottom, left:right] = True
    assert np.array_equal(covered(mask, width, height, 0), wanted)


@given(masks(), st.integers(0, 6))
def test_dilation_reaches_as_many_steps_along_the_grid(mask: np.ndarray, iterations: int) -> None:
    rows, columns = mask.shape
    y, x = np.mgrid[0:rows, 0:columns]
    wanted = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        wanted |= abs(y - row) + abs(x - column) <= iterations
    assert np.array_equal(covered(mask, columns, rows, iterations), wanted)


@settings(deadline=None)
@given(st.data(), masks(), st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_a_crop_sees_what_its_cells_overlap_and_what_grows_into_it(
    data: st.DataObject, mask: np.ndarray, width: int, height: int, dilate: int
) -> None:
    crop = data.draw(crops(mask))
    hole = cover(mask, crop, rule_of(width, height), dilate)
    if not mask[crop.top : crop.bottom, crop.left : crop.right].any():
        assert hole is None
        return
    assert hole is not None
    columns, rows = (height, width) if crop.turns % 2 else (width, height)
    wanted = np.zeros((rows, columns), np.bool_)
    for row, column in np.argwhere(mask):
        # exact cells of a pixel: those with floor(j length / cells) <= pixel < ceil((j + 1) length / cells)
        down, across = cells_of(row - crop.top, crop.height, rows), cells_of(column - crop.left, crop.width, columns)
        for y, x in np.ndindex(rows, columns):
            steps = min(abs(y - j) for j in down) + min(abs(x - i) for i in across)
            wanted[y, x] |= steps <= dilate
    assert np.array_equal(hole, np.rot90(wanted, crop.turns))


def cells_of(pixel: int, length: int, cells: int) -> range:
    first = math.floor(pixel * cells / length)
    return range(first, math.ceil((pixel + 1) * cells / length))


@given(masks(smallest=8))
def test_crops_side_by_side_cut_one_hole_to_the_same_shape(mask: np.ndarray) -> None:
    rows, columns = mask.shape
    middle = columns // 2
    wanted = covered(mask, columns, rows, 2)
    for crop in (Crop(0, 0, middle, rows), Crop(middle, 0, columns - middle, rows)):
        hole = cover(mask, crop, rule_of(crop.width, rows), 2)
        if hole is not None:
            assert np.array_equal(hole, wanted[:, crop.left : crop.right])


@given(st.data(), masks(), st.integers(1, 30), st.integers(1, 30), st.integers(0, 3))
def test_the_spread_hole_holds_every_masked_pixel_of_the_crop(
    data: st.DataObject, mask: np.ndarray, width: int, height: int, dilate: int
) -> None:
    crop = data.draw(crops(mask))
    hole = cover(mask, crop, rule_of(width, height), dilate)
    inside = mask[crop.top : crop.bottom, crop.left : crop.right]
    if hole is not None:
        wide = spread(np.rot90(hole, -crop.turns), crop.width, crop.height)
        assert wide.shape == inside.shape
        assert not (inside & ~wide).any()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_crop_sees_the_turned_mask(turns: int) -> None:
    mask = np.random.default_rng(2).random((30, 50)) < 0.02
    crop = Crop(10, 4, 24, 20, turns)
    upright = np.rot90(mask[crop.top : crop.bottom, crop.left : crop.right], turns)
    rule = rule_of(*upright.shape[::-1])
    hole = cover(mask, crop, rule, 0)
    assert hole is not None
    assert np.array_equal(hole, upright)


@given(masks())
def test_at_equal_sizes_both_ways_change_nothing(mask: np.ndarray) -> None:
    rows, columns = mask.shape
    assert np.array_equal(covered(mask, columns, rows, 0), mask)
    assert np.array_equal(spread(mask, columns, rows), mask)


@settings(max_examples=50)
@given(masks(), st.integers(1, 60), st.integers(1, 60))
def test_a_spread_pixel_takes_the_cell_of_its_centre(hole: np.ndarray, width: int, height: int) -> None:
    wide = spread(hole, width, height)
    for y in range(height):
        row = math.floor((y + 0.5) * hole.shape[0] / height)
        wanted = [hole[row, math.floor((x + 0.5) * hole.shape[1] / width)] for x in range(width)]
        assert wide[y].tolist() == wanted


def test_covering_leaves_the_mask_as_it_was() -> None:
    mask = np.random.default_rng(5).random((48, 64)) < 0.1
    before = mask.copy()
    cover(mask, whole(mask), rule_of(64, 48), 3)
    assert np.array_equal(mask, before)
