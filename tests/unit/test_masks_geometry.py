"""Holes shrunk, grown and spread, against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import PixelRule
from runtime.masks import cover, spread


def rule_of(width: int, height: int) -> PixelRule:
    return PixelRule(width, height, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    seed, density = draw(st.integers(0, 999)), draw(st.sampled_from([0.0, 0.01, 0.2, 1.0]))
    return np.random.default_rng(seed).random((rows, columns)) < density


@given(masks(), st.integers(1, 30), st.integers(1, 30))
def test_a_cell_is_hole_when_it_overlaps_a_masked_pixel(mask: np.ndarray, width: int, height: int) -> None:
    rows, columns = mask.shape
    wanted = np.zeros((height, width), np.bool_)
    for y, x in np.argwhere(mask):
        top, bottom = math.floor(y * height / rows), math.ceil((y + 1) * height / rows)
        left, right = math.floor(x * width / columns), math.ceil((x + 1) * width / columns)
        wanted[top:bottom, left:right] = True
    assert np.array_equal(cover(mask, rule_of(width, height), 0), wanted)


@given(masks(), st.integers(0, 6))
def test_dilation_reaches_as_many_steps_along_the_grid(mask: np.ndarray, iterations: int) -> None:
    rows, columns = mask.shape
    y, x = np.mgrid[0:rows, 0:columns]
    wanted = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        wanted |= abs(y - row) + abs(x - column) <= iterations
    assert np.array_equal(cover(mask, rule_of(columns, rows), iterations), wanted)


@given(masks(), st.integers(1, 30), st.integers(1, 30), st.integers(0, 3))
def test_the_spread_hole_holds_every_masked_pixel(mask: np.ndarray, width: int, height: int, dilate: int) -> None:
    hole = cover(mask, rule_of(width, height), dilate)
    wide = spread(hole, mask.shape[1], mask.shape[0])
    assert wide.shape == mask.shape
    assert not (mask & ~wide).any()


@given(masks())
def test_at_equal_sizes_both_ways_change_nothing(mask: np.ndarray) -> None:
    rows, columns = mask.shape
    assert np.array_equal(cover(mask, rule_of(columns, rows), 0), mask)
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
    cover(mask, rule_of(64, 48), 3)
    assert np.array_equal(mask, before)
