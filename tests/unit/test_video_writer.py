"""What is written: timestamps, tags, layouts and sizes as in the source, under the final name only when complete."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest

from runtime.errors import OutputError
from runtime.frame import Frame, Layout
from runtime.video import Encoding, VideoInfo, VideoReader, open_work, open_writer, probe
from tests.clips import Clip, remux, write_clip
from tests.recoded import recode, recode_as, writing

UNEVEN = [0, 3000, 6007, 9500, 20000, 24001, 33333, 40000, 50000, 90000]


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def times(path: Path) -> list[Fraction]:
    base = probe(path).time_base
    return [frame.pts * base for frame in read(path)]


LOSSLESS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


@pytest.mark.parametrize("pix_fmt", LOSSLESS)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_layout_depth_and_samples_are_kept(tmp_path: Path, pix_fmt: str, suffix: str) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=4, codec="ffv1", pix_fmt=pix_fmt))
    assert recode(source, tmp_path / f"out.{suffix}") == []
    before, after = read(source), read(tmp_path / f"out.{suffix}")
    assert probe(tmp_path / f"out.{suffix}").codec == "h264"
    for frame, other in zip(before, after, strict=True):
        assert frame.layout == other.layout
        assert all(np.array_equal(plane, same) for plane, same in zip(frame.planes, other.planes, strict=True))


@pytest.mark.parametrize(
    ("size", "digits"), [((63, 47), "4:4:4"), ((64, 47), "4:2:2"), ((63, 48), "4:4:4"), ((1, 1), "4:4:4")]
)
def test_an_odd_size_leaves_with_its_chroma_repeated_and_its_luma_exact(
    tmp_path: Path, size: tuple[int, int], digits: str
) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(*size, frames=3, codec="ffv1", pix_fmt="yuv420p"))
    notes = recode(source, tmp_path / "out.mp4")
    assert len(notes) == 1
    assert f"leaves as {digits}" in notes[0]
    across = 2 if digits == "4:4:4" else 1
    for frame, other in zip(read(source), read(tmp_path / "out.mp4"), strict=True):
        assert other.layout == Layout("yuv", 8, 2 - across, 0)
        assert np.array_equal(frame.planes[0], other.planes[0])
        for chroma, wide in zip(frame.planes[1:], other.planes[1:], strict=True):
            assert np.array_equal(wide, chroma.repeat(2, axis=0).repeat(across, axis=1)[: size[1], : size[0]])


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey_leaves_as_monochrome(tmp_path: Path, pix_fmt: str) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(63, 47, frames=3, codec="ffv1", pix_fmt=pix_fmt))
    assert recode(source, tmp_path / "out.mp4") == []
    for frame, other in zip(read(source), read(tmp_path / "out.mp4"), strict=True):
        assert all((plane == 1 << (other.layout.bits - 1)).all() for plane in other.planes[1:])
        if pix_fmt == "gray":
            assert np.array_equal(frame.planes[0], other.planes[0])


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_uneven_timestamps_are_kept_to_the_tick(tmp_path: Path, suffix: str) -> None:
    clip = Clip(frames=10, time_base=Fraction(1, 90000), pts=UNEVEN)
    source = write_clip(tmp_path / "v.mp4", clip)
    recode(source, tmp_path / f"out.{suffix}", crf=20)
    assert times(tmp_path / f"out.{suffix}") == times(source) == [Fraction(tick, 90000) for tick in UNEVEN]


def test_matroska_keeps_timestamps_to_the_millisecond(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=10, time_base=Fraction(1, 90000), pts=UNEVEN))
    recode(source, tmp_path / "out.mkv", crf=20)
    pairs = zip(times(source), times(tmp_path / "out.mkv"), strict=True)
    assert max(abs(time - other) for time, other in pairs) <= Fraction(1, 2000)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_ticks_are_not_taken_for_a_frame_rate(tmp_path: Path, codec: str) -> None:
    """A level for 1000 pictures a second would keep players from a video of 25."""
    steady = write_clip(tmp_path / "steady.mkv", Clip(320, 240, frames=10, codec="ffv1"))
    steps = np.random.default_rng(3).integers(20, 100, 14).tolist()
    clip = Clip(320, 240, frames=14, codec="ffv1", time_base=Fraction(1, 1000), pts=list(accumulate(steps)))
    uneven = remux(write_clip(tmp_path / "v.mkv", clip), tmp_path / "uneven.mkv")  # which then declares no rate
    assert probe(uneven).rate == 1000
    levels: list[int] = []
    for source in (steady, uneven):
        recode_as(source, tmp_path / "out.mkv", Encoding(codec))
        with av.open(str(tmp_path / "out.mkv")) as container:
            levels.append(container.streams.video[0].codec_context.level)
    assert levels[0] == levels[1]


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    clip = Clip(frames=5, time_base=Fraction(1, 90000), pts=[9001 + 3600 * index for index in range(5)])
    source = write_clip(tmp_path / "v.mp4", clip)
    recode(source, tmp_path / "out.mp4", crf=20)
    assert times(tmp_path / "out.mp4") == times(source)


@pytest.mark.parametrize("numbers", [(1, 1, 1, 1), (9, 9, 16, 1), (6, 6, 6, 2)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_colour_tags_and_range_are_kept(tmp_path: Path, numbers: tuple[int, int, int, int], suffix: str) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=2, colour=numbers))
    recode(source, tmp_path / f"out.{suffix}")
    assert probe(tmp_path / f"out.{suffix}").colour == probe(source).colour


def test_the_shape_of_pixels_and_the_turn_of_the_picture_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "v.mp4"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        stream.set_display_rotation(90)
        for index in range(3):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts = index
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    assert probe(source).rotation == 90
    recode(source, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.sample_aspect, info.rotation) == (Fraction(16, 15), 90)


def write_and_stop(out: Path, info: VideoInfo, frames: list[Frame], stop: type[BaseException]) -> None:
    with writing(out, info) as writer:
        for frame in frames:
            writer.write(frame)
        raise stop


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("out", ["out.mp4", "out.mkv", "pictures/%03d.png"])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, stop: type[BaseException], out: str) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=10, audio_codec="aac"))
    with pytest.raises(stop):
        write_and_stop(tmp_path / out, probe(source), read(source)[:7], stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mp4"]


def test_an_interrupted_run_leaves_the_older_result(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=4))
    (tmp_path / "out.mp4").write_bytes(b"older")
    with pytest.raises(RuntimeError):
        write_and_stop(tmp_path / "out.mp4", probe(source), read(source), RuntimeError)
    assert (tmp_path / "out.mp4").read_bytes() == b"older"
    recode(source, tmp_path / "out.mp4")
    assert len(read(tmp_path / "out.mp4")) == 4


def test_the_final_name_appears_only_at_the_end(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=4))
    with VideoReader(source) as reader, writing(tmp_path / "out.mp4", reader.info) as writer:
        for frame in reader:
            writer.write(frame)
            assert not (tmp_path / "out.mp4").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "v.mp4"]


def test_a_video_of_no_frames_is_not_written(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "v.mp4", Clip(frames=4)))
    for out in ("out.mp4", "pictures/%d.png"):
        with pytest.raises(OutputError, match=r"no frames were written"), writing(tmp_path / out, info):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mp4"]


def test_frames_are_not_changed_by_writing(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(63, 47, frames=3, codec="ffv1", pix_fmt="yuv420p10le"))
    frames = read(source)
    kept = [[plane.copy() for plane in frame.planes] for frame in frames]
    for frame in frames:
        for plane in frame.planes:
            plane.setflags(write=False)
    for out in ("out.mp4", "pictures/%d.png"):
        with writing(tmp_path / out, probe(source)) as writer:
            for frame in frames:
                writer.write(frame)
    for frame, planes in zip(frames, kept, strict=True):
        assert all(np.array_equal(plane, other) for plane, other in zip(frame.planes, planes, strict=True))


def test_times_that_do_not_ascend_are_the_callers_mistake(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=3))
    with pytest.raises(ValueError, match="does not follow"):
        write_and_stop(tmp_path / "out.mp4", probe(source), read(source)[::-1], KeyboardInterrupt)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])  # without and with pictures out of order
def test_a_gap_of_hours_is_kept_to_the_tick(tmp_path: Path, preset: str) -> None:
    info, frames = _with_gap(tmp_path, 2**28)
    with writing(tmp_path / "out.mp4", info, Encoding("h264", preset=preset)) as writer:
        for frame in frames:
            writer.write(frame)
    assert [frame.pts for frame in read(tmp_path / "out.mp4")] == [frame.pts for frame in frames]


@pytest.mark.parametrize("ticks", [2**28 + 1, 2**31, 2**32, 2**32 + 3600])
def test_a_gap_that_mp4_cannot_hold_is_refused_and_matroska_named(tmp_path: Path, ticks: int) -> None:
    info, frames = _with_gap(tmp_path, ticks)
    with pytest.raises(OutputError, match=r"frame 2 comes \d+ s after the one before it.*choose \.mkv"):
        write_and_stop(tmp_path / "out.mp4", info, frames, KeyboardInterrupt)
    with writing(tmp_path / "out.mkv", info) as writer:
        for frame in frames:
            writer.write(frame)
    assert len(read(tmp_path / "out.mkv")) == len(frames)


def _with_gap(folder: Path, ticks: int) -> tuple[VideoInfo, list[Frame]]:
    """Six frames, the third so late."""
    source = write_clip(folder / "v.mp4", Clip(frames=6, time_base=Fraction(1, 90_000), pts=range(0, 21_600, 3600)))
    info = probe(source)
    assert info.time_base == Fraction(1, 90_000)
    late = [replace(frame, pts=frame.pts - 3600 + ticks) if frame.index >= 2 else frame for frame in read(source)]
    return info, late


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=3))
    for piece in ("segment-000000", "joined.mkv"):
        with open_work(tmp_path / "out.mkv", "", resume=False, overwrite=True) as work:
            work.piece(f"{piece}.unfinished").symlink_to("/dev/full")
            with (
                pytest.raises(OutputError, match=r"out\.mkv: cannot be written: No space left on device"),
                VideoReader(source) as reader,
                open_writer(tmp_path / "out.mkv", reader.info, Encoding("h264"), work) as writer,
            ):
                for frame in reader:
                    writer.write(frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mp4"]
