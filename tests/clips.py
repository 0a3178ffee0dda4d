"""Small videos made on the spot for tests: any codec, layout, container and timing that PyAV can write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

Planes = tuple[npt.NDArray[np.uint8 | np.uint16], ...]

SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}


@dataclass(frozen=True)
class Clip:
    """What a test video is to be."""

    width: int = 64
    height: int = 48
    frames: int = 12
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: Fraction = Fraction(25)
    time_base: Fraction | None = None  # 1 / rate when left out
    pts: Sequence[int] | None = None  # 0, 1, 2, ... when left out
    options: tuple[tuple[str, str], ...] = ()
    gop: int = 6
    colour: tuple[int, int, int, int] | None = None  # matrix, primaries, transfer, range as libav numbers them
    audio_codec: str | None = None
    audio_seconds: float = 0.5
    rotation: int = 0  # degrees counter-clockwise that players turn the picture
    fields: Literal["", "tff", "bff"] = ""  # which field of interlaced pictures is shown first; none: progressive


def write_picture(path: Path, index: int, width: int = 33, height: int = 21) -> Path:
    """A picture file, by the format of its suffix, in one colour whose red tells `index`, 0 to 25."""
    Image.new("RGB", (width, height), (10 * index, 200, 30)).save(path)
    return path


def planes_of_shape(width: int, height: int, pix_fmt: str) -> list[tuple[int, int]]:
    """Rows and columns of each plane of a planar pixel format."""
    if pix_fmt.startswith("gray"):
        return [(height, width)]
    across, down = (0, 0) if pix_fmt.startswith("gbr") else SHIFTS[pix_fmt.removeprefix("yuv").removeprefix("j")[:3]]
    chroma = (-(-height >> down), -(-width >> across))
    return [(height, width), chroma, chroma]


def bits_of(pix_fmt: str) -> int:
    """Bits a sample of a planar pixel format."""
    digits = pix_fmt.removesuffix("le").split("p")[-1] if "p" in pix_fmt else pix_fmt.removesuffix("le")[4:]
    return int(digits) if digits else 8


def moving_planes(clip: Clip, index: int) -> Planes:
    """A smooth picture that moves, with samples over the whole range; different for each plane and each frame."""
    bits = bits_of(clip.pix_fmt)
    planes: list[npt.NDArray[np.uint8 | np.uint16]] = []
    for number, (rows, columns) in enumerate(planes_of_shape(clip.width, clip.height, clip.pix_fmt)):
        y, x = np.mgrid[0:rows, 0:columns]
        wave = np.sin((x * (1 + number) + 3 * index) / 7.0) + np.cos((y - 2 * index) / 5.0)
        level = (wave + 2) / 4 * ((1 << bits) - 1)
        planes.append(level.astype(np.uint8 if bits == 8 else np.uint16))
    return tuple(planes)


def woven_planes(clip: Clip, index: int) -> Planes:
    """An interlaced picture: `moving_planes` of two moments, the lines of the first one where `clip.fields` says."""
    earlier, later = moving_planes(clip, 2 * index), moving_planes(clip, 2 * index + 1)
    woven = tuple(plane.copy() for plane in earlier)
    for plane, other in zip(woven, later, strict=True):
        second = slice(1 if clip.fields == "tff" else 0, None, 2)
        plane[second] = other[second]
    return woven


def picture_from(planes: Planes, pix_fmt: str) -> VideoFrame:
    """A libav picture of `planes` (for gbrp in libav's order G, B, R)."""
    rows, columns = planes[0].shape
    picture = VideoFrame(columns, rows, pix_fmt)
    for plane, target in zip(planes, picture.planes, strict=True):
        lines = np.frombuffer(memoryview(target), plane.dtype).reshape(target.height, -1)
        lines[:, : target.width] = plane
    return picture


def write_clip(path: Path, clip: Clip, pictures: Iterable[VideoFrame] | None = None, *, movflags: str = "") -> Path:
    """Write the clip to `path`; `movflags` as libav's mp4 muxer's.

    Its pictures are `moving_planes`, of interlaced clips `woven_planes`, unless `pictures` are given.
    """
    if pictures is None:
        planes = woven_planes if clip.fields else moving_planes
        pictures = (picture_from(planes(clip, index), clip.pix_fmt) for index in range(clip.frames))
    if clip.fields:
        pictures = _marked(pictures, clip)
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as output:
        stream = cast(VideoStream, output.add_stream(clip.codec, rate=clip.rate, options=dict(clip.options)))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = clip.width, clip.height, clip.pix_fmt
        context.time_base = clip.time_base or 1 / clip.rate
        context.gop_size = clip.gop
        if clip.fields:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        if clip.colour is not None:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = clip.colour
        sound = None
        if clip.audio_codec is not None:
            sound = cast(AudioStream, output.add_stream(clip.audio_codec, rate=48000))
        for index, picture in enumerate(pictures):
            picture.pts = index if clip.pts is None else clip.pts[index]
            picture.time_base = context.time_base
            if clip.colour is not None:
                picture.color_range = clip.colour[3]
            output.mux(stream.encode(picture))
        output.start_encoding()  # a clip of no frames has a header too
        output.mux(stream.encode(None))
        if sound is not None:
            _write_sound(output, sound, clip.audio_seconds)
    return path


def _marked(pictures: Iterable[VideoFrame], clip: Clip) -> Iterator[VideoFrame]:
    """The pictures, marked as interlaced, which PyAV alone cannot do."""
    graph = Graph()
    form = VideoFormat(clip.pix_fmt, clip.width, clip.height)
    source = graph.add_buffer(width=clip.width, height=clip.height, format=form, time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("setfield", f"mode={clip.fields}"), graph.add("buffersink")).configure()
    for index, picture in enumerate(pictures):
        picture.pts, picture.time_base = index, Fraction(1, 25)
        graph.vpush(picture)
        yield graph.vpull()


def _write_sound(output: OutputContainer, stream: AudioStream, seconds: float) -> None:
    samples = np.sin(np.arange(int(48000 * seconds)) / 20.0)
    block = stream.codec_context.frame_size or 1024
    form = stream.codec_context.format.name
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        data = np.stack([part, part]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(data, "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        resampler = av.AudioResampler(form, "stereo", 48000)
        for ready in resampler.resample(frame):
            ready.pts = start
            output.mux(stream.encode(ready))
    output.mux(stream.encode(None))


def remux(source: Path, out: Path, first_key: int = 0, seconds: float | None = None) -> Path:
    """Copy the packets of `source` from its key frame number `first_key` on, as `ffmpeg -ss -t -c copy` does."""
    with av.open(str(source)) as start, av.open(str(out), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in start.streams}
        video = start.streams.video[0].index
        keys = -1
        origin: Fraction | None = None
        for packet in start.demux():
            if packet.dts is None or packet.pts is None:
                continue
            keys += packet.stream.index == video and packet.is_keyframe
            if keys < first_key:
                continue
            time = packet.pts * packet.time_base
            origin = time if origin is None else origin
            if seconds is not None and time - origin >= seconds:
                continue
            shift = round(origin / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    return out
