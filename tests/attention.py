"""Attention between patches in double precision, from the written formula, to judge the network's by."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from models.sttn import PatchAttention


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference, as a share of the largest value where that exceeds 1."""
    return float((found - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


def attention_of(network: nn.Module, block: int = 0) -> PatchAttention:
    attention = network.get_submodule(f"transformer.{block}.attention")
    assert isinstance(attention, PatchAttention)
    return attention


def attend(layer: PatchAttention, picture: torch.Tensor, dead: np.ndarray | None = None) -> torch.Tensor:
    """Attention of one clip `[T, C, h, w]` in double precision, token by token, from the written formula.

    softmax(Q K^T / sqrt(d)) V per head; a token is one patch of one frame in (channel, row, column) order.  `dead`
    `[T, h, w]` silences keys whose patch is masked by more than half, as the paper describes it.
    """
    x = picture.double().numpy()
    weights = {key: value.double().numpy() for key, value in layer.state_dict().items()}

    def project(name: str) -> np.ndarray:
        kernel = weights[f"{name}_embedding.weight"][:, :, 0, 0]
        return np.einsum("oc,tchw->tohw", kernel, x) + weights[f"{name}_embedding.bias"][None, :, None, None]

    query, key, value = project("query"), project("key"), project("value")
    result = np.zeros_like(x)
    width = x.shape[1] // len(layer.patches)
    for head, patch in enumerate(layer.patches):
        group = slice(head * width, (head + 1) * width)
        boxes = [
            (frame, group, slice(row, row + patch.height), slice(column, column + patch.width))
            for frame in range(x.shape[0])
            for row in range(0, x.shape[2], patch.height)
            for column in range(0, x.shape[3], patch.width)
        ]
        for box in boxes:
            scores = np.array([np.vdot(query[box], key[other]) for other in boxes])
            scores /= math.sqrt(width * patch.width * patch.height)
            if dead is not None:
                scores[[dead[frame, rows, columns].mean() > 0.5 for frame, _, rows, columns in boxes]] = -1e9
            share = np.exp(scores - scores.max())
            share /= share.sum()
            result[box] = sum(weight * value[other] for weight, other in zip(share, boxes, strict=True))
    kernel, bias = (torch.from_numpy(weights[f"output_linear.0.{kind}"]) for kind in ("weight", "bias"))
    linear = torch.nn.functional.conv2d(torch.from_numpy(result), kernel, bias, padding=1)
    return torch.nn.functional.leaky_relu(linear, 0.2)
