"""Videos with everything beside their pictures: tracks of sound, subtitles, chapters, covers, attachments, tags."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from PIL import Image

if TYPE_CHECKING:  # a type of the stubs only
    from av.container.core import Chapter

CHAPTERS: list[Chapter] = [
    {"id": 1, "start": 0, "end": 800, "time_base": Fraction(1, 1000), "metadata": {"title": "Eins"}},
    {"id": 2, "start": 800, "end": 2000, "time_base": Fraction(1, 1000), "metadata": {"title": "Zwei"}},
]
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,400\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\nWorld\n"
FRAMES, TICKS = 50, 512


@dataclass(frozen=True)
class Rich:
    """What lies beside the pictures, which are 50 frames of H.264."""

    sound: tuple[str, ...] = ("aac",)
    subtitles: bool = False
    cover: bool = False
    attachment: bool = False
    timecode: bool = False
    chapters: bool = False
    sound_first: bool = False
    tags: tuple[tuple[str, str], ...] = (("title", "A title"), ("artist", "Somebody"))


def write_rich(path: Path, rich: Rich) -> Path:
    """Write such a video to `path`; the muxer is the one of its suffix."""
    with av.open(str(path), "w") as output, _subtitles() as texts, _cover() as covers:
        output.metadata.update(rich.tags)
        sound = [_sound(output, rich, number) for number in range(len(rich.sound))] if rich.sound_first else []
        video = _video(output, rich)
        sound = sound or [_sound(output, rich, number) for number in range(len(rich.sound))]
        copies: list[tuple[InputContainer, Stream]] = []
        if rich.subtitles:
            text = output.add_stream_from_template(texts.streams.subtitles[0])
            text.metadata["language"], text.disposition = "spa", Disposition.forced
            copies.append((texts, text))
        if rich.cover and path.suffix == ".mkv":  # where covers are files
            output.add_attachment("cover.jpg", "image/jpeg", _jpeg())
        elif rich.cover:
            cover = output.add_stream_from_template(covers.streams.video[0], opaque=True)
            cover.disposition = Disposition.attached_pic
            copies.append((covers, cover))
        if rich.attachment:
            output.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        if rich.chapters:
            output.set_chapters(CHAPTERS)
        _write_pictures(output, video)
        for stream in sound:
            _write_sound(output, stream)
        for container, target in copies:
            _copy(container, output, target)
    return path


def _copy(source: InputContainer, output: OutputContainer, target: Stream) -> None:
    for packet in source.demux():
        if packet.size:
            packet.pts = packet.dts = packet.pts or 0
            packet.stream = target
            output.mux(packet)


def _video(output: OutputContainer, rich: Rich) -> VideoStream:
    stream = output.add_stream("libx264", rate=25)
    stream.width, stream.height = 64, 48
    stream.codec_context.time_base = Fraction(1, 25 * TICKS)
    stream.metadata.update(language="deu", title="Bild", handler_name="A handler")
    if rich.timecode:
        stream.metadata["timecode"] = "01:02:03:04"
    return stream


def _sound(output: OutputContainer, rich: Rich, number: int) -> AudioStream:
    stream = cast(AudioStream, output.add_stream(rich.sound[number], rate=48000))
    stream.metadata.update(language=("eng", "fra", "ita")[number], title=f"Ton {number}")
    stream.disposition = Disposition.comment if number else Disposition.default
    return stream


def _write_pictures(output: OutputContainer, stream: VideoStream) -> None:
    for index in range(FRAMES):
        picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 5, np.uint8), "rgb24")
        picture.pts, picture.time_base = index * TICKS, Fraction(1, 25 * TICKS)
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))


def _write_sound(output: OutputContainer, stream: AudioStream) -> None:
    block, form = stream.codec_context.frame_size or 1024, stream.codec_context.format.name
    for start in range(0, 96000 - block, block):
        wave = np.sin(np.arange(start, start + block) / 20).astype(np.float32) / 10
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for ready in av.AudioResampler(form, "stereo", 48000).resample(frame):
            ready.pts = start
            output.mux(stream.encode(ready))
    output.mux(stream.encode(None))


def _subtitles() -> InputContainer:
    return av.open(io.BytesIO(SUBTITLES.encode()), "r", format="srt")


def _cover() -> InputContainer:
    return av.open(io.BytesIO(_jpeg()), "r", format="jpeg_pipe")


def _jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(data, "JPEG")
    return data.getvalue()
