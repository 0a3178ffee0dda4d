"""Planes in the form that a codec holds: repeated or rounded, never resampled."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._video.codecs import CODECS, forms
from runtime._video.encodable import Encodable, Vessel, encodable, encodable_planes
from runtime.frame import Colour, Frame, Layout, Plane

ROUNDING = Colour(2, 2, 2, full_range=False)
SHIFTS = [(0, 0), (1, 0), (1, 1), (0, 1), (2, 0), (2, 2)]
DEPTHS = (8, 9, 10, 12, 14, 16)
LAYOUTS = [
    *(Layout("yuv", bits, *shifts) for bits in DEPTHS for shifts in SHIFTS),
    *(Layout("gray", bits, 0, 0) for bits in DEPTHS),
    *(Layout("rgb", bits, 0, 0) for bits in DEPTHS),
]


def form_of(layout: Layout, width: int, height: int, codec: str = "h264", colour: Colour = ROUNDING) -> Encodable:
    form = encodable(layout, colour, width, height, vessel(codec))
    assert form is not None
    return form


def vessel(name: str) -> Vessel:
    codec = CODECS[name]
    return Vessel(codec.title, forms(codec.encoder), codec.whole_grid)


def frame_of(layout: Layout, *planes: Plane) -> Frame:
    return Frame(0, 0, planes, layout, ROUNDING)


def noise(layout: Layout, width: int, height: int) -> Frame:
    generator = np.random.default_rng(width * 100 + height)
    chroma = (-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))
    sizes = [(height, width)] if layout.family == "gray" else [(height, width), chroma, chroma]
    kind = np.uint8 if layout.bits == 8 else np.uint16
    planes = (generator.integers(0, 1 << layout.bits, size).astype(kind) for size in sizes)
    return frame_of(layout, *(cast(Plane, plane) for plane in planes))


def test_deep_samples_are_rounded_to_ten_bits() -> None:
    layout = Layout("gray", 12, 0, 0)
    form = form_of(layout, 5, 1)
    assert form.layout.bits == 10
    assert len(form.notes) == 1
    samples = np.array([[0, 1, 2, 6, 4095]], np.uint16)
    assert encodable_planes(frame_of(layout, samples), form.layout)[0].tolist() == [[0, 0, 1, 2, 1023]]


def test_nine_bit_samples_gain_a_bit_without_loss() -> None:
    form = form_of(Layout("gray", 9, 0, 0), 3, 1)
    assert form.notes == ()
    samples = np.array([[0, 1, 511]], np.uint16)
    planes = encodable_planes(frame_of(Layout("gray", 9, 0, 0), samples), form.layout)
    assert planes[0].tolist() == [[0, 2, 1022]]


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("height", [480, 720])
def test_rgb_leaves_as_444_in_the_matrix_of_its_size(bits: int, height: int) -> None:
    layout = Layout("rgb", bits, 0, 0)
    form = form_of(layout, 8, height, colour=Colour(0, 1, 13, full_range=True))
    assert form.colour == Colour(6 if height < 720 else 1, 1, 13, full_range=False)
    assert "4:4:4" in form.notes[-1]
    peak = (1 << bits) - 1
    kind = np.uint8 if bits == 8 else np.uint16
    white = tuple(cast(Plane, np.full((height, 8), peak, kind)) for _ in range(3))
    luma, u, v = encodable_planes(frame_of(layout, *white), form.layout)
    depth = form.layout.bits
    assert (luma == 235 << (depth - 8)).all()
    assert (u == 128 << (depth - 8)).all()
    assert (v == 128 << (depth - 8)).all()


def test_rgb_stays_rgb_where_the_codec_holds_it() -> None:
    colour = Colour(0, 1, 13, full_range=True)
    form = form_of(Layout("rgb", 10, 0, 0), 8, 8, "ffv1", colour)
    assert (form.layout, form.colour, form.notes) == (Layout("rgb", 10, 0, 0), colour, ())


@pytest.mark.parametrize("codec", ["vp9", "av1", "prores"])
def test_grey_gets_neutral_chroma_where_a_codec_has_no_grey(codec: str) -> None:
    layout = Layout("gray", 8, 0, 0)
    form = form_of(layout, 7, 5, codec)
    luma, u, v = encodable_planes(noise(layout, 7, 5), form.layout)
    assert form.notes == ()
    assert np.array_equal(luma >> (form.layout.bits - 8), noise(layout, 7, 5).planes[0])
    assert u.shape == v.shape == (-(-5 >> form.layout.chroma_shift_y), -(-7 >> form.layout.chroma_shift_x))
    assert (u == 1 << (form.layout.bits - 1)).all()
    assert (v == 1 << (form.layout.bits - 1)).all()


def test_chroma_is_never_left_out() -> None:
    assert encodable(Layout("yuv", 8, 0, 0), ROUNDING, 64, 48, vessel("av1")) is None
    assert encodable(Layout("rgb", 8, 0, 0), ROUNDING, 64, 48, vessel("av1")) is None
    assert encodable(Layout("yuv", 8, 1, 1), ROUNDING, 64, 48, vessel("av1")) is not None


@given(
    layout=st.sampled_from(LAYOUTS),
    codec=st.sampled_from(sorted(CODECS)),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
)
def test_what_leaves_can_be_told_from_what_came(layout: Layout, codec: str, width: int, height: int) -> None:
    """Every sample that came is among those that leave, at the same place, unless a note says that it was rounded."""
    form = encodable(layout, ROUNDING, width, height, vessel(codec))
    if form is None or (layout.family == "rgb" and form.layout.family != "rgb"):
        return
    frame = noise(layout, width, height)
    planes = encodable_planes(frame, form.layout)
    assert form.layout in forms(CODECS[codec].encoder)
    deeper = form.layout.bits - layout.bits
    for number, plane in enumerate(frame.planes):
        shifts = (layout.chroma_shift_x, layout.chroma_shift_y) if number else (0, 0)
        finer = (form.layout.chroma_shift_x, form.layout.chroma_shift_y) if number else (0, 0)
        across, down = shifts[0] - finer[0], shifts[1] - finer[1]
        assert planes[number].shape == (-(-height >> finer[1]), -(-width >> finer[0]))
        left = planes[number][:: 1 << down, :: 1 << across]
        if deeper >= 0:
            assert np.array_equal(left >> deeper, plane)
        else:
            assert any("leave as" in note for note in form.notes)
            assert np.abs((left.astype(int) << -deeper) - plane).max() < 1 << -deeper
    if deeper >= 0 and len(planes) == len(frame.planes) == 3:
        repeated = (layout.chroma_shift_x, layout.chroma_shift_y) != (
            form.layout.chroma_shift_x,
            form.layout.chroma_shift_y,
        )
        assert bool(form.notes) == repeated
