"""What goes to a device in one copy arrives where it is said to, and no more of a frame goes than is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.frame import Colour, Layout
from runtime.parcel import Parcel, joined, pack, room
from runtime.resize import Area
from tests.noise import LAYOUTS, random_frame

areas = st.builds(
    lambda left, top, width, height: Area(left, top, left + width, top + height),
    *(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30)),
)


def covered(parts: list[Area]) -> np.ndarray:
    """How many of them hold each pixel."""
    counts = np.zeros((80, 80), np.int64)
    for part in parts:
        counts[part.top : part.bottom, part.left : part.right] += 1
    return counts


@given(st.lists(areas, max_size=8))
def test_areas_are_joined_where_that_sends_no_more(given: list[Area]) -> None:
    parts = joined(given)
    assert covered(parts).max(initial=0) <= 1
    assert (covered(parts) >= (covered(given) > 0)).all()
    assert all(any(covered([part])[each.top, each.left] for part in parts) for each in given)


def test_what_lies_far_apart_is_sent_apart_and_neighbours_together() -> None:
    far, near, other = Area(0, 0, 10, 10), Area(70, 70, 80, 80), Area(60, 70, 70, 80)
    assert joined([far, near, other]) == [far, Area(60, 70, 80, 80)]


@given(st.integers(1, 1 << 30))
def test_buffers_come_in_few_sizes_and_are_hardly_larger_than_needed(nbytes: int) -> None:
    (size,) = room(nbytes).shape
    assert nbytes <= size <= max(nbytes + nbytes // 16 + 1, nbytes + 16)
    assert size % 16 == 0
    assert room(size).shape == (size,)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_of_a_frame_come_back_as_they_were(layout: Layout) -> None:
    frame = random_frame(layout, 66, 35)
    parcel = Parcel()
    odd = parcel.add(np.arange(5, dtype=np.uint8))
    parts = pack(frame, [Area(0, 0, 12, 8), Area(40, 12, 66, 35), Area(44, 16, 60, 35)], parcel)
    turned = parcel.add(np.arange(6, dtype=np.float64).reshape(2, 3).T)
    out = np.full(parcel.close().shape, 77, np.uint8)
    parcel.fill(out)
    assert out[odd : odd + 5].tolist() == [0, 1, 2, 3, 4]
    assert out[turned : turned + 48].view(np.float64).tolist() == [0, 3, 1, 4, 2, 5]
    assert len(parts.areas) == 2
    assert [parts.holding(Area(44, 16, 60, 20)), parts.holding(Area(0, 0, 4, 4))] == [1, 0]
    blank = replace(frame, planes=tuple(np.zeros_like(plane) for plane in frame.planes))
    parts.unpack(out, blank)
    for got, wanted, across, down in zip(blank.planes, frame.planes, *shifts(layout), strict=False):
        held = np.zeros(wanted.shape, np.bool_)
        held[: 8 >> down, : 12 >> across] = held[12 >> down :, 40 >> across :] = True
        assert np.array_equal(got, np.where(held, wanted, 0))


def shifts(layout: Layout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Log2 of the luma columns and rows of a sample, plane by plane."""
    across, down = (layout.chroma_shift_x, layout.chroma_shift_y) if layout.family == "yuv" else (0, 0)
    return (0, across, across), (0, down, down)


@pytest.mark.parametrize(("columns", "rows", "matrix"), [(8, 576, 6), (8, 578, 1), (1280, 20, 1)])
def test_an_untagged_part_has_the_matrix_of_its_frame(columns: int, rows: int, matrix: int) -> None:
    frame = random_frame(Layout("yuv", 8, 1, 1), columns, rows, colour=Colour(2, 2, 2, full_range=False))
    picture = pack(frame, [Area(2, 4, 8, 20)], Parcel()).picture(0, 1000)
    assert picture.colour.matrix == matrix
    assert [(s.address, s.pitch, s.columns, s.rows) for s in picture.surfaces] == [
        (1000, 6, 6, 16),
        (1096, 3, 3, 8),
        (1128, 3, 3, 8),
    ]
