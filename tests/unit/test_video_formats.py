"""Pixel formats into planes and back, without a sample changing."""

from __future__ import annotations

import numpy as np
import pytest
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from runtime._video.formats import (
    alpha_of,
    format_name,
    has_alpha,
    layout_of,
    picture_of,
    planar_name,
    planes_of,
    remarks,
)
from runtime.frame import Layout
from tests.clips import planes_of_shape

PLANAR = [
    *(f"yuv{digits}p{depth}" for digits in (420, 422, 444) for depth in ("", "9le", "10le", "12le", "14le", "16le")),
    *("yuv440p", "yuv440p10le", "yuv440p12le", "yuv411p", "yuv410p"),
    *("gray", "gray9le", "gray10le", "gray12le", "gray14le", "gray16le"),
    *("gbrp", "gbrp9le", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le"),
]
PACKED = [
    *("nv12", "nv21", "nv16", "nv24", "nv42", "nv20le"),
    *("p010le", "p012le", "p016le", "p210le", "p212le", "p216le", "p410le", "p412le", "p416le"),
    *("yuyv422", "uyvy422", "yvyu422", "y210le", "y212le", "xv30le", "xv36le", "xv48le", "vuyx"),
    *("rgb24", "bgr24", "rgb0", "bgr0", "0rgb", "0bgr", "rgb48le", "bgr48le", "x2rgb10le"),
    *("gray16be", "yuv420p10be", "yuv422p10be", "yuv444p16be", "gbrp10be", "gbrp16be", "rgb48be"),
]
WITH_ALPHA = [
    *("rgba", "bgra", "argb", "abgr", "rgba64le", "ya8", "ya16le"),
    *("yuva420p", "yuva444p10le", "gbrap", "vuya", "ayuv64le"),
]


def random_planes(layout: Layout, width: int, height: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    kind = np.uint8 if layout.bits == 8 else np.uint16
    shapes = planes_of_shape(width, height, format_name(layout))
    return tuple(rng.integers(0, 1 << layout.bits, shape).astype(kind) for shape in shapes)


@pytest.mark.parametrize("name", PLANAR)
@pytest.mark.parametrize("size", [(34, 22), (33, 21), (1, 1)])
def test_planar_formats_keep_their_planes(name: str, size: tuple[int, int]) -> None:
    layout = layout_of(name)
    assert layout is not None
    assert format_name(layout) == name
    planes = random_planes(layout, *size, seed=1)
    picture = picture_of(planes, layout)
    assert picture.format.name == name
    got = planes_of(picture)
    assert all(np.array_equal(plane, other) for plane, other in zip(got, planes, strict=True))


def test_rgb_planes_come_in_the_order_red_green_blue() -> None:
    planes = tuple(np.full((4, 6), value, np.uint8) for value in (250, 100, 3))
    picture = picture_of(planes, Layout("rgb", 8, 0, 0))
    assert picture.reformat(format="rgb24", threads=1).to_ndarray()[0, 0].tolist() == [250, 100, 3]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("size", [(34, 22), (432, 48)])
def test_packed_formats_come_apart_without_loss(name: str, size: tuple[int, int]) -> None:
    layout = layout_of(planar_name(name))
    assert layout is not None
    assert layout.bits == max(component.bits for component in VideoFormat(name).components)
    for seed in range(3):
        planes = random_planes(layout, *size, seed)
        for colour_range in (1, 2):
            picture = picture_of(planes, layout)
            picture.color_range = colour_range
            got = planes_of(picture.reformat(format=name, threads=1))
            assert all(np.array_equal(plane, other) for plane, other in zip(got, planes, strict=True))
    assert remarks(name) == []


@pytest.mark.parametrize("name", WITH_ALPHA)
def test_alpha_is_dropped_with_a_remark(name: str) -> None:
    layout = layout_of(planar_name(name))
    assert layout is not None
    planes = random_planes(layout, 32, 16, seed=2)
    got = planes_of(picture_of(planes, layout).reformat(format=name, threads=1))
    assert all(np.array_equal(plane, other) for plane, other in zip(got, planes, strict=True))
    assert remarks(name) == [f"pixel format {name}: transparency is dropped"]


@pytest.mark.parametrize("name", [*WITH_ALPHA, "yuva422p12le", "gbrap10le"])
@pytest.mark.parametrize("size", [(34, 22), (33, 21)])
def test_the_alpha_channel_comes_out_exactly(name: str, size: tuple[int, int]) -> None:
    deep = "16le" if "16" in name or "64" in name else ""
    planar = name if name.startswith(("yuva", "gbrap")) else f"gbrap{deep}"
    picture = VideoFrame(*size, planar)
    alpha = picture.planes[3]
    bits = picture.format.components[-1].bits
    kind = np.uint8 if bits == 8 else np.uint16
    wanted = np.random.default_rng(4).integers(0, 1 << bits, (size[1], size[0])).astype(kind)
    lines = np.frombuffer(memoryview(alpha), kind).reshape(alpha.height, -1)
    lines[:, : size[0]] = wanted
    assert has_alpha(name)
    got, layout = alpha_of(picture if name == planar else picture.reformat(format=name, threads=1))
    assert layout == Layout("gray", bits, 0, 0)
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("name", ["yuv420p", "rgb24", "gray", "nv12"])
def test_opaque_formats_have_no_alpha_channel(name: str) -> None:
    assert not has_alpha(name)
    with pytest.raises(ValueError, match=f"pixel format {name} has no alpha channel"):
        alpha_of(VideoFrame(16, 16, name))


def test_planes_are_copies_without_padding() -> None:
    layout = Layout("yuv", 8, 1, 1)
    picture = picture_of(random_planes(layout, 35, 23, seed=3), layout)
    first = planes_of(picture)
    assert all(plane.flags.c_contiguous and plane.flags.owndata for plane in first)
    kept = [plane.copy() for plane in first]
    for plane in picture.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = 0
    assert all(np.array_equal(plane, other) for plane, other in zip(first, kept, strict=True))
