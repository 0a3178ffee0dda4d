"""What a video says of how it is to be shown: turned, when, with captions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from runtime.errors import InputError
from runtime.video import VideoReader, probe
from tests.clips import Clip, moving_planes, picture_from, write_clip


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_turn_of_the_picture_is_told_and_the_planes_stay(tmp_path: Path, suffix: str, rotation: int) -> None:
    plain = Clip(frames=2, codec="mpeg4" if suffix != "mkv" else "ffv1")
    path = write_clip(tmp_path / f"v.{suffix}", replace(plain, rotation=rotation))
    info = probe(path)
    assert (info.rotation, info.turns) == (rotation, rotation // 90)
    assert (info.width, info.height) == (64, 48)
    upright = np.rot90(np.empty((info.height, info.width)), info.turns)
    assert (info.display_height, info.display_width) == upright.shape
    assert info.notes == ()
    with VideoReader(path) as reader, VideoReader(write_clip(tmp_path / f"plain.{suffix}", plain)) as other:
        for frame, same in zip(reader, other, strict=True):
            assert all(np.array_equal(plane, wanted) for plane, wanted in zip(frame.planes, same.planes, strict=True))


def write_display(path: Path, degrees: float, *, mirrored: bool) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.codec_context.width, stream.codec_context.height = 64, 48
        stream.set_display_rotation(degrees, hflip=mirrored)
        output.mux(stream.encode(picture_from(moving_planes(Clip(), 0), "yuv420p")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("degrees", "mirrored", "message"),
    [
        (0, True, "players mirror the picture"),
        (90, True, "players mirror the picture"),
        (30, False, "players turn the picture by \\d+ degrees"),
    ],
)
def test_what_is_no_quarter_turn_is_refused(tmp_path: Path, degrees: float, mirrored: bool, message: str) -> None:
    path = write_display(tmp_path / "v.mp4", degrees, mirrored=mirrored)
    with pytest.raises(InputError, match=rf"v\.mp4: {message}; wanted quarter turns or none"):
        probe(path)


def test_the_codec_s_profile_is_told(tmp_path: Path) -> None:
    assert probe(write_clip(tmp_path / "a.mp4", Clip(frames=2, options=(("profile", "baseline"),)))).profile == (
        "Constrained Baseline"
    )
    prores = Clip(frames=2, codec="prores_ks", pix_fmt="yuv422p10le", options=(("profile", "lt"),))
    assert probe(write_clip(tmp_path / "a.mov", prores)).profile == "LT"
    assert probe(write_clip(tmp_path / "a.mkv", Clip(frames=2, codec="ffv1"))).profile is None


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_seconds_are_those_that_a_player_shows(tmp_path: Path, suffix: str) -> None:
    clip = Clip(frames=10, options=(("bf", "0"),))
    with VideoReader(write_clip(tmp_path / f"v.{suffix}", clip)) as reader:
        seconds = [reader.info.seconds(frame.pts) for frame in reader]
    assert [round(25 * second) for second in seconds] == list(range(10))


# The block with which AAC begins lies before time 0, which the muxer makes up for by moving all streams.
@pytest.mark.parametrize(
    ("audio", "origin", "first"), [(None, Fraction(4), Fraction(0)), ("aac", Fraction(0), 4 + Fraction(1024, 48000))]
)
def test_a_transport_stream_s_clock_begins_with_its_first_stream(
    tmp_path: Path, audio: str | None, origin: Fraction, first: Fraction
) -> None:
    clip = Clip(frames=4, pts=range(100, 104), options=(("bf", "0"),), audio_codec=audio)
    with VideoReader(write_clip(tmp_path / "v.ts", clip)) as reader:
        assert reader.info.origin == origin
        shown = [reader.info.seconds(frame.pts) for frame in reader]
    assert shown == [float(first + Fraction(index, 25)) for index in range(4)]


def test_a_program_stream_s_clock_begins_anywhere(tmp_path: Path) -> None:
    clip = Clip(frames=4, codec="mpeg2video")
    with VideoReader(write_clip(tmp_path / "v.mpg", clip)) as reader:
        assert reader.info.origin > 0
        assert [round(25 * reader.info.seconds(frame.pts)) for frame in reader] == [0, 1, 2, 3]


def test_closed_captions_are_told(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.h264", Clip(frames=2))
    data = path.read_bytes()
    captions = bytes.fromhex("b5 0031 47413934 03 c1 ff fc9420 ff")  # ATSC A/53: one pair of bytes of CEA-608
    message = b"\0\0\0\1\x06\x04" + bytes([len(captions)]) + captions + b"\x80"
    slice_at = data.index(b"\0\0\1\x65")
    assert probe(path).notes == ()
    path.write_bytes(data[:slice_at] + message + data[slice_at:])
    assert probe(path).notes == ("the video has closed captions inside its pictures, which are not kept",)
