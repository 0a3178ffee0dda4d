"""Attention's weights in int8: the numbers of the written formula, and only where values are int8."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from calib.thresholds import LEVELS
from export._int8_attention import quantise_weights
from export.parity import run_graph
from tests.tolerances import TOLERANCE

SCALE = 0.25  # of the values' int8


def attention(*, narrow: bool) -> ModelProto:
    """`softmax(s) @ v`, keys in rows of `v` `[K, 2, 3]`, which comes from int8, moved about, where `narrow`."""
    float32, int8 = TensorProto.FLOAT, TensorProto.INT8
    constants = [
        numpy_helper.from_array(np.array(SCALE, np.float32), "scale"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
        numpy_helper.from_array(np.array([-1, 6], np.int64), "shape"),
    ]
    cast = helper.make_node("Cast", ["stored"], ["given"], to=float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["given"]) if narrow else cast,
        helper.make_node("Transpose", ["given"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "shape"], ["values"]),
        helper.make_node("Softmax", ["scores"], ["weights"], "softmax", axis=1),
        helper.make_node("MatMul", ["weights", "values"], ["out"], "product"),
    ]
    inputs = [
        helper.make_tensor_value_info("scores", float32, ["Q", "K"]),
        helper.make_tensor_value_info("stored", int8, ["K", 3, 2]),
    ]
    outputs = [helper.make_tensor_value_info("out", float32, ["Q", 6])]
    graph = helper.make_graph(nodes, "attention", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def formula(scores: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """In doubles, with whole numbers of 1/127 for weights."""
    weights = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    weights = np.rint(weights * LEVELS) / LEVELS
    values = SCALE * stored.astype(np.float64).transpose(0, 2, 1).reshape(len(stored), -1)
    return (weights / weights.sum(axis=1, keepdims=True)) @ values


def rewritten(*, narrow: bool) -> ModelProto:
    model = attention(narrow=narrow)
    quantise_weights(model)
    checker.check_model(model, full_check=True)
    return model


@given(
    queries=st.integers(1, 5),
    keys=st.integers(1, 300),
    spread=st.sampled_from([0.0, 0.1, 3.0, 50.0]),
    silent=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_the_formula(queries: int, keys: int, spread: float, silent: bool, seed: int) -> None:
    """Even rows, peaked ones, ones of a single key, and keys that a bias of -1e4 leaves out."""
    rng = np.random.default_rng(seed)
    scores = (spread * rng.standard_normal((queries, keys))).astype(np.float32)
    if silent:
        scores[:, : keys // 2] -= 1e4
    edges = np.abs(np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True)) * LEVELS % 1 - 0.5)
    scores[edges < TOLERANCE["int8", "half a step"]] = -2e4  # which way those are rounded nobody can say
    stored = rng.integers(-LEVELS, LEVELS + 1, (keys, 3, 2)).astype(np.int8)
    found = run_graph(rewritten(narrow=True), {"scores": scores, "stored": stored}, "out")
    np.testing.assert_allclose(found, formula(scores, stored), atol=TOLERANCE["int8", "attention"], rtol=0)


def test_a_silenced_key_weighs_nothing_and_even_weights_are_a_mean() -> None:
    scores = np.array([[0, 0, -1e4, 0], [-1e4, -1e4, 7, -1e4]], np.float32)
    stored = np.arange(24, dtype=np.int8).reshape(4, 3, 2)
    found = run_graph(rewritten(narrow=True), {"scores": scores, "stored": stored}, "out")
    values = SCALE * stored.astype(np.float64).transpose(0, 2, 1).reshape(4, 6)
    np.testing.assert_allclose(found[0], values[[0, 1, 3]].mean(axis=0), atol=TOLERANCE["int8", "attention"], rtol=0)
    np.testing.assert_allclose(found[1], values[2], atol=TOLERANCE["int8", "attention"], rtol=0)


@pytest.mark.parametrize("narrow", [True, False])
def test_only_what_weighs_int8_changes(narrow: bool) -> None:
    before = attention(narrow=narrow)
    kinds = [node.op_type for node in rewritten(narrow=narrow).graph.node]
    assert ("Softmax" in kinds) is not narrow
    assert (rewritten(narrow=narrow) == before) is not narrow
