"""Noise in the fill: as strong and as coarse as the source's around it, and no more than that."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from runtime.composite import Finish, composite
from runtime.frame import Colour, Frame, Layout, Plane
from runtime.patch import Crop, Patch
from tests.noise import RULE, patch_of
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT = 480, 320
CROP = Crop(40, 20, 400, 280)
GRAIN, PLAIN = Finish(grain=True), Finish()
LAYOUTS = [Layout("yuv", 8, 1, 1), Layout("yuv", 10, 1, 1), Layout("yuv", 8, 0, 0), Layout("rgb", 8, 0, 0)]
HELD = np.s_[110:190, 180:300]  # of the frame; in the hole whatever the rounding


def coarse_noise(shape: tuple[int, int], strength: float, blur: float, seed: int = 3) -> np.ndarray:
    """Gaussian noise of that standard deviation, `blur` pixels coarse."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    if blur:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur))
    return noise / noise.std() * strength


def noisy_frame(layout: Layout, strength: float, blur: float, index: int = 0) -> Frame:
    """A slope with noise of `strength` levels of 8 bits in every plane."""
    planes: list[Plane] = []
    unit = 1 << (layout.bits - 8)
    for number in range(1 if layout.family == "gray" else 3):
        across, down = (layout.chroma_shift_x, layout.chroma_shift_y) if number else (0, 0)
        shape = (HEIGHT >> down, WIDTH >> across)
        slope = np.linspace(90, 160, shape[1]) + np.linspace(-10, 10, shape[0])[:, None]
        level = np.rint((slope + coarse_noise(shape, strength, blur, number)) * unit)
        level = np.clip(level, 0, 256 * unit - 1)
        planes.append(level.astype(np.uint8) if layout.bits == 8 else level.astype(np.uint16))
    return Frame(index, 0, tuple(planes), layout, Colour(1, 1, 1, full_range=True))


def flat_patch() -> Patch:
    """A grey fill over a hole in the middle of the crop."""
    hole = np.zeros((RULE.height, RULE.width), np.bool_)
    hole[6:16, 14:34] = True
    return patch_of(CROP, np.full((RULE.height, RULE.width, 3), 128, np.uint8), hole)


def added(frame: Frame, number: int, parts: tuple[Patch, ...] | None = None) -> np.ndarray:
    """What grain adds to one plane, in levels of 8 bits."""
    given = (flat_patch(),) if parts is None else parts
    with_grain, without = composite(frame, given, GRAIN), composite(frame, given, PLAIN)
    return (with_grain.planes[number].astype(float) - without.planes[number]) / (1 << (frame.layout.bits - 8))


def neighbours(noise: np.ndarray) -> float:
    """Correlation of samples side by side."""
    return float((noise[:, 1:] * noise[:, :-1]).mean() / noise.var())


def held(frame: Frame, number: int) -> tuple[slice, slice]:
    across, down = (frame.layout.chroma_shift_x, frame.layout.chroma_shift_y) if number else (0, 0)
    rows, columns = HELD
    return slice(rows.start >> down, rows.stop >> down), slice(columns.start >> across, columns.stop >> across)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("strength", "blur"), [(3.0, 0.0), (6.0, 0.8)])
def test_the_fill_gets_noise_as_strong_and_as_coarse_as_around_it(layout: Layout, strength: float, blur: float) -> None:
    frame = noisy_frame(layout, strength, blur)
    for number in range(3):
        noise = added(frame, number)[held(frame, number)]
        source = coarse_noise(frame.planes[number].shape, strength, blur, number)
        assert abs(noise.std() / strength - 1) < TOLERANCE["grain", "strength"]
        assert abs(neighbours(noise) - neighbours(source)) < TOLERANCE["grain", "correlation"]
        assert abs(noise.mean()) < TOLERANCE["grain", "mean"] * strength


def test_noise_that_the_fill_has_already_is_not_added_again() -> None:
    frame = noisy_frame(LAYOUTS[2], 5.0, 0.0)
    own = np.clip(128 + coarse_noise((280, 400), 4.0, 0.0, 9), 0, 255).astype(np.uint8)
    part = flat_patch()
    crop = replace(CROP, width=400, height=280)
    hole = np.zeros((280, 400), np.bool_)
    hole[70:190, 120:280] = True
    noisy = Patch(crop, np.zeros((280, 400, 3), np.uint8), np.repeat(own[..., None], 3, axis=2), hole)
    region = held(frame, 0)
    more, less = added(frame, 0, (part,))[region].std(), added(frame, 0, (noisy,))[region].std()
    together = composite(frame, (noisy,), GRAIN).planes[0][region].astype(float).std()
    assert less < more
    assert abs(together / frame.planes[0][:60, :60].astype(float).std() - 1) < TOLERANCE["grain", "strength"]


@pytest.mark.parametrize("alike", [0.0, 0.7, 1.0])
def test_grain_of_an_rgb_source_is_as_coloured_as_the_source(alike: float) -> None:
    frame = noisy_frame(LAYOUTS[3], 1e-9, 0.0)
    common, *own = (coarse_noise((HEIGHT, WIDTH), 5.0, 0.0, seed) for seed in range(4))
    planes = [
        plane + np.sqrt(alike) * common + np.sqrt(1 - alike) * each
        for plane, each in zip(frame.planes, own, strict=True)
    ]
    coloured = replace(frame, planes=tuple(np.rint(plane).astype(np.uint8) for plane in planes))
    noise = [added(coloured, number)[HELD].ravel() for number in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(noise[one], noise[other])[0, 1] - alike) < TOLERANCE["grain", "correlation"]


