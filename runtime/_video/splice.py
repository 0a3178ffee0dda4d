"""Where recordings were put together: the decode times of a stream start again, which no damage makes them do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

from av.error import FFmpegError

from runtime._video.file import ARBITRARY_CLOCK, VideoInfo, demuxed, opened, video_stream

FARTHEST_S = Fraction(1, 2)  # from one packet to the next of the same recording


def splice_of(info: VideoInfo) -> str:
    """Where the first splice of a transport or program stream is, for a line; empty where there is none.

    Reads the file.
    """
    if info.container not in ARBITRARY_CLOCK:
        return ""
    times: list[int] = []
    with opened(info.path) as container, suppress(FFmpegError):  # what lies behind an error is not looked at
        packets = demuxed(container, video_stream(info.path, container))
        times.extend(packet.dts for packet in packets if packet.size and packet.dts is not None)
    found = _restart(times, round(FARTHEST_S / info.time_base))
    return "" if found is None else f"from {info.seconds(found[0]):.2f} s back to {info.seconds(found[1]):.2f} s"


def _restart(times: Iterable[int], farthest: int) -> tuple[int, int] | None:
    """The times before and after the place where they first go back, amid such as ascend by at most `farthest`.

    A single packet whose time is damaged jumps as well, but what surrounds it goes on as if it were not there.
    """
    steps = list(pairwise(times))
    even = [0 < later - earlier <= farthest for earlier, later in steps]
    for index in range(1, len(steps) - 1):
        earlier, later = steps[index]
        if later <= earlier and even[index - 1] and even[index + 1]:
            return earlier, later
    return None
