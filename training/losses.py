"""What training minimises: the difference from the clip, in the hole and beside it, and what a discriminator thinks.

Zeng, Fu, Chao, ECCV 2020, arXiv:2007.10247, section 3.3; constants and orders as in the published program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from training.seam import seamless


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Mean absolute differences from the clip, each over the part of the picture that it is about; scalars."""

    hole: Tensor
    valid: Tensor


def reconstruction(
    prediction: Tensor,
    clip: Tensor,
    mask: Tensor,
    hole_share: Tensor | None = None,
    *,
    squared: float = 0.0,
    moved: float = 0.0,
) -> Reconstruction:
    """L1 in the hole and beside it (paper, eq. 7 and 8): `|(P-Y)M| / mean(M)` and `|(P-Y)(1-M)| / mean(1-M)`.

    `|.|` is the mean over all elements.  `prediction` and `clip` are `[..., 3, H, W]` in [-1, 1], `mask` is
    `[..., 1, H, W]` with 1 in the hole; a part that is nowhere in the batch costs 0.  `hole_share` stands for mean(M)
    where several processes share a batch: given the mean of all their masks, the mean of their losses is the loss of
    the whole batch.  `squared` (ours), 0 to 1, is the share of the hole's loss that takes `(P-Y)^2` for `|P-Y|`: its
    best guess is the mean of what may be there, not the median.  `moved` (ours), 0 to 1, is the share that is of the
    prediction after `seamless`.  Raises `ValueError` when the shapes do not fit, instead of broadcasting one over
    another.
    """
    _same_frames(prediction, clip, mask)
    difference = (prediction - clip).abs()
    in_hole = _cost(difference, squared)
    if moved:
        in_hole = torch.lerp(in_hole, _cost((seamless(prediction, clip, mask) - clip).abs(), squared), moved)
    least = 1 / mask.numel()  # a single pixel's share: below it lies only an empty part, whose numerator is 0 too
    share = mask.mean() if hole_share is None else hole_share
    return Reconstruction(
        hole=(in_hole * mask).mean() / share.clamp_min(least),
        valid=(difference * (1 - mask)).mean() / (1 - share).clamp_min(least),
    )


def _cost(difference: Tensor, squared: float) -> Tensor:
    return torch.lerp(difference, difference.square(), squared) if squared else difference


def composite(prediction: Tensor, clip: Tensor, mask: Tensor) -> Tensor:
    """The prediction in the hole, the clip beside it: `P M + Y (1-M)`; shapes and errors as in `reconstruction`."""
    _same_frames(prediction, clip, mask)
    return prediction * mask + clip * (1 - mask)


def _same_frames(prediction: Tensor, clip: Tensor, mask: Tensor) -> None:
    wanted = (*clip.shape[:-3], 1, *clip.shape[-2:])
    if prediction.shape != clip.shape or mask.shape != wanted:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and mask {tuple(mask.shape)} over a clip {tuple(clip.shape)}; "
            f"wanted {tuple(clip.shape)} and {wanted}"
        )


class Adversarial(Protocol):
    """A game between two networks; both losses are scalars over raw scores of any shape, before any sigmoid."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises, given its scores of clips and of composites."""
        ...

    def generator(self, fake: Tensor) -> Tensor:
        """What the generator minimises, given the scores of its composites."""
        ...


class Hinge:
    """The published default (paper, eq. 9 and 10): scores are pushed past 1 and -1, and no further."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """`(mean relu(1 - D(Y)) + mean relu(1 + D(C))) / 2`."""
        return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """`-mean D(C)`."""
        return -fake.mean()


class LeastSquares:
    """Squared distance of the score's sigmoid from 1 for a clip, from 0 for a composite."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """`(mean (s(D(Y)) - 1)^2 + mean s(D(C))^2) / 2`."""
        return ((real.sigmoid() - 1).square().mean() + fake.sigmoid().square().mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """`mean (s(D(C)) - 1)^2`."""
        return (fake.sigmoid() - 1).square().mean()


class NonSaturating:
    """Cross-entropy of the score's sigmoid; `softplus` is its logarithm without the overflow: -log s(x) = sp(-x)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """`-(mean log s(D(Y)) + mean log(1 - s(D(C)))) / 2`."""
        return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        """`-mean log s(D(C))`."""
        return F.softplus(-fake).mean()


ADVERSARIAL: Mapping[str, Adversarial] = MappingProxyType(
    {"hinge": Hinge(), "lsgan": LeastSquares(), "nsgan": NonSaturating()}
)


def adversarial(name: str) -> Adversarial:
    """The game of that name; raises `LookupError`, naming the choices, for another name."""
    if name not in ADVERSARIAL:
        raise LookupError(f"no adversarial loss '{name}'; there are: {', '.join(sorted(ADVERSARIAL))}")
    return ADVERSARIAL[name]
