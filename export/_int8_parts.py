"""A stage's graph for parts of its picture in int8, with the scales of the whole one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from export._int8_layers import Level, convolutions
from export._int8_qdq import quantised
from export.trial import Array
from runtime.errors import ExportError


def quantised_part(
    part: ModelProto, whole: ModelProto, levels: Mapping[str, Level], kept: Collection[str]
) -> tuple[ModelProto, tuple[str, ...]]:
    """`part` with Q/DQ where `whole` has them, and which of its convolutions stay in float32.

    Both compute the same convolutions in the same order, so that a layer's twin tells its scales and whether it is
    kept; `levels` and `kept` name tensors and nodes of `whole`.  Raises `ExportError` where they are not twins.
    """
    own: dict[str, Level] = {}
    islands: list[str] = []
    for node, twin in _twins(part, whole):
        own[node.input[0]], own[node.output[0]] = levels[twin.input[0]], levels[twin.output[0]]
        if twin.name in kept:
            islands.append(node.name)
    return quantised(part, own, islands), tuple(islands)


def _twins(part: ModelProto, whole: ModelProto) -> Iterator[tuple[NodeProto, NodeProto]]:
    ours, theirs = convolutions(part), convolutions(whole)
    weights, others = _constants(part), _constants(whole)
    if len(ours) != len(theirs):
        raise ExportError(f"the graph for parts has {len(ours)} convolutions, the whole stage's {len(theirs)}")
    for node, twin in zip(ours, theirs, strict=True):
        if not np.array_equal(weights[node.input[1]], others[twin.input[1]]):
            raise ExportError(f"convolution '{node.name}' for parts has other weights than '{twin.name}'")
        yield node, twin


def _constants(model: ModelProto) -> dict[str, Array]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
