"""A reader for whatever the user named: a video, a folder of pictures, or a pattern of their names."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

from runtime._video.file import VideoInfo
from runtime._video.images import ImageReader
from runtime._video.reader import VideoReader
from runtime._video.sequence import names_sequence
from runtime._video.still import is_still
from runtime.errors import InputError, UsageError
from runtime.frame import Frame
from runtime.nvdec import Nvdec

USUAL_RATE = Fraction(25)  # frames a second of pictures that say nothing of it


class FrameReader(Protocol):
    """Iterates once over frames in presentation order; a context manager."""

    @property
    def info(self) -> VideoInfo:
        """What is known of them before they are decoded."""
        ...

    @property
    def lost(self) -> list[str]:
        """What was passed over, a line each; complete when the iteration is over."""
        ...

    @property
    def counted(self) -> int:
        """Frames so far, the lost ones included as far as they can be told: what masks are counted against."""
        ...

    def __enter__(self) -> FrameReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Close the file; the iteration is over then."""
        ...


def open_reader(
    path: Path,
    *,
    keep_going: bool = False,
    deinterlace: bool = False,
    fps: Fraction | None = None,
    nvdec: Nvdec | None = None,
) -> FrameReader:
    """The frames of the video at `path`, or of the pictures in a folder or of a pattern like `in/%05d.png`.

    Pictures are shown `fps` to the second, 25 unless given.  Interlaced video is refused unless `deinterlace` makes
    progressive frames of it, one a frame.  `nvdec` decodes a video that `runtime/decoding.py` found fit for it.  Raises
    `InputError`, and `UsageError` for an `fps` with a video; damage as `VideoReader` and `ImageReader` say.
    """
    if names_sequence(path):
        return ImageReader(path, USUAL_RATE if fps is None else fps, keep_going=keep_going)
    if fps is not None:
        raise UsageError(f"{path}: a video has times of its own; --fps is for a folder or a pattern of pictures")
    try:
        return VideoReader(path, keep_going=keep_going, deinterlace=deinterlace, nvdec=nvdec)
    except InputError:
        if not is_still(path):
            raise
        raise InputError(
            f"{path}: is one picture; wanted a video, or a folder or pattern of pictures such as in/%05d.png"
        ) from None


def open_alpha(path: Path, *, keep_going: bool = False) -> FrameReader:
    """The transparency of a video or of pictures as grey frames of full range, 0 where nothing is to be seen.

    Index and time of each are those of the frame of `open_reader`.  Raises `InputError` when there is none.
    """
    if names_sequence(path):
        reader = ImageReader(path, USUAL_RATE, keep_going=keep_going, alpha=True)
    else:
        reader = VideoReader(path, keep_going=keep_going, alpha=True)
    return reader
