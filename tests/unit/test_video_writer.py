"""What is written: timestamps, tags, layouts and sound as in the source, under the final name only when complete."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from runtime._video_encodable import encodable, encodable_planes
from runtime.errors import OutputError
from runtime.frame import Colour, Frame, Layout
from runtime.video import VideoInfo, VideoReader, open_writer, probe
from tests.clips import Clip, write_clip
from tests.recoded import recode

UNEVEN = [0, 3000, 6007, 9500, 20000, 24001, 33333, 40000, 50000, 90000]
ROUNDING = Colour(2, 2, 2, full_range=False)


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
        if frame.layout.bits == 8:  # crf 0 is lossless at 8 bits only
            assert all(np.array_equal(plane, same) for plane, same in zip(frame.planes, other.planes, strict=True))


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (1, 1)])
def test_an_odd_size_leaves_as_444_with_its_luma_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(*size, frames=3, codec="ffv1", pix_fmt="yuv420p"))
    notes = recode(source, tmp_path / "out.mp4")
    assert len(notes) == 1
    assert "leaves as 4:4:4" in notes[0]
    for frame, other in zip(read(source), read(tmp_path / "out.mp4"), strict=True):
        assert other.layout == Layout("yuv", 8, 0, 0)
        assert np.array_equal(frame.planes[0], other.planes[0])
        for chroma, wide in zip(frame.planes[1:], other.planes[1:], strict=True):
            assert np.array_equal(wide, chroma.repeat(2, axis=0).repeat(2, axis=1)[: size[1], : size[0]])


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey_leaves_as_monochrome(tmp_path: Path, pix_fmt: str) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(63, 47, frames=3, codec="ffv1", pix_fmt=pix_fmt))
    assert recode(source, tmp_path / "out.mp4") == []
    for frame, other in zip(read(source), read(tmp_path / "out.mp4"), strict=True):
        assert all((plane == 1 << (other.layout.bits - 1)).all() for plane in other.planes[1:])
        if pix_fmt == "gray":
            assert np.array_equal(frame.planes[0], other.planes[0])


def frame_of(layout: Layout, *planes: np.ndarray) -> Frame:
    return Frame(0, 0, planes, layout, ROUNDING)


def test_deep_samples_are_rounded_to_ten_bits() -> None:
    layout = Layout("gray", 12, 0, 0)
    form = encodable(layout, ROUNDING, 5, 1)
    assert form.layout.bits == 10
    assert len(form.notes) == 1
    samples = np.array([[0, 1, 2, 6, 4095]], np.uint16)
    assert encodable_planes(frame_of(layout, samples), form.layout)[0].tolist() == [[0, 0, 1, 2, 1023]]


def test_nine_bit_samples_gain_a_bit_without_loss() -> None:
    form = encodable(Layout("gray", 9, 0, 0), ROUNDING, 3, 1)
    assert form.notes == ()
    samples = np.array([[0, 1, 511]], np.uint16)
    planes = encodable_planes(frame_of(Layout("gray", 9, 0, 0), samples), form.layout)
    assert planes[0].tolist() == [[0, 2, 1022]]


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("height", [480, 720])
def test_rgb_leaves_as_444_in_the_matrix_of_its_size(bits: int, height: int) -> None:
    layout = Layout("rgb", bits, 0, 0)
    form = encodable(layout, Colour(0, 1, 13, full_range=True), 8, height)
    assert form.colour == Colour(6 if height < 720 else 1, 1, 13, full_range=False)
    assert "4:4:4" in form.notes[-1]
    peak = (1 << bits) - 1
    kind = np.uint8 if bits == 8 else np.uint16
    white = tuple(np.full((height, 8), peak, kind) for _ in range(3))
    luma, u, v = encodable_planes(frame_of(layout, *white), form.layout)
    depth = form.layout.bits
    assert (luma == 235 << (depth - 8)).all()
    assert (u == 128 << (depth - 8)).all()
    assert (v == 128 << (depth - 8)).all()


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
    assert any("turned by 90 degrees" in note for note in probe(source).notes)
    recode(source, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.sample_aspect, info.rotation) == (Fraction(16, 15), 90)


def write_and_stop(out: Path, info: VideoInfo, frames: list[Frame], stop: type[BaseException]) -> None:
    with open_writer(out, info, crf=20) as writer:
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
    with VideoReader(source) as reader, open_writer(tmp_path / "out.mp4", reader.info, crf=20) as writer:
        for frame in reader:
            writer.write(frame)
            assert not (tmp_path / "out.mp4").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "v.mp4"]


def test_a_video_of_no_frames_is_not_written(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "v.mp4", Clip(frames=4)))
    for out in ("out.mp4", "pictures/%d.png"):
        with pytest.raises(OutputError, match=r"no frames were written"), open_writer(tmp_path / out, info, crf=20):
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
        with open_writer(tmp_path / out, probe(source), crf=20) as writer:
            for frame in frames:
                writer.write(frame)
    for frame, planes in zip(frames, kept, strict=True):
        assert all(np.array_equal(plane, other) for plane, other in zip(frame.planes, planes, strict=True))


def test_times_that_do_not_ascend_are_the_callers_mistake(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=3))
    with pytest.raises(ValueError, match="does not follow"):
        write_and_stop(tmp_path / "out.mp4", probe(source), read(source)[::-1], KeyboardInterrupt)


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_clip(tmp_path / "v.mp4", Clip(frames=3))
    monkeypatch.setattr("secrets.token_hex", lambda count: "full")
    (tmp_path / ".out.mkv.full.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"out\.mkv: cannot be written: No space left on device"):
        recode(source, tmp_path / "out.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mp4"]
