"""Pictures decoded by the GPU's own decoder, NVDEC, through PyNvVideoCodec; what it may decode is in docs/adr/0018.

Note [The decoder's stream]
    The library gives surfaces of its own, before they are written, and writes them again at its next call.  All of it
    is enqueued on the stream that it was given, one of ours, and the download is enqueued there as well.  So the
    download finds the picture complete, and the next call's writes come behind it.
"""

from __future__ import annotations

import importlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from types import TracebackType
from typing import Any

import numpy as np

from runtime._device.gpu import CudaTensor
from runtime._nvdec_words import Overheard
from runtime.afterwards import afterwards
from runtime.device import Device, Event, HostArray
from runtime.frame import Layout, Plane

_LIBRARY = "PyNvVideoCodec"
_CODECS = {"h264": "H264", "hevc": "HEVC", "vp9": "VP9", "av1": "AV1"}  # libav's names and the library's
_CHROMA = {(1, 1): "420", (1, 0): "422", (0, 0): "444"}  # by shifts
_SURFACES = {(1, 1): ("NV12", "P016"), (1, 0): ("NV16", "P216"), (0, 0): ("YUV444", "YUV444_16Bit")}  # 8 bits, more
_FIRST_GPU = 0  # which runtime/_device/cuda.py takes
_MACROBLOCK = 16
_UNDER_WAY = 3  # pictures that are downloaded and unpacked while the next ones are decoded
_TYPE = "Error Type :"  # what the line of the library's errors begins with that says what went wrong
_SAID = "error"  # what a line has in it that the library prints when it hid damage; see docs/adr/0018


