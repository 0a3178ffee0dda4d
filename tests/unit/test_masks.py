"""Masks from every source, and each way in which they fail to fit the video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.boxes import Box
from runtime.errors import InputError
from runtime.frame import Hole
from runtime.masks import MaskSource, Request, find_mask_beside, open_masks
from runtime.video import VideoInfo, probe
from tests.clips import Clip, picture_from, write_clip
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT, FRAMES = 64, 48, 5


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    return probe(write_clip(tmp_path_factory.mktemp("masks") / "video.mp4", Clip(WIDTH, HEIGHT, FRAMES)))


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def masks_of(info: VideoInfo, *masks: Path, boxes: tuple[Box, ...] = ()) -> MaskSource:
    return open_masks(Request(masks, boxes), info)


def read(source: MaskSource, index: int) -> Hole | None:
    return source.read(index, index / 25)


def read_all(source: MaskSource) -> None:
    for index in range(FRAMES):
        read(source, index)
    source.finish(FRAMES)


def hole_of(source: MaskSource, index: int = 0) -> Hole:
    hole = read(source, index)
    assert hole is not None
    return hole


def square(value: int = 255, kind: type[np.generic] = np.uint8) -> np.ndarray:
    array = np.zeros((HEIGHT, WIDTH), kind)
    array[10:20, 30:40] = value
    return array


def test_one_image_serves_all_frames_with_one_array(tmp_path: Path, info: VideoInfo) -> None:
    source = masks_of(info, save(tmp_path / "mask.png", square()))
    first = read(source, 0)
    assert first is not None
    assert np.array_equal(first, square() > 0)
    assert read(source, 1) is first
    assert read(source, 3) is first
    source.finish(99)


@pytest.mark.parametrize("value", [1, 2, 128, 255])
def test_any_grey_above_black_is_hole_in_an_image(tmp_path: Path, info: VideoInfo, value: int) -> None:
    assert np.array_equal(hole_of(masks_of(info, save(tmp_path / "m.png", square(value))), 0), square() > 0)


LOSSY: dict[str, dict[str, Any]] = {
    "m.jpg": {"quality": 75},
    "m.webp": {"quality": 50},
    "m.tiff": {"compression": "jpeg", "quality": 75},
}


@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 0, 0), (0, 0, 255)])
@pytest.mark.parametrize("name", LOSSY)
def test_the_specks_of_lossy_images_are_no_hole(
    tmp_path: Path, info: VideoInfo, name: str, colour: tuple[int, int, int]
) -> None:
    array = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    array[12:20, 30:38] = colour
    Image.fromarray(array).save(tmp_path / name, **LOSSY[name])
    hole = hole_of(masks_of(info, tmp_path / name))
    with Image.open(tmp_path / name) as image:
        specks = np.count_nonzero(np.asarray(image.convert("L")) > 0) - 64
    assert specks > 0
    blurred = 0 if len(set(colour)) == 1 else 36  # the rim: chroma is stored at half the size
    assert 64 - blurred <= np.count_nonzero(hole) <= 64 + blurred
    assert hole[14:18, 32:36].all()
    assert not hole[:10].any()


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("name", ["m.webp", "m.tiff"])
def test_faint_grey_is_hole_in_formats_that_may_be_lossy_and_here_are_not(
    tmp_path: Path, info: VideoInfo, name: str, transparent: bool
) -> None:
    array = np.dstack([square(2)] * 3 + [np.full((HEIGHT, WIDTH), 255, np.uint8)])
    array[0, 0, 3] = 0 if transparent else 255  # which puts other chunks before a WebP's samples
    lossless: dict[str, Any] = {"lossless": True} if name == "m.webp" else {"compression": "tiff_lzw"}
    Image.fromarray(array).save(tmp_path / name, **lossless)
    assert np.array_equal(hole_of(masks_of(info, tmp_path / name)), square() > 0)


def test_a_layer_painted_in_black_is_hole_in_a_lossy_image_too(tmp_path: Path, info: VideoInfo) -> None:
    array = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    array[..., 3] = square()
    Image.fromarray(array).save(tmp_path / "m.webp", quality=50)
    assert np.array_equal(hole_of(masks_of(info, tmp_path / "m.webp")), square() > 0)


def test_sixteen_bit_images_are_not_clipped_to_eight(tmp_path: Path, info: VideoInfo) -> None:
    mask = save(tmp_path / "m.png", square(3, np.uint16))
    assert np.array_equal(hole_of(masks_of(info, mask), 0), square() > 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_every_mode_of_image_is_read(tmp_path: Path, info: VideoInfo, mode: str) -> None:
    image = Image.fromarray(square()).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(0)  # the same everywhere: it tells nothing
    image.save(tmp_path / "m.png")
    assert np.array_equal(hole_of(masks_of(info, tmp_path / "m.png"), 0), square() > 0)


def test_a_black_mask_is_no_hole(tmp_path: Path, info: VideoInfo) -> None:
    assert read(masks_of(info, save(tmp_path / "m.png", square(0))), 0) is None


def test_a_folder_gives_its_images_in_natural_order(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES):
        array = np.zeros((HEIGHT, WIDTH), np.uint8)
        array[number] = 255
        save(tmp_path / "folder" / f"mask{number * 5}.png", array)  # mask0, mask5, mask10, mask15, mask20
    (tmp_path / "folder" / "notes.txt").write_text("no mask")
    (tmp_path / "folder" / ".hidden.png").write_text("no mask")
    source = masks_of(info, tmp_path / "folder")
    for number in range(FRAMES):
        hole = read(source, number)
        assert hole is not None
        assert np.flatnonzero(hole.any(axis=1)).tolist() == [number]
    source.finish(FRAMES)
    with pytest.raises(InputError, match=r"5 masks, but the video has 4 frames"):
        source.finish(4)


def test_a_folder_of_another_count_is_refused_before_anything_is_read(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES - 1):
        save(tmp_path / "folder" / f"{number}.png", square())
    with pytest.raises(InputError, match=r"folder: 4 masks, but the video has 5 frames; wanted one mask a frame$"):
        masks_of(info, tmp_path / "folder")


def test_a_mask_of_another_size_is_refused_by_name(tmp_path: Path, info: VideoInfo) -> None:
    for number in range(FRAMES):
        save(tmp_path / "folder" / f"{number}.png", square())
    odd = save(tmp_path / "folder" / "3.png", np.zeros((HEIGHT, WIDTH - 1), np.uint8))
    with pytest.raises(InputError, match=r"3\.png: mask of 63x48 pixels, but the video has 64x48"):
        masks_of(info, tmp_path / "folder")
    with pytest.raises(InputError, match=r"3\.png: mask of 63x48 pixels"):
        masks_of(info, odd)


def test_a_mask_video_is_cut_at_half_brightness(tmp_path: Path, info: VideoInfo) -> None:
    clip = Clip(WIDTH, HEIGHT, FRAMES, codec="ffv1", pix_fmt="gray")
    levels = [0, 127, 128, 255, 60]
    pictures = (picture_from((square(level),), "gray") for level in levels)
    source = masks_of(info, write_clip(tmp_path / "m.mkv", clip, pictures))
    assert [read(source, index) is not None for index in range(FRAMES)] == [False, False, True, True, False]
    source.finish(FRAMES)
    source.close()


def test_an_rgb_mask_video_is_cut_at_half_of_its_mean(tmp_path: Path, info: VideoInfo) -> None:
    clip = Clip(WIDTH, HEIGHT, FRAMES, codec="png", pix_fmt="rgb24")
    levels = [(0, 0, 0), (255, 127, 0), (128, 128, 128), (255, 129, 0), (255, 0, 0)]
    planes = [(square(green), square(blue), square(red)) for red, green, blue in levels]
    pictures = (picture_from(colours, "gbrp").reformat(format="rgb24", threads=1) for colours in planes)
    source = masks_of(info, write_clip(tmp_path / "m.mov", clip, pictures))
    assert [read(source, index) is not None for index in range(FRAMES)] == [False, False, True, True, False]
    source.close()


def test_a_lossy_mask_video_does_not_ring(tmp_path: Path, info: VideoInfo) -> None:
    clip = Clip(WIDTH, HEIGHT, FRAMES, options=(("crf", "30"),))
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    pictures = (picture_from((square(235) + np.uint8(0), grey, grey), "yuv420p") for _ in range(FRAMES))
    source = masks_of(info, write_clip(tmp_path / "m.mp4", clip, pictures))
    hole = read(source, 0)
    assert hole is not None
    assert (hole ^ (square() > 0)).sum() <= TOLERANCE["mask video", "pixels"]
    source.close()


def test_frames_may_be_passed_over(tmp_path: Path, info: VideoInfo) -> None:
    clip = Clip(WIDTH, HEIGHT, FRAMES, codec="ffv1", pix_fmt="gray")
    pictures = (picture_from((np.roll(square(), number, axis=0),), "gray") for number in range(FRAMES))
    source = masks_of(info, write_clip(tmp_path / "m.mkv", clip, pictures))
    hole = read(source, 3)
    assert hole is not None
    assert np.array_equal(hole, np.roll(square(), 3, axis=0) > 0)
    source.finish(FRAMES)
    source.close()


@pytest.mark.parametrize(("count", "found"), [(FRAMES - 2, "3 masks"), (FRAMES + 2, "7 masks")])
def test_a_mask_video_of_another_length_is_refused(tmp_path: Path, info: VideoInfo, count: int, found: str) -> None:
    mask = write_clip(tmp_path / "m.mp4", Clip(WIDTH, HEIGHT, count))
    with pytest.raises(InputError, match=rf"{found}, but the video has {FRAMES} frames"):
        masks_of(info, mask)
    uncounted = write_clip(tmp_path / "m.mkv", Clip(WIDTH, HEIGHT, count))  # Matroska does not tell its count
    source = masks_of(info, uncounted)
    with pytest.raises(InputError, match=rf"{found}, but the video has"):
        read_all(source)
    source.close()


def test_a_mask_video_of_another_size_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    mask = write_clip(tmp_path / "m.mp4", Clip(WIDTH + 2, HEIGHT, FRAMES))
    with pytest.raises(InputError, match=r"mask of 66x48 pixels, but the video has 64x48"):
        masks_of(info, mask)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "gone.png", r"no such mask"),
        (b"not an image", "m.png", r"not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "m.png", r"not an image|cannot be"),
        (b"neither image nor video", "m.dat", r"not a video file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n", "m.eps", r"not a video file"),
    ],
)
def test_unreadable_masks_are_refused_in_one_line(
    tmp_path: Path, info: VideoInfo, content: bytes | None, name: str, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        masks_of(info, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_cut_off_image_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    path = save(tmp_path / "m.png", noise)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"m\.png: mask cannot be decoded"):
        masks_of(info, path)


def test_an_empty_folder_is_refused(tmp_path: Path, info: VideoInfo) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: no images in it"):
        masks_of(info, tmp_path / "folder")


def test_the_mask_beside_a_video_is_found_in_order_of_preference(tmp_path: Path) -> None:
    video = tmp_path / "holiday.mp4"
    assert find_mask_beside(video) is None
    for name in ("holiday_mask.mp4", "holiday_mask.png", "holiday_mask"):  # the later the better
        (tmp_path / name).touch() if "." in name else (tmp_path / name).mkdir()
        assert find_mask_beside(video) == tmp_path / name


@pytest.mark.parametrize("video", ["fr.v2", "fr.v2/%05d.png"])
def test_the_mask_beside_pictures_has_the_whole_name_of_their_folder(tmp_path: Path, video: str) -> None:
    (tmp_path / "fr.v2").mkdir()
    (tmp_path / "fr_mask").mkdir()  # another clip's
    assert find_mask_beside(tmp_path / video) is None
    (tmp_path / "fr.v2_mask").mkdir()
    assert find_mask_beside(tmp_path / video) == tmp_path / "fr.v2_mask"
