"""Edges that stay put: how steadily each pixel of a clip has the same edge, whatever moves behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import Plane

Map = npt.NDArray[np.float32]  # [rows, columns]
Votes = npt.NDArray[np.float32]  # [planes * 2, rows, columns]: change across and down, plane by plane

# An edge votes with at most this many levels a pixel, so that one strong edge that passes by, or a title that is shown
# for a while, does not outvote a faint one that is always there.
STRONGEST_VOTE = np.float32(12)
NOISE = np.float32(0.5)  # levels; keeps flat areas from counting as steady
EDGE_LEVELS = 2.0  # of votes: less is no edge
PARTS = 4  # of the clip, one after the other; what stays put does so in each of them


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """A frame at the size of the search, 8 bits: luma, and chroma at half of that."""

    planes: tuple[Plane, ...]


@dataclass(frozen=True, slots=True)
class Steadiness:
    """What the votes of a clip come to, pixel by pixel."""

    steady: Map  # 1: the same edge in every frame; about 0: edges come and go.  Of the part where it is least so
    strength: Map  # levels a pixel of the mean vote
    busy: Map  # levels a pixel of votes, whichever way they point
    varied: Map  # standard deviation of luma over time, levels
    across: Map  # the mean vote's tensor: squares of changes across,
    down: Map  # of changes down,
    mixed: Map  # and their products


def measure(pictures: Sequence[SmallPicture]) -> Steadiness:
    """Count votes over at least `PARTS` pictures of one size, in the order of time.

    The vote of a picture is its gradient in luma and chroma, capped in length.  Where edges come and go votes cancel;
    where one stays they add up.  `steady` is what a part's votes amount to along the clip's mean vote, over the sum of
    their lengths.  The idea is that of Dekel et al., "On the Effectiveness of Visible Watermarks" (CVPR 2017), who take
    the median gradient of pictures that share a watermark.
    """
    bounds = [len(pictures) * part // PARTS for part in range(PARTS + 1)]
    counts = [_count(pictures[first:last]) for first, last in pairwise(bounds)]
    mean = cast(Votes, np.mean([votes for votes, _ in counts], axis=0))
    strength = cast(Map, np.sqrt(np.square(mean).sum(axis=0)))
    direction = mean / np.maximum(strength, np.float32(1e-3))
    along = ((votes * direction).sum(axis=0) / (lengths + NOISE) for votes, lengths in counts)
    return Steadiness(
        steady=np.minimum.reduce(list(along)),
        strength=strength,
        busy=cast(Map, np.mean([lengths for _, lengths in counts], axis=0)),
        varied=_deviation([picture.planes[0] for picture in pictures]),
        across=np.square(mean[0::2]).sum(axis=0),
        down=np.square(mean[1::2]).sum(axis=0),
        mixed=(mean[0::2] * mean[1::2]).sum(axis=0),
    )


def _count(pictures: Sequence[SmallPicture]) -> tuple[Votes, Map]:
    """Means over `pictures` of their votes, and of the votes' lengths."""
    votes = np.zeros((2 * len(pictures[0].planes), *pictures[0].planes[0].shape), np.float32)
    lengths = np.zeros(votes.shape[1:], np.float32)
    for picture in pictures:
        gradient = _gradient(picture)
        length = np.sqrt(np.square(gradient).sum(axis=0))
        gradient *= np.minimum(np.float32(1), STRONGEST_VOTE / np.maximum(length, np.float32(1e-3)))
        votes += gradient
        lengths += np.minimum(length, STRONGEST_VOTE)
    return votes / np.float32(len(pictures)), lengths / np.float32(len(pictures))


def _gradient(picture: SmallPicture) -> Votes:
    rows, columns = picture.planes[0].shape
    gradient = np.empty((2 * len(picture.planes), rows, columns), np.float32)
    for number, plane in enumerate(picture.planes):
        samples = plane.astype(np.float32)
        if samples.shape != (rows, columns):
            samples = cast(Map, cv2.resize(samples, (columns, rows), interpolation=cv2.INTER_LINEAR))
        gradient[2 * number] = cv2.Sobel(samples, cv2.CV_32F, 1, 0, ksize=3, scale=0.25)
        gradient[2 * number + 1] = cv2.Sobel(samples, cv2.CV_32F, 0, 1, ksize=3, scale=0.25)
    return gradient


def _deviation(planes: Sequence[Plane]) -> Map:
    total = np.zeros(planes[0].shape, np.float32)
    squares = np.zeros(planes[0].shape, np.float32)
    for plane in planes:
        samples = plane.astype(np.float32)
        total += samples
        squares += samples * samples
    mean = total / np.float32(len(planes))
    return np.sqrt(np.maximum(squares / np.float32(len(planes)) - mean * mean, 0))
