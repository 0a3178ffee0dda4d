"""Sane videos: every frame, in order, at its own time, with the source's tags; and what is refused as no video."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from runtime._video.file import _colour_of
from runtime.errors import InputError
from runtime.frame import Colour, Layout
from runtime.video import VideoReader, probe
from tests.clips import Clip, moving_planes, picture_from, remux, write_clip

B_FRAMES = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0"))
OPEN_GOP = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0:open-gop=1:b-pyramid=normal"))


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        frames = list(reader)
        assert reader.lost == []
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert reader.counted == len(frames)
        return [frame.pts * reader.info.time_base for frame in frames]


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "gray"),
        *("yuv420p10le", "yuv422p12le", "yuv444p16le", "gray16le", "gbrp10le"),
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_lossless_planes_come_out_as_they_went_in(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    clip = Clip(*size, frames=3, codec="ffv1", pix_fmt=pix_fmt)
    with VideoReader(write_clip(tmp_path / "v.mkv", clip)) as reader:
        assert (reader.info.width, reader.info.height) == size
        frames = list(reader)
    assert len(frames) == 3
    for frame in frames:
        wanted = moving_planes(clip, frame.index)
        if pix_fmt.startswith("gbrp"):
            wanted = (wanted[2], wanted[0], wanted[1])
        assert frame.layout == reader.info.layout
        assert all(np.array_equal(plane, other) for plane, other in zip(frame.planes, wanted, strict=True))


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "flv", "avi"])
def test_b_frames_are_put_in_order(tmp_path: Path, suffix: str) -> None:
    found = times(write_clip(tmp_path / f"v.{suffix}", Clip(frames=40, options=B_FRAMES)))
    steps = {round(later - earlier, 3) for earlier, later in pairwise(found)}
    assert len(found) == 40
    assert steps == {Fraction(1, 25)}


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_uneven_times_are_exact(tmp_path: Path, suffix: str) -> None:
    ticks = [0, 3000, 6007, 9500, 20000, 20001, 33333, 40000, 50000, 90000]
    clip = Clip(frames=10, time_base=Fraction(1, 90000), pts=ticks, options=(("bf", "2"),))
    assert times(write_clip(tmp_path / f"v.{suffix}", clip)) == [Fraction(tick, 90000) for tick in ticks]


def test_a_stream_without_times_gets_them_from_its_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.h264", Clip(frames=12, options=(("bf", "0"),)))
    found = times(path)
    assert [later - earlier for earlier, later in pairwise(found)] == [Fraction(1, 25)] * 11


def test_avi_times_count_from_zero(tmp_path: Path) -> None:
    clip = Clip(frames=20, codec="mpeg4", options=(("bf", "2"),))
    assert times(write_clip(tmp_path / "v.avi", clip)) == [Fraction(index, 25) for index in range(20)]


SANE: list[tuple[str, Clip, str, int | None]] = [
    ("v.mp4", Clip(frames=20, audio_codec="aac", audio_seconds=3), "", 20),  # sound longer than the pictures
    ("v.mkv", Clip(frames=20, options=OPEN_GOP), "", None),
    ("v.ts", Clip(frames=20, options=OPEN_GOP, audio_codec="aac"), "", None),
    ("v.mp4", Clip(frames=20), "frag_keyframe+empty_moov", None),
    ("v.mp4", Clip(frames=20), "faststart", 20),
    ("v.mpg", Clip(frames=20, codec="mpeg2video", options=(("bf", "2"),), audio_codec="mp2"), "", None),
    ("v.ts", Clip(frames=20, codec="mpeg2video", options=(("bf", "2"),)), "", None),
    ("v.avi", Clip(frames=20, codec="mpeg4", options=(("bf", "2"),)), "", 20),
    ("v.mov", Clip(frames=20, codec="mjpeg", pix_fmt="yuvj420p"), "", 20),
    ("v.mov", Clip(frames=20, codec="prores_ks", pix_fmt="yuv422p10le"), "", 20),
    ("v.webm", Clip(frames=20, codec="libvpx", options=(("auto-alt-ref", "1"), ("lag-in-frames", "16"))), "", None),
    ("v.webm", Clip(frames=20, codec="libvpx-vp9", options=(("auto-alt-ref", "1"), ("lag-in-frames", "16"))), "", None),
    ("v.flv", Clip(frames=20, codec="flv"), "", None),
]


@pytest.mark.parametrize(("name", "clip", "movflags", "declared"), SANE, ids=lambda value: str(value)[:40])
def test_sane_files_are_read_whole_and_raise_no_alarm(
    tmp_path: Path, name: str, clip: Clip, movflags: str, declared: int | None
) -> None:
    path = write_clip(tmp_path / name, clip, movflags=movflags)
    assert probe(path).frames == declared
    assert len(times(path)) == 20


@pytest.mark.parametrize("source", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("first_key", [1, 2])
def test_cuts_between_key_frames_raise_no_alarm(tmp_path: Path, source: str, first_key: int) -> None:
    clip = Clip(frames=40, options=OPEN_GOP, audio_codec="aac", audio_seconds=2)
    whole = write_clip(tmp_path / f"whole.{source}", clip)
    cut = remux(whole, tmp_path / f"cut.{source}", first_key=first_key)
    assert len(times(cut)) in (20, 30, 10)  # Matroska marks fewer of the pictures as key frames


def test_a_cut_tail_raises_no_alarm(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", Clip(frames=40, options=B_FRAMES, audio_codec="aac", audio_seconds=2))
    assert 10 < len(times(remux(whole, tmp_path / "cut.mp4", seconds=0.7))) < 20


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    clip = Clip(frames=20, time_base=Fraction(1, 25), pts=[index - 5 for index in range(20)], options=(("bf", "0"),))
    path = write_clip(tmp_path / "v.mp4", clip)
    found = times(path)
    assert probe(path).frames == len(found) < 20
    assert found[0] == 0


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1), (9, 9, 16, 1), (6, 6, 6, 2), (2, 2, 2, 1)])
def test_colour_tags_are_told(tmp_path: Path, numbers: tuple[int, int, int, int]) -> None:
    info = probe(write_clip(tmp_path / "v.mp4", Clip(frames=2, colour=numbers)))
    assert info.colour == Colour(*numbers[:3], full_range=numbers[3] == 2)


def test_yuvj_is_full_range_by_name(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "v.mov", Clip(frames=2, codec="mjpeg", pix_fmt="yuvj422p")))
    assert info.layout == Layout("yuv", 8, 1, 0)
    assert info.colour.full_range
    untagged = picture_from(moving_planes(Clip(), 0), "yuvj420p")
    assert untagged.color_range == 0
    assert _colour_of(untagged, info.layout).full_range


def test_untagged_grey_is_full_range_and_untagged_yuv_is_not(tmp_path: Path) -> None:
    for pix_fmt, full in (("gray", True), ("yuv420p", False)):
        info = probe(write_clip(tmp_path / "v.mkv", Clip(frames=2, codec="ffv1", pix_fmt=pix_fmt)))
        assert info.colour.full_range is full


def test_times_that_the_container_rounded_together_still_ascend(tmp_path: Path) -> None:
    clip = Clip(frames=4, codec="ffv1", time_base=Fraction(1, 90000), pts=[0, 10, 20, 180])  # in milliseconds 0 0 0 2
    with VideoReader(write_clip(tmp_path / "v.mkv", clip)) as reader:
        assert [frame.pts for frame in reader] == [0, 1, 2, 3]


def test_packed_rgb_becomes_planes(tmp_path: Path) -> None:
    clip = Clip(frames=3, codec="png", pix_fmt="rgba")
    levels = np.zeros((48, 64, 4), np.uint8)
    levels[..., 0], levels[..., 1], levels[..., 2] = 200, 30, 4
    gbrap = tuple(levels[..., index].copy() for index in (1, 2, 0, 3))
    pictures = (picture_from(gbrap, "gbrap").reformat(format="rgba", threads=1) for _ in range(3))
    with VideoReader(write_clip(tmp_path / "v.mov", clip, pictures)) as reader:
        assert reader.info.layout == Layout("rgb", 8, 0, 0)
        assert [int(plane[0, 0]) for plane in next(iter(reader)).planes] == [200, 30, 4]
        assert reader.info.notes == ("pixel format rgba: transparency is dropped",)


def test_a_matrix_that_cannot_be_computed_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mkv", Clip(frames=2, colour=(14, 9, 16, 1)))
    with pytest.raises(InputError, match=r"v\.mkv: colour matrix 14 \(H\.273\) is not supported"):
        probe(path)


def test_a_size_that_changes_is_refused_by_frame(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.h264", Clip(64, 48, frames=5)).read_bytes()
    large = write_clip(tmp_path / "b.h264", Clip(96, 64, frames=5)).read_bytes()
    (tmp_path / "v.h264").write_bytes(small + large)
    with pytest.raises(InputError, match=r"frame 5 has 96x64 pixels, the first one had 64x48"):
        times(tmp_path / "v.h264")


def test_a_pixel_format_that_changes_is_refused_by_frame(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.h264", Clip(frames=5)).read_bytes()
    second = write_clip(tmp_path / "b.h264", Clip(frames=5, pix_fmt="yuv422p")).read_bytes()
    (tmp_path / "v.h264").write_bytes(first + second)
    with pytest.raises(InputError, match=r"frame 5 has pixel format yuv422p"):
        times(tmp_path / "v.h264")


def test_the_iteration_can_stop_at_any_frame(tmp_path: Path) -> None:
    with VideoReader(write_clip(tmp_path / "v.mp4", Clip())) as reader:
        assert next(iter(reader)).index == 0
        assert next(iter(reader)).index == 1
    assert list(reader) == []


def make_audio_only(path: Path) -> None:
    whole = write_clip(path.with_suffix(".mkv"), Clip(frames=2, audio_codec="aac"))
    with av.open(str(whole)) as source, av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("gone.mp4", lambda path: None, r"no such file$"),
        ("folder.mp4", Path.mkdir, r"is a folder; wanted a video file$"),
        ("empty.mp4", Path.touch, r"is empty; wanted a video file$"),
        ("text.mp4", lambda path: path.write_text("no video" * 100), r"not a video file that can be opened"),
        ("zeros.mp4", lambda path: path.write_bytes(bytes(5000)), r"not a video file that can be opened"),
        ("pipe.mp4", os.mkfifo, r"not a regular file"),
        ("sound.mp4", make_audio_only, r"no video stream in it"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, name: str, make: object, message: str) -> None:
    path = tmp_path / name
    make(path)  # type: ignore[operator]
    for opener in (probe, VideoReader):
        with pytest.raises(InputError, match=message) as caught:
            opener(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_video_without_frames_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"v.{suffix}", Clip(frames=0))
    with pytest.raises(InputError, match=r"no frame of it decodes|no video stream|not a video file"):
        probe(path)
