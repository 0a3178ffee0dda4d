"""When the frames of a video are shown, from its packets; nothing is decoded."""

from __future__ import annotations

from pathlib import Path

from av.error import FFmpegError

from runtime._video.file import opened, video_stream


def packet_times(path: Path) -> list[int] | None:
    """Presentation times of the stream's packets, ascending, in its time base; None where packets do not tell.

    Packets that an edit list hides are left out, and those before the first key frame, in the stream or in time: what
    they refer to was cut away when the stream was, and no reader counts them.  What a damaged file hides is missing
    here too.  AVI counts chunks instead of telling times, and so do these, from 0.  Raises `InputError` when the file
    cannot be opened.
    """
    times: list[int] = []
    key: int | None = None
    with opened(path) as container:
        stream = video_stream(path, container)
        counts = container.format.name == "avi"
        try:
            for packet in container.demux(stream):
                if packet.is_discard or packet.size == 0:
                    continue
                time = packet.dts if counts else packet.pts
                if time is None:
                    return None
                if key is None and packet.is_keyframe:
                    key = time
                if key is not None and time >= key:
                    times.append(time)
        except FFmpegError:
            pass  # nothing is known of what follows; reading the video will say what is wrong with it
    zero = min(times, default=0) if counts else 0
    return sorted(time - zero for time in times)