class DecoderFault(Exception):
    """NVDEC failed, or may give something else than the CPU; the text says why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Coded:
    """What is to be decoded."""

    codec: str  # as libav calls it, whatever decodes it
    layout: Layout
    width: int
    height: int

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of its planes."""
        across, down = self.layout.chroma_shift_x, self.layout.chroma_shift_y
        chroma = (-(-self.height >> down), -(-self.width >> across))
        return ((self.height, self.width), chroma, chroma)

    @property
    def nbytes(self) -> int:
        """Of a surface, which is as many as the planes have at 8 or 16 bits a sample."""
        return sum(prod(shape) for shape in self.shapes) * (1 if self.layout.bits == 8 else 2)


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture on the host."""

    number: int  # that its packet was given
    planes: tuple[Plane, ...]


@dataclass(slots=True)
class _Coming:
    """A picture on its way to the host."""

    number: int
    planes: list[Plane] = field(default_factory=list[Plane])  # there when `here` is passed
    here: Event | None = None


class Nvdec:
    """The library on a device; one for a run, which may have several videos open."""

    def __init__(self, device: Device) -> None:
        """Raises `DecoderFault` where the library cannot be used here."""
        self._device = device
        self._library = _load()
        self._overheard = Overheard()
        self.stopped: list[str] = []  # why a video that was begun here went on on the CPU, a sentence each

    def why_not(self, coded: Coded) -> str | None:
        """None where this GPU decodes such a video, else what stands in the way, without a full stop."""
        library, layout = self._library, coded.layout
        chroma = _CHROMA.get((layout.chroma_shift_x, layout.chroma_shift_y))
        if coded.codec not in _CODECS or chroma is None or layout.family != "yuv":
            return "NVDEC knows no such format"
        if coded.width % (1 << layout.chroma_shift_x):
            return "PyNvVideoCodec gives rows of even length only"
        codec = getattr(library.cudaVideoCodec, _CODECS[coded.codec])
        try:
            caps = library.GetDecoderCaps(
                _FIRST_GPU, codec, library.cudaVideoChromaFormat.__members__[chroma], layout.bits
            )
        except self._errors as error:
            return f"PyNvVideoCodec cannot be used here: {_reason(error)}"
        if not caps["supported"]:
            form = f"{':'.join(chroma)} with {layout.bits} bits"
            return f"this GPU's NVDEC does not decode {coded.codec} in {form}"
        return _too_large(coded, caps)

    def open(self, coded: Coded) -> NvdecVideo:
        """A decoder for one video that `why_not` has nothing against; raises `DecoderFault`, `DeviceFailed`."""
        library = self._library
        # With a context of ours it has none to give back, which, when it fails on a lost GPU, ends the process.
        context, codec = self._device.context(), getattr(library.cudaVideoCodec, _CODECS[coded.codec])

        def make(stream: int) -> Any:
            return library.CreateDecoder(
                gpuid=_FIRST_GPU, codec=codec, cudacontext=context, cudastream=stream, usedevicememory=True
            )

        return NvdecVideo(self._device, coded, _Calls(library.PacketData, self._heard), make)

    def _heard(self, work: Callable[[], Any]) -> Any:
        """What `work` returns; raises `DecoderFault` for what the library raises, and for what it only prints."""
        try:
            with self._overheard.listening() as heard:
                result = work()
        except self._errors as error:
            raise DecoderFault(f"it failed: {_reason(error)}") from error
        if _SAID in heard.text.lower():
            raise DecoderFault(f"it met damage: {heard.text.strip().splitlines()[0]}")
        return result

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        """All that may be raised: the library's own, which have no common base, C++'s, and `Overheard`'s."""
        own = (self._library.PyNvVCException, self._library.PyNvVCExceptionUnsupported)
        return (*own, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class _Calls:
    """What a video needs of the library."""

    packet: Callable[[], Any]
    heard: Callable[[Callable[[], Any]], Any]


class NvdecVideo:
    """Packets of one video in, pictures in the order in which they are shown out; a context manager.

    May be used by one thread after another, by one at a time.
    """

    def __init__(self, device: Device, coded: Coded, calls: _Calls, make: Callable[[int], Any]) -> None:
        self._device, self._coded, self._calls = device, coded, calls
        self._coming: deque[_Coming] = deque()
        with device.bound():
            self._stream = device.stream("nvdec")
            try:
                self._decoder: Any = calls.heard(lambda: self._launched(make))
            except BaseException:
                self._stream.close()
                raise

    def __enter__(self) -> NvdecVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def decode(self, data: bytes, number: int) -> list[Picture]:
        """Give a packet, in Annex B where the codec has it, and take what pictures have come.

        `number`, from 1, comes back with the packet's picture.  Raises `DecoderFault`, `DeviceFailed`.
        """
        held = np.frombuffer(data, np.uint8)  # until the library has copied it, which it does before it returns
        return self._fed(held, number, _UNDER_WAY)

    def flush(self) -> list[Picture]:
        """The pictures that are left, when all packets were given; raises as `decode`."""
        return self._fed(np.empty(0, np.uint8), 0, 0)  # the library takes an empty packet for the end

    def close(self) -> None:
        """Drop what is under way and free the decoder, behind what its stream still does."""
        self._coming.clear()
        with self._device.bound(), afterwards(self._stream.close):
            try:
                self._stream.rest()
            finally:
                self._decoder = None  # while there is the stream that it knows

    def _fed(self, data: HostArray, number: int, under_way: int) -> list[Picture]:
        packet = self._calls.packet()
        packet.bsl_data, packet.bsl, packet.pts = int(data.ctypes.data) if data.size else 0, data.size, number
        with self._device.bound():
            frames = self._calls.heard(lambda: self._launched(lambda _: self._decoder.Decode(packet)))
            self._coming.extend(self._downloaded(frame) for frame in frames)
            return [self._here(self._coming.popleft()) for _ in range(len(self._coming) - under_way)]

    def _launched(self, call: Callable[[int], Any]) -> Any:
        """What `call` returns, which is given the stream's handle and enqueues on it."""
        results: list[Any] = []
        self._stream.launch(lambda handle: results.append(call(handle)))
        return results[0]

    def _downloaded(self, frame: Any) -> _Coming:
        """Enqueue the download of a surface; see Note [The decoder's stream]."""
        wanted = _SURFACES[self._coded.layout.chroma_shift_x, self._coded.layout.chroma_shift_y]
        name = wanted[self._coded.layout.bits > 8]
        height, width = (int(length) for length in frame.cuda()[0].shape[:2])
        if (frame.format.name, width, height) != (name, self._coded.width, self._coded.height):
            raise DecoderFault(f"a picture came as {frame.format.name} of {width}x{height} pixels")
        coming = _Coming(int(frame.timestamp))
        surface = CudaTensor(int(frame.GetPtrToPlane(0)), (self._coded.nbytes,), np.dtype(np.uint8), frame)
        self._stream.read(surface, partial(_unpack, self._coded, coming.planes))
        coming.here = self._stream.mark()
        return coming

    @staticmethod
    def _here(coming: _Coming) -> Picture:
        if coming.here is not None:
            coming.here.wait()
        return Picture(coming.number, tuple(coming.planes))


def unpacked(coded: Coded, surface: HostArray) -> tuple[Plane, ...]:
    """Copies of the planes of a surface `[nbytes]`, low-aligned: the library aligns deep samples high in 16 bits.

    The planes lie behind each other without padding, those of subsampled chroma as one plane of pairs.
    """
    deep = coded.layout.bits > 8
    samples = surface.view(np.dtype("<u2")) if deep else surface
    luma, chroma, _ = coded.shapes
    split = prod(luma)
    if coded.layout.chroma_shift_x:
        pairs = samples[split:].reshape(*chroma, 2)
        parts = (samples[:split].reshape(luma), pairs[..., 0], pairs[..., 1])
    else:
        parts = tuple(samples.reshape(3, *luma))
    return tuple(part >> np.uint16(16 - coded.layout.bits) if deep else part.copy() for part in parts)


def _unpack(coded: Coded, planes: list[Plane], surface: HostArray) -> None:
    planes.extend(unpacked(coded, surface))


def _load() -> Any:
    logging.getLogger(_LIBRARY).addHandler(logging.NullHandler())  # what it logs while it is imported it raises, too
    try:
        return importlib.import_module("PyNvVideoCodec")
    except ModuleNotFoundError as error:
        if error.name != _LIBRARY:
            raise DecoderFault(f"PyNvVideoCodec cannot be used here: {_reason(error)}") from error
        raise DecoderFault("PyNvVideoCodec is not installed (pip install PyNvVideoCodec)") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise DecoderFault(f"PyNvVideoCodec cannot be used here: {_reason(error)}") from error


def _too_large(coded: Coded, caps: dict[str, int]) -> str | None:
    width, height = coded.width, coded.height
    blocks = -(-width // _MACROBLOCK) * -(-height // _MACROBLOCK)
    fits = caps["width_min"] <= width <= caps["width_max"] and caps["height_min"] <= height <= caps["height_max"]
    if fits and blocks <= caps["mb_num_max"]:
        return None
    least, most = f"{caps['width_min']}x{caps['height_min']}", f"{caps['width_max']}x{caps['height_max']}"
    return f"this GPU's NVDEC decodes {coded.codec} of {least} to {most} pixels, not of {width}x{height}"


def _reason(error: Exception) -> str:
    """In one line; the library's own errors have it in the third, and source files around it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = next((line for line in lines if line.startswith(_TYPE)), lines[0])
    return told.removeprefix(_TYPE).strip().rstrip(".")
