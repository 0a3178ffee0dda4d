"""Frames that wait for their repair: in memory while they fit, and else read a second time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from runtime.ahead import ahead
from runtime.clock import Clock
from runtime.errors import InputError
from runtime.frame import Frame

Again = Callable[[], Iterator[Frame]]  # the frames of the clip from its beginning, once more

_READ_AHEAD = 2  # frames of the second reading decoded before they are asked for


@dataclass(frozen=True, slots=True)
class Room:
    """What may wait at once."""

    first: int  # frames before this one are asked for by nobody and not kept
    frames: int | None  # how many frames may have to wait; None: there is no telling
    most_bytes: int


class WaitingFrames:
    """Put in by the thread that decodes, taken in order by the one that composites.

    A schedule looks some sixty frames ahead: 200 MB at 1080p, 800 MB at 4K.  As soon as what waits does not fit, or
    will not, all of it is dropped, and from then on frames come from `again`; without it they wait however many they
    are.
    """

    def __init__(self, room: Room, again: Again | None, clock: Clock) -> None:
        self._room = room
        self._again = again
        self._clock = clock
        self._lock = threading.Lock()
        self._frames: dict[int, Frame] = {}
        self._bytes = 0
        self._dropped = False
        self._second: Generator[Frame, None, None] | None = None

    def put(self, frame: Frame) -> None:
        """Let `frame` wait."""
        with self._lock:
            if self._dropped or frame.index < self._room.first:
                return
            size = _bytes_of(frame)
            foreseen = size * (self._room.frames or 0)
            if self._again is not None and max(foreseen, self._bytes + size) > self._room.most_bytes:
                self._frames.clear()
                self._dropped = True
                return
            self._frames[frame.index] = frame
            self._bytes += size

    def take(self, index: int) -> Frame:
        """Frame `index`, which is then the caller's; indices ascend.

        Raises `InputError` when the second reading does not bring it.
        """
        with self._lock:
            if not self._dropped:
                frame = self._frames.pop(index)
                self._bytes -= _bytes_of(frame)
                return frame
        return self._take_again(index)

    def close(self) -> None:
        """Drop what waits and stop the second reading."""
        with self._lock:
            self._frames.clear()
        if self._second is not None:
            self._second.close()

    def _take_again(self, index: int) -> Frame:
        if self._second is None:
            self._second = self._read_again()
        for frame in self._second:
            if frame.index == index:
                return frame
            if frame.index > index:
                break
        raise InputError(
            f"frame {index}: was there when the video was read first but not when it was read again; wanted the same "
            f"frames. Run once more, with the video left alone while it is read"
        )

    def _read_again(self) -> Generator[Frame, None, None]:
        if self._again is None:
            raise ValueError("nothing was dropped, so nothing is read again")
        with closing(ahead(self._clock.timed("decode", self._again()), _READ_AHEAD)) as frames:
            yield from frames


def _bytes_of(frame: Frame) -> int:
    return sum(plane.nbytes for plane in frame.planes)
