"""A picture of what the network makes of a clip: a column a frame; input, prediction, composite, truth below it."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from training.losses import composite

Sheet = npt.NDArray[np.uint8]  # [rows*H, T*W, 3]


def levels(pictures: Tensor) -> npt.NDArray[np.uint8]:
    """`[..., 3, H, W]` in [-1, 1] -> uint8 `[..., H, W, 3]`, truncated as the published program does."""
    grown = ((pictures.clamp(-1, 1) + 1) / 2 * 255).to(torch.uint8)
    return grown.movedim(-3, -1).cpu().numpy()


def make_sheet(prediction: Tensor, clip: Tensor, mask: Tensor) -> Sheet:
    """One clip `[T, 3, H, W]` in [-1, 1], what was predicted for it, and its mask `[T, 1, H, W]`."""
    rows = (clip * (1 - mask), prediction, composite(prediction, clip, mask), clip)
    return np.concatenate([np.concatenate(list(levels(row)), axis=1) for row in rows])


def as_png(sheet: Sheet) -> bytes:
    """The sheet as a file's content."""
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, "PNG")
    return content.getvalue()
