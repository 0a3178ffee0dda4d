"""What of a graph is quantised, and the ranges that it is quantised by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto

from calib.ranges import RangeTable
from calib.thresholds import LEVELS

# Below this a tensor's scale would be no normal float32: its values are taken for zeros, whose scale is 1.
TINIEST = LEVELS * 2.0**-120


@dataclass(frozen=True, slots=True)
class Level:
    """The largest magnitude that int8 holds of a tensor `[n, channels, ...]`."""

    whole: float
    channels: npt.NDArray[np.float64]  # [channels], if each had a scale of its own


def convolutions(model: ModelProto) -> list[NodeProto]:
    """What is quantised, in the graph's order."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def ranged(model: ModelProto) -> list[str]:
    """The tensors whose ranges quantising takes: what convolutions read and give, each once, in the graph's order."""
    return list(dict.fromkeys(name for node in convolutions(model) for name in (node.input[0], node.output[0])))


def levels_of(model: ModelProto, stage: str, table: RangeTable, rule: str) -> dict[str, Level]:
    """The level of each `ranged` tensor, by `rule` of the table; raises `ExportError` for one that was not observed."""
    found = {name: table.tensor(stage, name).thresholds(rule) for name in ranged(model)}
    return {name: Level(whole if whole > TINIEST else 0.0, channels) for name, (whole, channels) in found.items()}