def test_the_same_frame_has_the_same_grain_and_the_next_one_another() -> None:
    frame = noisy_frame(LAYOUTS[0], 4.0, 0.0)
    first, again, later = added(frame, 0), added(frame, 0), added(replace(frame, index=1), 0)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)
    assert abs(np.corrcoef(first[HELD].ravel(), later[HELD].ravel())[0, 1]) < TOLERANCE["grain", "correlation"]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_source_without_noise_gets_none(level: int) -> None:
    frame = noisy_frame(LAYOUTS[0], 4.0, 0.0)
    flat = replace(frame, planes=tuple(np.full_like(plane, level) for plane in frame.planes))
    assert not added(flat, 0).any()


def test_a_smooth_source_gets_next_to_none() -> None:
    assert np.abs(added(noisy_frame(LAYOUTS[0], 1e-9, 0.0), 0)).max() <= 1


def test_a_drawn_slope_has_no_grain_at_all() -> None:
    frame = noisy_frame(LAYOUTS[3], 4.0, 0.0)
    slope = np.broadcast_to(np.arange(HEIGHT)[:, None] % 200 + 20, (HEIGHT, WIDTH)).astype(np.uint8)
    drawn = replace(frame, planes=(slope, slope, slope))
    assert not added(drawn, 0).any()


def test_structure_beside_the_hole_is_not_taken_for_grain() -> None:
    frame = noisy_frame(LAYOUTS[2], 2.0, 0.0)
    bars = frame.planes[0].copy()
    bars[:150, ::8] = 255  # a fence over the upper half of the crop
    bars[:150, 1::8] = 30
    assert added(replace(frame, planes=(bars, *frame.planes[1:])), 0)[HELD].std() < 2 * (
        1 + TOLERANCE["grain", "strength"]
    )


@pytest.mark.parametrize("level", [0, 20, 255])
def test_bars_without_noise_do_not_hide_that_of_the_picture(level: int) -> None:
    frame = noisy_frame(LAYOUTS[2], 4.0, 0.0)
    barred = frame.planes[0].copy()
    barred[:85] = level
    noise = added(replace(frame, planes=(barred, *frame.planes[1:])), 0)[HELD]
    assert abs(noise.std() / 4 - 1) < TOLERANCE["grain", "strength"]


def test_clipped_noise_is_not_measured() -> None:
    frame = noisy_frame(LAYOUTS[2], 4.0, 0.0)
    clipped = frame.planes[0].copy()
    clipped[:85] = np.maximum(clipped[:85].astype(int) - 130, 0)  # black, with a sample here and there above it
    noise = added(replace(frame, planes=(clipped, *frame.planes[1:])), 0)[HELD]
    assert abs(noise.std() / 4 - 1) < TOLERANCE["grain", "strength"]


@pytest.mark.parametrize("free_rows", [0, 8])
def test_without_room_beside_the_hole_there_is_no_grain(free_rows: int) -> None:
    frame = noisy_frame(LAYOUTS[0], 4.0, 0.0)
    hole = np.ones((RULE.height, RULE.width), np.bool_)
    hole[:free_rows, :4] = False  # 40 pixels across, 106 down: five blocks, fewer than a median needs
    full = patch_of(Crop(0, 0, WIDTH, HEIGHT), flat_patch().fill, hole)
    assert not added(frame, 0, (full,)).any()


def test_under_a_feather_the_grain_makes_up_for_what_the_source_loses() -> None:
    frame = noisy_frame(LAYOUTS[2], 6.0, 0.0)
    part = flat_patch()
    got = composite(frame, (part,), Finish(feather=24, grain=True)).planes[0].astype(float)
    band = got[120:180, 326:344]  # beside the hole, which ends with column 323
    rough = band - np.asarray(cv2.GaussianBlur(band, (0, 0), 4))
    assert abs(rough.std() / 6 - 1) < TOLERANCE["grain", "strength"]


def test_grain_is_off_unless_asked_for() -> None:
    assert Finish() == Finish(grain=False)


def test_every_patch_gets_it() -> None:
    frame, part = noisy_frame(LAYOUTS[2], 5.0, 0.0), flat_patch()
    crops = [Crop(left, 20, 230, 280) for left in (0, 250)]
    noise = added(frame, 0, tuple(replace(part, crop=crop) for crop in crops))
    for crop in crops:
        held = noise[crop.top + 100 : crop.top + 160, crop.left + 80 : crop.left + 150]
        assert held.std() == pytest.approx(5, rel=TOLERANCE["grain", "strength"])


def test_luma_and_chroma_get_noise_of_their_own() -> None:
    """Else it would be specks of one colour."""
    frame = noisy_frame(LAYOUTS[2], 5.0, 0.0)
    planes = [added(frame, number)[HELD].ravel() for number in range(3)]
    between = np.corrcoef(planes)[np.triu_indices(3, 1)]
    assert np.abs(between).max() <= TOLERANCE["grain", "correlation of planes"]
