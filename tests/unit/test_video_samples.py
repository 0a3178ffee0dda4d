"""An impression of a long video costs little, and of a short one it is the whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from runtime._video.samples import FEW_FRAMES, SAMPLES, sample_frames
from runtime._video.times import packet_times
from runtime.video import VideoReader, probe
from tests.clips import Clip, write_clip

LONG = FEW_FRAMES * 2


@pytest.mark.parametrize(("suffix", "gop"), [("mp4", 10), ("mkv", 10), ("ts", 10), ("mp4", 600)])
def test_samples_of_a_long_video_lie_all_over_it(tmp_path: Path, suffix: str, gop: int) -> None:
    """Also where key frames are rare."""
    info = probe(write_clip(tmp_path / f"long.{suffix}", Clip(16, 16, LONG, codec="mpeg2video", gop=gop)))
    frames = list(sample_frames(info))
    seconds = [info.seconds(frame.pts) - info.seconds(frames[0].pts) for frame in frames]
    assert SAMPLES * 3 // 4 <= len(frames) <= SAMPLES
    assert [frame.index for frame in frames] == list(range(len(frames)))
    steps = [after - before for before, after in pairwise(seconds)]
    assert min(steps) > 0
    assert max(steps) <= 2 * LONG / 25 / SAMPLES + 10 / 25  # and no stretch is left out, but for a group of pictures
    assert seconds[-1] > LONG / 25 * (SAMPLES - 3) // SAMPLES


def test_samples_show_what_the_frames_of_their_time_show(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "long.mp4", Clip(16, 16, FEW_FRAMES + 500, codec="mpeg2video", gop=10))
    sampled = {frame.pts: frame.planes[0].tobytes() for frame in sample_frames(probe(path))}
    with VideoReader(path) as reader:
        read = {frame.pts: frame.planes[0].tobytes() for frame in reader if frame.pts in sampled}
    assert sampled == read


def test_a_short_video_is_sampled_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "short.mp4", Clip(16, 16, 40))
    assert [frame.index for frame in sample_frames(probe(path))] == list(range(40))
    interlaced = write_clip(tmp_path / "fields.mkv", Clip(32, 32, 10, fields="tff"))
    assert len(list(sample_frames(probe(interlaced)))) == 10


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_packets_tell_when_frames_are_shown(tmp_path: Path, suffix: str) -> None:
    pts = [number * 3 + (number % 5 == 0) for number in range(60)]  # a variable rate, and B-frames out of order
    path = write_clip(tmp_path / f"video.{suffix}", Clip(32, 32, 60, pts=pts, options=(("bf", "3"),)))
    with VideoReader(path) as reader:
        assert packet_times(path) == [frame.pts for frame in reader]
