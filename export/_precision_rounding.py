"""What a graph in half precision computes, on a processor that has no half arithmetic: float32, rounded node by node.

Sums run in float32 and every result is rounded to its tensor's type, as tensor cores do it.  onnxruntime by itself
would not show this: on a CPU it casts around every half node and then drops the casts between neighbours.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_MOVES = frozenset(("Concat", "Reshape", "Slice", "Split", "Transpose", "Unsqueeze"))  # what only moves is not rounded


def rounding(lowered: ModelProto) -> ModelProto:
    """A float32 graph, float32 inputs and outputs too, that gives what `lowered` (see `precision.lower`) would."""
    model = ModelProto()
    model.CopyFrom(lowered)
    graph = model.graph
    half = next(info.type.tensor_type.elem_type for info in graph.input if _is_half(info.type.tensor_type.elem_type))
    wide = {name for node in graph.node if _casts_to(node) == TensorProto.FLOAT for name in node.output}
    for item in graph.initializer:
        if _is_half(item.data_type):
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype("float32"), item.name))
    nodes: list[NodeProto] = []
    for info in graph.input:
        if _is_half(info.type.tensor_type.elem_type):
            info.type.tensor_type.elem_type = TensorProto.FLOAT
            nodes += _rounded(info.name, f"{info.name}.rounded", half)
            for node in graph.node:
                node.input[:] = [f"{info.name}.rounded" if name == info.name else name for name in node.input]
    for node in graph.node:
        nodes += _emulated(node, half, wide)
    for info in graph.output:
        info.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _emulated(node: NodeProto, half: int, wide: set[str]) -> list[NodeProto]:
    """The nodes that stand for `node`; marks what islands make as `wide`."""
    to = _casts_to(node)
    if to == TensorProto.FLOAT:
        return [helper.make_node("Identity", list(node.input), list(node.output), name=node.name)]
    if to is not None:
        return _rounded(node.input[0], node.output[0], half)
    if any(name in wide for name in node.input):
        wide.update(node.output)
        return [node]
    if node.op_type in _MOVES:
        return [node]
    (result,) = node.output
    node.output[0] = f"{result}.exact"
    return [node, *_rounded(node.output[0], result, half)]


def _rounded(source: str, to: str, half: int) -> list[NodeProto]:
    between = f"{to}.half"
    return [
        helper.make_node("Cast", [source], [between], name=f"{to}.down", to=half),
        helper.make_node("Cast", [between], [to], name=f"{to}.up", to=TensorProto.FLOAT),
    ]


def _casts_to(node: NodeProto) -> int | None:
    return next((int(item.i) for item in node.attribute if item.name == "to"), None) if node.op_type == "Cast" else None


def _is_half(kind: int) -> bool:
    return kind in _HALVES
