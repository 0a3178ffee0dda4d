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
    """Samples as bytes, a quarter of what the network takes, until they are on its device."""

    levels: torch.Tensor  # uint8 [B, T, 3, H, W]
    holes: torch.Tensor  # bool [B, T, 1, H, W], True = hole
    skipped: tuple[str, ...]  # of all its samples

    def on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames, float32 in [-1, 1], and masks, float32 in {0, 1}, of the shapes of levels and holes."""
        levels, holes = (each.to(device, non_blocking=True) for each in (self.levels, self.holes))
        return levels.float().div_(127.5).sub_(1), holes.float()


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch on its way from the process that made it, as arrays, which go through a pipe.

    PyTorch would put tensors into shared memory, of which containers have little; where it is full, the run would wait
    for ever.
    """

    levels: npt.NDArray[np.uint8]
    holes: npt.NDArray[np.bool_]
    skipped: tuple[str, ...]

    def unpacked(self) -> Batch:
        """The same memory as tensors."""
        return Batch(torch.from_numpy(self.levels), torch.from_numpy(self.holes), self.skipped)

    def pin_memory(self) -> Batch:
        """In page-locked memory, from which a copy to the GPU can overlap with work there; called by the loader."""
        batch = self.unpacked()
        return Batch(batch.levels.pin_memory(), batch.holes.pin_memory(), batch.skipped)


def packed(samples: Sequence[Sample]) -> Packed:
    """Samples of one size, channels first."""
    levels = np.ascontiguousarray(np.stack([sample.frames for sample in samples]).transpose(0, 1, 4, 2, 3))
    holes = np.stack([sample.holes for sample in samples])[:, :, None]
    return Packed(levels, holes, tuple(line for sample in samples for line in sample.skipped))


def batched(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as tensors."""
    return packed(samples).unpacked()
