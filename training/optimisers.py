"""What moves the weights: Adam, as published, or Muon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch import nn

Table = dict[str, Any]  # what an optimiser makes of itself

_MOMENTUM = 0.95
_PICTURE = 4  # channels of a picture with its mask: what reads or writes these is no map between features


class Optimiser(Protocol):
    """What a step of training needs of one."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def set_rate(self, rate: float) -> None:
        """The learning rate from here on."""

    def step(self) -> object:
        """Move the weights by their gradients; weights without one stay."""

    def state_dict(self) -> Table:
        """What the next step depends on."""
        ...


class Adam(torch.optim.Adam):
    """Adam over all weights, in the network's own order, as the published checkpoints number them."""

    def __init__(self, network: nn.Module, rate: float, betas: tuple[float, float], state: Table | None) -> None:
        super().__init__(network.parameters(), lr=rate, betas=betas)
        if state is not None and "state" in state:
            _restore(self, state)

    def set_rate(self, rate: float) -> None:
        """See `Optimiser`."""
        _set_rate(self, rate)


class Muon:
    """Muon for convolutions between features, Adam for biases and what reads or writes pictures.

    The step of a convolution, taken as a matrix `[out, in * height * width]`, is its momentum with all singular values
    brought near 1 (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024), as large as Adam's
    is for such a matrix (Liu et al., "Muon is scalable for LLM training", 2025), so that both take one rate.
    """

    def __init__(self, network: nn.Module, rate: float, betas: tuple[float, float], state: Table | None) -> None:
        self._network = network
        weights = list(network.parameters())
        self._convolutions = [weight for weight in weights if _between_features(weight)]
        self._matrices = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in self._convolutions]
        self._muon = torch.optim.Muon(
            self._matrices, lr=rate, weight_decay=0.0, momentum=_MOMENTUM, adjust_lr_fn="match_rms_adamw"
        )
        self._adam = torch.optim.Adam([each for each in weights if not _between_features(each)], lr=rate, betas=betas)
        if state is not None and "muon" in state:
            _restore(self._muon, state["muon"])
            _restore(self._adam, state["adam"])

    def zero_grad(self) -> None:
        """See `Optimiser`."""
        self._network.zero_grad()

    def set_rate(self, rate: float) -> None:
        """See `Optimiser`."""
        _set_rate(self._muon, rate)
        _set_rate(self._adam, rate)

    @torch.no_grad()
    def step(self) -> None:
        """See `Optimiser`."""
        for weight, matrix in zip(self._convolutions, self._matrices, strict=True):
            matrix.copy_(weight.flatten(1))  # copies, since a kernel that is stored channels last is no matrix in place
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        self._muon.step()
        self._adam.step()
        for weight, matrix in zip(self._convolutions, self._matrices, strict=True):
            weight.copy_(matrix.view(weight.shape))

    def state_dict(self) -> Table:
        """See `Optimiser`."""
        return {"muon": self._muon.state_dict(), "adam": self._adam.state_dict()}


METHODS: dict[Literal["adam", "muon"], Callable[[nn.Module, float, tuple[float, float], Table | None], Optimiser]] = {
    "adam": Adam,
    "muon": Muon,
}


def _between_features(weight: torch.Tensor) -> bool:
    return weight.ndim == 4 and min(weight.shape[:2]) > _PICTURE


def _restore(optimiser: torch.optim.Optimizer, state: Table) -> None:
    """Its moments as they were; how it goes on from there is the configuration's, which may have changed."""
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, setting in zip(optimiser.param_groups, settings, strict=True):
        group.update(setting)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
