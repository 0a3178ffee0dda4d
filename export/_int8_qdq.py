"""ONNX -> ONNX: convolutions between explicit Q/DQ nodes, by onnxruntime's own pass (docs/adr/0015).

Of that library the rewriting of graphs alone is used here; running them is its backend's business.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, checker, numpy_helper

from calib.ranges import RangeTable
from calib.thresholds import LEVELS
from export.graph import PRODUCER, simplify
from runtime.errors import ExportError

# Below this a tensor's scale would be no normal float32: its values are taken for zeros, whose scale is 1.
TINIEST = LEVELS * 2.0**-120


def convolutions(model: ModelProto) -> list[NodeProto]:
    """What is quantised, in the graph's order."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def ranged(model: ModelProto) -> list[str]:
    """The tensors whose ranges quantising takes: what convolutions read and give, each once, in the graph's order."""
    return list(dict.fromkeys(name for node in convolutions(model) for name in (node.input[0], node.output[0])))


def quantised(model: ModelProto, stage: str, table: RangeTable, rule: str, kept: Collection[str]) -> ModelProto:
    """`model` (float32, simplified, unchanged) with Q/DQ around every convolution but those named in `kept`.

    Activations are symmetric int8, one scale a tensor, by `rule` of the table; weights are symmetric int8, one scale an
    output channel.  Everything else stays float32: inputs, outputs, and biases, which TensorRT takes in no other type.
    """
    library: Any = importlib.import_module("onnxruntime.quantization")
    pass_: Any = importlib.import_module("onnxruntime.quantization.qdq_quantizer").QDQQuantizer
    source = onnx.shape_inference.infer_shapes(model)
    names = [node.name for node in convolutions(model) if node.name not in kept]
    levels = {name: _level(table, stage, name, rule) for name in ranged(model)}
    ranges = library.TensorsData(
        library.CalibrationMethod.MinMax,
        {name: library.TensorData(lowest=-level, highest=level) for name, level in levels.items()},
    )
    if names:
        options = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
        integer = library.QuantType.QInt8
        rewriter = pass_(source, True, False, integer, integer, ranges, names, [], ["Conv"], options)
        rewriter.quantize_model()
        rewriter.model.topological_sort()
        source = rewriter.model.model
    simplified = ModelProto()
    simplified.CopyFrom(source)
    _tidy(simplified)
    checker.check_model(simplified, full_check=True)
    return simplified


def _level(table: RangeTable, stage: str, name: str, rule: str) -> npt.NDArray[np.float32]:
    level, _ = table.tensor(stage, name).thresholds(rule)
    return np.float32(level if level > TINIEST else 0.0)  # pyright: ignore[reportReturnType]  # a scalar array


def _tidy(model: ModelProto) -> None:
    """What makes equal graphs differ goes: versions, and the shapes that were inferred for the pass."""
    model.producer_name, model.producer_version = PRODUCER, ""
    del model.graph.value_info[:]
    del model.metadata_props[:]


def float_graph(content: bytes) -> ModelProto:
    """A bundle's graph with its weights as float32 constants."""
    model = onnx.load_from_string(content)
    simplify(model, keep_products=False)
    return model


def refuse_not_finite(model: ModelProto, stage: str) -> None:
    """Raise `ExportError` at a weight that is infinite or no number."""
    for item in model.graph.initializer:
        value = numpy_helper.to_array(item)
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise ExportError(f"stage '{stage}': weight '{item.name}' holds values that are infinite or no number")
