"""Half precision: which types a lowered graph has, what it computes, and which nodes measurement keeps in float32."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from export._precision_islands import candidates, lower_measured, wide_sums
from export._precision_rounding import rounding
from export.build import make_graph
from export.graph import simplify
from export.parity import run_graph
from export.precision import ONNX_TYPE, float_tensors, lower
from export.trial import WANTED_DB, Array, measure
from models.sttn import SPEC
from runtime.errors import ExportError
from tests.engines import SHORT
from tests.tiny import tiny_network
from tests.tolerances import TOLERANCE

Half = Literal["float16", "bfloat16"]
HALVES: tuple[Half, ...] = ("float16", "bfloat16")
TOKENS, WIDTH = 6, 64


def attention(scale: float = 1.0) -> ModelProto:
    """x [6, 64] -> softmax(scale x w (x w)^T) x w + x, w seeded."""
    weight = np.random.default_rng(1).standard_normal((WIDTH, WIDTH)).astype(np.float32) / np.float32(WIDTH**0.5)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"], name="project"),
        helper.make_node("Transpose", ["q"], ["k"], name="turn", perm=[1, 0]),
        helper.make_node("Mul", ["q", "scale"], ["large"], name="enlarge"),
        helper.make_node("MatMul", ["large", "k"], ["scores"], name="score"),
        helper.make_node("Add", ["scores", "bias"], ["biased"], name="bias scores"),
        helper.make_node("Softmax", ["biased"], ["weights"], name="softmax", axis=1),
        helper.make_node("MatMul", ["weights", "q"], ["mixed"], name="mix"),
        helper.make_node("Add", ["mixed", "x"], ["y"], name="add"),
    ]
    constants = {"w": weight, "scale": np.float32(scale), "bias": np.zeros(TOKENS, np.float32)}
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [TOKENS, WIDTH]) for name in "xy"]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "attention", port[:1], port[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    simplify(model, keep_products=False)
    return model


def feed() -> dict[str, Array]:
    return {"x": np.random.default_rng(2).standard_normal((TOKENS, WIDTH)).astype(np.float32)}


def types(model: ModelProto) -> dict[str, int]:
    """Element types of all tensors, as ONNX infers them from those of the inputs."""
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    infos = (*graph.input, *graph.output, *graph.value_info)
    inferred = {info.name: info.type.tensor_type.elem_type for info in infos}
    return inferred | {item.name: item.data_type for item in graph.initializer}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("window", [None, SHORT], ids=["any", "fixed"])
@pytest.mark.parametrize("index", [0, 1, 2], ids=["encoder", "transformer", "decoder"])
def test_without_islands_everything_is_half_and_nothing_converts(half: Half, window: None, index: int) -> None:
    model = make_graph(SPEC.stages(tiny_network(), window)[index], halves=False)
    lowered = lower(model, half, ())
    checker.check_model(lowered, full_check=True)
    floats, kinds = float_tensors(model), types(lowered)
    scales = {node.input[2] for node in lowered.graph.node if node.op_type == "Resize"}  # float32 by definition
    assert {kinds[name] for name in floats & kinds.keys() - scales} == {ONNX_TYPE[half]}
    assert all(kinds[info.name] == ONNX_TYPE[half] for info in lowered.graph.output)
    assert "Cast" not in {node.op_type for node in lowered.graph.node}
    assert [node.op_type for node in lowered.graph.node] == [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("half", HALVES)
def test_casts_stand_at_the_shores_of_islands_only(half: Half) -> None:
    model = attention()
    islands = {"score", "bias scores", "softmax"}
    lowered = lower(model, half, islands)
    checker.check_model(lowered, full_check=True)
    kinds = types(lowered)
    assert {name: kinds[name] for name in ("scores", "biased", "weights")} == dict.fromkeys(
        ("scores", "biased", "weights"), TensorProto.FLOAT
    )
    assert kinds["q"] == kinds["mixed"] == kinds["y"] == ONNX_TYPE[half]
    casts = {(node.input[0], node.output[0]) for node in lowered.graph.node if node.op_type == "Cast"}
    entering = {source for source, to in casts if to.endswith(".float32")}
    assert entering <= {"q", "k", "large"}
    assert casts - {(name, f"{name}.float32") for name in entering} == {("weights", f"weights.{half}")}


def test_an_output_that_an_island_makes_leaves_as_half() -> None:
    lowered = lower(attention(), "float16", {"add"})
    checker.check_model(lowered, full_check=True)
    assert types(lowered)["y"] == TensorProto.FLOAT16
    assert lowered.graph.node[-1].op_type == "Cast"


@pytest.mark.parametrize("half", HALVES)
def test_a_lowered_graph_is_computed_with_every_result_rounded(half: Half) -> None:
    def rounded(value: Array) -> Array:
        return value.astype(helper.tensor_dtype_to_np_dtype(ONNX_TYPE[half])).astype(np.float32)

    model = attention(scale=0.25)
    (weight,) = (numpy_helper.to_array(item) for item in model.graph.initializer if item.name == "w")
    x = rounded(feed()["x"])
    q = rounded(x @ rounded(weight))
    scores = rounded(rounded(q * np.float32(0.25)) @ q.T)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = rounded(powers / powers.sum(axis=1, keepdims=True))
    wanted = rounded(rounded(weights @ q) + x)
    found = run_graph(rounding(lower(model, half, ())), feed(), "y")
    assert np.array_equal(found, rounded(found)), "results are numbers of the type"
    assert measure(found, wanted).psnr_db > 2 * WANTED_DB or np.array_equal(found, wanted)
    exact = run_graph(model, feed(), "y")
    assert not np.array_equal(found, exact)


def test_weights_stored_as_half_become_constants_again() -> None:
    network = tiny_network().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    stage = SPEC.stages(network, None)[1]
    stored, plain = (make_graph(stage, halves=halves) for halves in (True, False))
    assert "Cast" in {node.op_type for node in stored.graph.node}
    assert "Cast" not in {node.op_type for node in lower(stored, "float16", ()).graph.node}
    values = [
        sorted(numpy_helper.to_array(item).tobytes() for item in lower(model, "float16", ()).graph.initializer)
        for model in (stored, plain)
    ]
    assert values[0] == values[1]


def test_a_constant_beyond_half_is_refused_unless_it_is_on_an_island() -> None:
    model = attention(scale=1e6)
    with pytest.raises(ExportError, match=r"^constant scale reaches 1e\+06, beyond float16; use --bf16"):
        lower(model, "float16", ())
    assert lower(model, "float16", {"enlarge"})
    assert lower(model, "bfloat16", ())


def test_groups_of_islands_grow_and_hold_what_their_names_say() -> None:
    groups = list(candidates(attention().graph))
    assert groups[0] == frozenset()
    assert groups[1] == {"softmax"}
    assert groups[2] == {"softmax", "bias scores", "score"}
    assert groups[3] == groups[2] | {"add"}


def product(width: int) -> ModelProto:
    """x [6, width] -> x x^T."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"], name="score"),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [6, size]) for name, size in (("x", width), ("y", 6))
    ]
    graph = helper.make_graph(nodes, "product", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("half", HALVES)
def test_sums_that_a_gpu_might_make_in_half_are_islands_unmeasured(half: Half) -> None:
    """Which adds in no bfloat16; a processor adds in float32, so that measuring would not find them."""
    assert wide_sums(product(16_384)) == frozenset()
    assert wide_sums(product(16_385)) == {"score"}
    assert wide_sums(attention()) == frozenset()
    model, x = product(17_000), {"x": np.random.default_rng(3).standard_normal((6, 17_000)).astype(np.float32) / 40}
    wanted = run_graph(model, x, "y")
    lowered = lower_measured(model, half, x, wanted, measure(wanted, wanted))
    assert lowered.kept_float32 == (("score",) if half == "float16" else ())


def test_adding_in_half_costs_more_the_more_is_added() -> None:
    """Products of size 1 in all, every 16 of them added exactly and the sum so far rounded: why there is a bound."""
    worst: dict[int, float] = {}
    for width in (5760, 207_360):
        generator = np.random.default_rng(0)
        left, right = (generator.standard_normal((24, width)).astype(np.float32) / width**0.25 for _ in range(2))
        total = np.zeros((24, 24), np.float16)
        for first in range(0, width, 16):
            part = slice(first, first + 16)
            total = (total + left[:, part] @ right[:, part].T).astype(np.float16)
        worst[width] = float(np.abs(total - left.astype(np.float64) @ right.T).max())
    assert worst[5760] < TOLERANCE["sums in half", "5,760 products"]
    assert worst[207_360] > TOLERANCE["sums in half", "207,360 products"]


def test_no_island_is_kept_where_none_is_needed() -> None:
    model = attention(scale=0.1)
    wanted = run_graph(model, feed(), "y")
    lowered = lower_measured(model, "float16", feed(), wanted, measure(wanted, wanted))
    assert lowered.kept_float32 == ()
    assert lowered.parity.psnr_db >= WANTED_DB
    assert lowered.parity.max_abs > 0


def test_scores_beyond_half_are_found_by_measurement_and_kept_in_float32() -> None:
    model = attention(scale=5000.0)  # scores of some hundred thousand
    wanted = run_graph(model, feed(), "y")
    plain = run_graph(rounding(lower(model, "float16", ())), feed(), "y")
    assert not np.isfinite(plain).all()
    lowered = lower_measured(model, "float16", feed(), wanted, measure(wanted, wanted))
    assert lowered.kept_float32 == ("score", "bias scores", "softmax")
    assert types(lowered.graph)["scores"] == TensorProto.FLOAT


def test_a_graph_that_half_cannot_hold_is_refused_with_what_it_reached() -> None:
    model = attention()
    wanted = run_graph(model, feed(), "y")
    record = measure(wanted, wanted)
    with pytest.raises(ExportError, match=r"in float16 it stays within \d+\.\d dB of float32 at best, wanted 56"):
        lower_measured(model, "float16", feed(), wanted + 1, record)
