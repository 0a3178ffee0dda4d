"""Quality metrics by the field's conventions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from runtime.frame import RGB, Hole

PEAK = 255.0
EQUAL_DB = 100.0  # what stands for infinity, as in the field's evaluation code


def psnr(found: RGB, truth: RGB) -> float:
    """Peak signal-to-noise ratio of one picture in dB, over all samples; uint8 `[H, W, 3]` both.

    `EQUAL_DB` where nothing differs.  Raises `ValueError` when the shapes differ.
    """
    return _db(_squared_error(found, truth).mean())


def psnr_in_hole(found: Iterable[RGB], truth: Iterable[RGB], holes: Iterable[Hole]) -> float:
    """Peak signal-to-noise ratio of a clip in dB, over the samples inside its holes.

    Squared errors of all frames' hole samples are pooled before the logarithm, so that a frame counts as much as its
    hole is large.  Pictures uint8 `[H, W, 3]`, holes `[H, W]`.  Raises `ValueError` when no frame has a hole, or the
    iterables differ in length or shape.
    """
    total = 0.0
    samples = 0
    for picture, wanted, hole in zip(found, truth, holes, strict=True):
        inside = _squared_error(picture, wanted)[hole]
        total += float(inside.sum())
        samples += inside.size
    if not samples:
        raise ValueError("no frame has a hole")
    return _db(total / samples)


def warping_error(found: Iterable[RGB], motions: Iterable[npt.NDArray[np.float32]], holes: Iterable[Hole]) -> float:
    """How much a clip flickers inside its holes: the root mean square, in levels, of what the motion does not explain.

    Every picture but the first is compared with the one before it, moved.  `motions[t]`, `[H, W, 2]`, says how many
    pixels right and down what picture `t + 1` shows lay in picture `t`; pixels that come from outside it do not count.
    Pictures uint8 `[H, W, 3]`, holes `[H, W]` one a picture.  NaN when no pixel counts.  Raises `ValueError` when the
    iterables differ in length.  Source: W.-S. Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018,
    section 4.
    """
    total, samples = 0.0, 0
    later = iter(holes)
    next(later, None)
    for (before, now), motion, hole in zip(pairwise(found), motions, later, strict=True):
        x = motion[..., 0] + np.arange(now.shape[1], dtype=np.float32)
        y = motion[..., 1] + np.arange(now.shape[0], dtype=np.float32)[:, None]
        # beyond the border lies the border itself: cubic interpolation reads a pixel further than what is counted
        source = before.astype(np.float32)
        moved = np.asarray(cv2.remap(source, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float64)
        counted = hole & (x >= 0) & (y >= 0) & (x <= now.shape[1] - 1) & (y <= now.shape[0] - 1)
        inside = (moved[counted] - now[counted]) ** 2
        total += float(inside.sum())
        samples += inside.size
    return math.sqrt(total / samples) if samples else math.nan


def frechet_distance(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Squared Frechet distance of two sets of features, each taken for a Gaussian; `[N, F]` and `[M, F]`, N, M >= 2.

    `|m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2))` with the means and the unbiased covariances.  Written with the centred
    sets A and B, `S1 = A'A` and `S2 = B'B`: the trace of the root is the sum of the singular values of `A B'`, which
    are N by M numbers.  So nothing is inverted or rooted, and fewer clips than features do no harm.  Raises
    `ValueError` when a set has fewer than two members or the features differ in number.  Source: D. C. Dowson and
    B. V. Landau, "The Frechet distance between multivariate normal distributions", 1982.
    """
    if first.shape[1:] != second.shape[1:] or first.ndim != 2 or min(len(first), len(second)) < 2:
        raise ValueError(f"features of {first.shape} and {second.shape}: wanted two or more vectors of one length each")
    a, b = _centred(first), _centred(second)
    apart = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    distance = apart @ apart + (a * a).sum() + (b * b).sum() - 2 * shared
    return max(0.0, float(distance))  # rounding may leave equal sets just below


def _centred(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    exact = features.astype(np.float64)
    return (exact - exact.mean(axis=0)) / math.sqrt(len(exact) - 1)


def _squared_error(found: RGB, truth: RGB) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if found.shape != truth.shape:
        raise ValueError(f"pictures of {found.shape} and {truth.shape} cannot be compared")
    return (found.astype(np.float64) - truth) ** 2


def _db(mean_squared_error: float) -> float:
    return EQUAL_DB if mean_squared_error == 0 else 10 * math.log10(PEAK**2 / mean_squared_error)
