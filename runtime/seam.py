"""A fill that meets the picture around it without a step: what it is off at the rim of the hole moves all of it.

The difference at the rim is continued into the hole like a membrane that is spanned over it: Perez, Gangnet, Blake,
"Poisson Image Editing", SIGGRAPH 2003, eq. 4.  Not solved, but begun with averages over ever larger squares (pull-push:
Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4), with a few sweeps of the membrane's
equation at each size.  Why: docs/adr/0022.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from runtime.patch import Patch

Known = npt.NDArray[np.float32]  # [h, w, 4]: three differences times a weight of 0 to 1, then that weight

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)  # halving: the two samples under the new one, and one to each side
ENOUGH = 1 / 4  # of what is averaged: where so much is known, the average counts as known altogether
SWEEPS = 2  # of the membrane's equation, at each size
LITTLE = 1e-30  # stands for a weight of nothing, by which nothing is divided

_TAPS = np.array(TAPS, np.float32)
_BESIDE = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4  # the membrane: each sample its neighbours' mean


def seamless(patch: Patch) -> Patch:
    """The patch with its fill moved so that it continues the view; outside the hole it is the view.

    Without a pixel beside the hole nothing is known, and the patch stays as it is.  Every frame for itself: nothing is
    taken from its neighbours.
    """
    rim = cv2.dilate(patch.hole.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_) & ~patch.hole
    if not rim.any():
        return patch
    known = np.zeros((*rim.shape, 4), np.float32)
    known[rim, :3] = patch.view[rim].astype(np.float32) - patch.fill[rim]
    known[rim, 3] = 1
    moved = patch.fill[patch.hole] + _continued(known)[patch.hole]
    fill = patch.view.copy()
    fill[patch.hole] = np.clip(np.floor(moved + np.float32(0.5)), 0, 255).astype(np.uint8)
    return replace(patch, fill=fill)


def _continued(known: Known) -> npt.NDArray[np.float32]:
    """What is known where it is, and continued from there everywhere else, `[h, w, 3]`."""
    levels = [known]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halved(levels[-1]))
    mean = levels.pop()
    found = mean[..., :3] / mean[..., 3:]
    for level in reversed(levels):
        fixed, free = level[..., :3], 1 - level[..., 3:]
        found = fixed + free * cv2.resize(found, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        for _ in range(SWEEPS):
            found = fixed + free * cv2.filter2D(found, -1, _BESIDE, borderType=cv2.BORDER_REPLICATE)
    return found


def _halved(known: Known) -> Known:
    halved = cv2.sepFilter2D(known, -1, _TAPS, _TAPS, anchor=(1, 1), borderType=cv2.BORDER_CONSTANT)[::2, ::2]
    share = halved[..., 3:]
    weight = np.minimum(share / ENOUGH, 1) / np.maximum(share, LITTLE)
    return np.asarray(halved * weight, np.float32)
