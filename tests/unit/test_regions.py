"""Plans of regions for masks that people have."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from runtime._regions import tracks
from runtime.frame import Hole, MaskRun
from runtime.patch import Crop
from runtime.regions import Canvas, Choice, Region, plan, whole
from tests.tolerances import TOLERANCE

HD = Canvas(1920, 1080, 1, 1)
PICTURE = (432, 240)
HALF = Choice(max_upscale=3.0, share=0.5)  # crops that are easy to reckon with: twice the hole


def hole_of(canvas: Canvas, *boxes: tuple[int, int, int, int]) -> Hole:
    """A mask of rectangles, each left, top, width, height."""
    hole = np.zeros((canvas.height, canvas.width), np.bool_)
    for left, top, width, height in boxes:
        hole[top : top + height, left : left + width] = True
    return hole


def still(canvas: Canvas, *boxes: tuple[int, int, int, int]) -> list[MaskRun]:
    return [MaskRun(0, None, hole_of(canvas, *boxes))]


def crops(regions: tuple[Region, ...]) -> list[Crop]:
    return [region.crop for region in regions]


@pytest.mark.parametrize("mode", ["auto", "full", "tiles"])
def test_a_mask_without_a_hole_needs_no_region(mode: str) -> None:
    choice = Choice(mode=mode)  # pyright: ignore[reportArgumentType]
    assert plan([], HD, PICTURE, choice) == ()
    assert plan([MaskRun(0, None, hole_of(HD))], HD, PICTURE, choice) == ()


@pytest.mark.parametrize("mode", ["auto", "full", "tiles"])
@pytest.mark.parametrize("size", [(432, 240), (320, 180), (431, 239), (100, 240)])
def test_a_frame_no_larger_than_the_networks_picture_is_seen_whole(mode: str, size: tuple[int, int]) -> None:
    canvas = Canvas(*size, 1, 1)
    runs = still(canvas, (40, 30, 5, 5), (80, 170, 9, 9))
    assert plan(runs, canvas, PICTURE, Choice(mode=mode)) == (whole(canvas),)  # pyright: ignore[reportArgumentType]


def test_a_small_hole_is_seen_at_native_resolution_in_the_middle_of_its_crop() -> None:
    assert crops(plan(still(HD, (900, 500, 100, 50)), HD, PICTURE, HALF)) == [Crop(734, 404, 432, 240)]


def test_near_the_edge_the_crop_stays_inside_the_frame() -> None:
    assert crops(plan(still(HD, (1880, 10, 40, 40)), HD, PICTURE, HALF)) == [Crop(1488, 0, 432, 240)]


def test_a_larger_hole_takes_no_more_than_its_share_of_the_crop() -> None:
    canvas = Canvas(3840, 2160, 1, 1)
    runs = still(canvas, (1500, 900, 540, 60))
    half, three_quarters = (crops(plan(runs, canvas, PICTURE, Choice(share=share)))[0] for share in (0.5, 0.75))
    assert (half.width, half.height) == (1080, 600)  # 2.5 source pixels to one of the network's
    assert (three_quarters.width, three_quarters.height) == (756, 420)  # 1.75, the next eighth above 1.67


def test_a_hole_that_no_allowed_crop_holds_gets_tiles() -> None:
    regions = plan(still(HD, (100, 100, 1700, 60)), HD, PICTURE, Choice(max_upscale=2.0, share=0.5))
    assert {(crop.width, crop.height) for crop in crops(regions)} == {(864, 480)}
    assert len(regions) == 3
    for left, right in pairwise(crops(regions)):
        assert left.right - right.left >= 864 // 4  # room for the ramp, and surroundings on both sides


def test_one_crop_somewhat_larger_is_better_than_two_that_overlap() -> None:
    two = plan(still(HD, (500, 500, 60, 40), (860, 500, 60, 40)), HD, PICTURE, Choice(max_upscale=1.0))
    one = plan(still(HD, (500, 500, 60, 40), (860, 500, 60, 40)), HD, PICTURE, HALF)
    assert [len(two), len(one)] == [2, 1]
    assert one[0].crop.width == 594  # 1 3/8: the smallest that holds both with their surroundings


def test_for_a_moment_no_crop_grows() -> None:
    left, right = (500, 500, 60, 40), (860, 500, 60, 40)
    runs = [MaskRun(0, 900, hole_of(HD, left)), MaskRun(901, 910, hole_of(HD, left, right))]
    regions = plan([*runs, MaskRun(911, 1900, hole_of(HD, left))], HD, PICTURE, HALF)
    assert {(crop.width, crop.height) for crop in crops(regions)} == {(432, 240)}


def test_the_default_leaves_a_hole_four_fifths_of_the_crop_on_each_side() -> None:
    assert crops(plan(still(HD, (1700, 60, 160, 90)), HD, PICTURE)) == [Crop(1110, 0, 810, 450)]
    assert crops(plan(still(HD, (1430, 60, 430, 240)), HD, PICTURE)) == [Crop(0, 0, 1920, 1080)]  # 5% of the frame


def test_tiles_of_a_grid_without_a_hole_are_left_out() -> None:
    ring = ((0, 0, 1920, 8), (0, 1072, 1920, 8), (0, 0, 8, 1080), (1912, 0, 8, 1080))
    regions = plan(still(HD, *ring), HD, PICTURE, Choice(max_upscale=1.5, share=0.5))
    assert not any(crop.left < 960 < crop.right and crop.top < 540 < crop.bottom for crop in crops(regions))


def test_neighbours_share_a_crop_and_distant_pieces_do_not() -> None:
    near = plan(still(HD, (800, 500, 40, 40), (960, 500, 40, 40)), HD, PICTURE, HALF)
    distant = plan(still(HD, (100, 500, 40, 40), (1700, 500, 40, 40)), HD, PICTURE, HALF)
    assert [len(near), len(distant)] == [1, 2]


def test_a_piece_that_is_painted_anyway_gets_no_crop_of_its_own() -> None:
    inside = still(HD, (600, 300, 500, 270), (1300, 700, 20, 20))
    assert len(plan(inside, HD, PICTURE, HALF)) == 1


def test_regions_last_as_long_as_their_holes() -> None:
    logo, title = hole_of(HD, (1700, 40, 120, 60)), hole_of(HD, (300, 900, 100, 60))
    runs = [MaskRun(5, 9, title), MaskRun(10, 19, title | logo), MaskRun(20, 99, logo), MaskRun(500, None, title)]
    regions = plan(runs, HD, PICTURE, HALF)
    assert [(region.first, region.last, region.crop.top) for region in regions] == [
        (5, 19, 810),
        (10, 99, 0),
        (500, None, 810),
    ]


def test_what_comes_back_soon_in_the_same_place_is_one_region() -> None:
    title = hole_of(HD, (300, 900, 300, 60))
    regions = plan([MaskRun(first, first + 20, title) for first in range(0, 300, 60)], HD, PICTURE, HALF)
    assert [(region.first, region.last) for region in regions] == [(0, 260)]


def test_a_moving_hole_is_followed_by_tiles_each_for_its_time() -> None:
    runs = [MaskRun(i, i, hole_of(HD, (8 * i, 500, 100, 100))) for i in range(220)]
    regions = plan(runs, HD, PICTURE, HALF)
    assert {(crop.width, crop.height) for crop in crops(regions)} == {(432, 240)}  # as its size needs, not its way
    assert 4 <= len(regions) <= 7
    for earlier, later in pairwise(regions):
        assert earlier.crop.left < later.crop.left
        assert earlier.first < later.first <= (earlier.last or 0) < (later.last or 0)
    active = [sum(region.first <= i <= (region.last or 0) for region in regions) for i in range(220)]
    assert max(active) == 2


def test_pieces_that_meet_become_one() -> None:
    runs = [MaskRun(i, i, hole_of(HD, (60 * i, 500, 100, 100), (1200, 500, 100, 100))) for i in range(21)]
    regions = plan(runs, HD, PICTURE, Choice(max_upscale=9.0, share=0.5))
    held = sum(region.last == 20 for region in regions)
    assert held == 1


@pytest.mark.parametrize("flipped", [False, True])
def test_of_pieces_that_meet_each_keeps_its_own_beginning(flipped: bool) -> None:
    left, right = hole_of(HD, (0, 500, 900, 40)), hole_of(HD, (1000, 300, 920, 240))
    bridge = hole_of(HD, (800, 500, 300, 40))
    runs = [MaskRun(3, 8, right), MaskRun(9, 15, left | right), MaskRun(16, 20, left | bridge | right)]
    if flipped:
        runs = [MaskRun(run.first, run.last, run.hole[::-1, ::-1]) for run in runs]
    regions = plan(runs, HD, PICTURE, Choice(max_upscale=1.5, share=0.5))
    outer = sorted(regions, key=lambda region: region.crop.left, reverse=flipped)
    assert [outer[0].first, outer[-1].first] == [9, 3]


def test_a_piece_that_parts_and_meets_another_at_once_stays_in_sight() -> None:
    """Two bars; then the foot of one is joined to the other while its top stands alone; then the top alone."""
    runs = [
        MaskRun(0, 9, hole_of(HD, (0, 0, 40, 600), (1000, 100, 40, 500))),
        MaskRun(10, 19, hole_of(HD, (1000, 100, 40, 100), (0, 500, 1040, 100))),
        MaskRun(20, 29, hole_of(HD, (1000, 100, 40, 100))),
    ]
    regions = plan(runs, HD, PICTURE, HALF)
    for run, last in zip(runs, (9, 19, 29), strict=True):
        unseen = run.hole.copy()
        for region in regions:
            if region.first <= run.first and (region.last is None or last <= region.last):
                crop = region.crop
                unseen[crop.top : crop.bottom, crop.left : crop.right] = False
        assert not unseen.any()


def test_a_tile_begins_when_the_hole_reaches_it() -> None:
    corner = hole_of(HD, (100, 100, 40, 900), (100, 960, 1700, 40))
    late = hole_of(HD, (1300, 200, 40, 800))
    regions = plan(
        [MaskRun(0, 9, corner), MaskRun(10, 19, corner | late)], HD, PICTURE, Choice(max_upscale=1.5, share=0.5)
    )
    reached = {region.first for region in regions if region.crop.bottom < 960 and region.crop.left > 400}
    assert reached == {10}


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_source_gets_crops_of_the_turned_aspect(turns: int) -> None:
    canvas = Canvas(1920, 1080, 1, 1, turns)
    assert crops(plan(still(canvas, (900, 500, 50, 100)), canvas, PICTURE, HALF)) == [Crop(804, 334, 240, 432, turns)]
    assert crops(plan(still(canvas, (900, 500, 50, 100)), canvas, PICTURE, Choice("full"))) == [
        Crop(0, 0, 1920, 1080, turns)
    ]


def test_a_crop_larger_than_one_side_of_the_frame_is_cut_there() -> None:
    canvas = Canvas(640, 480, 1, 1)
    assert crops(plan(still(canvas, (100, 100, 440, 280)), canvas, PICTURE, HALF)) == [Crop(0, 0, 640, 480)]
    upright = Canvas(1080, 1920, 1, 1)
    regions = plan(still(upright, (20, 200, 1040, 1500)), upright, PICTURE, Choice(max_upscale=9.0, share=0.5))
    assert {crop.width for crop in crops(regions)} == {1080}
    assert {crop.height for crop in crops(regions)} == {810}  # 432:240 bent by 1.35; unbent it would be 600
    assert len(regions) == 3


@pytest.mark.parametrize(("shift_x", "shift_y"), [(0, 0), (1, 0), (2, 0), (2, 2)])
def test_crops_of_odd_frames_reach_the_last_sample(shift_x: int, shift_y: int) -> None:
    canvas = Canvas(1919, 1077, shift_x, shift_y)
    crop = crops(plan(still(canvas, (1918, 1076, 1, 1)), canvas, PICTURE, HALF))[0]
    assert (crop.right, crop.bottom) == (1919, 1077)
    assert crop.left % (1 << shift_x) == crop.top % (1 << shift_y) == 0


def test_full_lasts_from_the_first_hole_to_the_last() -> None:
    hole = hole_of(HD, (5, 5, 5, 5))
    runs = [MaskRun(7, 9, hole), MaskRun(70, 90, hole)]
    assert plan(runs, HD, PICTURE, Choice("full")) == (Region(Crop(0, 0, 1920, 1080), 7, 90),)


def test_tiles_are_native_while_there_are_few_and_larger_when_there_are_many() -> None:
    hd = plan(still(HD, (0, 0, 1920, 1080)), HD, PICTURE, Choice("tiles"))
    assert {(crop.width, crop.height) for crop in crops(hd)} == {(432, 240)}
    uhd = Canvas(3840, 2160, 1, 1)
    many = plan(still(uhd, (0, 0, 3840, 2160)), uhd, PICTURE, Choice("tiles"))
    assert {(crop.width, crop.height) for crop in crops(many)} == {(648, 360)}  # at 1 3/8 there would be 81
    assert len(many) == 64


def wandering(count: int) -> Iterator[MaskRun]:
    for i in range(count):
        x, y = abs(i % 40 - 20) * 32, abs(i % 32 - 16) * 24
        yield MaskRun(i, i, hole_of(Canvas(960, 540, 1, 1), (x, y, 90, 60)))


def peak_of_planning(count: int) -> int:
    tracemalloc.start()
    plan(wandering(count), Canvas(960, 540, 1, 1), PICTURE, HALF)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_planning_holds_no_more_for_many_masks_than_for_few() -> None:
    peak_of_planning(10)  # what is allocated once
    assert peak_of_planning(640) <= peak_of_planning(160) * TOLERANCE["memory", "ratio"]


def test_a_mask_that_comes_back_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    real = tracks.find_pieces

    def counting(hole: Hole, cell: int, picture: tuple[int, int]) -> Iterator[tracks.Piece]:
        looked.append(1)
        return real(hole, cell, picture)

    monkeypatch.setattr(tracks, "find_pieces", counting)
    title, logo = hole_of(HD, (300, 900, 300, 60)), hole_of(HD, (1700, 40, 120, 60))
    plan((MaskRun(i, i, (title, logo)[i // 2 % 2]) for i in range(400)), HD, PICTURE, HALF)
    assert len(looked) == 2
