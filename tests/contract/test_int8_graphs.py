"""Graphs in int8: what is in them, what two libraries and a parser make of them, and what they are from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from calib.observe import find_clips, holed_clip, observe
from calib.ranges import RangeTable, observed
from export._int8_layers import convolutions, levels_of, ranged
from export._int8_qdq import quantised
from export._int8_sensitivity import sqnr_db
from export._int8_taps import feed_of, tapped
from export.targets import tensorrt_rtx
from export.targets._trt_network import census, ports
from runtime import backends
from runtime.bundle import read_bundle
from runtime.clock import Clock
from runtime.devices import open_device
from runtime.errors import ExportError
from runtime.program import Request
from tests.quantised import Made, float_graphs, graph_of
from tests.tolerances import TOLERANCE


@pytest.mark.parametrize("stage", ["encoder", "transformer", "decoder"])
def test_every_convolution_reads_int8_by_channel_and_everything_else_is_float(made: Made, stage: str) -> None:
    graph = graph_of(made.bundle, stage).graph
    constants = {item.name: item for item in graph.initializer}
    givers = {name: node for node in graph.node for name in node.output}
    assert convolutions(graph_of(made.bundle, stage))
    for node in convolutions(graph_of(made.bundle, stage)):
        weights = givers[node.input[1]]
        assert weights.op_type == "DequantizeLinear"
        assert constants[weights.input[0]].data_type == TensorProto.INT8
        scales = numpy_helper.to_array(constants[weights.input[1]])
        assert scales.shape == (constants[weights.input[0]].dims[0],)
        assert not numpy_helper.to_array(constants[weights.input[2]]).any()
        values = givers[node.input[0]]
        assert values.op_type == "DequantizeLinear"
        assert constants[values.input[2]].data_type == TensorProto.INT8
        assert not numpy_helper.to_array(constants[values.input[2]]).any()
    assert {info.type.tensor_type.elem_type for info in (*graph.input, *graph.output)} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }


def test_attention_is_int8_where_its_projection_is(made: Made) -> None:
    graph = float_graphs(made.bundle)["transformer"]
    heads = [node.op_type for node in graph.graph.node].count("Softmax")
    first = convolutions(graph)[0].name  # queries, keys and values of the first of two blocks
    levels = levels_of(graph, "transformer", made.evidence.table, "entropy")
    whole, kept = ([node.op_type for node in quantised(graph, levels, names).graph.node] for names in ((), (first,)))
    assert (whole.count("Softmax"), whole.count("Exp")) == (0, heads)
    assert (kept.count("Softmax"), kept.count("Exp")) == (heads // 2, heads // 2)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("known", [True, False], ids=["sizes known", "sizes symbolic"])
@pytest.mark.parametrize(("frames", "targets"), [(16, 11), (3, 2)])
def test_both_libraries_run_the_graph_at_any_length_close_to_float32(
    made: Made, name: str, frames: int, targets: int, known: bool
) -> None:
    """Known sizes are what full windows are opened with: OpenVINO chooses other kernels then."""
    backend = backends.get(name)
    stream = open_device(backend.memory, Clock(), 1).stream("test")
    value = np.stack([picture(made, index) for index in range(frames)])
    for stage in made.bundle.manifest.stages:
        feed = feed_of(stage, value, targets)
        rows = targets if stage.outputs[0].shape[0] == "N" else len(value)
        shape = (rows, *(int(side) for side in stage.outputs[0].shape[1:]))
        found: dict[str, np.ndarray] = {}
        for kind, path in (("int8", made.bundle.quantised(stage)), ("fp32", made.bundle.file(stage, "onnx"))):
            assert path is not None
            found[kind] = np.full(shape, np.nan, np.float32)
            sizes = {"B": len(value), "T": frames, "N": targets} if known else {}
            program = backend.open(Request(path, stage, sizes, "fp32"))
            program.enqueue(feed, {stage.outputs[0].name: found[kind]}, stream)
        assert sqnr_db(found["int8"], found["fp32"]) > TOLERANCE["int8", f"{stage.name} db"]
        assert not np.array_equal(found["int8"], found["fp32"])
        value = found["fp32"]


def picture(made: Made, index: int) -> np.ndarray:
    """A frame of the hold-out as the encoder reads it, without its hole."""
    pictures, _ = holed_clip(next(made.holdout.iterdir()), made.bundle, 14)
    return (pictures[index % len(pictures)].transpose(2, 0, 1) / np.float32(127.5) - 1).astype(np.float32)


def test_observing_counts_every_tensor_and_holds_no_more_for_more_clips(made: Made, tmp_path: Path) -> None:
    table = made.evidence.table
    for stage in made.bundle.manifest.stages:
        graph = float_graphs(made.bundle)[stage.name]
        names = {ranges.tensor for ranges in table.tensors if ranges.stage == stage.name}
        assert set(ranged(graph)) <= names
    rgb = table.tensor("encoder", "rgb")
    assert int(rgb.whole.counts.sum()) == 2 * 11 * 3 * 48 * 96  # clips, frames of a full window, samples
    assert -1.0 <= float(rgb.low.min()) < float(rgb.high.max()) <= 1.0
    graphs = float_graphs(made.bundle)
    one = observe(
        tapped(made.bundle, graphs, tmp_path),
        find_clips([made.calibration])[:1],
        backends.get("onnxruntime"),
        table.graphs,
        lambda *_: None,
    )
    held = [[item.whole.counts.nbytes + item.channels.counts.nbytes for item in of.tensors] for of in (one, table)]
    assert held[0] == held[1]


def test_a_window_of_fixed_length_is_observed_full(fixed_window: Path, made: Made, tmp_path: Path) -> None:
    """What stands in for a frame that is not there has features of zero, and counts for none."""
    opened = read_bundle(fixed_window)
    graphs, clips = float_graphs(opened), find_clips([made.calibration])
    source = tapped(opened, graphs, tmp_path)
    table = observe(source, clips, backends.get("onnxruntime"), made.evidence.table.graphs, lambda *_: None)
    assert sorted(clip.frames for clip in table.clips) == [12, 13], "as many as there are"
    features = table.tensor("transformer", "features").whole.counts[0]
    encoded = table.tensor("encoder", "features").whole.counts[0]
    assert features[0] * encoded.sum() == pytest.approx(
        encoded[0] * features.sum(), rel=TOLERANCE["ranges", "zeros"]
    ), "zeros in the share that the encoder gives"


def test_a_value_that_is_no_number_names_tensor_stage_and_clip(made: Made, tmp_path: Path) -> None:
    graphs = float_graphs(made.bundle)
    first = convolutions(graphs["decoder"])[0]
    (weight,) = [item for item in graphs["decoder"].graph.initializer if item.name == first.input[1]]
    weight.CopyFrom(numpy_helper.from_array(np.full(weight.dims, 3e38, np.float32), weight.name))
    source = tapped(made.bundle, graphs, tmp_path)
    with pytest.raises(ExportError) as failure:
        observe(source, find_clips([made.calibration])[:1], backends.get("onnxruntime"), {}, lambda *_: None)
    assert re.match(
        r"clip 12\.mp4: tensor '.+' of stage 'decoder' holds \d+ values that are infinite", str(failure.value)
    )
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("value", [0.0, 1e-42])
def test_a_tensor_of_zeros_or_next_to_them_has_a_scale_that_divides(made: Made, value: float) -> None:
    stage = made.bundle.stage("encoder")
    graph = float_graphs(made.bundle)[stage.name]
    table = made.evidence.table
    flat = tuple(
        observed("encoder", name, np.full((1, len(table.tensor("encoder", name).low), 2), value, np.float32))
        for name in ranged(graph)
    )
    levels = levels_of(graph, "encoder", RangeTable(table.graphs, table.clips, flat), "min-max")
    model = quantised(graph, levels, ())
    scales = {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    values = [numpy_helper.to_array(item) for item in model.graph.initializer if item.name in scales]
    assert len(values) == len(ranged(graph))
    assert all(np.isfinite(1 / value) for value in values)


def test_the_parser_of_tensorrt_takes_the_graph_and_finds_int8_between_float_doors(made: Made) -> None:
    """TensorRT-RTX's, which needs no GPU to parse: it is TensorRT's own, and refuses what that refuses."""
    if reason := tensorrt_rtx.TARGET.why_not():
        pytest.skip(f"tensorrt_rtx: {reason}")
    library = tensorrt_rtx.library()
    logger = library.Logger(library.Logger.INTERNAL_ERROR)
    builder = library.Builder(logger)
    for stage in made.bundle.manifest.stages:
        network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = library.OnnxParser(network, logger)
        graph = graph_of(made.bundle, stage.name)
        parsed = parser.parse(graph.SerializeToString())
        assert parsed, parser.get_error(0)
        layers, _ = census(network, (), "int8")
        assert layers["int8"] >= len(convolutions(graph))
        assert set(ports(network).values()) <= {"float32", "int64"}
