"""Attention shown where to look: training knows what is in the hole, and so which patches hold it in sight.

Ours.  Attention that is learnt from the picture's error alone stays even for thousands of samples, since looking at one
patch rather than at all of them pays only once both the looking and what is done with it are learnt.  Here queries and
keys are told directly, for every patch that has a hole, which patches of the clip show what the hole hides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models._spec import Size
from models.sttn import SCALE, Look, PatchAttention, Sttn, patchify

SHARPNESS = 0.02  # mean squared difference, of pictures in [-1, 1], that makes a patch e times less worth looking at
UNSEEN = 1.0  # what a patch counts as different where it does not show the place: about as much as any other picture


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the queries of one head should look."""

    attention: Tensor  # [clips, tokens, tokens], each query's over all keys, its sum 1
    weight: Tensor  # [clips, tokens], the share of the query's patch that is hole
    queries: Tensor  # [n], which of all clips' queries have a weight

    @classmethod
    def of(cls, attention: Tensor, weight: Tensor) -> Goal:
        """With its queries, which are found once for all blocks: a GPU must be waited for to know how many they are."""
        return cls(attention, weight, weight.flatten().nonzero().squeeze(1))


class Guide:
    """Reads the scores of a network's attention while it runs, and says how far they are from the goal.

    The network runs as ever; the scores of the last forward pass are kept until `loss` takes them.
    """

    def __init__(self, network: Sttn) -> None:
        self._network = network
        self._kept: list[tuple[int, Tensor]] = []  # head and scores, of all blocks that ran, in order
        self._before: list[tuple[PatchAttention, Look]] = []
        for module in network.transformer.modules():
            if isinstance(module, PatchAttention):
                self._before.append((module, module.look))
                module.look = _keeping(module.look, self._kept)

    def close(self) -> None:
        """Let the network go."""
        for attention, look in self._before:
            attention.look = look

    def loss(self, frames: Tensor, masks: Tensor, hole_share: Tensor | None = None) -> Tensor:
        """Mean over blocks and heads of KL(goal || attention), in nats, over patches weighted by their holes; scalar.

        `frames` `[B, T, 3, H, W]` in [-1, 1] without holes, `masks` `[B, T, 1, H, W]`, 1 = hole: what the network was
        last run with.  0 where no patch has a hole.  `hole_share` stands for `share_of_holes` where several processes
        share a batch, as in `losses.reconstruction`.
        """
        divergences = [divergence(scores, goal, hole_share) for _, scores, goal in self.looks(frames, masks)]
        return torch.stack(divergences).mean()

    def looks(self, frames: Tensor, masks: Tensor) -> Iterator[tuple[int, Tensor, Goal]]:
        """Head, scores before the softmax `[B, tokens, tokens]` and goal of each head of each block that ran, in order.

        They can be taken once; `frames` and `masks` as in `loss`.
        """
        biases = self._network.biases(masks.flatten(0, 1), frames.shape[0])
        goals = attention_goals(frames, masks, self._network.geometry.patches, biases)
        kept = self._kept.copy()
        self._kept.clear()
        for head, scores in kept:
            yield head, scores, goals[head]


def _keeping(look: Look, kept: list[tuple[int, Tensor]]) -> Look:
    def keep_and_look(scores: Tensor, head: int) -> Tensor:
        kept.append((head, scores))
        return look(scores, head)

    return keep_and_look


@torch.no_grad()
def attention_goals(
    frames: Tensor,
    masks: Tensor,
    patches: Sequence[Size],
    biases: Sequence[Tensor] = (),
    sharpness: float = SHARPNESS,
) -> tuple[Goal, ...]:
    """For each head, how much each patch with a hole should look at each patch of its clip.

    `softmax_j(-d_ij / sharpness)`, where `d_ij` is the mean squared difference between patch i and patch j over what is
    hole in i and in sight in j, at the features' size, plus `UNSEEN` times the share of i's hole that j does not show.
    `biases`, as of `Sttn.biases`, are added before the softmax.  Frames and masks as in `Guide.loss`.
    """
    clips = frames.shape[0]
    pictures = F.avg_pool2d(frames.flatten(0, 1), SCALE)
    holes = masks.flatten(0, 1)[..., ::SCALE, ::SCALE]
    goals: list[Goal] = []
    for head, patch in enumerate(patches):
        hole = patchify(holes, patch, clips)  # [clips, tokens, area]
        content = patchify(pictures, patch, clips)
        content = content.view(clips, content.shape[1], 3, hole.shape[2])
        logits = -_distance(content, hole) / sharpness
        goals.append(Goal.of(torch.softmax(logits + biases[head] if biases else logits, 2), hole.mean(2)))
    return tuple(goals)


def _distance(content: Tensor, hole: Tensor) -> Tensor:
    """`[clips, tokens, 3, area]` and `[clips, tokens, area]` -> `d_ij` of `attention_goals`, `[clips, tokens, tokens]`.

    The square is multiplied out: a product of matrices for each of its terms, instead of all pairs of patches.
    """
    sight = 1 - hole
    hidden, shown = (content * hole.unsqueeze(2)).flatten(2), (content * sight.unsqueeze(2)).flatten(2)
    square = content.square().sum(2)
    apart = (hole * square) @ sight.mT - 2 * hidden @ shown.mT + hole @ (sight * square).mT
    seen = hole @ sight.mT  # positions
    needed = hole.sum(2, keepdim=True)
    return apart.clamp_min(0) / (3 * seen).clamp_min(1) + UNSEEN * (1 - seen / needed.clamp_min(1))


def share_of_holes(masks: Tensor) -> Tensor:
    """The mean of masks `[..., H, W]` at the features' size, which is also that of every head's weights; a scalar."""
    return masks[..., ::SCALE, ::SCALE].mean()


def divergence(scores: Tensor, goal: Goal, share: Tensor | None = None) -> Tensor:
    """Mean over queries, by weight, of KL(goal || softmax(scores)); `scores` `[clips, tokens, tokens]`; a scalar.

    `share` stands for the mean weight.
    """
    flat = (each.flatten(0, 1) for each in (goal.attention, scores, goal.weight))
    wanted, own, weight = (each.index_select(0, goal.queries) for each in flat)  # most patches have no hole
    difference = wanted.clamp_min(torch.finfo(torch.float32).tiny).log() - torch.log_softmax(own.float(), 1)
    each = (wanted * difference).sum(1)
    mean = goal.weight.mean() if share is None else share
    return (each @ weight) / goal.weight.numel() / mean.clamp_min(torch.finfo(torch.float32).tiny)
