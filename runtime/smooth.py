"""Less flicker in what was painted: a mean over neighbouring frames, along the motion around the hole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import RGB, Hole
from runtime.patch import Painted, Patch
from runtime.resize import Area

Samples = npt.NDArray[np.float32]

_TOLERATED = 24.0  # levels by which a neighbour may differ, over a neighbourhood, and still count for 61%
_NEIGHBOURHOOD = 9  # pixels of the network's picture, across
_MARGIN = 4  # pixels beside the hole where the flow, found by comparing squares of 8, already follows the fill


def smoothed(items: Iterable[Painted], radius: int) -> Iterator[Painted]:
    """The same frames, the fill of each one averaged with those of up to `radius` frames before and after it.

    Items are consecutive frames.  Neighbours count when they belong to the same shot and have a patch of the same
    crop; their picture is moved along the motion around the hole, and counts less where it does not match.  Only fill
    inside the hole changes.  `radius` 0 passes the items on as they are.  At most `2 radius + 1` frames are held.
    """
    if radius == 0:
        yield from items
        return
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    held: deque[Painted] = deque(maxlen=2 * radius + 1)
    waiting = 0  # frames of `held` that were not yielded yet
    for item in items:
        held.append(item)
        waiting += 1
        if waiting > radius:
            yield _smoothed_at(held, len(held) - waiting, radius, flow)
            waiting -= 1
    while waiting:
        yield _smoothed_at(held, len(held) - waiting, radius, flow)
        waiting -= 1


def _smoothed_at(held: deque[Painted], place: int, radius: int, flow: cv2.DISOpticalFlow) -> Painted:
    item = held[place]
    nearby = range(max(place - radius, 0), min(place + radius + 1, len(held)))
    others = [patch for k in nearby if k != place and held[k].shot == item.shot for patch in held[k].patches]
    patches = (_mean(patch, [other for other in others if other.crop == patch.crop], flow) for patch in item.patches)
    return replace(item, patches=tuple(patches))


def _mean(patch: Patch, others: list[Patch], flow: cv2.DISOpticalFlow) -> Patch:
    """The patch with its fill averaged; `others` show the same crop."""
    if not others:
        return patch
    area = _bounds(patch.hole, _NEIGHBOURHOOD // 2)
    box = np.s_[area.top : area.bottom, area.left : area.right]
    picture = _shown(patch)
    own = picture[box].astype(np.float32)
    total, weights = own.copy(), np.ones(own.shape[:2], np.float32)
    known = cv2.dilate(patch.hole.view(np.uint8), np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)) == 0
    for other in others:
        theirs = _shown(other)
        moved = _moved(theirs, _motion(picture, theirs, known, flow), area)
        weight = _likeness(moved, own)
        total += moved * weight[..., None]
        weights += weight
    mean = np.clip(np.floor(total / weights[..., None] + np.float32(0.5)), 0, 255)
    fill = patch.fill.copy()
    np.copyto(fill[box], mean, where=patch.hole[box][..., None], casting="unsafe")
    return replace(patch, fill=fill)


def _bounds(hole: Hole, grown: int) -> Area:
    """The smallest area that holds the hole, grown inside the picture."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return Area(
        max(int(columns[0]) - grown, 0),
        max(int(rows[0]) - grown, 0),
        min(int(columns[-1]) + 1 + grown, hole.shape[1]),
        min(int(rows[-1]) + 1 + grown, hole.shape[0]),
    )


def _shown(patch: Patch) -> RGB:
    """The repaired picture at the network's size."""
    return np.where(patch.hole[..., None], patch.fill, patch.view)


def _motion(picture: RGB, other: RGB, known: Hole, flow: cv2.DISOpticalFlow) -> Samples:
    """Where each pixel of `picture` lies in `other`, `[h, w, 2]` of pixels right and down.

    Where it is not `known` it is continued from around: what a network paints says little about how the scene moves.
    """
    grey, theirs = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (picture, other))
    motion = np.asarray(flow.calc(grey, theirs, np.zeros((*known.shape, 2), np.float32)), np.float32)
    return _continued(motion, known) if known.any() else motion


def _continued(motion: Samples, known: Hole) -> Samples:
    """`motion` where it is known, elsewhere a mean of what is known around: from ever coarser levels of a pyramid.

    Source: S. J. Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4 (pull-push).
    """
    weight = known.astype(np.float32)
    levels = [(motion * weight[..., None], weight)]
    while levels[-1][1].min() == 0:
        motion, weight = levels[-1]
        half = (-(-weight.shape[1] // 2), -(-weight.shape[0] // 2))
        levels.append((_scaled(motion, half, cv2.INTER_AREA), _scaled(weight, half, cv2.INTER_AREA)))
    motion, weight = levels.pop()
    motion = motion / weight[..., None]
    for finer, weight in reversed(levels):
        coarse = _scaled(motion, (weight.shape[1], weight.shape[0]), cv2.INTER_LINEAR)
        motion = np.asarray(finer + coarse * (1 - weight)[..., None], np.float32)
    return motion


def _scaled(samples: Samples, size: tuple[int, int], interpolation: int) -> Samples:
    return np.asarray(cv2.resize(samples, size, interpolation=interpolation), np.float32)


def _moved(picture: RGB, motion: Samples, area: Area) -> Samples:
    """`area` of a picture that shows at every pixel what `picture` shows where `motion` points to."""
    part = motion[area.top : area.bottom, area.left : area.right]
    x = part[..., 0] + np.arange(area.left, area.right, dtype=np.float32)
    y = part[..., 1] + np.arange(area.top, area.bottom, dtype=np.float32)[:, None]
    moved = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _likeness(moved: Samples, own: Samples) -> Samples:
    """1 where the neighbourhoods are equal, towards 0 the more they differ."""
    difference = np.abs(moved - own).mean(axis=2)
    local = np.asarray(cv2.blur(difference, (_NEIGHBOURHOOD, _NEIGHBOURHOOD)), np.float32)
    return np.exp(np.square(local / np.float32(_TOLERATED)) / np.float32(-2))
