"""How well the averaged weights fill holes of held-out clips."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import torch
from torch import Tensor, nn

from calib.metrics import psnr_in_hole
from models._spec import Size
from training.config import Config, Speed
from training.losses import composite
from training.networks import view_of
from training.precision import autocast
from training.sample import Batch
from training.seam import seamless
from training.sheet import levels


def measure(config: Config, average: dict[str, Tensor], size: Size, batches: Iterable[Batch]) -> float:
    """Mean over the samples of the peak signal-to-noise ratio in dB inside their holes, at 8 bits.

    `average` is the state of a generator; the samples are of `size`.  Where the objective moves fills, so does this.
    """
    network = view_of(average, config.model, size, config.patches_at(size))
    device = next(iter(average.values())).device
    found: list[float] = []
    for batch in batches:
        frames, masks = batch.on(device)
        prediction = restore(network, frames, masks, config.speed)
        if config.objective.seamless:
            prediction = seamless(prediction, frames, masks)
        restored = levels(composite(prediction, frames, masks)[0])
        truth, hole = batch.levels[0].movedim(1, -1).numpy(), batch.holes[0, :, 0].numpy()
        found.append(psnr_in_hole(restored, truth, hole))
    return fmean(found)


def restore(network: nn.Module, frames: Tensor, masks: Tensor, speed: Speed) -> Tensor:
    """What the network makes of clips `[B, T, 3, H, W]` with their holes blanked, `[B, T, 1, H, W]`; as the clips."""
    with torch.inference_mode(), autocast(speed, frames.device):
        return network(frames * (1 - masks), masks).float().view_as(frames)
