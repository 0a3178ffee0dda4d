"""Recordings put together as plain files: the cause is said, and not mistaken for damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime._video.splice import _restart, splice_of
from runtime.errors import DamagedVideo
from runtime.video import VideoReader, probe
from tests.clips import Clip, write_clip


def clip(codec: str) -> Clip:
    return Clip(frames=50, codec=codec, gop=12, options=(("bf", "2"),))


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "mpeg2video"), (".ts", "libx264"), (".mpg", "mpeg2video"), (".ts", "libx265")]
)
def test_recordings_put_together_are_told_from_damage(tmp_path: Path, suffix: str, codec: str) -> None:
    one = write_clip(tmp_path / f"one{suffix}", clip(codec)).read_bytes()
    path = tmp_path / f"both{suffix}"
    path.write_bytes(one + one)
    with VideoReader(path) as reader, pytest.raises(DamagedVideo) as caught:
        list(reader)
    said = str(caught.value)
    assert "its times start again, from 1." in said
    assert said.endswith("as where recordings were put together: cut the video there")
    assert "\n" not in said


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
def test_a_damaged_recording_is_only_damaged(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"one{suffix}", clip("mpeg2video"))
    data = bytearray(path.read_bytes())
    packet = 188 * 40 if suffix == ".ts" else 2048 * 3
    for start in (len(data) // 3, len(data) // 2):
        del data[start : start + packet]
    path.write_bytes(data)
    assert splice_of(probe(path)) == ""
    with VideoReader(path) as reader, pytest.raises(DamagedVideo, match="copy the file again"):
        list(reader)


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ([0, 1, 2, 3], None),
        ([7, 8, 9, 0, 1, 2], (9, 0)),
        ([0, 1, 2, 90, 3, 4], None),  # one time is damaged
        ([0, 1, 2, -90, 3, 4], None),
        ([0, 1, 0], None),
    ],
)
def test_a_time_that_is_damaged_is_no_beginning(times: list[int], found: tuple[int, int] | None) -> None:
    assert _restart(times, 3) == found
