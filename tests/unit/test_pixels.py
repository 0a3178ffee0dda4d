"""What the network sees of a frame, or of a crop of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.bundle import PixelRule
from runtime.colour import rgb_from_planes
from runtime.frame import Colour, Frame, Layout
from runtime.patch import Crop
from runtime.pixels import normalise, rgb_at, shrink
from runtime.resize import resize_plane
from tests.noise import BT601, LAYOUTS, RULE, crops, random_fill, random_frame, whole


def test_an_rgb_frame_is_resized_as_pillow_resizes_the_picture() -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 101, 67)
    picture = Image.fromarray(np.stack(frame.planes, axis=-1))
    wanted = np.asarray(picture.resize((48, 24), Image.Resampling.BICUBIC))
    assert np.array_equal(shrink(frame, whole(frame), RULE), wanted)


def test_deep_rgb_is_taken_to_eight_bits_before_the_resize() -> None:
    deep = random_frame(Layout("rgb", 16, 0, 0), 60, 40)
    planes = tuple(np.floor(plane * (255 / 65535) + 0.5).astype(np.uint8) for plane in deep.planes)
    shallow = Frame(0, 0, planes, Layout("rgb", 8, 0, 0), BT601)
    assert np.array_equal(shrink(deep, whole(deep), RULE), shrink(shallow, whole(deep), RULE))


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.family == "yuv"])
def test_every_plane_is_resized_before_the_colour_conversion(layout: Layout) -> None:
    frame = random_frame(layout, 64, 36)
    planes = tuple(resize_plane(plane, 48, 24, layout.bits) for plane in frame.planes)
    assert np.array_equal(shrink(frame, whole(frame), RULE), rgb_from_planes(planes, BT601, (64, 36), layout.bits))


def test_a_grey_frame_has_three_equal_channels() -> None:
    frame = random_frame(Layout("gray", 8, 0, 0), 48, 24, colour=Colour(2, 2, 2, full_range=True))
    rgb = shrink(frame, whole(frame), RULE)
    assert np.array_equal(rgb[..., 0], rgb[..., 1])
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_at_the_networks_size_nothing_is_resized() -> None:
    frame = random_frame(Layout("rgb", 8, 0, 0), 48, 24)
    assert np.array_equal(shrink(frame, whole(frame), RULE), np.stack(frame.planes, axis=-1))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_crop_is_seen_as_if_the_frame_ended_at_its_edges(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    frame = random_frame(layout, data.draw(st.integers(1, 90)), data.draw(st.integers(1, 60)))
    crop = data.draw(crops(frame, turned=False))
    cut = tuple(
        plane[crop.top >> down : -(-crop.bottom >> down), crop.left >> across : -(-crop.right >> across)].copy()
        for plane, (across, down) in zip(
            frame.planes, [(0, 0), *[(layout.chroma_shift_x, layout.chroma_shift_y)] * 2], strict=False
        )
    )
    alone = replace(frame, planes=cut)
    assert np.array_equal(shrink(frame, crop, RULE), shrink(alone, whole(alone), RULE))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[7], LAYOUTS[-1]])
def test_a_turned_crop_is_resized_first_and_turned_last(turns: int, layout: Layout) -> None:
    frame = random_frame(layout, 90, 70)
    size = (RULE.height, RULE.width) if turns % 2 else (RULE.width, RULE.height)
    lying = shrink(frame, Crop(8, 12, 60, 40), replace(RULE, width=size[0], height=size[1]))
    upright = shrink(frame, Crop(8, 12, 60, 40, turns), RULE)
    assert upright.flags.c_contiguous
    assert np.array_equal(upright, np.rot90(lying, turns))


def test_a_small_crop_of_a_large_untagged_frame_is_of_its_matrix() -> None:
    untagged = random_frame(LAYOUTS[2], 60, 720, colour=Colour(2, 2, 2, full_range=False))
    tagged = replace(untagged, colour=Colour(1, 2, 2, full_range=False))
    crop = Crop(6, 100, 48, 24)
    assert np.array_equal(shrink(untagged, crop, RULE), shrink(tagged, crop, RULE))


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
