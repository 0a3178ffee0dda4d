"""What is evaluated: pictures without holes, and how they move."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np

from calib.clips import picture_of
from calib.motion import Motion, camera_move, estimated_motions
from runtime.errors import InputError
from runtime.frame import RGB
from runtime.pixels import rgb_at
from runtime.video import open_reader

MOST_MADE = 60  # frames of a made camera move: the longer its way, the more the picture must be enlarged


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures without holes, and how they move."""

    pictures: Sequence[RGB]  # uint8 [H, W, 3]
    motions: Sequence[Motion]  # into every picture but the first
    motion: str  # where the motions come from


@dataclass(frozen=True, slots=True)
class SceneKind:
    """A way to make a scene of a clip."""

    make: Callable[[Path, tuple[int, int], int], Scene]  # clip, width and height, frames at most
    most_frames: int  # whatever is asked for


def clip_scene(clip: Path, size: tuple[int, int], count: int) -> Scene:
    """The first `count` frames of a clip at `size`, width and height; its motion is estimated from them."""
    pictures = read_clip(clip, size, count)
    return Scene(pictures, list(estimated_motions(pictures)), "estimated")


def read_clip(clip: Path, size: tuple[int, int], count: int) -> list[RGB]:
    """The first `count` frames of a clip, upright, at `size`, width and height; raises `InputError`, also for none."""
    with open_reader(clip) as reader:
        turns = reader.info.turns
        lying = size[::-1] if turns % 2 else size
        pictures = [_upright(np.asarray(rgb_at(frame, *lying), np.uint8), turns) for frame in islice(reader, count)]
    if not pictures:
        raise InputError(f"{clip}: no frame in it; wanted a video")
    return pictures


def _upright(picture: RGB, turns: int) -> RGB:
    return np.ascontiguousarray(np.rot90(picture, turns))


def camera_scene(clip: Path, size: tuple[int, int], count: int) -> Scene:
    """A camera that moves over the first frame of a clip by a known step.

    As long as the clip, but at most `count` and `MOST_MADE` frames.
    """
    length = 0
    first: RGB | None = None
    with open_reader(clip) as reader:
        for frame in islice(reader, min(count, MOST_MADE)):
            first = _upright(picture_of(frame), reader.info.turns) if first is None else first
            length += 1
    if first is None:
        raise InputError(f"{clip}: no frame in it; wanted a video")
    pictures, motions = camera_move(first, size, length)
    return Scene(pictures, motions, "known")


SCENES: Mapping[str, SceneKind] = MappingProxyType(
    {"clip": SceneKind(clip_scene, sys.maxsize), "camera": SceneKind(camera_scene, MOST_MADE)}
)
