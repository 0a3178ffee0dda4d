"""Real frames for comparing graphs: a clip and its mask, as the runtime feeds them to the network."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.bundle import PixelRule
from runtime.errors import ExportError, InputError
from runtime.holes import cover
from runtime.masks import Request, find_mask_beside, open_masks
from runtime.patch import Crop
from runtime.pixels import normalise, shrink
from runtime.video import open_reader

DEMO = Path(__file__).resolve().parent.parent / "assets" / "demo" / "city.mp4"


def network_frames(clip: Path, rule: PixelRule, count: int) -> npt.NDArray[np.float32]:
    """The first `count` frames as the network sees them, `[count, 3, H, W]`; a shorter clip begins again.

    The mask lies beside the clip.  Raises `ExportError` when either cannot be used.
    """
    try:
        frames = _read(clip, rule, count)
    except InputError as error:
        raise ExportError(f"the frames that graphs are compared on cannot be read: {error}") from None
    return np.stack([frames[index % len(frames)] for index in range(count)])


def _read(clip: Path, rule: PixelRule, count: int) -> list[npt.NDArray[Any]]:
    beside = find_mask_beside(clip)
    request = Request(masks=() if beside is None else (beside,))
    with open_reader(clip) as reader, closing(open_masks(request, reader.info)) as masks:
        crop = Crop(0, 0, reader.info.width, reader.info.height)
        frames: list[npt.NDArray[Any]] = []
        for frame in islice(reader, count):
            mask = masks.read(frame.index, reader.info.seconds(frame.pts))
            hole = None if mask is None else cover(mask, crop, rule, rule.dilate)
            frames.append(np.empty((3, rule.height, rule.width), np.float32))
            empty = np.zeros((rule.height, rule.width), np.bool_)
            normalise(shrink(frame, crop, rule), empty if hole is None else hole, rule, frames[-1])
    return frames
