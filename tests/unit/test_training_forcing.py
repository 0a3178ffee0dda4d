"""Attention put where it should look: what comes of it, where, how often, and that nothing of it stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.sttn import PatchAttention, Sttn
from tests.guided import boxes, pictures
from tests.tiny import SIZE, tiny_network
from tests.tolerances import TOLERANCE
from training.forcing import SHARPNESS, blocks_forced, forced
from training.guidance import Guide, attention_goals


def attentions(network: Sttn) -> list[PatchAttention]:
    return [each for each in network.transformer.modules() if isinstance(each, PatchAttention)]


def seen_by(network: Sttn, frames: Tensor, masks: Tensor) -> list[Tensor]:
    """What each block's attention gives, before its convolution, when the network runs."""
    found: list[Tensor] = []
    hooks = [
        each.output_linear.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        for each in attentions(network)
    ]
    with torch.no_grad():
        network(frames * (1 - masks), masks)
    for hook in hooks:
        hook.remove()
    return found


def test_a_forced_block_copies_what_the_goal_says_and_only_into_holes() -> None:
    """Patch by patch, against the weighted sum of the patches themselves."""
    network, frames, masks = tiny_network(), pictures(2, 3), boxes(2, 3)
    (attention, _) = attentions(network)
    values: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        values.append(output)

    hook = attention.value_embedding.register_forward_hook(keep)
    own = seen_by(network, frames, masks)[0]
    with forced(network, 1, frames, masks):
        found = seen_by(network, frames, masks)[0]
    hook.remove()
    goals = attention_goals(frames, masks, network.geometry.patches, sharpness=SHARPNESS)
    width = own.shape[1] // len(goals)
    for head, (goal, patch) in enumerate(zip(goals, network.geometry.patches, strict=True)):
        of_head = slice(head * width, (head + 1) * width)
        across, down = own.shape[3] // patch.width, own.shape[2] // patch.height
        places = [
            (
                frame,
                of_head,
                slice(y * patch.height, (y + 1) * patch.height),
                slice(x * patch.width, (x + 1) * patch.width),
            )
            for frame in range(3)
            for y in range(down)
            for x in range(across)
        ]
        for clip in range(2):
            value, was, now = (each.unflatten(0, (2, 3))[clip] for each in (values[0], own, found))
            for query, place in enumerate(places):
                shares = goal.attention[clip, query]
                wanted = torch.stack([share * value[other] for share, other in zip(shares, places, strict=True)]).sum(0)
                if not goal.weight[clip, query]:
                    wanted = was[place]
                torch.testing.assert_close(now[place], wanted, rtol=0, atol=TOLERANCE["guidance", "float"])


def test_blocks_beyond_the_first_look_for_themselves_and_nothing_of_it_stays() -> None:
    network, frames, masks = tiny_network(), pictures(1, 3), boxes(1, 3)
    own = seen_by(network, frames, masks)
    with forced(network, 1, frames, masks):
        one = seen_by(network, frames, masks)
        looks = [each.look for each in attentions(network)]
    with forced(network, 2, frames, masks):
        two = seen_by(network, frames, masks)
    with pytest.raises(RuntimeError, match="in the middle"), forced(network, 2, frames, masks):
        raise RuntimeError("in the middle")
    assert len(set(looks)) == 2
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[0], own[0])
    assert not torch.equal(one[1], two[1])
    assert all(torch.equal(a, b) for a, b in zip(seen_by(network, frames, masks), own, strict=True))


def test_a_guide_measures_what_a_forced_block_would_have_looked_at_and_goes_on_afterwards() -> None:
    network, frames, masks = tiny_network(), pictures(1, 3), boxes(1, 3)
    guide = Guide(network)
    seen_by(network, frames, masks)
    own = [scores for _, scores, _ in guide.looks(frames, masks)]
    with forced(network, 2, frames, masks):
        seen_by(network, frames, masks)
    under_force = [scores for _, scores, _ in guide.looks(frames, masks)]
    seen_by(network, frames, masks)
    afterwards = [scores for _, scores, _ in guide.looks(frames, masks)]
    heads = len(network.geometry.patches)
    assert len(own) == len(under_force) == 2 * heads
    assert all(torch.equal(a, b) for a, b in zip(own[:heads], under_force[:heads], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(own[heads:], under_force[heads:], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(own, afterwards, strict=True))


def test_no_block_forced_is_the_network_as_it_is() -> None:
    network, frames, masks = tiny_network(), pictures(1, 2), boxes(1, 2)
    own = seen_by(network, frames, masks)
    with forced(network, 0, frames, masks):
        assert all(torch.equal(a, b) for a, b in zip(seen_by(network, frames, masks), own, strict=True))


def test_what_is_looked_at_learns_and_the_looking_does_not() -> None:
    network, frames = tiny_network(), pictures(1, 2)
    masks = torch.ones(1, 2, 1, SIZE.height, SIZE.width)  # so that every patch is forced
    with forced(network, 1, frames, masks):
        network(frames, masks).square().sum().backward()
    one, other = attentions(network)
    learnt = [each.weight.grad for each in (one.value_embedding, one.query_embedding, other.query_embedding)]
    assert [grad is not None and bool(grad.abs().sum() > 0) for grad in learnt] == [True, False, True]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_steps_is_forced_any_number_of_blocks_as_likely(share: float) -> None:
    steps = 6000
    drawn = Counter(blocks_forced(share, 6, 11, step) for step in range(steps))
    assert set(drawn) <= set(range(7))
    for blocks in range(7):
        wanted = steps * (1 - share if blocks == 0 else share / 6)
        assert drawn[blocks] == pytest.approx(wanted, abs=5 * (wanted**0.5) + 1e-9)  # five standard deviations


def test_what_is_forced_has_nothing_to_do_with_what_is_drawn() -> None:
    """In a first phase of single samples both are numbered alike (training/dataset.py)."""
    steps = 4000
    first = np.array([np.random.default_rng((11, step)).random() for step in range(steps)])
    blocks = np.array([blocks_forced(0.5, 6, 11, step) for step in range(steps)])
    assert abs(np.corrcoef(first, blocks > 0)[0, 1]) < 5 / steps**0.5


def test_the_draw_follows_from_seed_and_step_alone() -> None:
    first, again, other = ([blocks_forced(0.5, 6, seed, step) for step in range(50)] for seed in (3, 3, 4))
    assert first == again
    assert first != other
