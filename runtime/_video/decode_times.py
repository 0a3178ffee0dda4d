"""When packets are decoded, from when their pictures are shown.  Arithmetic only.

Note [Decode times]: each segment's encoder begins its decode times anew, before its first picture.  In a row these
would overlap, so all are worked out again from the times of presentation of the whole video; and so are those of copied
videos, since some containers do not keep them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

MOST_USUAL = 100  # times the usual duration; a picture that is shown for longer is a mistake of the container
MILLISECOND = Fraction(1, 1000)


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


def durations(shown: Sequence[int], decoded: Sequence[int], usual: int, length: int | None) -> list[int]:
    """How long each picture is shown, in decoding order: until the next one comes.

    The last one is shown until `length` ticks are over, or for `usual` ticks where that is unknown or already past.
    The packet that is decoded last makes up for the delay instead, as far as its picture lasts: MP4 takes the sum of
    what lies between decode times for the length of the video.
    """
    ascending = sorted(shown)
    left = usual if length is None else ascending[0] + length - ascending[-1]
    end = ascending[-1] + (left if 0 < left <= MOST_USUAL * usual else usual)
    until = dict(zip(ascending, [*ascending[1:], end], strict=True))
    lengths = [until[time] - time for time in shown]
    rest = decoded[0] + (end - ascending[0] if length is None else length) - decoded[-1]
    lengths[-1] = min(rest, end - shown[-1]) if rest > 0 else end - shown[-1]
    return lengths


def steady(shown: Sequence[int], rate: Fraction, time_base: Fraction) -> bool:
    """Whether pictures come at that many a second, but for what rounding to ticks or milliseconds does."""
    slack = max(time_base, MILLISECOND)
    ascending = sorted(shown)
    ideal = (ascending[0] * time_base + index / rate for index in range(len(ascending)))
    return all(abs(time * time_base - wanted) <= slack for time, wanted in zip(ascending, ideal, strict=True))
