"""Videos: probed, read frame by frame, written or copied.  PyAV is used in `_video/` only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from runtime._video.carried import lost_in_video
from runtime._video.codecs import CODECS, Encoding
from runtime._video.copy import copy_video, copyable
from runtime._video.file import VideoInfo, probe
from runtime._video.numbered import Numbered
from runtime._video.nvdec import coded, unsuited
from runtime._video.open import FrameReader, open_alpha, open_reader
from runtime._video.pictures import ImageWriter
from runtime._video.reader import VideoReader
from runtime._video.samples import sample_frames
from runtime._video.writer import CONTAINERS, VideoWriter
from runtime.errors import OutputError
from runtime.frame import Frame
from runtime.patterns import is_pattern
from runtime.work import Work, open_work

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Encoding",
    "FrameReader",
    "FrameWriter",
    "ImageWriter",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "Work",
    "check_output",
    "coded",
    "copy_video",
    "copyable",
    "open_alpha",
    "open_reader",
    "open_work",
    "open_writer",
    "probe",
    "sample_frames",
    "unsuited",
]


class FrameWriter(Protocol):
    """What takes the finished frames; a context manager whose result appears when the block ends well."""

    @property
    def notes(self) -> list[str]:
        """What could not be kept, a line each; complete when the block has ended."""
        ...

    @property
    def start(self) -> int:
        """The number of the first frame to write: those before it were written by an earlier run."""
        ...

    @property
    def encoder(self) -> str:
        """How frames are encoded, with the settings, for people."""
        ...

    def __enter__(self) -> FrameWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, frame: Frame) -> None:
        """Take the next frame; it is not changed."""
        ...


def open_writer(out: Path, info: VideoInfo, encoding: Encoding, work: Work) -> FrameWriter:
    """A writer by the name of `out`: a video (see `CONTAINERS`) or pictures (a pattern like `out/%05d.png`).

    What is finished lies in `work`, which must be open longer.  Raises `OutputError` when `encoding` cannot be.
    """
    if is_pattern(out):
        return ImageWriter(out, info, work)
    writer = VideoWriter(out, info, encoding, work)
    writer.notes += lost_in_video(info)
    return writer


def check_output(out: Path, inputs: Sequence[Path], *, overwrite: bool = False) -> None:
    """Raises `OutputError` when nothing can be written as `out`, or writing it would destroy one of `inputs`."""
    if is_pattern(out):
        existing = _pictures_there(out)
    elif out.suffix.lower() in CONTAINERS:
        existing = [out] if out.exists() else []
    else:
        kinds = ", ".join(CONTAINERS)
        raise OutputError(f"{out}: unknown kind of output; wanted {kinds}, or a pattern like out/%05d.png")
    for source in inputs:
        # Pictures may not land in a folder of pictures or masks either, whatever the names are.
        named = source.parent if is_pattern(source) and not source.exists() else source
        if any(named.exists() and target.samefile(named) for target in (*existing, *_folder_if_pattern(out))):
            raise OutputError(f"{out}: would overwrite the input {source}; wanted another name")
    for target in existing[:1]:
        if target.is_dir():
            raise OutputError(f"{target}: is a folder; wanted the name of a file")
        if not overwrite:
            what = "all pictures of that name and a number" if is_pattern(out) else "it"
            raise OutputError(f"{target}: exists already; choose another name, or replace {what} with --overwrite")
    _check_writable(out)


def _pictures_there(out: Path) -> list[Path]:
    """The files that the pattern's pictures would replace, or lie among as if they were of them."""
    names = Numbered(out)
    if not out.parent.is_dir():
        return []
    return [path for path in sorted(out.parent.iterdir()) if names.alike(path.name) and path.exists()]


def _folder_if_pattern(out: Path) -> list[Path]:
    return [out.parent] if is_pattern(out) and out.parent.exists() else []


def _check_writable(out: Path) -> None:
    folder = out.parent
    if is_pattern(out):  # the folder of pictures is made, and those above it
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
    if not folder.exists():
        raise OutputError(f"{out}: there is no folder {folder}; create it first")
    if not folder.is_dir():
        raise OutputError(f"{out}: {folder} is no folder; wanted one to write into")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: the folder {folder} may not be written; choose another one")
