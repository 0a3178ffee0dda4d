"""Which keys of STTN's attention are silent: those of fillers, and, where masks live, those that show mostly hole.

The paper (arXiv:2007.10247, section 3.2) lets no query look into a hole.  The published program computes the masked
scores and drops them, so that its own weights want none of this (docs/adr/0001).
"""

from __future__ import annotations

import torch
from torch import Tensor

from models._spec import Size

SILENT = -1e4  # added to a key's scores; exp of it is exactly 0 in float32, and it is finite in half precision


def key_biases(masks: Tensor, patches: tuple[Size, ...], clips: int) -> tuple[Tensor, ...]:
    """Masks `[clips*T, 1, h, w]`, 1 = hole, at the features' size -> per head `[clips, 1, tokens]`, 0 or `SILENT`.

    A key is silent when more than half of its patch is hole; where that would silence a whole clip's keys, none is:
    attention to what is blank in all frames is then as the published network has it, instead of an average of all.
    Tokens are ordered as `patchify` orders them.
    """
    frames, _, height, width = masks.shape
    biases: list[Tensor] = []
    for patch in patches:
        blocks = masks.reshape(frames, height // patch.height, patch.height, width // patch.width, patch.width)
        # twice the count against the area, both whole numbers: a mean rounds, and might pass 0.5 where it is 0.5
        silent = 2 * blocks.sum(dim=(2, 4)) > patch.height * patch.width
        silent = silent.reshape(clips, 1, -1)
        silent = silent & ~silent.all(dim=2, keepdim=True)
        biases.append(torch.zeros_like(silent, dtype=torch.float32).masked_fill(silent, SILENT))
    return tuple(biases)
