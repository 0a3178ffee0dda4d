"""T-PatchGAN, the discriminator that STTN is trained against: six 3D convolutions over a clip, a score a patch.

Chang, Liu, Lee, Hsu, ICCV 2019, arXiv:1904.10247, with the layers of the published STTN (ECCV 2020).  State-dict keys
are the published ones, which are those of torch's classic spectral norm.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.initial import initialise

Normalised = Literal["published", "all"]

KERNEL = (3, 5, 5)
STRIDE = (1, 2, 2)
PADDING = (1, 2, 2)
FIRST_PADDING = (1, 1, 1)  # as published


class SpectralConv3d(nn.Module):
    """A 3D convolution whose kernel, as a matrix, has a largest singular value of about 1 (arXiv:1802.05957).

    Numerically `torch.nn.utils.spectral_norm`, one power iteration a training step, with its keys `weight_orig`,
    `weight_u` and `weight_v`.  Not that hook itself, because autocast on a GPU has matrix-vector products among what it
    does in half precision: here the norm is float32 whatever the convolution is.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, padding: tuple[int, int, int], *, biased: bool) -> None:
        super().__init__()
        self.padding = padding
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, *KERNEL))
        self.bias = nn.Parameter(torch.empty(outputs)) if biased else None
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(self.weight_orig[0].numel()), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, inputs, T, H, W]` -> `[B, outputs, T, about H/2, about W/2]`; in training the norm is refined first."""
        with torch.autocast(x.device.type, enabled=False):
            weight = self._normalised()
        return F.conv3d(x, weight, self.bias, STRIDE, self.padding)

    def _normalised(self) -> Tensor:
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0))
                self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0))
        # clones: a later forward changes the buffers in place, and this one's gradient still needs the values
        norm = torch.dot(self.weight_u.clone(), matrix @ self.weight_v.clone())
        return self.weight_orig / norm


class Discriminator(nn.Module):
    """Raw scores of clips; a sigmoid, where an objective wants one, is part of that objective.

    `channels` is the first layer's width, published 64.  `normalised`: "published" leaves the last layer without
    spectral norm, as the program does; "all" has it on all six, as the paper lists it.  `chained` joins the clips of a
    batch end to end in time, as the program does, whose convolutions then look across the joints.
    """

    def __init__(self, channels: int = 64, normalised: Normalised = "published", *, chained: bool = False) -> None:
        super().__init__()
        self.chained = chained
        widths = (3, channels, 2 * channels, 4 * channels, 4 * channels, 4 * channels)
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layers.append(SpectralConv3d(inputs, outputs, PADDING if index else FIRST_PADDING, biased=False))
            layers.append(nn.LeakyReLU(0.2))
        last = widths[-1]
        if normalised == "all":
            layers.append(SpectralConv3d(last, last, PADDING, biased=True))
        else:
            layers.append(nn.Conv3d(last, last, KERNEL, STRIDE, PADDING))
        self.conv = nn.Sequential(*layers)
        initialise(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips `[B, 3, T, H, W]` in [-1, 1], at least 3x3 -> scores `[B, T, 4*channels, about H/64, about W/64]`.

        Chained: `[1, B*T, 4*channels, about H/64, about W/64]`.  Scores have the clips' type, also under autocast.
        """
        if self.chained:
            clips = clips.transpose(0, 1).flatten(1, 2)[None]
        return self.conv(clips).transpose(1, 2).to(clips.dtype)
