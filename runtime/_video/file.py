"""A video file opened with suspicion, and what is known of it before it is decoded."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from runtime._video.beside import beside
from runtime._video.extent import cut_short
from runtime._video.formats import has_alpha, layout_of, planar_name, remarks
from runtime.colour import resolve_matrix
from runtime.errors import DamagedVideo, InputError
from runtime.frame import Colour, Layout

# Containers that hold their own streams.  Playlists, scripts and descriptions (HLS, DASH, concat, SDP, ...), which
# make the library open whatever they name, are not among them; nor are formats guessed from a name alone.
CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,av1,obu,ivf,vc1,flv,ogg,asf,mxf,nut,gxf,rm,wtv,dv,"
    "yuv4mpegpipe,gif,apng"
)
OPENABLE = "mp4, mov, mkv, webm, avi, ts, mpg, ..."
ARBITRARY_CLOCK = frozenset({"mpegts", "mpeg"})  # containers whose time begins anywhere
FULL_RANGE, LIMITED_RANGE = 2, 1
UNTOLD = 2  # of matrix, primaries and transfer (H.273)
UNTOLD_ALL = (UNTOLD, UNTOLD, UNTOLD)
MOST_PIXELS = 1 << 27  # of one picture, 16K has fewer; more is a damaged header, and would take gigabytes


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video without decoding more than its first frame."""

    path: Path
    width: int
    height: int
    frames: int | None  # to be presented, as the container's index tells; None when it has none
    rate: Fraction  # frames a second, the average or a guess
    time_base: Fraction  # seconds a tick of `Frame.pts`
    start_pts: int  # of the first frame
    origin: Fraction  # seconds at which the container's clock begins; 0 except for transport and program streams
    duration_s: float | None
    sample_aspect: Fraction  # width of a sample over its height
    rotation: int  # 0, 90, 180 or 270 degrees counter-clockwise that a player turns the picture; frames stay unturned
    layout: Layout
    colour: Colour
    audio: bool
    container: str  # libav's name
    codec: str  # libav's name of the decoder
    profile: str | None  # of the codec, by libav's name; None when it has none or does not tell
    interlaced: bool  # whether its frames come out interlaced; False where they are deinterlaced on reading
    stills: bool  # pictures in files of their own, with no streams beside them
    alpha: bool  # whether its pictures have an alpha channel, which `open_alpha` reads
    notes: tuple[str, ...]  # one-line remarks for the user

    @property
    def turns(self) -> int:
        """Quarter turns counter-clockwise (`np.rot90`) after which a plane stands as the viewer sees it."""
        return self.rotation // 90

    @property
    def display_width(self) -> int:
        """Columns of the picture that the viewer sees, in samples of the source."""
        return self.height if self.turns % 2 else self.width

    @property
    def display_height(self) -> int:
        """Rows of the picture that the viewer sees, in samples of the source."""
        return self.width if self.turns % 2 else self.height

    def seconds(self, pts: int) -> float:
        """When a player shows the frame of that time: seconds from the beginning of the container's clock."""
        return float(pts * self.time_base - self.origin)


def probe(path: Path) -> VideoInfo:
    """What the file at `path` holds; raises `InputError` when it is no video that decodes."""
    check_regular(path)
    try:
        with opened(path) as container:
            return _describe(path, container)
    except InputError as error:
        if cut := cut_short(path):  # which explains the rest
            raise DamagedVideo(
                f"{path}: decoded 0 frames: {cut}, and what remains cannot be used; copy the file again"
            ) from error
        raise


@contextmanager
def opened(path: Path) -> Generator[InputContainer, None, None]:
    """The file at `path`, opened so that it can name no other file or address; raises `InputError`."""
    check_regular(path)
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        container = av.open(f"file:{path}", "r", container_options=limits, metadata_errors="replace")
    except PermissionError:
        raise InputError(f"{path}: may not be read; check its permissions") from None
    except (FFmpegError, ValueError):
        raise InputError(
            f"{path}: not a video file that can be opened; wanted {OPENABLE} (playlists and scripts are refused)"
        ) from None
    with container:
        yield container


def check_regular(path: Path) -> None:
    """Raises `InputError` unless `path` is a file with something in it (a pipe would block for ever)."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; wanted a video file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file; wanted a video file")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; wanted a video file")


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first stream of moving pictures; raises `InputError` when there is none, or none that can be decoded."""
    streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
    if not streams:
        raise InputError(f"{path}: no video stream in it; wanted a video file")
    # The stubs promise a context, but streams of codecs without a decoder have None.
    if getattr(streams[0], "codec_context", None) is None:
        raise InputError(f"{path}: the video's codec cannot be decoded; convert it to H.264")
    streams[0].codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return streams[0]


