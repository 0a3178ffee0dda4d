"""When packets are decoded, from when their pictures are shown.  Arithmetic only.

Note [Decode times]: each segment's encoder begins its decode times anew, before its first picture.  In a row these
would overlap, so all are worked out again from the times of presentation of the whole video; and so are those of copied
videos, since some containers do not keep them.
"""

from __future__ import annotations

from collections.abc import Sequence


def decode_times(shown: Sequence[int]) -> list[int]:
    """When each packet is to be decoded, from when each is shown, both in decoding order.

    Strictly ascending, and never behind the packet's own time: the k-th packet is decoded when the (k - d)-th picture
    is shown, where d is the least delay that allows that (1 or 2 with pictures that look ahead, else 0).  The first d
    lie before the first picture, spaced as the pictures are.
    """
    ascending = sorted(shown)
    place = {time: rank for rank, time in enumerate(ascending)}
    delay = max((index - place[time] for index, time in enumerate(shown)), default=0)
    if not delay:
        return ascending
    lead = ascending[delay] - ascending[0]
    return [time - lead for time in ascending[:delay]] + ascending[: len(ascending) - delay]


def durations(shown: Sequence[int], decoded: Sequence[int], last: int) -> list[int]:
    """How long each picture is shown, in decoding order: until the next one comes, the last one for `last` ticks.

    The packet that is decoded last makes up for the delay instead, as far as its picture lasts: MP4 takes the sum of
    what lies between decode times for the length of the video.
    """
    ascending = sorted(shown)
    end = ascending[-1] + last
    until = dict(zip(ascending, [*ascending[1:], end], strict=True))
    lengths = [until[time] - time for time in shown]
    lengths[-1] = max(1, min(decoded[0] - ascending[0] + end - decoded[-1], end - shown[-1]))
    return lengths
