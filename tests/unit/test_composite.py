"""What of a frame a fill may change, and to what: against the documented formulas, sample by sample."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.composite import Finish, composite, replaced
from runtime.errors import UsageError
from runtime.frame import Colour, Frame, Hole, Layout
from runtime.holes import cover, spread
from runtime.patch import Crop, Patch
from runtime.pixels import shrink
from tests.noise import BT601, LAYOUTS, RULE, patch_of, patches, random_fill, random_frame, whole
from tests.samples import composite_by_sample

HARD = Finish()
RGB8 = Layout("rgb", 8, 0, 0)


def grown_to_chroma(wide: Hole, layout: Layout) -> Hole:
    rows, columns = wide.shape
    down, across = 1 << layout.chroma_shift_y, 1 << layout.chroma_shift_x
    return np.array(
        [[wide[y : y + down, x : x + across].any() for x in range(0, columns, across)] for y in range(0, rows, down)]
    )


def spread_over(frame: Frame, parts: tuple[Patch, ...]) -> Hole:
    """The frame's pixels whose cell is hole in some patch."""
    wide = np.zeros((frame.height, frame.width), np.bool_)
    for part in parts:
        crop = part.crop
        hole = spread(np.rot90(part.hole, -crop.turns), crop.width, crop.height)
        wide[crop.top : crop.bottom, crop.left : crop.right] |= hole
    return wide


def within(wide: Hole, distance: int) -> Hole:
    """Pixels no farther than `distance` from one that is True."""
    padded = np.pad(wide, distance)
    near = np.zeros_like(wide)
    for y in range(-distance, distance + 1):
        for x in range(-distance, distance + 1):
            if y * y + x * x <= distance * distance:
                rows, columns = slice(distance + y, distance + y + len(wide)), slice(distance + x, None)
                near |= padded[rows, columns][:, : wide.shape[1]]
    return near


@st.composite
def scenes(draw: st.DrawFn, widest: int, highest: int) -> tuple[Frame, tuple[Patch, ...]]:
    layout = draw(st.sampled_from(LAYOUTS))
    colour = Colour(draw(st.sampled_from([1, 6, 9])), 2, 2, draw(st.booleans()))
    frame = random_frame(layout, draw(st.integers(1, widest)), draw(st.integers(1, highest)), colour=colour)
    return frame, draw(patches(frame))


@settings(deadline=None, max_examples=200)
@given(scenes(90, 60), st.integers(0, 12), st.booleans())
def test_nothing_outside_the_grown_hole_changes(
    scene: tuple[Frame, tuple[Patch, ...]], feather: int, grain: bool
) -> None:
    frame, parts = scene
    before = [plane.copy() for plane in frame.planes]
    result = composite(frame, parts, Finish(feather, grain))
    wide = within(spread_over(frame, parts), feather)
    changing = replaced(frame, parts, feather)
    assert not (changing & ~wide).any()
    for number, (plane, original) in enumerate(zip(result.planes, before, strict=True)):
        touched = grown_to_chroma(changing, frame.layout) if number and frame.layout.family == "yuv" else changing
        assert plane.dtype == original.dtype
        assert np.array_equal(plane[~touched], original[~touched])
    assert all(np.array_equal(plane, original) for plane, original in zip(frame.planes, before, strict=True))


@settings(deadline=None, max_examples=80)
@given(scenes(36, 26), st.sampled_from([0, 0, 1, 2, 5]))
def test_the_hole_holds_what_the_formulas_say(scene: tuple[Frame, tuple[Patch, ...]], feather: int) -> None:
    frame, parts = scene
    wanted = composite_by_sample(frame, parts, feather)
    got = composite(frame, parts, Finish(feather))
    assert all(np.array_equal(plane, other) for plane, other in zip(got.planes, wanted, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(37, 29), (38, 29), (37, 28), (1, 1), (5, 3)])
def test_a_hole_to_the_edge_of_an_odd_frame_is_filled_to_the_edge(layout: Layout, size: tuple[int, int]) -> None:
    frame, fill = random_frame(layout, *size), random_fill(RULE)
    for hole in (np.ones((24, 48), np.bool_), np.arange(48) > np.full((24, 1), 40)):
        parts = (patch_of(whole(frame), fill, hole),)
        wanted = composite_by_sample(frame, parts, 0)
        got = composite(frame, parts, HARD)
        assert all(np.array_equal(plane, other) for plane, other in zip(got.planes, wanted, strict=True))


def test_an_empty_hole_and_no_patch_give_the_frame_itself() -> None:
    frame = random_frame(LAYOUTS[0], 64, 36)
    empty = patch_of(whole(frame), random_fill(RULE), np.zeros((24, 48), np.bool_))
    assert composite(frame, (empty,), Finish(3, grain=True)) is frame
    assert composite(frame, (), HARD) is frame


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_masked_pixel_of_a_crop_is_the_fill_to_the_bit(turns: int) -> None:
    size = (24, 48) if turns % 2 else (48, 24)
    frame, crop = random_frame(RGB8, 80, 70), Crop(10, 20, *size, turns)
    mask = np.random.default_rng(0).random((70, 80)) < 0.01
    hole = cover(mask, crop, RULE, 0)
    assert hole is not None
    fill = random_fill(RULE)
    got = np.stack(composite(frame, (patch_of(crop, fill, hole),), HARD).planes, axis=-1)
    inside = np.zeros_like(mask)
    inside[crop.top : crop.bottom, crop.left : crop.right] = mask[crop.top : crop.bottom, crop.left : crop.right]
    lying = np.rot90(fill, -turns)
    assert np.array_equal(got[inside], lying[inside[crop.top : crop.bottom, crop.left : crop.right]])


