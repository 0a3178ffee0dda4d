"""Pillow's resize as the documented formula gives it, and an area as the crop of the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.resize import Area, nearest_cells, resize_area, resize_plane
from tests.tolerances import TOLERANCE

sizes = st.integers(1, 70)


def cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def weights(source: int, size: int) -> list[tuple[int, list[float]]]:
    """First source sample and weights for every resized sample, as docs/bundle.md writes them."""
    scale = source / size
    stretch = max(scale, 1.0)
    support = 2 * stretch
    rows: list[tuple[int, list[float]]] = []
    for index in range(size):
        centre = (index + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(source, int(centre + support + 0.5))
        taps = [cubic((sample - centre + 0.5) * (1 / stretch)) for sample in range(first, last)]
        total = sum(taps)
        rows.append((first, [tap / total for tap in taps]))
    return rows


def resize_axis(samples: np.ndarray, size: int) -> np.ndarray:
    """The last axis of 8-bit samples at `size`, in fixed point with 22 bits, as docs/bundle.md writes it."""
    if samples.shape[-1] == size:
        return samples
    columns = []
    for first, taps in weights(samples.shape[-1], size):
        whole = np.array([math.floor(abs(tap) * (1 << 22) + 0.5) * (1 if tap > 0 else -1) for tap in taps])
        total = (samples[..., first : first + len(taps)].astype(np.int64) * whole).sum(axis=-1) + (1 << 21)
        columns.append(np.clip(total >> 22, 0, 255))
    return np.stack(columns, axis=-1).astype(np.uint8)


def documented_resize(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    return resize_axis(resize_axis(plane, width).T, height).T


def whole_resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    across = Image.fromarray(rgb).resize((width, rgb.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(across.resize((width, height), Image.Resampling.BICUBIC))


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.integers(0, 99))
def test_eight_bit_planes_follow_the_documented_formula_to_the_byte(
    rows: int, columns: int, width: int, height: int, seed: int
) -> None:
    plane = np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)
    assert np.array_equal(resize_plane(plane, width, height, 8), documented_resize(plane, width, height))


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("size", [(20, 9), (64, 48), (31, 22)])
def test_deep_planes_follow_the_same_weights_in_floating_point(bits: int, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(bits).integers(0, 1 << bits, (22, 31)).astype(np.uint16)
    across = np.stack(
        [plane[:, first : first + len(taps)] @ np.array(taps) for first, taps in weights(31, size[0])], axis=-1
    )
    both = np.stack([np.array(taps) @ across[first : first + len(taps)] for first, taps in weights(22, size[1])])
    got = resize_plane(plane, *size, bits)
    assert got.dtype == np.uint16
    assert got.max() <= (1 << bits) - 1
    off = np.abs(got.astype(float) - np.clip(both, 0, (1 << bits) - 1))
    assert off.max() <= TOLERANCE["resize", "deep samples"]


def test_a_plane_of_the_right_size_is_not_touched() -> None:
    plane = np.zeros((5, 7), np.uint8)
    assert resize_plane(plane, 7, 5, 8) is plane


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_an_area_is_the_crop_of_the_whole(data: st.DataObject) -> None:
    columns, rows = data.draw(st.integers(4, 48)), data.draw(st.integers(4, 48))
    width, height = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 150))
    rgb = np.random.default_rng(7).integers(0, 256, (rows, columns, 3)).astype(np.uint8)
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    whole = whole_resize(rgb, width, height)
    got = resize_area(rgb, width, height, Area(left, top, right, bottom))
    assert np.array_equal(got, whole[top:bottom, left:right])


@pytest.mark.parametrize(
    ("size", "area"),
    [
        ((1920, 1080), Area(301, 77, 690, 402)),
        ((1280, 720), Area(1, 1, 1279, 3)),
        ((1279, 719), Area(640, 300, 700, 310)),
        ((720, 404), Area(11, 13, 12, 14)),
    ],
)
def test_an_area_is_the_crop_of_the_whole_at_real_sizes(size: tuple[int, int], area: Area) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (240, 432, 3)).astype(np.uint8)
    whole = whole_resize(rgb, *size)
    got = resize_area(rgb, *size, area)
    assert np.array_equal(got, whole[area.top : area.bottom, area.left : area.right])


@given(st.integers(1, 400), st.integers(1, 400))
def test_nearest_cells_hold_the_pixels_centres(size: int, cells: int) -> None:
    wanted = [math.floor((x + 0.5) * cells / size) for x in range(size)]
    assert nearest_cells(size, cells).tolist() == wanted
