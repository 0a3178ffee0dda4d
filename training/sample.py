"""What training is fed: one clip with its holes, and several of them as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from models._spec import Size
from runtime.errors import InputError

Frames = npt.NDArray[np.uint8]  # [T, H, W, 3], red first
Holes = npt.NDArray[np.bool_]  # [T, H, W], True = hole


class BrokenSample(InputError):
    """A candidate for a sample that cannot be used; training skips it, counts it and says so."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Frames that a source gave."""

    frames: Frames
    indices: tuple[int, ...]  # which of the clip's frames they are, ascending
    length: int  # frames of the clip


class ClipSource(Protocol):
    """Clips that samples are drawn from; can be pickled, and opens its files in the process that draws."""

    def __len__(self) -> int:
        """How many clips there are to draw from."""
        ...

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        """`frames` frames of a random clip at `size`; raises `BrokenSample` where that clip cannot give them."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """A few frames of one clip, what is hidden of them, and what went wrong before they were found."""

    frames: Frames
    holes: Holes
    skipped: tuple[str, ...]  # one line each: what was broken on the way to this sample


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples as the network takes them."""

    frames: torch.Tensor  # float32 [B, T, 3, H, W] in [-1, 1]
    masks: torch.Tensor  # float32 [B, T, 1, H, W] in {0, 1}, 1 = hole
    skipped: tuple[str, ...]  # of all its samples

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which a copy to the GPU can overlap with work there."""
        return Batch(self.frames.pin_memory(), self.masks.pin_memory(), self.skipped)


def batched(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as tensors; levels 0 to 255 become -1 to 1."""
    levels = torch.from_numpy(np.stack([sample.frames for sample in samples]))
    # Turned around while they are bytes, then scaled in place: the same floats as level / 255 * 2 - 1, sooner.
    frames = levels.permute(0, 1, 4, 2, 3).contiguous().float().div_(127.5).sub_(1)
    masks = torch.from_numpy(np.stack([sample.holes for sample in samples])).unsqueeze(2).float()
    return Batch(frames, masks, tuple(line for sample in samples for line in sample.skipped))
