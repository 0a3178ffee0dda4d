"""Pictures as masks that few programs write: floating-point samples, several pictures in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.errors import InputError
from runtime.frame import Hole
from runtime.masks import Request, open_masks
from runtime.video import VideoInfo, probe
from tests.clips import Clip, write_clip

WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("masks") / "video.mp4", Clip(WIDTH, HEIGHT, 3)))


def square() -> Hole:
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[10:20, 30:40] = True
    return hole


@pytest.mark.parametrize("level", [0.001, 0.9, 1.0, 255.0, 65535.0])
@pytest.mark.parametrize("outside", [0.0, -0.5, np.nan])
def test_any_floating_point_sample_above_zero_is_hole(
    tmp_path: Path, info: VideoInfo, level: float, outside: float
) -> None:
    samples = np.where(square(), level, outside).astype(np.float32)
    Image.fromarray(samples).save(tmp_path / "m.tiff")
    hole = open_masks(Request((tmp_path / "m.tiff",)), info).read(0, 0.0)
    assert hole is not None
    assert np.array_equal(hole, square())


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [("m.tiff", "TIFF", {}), ("m.tif", "TIFF", {"compression": "tiff_lzw"}), ("m.webp", "WEBP", {"lossless": True})],
)
def test_several_pictures_in_a_file_that_is_no_video_are_named_with_what_to_do(
    tmp_path: Path, info: VideoInfo, name: str, kind: str, options: dict[str, Any]
) -> None:
    pages = [Image.fromarray(np.roll(square(), page, axis=0).astype(np.uint8) * 255) for page in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
    said = rf"{name}: {kind} of 3 pictures; wanted one picture: save .* in a folder, one a frame$"
    with pytest.raises(InputError, match=said) as caught:
        open_masks(Request((tmp_path / name,)), info)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.gif", "m.png"])
def test_an_animated_picture_is_a_mask_video(tmp_path: Path, info: VideoInfo, name: str) -> None:
    pages = [Image.fromarray(np.roll(square(), 5 * page, axis=0).astype(np.uint8) * 255) for page in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], duration=40)
    source = open_masks(Request((tmp_path / name,)), info)
    holes = [source.read(index, index / 25) for index in range(3)]
    source.close()
    for page, hole in enumerate(holes):
        assert hole is not None
        assert np.array_equal(hole, np.roll(square(), 5 * page, axis=0))