@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[6], LAYOUTS[-1]])
def test_a_turned_whole_frame_is_the_turned_result(layout: Layout) -> None:
    """With square pixels, chroma cells and pictures of the right size, turning commutes with compositing."""
    lying, fill = random_frame(layout, 48, 24), random_fill(RULE)
    hole = np.random.default_rng(3).random((24, 48)) < 0.1
    upright = replace(lying, planes=tuple(np.rot90(plane) for plane in lying.planes))
    wanted = composite(lying, (patch_of(whole(lying), fill, hole),), Finish(2))
    got = composite(upright, (patch_of(replace(whole(upright), turns=3), fill, hole),), Finish(2))
    assert all(np.array_equal(a, np.rot90(b)) for a, b in zip(got.planes, wanted.planes, strict=True))


@settings(deadline=None, max_examples=40)
@given(scenes(60, 40), st.sampled_from([0, 4]))
def test_the_order_of_patches_does_not_matter(scene: tuple[Frame, tuple[Patch, ...]], feather: int) -> None:
    frame, parts = scene
    one, other = composite(frame, parts, Finish(feather)), composite(frame, parts[::-1], Finish(feather))
    assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def test_a_pixel_that_one_patch_covers_is_that_patchs_alone() -> None:
    frame, hole = random_frame(RGB8, 96, 24), np.ones((24, 48), np.bool_)
    left, right = (patch_of(Crop(x, 0, 48, 24), random_fill(RULE, x), hole) for x in (0, 32))
    both = composite(frame, (left, right), HARD)
    for columns, alone in ((slice(0, 32), left), (slice(48, 96), right)):
        single = composite(frame, (alone,), HARD)
        assert all(
            np.array_equal(a[:, columns], b[:, columns]) for a, b in zip(both.planes, single.planes, strict=True)
        )


def test_where_patches_overlap_one_fades_into_the_other() -> None:
    frame, hole = random_frame(RGB8, 80, 24), np.ones((24, 48), np.bool_)
    dark, light = (np.full((24, 48, 3), level, np.uint8) for level in (20, 220))
    parts = (patch_of(Crop(0, 0, 48, 24), dark, hole), patch_of(Crop(32, 0, 48, 24), light, hole))
    line = composite(frame, parts, HARD).planes[0].astype(int)
    steps = np.diff(line, axis=1)
    assert (line[:, :32] == 20).all()
    assert (line[:, 48:] == 220).all()
    assert (steps >= 0).all()
    assert steps.max() <= 2 * 200 / 16  # sixteen columns from one level to the other, none of them half of the way


def test_patches_that_agree_leave_no_seam() -> None:
    frame = random_frame(RGB8, 80, 40)
    crops = [Crop(x, y, 48, 24) for x in (0, 20, 32) for y in (0, 9, 16)]
    hole = np.ones((24, 48), np.bool_)
    picture = random_frame(RGB8, 80, 40, seed=9)
    parts = tuple(patch_of(crop, shrink(picture, crop, RULE), hole) for crop in crops)
    got = composite(frame, parts, HARD)
    assert all(np.array_equal(a, b) for a, b in zip(got.planes, picture.planes, strict=True))


def test_a_feather_fades_with_the_distance_from_the_hole() -> None:
    frame = replace(random_frame(RGB8, 96, 48), planes=tuple(np.zeros((48, 96), np.uint8) for _ in range(3)))
    hole = np.zeros((24, 48), np.bool_)
    hole[10:12, 20:22] = True
    white = np.full((24, 48, 3), 255, np.uint8)
    got = composite(frame, (patch_of(whole(frame), white, hole),), Finish(7)).planes[0]
    line = got[22, 44:53].tolist()  # the hole ends with column 43
    assert got[20:24, 40:44].min() == 255
    assert line == [round(255 * (8 - distance) / 8) for distance in range(1, 9)] + [0]
    corner = 1 - math.hypot(3, 4) / 8  # diagonals are as long as they are
    assert got[20 - 4, 40 - 3] == round(255 * corner)


def test_a_feather_ends_with_its_crop() -> None:
    frame, hole = random_frame(RGB8, 96, 24), np.ones((24, 48), np.bool_)
    part = patch_of(Crop(20, 0, 48, 24), random_fill(RULE), hole)
    assert np.flatnonzero(replaced(frame, (part,), 9).any(axis=0)).tolist() == list(range(20, 68))


@pytest.mark.parametrize("feather", [-1, 256])
def test_a_feather_out_of_range_is_refused(feather: int) -> None:
    with pytest.raises(UsageError, match=f"--feather {feather}: wanted 0 to 255 pixels"):
        Finish(feather)


def test_the_fill_of_a_frame_by_itself_comes_back_as_it_was() -> None:
    frame = random_frame(Layout("yuv", 8, 0, 0), 48, 24, colour=Colour(1, 1, 1, full_range=True))
    grey = tuple(np.full_like(plane, value) for plane, value in zip(frame.planes, (90, 128, 128), strict=True))
    still = Frame(0, 0, grey, frame.layout, BT601)
    part = patch_of(whole(still), shrink(still, whole(still), RULE), np.ones((24, 48), np.bool_))
    assert all(np.array_equal(a, b) for a, b in zip(composite(still, (part,), HARD).planes, grey, strict=True))
