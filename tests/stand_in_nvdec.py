"""What PyNvVideoCodec is to the runtime, on the stand-in for CUDA: libav decodes, the rest behaves as the library does.

As in its release 2.2.4: pictures come in the order in which they are shown, some calls late; a surface is written on
the stream that the decoder was made with, after `Decode` has returned, and written again at the next call; deep samples
are aligned high; an empty packet ends the stream; damage is hidden and told on standard output alone.  It shows nothing
of a GPU, nor that the library behaves so.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame

from runtime._video.formats import layout_of, planes_of
from runtime.device import HostArray
from tests.stand_in_cuda import FakeCuda, bytes_at

NAMES = {"H264": "h264", "HEVC": "hevc", "VP9": "libvpx-vp9", "AV1": "libdav1d"}
SURFACES = {(1, 1): ("NV12", "P016"), (1, 0): ("NV16", "P216"), (0, 0): ("YUV444", "YUV444_16Bit")}
POISON = 0xEE
REFUSAL = """HandlePictureDecode :
Error code : 999
Error Type : m_api.cuvidDecodePicture(m_hDecoder, pPicParams) returned error 999
at NvDecoder.cpp:1000
"""
LATE = 4  # pictures that the library holds back, as its documentation says of the latency that it has unless told

Surface = tuple[HostArray, SimpleNamespace]  # its bytes, and what is said of them
Held = tuple[int, HostArray, SimpleNamespace]  # with the number of its packet
Format = tuple[str, str, int]  # codec, chroma, bits
_HEVC: set[Format] = {("HEVC", chroma, bits) for chroma in ("420", "444") for bits in (8, 10, 12)}
_VP9: set[Format] = {("VP9", "420", bits) for bits in (8, 10, 12)}
_AV1: set[Format] = {("AV1", "420", bits) for bits in (8, 10)}
# Source: NVIDIA's Video Encode and Decode GPU Support Matrix.
GPUS: dict[str, set[Format]] = {
    "7.5": {("H264", "420", 8), *_HEVC, *_VP9},
    "8.6": {("H264", "420", 8), *_HEVC, *_VP9, *_AV1},
    "9.0": {("H264", "420", 8), *_HEVC, *_VP9},
    "12.0": {("H264", chroma, bits) for chroma in ("420", "422") for bits in (8, 10)}
    | {("HEVC", "422", bits) for bits in (8, 10, 12)}
    | _HEVC
    | _VP9
    | _AV1,
}


class PyNvVCException(Exception):
    """The library's own error."""


class PyNvVCExceptionUnsupported(Exception):
    """Likewise, and no relation of it."""


@dataclass
class FakeNvdec:
    """The library on `cuda`, whose GPU is of that SM; what goes wrong is named by the packet's or picture's number."""

    cuda: FakeCuda
    capability: str = "12.0"
    broken: str = ""  # why the library cannot be used
    fails_at: int = 0
    drops: int = 0
    repeats: int = 0
    swaps: int = 0  # this picture comes before the one that it follows
    says_at: tuple[int, str] = (0, "")
    damages: int = 0  # this packet's picture is concealed, and so other ones are that come of it; told when it is shown
    spoils: int = 0  # from this picture on one sample is another one
    wrote: Callable[[int, HostArray], None] = lambda handle, surface: None  # told of every surface that is enqueued
    made: list[FakeDecoder] = field(default_factory=list["FakeDecoder"])

    def module(self) -> ModuleType:
        """To be found as PyNvVideoCodec."""
        module = ModuleType("PyNvVideoCodec")
        names: dict[str, Any] = {
            "PyNvVCException": PyNvVCException,
            "PyNvVCExceptionUnsupported": PyNvVCExceptionUnsupported,
            "cudaVideoCodec": SimpleNamespace(**{name: name for name in NAMES}),
            "cudaVideoChromaFormat": SimpleNamespace(__members__={name: name for name in ("420", "422", "444")}),
            "PacketData": SimpleNamespace,
            "GetDecoderCaps": self._caps,
            "CreateDecoder": self._create,
        }
        for name, value in names.items():
            setattr(module, name, value)
        return module

    def _caps(self, gpuid: int, codec: str, chromaformat: str, bitdepth: int) -> dict[str, int]:
        if self.broken:
            raise RuntimeError(f"{self.broken}\nand a paragraph of advice")
        assert gpuid == 0
        able = (codec, chromaformat, bitdepth) in GPUS[self.capability]
        least, most = ((48, 16), (4096, 4096)) if codec == "H264" else ((144, 144), (8192, 8192))
        caps = {"supported": able, "width_min": least[0], "height_min": least[1], "mb_num_max": most[0] * 16}
        return {**caps, "width_max": most[0] * able, "height_max": most[1] * able, "num_decoder_engines": 1}

    def _create(
        self, *, gpuid: int, codec: str, cudacontext: int, cudastream: int, usedevicememory: bool
    ) -> FakeDecoder:
        assert (gpuid, cudacontext) == (0, self.cuda.context)
        assert usedevicememory
        self.made.append(FakeDecoder(self, codec, cudastream))
        return self.made[-1]


