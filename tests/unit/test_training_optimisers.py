"""Muon against its formula in double precision, and what it leaves to Adam."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.tolerances import TOLERANCE
from training.optimisers import METHODS, Adam, Muon

RATE = 1e-2
BETAS = (0.9, 0.99)


def network() -> nn.Sequential:
    """From a picture with its mask to features, between features (wide and tall as matrices), and back."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 96, 1), nn.Conv2d(96, 6, 3), nn.Conv2d(6, 3, 1))


def give_gradients(of: nn.Module, seed: int) -> None:
    """Gradients of a few directions and noise, as networks have them, the same for networks that are alike."""
    generator = torch.Generator().manual_seed(seed)
    for weight in of.parameters():
        rows = torch.randn((weight.shape[0], 2), generator=generator)
        columns = torch.randn((2, weight[0].numel()), generator=generator)
        noise = torch.randn(weight.shape, generator=generator)
        weight.grad = (rows @ columns).view_as(weight) + 0.1 * noise


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Five steps of the quintic Newton-Schulz iteration as published, in double precision."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def test_a_convolution_takes_the_published_step() -> None:
    found = network()
    optimiser = Muon(found, RATE, BETAS, None)
    wanted = {name: weight.detach().double() for name, weight in found.named_parameters() if name[0] in "12"}
    momentum = {name: torch.zeros_like(weight) for name, weight in wanted.items()}
    for seed in range(3):
        give_gradients(found, seed)
        for name, weight in found.named_parameters():
            if name in ("1.weight", "2.weight"):
                assert weight.grad is not None
                gradient = weight.grad.double()
                momentum[name] = 0.95 * momentum[name] + 0.05 * gradient
                ahead = 0.05 * gradient + 0.95 * momentum[name]  # Nesterov's
                step = orthogonalised(ahead.flatten(1))
                wanted[name] -= RATE * 0.2 * max(step.shape) ** 0.5 * step.view_as(weight)
        optimiser.step()
    for name in ("1.weight", "2.weight"):
        moved = (found.get_parameter(name).double() - wanted[name]).norm() / (3 * RATE * wanted[name].numel() ** 0.5)
        assert moved < TOLERANCE["training step", "muon"], name


def test_a_step_is_as_large_as_adams_and_of_all_directions() -> None:
    """Of two directions in the gradient it makes nearly equal steps in all: no weight is left behind by few."""
    found = network()
    before = copy.deepcopy(found)
    give_gradients(found, 0)
    Muon(found, RATE, BETAS, None).step()
    for layer in (1, 2):
        step = (found.get_parameter(f"{layer}.weight") - before.get_parameter(f"{layer}.weight")).detach().flatten(1)
        values = torch.linalg.svdvals(step) / (RATE * 0.2 * max(step.shape) ** 0.5)
        assert values.min() > TOLERANCE["training step", "muon's least direction"]
        assert values.max() < TOLERANCE["training step", "muon's largest direction"]
        assert step.square().mean().sqrt() < 0.3 * RATE


def test_biases_and_what_meets_pictures_take_adams_step() -> None:
    one, other = network(), network()
    muon, adam = Muon(one, RATE, BETAS, None), torch.optim.Adam(other.parameters(), RATE, BETAS)
    for seed in range(3):
        give_gradients(one, seed)
        give_gradients(other, seed)
        muon.step()
        adam.step()
    for name, weight in one.named_parameters():
        assert torch.equal(weight, other.get_parameter(name)) == (name not in ("1.weight", "2.weight")), name


def test_the_memory_format_changes_nothing() -> None:
    one, other = network(), network().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for each in (one, other):
        give_gradients(each, 3)
        Muon(each, RATE, BETAS, None).step()
    for name, weight in one.named_parameters():
        torch.testing.assert_close(weight, other.get_parameter(name), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["adam", "muon"])
def test_weights_without_a_gradient_stay(method: str) -> None:
    found = network()
    optimiser = METHODS[method](found, RATE, BETAS, None)  # pyright: ignore[reportArgumentType]
    give_gradients(found, 1)
    optimiser.step()
    before = copy.deepcopy(found.state_dict())
    optimiser.zero_grad()
    optimiser.step()
    for name, weight in found.state_dict().items():
        assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize("method", ["adam", "muon"])
def test_the_rate_is_that_of_the_step(method: str) -> None:
    found = network()
    before = copy.deepcopy(found.state_dict())
    optimiser = METHODS[method](found, RATE, BETAS, None)  # pyright: ignore[reportArgumentType]
    give_gradients(found, 1)
    optimiser.set_rate(0.0)
    optimiser.step()
    assert all(torch.equal(weight, before[name]) for name, weight in found.state_dict().items())


@pytest.mark.parametrize("method", ["adam", "muon"])
def test_what_is_restored_are_moments_and_not_how_it_goes_on(method: str) -> None:
    first, second = (METHODS[method](network(), RATE, betas, None) for betas in (BETAS, (0.5, 0.6)))  # pyright: ignore[reportArgumentType]
    left = first.state_dict()
    restored = METHODS[method](network(), RATE, (0.5, 0.6), left)  # pyright: ignore[reportArgumentType]
    assert str(restored.state_dict()) == str(second.state_dict())
    assert str(left) != str(second.state_dict())


def test_what_another_method_left_is_not_taken_over() -> None:
    """A run resumed with the other method goes on with its weights and begins the rest anew."""
    found = network()
    for method, other in ((Adam, Muon), (Muon, Adam)):
        give_gradients(found, 1)
        optimiser = method(found, RATE, BETAS, None)
        optimiser.step()
        fresh = other(found, RATE, BETAS, None).state_dict()
        assert str(other(found, RATE, BETAS, optimiser.state_dict()).state_dict()) == str(fresh)
