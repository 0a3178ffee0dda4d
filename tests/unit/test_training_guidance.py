"""Where attention is told to look, and how far from there it is said to be."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models._spec import Size
from models.sttn import PatchAttention, Sttn, official_patches
from tests.guided import boxes, pictures
from tests.tiny import MASKED, SIZE, TINY, tiny_network
from tests.tolerances import TOLERANCE
from training.guidance import SHARPNESS, UNSEEN, Goal, Guide, attention_goals, divergence

PATCHES = official_patches(SIZE)
DOUBLE, FLOAT = TOLERANCE["guidance", "double"], TOLERANCE["guidance", "float"]


def goal_by_loops(frames: Tensor, masks: Tensor, patch: Size) -> tuple[np.ndarray, np.ndarray]:
    """The formula of `attention_goals` for one clip, patch by patch in double precision."""
    content = frames.double().unflatten(2, (-1, 4)).unflatten(4, (-1, 4)).mean(dim=(3, 5)).numpy()  # [T, 3, h, w]
    hole = masks[:, 0, ::4, ::4].double().numpy()
    places = [
        (frame, slice(row, row + patch.height), slice(column, column + patch.width))
        for frame in range(len(hole))
        for row in range(0, hole.shape[1], patch.height)
        for column in range(0, hole.shape[2], patch.width)
    ]
    logits = np.empty((len(places), len(places)))
    for i, (a, rows, columns) in enumerate(places):
        for j, (b, other_rows, other_columns) in enumerate(places):
            wanted, sight = hole[a, rows, columns], 1 - hole[b, other_rows, other_columns]
            square = ((content[a, :, rows, columns] - content[b, :, other_rows, other_columns]) ** 2).mean(0)
            seen = (wanted * sight).sum()
            distance = (wanted * sight * square).sum() / seen if seen else 0.0
            logits[i, j] = -(distance + UNSEEN * (1 - seen / max(wanted.sum(), 1))) / SHARPNESS
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    weight = np.array([hole[frame, rows, columns].mean() for frame, rows, columns in places])
    return exponentials / exponentials.sum(1, keepdims=True), weight


def test_goals_are_the_formula_patch_by_patch() -> None:
    frames, masks = pictures(2, 2), boxes(2, 2)
    goals = attention_goals(frames.double(), masks.double(), PATCHES)
    for goal, patch in zip(goals, PATCHES, strict=True):
        for clip in range(2):
            attention, weight = goal_by_loops(frames[clip], masks[clip], patch)
            np.testing.assert_allclose(goal.weight[clip], weight, atol=DOUBLE)
            hidden = weight > 0
            np.testing.assert_allclose(goal.attention[clip].numpy()[hidden], attention[hidden], atol=DOUBLE)


def test_a_scene_that_stands_still_is_looked_up_where_it_is_uncovered() -> None:
    """One picture in all frames, its hole elsewhere in each: looked up at the same place of a frame that shows it."""
    frames = pictures(1, 1).expand(1, 3, 3, SIZE.height, SIZE.width)
    masks = torch.zeros(1, 3, 1, SIZE.height, SIZE.width)
    masks[0, 0, :, :, :32] = masks[0, 1, :, :, 24:56] = 1  # the third frame shows everything
    for goal, patch in zip(attention_goals(frames, masks, PATCHES), PATCHES, strict=True):
        tokens = goal.weight.shape[1] // 3
        for query in torch.nonzero(goal.weight[0]).flatten().tolist():
            best = int(goal.attention[0, query].argmax())
            place = query % tokens
            sees = [f for f in range(3) if goal.weight[0, f * tokens + place] == 0]
            if patch != PATCHES[0]:  # a frame of which half is hidden may show the other's half
                assert best % tokens == place
                assert best // tokens in sees


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two would spend their time on each other in a network this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@given(st.integers(0, 2**32 - 1))
def test_the_divergence_is_never_negative_and_nothing_at_the_goal(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    attention = torch.softmax(torch.randn(2, 5, 5, generator=generator) * 3, 2)
    goal = Goal.of(attention, torch.rand(2, 5, generator=generator))
    assert divergence(torch.randn(2, 5, 5, generator=generator) * 3, goal) >= -FLOAT
    assert divergence(attention.log() + 7, goal) == pytest.approx(0, abs=FLOAT)


def test_the_divergence_of_even_attention_from_a_single_key_is_the_logarithm_of_the_keys() -> None:
    goal = Goal.of(torch.eye(8)[None], torch.tensor([[1.0, 0.5, 0, 0, 0, 0, 0, 0]]))
    assert divergence(torch.zeros(1, 8, 8), goal) == pytest.approx(math.log(8), rel=FLOAT)


def test_without_holes_there_is_nothing_to_learn() -> None:
    network = tiny_network().requires_grad_(True)
    guide = Guide(network)
    frames = pictures(1, 2)
    network(frames)
    assert guide.loss(frames, torch.zeros(1, 2, 1, SIZE.height, SIZE.width)).item() == 0


@pytest.mark.parametrize("variant", [TINY, MASKED], ids=lambda variant: variant.name)
def test_the_guide_reads_the_attention_that_the_network_computes(variant: object) -> None:
    """Against the softmax itself, taken from the module's own product with the values."""
    assert variant in (TINY, MASKED)
    network = tiny_network(TINY if variant is TINY else MASKED)
    frames, masks = pictures(2, 3), boxes(2, 3)
    goals = attention_goals(frames, masks, PATCHES, network.biases(masks.flatten(0, 1), 2))
    guide, seen = Guide(network), Softmaxes(network)
    with torch.no_grad():
        network(frames * (1 - masks), masks)
        found = guide.loss(frames, masks).item()
    expected: list[float] = []
    for number, attention in enumerate(seen.made):
        goal = goals[number % len(PATCHES)]
        ratio = torch.where(goal.attention > 0, goal.attention.double() / attention.double().clamp_min(1e-300), 1.0)
        divergences = (goal.attention * ratio.log()).sum(2)
        expected.append(float((divergences * goal.weight).sum() / goal.weight.sum()))
    assert len(expected) == 2 * len(PATCHES)
    assert found == pytest.approx(np.mean(expected), rel=FLOAT)


