"""One line of the evaluation: one way to fill one clip under one set of masks, and what it measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calib.evaluation.features import Features
from calib.evaluation.scene import Scene
from calib.metrics import frechet_distance, psnr, psnr_in_hole, warping_error
from calib.similarity import similarity
from runtime.frame import RGB, Hole

TRUTH = "truth"  # the method that changes nothing: its warping error is the floor of the others'


class Group(NamedTuple):
    """What rows may be averaged over: the same scene, masks and method, on different clips."""

    scene: str
    motion: str  # where the motion of the warping error comes from
    masks: str
    method: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; None where there is nothing to measure."""

    psnr_db: float | None  # of whole frames, their mean
    ssim: float | None  # of whole frames, their mean
    hole_psnr_db: float | None  # of all samples in holes, pooled over the clip
    hole_ssim: float | None  # the same of the map of similarity
    warping_levels: float | None  # root mean square in holes; None where nothing there can be seen twice
    vfid: float | None = None  # of a group of clips


@dataclass(frozen=True, slots=True)
class Row:
    """One way to fill one clip."""

    clip: str
    group: Group
    frames: int
    hole_share: float  # of all samples
    figures: Figures
    features: Features | None  # [F], what the video network says of the result; None: there is no such network


@dataclass(frozen=True, slots=True)
class Mean:
    """Rows of one group, averaged."""

    group: Group
    clips: int
    frames: int
    figures: Figures


def truth_figures(scene: Scene, holes: Sequence[Hole]) -> Figures:
    """The warping error that is left where nothing is wrong: of the motion and of interpolation."""
    return Figures(None, None, None, None, _warping(scene.pictures, scene, holes))


def measure(found: Sequence[RGB], scene: Scene, holes: Sequence[Hole]) -> Figures:
    """The figures of a filled clip against its truth; uint8 pictures `[H, W, 3]`, holes `[H, W]`, some not empty."""
    alike = similarity(found, scene.pictures, holes)
    return Figures(
        psnr_db=float(np.mean([psnr(picture, truth) for picture, truth in zip(found, scene.pictures, strict=True)])),
        ssim=alike.whole,
        hole_psnr_db=psnr_in_hole(found, scene.pictures, holes),
        hole_ssim=alike.hole,
        warping_levels=_warping(found, scene, holes),
    )


def means(rows: Sequence[Row]) -> Iterator[Mean]:
    """The mean of every group, in the order of their first rows.

    PSNR and SSIM of whole frames are means over all frames of all clips, as the field has them; in the hole every clip
    counts alike.  Where any clip of the group lacks a figure the mean is over the others.
    """
    for group in dict.fromkeys(row.group for row in rows):
        mine = [row for row in rows if row.group == group]
        by_frames = [row.frames for row in mine]
        alike = [1] * len(mine)
        yield Mean(
            group=group,
            clips=len(mine),
            frames=sum(by_frames),
            figures=Figures(
                psnr_db=_mean(mine, by_frames, lambda figures: figures.psnr_db),
                ssim=_mean(mine, by_frames, lambda figures: figures.ssim),
                hole_psnr_db=_mean(mine, alike, lambda figures: figures.hole_psnr_db),
                hole_ssim=_mean(mine, alike, lambda figures: figures.hole_ssim),
                warping_levels=_mean(mine, alike, lambda figures: figures.warping_levels),
                vfid=_vfid(mine, [row for row in rows if row.group == group._replace(method=TRUTH)]),
            ),
        )


def _warping(found: Sequence[RGB], scene: Scene, holes: Sequence[Hole]) -> float | None:
    seen = [hole & motion.visible for hole, motion in zip(holes[1:], scene.motions, strict=True)]
    error = warping_error(found, (motion.flow for motion in scene.motions), [holes[0], *seen])
    return None if math.isnan(error) else error


def _mean(rows: Iterable[Row], weights: Iterable[int], figure: Callable[[Figures], float | None]) -> float | None:
    total = weight = 0.0
    for row, each in zip(rows, weights, strict=True):
        value = figure(row.figures)
        if value is not None:
            total += each * value
            weight += each
    return total / weight if weight else None


def _vfid(rows: Sequence[Row], truth: Sequence[Row]) -> float | None:
    """The distance of a group's features from the truth's; it takes two clips."""
    mine = [row.features for row in rows if row.features is not None]
    theirs = [row.features for row in truth if row.features is not None]
    if len(mine) < 2 or len(theirs) < 2:
        return None
    return frechet_distance(np.stack(mine), np.stack(theirs))
