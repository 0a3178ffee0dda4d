"""Teacher forcing of attention: what is done with what is looked at is learnt before the looking is.

Ours, after Williams and Zipser ("A learning algorithm for continually running fully recurrent neural networks", 1989).
Values, and all that follows them, learn to carry detail only where attention brings them the right patches, and
attention learns to be exact only where exactness pays.  In a forced step the first blocks attend as training knows they
should, so that the others, the values and the decoder learn what follows from that.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from models.sttn import Look, PatchAttention, Sttn
from training.guidance import Goal, attention_goals

_STREAM = 1  # samples draw from the seed and their number, and in a first phase of single samples that is the step
SHARPNESS = 0.01  # as guidance's, but half: of the values tried, what a plain copy by it restores best (ADR 21)


@contextmanager
def forced(network: Sttn, blocks: int, frames: Tensor, masks: Tensor) -> Generator[None, None, None]:
    """While the block runs, patches with a hole attend as they should in the first `blocks` blocks of `network`.

    `frames` `[B, T, 3, H, W]` in [-1, 1] without holes, `masks` `[B, T, 1, H, W]`, 1 = hole: what the network is then
    run with.  Patches without a hole, and other blocks, attend as ever.
    """
    first = [each for each in network.transformer.modules() if isinstance(each, PatchAttention)][:blocks]
    looks = [each.look for each in first]
    if first:
        biases = network.biases(masks.flatten(0, 1), frames.shape[0])
        goals = attention_goals(frames, masks, network.geometry.patches, biases, SHARPNESS)
        for attention in first:
            attention.look = _as_told(goals, attention.look)
    try:
        yield
    finally:
        for attention, look in zip(first, looks, strict=True):
            attention.look = look


def blocks_forced(share: float, blocks: int, seed: int, step: int) -> int:
    """How many blocks are forced in `step`: in a `share` of the steps 1 to `blocks`, each as likely, else none.

    It follows from the seed and the step alone, as samples do, and has nothing to do with them.
    """
    generator = np.random.default_rng((seed, step, _STREAM))
    return int(generator.integers(1, blocks, endpoint=True)) if generator.random() < share else 0


def _as_told(goals: tuple[Goal, ...], before: Look) -> Look:
    def look(scores: Tensor, head: int) -> Tensor:
        goal, own = goals[head], before(scores, head)
        return torch.where(goal.weight.unsqueeze(2) > 0, goal.attention.to(own.dtype), own)

    return look
