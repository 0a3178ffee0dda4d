"""Which packets went into a decoder, which pictures came out, and so which frames are lost."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame

# Every packet of these codecs shows exactly one picture (unless it holds one field), so that a packet whose time never
# comes out of the decoder is a lost frame.  Other codecs hide reference pictures in packets of their own.
ONE_PICTURE_A_PACKET = frozenset(
    {"h264", "hevc", "mpeg1video", "mpeg2video", "mjpeg", "prores", "dnxhd", "ffv1", "huffyuv", "ffvhuff", "utvideo"}
)
# Containers that store the time of presentation; in others (AVI, raw streams) it is guessed, and a packet's guess may
# differ from its picture's.
TIMED = frozenset({"mov", "mp4", "matroska", "webm", "mpegts", "mpeg", "flv", "asf", "mxf", "nut"})


class Ledger:
    """Counts the frames of one pass over a video and collects what is wrong with them, a line for each loss."""

    def __init__(self, codec: str, container: str, time_base: Fraction) -> None:
        self.losses: list[str] = []
        self.decoded = 0
        self.counted = 0  # decoded and lost
        self._pairs = codec in ONE_PICTURE_A_PACKET and bool(TIMED & set(container.split(",")))
        self._time_base = time_base
        self._expected: list[int] = []  # heap of times that went in and are to come out
        self._corrupt: set[int] = set()  # times of packets that the container says are broken
        self._first_key: int | None = None
        self._missed: dict[int, str] = {}  # what was said of frames that had not come when their turn was
        self._reason = "its packet does not decode"

    def sent(self, packet: Packet[Any]) -> None:
        """A packet is about to be decoded."""
        if packet.is_discard or not packet.size:
            return
        if packet.is_corrupt and packet.pts is not None:
            self._corrupt.add(packet.pts)
        if self._first_key is None and packet.is_keyframe:
            self._first_key = packet.pts
        # What precedes the first key frame, in the stream or in time, refers to pictures that were cut away when the
        # stream was: nobody can decode it and nobody misses it.
        after_key = self._first_key is not None and packet.pts is not None and packet.pts >= self._first_key
        if self._pairs and after_key and packet.pts is not None:
            heapq.heappush(self._expected, packet.pts)

    def failed(self, reason: str) -> None:
        """A packet did not decode, or the container could not be read on."""
        self._reason = reason
        if not self._pairs:
            self.losses.append(f"after frame {self.counted - 1}: a packet does not decode ({reason})")

    def came(self, picture: VideoFrame) -> bool:
        """A picture came out; its number is `counted` now, before it is counted by `kept`.

        False where it cannot be kept: a decoder that lost its order gave it after a later one.
        """
        if picture.interlaced_frame:  # the second field may have had a packet and a time of its own
            self._pairs = False
            self._expected.clear()
        if picture.pts is not None:
            self._miss_before(picture.pts)
            if missed := self._missed.pop(picture.pts, None):
                seconds = float(picture.pts * self._time_base)
                line = f"{missed.split(':')[0]}: lost at {seconds:.3f} s (it came out after a later one)"
                self.losses[self.losses.index(missed)] = line
                return False
        if picture.is_corrupt or picture.pts in self._corrupt:
            self.losses.append(f"frame {self.counted}: damaged, used as far as it decodes")
        if picture.pts is not None:
            self._corrupt.discard(picture.pts)
        return True

    def kept(self) -> None:
        """The picture that came became a frame."""
        self.decoded += 1
        self.counted += 1

    def ended(self, declared: int | None) -> None:
        """The file is over; `declared` frames were promised."""
        self._miss_before(None)
        if declared is not None and self.counted < declared:
            first, last = self.counted, declared - 1
            which = f"frame {first}" if first == last else f"frames {first} to {last}"
            self.losses.append(f"{which}: missing at the end")
            self.counted = declared

    def _miss_before(self, pts: int | None) -> None:
        while self._expected and (pts is None or self._expected[0] <= pts):
            expected = heapq.heappop(self._expected)
            if expected != pts:
                seconds = float(expected * self._time_base)
                line = f"frame {self.counted}: lost at {seconds:.3f} s ({self._reason})"
                self.losses.append(line)
                self._missed[expected] = line
                self.counted += 1
