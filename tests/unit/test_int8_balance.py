"""Channels brought to like ranges: the same floats, less noise in int8, and only where it costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export._int8_balance import balanced
from export._int8_layers import Level, convolutions
from export._int8_qdq import quantised
from export._int8_sensitivity import sqnr_db
from export.parity import run_graph
from tests.tolerances import TOLERANCE

CHANNELS = 6
SIDE = 8


def network(weights: np.ndarray) -> ModelProto:
    """`x` through a convolution, its result through another one, and their sum through a third."""
    names = ("outer", "inner", "last")
    nodes = [
        helper.make_node("Conv", ["x", "outer.weight"], ["first"], "outer", pads=[1] * 4),
        helper.make_node("LeakyRelu", ["first"], ["bent"], "bend", alpha=0.2),
        helper.make_node("Conv", ["bent", "inner.weight"], ["second"], "inner", pads=[1] * 4),
        helper.make_node("Add", ["x", "second"], ["sum"], "add"),
        helper.make_node("Conv", ["sum", "last.weight"], ["out"], "last", pads=[1] * 4),
    ]
    constants = [numpy_helper.from_array(weights[number], f"{name}.weight") for number, name in enumerate(names)]
    shape = ["B", CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def seeded(seed: int, spread: float) -> tuple[ModelProto, np.ndarray, dict[str, Level]]:
    """A network, what it sees, and the least and largest values of what flows, its channels uneven by `spread`."""
    rng = np.random.default_rng(seed)
    weights = (rng.standard_normal((3, CHANNELS, CHANNELS, 3, 3)) / CHANNELS).astype(np.float32)
    weights[1] /= 1024  # so that the sum is as uneven as what goes in
    x = rng.standard_normal((2, CHANNELS, SIDE, SIDE)) * np.exp2(spread * rng.standard_normal(CHANNELS))[:, None, None]
    model, x = network(weights), x.astype(np.float32)
    flowing = {"x": x} | {name: seen(model, x, name) for name in ("first", "bent", "second", "sum", "out")}
    return model, x, {name: level_of(values) for name, values in flowing.items()}


def seen(model: ModelProto, x: np.ndarray, name: str) -> np.ndarray:
    tapped = ModelProto()
    tapped.CopyFrom(model)
    if name != "out":
        tapped.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return run_graph(tapped, {"x": x}, name)


def level_of(values: np.ndarray) -> Level:
    channels = np.abs(values).max(axis=(0, 2, 3)).astype(np.float64)
    return Level(float(channels.max()), channels)


@given(seed=st.integers(0, 999), spread=st.sampled_from([0.0, 1.0, 6.0]))
def test_floats_stay_as_they_are_to_the_last_bit(seed: int, spread: float) -> None:
    model, x, levels = seeded(seed, spread)
    even, _ = balanced(model, levels, ())
    if spread > 1:
        assert "Mul" in [node.op_type for node in even.graph.node]
    assert np.array_equal(run_graph(even, {"x": x}, "out"), run_graph(model, {"x": x}, "out"))


@given(seed=st.integers(0, 999), spread=st.sampled_from([0.0, 1.0, 6.0]))
def test_levels_are_those_of_what_flows_now_and_no_wider_apart(seed: int, spread: float) -> None:
    model, x, levels = seeded(seed, spread)
    even, found = balanced(model, levels, ())
    for node in (node for node in even.graph.node if node.op_type == "Mul"):
        measured = level_of(seen(even, x, node.output[0]))
        assert found[node.output[0]].whole == measured.whole
        assert np.array_equal(found[node.output[0]].channels, measured.channels)
    assert {name: found[name] for name in levels} == levels


def test_channels_that_are_large_and_read_by_small_weights_drown_no_others() -> None:
    """What a residual stream looks like: each channel counts as much as another, whatever its size."""
    gains: list[float] = []
    for seed in range(5):
        model, x, levels = seeded(seed, 2.0)
        (last,) = [item for item in model.graph.initializer if item.name == "last.weight"]
        weights = numpy_helper.to_array(last)
        sizes = levels["sum"].channels.astype(np.float32)[:, None, None]
        last.CopyFrom(numpy_helper.from_array(weights / sizes, last.name))
        wanted = run_graph(model, {"x": x}, "out")
        levels["out"] = level_of(wanted)
        kept = ["outer", "inner"]
        plain = quantised(behind_a_product(model), {**levels, "same": levels["sum"]}, kept)
        graphs = [quantised(model, levels, kept), plain]
        found, other = (sqnr_db(run_graph(graph, {"x": x}, "out"), wanted) for graph in graphs)
        gains.append(found - other)
    assert min(gains) > TOLERANCE["int8", "balance gain db"]


def behind_a_product(model: ModelProto) -> ModelProto:
    """The network with a product that changes nothing before the last convolution, which then reads no sum."""
    other = ModelProto()
    other.CopyFrom(model)
    *nodes, last = other.graph.node
    other.graph.initializer.append(numpy_helper.from_array(np.ones((), np.float32), "one"))
    del other.graph.node[:]
    last.input[0] = "same"
    other.graph.node.extend([*nodes, helper.make_node("Mul", ["sum", "one"], ["same"]), last])
    return other


def test_what_reads_another_convolution_and_what_is_kept_is_left_alone() -> None:
    model, _, levels = seeded(1, 2.0)
    even, _ = balanced(model, levels, ["last"])
    assert [node.input[0] for node in convolutions(even)] == ["outer.balanced", "bent", "sum"]
    kept = {item.name: item for item in even.graph.initializer}
    for item in model.graph.initializer:
        same = np.array_equal(numpy_helper.to_array(item), numpy_helper.to_array(kept[item.name]))
        assert same is (item.name != "outer.weight")


@pytest.mark.parametrize("dead", ["channel", "weights", "tensor", "all weights"])
def test_dead_channels_and_weights_leave_everything_finite(dead: str) -> None:
    model, x, levels = seeded(2, 1.0)
    if dead in ("channel", "tensor"):
        x[:, slice(1) if dead == "channel" else slice(None)] = 0
        levels["x"] = level_of(x)
    else:
        (item,) = [item for item in model.graph.initializer if item.name == "outer.weight"]
        weights = numpy_helper.to_array(item).copy()
        weights[:, slice(1) if dead == "weights" else slice(None)] = 0
        item.CopyFrom(numpy_helper.from_array(weights, item.name))
    even, found = balanced(model, levels, ())
    assert all(np.isfinite(numpy_helper.to_array(item)).all() for item in even.graph.initializer)
    assert all(np.isfinite(level.channels).all() for level in found.values())
    assert np.array_equal(run_graph(even, {"x": x}, "out"), run_graph(model, {"x": x}, "out"))
    assert np.isfinite(run_graph(quantised(model, levels, ()), {"x": x}, "out")).all()
