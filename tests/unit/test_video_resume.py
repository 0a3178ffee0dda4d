"""A run that was stopped and gone on with gives the file of a run left alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._video.codecs import SEGMENT_FRAMES
from runtime._video.decode_times import decode_times, durations
from runtime._video.segments import read_segment
from runtime.errors import OutputError
from runtime.frame import Frame
from runtime.video import Encoding, VideoInfo, VideoReader, open_work, open_writer, probe
from tests.clips import Clip, write_clip

FRAMES = 2 * SEGMENT_FRAMES + 50


class Stopped(Exception):
    """Something went wrong, at a chosen frame."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoInfo, list[Frame]]:
    """A clip of uneven timestamps, with sound."""
    steps = np.random.default_rng(5).integers(1000, 9000, FRAMES).tolist()
    clip = Clip(frames=FRAMES, time_base=Fraction(1, 90000), pts=list(accumulate(steps)), audio_codec="aac")
    path = write_clip(tmp_path_factory.mktemp("resume") / "v.mp4", replace(clip, audio_seconds=10))
    with VideoReader(path) as reader:
        return reader.info, list(reader)


def run(out: Path, source: tuple[VideoInfo, list[Frame]], encoding: Encoding, stop_at: int | None = None) -> int:
    """Go on with what is there, at most to before frame `stop_at`; returns where it went on."""
    info, frames = source
    with (
        open_work(out, "a test", resume=True, overwrite=False) as work,
        open_writer(out, info, encoding, work) as writer,
    ):
        for frame in frames[writer.start :]:
            if frame.index == stop_at:
                raise Stopped
            writer.write(frame)
        return writer.start


def stop(out: Path, source: tuple[VideoInfo, list[Frame]], encoding: Encoding, at: int) -> None:
    with pytest.raises(Stopped):
        run(out, source, encoding, at)


@pytest.mark.parametrize(
    ("out", "encoding"),
    [
        ("out.mp4", Encoding("h264")),
        ("out.mkv", Encoding("h264", preset="medium")),
        ("out.mov", Encoding("hevc")),
        ("out.webm", Encoding("vp9")),
        ("out.mkv", Encoding("av1")),
        ("out.mkv", Encoding("ffv1")),
        ("out.mov", Encoding("prores")),
    ],
)
def test_a_resumed_run_gives_the_same_file(
    tmp_path: Path, frames: tuple[VideoInfo, list[Frame]], out: str, encoding: Encoding
) -> None:
    alone, resumed = tmp_path / "alone" / out, tmp_path / "resumed" / out
    alone.parent.mkdir()
    resumed.parent.mkdir()
    run(alone, frames, encoding)
    stop(resumed, frames, encoding, at=SEGMENT_FRAMES + 30)
    stop(resumed, frames, encoding, at=2 * SEGMENT_FRAMES)
    assert [path.name for path in resumed.parent.iterdir()] == [f"{out}.part"]
    assert run(resumed, frames, encoding) == 2 * SEGMENT_FRAMES
    assert [path.name for path in resumed.parent.iterdir()] == [out]
    if out.endswith(("mkv", "webm")):  # which have a random number in them
        assert described(resumed) == described(alone)
    else:
        assert resumed.read_bytes() == alone.read_bytes()


def described(path: Path) -> list[tuple[int, Fraction | None, Fraction | None, bytes]]:
    with av.open(str(path)) as container:
        return [
            (
                packet.stream_index,
                None if packet.pts is None else packet.pts * packet.time_base,
                None if packet.dts is None else packet.dts * packet.time_base,
                bytes(packet),
            )
            for packet in container.demux()
        ]


@pytest.mark.parametrize("out", ["new/%03d.png", "%d.png"])
def test_pictures_go_on_too(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]], out: str) -> None:
    few = (frames[0], frames[1][:9])
    stop(tmp_path / out, few, Encoding(), at=4)
    assert list(tmp_path.rglob("*.png")) != []
    assert not (tmp_path / "new").exists()
    assert run(tmp_path / out, few, Encoding()) == 4
    assert len(list((tmp_path / out).parent.glob("*.png"))) == 9
    assert list(tmp_path.rglob("*.part")) == []


def test_a_picture_cut_short_by_a_loss_of_power_is_made_again(
    tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]
) -> None:
    few = (frames[0], frames[1][:6])
    stop(tmp_path / "new" / "%d.png", few, Encoding(), at=5)
    last = tmp_path / "new.part" / "pictures" / "4.png"
    last.write_bytes(last.read_bytes()[:-4])
    assert run(tmp_path / "new" / "%d.png", few, Encoding()) == 4


def test_work_that_was_finished_but_not_joined_is_joined(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]) -> None:
    info, all_frames = frames
    few = (info, all_frames[:SEGMENT_FRAMES])
    stop(tmp_path / "out.mp4", (info, all_frames[: SEGMENT_FRAMES + 1]), Encoding("h264"), at=SEGMENT_FRAMES)
    assert run(tmp_path / "out.mp4", few, Encoding("h264")) == SEGMENT_FRAMES
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == SEGMENT_FRAMES


