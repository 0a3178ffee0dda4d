"""Predictions moved to continue the clip around their holes, as a run moves them; to be learnt through.

The same arithmetic as `runtime/seam.py`, which says where it is from, in float32 and without rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.seam import ENOUGH, LITTLE, SWEEPS, TAPS


def seamless(prediction: Tensor, clip: Tensor, mask: Tensor) -> Tensor:
    """The prediction, in each hole plus what it is off at the hole's rim, continued into it.

    `prediction` and `clip` are `[..., 3, H, W]`, `mask` is `[..., 1, H, W]` with 1 in the hole.  A frame without a
    pixel beside its hole stays as it is.  Nothing is cut to the pictures' range.
    """
    hole = mask.flatten(0, -4)
    rim = F.max_pool2d(hole, 3, stride=1, padding=1) * (1 - hole)
    off = (clip - prediction).flatten(0, -4)
    return prediction + (_continued(torch.cat([off * rim, rim], dim=1)) * hole).view_as(prediction)


def _continued(known: Tensor) -> Tensor:
    """Three differences times a weight of 0 to 1, and that weight, `[N, 4, h, w]` -> the differences everywhere."""
    levels = [known]
    while max(levels[-1].shape[-2:]) > 1:
        levels.append(_halved(levels[-1]))
    mean = levels.pop()
    found = mean[:, :3] / mean[:, 3:].clamp_min(LITTLE)
    for level in reversed(levels):
        fixed, free = level[:, :3], 1 - level[:, 3:]
        found = fixed + free * F.interpolate(found, size=level.shape[-2:], mode="bilinear", align_corners=False)
        for _ in range(SWEEPS):
            found = fixed + free * _mean_beside(found)
    return found


def _halved(known: Tensor) -> Tensor:
    frames, channels, height, width = known.shape
    taps = known.new_tensor(TAPS)
    padded = F.pad(known, (1, 1 + width % 2, 1, 1 + height % 2)).flatten(0, 1).unsqueeze(1)
    halved = F.conv2d(padded, torch.outer(taps, taps)[None, None], stride=2)
    halved = halved.view(frames, channels, *halved.shape[-2:])
    share = halved[:, 3:]
    return halved * ((share / ENOUGH).clamp_max(1) / share.clamp_min(LITTLE))


def _mean_beside(found: Tensor) -> Tensor:
    grown = F.pad(found, (1, 1, 1, 1), mode="replicate")
    upright = grown[..., :-2, 1:-1] + grown[..., 2:, 1:-1]
    return (upright + grown[..., 1:-1, :-2] + grown[..., 1:-1, 2:]) / 4
