"""What the packets of a video tell of its frames before one is decoded."""

from __future__ import annotations

from runtime._video.extent import cut_short
from runtime._video.ledger import ONE_PICTURE_A_PACKET
from runtime._video.times import packet_times
from runtime.video import VideoInfo, probe

# Where every packet is one frame that is shown, the packets' times tell the frames' numbers.  Not so where fields come
# in packets of their own, in codecs with packets that show nothing (VP8), and in streams that may begin anywhere.
ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "av1", "vp9", "prores", "ffv1", "mjpeg", "png"})
TELLING_CONTAINERS = frozenset({"mov", "matroska"})


def frame_seconds(info: VideoInfo, may_lose: bool) -> list[float] | None:
    """When each frame is shown; None where packets do not tell.

    `may_lose`: whether frames that do not decode are left out, counted or not.
    """
    codecs = ONE_FRAME_A_PACKET & ONE_PICTURE_A_PACKET if may_lose else ONE_FRAME_A_PACKET  # else a loss goes uncounted
    told = info.codec in codecs and not TELLING_CONTAINERS.isdisjoint(info.container.split(","))
    if info.stills or info.interlaced or not told:
        return None
    ticks = packet_times(info.path)
    return None if ticks is None else [info.seconds(pts) for pts in ticks]


def frame_count(info: VideoInfo, may_lose: bool) -> int | None:
    """How many frames the video has by its index, else by its packets; None where neither tells.

    A damaged file has lost packets of which nothing is known, and one that is deinterlaced on reading may have two of
    them a frame.  What only does not decode has its packet, and with `may_lose` is counted where that tells.
    """
    if info.frames is not None:
        return info.frames
    if info.stills or cut_short(info.path) is not None or probe(info.path).interlaced:
        return None
    seconds = frame_seconds(info, may_lose)
    return None if seconds is None else len(seconds)
