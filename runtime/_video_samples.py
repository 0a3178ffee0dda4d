"""Some frames of a video, from all over it, for those who need an impression of it and not the whole."""

from __future__ import annotations

from collections.abc import Generator

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from runtime._video_file import VideoInfo, opened, probe, video_stream
from runtime._video_formats import layout_of, planar_name, planes_of
from runtime._video_open import open_reader
from runtime.frame import Frame

FEW_FRAMES = 3000  # a video of no more is decoded from end to end, which takes seconds and gives all of them
SAMPLES = 192  # frames of a longer one; each costs a seek and little more than a key frame


def sample_frames(info: VideoInfo) -> Generator[Frame, None, None]:
    """Frames in order of time: all of a short video, and of a long one those that begin where `SAMPLES` seeks land.

    Index counts them; what does not decode is passed over, and so is what two seeks give twice.  Interlaced frames of
    a long video come as they are.  Raises `InputError` when the video cannot be opened.
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
            picture = _at(container, stream, info, number / SAMPLES)
            if picture is None or picture.pts is None or (last is not None and picture.pts <= last):
                continue
            last = picture.pts
            yield Frame(index, picture.pts, planes_of(picture), info.layout, info.colour)
            index += 1


def _at(container: InputContainer, stream: VideoStream, info: VideoInfo, share: float) -> VideoFrame | None:
    """The first picture that decodes at that share of the video or before it; None where none does or fits."""
    seconds = (info.duration_s or 0.0) * share
    try:
        container.seek(info.start_pts + round(seconds / info.time_base), stream=stream)
        for picture in container.decode(stream):
            same = (picture.width, picture.height) == (info.width, info.height)
            return picture if same and layout_of(planar_name(picture.format.name)) == info.layout else None
    except FFmpegError:
        return None
    return None
