"""Frames as a viewer sees them: upright, in their shape, in their place."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as hnp

from runtime.frame import Colour, Frame, Hole, Layout
from runtime.patch import Crop
from runtime.stills import Pose, hole_still, largest_piece, part_of, screen_size, still, upright, window_at

SQUARE = Fraction(1)


def frame_of(width: int, height: int, shifts: tuple[int, int] = (1, 1)) -> Frame:
    """Noise in 8-bit Y'CbCr."""
    random = np.random.default_rng(5)
    chroma = (-(-height >> shifts[1]), -(-width >> shifts[0]))
    planes = tuple(random.integers(16, 235, shape, np.uint8) for shape in ((height, width), chroma, chroma))
    return Frame(0, 0, planes, Layout("yuv", 8, *shifts), Colour(6, 6, 6, full_range=False))


@pytest.mark.parametrize("turns", range(4))
def test_the_picture_is_turned_as_numpy_turns_it(turns: int) -> None:
    frame = frame_of(20, 12)
    assert np.array_equal(still(frame, Pose(turns, SQUARE), 99), np.rot90(still(frame, Pose(0, SQUARE), 99), turns))


@pytest.mark.parametrize(
    ("pose", "longest", "expected"),
    [
        (Pose(0, SQUARE), 100, (100, 50)),
        (Pose(1, SQUARE), 100, (50, 100)),
        (Pose(0, SQUARE), 4000, (200, 100)),  # never enlarged
        (Pose(0, Fraction(3, 2)), 4000, (300, 100)),  # wide samples
        (Pose(3, Fraction(3, 2)), 150, (50, 150)),  # a player widens first, then turns
    ],
)
def test_the_size_on_the_screen(pose: Pose, longest: int, expected: tuple[int, int]) -> None:
    assert screen_size(200, 100, pose, longest) == expected
    assert still(frame_of(200, 100), pose, longest).shape == (expected[1], expected[0], 3)
    assert hole_still(np.ones((100, 200), np.bool_), pose, longest).shape == (expected[1], expected[0])


def test_a_hole_covers_its_share_of_a_pixel() -> None:
    hole = np.zeros((4, 8), np.bool_)
    hole[:2, :4] = True
    hole[2, 4] = True
    assert hole_still(hole, Pose(0, SQUARE), 4).tolist() == [[255, 255, 0, 0], [0, 0, 64, 0]]


@given(some.integers(1, 9), some.integers(1, 9), some.integers(0, 3), some.data())
def test_a_crop_is_where_its_pixels_go(width: int, height: int, turns: int, data: some.DataObject) -> None:
    left, top = data.draw(some.integers(0, width - 1)), data.draw(some.integers(0, height - 1))
    crop = Crop(left, top, data.draw(some.integers(1, width - left)), data.draw(some.integers(1, height - top)), turns)
    painted = np.zeros((height, width), np.bool_)
    painted[crop.top : crop.bottom, crop.left : crop.right] = True
    seen = upright(crop, width, height, turns)
    turned = np.zeros_like(np.rot90(painted, turns))
    turned[seen.top : seen.bottom, seen.left : seen.right] = True
    assert np.array_equal(turned, np.rot90(painted, turns))


@pytest.mark.parametrize("shifts", [(0, 0), (1, 0), (1, 1), (2, 2)])
def test_a_part_of_a_frame_is_that_part_of_its_picture(shifts: tuple[int, int]) -> None:
    frame = frame_of(24, 16, shifts)
    part = part_of(frame, Crop(8, 4, 12, 12))
    assert [plane.shape for plane in part.planes[1:]] == [(12 >> shifts[1], 12 >> shifts[0])] * 2
    assert np.array_equal(part.planes[0], frame.planes[0][4:16, 8:20])
    assert np.array_equal(part.planes[2], frame.planes[2][4 >> shifts[1] :, 8 >> shifts[0] : 20 >> shifts[0]])


@given(some.integers(0, 65), some.integers(0, 36), some.integers(1, 20), some.integers(1, 20))
def test_a_window_lies_in_the_frame_and_shows_the_hole(column: int, row: int, cells: int, lines: int) -> None:
    hole = np.zeros((37, 66), np.bool_)
    hole[row, column] = True
    window = window_at(hole, (4 * cells, 4 * lines), 4)
    assert hole[window.top : window.bottom, window.left : window.right].any()
    for start, stop, wanted, size in (
        (window.left, window.right, 4 * cells, 66),
        (window.top, window.bottom, 4 * lines, 37),
    ):
        assert start >= 0
        assert start % 4 == 0
        assert stop == size or (stop % 4 == 0 and stop < size)
        assert min(wanted, size) <= stop - start < wanted + 4


def test_a_window_is_centred_where_there_is_room() -> None:
    hole = np.zeros((400, 600), np.bool_)
    hole[202:222, 300:340] = True
    assert window_at(hole, (80, 40), 4) == Crop(280, 192, 80, 40)


def test_a_window_needs_a_hole() -> None:
    with pytest.raises(ValueError, match="empty"):
        window_at(np.zeros((4, 4), np.bool_), (2, 2), 1)


@given(hnp.arrays(np.bool_, (37, 66), fill=some.just(False)).filter(np.any), some.integers(1, 20), some.integers(1, 20))
def test_a_window_shows_some_of_any_hole(hole: Hole, cells: int, lines: int) -> None:
    window = window_at(hole, (4 * cells, 4 * lines), 4)
    assert hole[window.top : window.bottom, window.left : window.right].any()


def test_a_window_shows_some_of_a_ring() -> None:
    hole = np.ones((400, 600), np.bool_)
    hole[40:360, 100:500] = False
    window = window_at(hole, (80, 40), 4)
    assert hole[window.top : window.bottom, window.left : window.right].any()
    assert window.top == 180  # still centred where that shows it


def test_the_largest_piece_is_that_of_the_fullest_crop() -> None:
    hole = np.zeros((10, 20), np.bool_)
    hole[1:3, 1:3] = hole[5:9, 12:18] = True
    piece = largest_piece(hole, [Crop(0, 0, 6, 6), Crop(10, 4, 10, 6)])
    assert piece[5:9, 12:18].all()
    assert not piece[:, :10].any()


def test_pieces_of_one_crop_are_told_apart() -> None:
    """As logos in two corners of a frame that is one region: between them nothing is replaced."""
    hole = np.zeros((400, 600), np.bool_)
    hole[10:20, 10:40] = True
    hole[380:390, 570:591] = hole[390, 591] = True
    piece = largest_piece(hole, [Crop(0, 0, 600, 400)])
    assert np.array_equal(np.argwhere(piece), np.argwhere(hole[:20]))
    hole[20:24, 40:50] = True  # a corner connects
    piece = largest_piece(hole, [Crop(0, 0, 600, 400)])
    assert np.array_equal(np.argwhere(piece), np.argwhere(hole[:24]))


def test_a_piece_needs_a_hole() -> None:
    with pytest.raises(ValueError, match="empty"):
        largest_piece(np.zeros((4, 4), np.bool_), [Crop(0, 0, 4, 4)])
