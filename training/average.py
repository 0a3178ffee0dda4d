"""The average of the weights over the last steps, which restores better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a network's state, in float32.

    It forgets faster in the beginning: `min(decay, (1 + n) / (10 + n))` is kept at update n, so that the random
    weights that a run begins with do not linger (as in TensorFlow's ExponentialMovingAverage with `num_updates`).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0)."""
        kept = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in network.state_dict().items():
                self.state[key].lerp_(value, 1 - kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for key, value in self.state.items():
            value.copy_(state[key])
