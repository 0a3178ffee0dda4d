"""Networks that take in their blocks one phase after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models._spec import Size
from runtime.errors import UsageError
from tests.tiny import SIZE, tiny_network
from training.config import Phase
from training.growth import check_growth, first_blocks, grown, silenced


def clip() -> Tensor:
    return torch.rand(1, 2, 3, SIZE.height, SIZE.width, generator=torch.Generator().manual_seed(4)) * 2 - 1


@torch.no_grad()
def test_a_network_whose_last_blocks_are_silent_is_its_first_blocks() -> None:
    network = tiny_network()
    loud = network(clip())
    network.load_state_dict(silenced(network.state_dict(), 1))
    short = first_blocks(network, 1)
    assert len(short.transformer) == 1
    assert torch.equal(network(clip()), short(clip()))
    assert not torch.equal(network(clip()), loud)


def test_first_blocks_learn_for_the_whole_network() -> None:
    network = tiny_network().requires_grad_(True)
    first_blocks(network, 1)(clip()).sum().backward()
    learnt = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learnt == {name for name in network.state_dict() if not name.startswith("transformer.1.")}


@torch.no_grad()
def test_a_block_that_comes_in_changes_nothing_and_is_a_copy() -> None:
    network = tiny_network()
    before = silenced({name: value.clone() for name, value in network.state_dict().items()}, 1)
    after = grown(before, 1, 0)
    for weights in (before, after):
        network.load_state_dict(weights)
        assert torch.equal(network(clip()), first_blocks(network, 1)(clip()))
    for name in ("attention.query_embedding.weight", "attention.key_embedding.bias", "feed_forward.conv.0.weight"):
        assert torch.equal(after[f"transformer.1.{name}"], after[f"transformer.0.{name}"])
        assert not torch.equal(after[f"transformer.1.{name}"], before[f"transformer.1.{name}"])
    pointers = [tensor.data_ptr() for name, tensor in after.items() if name.startswith("transformer.")]
    assert len(set(pointers)) == len(pointers)  # optimisers write in place


def test_only_the_blocks_of_the_phase_come_in() -> None:
    weights = {
        f"transformer.{block}.attention.value_embedding.bias": torch.full((2,), float(block)) for block in range(4)
    }
    assert [tensor[0].item() for tensor in grown(weights, 1, 3).values()] == [0, 0, 0, 3]
    assert [tensor[0].item() for tensor in grown(weights, 2, 0).values()] == [0, 1, 1, 1]


def phases(*blocks: int) -> tuple[Phase, ...]:
    return tuple(Phase(1, Size(96, 48), blocks=count) for count in blocks)


def test_growth_that_is_in_order() -> None:
    check_growth(phases(1, 1, 2, 0), [tiny_network()] * 4)
    check_growth(phases(0, 0), [nn.Linear(1, 1)] * 2)


@pytest.mark.parametrize(
    ("blocks", "networks", "words"),
    [
        ((3,), [tiny_network], "found 3, wanted 1 to 2"),
        ((2, 1), [tiny_network] * 2, "found 1, wanted 2 to 2, never fewer than before"),
        ((0, 1), [tiny_network] * 2, "found 1, wanted 2 to 2"),
        ((1,), [lambda: nn.Linear(1, 1)], "found 1, but this network has none"),
    ],
)
def test_growth_that_cannot_be(blocks: tuple[int, ...], networks: list[object], words: str) -> None:
    made = [make() for make in networks if callable(make)]
    with pytest.raises(UsageError, match=words) as caught:
        check_growth(phases(*blocks), [network for network in made if isinstance(network, nn.Module)])
    assert str(caught.value).startswith("phases.blocks: ")
