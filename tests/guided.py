"""Clips with holes for tests of where attention should look."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.tiny import SIZE


def pictures(clips: int, frames: int, seed: int = 0) -> Tensor:
    """Noise `[clips, frames, 3, H, W]` in [-1, 1] at the tiny network's size."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(clips, frames, 3, SIZE.height, SIZE.width, generator=generator) * 2 - 1


def boxes(clips: int, frames: int) -> Tensor:
    """A hole in every frame, elsewhere in each, at places that no patch fits."""
    masks = torch.zeros(clips, frames, 1, SIZE.height, SIZE.width)
    for clip in range(clips):
        for frame in range(frames):
            left = 6 + 21 * frame + 5 * clip
            masks[clip, frame, 0, 7:31, left : left + 26] = 1
    return masks
