"""What is in the exported graphs, and that onnxruntime computes from them what PyTorch computes from the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from export.build import make_graph
from export.parity import run_module
from export.storage import exact_in_half
from export.trial import make_feed
from models._spec import Port, Stage, Window
from models._sttn_masking import SILENT
from models.sttn import SPEC
from runtime.errors import ExportError
from tests.tiny import tiny_network
from tests.tolerances import TOLERANCE

Array = npt.NDArray[np.float32]
FIXED = Window(targets=4, references=3, neighbour_stride=1, reference_step=10)


def run(model: onnx.ModelProto, feed: Mapping[str, npt.NDArray[Any]]) -> Array:
    """The graph's only output."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, dict(feed))[0], np.float32)


def noise(frames: int) -> Array:
    return np.random.default_rng(0).standard_normal((frames, 16, 12, 24)).astype(np.float32)


def error(found: Array, wanted: Array) -> float:
    """Largest difference, as a share of the largest value where that exceeds 1."""
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("window", [None, FIXED], ids=["any", "fixed"])
@pytest.mark.parametrize("index", [0, 1, 2], ids=["encoder", "transformer", "decoder"])
def test_a_graph_is_plain_operators_on_floats(index: int, window: Window | None) -> None:
    stage = SPEC.stages(tiny_network(), window)[index]
    model = make_graph(stage, halves=False)
    plain = {"Add", "Concat", "Conv", "LeakyRelu", "MatMul", "Reshape", "Resize", "Slice", "Softmax", "Split", "Tanh"}
    assert {node.op_type for node in model.graph.node} <= plain | {"Transpose", "Unsqueeze"}
    assert sum(node.op_type == "Unsqueeze" for node in model.graph.node) == (index == 1 and window is None)
    shapes = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Reshape":
            target = shapes[node.input[1]]
            assert len(target) <= 4
            assert (target[1:] > 0).all(), "only the axis of frames may be left open"
        if node.op_type == "Transpose":
            assert len(node.attribute[0].ints) <= 4


def test_the_projections_are_one_convolution_and_the_last_block_computes_targets_alone() -> None:
    graph = make_graph(SPEC.stages(tiny_network(), None)[1], halves=False).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    assert (
        len(convolutions) == 4 + 5
    )  # Q, K and V as one, output, two of feed-forward; Q apart in the last of two blocks
    (cut,) = [node for node in graph.node if node.op_type == "Slice"]
    assert cut.name.startswith("/blocks.1/")


@pytest.mark.parametrize("frames", [(1, 0), (1, 1), (3, 2), (11, 5)])
def test_a_symbolic_transformer_takes_any_number_of_frames(frames: tuple[int, int]) -> None:
    stage = SPEC.stages(tiny_network(), None)[1]
    model = make_graph(stage, halves=False)
    window = Window(*frames, neighbour_stride=1, reference_step=10)
    features = noise(sum(frames))
    feed = make_feed(stage.inputs, features, window.targets)
    found = run(model, feed)
    wanted = run_module(stage, feed)["completed"]
    assert found.shape == wanted.shape == (frames[0], 16, 12, 24)
    assert error(found, wanted) < TOLERANCE["stage", "float32"]


def test_a_fixed_graph_with_fillers_equals_the_symbolic_graph_with_fewer_frames() -> None:
    network = tiny_network()
    fixed, free = SPEC.stages(network, FIXED)[1], SPEC.stages(network, None)[1]
    real = noise(3)  # two targets, a reference
    slots = np.full((7, 16, 12, 24), 3, np.float32)
    slots[:2], slots[4] = real[:2], real[2]
    silent = np.array([0, 0, SILENT, SILENT, 0, SILENT, SILENT], np.float32)
    feed = {"features": slots} | {
        port.name: np.repeat(silent, int(port.shape[0]) // len(silent)) for port in fixed.inputs[1:]
    }
    found = run(make_graph(fixed, halves=False), feed)
    wanted = run(make_graph(free, halves=False), {"features": real, "targets": np.array(2)})
    assert error(found[:2], wanted) < TOLERANCE["filler", "float32"]


def test_half_storage_changes_nothing_but_the_size() -> None:
    network = tiny_network().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(parameter.half().float())
    stage = SPEC.stages(network, None)[1]
    full, half = make_graph(stage, halves=False), make_graph(stage, halves=True)
    assert half.ByteSize() < 0.75 * full.ByteSize()
    feed = {"features": noise(3), "targets": np.array(2)}
    assert np.array_equal(run(half, feed), run(full, feed))


def test_weights_that_are_no_half_precision_numbers_are_kept_whole() -> None:
    assert exact_in_half([np.array([1.0, 0.5, 65504.0], np.float32)])
    assert not exact_in_half([np.array([1.0], np.float32), np.array([0.1], np.float32)])
    assert not exact_in_half([np.array([1e6], np.float32)])
    model = make_graph(SPEC.stages(tiny_network(), None)[0], halves=True)
    kept = [item for item in model.graph.initializer if len(item.dims) > 1]
    assert {item.data_type for item in kept} == {onnx.TensorProto.FLOAT}


class Reshaper(nn.Module):
    """Asks a tensor for its size while running."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0] * 2, -1)


def test_a_graph_that_computes_on_shapes_is_refused() -> None:
    stage = Stage("odd", Reshaper(), (Port("x", ("T", 4)),), (Port("y", ("N", 2)),))
    with pytest.raises(ExportError, match=r"^stage 'odd': node \S+ \(\w+\) computes on shapes\."):
        make_graph(stage, halves=False)
