"""Whole-number colour conversion against H.273 written out in double precision, and against libswscale."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.colour import (
    WEIGHTS,
    from_rgb_table,
    luma_from_rgb,
    resolve_matrix,
    rgb_from_planes,
    scale_of,
    weigh,
)
from runtime.errors import InputError
from runtime.frame import Colour
from tests.clips import picture_from
from tests.tolerances import TOLERANCE

matrices = st.sampled_from(sorted(WEIGHTS))
depths = st.sampled_from([8, 9, 10, 12, 14, 16])


def exact_rgb(planes: tuple[np.ndarray, ...], kr: float, kb: float, full: bool, bits: int) -> np.ndarray:
    """H.273 equations in doubles, RGB on 0..255, unrounded."""
    y, u, v = (plane.astype(float) for plane in planes)
    peak = 2.0**bits - 1
    unit = 2.0 ** (bits - 8)
    luma = y / peak if full else (y - 16 * unit) / (219 * unit)
    chroma_unit = peak if full else 224 * unit
    pb = (u - 2.0 ** (bits - 1)) / chroma_unit
    pr = (v - 2.0 ** (bits - 1)) / chroma_unit
    red = luma + 2 * (1 - kr) * pr
    blue = luma + 2 * (1 - kb) * pb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return 255 * np.clip(np.stack([red, green, blue], axis=-1), 0, 1)


def random_planes(seed: int, bits: int, count: int = 3) -> tuple[np.ndarray, ...]:
    samples = np.random.default_rng(seed).integers(0, 1 << bits, (count, 16, 24))
    return tuple(samples.astype(np.uint8 if bits == 8 else np.uint16))


@given(matrices, st.booleans(), depths, st.integers(0, 999))
def test_rgb_is_the_formula_rounded(matrix: int, full: bool, bits: int, seed: int) -> None:
    planes = random_planes(seed, bits)
    kr, kb = map(float, WEIGHTS[matrix])
    wanted = exact_rgb(planes, kr, kb, full, bits)
    got = rgb_from_planes(planes, Colour(matrix, 2, 2, full), (100, 100), bits)
    assert got.dtype == np.uint8
    assert np.abs(got - wanted).max() <= TOLERANCE["colour", "rgb"]


@given(matrices, st.booleans(), depths, st.integers(0, 999))
def test_sixteen_bit_rgb_is_the_formula_to_a_few_levels(matrix: int, full: bool, bits: int, seed: int) -> None:
    planes = random_planes(seed, bits)
    kr, kb = map(float, WEIGHTS[matrix])
    wanted = exact_rgb(planes, kr, kb, full, bits) * 257
    got = rgb_from_planes(planes, Colour(matrix, 2, 2, full), (100, 100), bits, peak=65535)
    assert got.dtype == np.uint16
    assert np.abs(got - wanted).max() <= TOLERANCE["colour", "rgb16"]


@given(matrices, st.booleans(), depths, st.integers(0, 999))
def test_luma_and_chroma_are_the_inverse_formula_rounded(matrix: int, full: bool, bits: int, seed: int) -> None:
    red, green, blue = (plane.astype(float) for plane in random_planes(seed, 8))
    kr, kb = map(float, WEIGHTS[matrix])
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    unit, peak = 2.0 ** (bits - 8), 2.0**bits - 1
    wanted_y = luma / 255 * peak if full else luma / 255 * 219 * unit + 16 * unit
    span = peak if full else 224 * unit
    wanted_u = (blue - luma) / (2 * (1 - kb)) / 255 * span
    wanted_v = (red - luma) / (2 * (1 - kr)) / 255 * span
    table = from_rgb_table(matrix, full, bits)
    r8, g8, b8 = random_planes(seed, 8)
    loose = TOLERANCE["colour", "coefficients"] * 2.0 ** (bits - 16)
    assert np.abs(luma_from_rgb(r8, g8, b8, table) - wanted_y).max() <= 0.5 + loose
    for weights, wanted in ((table.u, wanted_u), (table.v, wanted_v)):
        got = weigh(r8, g8, b8, weights) / (1 << table.shift)
        assert np.abs(got - wanted).max() <= loose


@given(matrices, st.booleans(), depths)
def test_white_black_and_greys_stay_neutral(matrix: int, full: bool, bits: int) -> None:
    table, scale = from_rgb_table(matrix, full, bits), scale_of(bits, full)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    luma = luma_from_rgb(grey, grey, grey, table)
    assert luma[0, 0] == scale.black
    assert luma[-1, -1] == scale.black + scale.luma
    assert not weigh(grey, grey, grey, table.u).any()
    assert not weigh(grey, grey, grey, table.v).any()


@given(matrices, st.booleans(), st.integers(0, 999))
def test_rgb_survives_the_way_through_deep_samples(matrix: int, full: bool, seed: int) -> None:
    red, green, blue = random_planes(seed, 8)
    table = from_rgb_table(matrix, full, 12)
    half = 1 << (table.shift - 1)
    chroma = [
        np.clip(((weigh(red, green, blue, weights) + half) >> table.shift) + table.scale.neutral, 0, table.scale.peak)
        for weights in (table.u, table.v)
    ]
    planes = tuple(plane.astype(np.uint16) for plane in (luma_from_rgb(red, green, blue, table), *chroma))
    got = rgb_from_planes(planes, Colour(matrix, 2, 2, full), (100, 100), 12)
    assert np.array_equal(got, np.stack([red, green, blue], axis=-1))


OLD_PYAV = pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="PyAV before 18 gives libswscale other coefficients for BT.2020"
)


@pytest.mark.parametrize("matrix", [1, 6, pytest.param(9, marks=OLD_PYAV)])
@pytest.mark.parametrize("full", [False, True])
def test_rgb_is_near_what_libswscale_gives(matrix: int, full: bool) -> None:
    smooth = np.linspace(30, 220, 32 * 64).reshape(32, 64)
    planes = tuple(plane.astype(np.uint8) for plane in (smooth, smooth[::-1] * 0.5 + 60, smooth[:, ::-1] * 0.5 + 70))
    picture = picture_from(planes, "yuv444p")
    picture.color_range = 2 if full else 1
    swscale_numbers = {1: 1, 6: 5, 9: 9}
    converted = picture.reformat(
        format="rgb24", src_colorspace=swscale_numbers[matrix], src_color_range=picture.color_range,
        dst_color_range=2, interpolation=0x40000 | 2, threads=1,
    )  # fmt: skip
    got = rgb_from_planes(planes, Colour(matrix, 2, 2, full), (100, 100), 8).astype(int)
    assert np.abs(got - converted.to_ndarray()).max() <= TOLERANCE["colour", "libswscale"]


def test_unspecified_material_is_taken_by_its_size() -> None:
    sizes = ((720, 480), (720, 576), (1279, 576), (720, 577), (1280, 536), (1920, 1080), (720, 1280))
    assert [resolve_matrix(2, *size) for size in sizes] == [6, 6, 6, 1, 1, 1, 1]
    assert resolve_matrix(9, 720, 480) == 9


@pytest.mark.parametrize("matrix", [8, 10, 11, 13, 14, 99])
def test_matrices_that_are_no_weighted_sums_are_refused(matrix: int) -> None:
    with pytest.raises(InputError, match=f"colour matrix {matrix} "):
        resolve_matrix(matrix, 1920, 1080)
