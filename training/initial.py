"""The weights that a network begins with."""

from __future__ import annotations

import torch
from torch import nn

DEVIATION = 0.02  # of the published program, both networks


def initialise(network: nn.Module) -> None:
    """Draw all weights from N(0, 0.02), all biases 0, as published; from torch's global generator.

    A parameter of one axis is a bias: neither network here has a normalisation with a gain.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, DEVIATION)
            else:
                parameter.zero_()
