"""NVDEC itself, through PyNvVideoCodec: what tests/unit/test_video_nvdec.py shows on stand-ins, and what it assumes."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime._device.cuda import CudaDevice
from runtime.clock import Clock
from runtime.errors import DamagedVideo
from runtime.frame import Frame
from runtime.nvdec import Nvdec
from runtime.video import VideoReader, coded, probe
from tests.clips import Clip, write_clip
from tests.decoded import PLAIN, SOUND, assert_same, damaged, read

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        importlib.util.find_spec("PyNvVideoCodec") is None, reason="needs PyNvVideoCodec: pip install PyNvVideoCodec"
    ),
]


@pytest.fixture
def nvdec() -> Iterator[Nvdec]:
    with closing(CudaDevice(Clock())) as device:
        yield Nvdec(device)


@pytest.mark.parametrize(("name", "clip"), SOUND.values(), ids=SOUND)
def test_frames_are_those_of_the_cpu(name: str, clip: Clip, tmp_path: Path, nvdec: Nvdec) -> None:
    path = write_clip(tmp_path / name, clip)
    if reason := nvdec.why_not(coded(probe(path))):
        pytest.skip(f"not on this GPU: {reason}")
    assert_same(read(path, nvdec), read(path))
    assert nvdec.stopped == []


@pytest.mark.parametrize("number", [0, 5, 15])
def test_damage_that_the_library_hides_is_told_all_the_same(number: int, tmp_path: Path, nvdec: Nvdec) -> None:
    """That a picture with an error is told on standard output is what this rests on."""
    path = damaged(write_clip(tmp_path / "whole.mp4", PLAIN), tmp_path / "v.mp4", number)
    with pytest.raises(DamagedVideo) as wanted:
        read(path)
    with pytest.raises(DamagedVideo) as found:
        read(path, nvdec)
    assert str(found.value) == str(wanted.value)


def test_two_videos_are_decoded_at_once_and_no_thread_is_left(tmp_path: Path, nvdec: Nvdec) -> None:
    path = write_clip(tmp_path / "v.mp4", PLAIN)
    before = threading.active_count()
    found: list[list[Frame]] = [[], []]
    readers = [VideoReader(path, nvdec=nvdec) for _ in range(2)]
    threads = [threading.Thread(target=found[place].extend, args=(readers[place],)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for frames in found:
        assert_same(frames, read(path))
    assert nvdec.stopped == []
    assert threading.active_count() == before


def test_a_reading_can_stop_at_any_frame(tmp_path: Path, nvdec: Nvdec) -> None:
    path = write_clip(tmp_path / "v.mp4", PLAIN)
    for frames in (1, 9):
        with VideoReader(path, nvdec=nvdec) as reader:
            assert [next(iter(reader)).index for _ in range(frames)][-1] == frames - 1
    assert_same(read(path, nvdec), read(path))
