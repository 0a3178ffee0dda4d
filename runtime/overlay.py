"""A static overlay (a logo, burned-in text) found by what stays put while the picture moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from runtime._overlay.edges import EDGE_LEVELS, SmallPicture, Steadiness, measure
from runtime._overlay.shapes import Shapes, find_shapes
from runtime.errors import Unsure
from runtime.frame import Frame, Hole, Plane
from runtime.glimpse import glimpse
from runtime.video import VideoInfo

WIDEST = 854  # columns or rows of the pictures that are searched; larger frames are shrunk, smaller ones are not
MOST_PICTURES = 96  # that are kept, spread over the clip; half as many at least where it has them
LEAST_PICTURES = 32  # fewer do not tell an overlay from what a camera follows for as long as that takes
DIFFERENT = 2.0  # levels that a picture has to differ from the one before to count, in the mean over a coarse grid
COARSE = (32, 18)
STEADIER = 80  # percent of edges are less steady than the clip's level; an overlay has fewer than the rest
MOVES = 0.12  # the level of a clip that moves; below SURE by far, or what stays by chance would be taken for an overlay
MOST_COVERED = 0.25  # of the picture; no overlay is larger


Coarse = npt.NDArray[np.float32]  # [rows, columns, 3]


@dataclass(frozen=True, slots=True)
class Overlay:
    """What lies over the picture all the time."""

    hole: Hole  # [H, W] in the orientation that the viewer sees
    confidence: float  # mean steadiness of its edges: 0.5 is faint or small, 1 opaque
    pictures: int  # that were compared, all different


def find_overlay(frames: Iterable[Frame], info: VideoInfo) -> Overlay:
    """Search `frames`, all of a clip or some from all over it, in order; they are read once, and few of them kept.

    Raises `Unsure` when the picture stands still, there are too few frames, nothing stays put, or too much does.
    """
    pictures = _spread(frames)
    shapes = _search(pictures, info)
    size = (info.width, info.height)
    mask = cv2.resize(shapes.hole.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0
    if np.count_nonzero(mask) > MOST_COVERED * mask.size:
        share = np.count_nonzero(mask) / mask.size
        raise Unsure(f"{info.path}: {share:.0%} of the picture stays put, which is much for an overlay; {_remedy()}")
    return Overlay(np.ascontiguousarray(np.rot90(mask, info.turns)), shapes.confidence, len(pictures))


def _search(pictures: list[SmallPicture], info: VideoInfo) -> Shapes:
    if len(pictures) < LEAST_PICTURES:
        raise Unsure(
            f"{info.path}: {len(pictures)} different frames are too few to tell an overlay from the picture, wanted "
            f"{LEAST_PICTURES}; {_remedy()}"
        )
    clip = measure(pictures)
    if _level(clip) > MOVES:
        raise Unsure(f"{info.path}: the picture hardly moves, which hides what lies over it; {_remedy()}")
    shapes = find_shapes(clip)
    if shapes is None:
        raise Unsure(f"{info.path}: no overlay was found, nothing stays put while the picture moves; {_remedy()}")
    return shapes


def _level(clip: Steadiness) -> float:
    """How steady edges are that are no overlay's; 1 where there are none to tell by."""
    edges = clip.steady[clip.busy > EDGE_LEVELS]
    return float(np.percentile(edges, STEADIER)) if edges.size else 1.0


def _remedy() -> str:
    return "mark it with --mask or --box"


def _spread(frames: Iterable[Frame]) -> list[SmallPicture]:
    """Between half and all of `MOST_PICTURES` pictures, evenly spread over those of the frames that differ."""
    kept: list[SmallPicture] = []
    step, number = 1, 0
    before: Coarse | None = None
    for frame in frames:
        coarse = _coarse(frame)
        if before is not None and float(np.abs(coarse - before).mean()) < DIFFERENT:
            continue  # it would vote as the one before did, and be no evidence
        before = coarse
        if number % step == 0:
            kept.append(_shrink(frame))
        number += 1
        if len(kept) == MOST_PICTURES:
            kept = kept[::2]
            step *= 2
    return kept


def _coarse(frame: Frame) -> Coarse:
    return glimpse(frame, *COARSE).astype(np.float32)


def _shrink(frame: Frame) -> SmallPicture:
    scale = min(1.0, WIDEST / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    sizes = ((width, height), *[((width + 1) // 2, (height + 1) // 2)] * (len(frame.planes) - 1))
    shift = frame.layout.bits - 8
    return SmallPicture(tuple(_resize(plane, size, shift) for plane, size in zip(frame.planes, sizes, strict=True)))


def _resize(plane: Plane, size: tuple[int, int], shift: int) -> Plane:
    small = cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
    return (small >> shift).astype(np.uint8)
