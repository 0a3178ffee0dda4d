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
from runtime.video import VideoInfo, VideoReader, check_output, open_writer, probe
from tests.clips import Clip, write_clip

UNEVEN = [0, 3000, 6007, 9500, 20000, 24001, 33333, 40000, 50000, 90000]
ROUNDING = Colour(2, 2, 2, full_range=False)


def read(path: Path) -> list[Frame]:
    with VideoReader(path) as reader:
        return list(reader)


def recode(source: Path, out: Path, crf: int = 0) -> list[str]:
    with VideoReader(source) as reader, open_writer(out, reader.info, crf=crf) as writer:
        for frame in reader:
            writer.write(frame)
    return list(writer.notes)


def times(path: Path) -> list[Fraction]:
    base = probe(path).time_base
    return [frame.pts * base for frame in read(path)]


def sound(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size
        ]


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


@pytest.mark.parametrize(("suffix", "precision"), [("mp4", Fraction(1, 10000)), ("mkv", Fraction(1, 1000))])
def test_the_clock_of_a_transport_stream_begins_at_zero_with_sound_still_in_step(
    tmp_path: Path, suffix: str, precision: Fraction
) -> None:
    source = write_clip(tmp_path / "v.ts", Clip(frames=20, audio_codec="ac3", audio_seconds=0.8))
    out = tmp_path / f"out.{suffix}"
    recode(source, out, crf=20)
    before, after = sound(source), sound(out)
    assert [data for _, data in after] == [data for _, data in before]
    shift = before[0][0] - after[0][0]
    assert shift > 1 / 100
    assert min(after[0][0], times(out)[0]) == 0
    wanted = [time - shift for time in times(source)]
    assert max(abs(time - other) for time, other in zip(wanted, times(out), strict=True)) <= precision


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


COPIES = [
    ("aac", "mp4", "mp4"),
    ("aac", "mp4", "mkv"),
    ("aac", "mkv", "mov"),
    ("libopus", "mkv", "mp4"),
    ("flac", "mkv", "mp4"),
    ("pcm_s16le", "mov", "mkv"),
    ("libmp3lame", "mkv", "mov"),
]


@pytest.mark.parametrize(("codec", "source", "suffix"), COPIES)
@pytest.mark.parametrize("seconds", [0.3, 2.5])
def test_sound_is_copied_packet_for_packet(
    tmp_path: Path, codec: str, source: str, suffix: str, seconds: float
) -> None:
    clip = Clip(frames=20, audio_codec=codec, audio_seconds=seconds)
    path = write_clip(tmp_path / f"v.{source}", clip)
    assert recode(path, tmp_path / f"out.{suffix}", crf=30) == []
    before, after = sound(path), sound(tmp_path / f"out.{suffix}")
    assert [data for _, data in after] == [data for _, data in before]
    # Matroska counts milliseconds.
    assert max(abs(a[0] - b[0]) for a, b in zip(before, after, strict=True)) <= Fraction(1, 1000)
    assert times(tmp_path / f"out.{suffix}")[0] == times(path)[0]


def test_every_track_of_sound_is_copied(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a.mkv", Clip(frames=10, audio_codec="aac"))
    second = write_clip(tmp_path / "b.mkv", Clip(frames=10, audio_codec="flac"))
    both = tmp_path / "both.mkv"
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(both), "w") as output:
        pairs = [(one, stream) for stream in one.streams] + [(two, two.streams.audio[0])]
        targets = [output.add_stream_from_template(stream) for _, stream in pairs]
        for (container, stream), target in zip(pairs, targets, strict=True):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    output.mux(packet)
    recode(both, tmp_path / "out.mp4", crf=30)
    with av.open(str(tmp_path / "out.mp4")) as result:
        assert [stream.name for stream in result.streams.audio] == ["aac", "flac"]


def test_sound_that_does_not_fit_is_dropped_with_a_note(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "v.mkv", Clip(frames=5, audio_codec="libopus"))
    notes = recode(source, tmp_path / "out.mov")
    assert len(notes) == 1
    assert "sound dropped: opus" in notes[0]
    with av.open(str(tmp_path / "out.mov")) as container:
        assert not container.streams.audio


def test_sound_and_pictures_lie_beside_each_other_in_the_file(tmp_path: Path) -> None:
    # Longer than the ten seconds for which the muxer itself waits for the other stream.
    clip = Clip(32, 32, frames=100, rate=Fraction(5), audio_codec="aac", audio_seconds=20)
    source = write_clip(tmp_path / "v.mkv", clip)
    recode(source, tmp_path / "out.mkv", crf=30)
    with av.open(str(tmp_path / "out.mkv")) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.dts is not None]
    longest = max(len(run) for run in "".join(kind[0] for kind in kinds).replace("a", " ").split())
    assert longest < 5


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


def make_info(tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / "v.mp4", Clip(frames=3)))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("out.txt", r"unknown kind of output; wanted \.mp4, \.mov, \.mkv, or a pattern like out/%05d\.png"),
        ("out", r"unknown kind of output"),
        ("gone/out.mp4", r"there is no folder .*gone; create it first"),
        ("v.mp4", r"would overwrite the input"),
        ("alias.mp4", r"would overwrite the input"),
        ("v.mp4/out.mp4", r"is no folder"),
        ("folder.mp4", r"is a folder"),
        ("old.mp4", r"exists already; .*--overwrite"),
        ("masks/%d.png", r"would overwrite the input"),
        ("numbered/%03d.png", r"000\.png: exists already"),
        ("x/%s.png", r"not a pattern that can be used"),
        ("x/%d-%d.png", r"not a pattern that can be used"),
        ("x/%d.jpg", r"not a pattern that can be used"),
    ],
)
def test_outputs_that_cannot_be_are_refused_beforehand(tmp_path: Path, out: str, message: str) -> None:
    info = make_info(tmp_path)
    (tmp_path / "alias.mp4").symlink_to(info.path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "numbered").mkdir()
    (tmp_path / "numbered" / "000.png").touch()
    (tmp_path / "old.mp4").touch()
    with pytest.raises(OutputError, match=message) as caught:
        check_output(tmp_path / out, [info.path, tmp_path / "masks"])
    assert "\n" not in str(caught.value)


def test_an_input_is_not_overwritten_even_on_request(tmp_path: Path) -> None:
    info = make_info(tmp_path)
    with pytest.raises(OutputError, match="would overwrite the input"):
        check_output(info.path, [info.path], overwrite=True)


@pytest.mark.parametrize("out", ["out.mp4", "out.MKV", "new/deep/%05d.png", "old.mp4", "numbered/%03d.png"])
def test_outputs_that_can_be_pass(tmp_path: Path, out: str) -> None:
    info = make_info(tmp_path)
    (tmp_path / "old.mp4").touch()
    (tmp_path / "numbered").mkdir()
    (tmp_path / "numbered" / "000.png").touch()
    check_output(tmp_path / out, [info.path], overwrite=True)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = make_info(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    for out in ("out.mp4", "new/%d.png"):
        with pytest.raises(OutputError, match=r"may not be written"):
            check_output(tmp_path / out, [info.path])