def test_numbers_that_are_missing_do_not_shift_those_behind_them(
    tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]
) -> None:
    """Of a damaged video, frames that were lost have numbers, too."""
    info, every = frames
    kept = [frame for frame in every if frame.index not in (3, SEGMENT_FRAMES)]
    stop(tmp_path / "out.mp4", (info, kept), Encoding("h264"), at=SEGMENT_FRAMES + 5)
    rest = [frame for frame in kept if frame.index > SEGMENT_FRAMES + 1]
    with (
        open_work(tmp_path / "out.mp4", "a test", resume=True, overwrite=False) as work,
        open_writer(tmp_path / "out.mp4", info, Encoding("h264"), work) as writer,
    ):
        assert writer.start == SEGMENT_FRAMES + 2  # two numbers are missing before it
        for frame in rest:
            writer.write(frame)
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert [frame.pts for frame in reader] == [frame.pts for frame in kept]


def test_segments_behind_a_gap_are_of_no_use(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]) -> None:
    stop(tmp_path / "out.mp4", frames, Encoding("h264"), at=2 * SEGMENT_FRAMES + 5)
    (tmp_path / "out.mp4.part" / "segment-000000").unlink()
    assert run(tmp_path / "out.mp4", frames, Encoding("h264")) == 0


def test_a_segment_that_is_cut_short_is_made_again(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]) -> None:
    stop(tmp_path / "out.mp4", frames, Encoding("h264"), at=2 * SEGMENT_FRAMES + 5)
    second = tmp_path / "out.mp4.part" / "segment-000001"
    whole = second.read_bytes()
    for size in (0, 7, 30, 200, len(whole) // 2, len(whole) - 1):
        second.write_bytes(whole[:size])
        assert read_segment(second) is None
    assert run(tmp_path / "out.mp4", frames, Encoding("h264")) == SEGMENT_FRAMES


def test_a_segment_whose_bytes_changed_is_noticed(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]) -> None:
    stop(tmp_path / "out.mp4", frames, Encoding("h264"), at=SEGMENT_FRAMES + 5)
    first = tmp_path / "out.mp4.part" / "segment-000000"
    data = bytearray(first.read_bytes())
    data[len(data) - 60] ^= 1
    first.write_bytes(data)
    with pytest.raises(OutputError, match=r"segment-000000: damaged; begin anew with --overwrite"):
        run(tmp_path / "out.mp4", frames, Encoding("h264"))


def test_segments_of_other_settings_are_not_joined(tmp_path: Path, frames: tuple[VideoInfo, list[Frame]]) -> None:
    stop(tmp_path / "out.mp4", frames, Encoding("h264", 20), at=SEGMENT_FRAMES + 5)
    with pytest.raises(OutputError, match=r"encoded by other libraries or on another machine; begin anew"):
        run(tmp_path / "out.mp4", frames, Encoding("h264", 30))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_decode_times_ascend_and_precede_what_is_shown(steps: list[int], randomness: np.random.Generator) -> None:
    shown = list(accumulate(steps))
    # As encoders do: the next picture in front, then those that look ahead to it.
    order: list[int] = []
    rest = shown[:]
    while rest:
        ahead = min(len(rest) - 1, int(randomness.random() * 4))
        order += [rest[ahead], *rest[:ahead]]
        rest = rest[ahead + 1 :]
    decoded = decode_times(order)
    assert all(a < b for a, b in pairwise(decoded))
    assert all(time <= of for time, of in zip(decoded, order, strict=True))
    if order == shown:
        assert decoded == shown


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.integers(1, 50))
def test_every_picture_is_shown_until_the_next(steps: list[int], last: int) -> None:
    shown = list(accumulate(steps))
    lengths = durations(shown, decode_times(shown), last, None)
    assert [time + length for time, length in zip(shown, lengths, strict=True)] == [*shown[1:], shown[-1] + last]


def test_the_length_told_by_decode_times_is_that_of_the_pictures() -> None:
    shown = [0, 30, 10, 20, 60, 40, 50]
    decoded = decode_times(shown)
    assert decoded == [-10, 0, 10, 20, 30, 40, 50]
    assert durations(shown, decoded, 25, None) == [10, 10, 10, 10, 25, 10, 25]  # 50 + 25 less -10 is 60 + 25


def test_the_last_picture_is_shown_as_long_as_in_the_source(tmp_path: Path) -> None:
    """The container's length, which is told in other ticks, follows from it."""
    clip = Clip(frames=5, time_base=Fraction(1, 600), pts=[0, 24, 50, 100, 150], options=(("bf", "0"),))
    source = write_clip(tmp_path / "v.mp4", clip)
    long = tmp_path / "long.mp4"
    with av.open(str(source)) as before, av.open(str(long), "w") as output:
        target = output.add_stream_from_template(before.streams.video[0], opaque=True)
        for packet in before.demux(before.streams.video[0]):
            if packet.dts is not None:
                if packet.pts is not None and packet.pts * packet.time_base == Fraction(150, 600):
                    packet.duration = round(Fraction(1, 2) / packet.time_base)
                packet.stream = target
                output.mux(packet)
    info = probe(long)
    with VideoReader(long) as reader:
        source_frames = list(reader)
    run(tmp_path / "out.mp4", (info, source_frames), Encoding("h264"))
    assert probe(tmp_path / "out.mp4").duration_s == info.duration_s == 0.75