class FakeDecoder:
    """PyNvDecoder."""

    def __init__(self, library: FakeNvdec, codec: str, handle: int) -> None:
        self._library, self._handle, self._stream = library, handle, library.cuda.streams[handle]
        self._context = CodecContext.create(NAMES[codec], "r")
        self._context.thread_count = 1
        self._surfaces: list[HostArray] = []
        self._held: deque[Held] = deque()
        self._packets = 0
        self.pictures = 0

    def Decode(self, packet: Any) -> list[SimpleNamespace]:  # noqa: N802  (the library's name)
        """What has come of all packets so far, less what is held back."""
        for surface in self._surfaces:
            self._library.wrote(self._handle, surface)
            self._stream.put(lambda surface=surface: surface.fill(POISON))
        data = bytes(bytes_at(packet.bsl_data, packet.bsl)) if packet.bsl else None
        self._packets += 1
        if self._packets == self._library.fails_at:
            raise PyNvVCException(REFUSAL)
        if self._packets == self._library.says_at[0]:
            _print(self._library.says_at[1])
        self._held.extend(self._decoded(data, packet.pts))
        count = len(self._held) if data is None else max(0, len(self._held) - LATE)
        return [self._given(place, *self._held.popleft()) for place in range(count)]

    def _decoded(self, data: bytes | None, number: int) -> Generator[Held, None, None]:
        packet: Packet[Any] | None = None
        if data is not None:
            packet = Packet(data)
            packet.pts = number
        try:
            pictures: Sequence[VideoFrame] = self._context.decode(packet)  # type: ignore[assignment, attr-defined]
        except FFmpegError:
            _print(f"Decode Error occurred for picture {self.pictures}\n")
            return
        for picture in self._faulty(list(pictures)):
            self.pictures += 1
            if picture.is_corrupt:
                _print(f"Decode Error occurred for picture {self.pictures}\n")
            yield picture.pts or 0, *self._surface_of(picture)

    def _faulty(self, pictures: list[VideoFrame]) -> list[VideoFrame]:
        library = self._library
        numbers = [self.pictures + place + 1 for place in range(len(pictures))]
        kept = [picture for number, picture in zip(numbers, pictures, strict=True) if number != library.drops]
        again = [picture for number, picture in zip(numbers, pictures, strict=True) if number == library.repeats]
        if library.swaps in numbers and self._held:
            last, number = self._held.pop(), numbers.index(library.swaps)
            self._held.append((kept[number].pts or 0, *last[1:]))
            kept[number].pts = last[0]
        return kept + again

    def _surface_of(self, picture: VideoFrame) -> Surface:
        layout = layout_of(picture.format.name)
        assert layout is not None
        luma, *chroma = planes_of(picture)
        if layout.chroma_shift_x:
            chroma = [np.stack(chroma, axis=-1)]
        samples = np.concatenate([plane.reshape(-1) for plane in (luma, *chroma)])
        if layout.bits > 8:
            samples = samples << np.uint16(16 - layout.bits)
        concealed = self._library.damages and (picture.pts or 0) >= self._library.damages
        if concealed or (self._library.spoils and self.pictures >= self._library.spoils):
            samples[7] ^= 1 << (16 - layout.bits if layout.bits > 8 else 0)
        name = SURFACES[layout.chroma_shift_x, layout.chroma_shift_y][layout.bits > 8]
        shape = [picture.height, picture.width, 1]
        said = SimpleNamespace(format=SimpleNamespace(name=name), cuda=lambda: [SimpleNamespace(shape=shape)])
        return samples.view(np.uint8), said

    def _given(self, place: int, number: int, data: HostArray, said: SimpleNamespace) -> SimpleNamespace:
        """The picture in surface number `place`, which the stream will write."""
        while len(self._surfaces) <= place:
            self._surfaces.append(np.full(data.nbytes, POISON, np.uint8))
        if number == self._library.damages:
            _print(f"Decode Error occurred for picture {number}\n")
        surface = self._surfaces[place]
        self._library.wrote(self._handle, surface)
        self._stream.put(lambda: np.copyto(surface, data))
        said.timestamp = number
        said.GetPtrToPlane = lambda plane: int(surface.ctypes.data)
        return said


@contextmanager
def with_nvdec(nvdec: FakeNvdec) -> Generator[FakeNvdec, None, None]:
    """`nvdec` as the library."""
    with patch.dict(sys.modules, {"PyNvVideoCodec": nvdec.module()}):
        yield nvdec


def without_nvdec() -> Any:
    """The library as if it were not installed."""
    return patch.dict(sys.modules, {"PyNvVideoCodec": None})


def _print(text: str) -> None:
    """As C does, past Python's own buffer."""
    printf: Callable[[bytes], int] = ctypes.CDLL(None).printf
    printf(text.replace("%", "%%").encode())