def demuxed(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """The packets of `streams` as the file has them, each stream's empty one at the end; raises `FFmpegError`."""
    try:
        yield from container.demux(*streams)
    except IndexError:
        # A stream appeared on the way, as in transport streams.  PyAV looks for its empty packet in a list that is
        # older; those of the streams that were asked for have come by then.
        return


def _describe(path: Path, container: InputContainer) -> VideoInfo:
    stream = video_stream(path, container)
    declared = _declared_colours(stream)  # before a decoder overwrites them, as that of ProRes does
    picture = _first_picture(path, container, stream)
    layout, colour = meaning_of(path, picture, declared)
    alpha = has_alpha(picture.format.name) or alpha_beside(stream) is not None
    time_base = stream.time_base or Fraction(1, 90000)
    return VideoInfo(
        path=path,
        width=picture.width,
        height=picture.height,
        frames=_declared_frames(path, container, stream),
        rate=stream.guessed_rate or stream.average_rate or Fraction(25),
        time_base=time_base,
        start_pts=0 if container.format.name == "avi" else picture.pts or 0,
        origin=_origin(container),
        duration_s=_duration_s(container, stream, time_base),
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        rotation=rotation_of(path, picture, stream.codec_context.name),
        layout=layout,
        colour=colour,
        audio=bool(container.streams.audio),
        container=container.format.name,
        codec=stream.codec_context.name,
        profile=stream.codec_context.profile,
        interlaced=picture.interlaced_frame,
        stills=False,
        alpha=alpha,
        notes=tuple(_notes(picture, stream.codec_context.name, alpha=alpha)),
    )


def _first_picture(path: Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    reason = "the stream is empty"
    try:
        for packet in demuxed(container, stream):
            try:
                pictures = packet.decode()
            except FFmpegError as error:
                reason = error.strerror or str(error)
                continue
            if pictures:
                return pictures[0]
    except FFmpegError as error:
        reason = error.strerror or str(error)
    raise InputError(f"{path}: no frame of it decodes ({reason}); wanted a video with at least one frame")


def meaning_of(path: Path, picture: VideoFrame, declared: tuple[int, int, int] = UNTOLD_ALL) -> tuple[Layout, Colour]:
    """How the planes of a decoded picture are organised and what their samples mean; raises `InputError`.

    Of matrix, primaries and transfer `declared` counts where the picture itself does not say.
    """
    name = picture.format.name
    layout = layout_of(planar_name(name))
    if layout is None:
        raise InputError(f"{path}: pixel format {name} is not supported; convert the video to yuv420p")
    colour = _colour_of(picture, layout, declared)
    if layout.family == "yuv":
        try:
            resolve_matrix(colour.matrix, picture.width, picture.height)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return layout, colour


def rotation_of(path: Path, picture: VideoFrame, codec: str) -> int:
    """Degrees counter-clockwise, 0 to 270, that a player turns the picture; raises `InputError` for anything else."""
    quarters = round(picture.rotation / 90)
    found = f"players turn the picture by {picture.rotation} degrees"
    if _mirrored(picture, codec):
        found = "players mirror the picture"
    elif abs(picture.rotation - 90 * quarters) <= 1:  # PyAV cuts off what follows the decimal point
        return quarters % 4 * 90
    raise InputError(f"{path}: {found}; wanted quarter turns or none, so convert the video to stand upright first")


def alpha_beside(stream: VideoStream) -> str | None:
    """The decoder that reads transparency which lies beside the pictures, in WebM; libav's own ones pass it over."""
    if stream.metadata.get("alpha_mode") != "1":
        return None
    return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)


def _mirrored(picture: VideoFrame, codec: str) -> bool:
    data = beside(picture, codec, [SideDataType.DISPLAYMATRIX]).get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return False
    a, b, _, c, d = struct.unpack("<5i", data[:20])
    return a * d - b * c < 0


def _declared_colours(stream: VideoStream) -> tuple[int, int, int]:
    context = stream.codec_context
    return int(context.colorspace), int(context.color_primaries), int(context.color_trc)


def _colour_of(picture: VideoFrame, layout: Layout, declared: tuple[int, int, int] = UNTOLD_ALL) -> Colour:
    own = (picture.colorspace, picture.color_primaries, picture.color_trc)
    matrix, primaries, transfer = (found if said == UNTOLD else said for said, found in zip(own, declared, strict=True))
    if layout.family == "rgb":
        return Colour(0, primaries, transfer, full_range=True)
    named_full = picture.format.name.startswith("yuvj")
    # Untagged grey is full range, as libswscale has it; untagged Y'CbCr is limited.
    untagged_full = layout.family == "gray" and picture.color_range != LIMITED_RANGE
    full = picture.color_range == FULL_RANGE or named_full or untagged_full
    return Colour(matrix, primaries, transfer, full)


def _declared_frames(path: Path, container: InputContainer, stream: VideoStream) -> int | None:
    """Frames in the index, those that an edit list hides left out; None where the container has no complete index."""
    if not stream.frames or not {"mov", "avi"} & set(container.format.name.split(",")):
        return None
    if container.format.name == "avi" and cut_short(path):  # its index stood at the end
        return stream.frames
    listed = sum(1 for entry in stream.index_entries if entry.size > 0 and not entry.is_discard)
    return listed or None


def _origin(container: InputContainer) -> Fraction:
    if container.format.name not in ARBITRARY_CLOCK:
        return Fraction(0)
    starts = [
        stream.start_time * stream.time_base
        for stream in (*container.streams.video, *container.streams.audio)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=Fraction(0))


def _duration_s(container: InputContainer, stream: VideoStream, time_base: Fraction) -> float | None:
    if stream.duration:
        return float(stream.duration * time_base)
    return container.duration / av.time_base if container.duration else None


def _notes(picture: VideoFrame, codec: str, *, alpha: bool) -> Iterator[str]:
    yield from remarks(picture.format.name, transparent=False)  # whether anything is, reading it tells
    if alpha and not has_alpha(picture.format.name):
        yield "the video's transparency is dropped"
    if beside(picture, codec, [SideDataType.A53_CC]):
        yield "the video has closed captions inside its pictures, which are not kept"
