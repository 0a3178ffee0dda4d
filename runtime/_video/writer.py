"""Frames to a video with the source's timestamps, tags and other streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import TracebackType

from av.error import FFmpegError

from runtime._video.codecs import SEGMENT_FRAMES, Chosen, Encoding, choose
from runtime._video.declared import read_declared
from runtime._video.encoder import Encoder, recipe_of, thread_count
from runtime._video.file import VideoInfo
from runtime._video.join import NewVideo
from runtime._video.segments import Segment, SegmentFile, read_segment
from runtime.errors import OutputError
from runtime.frame import Frame
from runtime.work import Work

# Between two frames of an MP4: from 2^31 on, reordering included, libav's muxer fails, and later writes other times.
LONGEST_TICKS = 2**28
FEWEST_TICKS = 10_000  # a second; the muxer doubles a coarser clock until it is there
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # suffix -> libav's muxer


class VideoWriter:
    """Encodes frames into a video that gets its name when the block ends well; a context manager.

    Timestamps are the source's (in .mkv and .webm to the millisecond), all other streams are copied packet by packet.
    Frames that a finished segment of `work` holds are not written again: see `start`.  `notes` says in one line each
    what could not be kept.  Raises `OutputError`.
    """

    def __init__(self, out: Path, info: VideoInfo, encoding: Encoding, work: Work) -> None:
        self._out = out
        self._info = info
        self._work = work
        # Where the container's clock begins anywhere, the result's begins at 0.
        self._shift = round(info.origin / info.time_base)
        self._chosen = choose(out, encoding, info, read_declared(info), thread_count(info.width, info.height))
        self._video = NewVideo(info, self._chosen)
        self._segments = list(self._finished())
        self._last_pts = self._segments[-1].last_pts if self._segments else None
        self._start = self._segments[-1].last_frame + 1 if self._segments else 0
        self._open: _OpenSegment | None = None
        self.notes: list[str] = list(self._chosen.notes)

    @property
    def start(self) -> int:
        """The number of the first frame that is still to be written."""
        return self._start

    @property
    def encoder(self) -> str:
        """How frames are encoded, with the settings, for people."""
        return self._chosen.told

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            elif self._open is not None:
                self._open.drop(error)
        except (FFmpegError, OSError) as failure:
            raise self._failed(failure) from None

    def write(self, frame: Frame) -> None:
        """Encode `frame`; timestamps must ascend."""
        pts = frame.pts - self._shift
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"frame {frame.index}: time {pts} does not follow {self._last_pts}")
        self._check_gap(frame.index, 0 if self._last_pts is None else pts - self._last_pts)
        self._last_pts = pts
        try:
            if self._open is None:
                self._open = _OpenSegment(self._work, self._name(len(self._segments)), self._chosen, self._info)
            if self._open.write(frame, pts):
                self._end_segment()
        except (FFmpegError, OSError) as error:
            raise self._failed(error) from None

    def _check_gap(self, index: int, ticks: int) -> None:
        if CONTAINERS[self._out.suffix.lower()] not in {"mp4", "mov"}:
            return
        clock = self._info.time_base.denominator
        while clock < FEWEST_TICKS:
            clock *= 2
        gap = ticks * self._info.time_base
        if gap * clock > LONGEST_TICKS:
            raise OutputError(
                f"{self._out}: frame {index} comes {float(gap):.0f} s after the one before it, more than this "
                f"container can hold; damaged times may be the cause; choose .mkv"
            )

    def _finished(self) -> Iterator[Segment]:
        """What an earlier run finished; whatever lies behind a gap is of no use."""
        before: Segment | None = None
        for number in count():
            path = self._work.piece(self._name(number))
            found = read_segment(path) if path.exists() else None
            if found is None:
                break
            if found.recipe != recipe_of(self._chosen, self._info):
                raise OutputError(
                    f"{self._work.folder}: the unfinished work there was encoded by other libraries or on another "
                    f"machine; begin anew with --overwrite in place of --resume"
                )
            if before is not None and not found.follows(before):
                raise OutputError(
                    f"{path}: begins at frame {found.first_frame}, wanted one behind frame {before.last_frame}, the "
                    f"last of the segment before it; begin anew with --overwrite in place of --resume"
                )
            before = found
            yield found

    def _end_segment(self) -> None:
        if self._open is None:
            return
        ended, self._open = self._open, None
        ended.finish()
        segment = read_segment(self._work.piece(self._name(len(self._segments))))
        if segment is None:
            raise OutputError(f"{self._work.folder}: what was just written there cannot be read; check the disk")
        self._segments.append(segment)

    def _finish(self) -> None:
        self._end_segment()
        if not self._segments:
            raise OutputError(f"{self._out}: no frames were written, so there is no video")
        with self._work.making(f"joined{self._out.suffix}") as path:
            self.notes += self._video.join(path, CONTAINERS[self._out.suffix.lower()], self._segments)
        self._work.piece(f"joined{self._out.suffix}").replace(self._out)

    @staticmethod
    def _name(number: int) -> str:
        return f"segment-{number:06d}"

    def _failed(self, error: FFmpegError | OSError) -> OutputError:
        return OutputError(f"{self._out}: cannot be written: {error.strerror or error}")


class _OpenSegment:
    """The segment that frames go into, with its encoder."""

    def __init__(self, work: Work, name: str, chosen: Chosen, info: VideoInfo) -> None:
        with ExitStack() as stack:
            file = stack.enter_context(stack.enter_context(work.making(name)).open("wb"))
            self._encoder = Encoder(chosen, info)
            self._file = SegmentFile(file, recipe_of(chosen, info), self._encoder.headers, self._encoder.tag)
            self._stack = stack.pop_all()

    def write(self, frame: Frame, pts: int) -> bool:
        """Encode a frame, to be shown at `pts`; returns whether the segment is full."""
        self._file.write(self._encoder.encode(frame, pts))
        self._file.note(frame.index, pts)
        return self._file.frames == SEGMENT_FRAMES

    def finish(self) -> None:
        """Complete the file and let it have its name."""
        with self._stack:
            self._file.write(self._encoder.end())
            self._file.end()

    def drop(self, error: BaseException) -> None:
        """Delete the file."""
        self._stack.__exit__(type(error), error, error.__traceback__)
