"""What the network sees of a frame, and what of a frame it may change."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.bundle import PixelRule
from runtime.colour import FromRGB, from_rgb_table, resolve_matrix, rgb_from_planes
from runtime.frame import Colour, Frame, Layout, Plane
from runtime.masks import spread
from runtime.pixels import composite, normalise, rgb_at, shrink
from runtime.resize import Region, resize_plane, resize_region

RULE = PixelRule(48, 24, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)
LAYOUTS = [
    Layout("yuv", 8, 1, 1),
    Layout("yuv", 8, 1, 0),
    Layout("yuv", 8, 0, 0),
    Layout("yuv", 8, 0, 1),
    Layout("yuv", 8, 2, 0),
    Layout("yuv", 8, 2, 2),
    Layout("yuv", 10, 1, 1),
    Layout("yuv", 12, 1, 0),
    Layout("yuv", 16, 1, 1),
    Layout("gray", 8, 0, 0),
    Layout("gray", 16, 0, 0),
    Layout("rgb", 8, 0, 0),
    Layout("rgb", 10, 0, 0),
    Layout("rgb", 16, 0, 0),
]
BT601 = Colour(6, 6, 6, full_range=False)


def random_frame(layout: Layout, width: int, height: int, seed: int = 0, colour: Colour = BT601) -> Frame:
    rng = np.random.default_rng(seed)
    shapes = [(height, width)]
    if layout.family != "gray":
        shapes += [(-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))] * 2
    kind = np.uint8 if layout.bits == 8 else np.uint16
    planes = cast("tuple[Plane, ...]", tuple(rng.integers(0, 1 << layout.bits, shape).astype(kind) for shape in shapes))
    return Frame(0, 0, planes, layout, colour)


def random_fill(rule: PixelRule, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rule.height, rule.width, 3)).astype(np.uint8)


@st.composite
def holes(draw: st.DrawFn, rows: int, columns: int) -> np.ndarray:
    hole = np.zeros((rows, columns), np.bool_)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        hole[top : draw(st.integers(top + 1, rows)), left : draw(st.integers(left + 1, columns))] = True
    return hole


def test_an_rgb_frame_is_resized_as_pillow_resizes_the_picture() -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 101, 67)
    picture = Image.fromarray(np.stack(frame.planes, axis=-1))
    assert np.array_equal(shrink(frame, RULE), np.asarray(picture.resize((48, 24), Image.Resampling.BICUBIC)))


def test_deep_rgb_is_taken_to_eight_bits_before_the_resize() -> None:
    deep = random_frame(Layout("rgb", 16, 0, 0), 60, 40)
    shallow = tuple(np.floor(plane * (255 / 65535) + 0.5).astype(np.uint8) for plane in deep.planes)
    assert np.array_equal(shrink(deep, RULE), shrink(Frame(0, 0, shallow, Layout("rgb", 8, 0, 0), BT601), RULE))


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.family == "yuv"])
def test_every_plane_is_resized_before_the_colour_conversion(layout: Layout) -> None:
    frame = random_frame(layout, 64, 36)
    planes = tuple(resize_plane(plane, 48, 24, layout.bits) for plane in frame.planes)
    assert np.array_equal(shrink(frame, RULE), rgb_from_planes(planes, BT601, 36, layout.bits))


def test_a_grey_frame_has_three_equal_channels() -> None:
    rgb = shrink(random_frame(Layout("gray", 8, 0, 0), 48, 24, colour=Colour(2, 2, 2, full_range=True)), RULE)
    assert np.array_equal(rgb[..., 0], rgb[..., 1])
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_at_the_networks_size_nothing_is_resized() -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 48, 24)
    assert np.array_equal(shrink(frame, RULE), np.stack(frame.planes, axis=-1))


def test_sixteen_bit_rgb_keeps_what_eight_bits_would_round() -> None:
    frame = random_frame(Layout("rgb", 16, 0, 0), 20, 10)
    assert np.array_equal(rgb_at(frame, 20, 10, 65535), np.stack(frame.planes, axis=-1))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("applied", [True, False])
def test_network_values_are_the_published_float32_arithmetic(order: str, applied: bool) -> None:
    rule = PixelRule(48, 24, order, -1.0, 1.0, applied, 0.0, "bicubic-antialias", 4)  # type: ignore[arg-type]
    rgb = random_fill(rule)
    hole = np.zeros((24, 48), np.bool_)
    hole[3:9, 5:40] = True
    out = np.full((3, 24, 48), np.nan, np.float32)
    normalise(rgb, hole, rule, out)
    channels = rgb if order == "rgb" else rgb[..., ::-1]
    wanted = channels.astype(np.float32).transpose(2, 0, 1) / np.float32(255) * np.float32(2) - np.float32(1)
    if applied:
        wanted = wanted * (1 - hole).astype(np.float32)
    assert np.array_equal(out, wanted)


def test_a_hole_takes_the_rules_own_value() -> None:
    rule = PixelRule(48, 24, "rgb", 0.0, 1.0, True, 0.5, "bicubic-antialias", 4)
    out = np.empty((3, 24, 48), np.float32)
    normalise(random_fill(rule), np.ones((24, 48), np.bool_), rule, out)
    assert (out == np.float32(0.5)).all()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_nothing_outside_the_hole_changes(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    width, height = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 60))
    frame = random_frame(layout, width, height)
    before = [plane.copy() for plane in frame.planes]
    hole = data.draw(holes(RULE.height, RULE.width))
    result = composite(frame, random_fill(RULE), hole)
    wide = spread(hole, width, height)
    for number, (plane, original) in enumerate(zip(result.planes, before, strict=True)):
        touched = wide if number == 0 or layout.family != "yuv" else grown_to_chroma(wide, layout)
        assert plane.dtype == original.dtype
        assert np.array_equal(plane[~touched], original[~touched])
    assert all(np.array_equal(plane, original) for plane, original in zip(frame.planes, before, strict=True))


def grown_to_chroma(wide: np.ndarray, layout: Layout) -> np.ndarray:
    rows, columns = wide.shape
    down, across = 1 << layout.chroma_shift_y, 1 << layout.chroma_shift_x
    return np.array(
        [[wide[y : y + down, x : x + across].any() for x in range(0, columns, across)] for y in range(0, rows, down)]
    )


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_hole_holds_what_the_formula_says(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    width, height = data.draw(st.integers(2, 40)), data.draw(st.integers(2, 30))
    colour = Colour(data.draw(st.sampled_from([1, 6, 9])), 2, 2, data.draw(st.booleans()))
    frame = random_frame(layout, width, height, colour=colour)
    fill = random_fill(RULE)
    hole = data.draw(holes(RULE.height, RULE.width))
    wanted = composite_by_sample(frame, fill, hole)
    got = composite(frame, fill, hole)
    assert all(np.array_equal(plane, other) for plane, other in zip(got.planes, wanted, strict=True))


def composite_by_sample(frame: Frame, fill: np.ndarray, hole: np.ndarray) -> list[np.ndarray]:
    """The documented composite, one sample at a time."""
    layout, (rows, columns) = frame.layout, frame.planes[0].shape
    pixels = resize_region(fill, columns, rows, Region(0, 0, columns, rows)).astype(int)
    inside = [
        [hole[(2 * y + 1) * hole.shape[0] // (2 * rows), (2 * x + 1) * hole.shape[1] // (2 * columns)]
         for x in range(columns)] for y in range(rows)
    ]  # fmt: skip
    planes = [plane.copy() for plane in frame.planes]
    peak = (1 << layout.bits) - 1
    table = from_rgb_table(resolve_matrix(frame.colour.matrix, rows), frame.colour.full_range, layout.bits)
    for y, x in ((y, x) for y in range(rows) for x in range(columns) if inside[y][x]):
        if layout.family == "rgb":
            for channel in range(3):
                planes[channel][y, x] = (2 * int(pixels[y, x, channel]) * peak + 255) // 510
        else:
            weighted = sum(int(a) * int(b) for a, b in zip(table.luma, pixels[y, x], strict=True))
            planes[0][y, x] = ((weighted + (1 << (table.shift - 1))) >> table.shift) + table.scale.black
    if layout.family == "yuv":
        for number, weights in ((1, table.u), (2, table.v)):
            for cell_y, cell_x in np.ndindex(*planes[number].shape):
                cell = cell_of(cell_y, cell_x, layout, rows, columns)
                if any(inside[y][x] for y, x in cell):
                    source = int(frame.planes[number][cell_y, cell_x])
                    total = sum(
                        chroma_of(pixels[y, x], weights, table) if inside[y][x] else source << table.shift
                        for y, x in cell
                    )
                    count = len(cell) << table.shift
                    planes[number][cell_y, cell_x] = min(max((2 * total + count) // (2 * count), 0), peak)
    return planes


def cell_of(cell_y: int, cell_x: int, layout: Layout, rows: int, columns: int) -> list[tuple[int, int]]:
    """The luma samples of a chroma sample; a cell that the edge cuts repeats its last row or column."""
    down, across = 1 << layout.chroma_shift_y, 1 << layout.chroma_shift_x
    return [
        (min(y, rows - 1), min(x, columns - 1))
        for y in range(cell_y * down, (cell_y + 1) * down)
        for x in range(cell_x * across, (cell_x + 1) * across)
    ]


def chroma_of(pixel: np.ndarray, weights: tuple[int, int, int], table: FromRGB) -> int:
    return sum(int(a) * int(b) for a, b in zip(weights, pixel, strict=True)) + (table.scale.neutral << table.shift)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(37, 29), (38, 29), (37, 28), (1, 1), (5, 3)])
def test_a_hole_to_the_edge_of_an_odd_frame_is_filled_to_the_edge(layout: Layout, size: tuple[int, int]) -> None:
    frame, fill = random_frame(layout, *size), random_fill(RULE)
    for hole in (np.ones((24, 48), np.bool_), np.arange(48) > np.full((24, 1), 40)):
        got = composite(frame, fill, hole)
        wanted = composite_by_sample(frame, fill, hole)
        assert all(np.array_equal(plane, other) for plane, other in zip(got.planes, wanted, strict=True))


def test_an_empty_hole_gives_the_frame_itself() -> None:
    frame = random_frame(LAYOUTS[0], 64, 36)
    assert composite(frame, random_fill(RULE), np.zeros((24, 48), np.bool_)) is frame


def test_at_the_networks_size_an_rgb_hole_is_the_fill_to_the_bit() -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 48, 24)
    fill = random_fill(RULE)
    hole = np.zeros((24, 48), np.bool_)
    hole[2:20, 7:31] = True
    got = np.stack(composite(frame, fill, hole).planes, axis=-1)
    assert np.array_equal(got[hole], fill[hole])


def test_the_fill_of_a_frame_by_itself_comes_back_as_it_was() -> None:
    frame = random_frame(Layout("yuv", 8, 0, 0), 48, 24, colour=Colour(1, 1, 1, full_range=True))
    grey = tuple(np.full_like(plane, value) for plane, value in zip(frame.planes, (90, 128, 128), strict=True))
    still = Frame(0, 0, grey, frame.layout, frame.colour)
    result = composite(still, shrink(still, RULE), np.ones((24, 48), np.bool_))
    assert all(np.array_equal(plane, other) for plane, other in zip(result.planes, grey, strict=True))
