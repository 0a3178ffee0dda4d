"""ONNX -> ONNX: attention's second product in int8, where what it weighs is int8 already (docs/adr/0015)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from calib.thresholds import LEVELS

_SCALE, _ZERO, _KEYS = "attention.scale", "attention.zero", "attention.keys"
_MOVERS = ("Reshape", "Transpose", "Split")  # give the numbers that they take


def quantise_weights(model: ModelProto) -> None:
    """Every `softmax(s) @ v` with `v` from int8 becomes `(e @ v) / sum(e)`, `e = exp(s - max(s))` in int8; in place.

    A softmax has no range to quantise by: over a thousand keys its largest weight may be 1 or 0.001.  `e` has: the
    largest of each row is 1.  Product and sum take the same rounded numbers, so that weights still add up to 1; those
    below 1/254 of their row's largest are lost.  `s` is `[queries, keys]`.
    """
    by_output = {name: node for node in model.graph.node for name in node.output}
    products = {
        node.input[0]: node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[0] in by_output
        and by_output[node.input[0]].op_type == "Softmax"
        and _is_int8(node.input[1], by_output)
    }
    rewritten: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Softmax" and node.output[0] in products:
            rewritten += _weights(node)
        elif node.op_type == "MatMul" and node.input[0] in products:
            rewritten += _weighted(node)
        else:
            rewritten.append(node)
    del model.graph.node[:]
    model.graph.node.extend(rewritten)
    if products:
        constants = {
            _SCALE: np.array(1 / LEVELS, np.float32),
            _ZERO: np.array(0, np.int8),
            _KEYS: np.array([1], np.int64),
        }
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())


def _is_int8(name: str, by_output: Mapping[str, NodeProto]) -> bool:
    """Whether the tensor is what a DequantizeLinear gave, moved about."""
    giver = by_output.get(name)
    while giver is not None and giver.op_type in _MOVERS:
        giver = by_output.get(giver.input[0])
    return giver is not None and giver.op_type == "DequantizeLinear"


def _weights(softmax: NodeProto) -> list[NodeProto]:
    """Of each key for each query, the largest of a row being 1, and their sums."""
    scores, to = softmax.input[0], softmax.output[0]
    rounding = [_SCALE, _ZERO]
    return [
        helper.make_node("ReduceMax", [scores], [f"{to}.max"], f"{softmax.name}/max", axes=[1], keepdims=1),
        helper.make_node("Sub", [scores, f"{to}.max"], [f"{to}.below"], f"{softmax.name}/below"),
        helper.make_node("Exp", [f"{to}.below"], [f"{to}.exp"], f"{softmax.name}/exp"),
        helper.make_node("QuantizeLinear", [f"{to}.exp", *rounding], [f"{to}.int8"], f"{softmax.name}/quantize"),
        helper.make_node("DequantizeLinear", [f"{to}.int8", *rounding], [to], f"{softmax.name}/dequantize"),
        helper.make_node("ReduceSum", [to, _KEYS], [f"{to}.sum"], f"{softmax.name}/sum", keepdims=1),
    ]


def _weighted(product: NodeProto) -> list[NodeProto]:
    """The product with such weights, divided by their sums."""
    weights, values = product.input
    to = product.output[0]
    return [
        helper.make_node("MatMul", [weights, values], [f"{to}.sum"], product.name),
        helper.make_node("Div", [f"{to}.sum", f"{weights}.sum"], [to], f"{product.name}/divide"),
    ]
