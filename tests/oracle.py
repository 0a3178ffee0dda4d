"""The published test program of STTN, re-enacted: the PyTorch network, Pillow, and plain loops.

Written from the paper and the description of the released program alone; imports nothing of runtime or export, so that
it can judge both.  Whole clip in memory, every window in order, no cleverness.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from PIL import Image

NEIGHBOURS = 5
REFERENCE_STEP = 10
DILATIONS = 4

Picture = np.ndarray  # uint8 [H, W, 3]
Mask = np.ndarray  # uint8 [H, W], above zero in the hole


class Network(Protocol):
    """The parts of the published generator."""

    def encoder(self, frames: torch.Tensor) -> torch.Tensor: ...

    def infer(self, features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor: ...

    def decoder(self, features: torch.Tensor) -> torch.Tensor: ...


def dilated(mask: np.ndarray) -> np.ndarray:
    """A 3x3 cross, `DILATIONS` times; beyond the border there is no hole."""
    for _ in range(DILATIONS):
        padded = np.pad(mask, 1)
        mask = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask


@torch.no_grad()
def published(network: Network, clip: list[Picture], masks: list[Mask], width: int, height: int) -> list[Picture]:
    """The repaired clip at the network's size."""
    length = len(clip)
    frames = [np.array(Image.fromarray(picture).resize((width, height))) for picture in clip]
    holes = [
        dilated(np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)) > 0).astype(np.uint8)
        for mask in masks
    ]
    features = []
    for frame, hole in zip(frames, holes, strict=True):
        tensor = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 * 2 - 1
        features.append(network.encoder(tensor * (1 - torch.from_numpy(hole).float())))
    composed: list[np.ndarray | None] = [None] * length
    for centre in range(0, length, NEIGHBOURS):
        neighbours = [i for i in range(centre - NEIGHBOURS, centre + NEIGHBOURS + 1) if 0 <= i < length]
        references = [i for i in range(0, length, REFERENCE_STEP) if i not in neighbours]
        met = neighbours + references
        masked = torch.from_numpy(np.stack([holes[i] for i in met])).float()[:, None]
        completed = network.infer(torch.cat([features[i] for i in met]), masked)
        painted = (torch.tanh(network.decoder(completed[: len(neighbours)])) + 1) / 2
        pictures = painted.permute(0, 2, 3, 1).numpy() * 255
        for row, index in enumerate(neighbours):
            hole = holes[index][:, :, None]
            picture = pictures[row].astype(np.uint8) * hole + frames[index] * (1 - hole)
            before = composed[index]
            if before is None:
                composed[index] = picture
            else:
                composed[index] = before.astype(np.float32) * 0.5 + picture.astype(np.float32) * 0.5
    result: list[Picture] = []
    for index, stored in enumerate(composed):
        hole = holes[index][:, :, None]
        assert stored is not None
        result.append(stored.astype(np.uint8) * hole + frames[index] * (1 - hole))
    return result
