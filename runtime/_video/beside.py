"""What comes with a decoded picture besides its samples: side data, as libav calls it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

# Their colour profile comes with its name, which PyAV and libav both free once side data was looked at: a segmentation
# fault.  What they carry besides, Pillow reads.
_FREED_TWICE = frozenset({"png", "apng"})


def beside(picture: VideoFrame, codec: str, kinds: Iterable[Type]) -> dict[Type, bytes]:
    """Of `kinds`, those that come with a picture that `codec` decoded."""
    if codec in _FREED_TWICE:
        return {}
    try:
        found = cast(Any, picture.side_data)  # the stubs make a Mapping of it
        told = {kind: found.get(kind) for kind in kinds}
    except ValueError:  # PyAV has no name for something else that comes with the picture
        return {}
    return {kind: bytes(data) for kind, data in told.items() if data is not None}
