"""Which holes a clip is evaluated under: its own, another clip's, still shapes, moving shapes."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from calib.random_masks import random_masks
from runtime.errors import UsageError
from runtime.frame import Hole
from runtime.holes import spread
from runtime.masks import Request, find_mask_beside, open_masks
from runtime.plural import plural
from runtime.video import probe

DILATIONS = 4  # by a 3x3 cross, of every mask, as the field's evaluation programs have it


@dataclass(frozen=True, slots=True)
class Wanted:
    """For what holes are wanted."""

    clip: Path
    lender: Path  # the clip whose masks are borrowed where they are another's
    frames: int
    width: int
    height: int
    seed: int


MaskSet = Callable[[Wanted], list[Hole]]


def own(wanted: Wanted) -> list[Hole]:
    """The masks that lie beside the clip: what they mark is what has to be painted anew."""
    holes = _beside(wanted.clip, wanted)
    if len(holes) < wanted.frames:
        found, frames = plural(len(holes), "mask"), plural(wanted.frames, "frame")
        raise UsageError(f"{wanted.clip}: {found} beside it for {frames}; wanted one a frame")
    return holes


def other(wanted: Wanted) -> list[Hole]:
    """The masks that lie beside another clip, from its beginning again where it is the shorter one."""
    holes = _beside(wanted.lender, wanted)
    return [holes[index % len(holes)] for index in range(wanted.frames)]


def stationary(wanted: Wanted) -> list[Hole]:
    """One random shape that stays where it is."""
    return list(random_masks(_generator(wanted, 0), 1, wanted.width, wanted.height)) * wanted.frames


def moving(wanted: Wanted) -> list[Hole]:
    """One random shape that moves or stays, as in training."""
    return list(random_masks(_generator(wanted, 1), wanted.frames, wanted.width, wanted.height))


MASK_SETS: Mapping[str, MaskSet] = MappingProxyType(
    {"own": own, "other": other, "stationary": stationary, "random": moving}
)


def check_masks(names: Sequence[str], clips: Sequence[Path]) -> None:
    """Raises `UsageError` where it is plain, before any work, that a clip cannot get the masks of these sets."""
    for name in names:
        if MASK_SETS[name] is other and len(clips) == 1:
            raise UsageError(f"--masks {name}: {clips[0]} is the only clip; name a second one, or take other masks")
        if MASK_SETS[name] in (own, other):
            for clip in clips:
                _find(clip)


def holes_of(name: str, wanted: Wanted) -> list[Hole]:
    """The holes `[H, W]` of the mask set called `name`, one a frame, dilated.

    Every set but `other` depends on the clip, its size and length, and the seed alone: neither on the other clips nor
    on their order.  Raises `UsageError` when masks are not there or empty in all frames, `InputError` when they cannot
    be read.
    """
    holes = [_dilated(hole) for hole in MASK_SETS[name](wanted)]
    if not any(hole.any() for hole in holes):
        raise UsageError(
            f"--masks {name}: empty in all {len(holes)} frames of {wanted.clip}; take other masks or frames"
        )
    return holes


def _beside(clip: Path, wanted: Wanted) -> list[Hole]:
    """At most `wanted.frames` masks from beside `clip`, upright; a pixel takes the one nearest its centre."""
    info = probe(clip)
    with closing(open_masks(Request(masks=(_find(clip),)), info)) as masks:
        count = wanted.frames if masks.frames is None else min(wanted.frames, masks.frames)
        found = [masks.read(index, 0.0) for index in range(count)]  # only boxes have times
    empty = np.zeros((wanted.height, wanted.width), np.bool_)
    size = wanted.width, wanted.height
    return [empty if hole is None else spread(np.rot90(hole, info.turns), *size) for hole in found]


def _find(clip: Path) -> Path:
    beside = find_mask_beside(clip)
    if beside is None:
        raise UsageError(f"{clip}: no mask beside it; wanted {clip.stem}_mask/, {clip.stem}_mask.png or .mp4")
    return beside


def _generator(wanted: Wanted, stream: int) -> np.random.Generator:
    """Seeded by the seed and the clip's name, so that a clip's masks do not depend on which others are evaluated."""
    return np.random.default_rng([wanted.seed, zlib.crc32(os.fsencode(wanted.clip.stem)), stream])


def _dilated(hole: Hole) -> Hole:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return cv2.dilate(hole.astype(np.uint8), cross, iterations=DILATIONS) > 0
