"""Half-precision storage of weights that are half-precision numbers: lossless, and half the bundle.

The graph keeps computing in float32: each such weight is an initialiser of 16-bit floats behind a Cast, which every
runtime folds once when it loads the graph.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_READERS = ("Conv", "Mul")  # a Resize, for one, wants its scales as they are
_MIN_RANK = 2  # biases are too small to be worth a node


def exact_in_half(arrays: Iterable[npt.NDArray[np.float32]]) -> bool:
    """Whether every value survives a round trip through 16 bits."""
    with np.errstate(over="ignore"):
        return all(np.array_equal(array.astype(np.float16).astype(np.float32), array) for array in arrays)


def store_half(model: ModelProto) -> None:
    """Store the weights that are exact in half as half, in place; the others stay."""
    graph = model.graph
    read = {name for node in graph.node if node.op_type in _READERS for name in node.input}
    casts: list[NodeProto] = []
    for item in graph.initializer:
        if item.data_type != TensorProto.FLOAT or len(item.dims) < _MIN_RANK or item.name not in read:
            continue
        value = numpy_helper.to_array(item)
        if not exact_in_half([value]):
            continue
        name = item.name
        item.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [item.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *rest])
