"""The order of a Matroska file's elements: whole files have one, damaged ones are told where they lose it."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from runtime._video.matroska import CLUSTER, SIMPLE_BLOCK, TRACKS, broken_at
from runtime.errors import DamagedVideo
from runtime.video import VideoReader
from tests.clips import Clip, remux, write_clip

WHOLE = {
    "plain.mkv": Clip(frames=30),
    "sound.mkv": Clip(frames=30, options=(("bf", "2"),), audio_codec="aac", audio_seconds=1.5),
    "lossless.mkv": Clip(frames=30, codec="ffv1"),
    "web.webm": Clip(frames=30, codec="libvpx-vp9", audio_codec="libopus", audio_seconds=1.5),
    "hidden.webm": Clip(frames=30, codec="libvpx", options=(("auto-alt-ref", "1"), ("lag-in-frames", "16"))),
    "see-through.webm": Clip(frames=30, codec="libvpx-vp9", pix_fmt="yuva420p"),  # in block groups
}


def see_through(path: Path, clip: Clip) -> Path:
    return write_clip(path, clip, (av.VideoFrame(clip.width, clip.height, clip.pix_fmt) for _ in range(clip.frames)))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_in_order(tmp_path: Path, name: str) -> None:
    clip = WHOLE[name]
    path = see_through(tmp_path / name, clip) if "yuva" in clip.pix_fmt else write_clip(tmp_path / name, clip)
    assert broken_at(path) is None


@pytest.mark.parametrize("options", [{"live": "1"}, {"cluster_size_limit": "2000"}, {"cues_to_front": "1"}])
def test_other_ways_of_writing_are_in_order(tmp_path: Path, options: dict[str, str]) -> None:
    source = write_clip(tmp_path / "source.mkv", WHOLE["sound.mkv"])
    path = tmp_path / "v.mkv"
    with av.open(str(source)) as start, av.open(str(path), "w", options=options) as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in start.streams}
        for packet in start.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    assert broken_at(path) is None


@pytest.mark.parametrize("source", ["mp4", "ts"])
def test_copies_from_other_containers_are_in_order(tmp_path: Path, source: str) -> None:
    clip = Clip(frames=30, options=(("bf", "2"),), audio_codec="aac", audio_seconds=1.5)
    assert broken_at(remux(write_clip(tmp_path / f"v.{source}", clip), tmp_path / "v.mkv")) is None


def blocks(data: bytes) -> list[int]:
    """Where the simple blocks begin, from the first cluster on."""
    places: list[int] = []
    place = data.index(CLUSTER.to_bytes(4, "big"))
    while place < len(data):
        name = place
        place += 9 - data[place].bit_length()
        width = 9 - data[place].bit_length()
        size = int.from_bytes(data[place : place + width], "big") & ((1 << 7 * width) - 1)
        place += width
        if data[name : name + 4] != CLUSTER.to_bytes(4, "big"):  # into a cluster, over everything else
            place += size
        if data[name] == SIMPLE_BLOCK:
            places.append(name)
    return places


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return write_clip(tmp_path / "whole.mkv", Clip(frames=24, codec="ffv1")).read_bytes()


NAME, LENGTH, TRACK, FLAGS = 0, 2, 3, 6  # bytes of a block's head


@pytest.mark.parametrize(
    ("offset", "flip"),
    [
        (NAME, 0x01),  # another element
        (NAME, 0x04),  # a position, of thousands of bytes
        (NAME, 0xA3),  # none
        (LENGTH, 0x10),
        (LENGTH, 0x01),
        (TRACK, 0x40),  # one that is not there
        (FLAGS, 0x04),  # said to hold several frames
    ],
)
def test_a_flipped_bit_in_a_block_s_head_is_found(tmp_path: Path, whole: bytes, offset: int, flip: int) -> None:
    places = blocks(whole)
    assert len(places) == 24
    data = bytearray(whole)
    data[places[7] + offset] ^= flip
    path = tmp_path / "v.mkv"
    path.write_bytes(data)
    found = broken_at(path)
    assert found is not None
    # A wrong length is noticed behind the block, or at once where it leads out of the cluster.
    assert found == places[7] or (offset == LENGTH and places[7] < found < places[10])
    line = f"the file is broken at byte {found}"
    with VideoReader(path) as reader, pytest.raises(DamagedVideo, match=rf"of .* frames: {line}; copy the file"):
        list(reader)
    with VideoReader(path, keep_going=True) as reader:
        assert 1 <= len(list(reader)) <= 24
        assert reader.lost[-1] == f"{line}; frames and sound may be missing there"


@pytest.mark.parametrize("identifier", [CLUSTER, TRACKS])
def test_a_flipped_bit_in_an_outer_element_s_name_is_found(tmp_path: Path, whole: bytes, identifier: int) -> None:
    name = identifier.to_bytes(4, "big")
    place = whole.index(name, whole.index(name) + 1) if identifier == TRACKS else whole.index(name)
    data = bytearray(whole)
    data[place + 3] ^= 0x01  # the first mention of the tracks is in the table of contents
    path = tmp_path / "v.mkv"
    path.write_bytes(data)
    assert broken_at(path) == place


def test_damage_inside_a_picture_is_the_decoder_s_business(tmp_path: Path, whole: bytes) -> None:
    data = bytearray(whole)
    data[blocks(whole)[7] + 200] ^= 0x10
    path = tmp_path / "v.mkv"
    path.write_bytes(data)
    assert broken_at(path) is None


def test_live_recordings_are_not_looked_into(tmp_path: Path, whole: bytes) -> None:
    place = whole.index(CLUSTER.to_bytes(4, "big")) + 4
    width = 9 - whole[place].bit_length()
    endless = (1 << (8 - width)) | ((1 << (8 - width)) - 1)
    data = bytearray(whole)
    data[place : place + width] = bytes([endless]) + b"\xff" * (width - 1)
    path = tmp_path / "v.mkv"
    path.write_bytes(data)
    assert broken_at(path) is None