class Softmaxes:
    """All attention of a network's forward pass, in order: what its values are multiplied with."""

    def __init__(self, network: Sttn) -> None:
        self.made: list[Tensor] = []
        for module in network.modules():
            if isinstance(module, PatchAttention):
                module.register_forward_hook(self._recompute, with_kwargs=False)

    def _recompute(self, module: torch.nn.Module, inputs: tuple[object, ...], _output: object) -> None:
        assert isinstance(module, PatchAttention)
        x, clips, *rest = inputs
        assert isinstance(x, Tensor)
        assert isinstance(clips, int)
        biases = rest[0] if rest else ()
        assert isinstance(biases, tuple)
        heads = len(module.patches)
        queries, keys = module.query_embedding.weight[:, :, 0, 0], module.key_embedding.weight[:, :, 0, 0]
        offsets = module.query_embedding.bias, module.key_embedding.bias
        assert offsets[0] is not None
        assert offsets[1] is not None
        q = torch.einsum("oc,nchw->nohw", queries, x) + offsets[0][:, None, None]
        k = torch.einsum("oc,nchw->nohw", keys, x) + offsets[1][:, None, None]
        for head, patch in enumerate(module.patches):
            a, b = (part.chunk(heads, 1)[head] for part in (q, k))
            tokens = [_tokens(part, patch, clips) for part in (a, b)]
            scores = torch.einsum("bik,bjk->bij", *tokens) / math.sqrt(tokens[0].shape[2])
            self.made.append(torch.softmax(scores + biases[head] if biases else scores, 2))


def _tokens(x: Tensor, patch: Size, clips: int) -> Tensor:
    """Patches cut out one by one, in (frame, row, column) order."""
    frames, _, height, width = x.shape
    cut = [
        x[frame, :, row : row + patch.height, column : column + patch.width].flatten()
        for frame in range(frames)
        for row in range(0, height, patch.height)
        for column in range(0, width, patch.width)
    ]
    return torch.stack(cut).view(clips, len(cut) // clips, -1)


def test_a_guided_network_computes_what_it_did() -> None:
    frames, masks = pictures(1, 2), boxes(1, 2)
    with torch.no_grad():
        alone = tiny_network()(frames, masks)
        network = tiny_network()
        Guide(network)
        assert torch.equal(network(frames, masks), alone)


def test_guidance_teaches_queries_keys_and_what_they_are_made_of() -> None:
    """Not the values, nor what comes behind the last attention."""
    network = tiny_network().requires_grad_(True)
    guide = Guide(network)
    frames, masks = pictures(1, 3), boxes(1, 3)
    network(frames * (1 - masks), masks)
    guide.loss(frames, masks).backward()
    taught = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {"encoder.0.weight", "transformer.0.attention.query_embedding.weight"} <= taught
    assert {"transformer.1.attention.key_embedding.weight", "transformer.0.attention.value_embedding.weight"} <= taught
    assert not any(name.startswith(("decoder", "transformer.1.feed_forward")) for name in taught)
    assert "transformer.1.attention.value_embedding.weight" not in taught


@pytest.mark.usefixtures("one_thread")
def test_attention_learns_to_look_where_the_hole_is_uncovered() -> None:
    """Forty steps by guidance alone halve the divergence."""
    network = tiny_network().requires_grad_(True)
    guide = Guide(network)
    frames, masks = pictures(1, 1, seed=2).expand(1, 3, 3, SIZE.height, SIZE.width), boxes(1, 3)
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    losses: list[float] = []
    for _ in range(40):
        network(frames * (1 - masks), masks)
        loss = guide.loss(frames, masks)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_guide_that_is_closed_keeps_nothing() -> None:
    network = tiny_network()
    guide = Guide(network)
    guide.close()
    network(pictures(1, 2))
    assert list(guide.looks(pictures(1, 2), boxes(1, 2))) == []
