"""Cuts between scenes, found at their frame; and everything that looks like one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.cuts import NEIGHBOURS, SceneCuts, no_cuts, open_cuts
from runtime.errors import InputError
from runtime.frame import RGB, Colour, Frame, Layout, Plane
from runtime.glimpse import glimpse
from runtime.video import VideoInfo, probe
from tests.clips import Clip, write_clip
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT = 192, 108


def scene(seed: int, frames: int, speed: float = 2.0) -> list[RGB]:
    """A picture of soft blobs in colours of its own, seen by a camera that pans."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (12, 40, 3)).astype(np.uint8)
    wide = cv2.resize(coarse, (WIDTH * 4, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    return [np.ascontiguousarray(np.roll(wide, -round(speed * index), axis=1)[:, :WIDTH]) for index in range(frames)]


def as_frames(pictures: Sequence[RGB]) -> Iterator[Frame]:
    """RGB pictures as frames with planes of their own."""
    for index, picture in enumerate(pictures):
        planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
        yield Frame(index, index, planes, Layout("rgb", 8, 0, 0), Colour(0, 1, 1, full_range=True))


def found(pictures: Sequence[RGB]) -> list[int]:
    cuts = SceneCuts()
    marked = list(cuts.marked(as_frames(pictures)))
    assert [frame.index for frame, _ in marked] == list(range(len(pictures)))
    assert [frame.index for frame, cut in marked if cut] == cuts.found
    return cuts.found


@pytest.mark.parametrize("lengths", [(20, 20, 20), (3, 3, 4, 3, 5, 3), (30, 1), (1, 30), (2, 12, 2), (5, 40, 8)])
def test_every_cut_is_found_at_its_frame(lengths: tuple[int, ...]) -> None:
    pictures = [picture for seed, length in enumerate(lengths) for picture in scene(seed, length)]
    assert found(pictures) == np.cumsum(lengths)[:-1].tolist()


@pytest.mark.parametrize("speed", [0.0, 1.0, 6.0, 15.0])
def test_no_camera_movement_is_a_cut(speed: float) -> None:
    assert found(scene(3, 40, speed)) == []


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("light", [0.4, 1.0])
def test_a_flash_is_no_cut(length: int, light: float) -> None:
    pictures = scene(4, 30)
    for index in range(12, 12 + length):
        pictures[index] = (pictures[index] * (1 - light) + 255 * light).astype(np.uint8)
    assert found(pictures) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_lost_picture_is_no_cut(length: int) -> None:
    pictures = scene(4, 30)
    pictures[12 : 12 + length] = [np.zeros_like(pictures[0])] * length
    assert found(pictures) == []


def test_a_fade_is_no_cut() -> None:
    pictures = scene(5, 60)
    faded = [(picture * min(1.0, index / 40)).astype(np.uint8) for index, picture in enumerate(pictures)]
    assert found(faded) == []


def test_a_cut_is_found_among_flashes() -> None:
    pictures = scene(6, 20) + scene(7, 20)
    pictures[10] = np.full_like(pictures[0], 255)
    pictures[30] = np.full_like(pictures[0], 255)
    assert found(pictures) == [20]


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_clips_of_few_frames_have_no_cut(length: int) -> None:
    assert found(scene(8, length)) == []


def test_frames_come_two_late_and_no_later() -> None:
    taken = 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in as_frames(scene(9, 20)):
            taken += 1
            yield frame

    for frame, _ in SceneCuts().marked(counted()):
        assert taken <= frame.index + NEIGHBOURS + 1


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("family", ["gray", "rgb", "yuv"])
def test_a_glimpse_shows_the_mean_of_each_cell_at_any_depth(family: str, bits: int) -> None:
    cells = np.random.default_rng(bits).integers(30, 220, (9, 16))
    levels = np.kron(cells, np.ones((30, 30))) * (1 << (bits - 8))
    plane: Plane = levels.astype(np.uint8) if bits == 8 else levels.astype(np.uint16)
    colour = Colour(0 if family == "rgb" else 1, 1, 1, full_range=True)
    if family == "yuv":
        neutral: Plane = np.full_like(plane[::2, ::2], 1 << (bits - 1))
        frame = Frame(0, 0, (plane, neutral, neutral), Layout("yuv", bits, 1, 1), colour)
    elif family == "rgb":
        frame = Frame(0, 0, (plane, plane, plane), Layout("rgb", bits, 0, 0), colour)
    else:
        frame = Frame(0, 0, (plane,), Layout("gray", bits, 0, 0), colour)
    small = glimpse(frame, 16, 9)
    assert small.shape == (9, 16, 3)
    assert small.dtype == np.uint8
    assert np.abs(small.astype(int) - cells[..., None]).max() <= TOLERANCE["glimpse", "levels"]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    clip = Clip(16, 16, 50, rate=Fraction(10), pts=[number + 3 * (number >= 30) for number in range(50)])
    return probe(write_clip(tmp_path_factory.mktemp("cuts") / "video.mp4", clip))


def listed(path: Path, text: str, info: VideoInfo) -> list[int]:
    path.write_text(text)
    cuts = open_cuts(str(path), info)
    ticks = [round(number / 10 / info.time_base) for number in [*range(30), *range(33, 53)]]
    frames = [Frame(index, pts, (), Layout("gray", 8, 0, 0), Colour(2, 2, 2, True)) for index, pts in enumerate(ticks)]
    marked = [frame.index for frame, cut in cuts.marked(frames) if cut]
    assert marked == cuts.found
    return marked


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("", []),
        ("7\n", [7]),
        ("# scenes\n\n  7  # the second\n1.2s\n0:02.55\n", [7, 12, 26]),
        ("0\n0s\n", []),  # the clip begins there anyway
        ("3.1s\n", [30]),  # in a gap: the next frame that is shown
        ("12\n1.2s\n12\n", [12]),
        ("49\n", [49]),
        ("1.15s\n1.18s\n", [12]),
    ],
)
def test_cuts_are_read_from_a_file(tmp_path: Path, info: VideoInfo, text: str, frames: list[int]) -> None:
    assert listed(tmp_path / "cuts.txt", text, info) == frames


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7\nx\n", r"cuts\.txt:2: 'x' is no cut; wanted the number of a frame, or a time"),
        ("-3", r"cuts\.txt:1: '-3' is no cut"),
        ("50", r"cuts\.txt:1: frame 50, but the video's last one is 49"),
        ("1:00:00", r"cuts\.txt:1: 1:00:00 lies behind the video's end at"),
        (b"\xff\xfe\x00", r"cuts\.txt: cuts cannot be read: it is no text"),
        (None, r"cuts\.txt: cuts cannot be read: No such file"),
    ],
)
def test_a_file_that_lists_no_cuts_is_refused_in_one_line(
    tmp_path: Path, info: VideoInfo, text: str | bytes | None, message: str
) -> None:
    path = tmp_path / "cuts.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        open_cuts(str(path), info)
    assert "\n" not in str(caught.value)


def test_none_is_one_scene(info: VideoInfo) -> None:
    for cuts in (no_cuts(), open_cuts("none", info)):
        assert not any(cut for _, cut in cuts.marked(as_frames(scene(1, 5) + scene(2, 5))))
        assert cuts.found == []
    assert open_cuts("auto", info).found == []
