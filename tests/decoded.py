"""Clips that NVDEC may decode, and how frames by way of it are held against libav's."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from runtime.clock import Clock
from runtime.device import Device, HostArray, Stream
from runtime.devices import open_device
from runtime.frame import Frame
from runtime.nvdec import Nvdec
from runtime.video import VideoReader
from tests.clips import Clip
from tests.ordered import CheckedDevice, CheckedStream
from tests.stand_in_cuda import installed
from tests.stand_in_nvdec import FakeNvdec, with_nvdec

LATE = (0.0, 0.0004, 0.0, 0.001)
B_FRAMES = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0"))
OPEN_GOP = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0:open-gop=1:b-pyramid=normal"))
PLAIN = Clip(frames=24, options=B_FRAMES)
HEVC = Clip(144, 144, frames=14, codec="libx265", options=(("x265-params", "log-level=none:pools=1:frame-threads=1"),))
TICKS = Fraction(1, 90000)

SOUND = {
    "mp4": ("v.mp4", PLAIN),
    "open groups": ("v.mkv", replace(PLAIN, options=OPEN_GOP)),
    "transport stream with sound": ("v.ts", replace(PLAIN, audio_codec="aac", audio_seconds=1)),
    "cropped": ("v.mp4", replace(PLAIN, width=70, height=50)),
    "4:2:2, 10 bits": ("v.mov", replace(PLAIN, pix_fmt="yuv422p10le")),
    "4:2:0, 10 bits, cropped": ("v.mkv", replace(PLAIN, pix_fmt="yuv420p10le", width=66)),
    "HEVC": ("v.mp4", HEVC),
    "HEVC, 10 bits": ("v.mkv", replace(HEVC, pix_fmt="yuv420p10le", width=150)),
    "HEVC, 4:4:4": ("v.mp4", replace(HEVC, pix_fmt="yuv444p", height=147)),
    "HEVC, 4:4:4, 12 bits": ("v.mp4", replace(HEVC, pix_fmt="yuv444p12le")),
    "uneven times": ("v.mp4", Clip(frames=7, time_base=TICKS, pts=[0, 10, 4000, 4001, 9000, 90000, 90007])),
    "an edit list": ("v.mp4", Clip(frames=20, time_base=Fraction(1, 25), pts=[n - 5 for n in range(20)])),
    "one frame": ("v.mp4", Clip(frames=1)),
    "turned, full range": ("v.mp4", replace(PLAIN, rotation=90, colour=(1, 1, 1, 2))),
}


@contextmanager
def nvdec_of(library: FakeNvdec) -> Generator[Nvdec, None, None]:
    """The library on its device, every access checked; afterwards no thread of it is left."""
    before = threading.active_count()
    with installed(library.cuda), with_nvdec(library), closing(Watched(open_device("cuda", Clock(), 2))) as device:
        library.wrote = device.wrote
        yield Nvdec(device)
        assert library.cuda.lost or not library.cuda.owned.alive, "videos that are closed have nothing any more"
    assert threading.active_count() == before


class Watched(CheckedDevice):
    """A checked device that can be told what others write on its streams."""

    def __init__(self, inner: Device) -> None:
        super().__init__(inner)
        self._by_handle: dict[int, CheckedStream] = {}

    def stream(self, name: str) -> Stream:
        made = super().stream(name)
        assert isinstance(made, CheckedStream)
        made.launch(lambda handle: self._by_handle.update({handle: made}))
        return made

    def wrote(self, handle: int, surface: HostArray) -> None:
        """Raises `Hazard` where an earlier access is not behind this one's stream."""
        self.ledger.note(self._by_handle[handle], surface, writes=True)


def read(path: Path, nvdec: Nvdec | None = None) -> list[Frame]:
    with VideoReader(path, nvdec=nvdec) as reader:
        frames = list(reader)
        assert reader.counted == len(frames)
        assert not reader.lost
    return frames


def assert_same(found: Sequence[Frame], wanted: Sequence[Frame]) -> None:
    assert [(frame.index, frame.pts) for frame in found] == [(frame.index, frame.pts) for frame in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert (one.layout, one.colour) == (other.layout, other.colour)
        for mine, theirs in zip(one.planes, other.planes, strict=True):
            assert mine.dtype == theirs.dtype
            assert mine.flags["C_CONTIGUOUS"] == theirs.flags["C_CONTIGUOUS"]
            assert np.array_equal(mine, theirs)


def damaged(source: Path, out: Path, number: int) -> Path:
    """A copy in which the second half of packet `number` is zeros."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    begin, size = packets[number].pos or 0, packets[number].size
    data = bytearray(source.read_bytes())
    data[begin + size // 2 : begin + size] = bytes(size - size // 2)
    out.write_bytes(data)
    return out
