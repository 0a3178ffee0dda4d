"""Clips with the masks that lie beside them, read whole for a measurement."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import numpy as np

from runtime.bundle import PixelRule
from runtime.errors import UsageError
from runtime.frame import RGB, Colour, Frame, Hole, Layout, Masked
from runtime.holes import cover, spread
from runtime.masks import Request, find_mask_beside, open_masks
from runtime.patch import Crop
from runtime.pixels import rgb_at
from runtime.regions import Region
from runtime.stills import Pose, still
from runtime.video import open_reader

_PLANAR_RGB, _SRGB = Layout("rgb", 8, 0, 0), Colour(matrix=0, primaries=1, transfer=13, full_range=True)
_UNBOUNDED = 1 << 16  # pixels, longer than the sides of any picture that is read


def read_masked(video: Path) -> Generator[Masked, None, None]:
    """Frames with the masks that lie beside the video, as one scene; raises `InputError`, `UsageError`."""
    beside = find_mask_beside(video)
    if beside is None:
        raise UsageError(f"{video}: no mask beside it; wanted {video.stem}_mask/, {video.stem}_mask.png or .mp4")
    with open_reader(video) as reader, closing(open_masks(Request(masks=(beside,)), reader.info)) as masks:
        for frame in reader:
            yield Masked(frame, masks.read(frame.index, reader.info.seconds(frame.pts)))


def read_pictures(video: Path) -> Generator[RGB, None, None]:
    """The frames of a video as a viewer sees them: upright, in shape, RGB `[H, W, 3]`; raises `InputError`."""
    with open_reader(video) as reader:
        pose = Pose(reader.info.turns, reader.info.sample_aspect)
        for frame in reader:
            yield still(frame, pose, _UNBOUNDED)


def count_frames(video: Path) -> int | None:
    """How many frames the container says there are, None where it does not say; raises `InputError`."""
    with open_reader(video) as reader:
        return reader.info.frames


def mask_of(masked: Masked) -> Hole:
    """The mask of a frame, `[H, W]`, empty where it has none."""
    frame = masked.frame
    return np.zeros((frame.height, frame.width), np.bool_) if masked.hole is None else masked.hole


def picture_of(frame: Frame) -> RGB:
    """The frame as RGB, `[H, W, 3]`, at its own size."""
    return np.asarray(rgb_at(frame, frame.width, frame.height), np.uint8)


def frame_of(picture: RGB, index: int) -> Frame:
    """The picture, `[H, W, 3]`, as frame `index` of a clip, without loss."""
    planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
    return Frame(index, index, planes, _PLANAR_RGB, _SRGB)


def whole_frame(frame: Frame) -> Region:
    """The one region that holds all of a frame like this one."""
    return Region(Crop(0, 0, frame.width, frame.height))


def replaced_in_whole(masked: Masked, rule: PixelRule) -> Hole:
    """What is replaced, `[H, W]`, where the network sees the whole frame at once."""
    frame = masked.frame
    covered = None if masked.hole is None else cover(masked.hole, whole_frame(frame).crop, rule, rule.dilate)
    return mask_of(masked) if covered is None else spread(covered, frame.width, frame.height)
