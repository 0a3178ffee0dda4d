"""Some frames of a video, from all over it, for those who need an impression of it and not the whole."""

from __future__ import annotations

from collections.abc import Generator

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from runtime._video.file import VideoInfo, opened, probe, video_stream
from runtime._video.formats import layout_of, planar_name, planes_of
from runtime._video.open import open_reader
from runtime.frame import Frame

FEW_FRAMES = 3000  # a video of no more is decoded from end to end, which takes seconds and gives all of them
SAMPLES = 192  # frames of a longer one; each costs a seek and little more than a key frame


def sample_frames(info: VideoInfo) -> Generator[Frame, None, None]:
    """Frames in order of time: all of a short video, and of a long one those that begin where `SAMPLES` seeks land.

    Those are key frames where there are enough.  Index counts them; what does not decode is passed over.  Interlaced
    frames of a long video come as they are.  Raises `InputError` when the video cannot be opened.
    """
    length = None if info.duration_s is None else info.duration_s * float(info.rate)
    if info.stills or length is None or length <= FEW_FRAMES:
        deinterlace = not info.stills and probe(info.path).interlaced
        with open_reader(info.path, keep_going=True, deinterlace=deinterlace) as reader:
            yield from reader
        return
    with opened(info.path) as container:
        stream = video_stream(info.path, container)
        last: int | None = None
        index = 0
        for number in range(SAMPLES):
            wanted = info.start_pts + round((info.duration_s or 0.0) * number / SAMPLES / info.time_base)
            picture = _at(container, stream, wanted, last)
            if picture is not None and picture.pts is not None and _fits(picture, info):
                last = picture.pts
                yield Frame(index, last, planes_of(picture), info.layout, info.colour)
                index += 1


def _at(container: InputContainer, stream: VideoStream, wanted: int, last: int | None) -> VideoFrame | None:
    """The key frame before the time `wanted`, or where that is not later than `last` the frame of that time itself."""
    try:
        container.seek(wanted, stream=stream)
        for picture in container.decode(stream):
            fresh = picture.pts is not None and (last is None or picture.pts > last)
            if fresh and (picture.key_frame or (picture.pts or 0) >= wanted):
                return picture
    except FFmpegError:
        return None
    return None


def _fits(picture: VideoFrame, info: VideoInfo) -> bool:
    same = (picture.width, picture.height) == (info.width, info.height)
    return same and layout_of(planar_name(picture.format.name)) == info.layout
