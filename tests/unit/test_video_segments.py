"""Segments that lay on a disk meanwhile: whatever changed in them is refused in one line, or made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from av.packet import Packet

from runtime._video.segments import END, MAGIC, SegmentFile, read_packets, read_segment, read_times
from runtime.errors import OutputError
from runtime.frame import Frame
from runtime.video import Encoding, VideoInfo, VideoReader, open_work, open_writer
from tests.clips import Clip, write_clip

LENGTH = 4  # frames of a segment, here


class Stopped(Exception):
    """Something went wrong."""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[VideoInfo, list[Frame]]:
    monkeypatch.setattr("runtime._video.writer.SEGMENT_FRAMES", LENGTH)
    path = write_clip(tmp_path / "v.mp4", Clip(frames=2 * LENGTH + 2, width=32, height=32))
    with VideoReader(path) as reader:
        return reader.info, list(reader)


def run(out: Path, source: tuple[VideoInfo, list[Frame]], stop_at: int | None = None) -> None:
    """Go on with what is there, at most to before frame `stop_at`."""
    info, frames = source
    with (
        open_work(out, "a test", resume=True, overwrite=False) as work,
        open_writer(out, info, Encoding("h264"), work) as writer,
    ):
        for frame in frames[writer.start :]:
            if frame.index == stop_at:
                raise Stopped
            writer.write(frame)


@pytest.fixture
def stopped(tmp_path: Path, source: tuple[VideoInfo, list[Frame]]) -> tuple[Path, Path]:
    """The two segments that a run finished before it stopped."""
    with pytest.raises(Stopped):
        run(tmp_path / "out.mp4", source, stop_at=2 * LENGTH + 1)
    first, second = sorted((tmp_path / "out.mp4.part").glob("segment-*"))
    return first, second


def refused(out: Path, source: tuple[VideoInfo, list[Frame]]) -> str:
    with pytest.raises(OutputError) as caught:
        run(out, source)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


def flipped(path: Path, place: int, bits: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A segment of three packets that nobody could decode."""
    path = tmp_path / "segment-000000"
    with path.open("wb") as file:
        segment = SegmentFile(file, "recipe", b"headers", "tag1")
        for index, size in enumerate((9, 0, 4)):
            packet = Packet(bytes(range(size)))
            packet.pts = 40 * index
            segment.note(index, 40 * index)
            segment.write([packet])
        segment.end()
    return path


def notices(path: Path, content: bytes) -> bool:
    """Whether `content` in a segment's place is not taken for a whole one, at a first look or when it is joined."""
    path.unlink()  # written over, it would be on disk, and that takes its time, each time
    path.write_bytes(content)
    try:
        segment = read_segment(path)
        if segment is not None:
            list(read_packets(segment))
    except OutputError as error:
        assert str(error) == f"{path}: damaged; begin anew with --overwrite in place of --resume"
        return True
    return segment is None


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_no_byte_changes_unnoticed(small: Path, bits: int) -> None:
    whole = small.read_bytes()
    assert not notices(small, whole)
    for place in range(len(whole)):
        assert notices(small, whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :]), place


def test_nothing_is_lost_or_added_unnoticed(small: Path) -> None:
    whole = small.read_bytes()
    for place in range(len(whole)):
        assert notices(small, whole[:place] + whole[place + 1 :]), place
        assert notices(small, whole[:place] + b"\0" + whole[place:]), place


@pytest.mark.parametrize("back", range(len(END) + 1, 61, 4))
def test_a_run_does_not_go_on_from_what_a_damaged_segment_says(
    tmp_path: Path, source: tuple[VideoInfo, list[Frame]], stopped: tuple[Path, Path], back: int
) -> None:
    """Of the last frame's number, one bit was enough to leave out the frames behind it."""
    flipped(stopped[1], -back, 1)
    said = refused(tmp_path / "out.mp4", source)
    assert said == f"{stopped[1]}: damaged; begin anew with --overwrite in place of --resume"


def test_a_segment_of_an_older_version_is_refused(
    tmp_path: Path, source: tuple[VideoInfo, list[Frame]], stopped: tuple[Path, Path]
) -> None:
    stopped[0].write_bytes(b"VMSEG1\r\n" + stopped[0].read_bytes()[len(MAGIC) :])
    assert "segment-000000: damaged; begin anew" in refused(tmp_path / "out.mp4", source)


def test_a_segment_must_follow_the_one_before_it(
    tmp_path: Path, source: tuple[VideoInfo, list[Frame]], stopped: tuple[Path, Path]
) -> None:
    stopped[1].write_bytes(stopped[0].read_bytes())
    said = refused(tmp_path / "out.mp4", source)
    assert "segment-000001: begins at frame 0, wanted one behind frame 3" in said
    assert "begin anew with --overwrite" in said


def test_a_segment_that_is_cut_short_while_the_run_goes_on_is_damaged(stopped: tuple[Path, Path]) -> None:
    segment = read_segment(stopped[0])
    assert segment is not None
    whole = stopped[0].read_bytes()
    for size in (0, segment.begin + 3, segment.begin + 30):
        stopped[0].write_bytes(whole[:size])
        for read in (read_times, read_packets):
            with pytest.raises(OutputError, match="segment-000000: damaged; begin anew"):
                list(read(segment))
