"""ONNX -> ONNX: channels brought to like ranges before a convolution reads them in int8 (docs/adr/0015).

G. Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", ICML 2023,
section 4: half of what is uneven between input channels is moved into the weights.  Here by powers of two, which change
no float.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, helper, numpy_helper

from export._int8_layers import Level

# How far a channel may be moved, as a power of two: one that is hardly ever alive shall not outgrow the others.
_FARTHEST = 6.0


def balanced(
    model: ModelProto, levels: Mapping[str, Level], kept: Collection[str]
) -> tuple[ModelProto, dict[str, Level]]:
    """A copy of `model` that computes the same floats, and its levels.

    Every convolution but those named in `kept` that reads a sum, the first frames of one, or an input of the graph,
    reads it multiplied, each channel by a power of two, and has weights divided by it.  Those alone, since they are
    quantised in a step of their own, in which a product costs nothing; elsewhere it would come between a convolution
    and its own rounding.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    by_output = {name: node for node in copy.graph.node for name in node.output}
    constants = {item.name: item for item in copy.graph.initializer}
    found = dict(levels)
    rewritten: list[NodeProto] = []
    for node in copy.graph.node:
        if node.op_type == "Conv" and node.name not in kept and _reads_alone(node, by_output):
            level, item = levels[node.input[0]], constants[node.input[1]]
            weights = numpy_helper.to_array(item)
            factors = np.exp2(-_exponents(level, weights))
            if (factors != 1).any():
                by = factors.astype(np.float32).reshape(-1, 1, 1)
                even = f"{node.name}.balanced"
                item.CopyFrom(numpy_helper.from_array(weights / by, item.name))
                copy.graph.initializer.append(numpy_helper.from_array(by, f"{even}.by"))
                rewritten.append(helper.make_node("Mul", [node.input[0], f"{even}.by"], [even], even))
                found[even] = Level(float((level.channels * factors).max()), level.channels * factors)
                node.input[0] = even
        rewritten.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(rewritten)
    return copy, found


def _reads_alone(node: NodeProto, by_output: Mapping[str, NodeProto]) -> bool:
    """Whether what it reads is quantised in a step of its own."""
    giver = by_output.get(node.input[0])
    if giver is not None and giver.op_type == "Slice":
        giver = by_output.get(giver.input[0])
    return giver is None or giver.op_type == "Add"


def _exponents(level: Level, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Of the powers of two that each input channel is divided by: `sqrt(channel's range / its weights' range)`."""
    largest = np.abs(weights).max(axis=(0, 2, 3)).astype(np.float64)
    if level.whole == 0 or not largest.any():
        return np.zeros_like(largest)
    smallest = 2.0 ** -(2 * _FARTHEST)
    alive = np.maximum(level.channels, smallest * level.whole)
    read = np.maximum(largest, smallest * largest.max())
    wanted = (np.log2(alive) - np.log2(read)) / 2
    return np.clip(np.rint(wanted - wanted.mean()), -_FARTHEST, _FARTHEST)
