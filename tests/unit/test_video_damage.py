"""Files cut short or overwritten: never a silent short result, never a crash, and what is left on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from av.container import InputContainer
from av.stream import Stream

from runtime._video.extent import cut_short
from runtime._video.file import demuxed
from runtime.errors import DamagedVideo, InputError
from runtime.video import VideoReader
from tests.clips import Clip, write_clip

B_FRAMES = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0"))
FRAMES = 30
CLIPS = {
    "front.mp4": (Clip(96, 64, FRAMES, options=B_FRAMES, audio_codec="aac", audio_seconds=1.2), "faststart"),
    "fragmented.mp4": (Clip(96, 64, FRAMES, options=B_FRAMES), "frag_keyframe+empty_moov"),
    "quick.mov": (Clip(96, 64, FRAMES, options=B_FRAMES), "faststart"),
    "plain.mkv": (Clip(96, 64, FRAMES, options=B_FRAMES, audio_codec="aac", audio_seconds=1.2), ""),
    "stream.ts": (Clip(96, 64, FRAMES, options=B_FRAMES), ""),
    "old.avi": (Clip(96, 64, FRAMES, codec="mpeg4"), ""),
    "flash.flv": (Clip(96, 64, FRAMES, codec="flv"), ""),
    "web.webm": (Clip(96, 64, FRAMES, codec="libvpx-vp9"), ""),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("whole")

    def make(name: str) -> Path:
        path = folder / name
        if not path.exists():
            clip, flags = CLIPS[name]
            write_clip(path, clip, movflags=flags)
        return path

    return make


def planes_of(path: Path, *, keep_going: bool = False) -> tuple[list[tuple[np.ndarray, ...]], list[str]]:
    with VideoReader(path, keep_going=keep_going) as reader:
        frames = [frame.planes for frame in reader]
        return frames, reader.lost


@pytest.mark.parametrize("name", CLIPS)
def test_whole_files_end_where_they_say(whole: Callable[[str], Path], name: str) -> None:
    assert cut_short(whole(name)) is None
    frames, lost = planes_of(whole(name))
    assert (len(frames), lost) == (FRAMES, [])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.97])
def test_a_cut_file_is_refused_and_used_on_request(
    tmp_path: Path, whole: Callable[[str], Path], name: str, kept: float
) -> None:
    data = whole(name).read_bytes()
    end = int(len(data) * kept)
    path = tmp_path / name
    path.write_bytes(data[: end + (end % 188 == 0)])  # a transport stream cut between its packets shows nothing
    message = r"decoded \d+ of (30|an unknown number of) frames: .*--keep-going"
    with pytest.raises(DamagedVideo, match=message) as caught:
        planes_of(path)
    assert "\n" not in str(caught.value)
    original, _ = planes_of(whole(name))
    frames, lost = planes_of(path, keep_going=True)
    assert 1 <= len(frames) <= FRAMES
    assert lost
    intact = min(len(frames), len(original)) - 4  # the last ones may be damaged
    assert all(
        np.array_equal(plane, other)
        for got, wanted in zip(frames[:intact], original, strict=False)
        for plane, other in zip(got, wanted, strict=True)
    )


def test_a_cut_mp4_says_how_many_frames_are_left_of_how_many(tmp_path: Path, whole: Callable[[str], Path]) -> None:
    data = whole("front.mp4").read_bytes()
    path = tmp_path / "v.mp4"
    path.write_bytes(data[: len(data) // 2])
    with VideoReader(path, keep_going=True) as reader:
        left = sum(1 for _ in reader)
        assert reader.counted == reader.info.frames == FRAMES
        assert reader.lost[-2:] == [
            f"frames {left + len(reader.lost) - 2} to 29: missing at the end",
            f"the file ends {len(data) - len(data) // 2} bytes early; frames and sound may be missing there",
        ]
    with pytest.raises(DamagedVideo, match=rf"decoded {left} of 30 frames: the file ends \d+ bytes early"):
        planes_of(path)


@pytest.mark.parametrize("name", CLIPS)
def test_one_missing_byte_is_noticed(tmp_path: Path, whole: Callable[[str], Path], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(whole(name).read_bytes()[:-1])
    with pytest.raises(DamagedVideo, match=r"the file ends (1 bytes early|inside a tag)"):
        planes_of(path)


def test_an_mp4_without_its_index_cannot_be_used_at_all(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", Clip(96, 64, FRAMES))  # the index stands at the end
    path.write_bytes(path.read_bytes()[:-800])
    for keep_going in (False, True):
        with pytest.raises(DamagedVideo, match=r"decoded 0 frames: the file ends 800 bytes early, .*copy the file"):
            planes_of(path, keep_going=keep_going)


@pytest.mark.parametrize("name", ["front.mp4", "quick.mov", "plain.mkv", "stream.ts", "old.avi", "flash.flv"])
def test_a_hole_in_the_middle_is_refused_and_passed_over_on_request(
    tmp_path: Path, whole: Callable[[str], Path], name: str
) -> None:
    data = bytearray(whole(name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1200] = bytes(1200)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DamagedVideo, match=r"(frame \d+: (lost|damaged)|after frame \d+: |broken at byte \d+)"):
        planes_of(path)
    frames, lost = planes_of(path, keep_going=True)
    assert FRAMES // 2 <= len(frames) <= FRAMES
    assert lost


def test_lost_frames_keep_the_numbers_of_those_that_follow(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", Clip(96, 64, FRAMES, gop=1, options=(("bf", "0"),)), movflags="faststart")
    with VideoReader(path) as reader:
        original = [frame.planes[0] for frame in reader]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    with VideoReader(path, keep_going=True) as reader:
        frames = list(reader)
        assert reader.counted == FRAMES
        assert len(frames) < FRAMES or "damaged" in reader.lost[0]
    changed = [frame.index for frame in frames if not np.array_equal(frame.planes[0], original[frame.index])]
    assert len(changed) <= len(reader.lost)
    assert frames[-1].index == FRAMES - 1


@pytest.mark.parametrize("name", CLIPS)
def test_scattered_bit_flips_never_crash_the_reader(tmp_path: Path, whole: Callable[[str], Path], name: str) -> None:
    original = whole(name).read_bytes()
    for seed in range(4):
        data = bytearray(original)
        chance = np.random.default_rng(seed)
        for place in chance.integers(0, len(data), 25):
            data[place] ^= 1 << int(chance.integers(0, 8))
        path = tmp_path / f"{seed}_{name}"
        path.write_bytes(data)
        for keep_going in (False, True):
            with suppress(InputError):
                with VideoReader(path, keep_going=keep_going) as reader:
                    places = [(frame.index, frame.pts) for frame in reader]
                assert len(places) <= 3 * FRAMES
                assert all(index < later and pts < after for (index, pts), (later, after) in pairwise(places))


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (b"", None),
        (b"short", None),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x20mdat" + bytes(24), None),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x20mdat" + bytes(20), "the file ends 4 bytes early"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x00mdat" + bytes(20), None),  # to the end, whatever that is
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat" + (90).to_bytes(8, "big"), "the file ends 74 bytes early"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\xff" * 50, None),  # foreign bytes at the end
        (b"RIFF\x20\0\0\0AVI " + bytes(28), None),
        (b"RIFF\x20\0\0\0AVI " + bytes(20), "the file ends 8 bytes early"),
        (b"RIFF\0\0\0\0AVI " + bytes(20), None),  # an unfinished recording
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x8a" + bytes(4), "the file ends 6 bytes early"),
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(4), None),  # live
        ((b"\x47" + bytes(187)) * 4, None),
        ((b"\x47" + bytes(187)) * 4 + b"\x47", "the file ends 187 bytes early"),
    ],
)
def test_the_declared_end_is_read_from_the_outermost_boxes(tmp_path: Path, data: bytes, cut: str | None) -> None:
    path = tmp_path / "v"
    path.write_bytes(data)
    assert cut_short(path) == cut


class _Spliced:
    """A container in which a stream appeared on the way: PyAV stumbles over it after the last packet."""

    def demux(self, *streams: object) -> Iterator[object]:
        yield from streams
        raise IndexError("list index out of range")


def test_a_stream_that_appears_on_the_way_is_no_damage() -> None:
    assert list(demuxed(cast(InputContainer, _Spliced()), cast(Stream, "packet"))) == ["packet"]
