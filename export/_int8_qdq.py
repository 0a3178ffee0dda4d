"""ONNX -> ONNX: convolutions between explicit Q/DQ nodes, by onnxruntime's own pass (docs/adr/0015).

Of that library the rewriting of graphs alone is used here; running them is its backend's business.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, checker, numpy_helper

from export._int8_attention import quantise_weights
from export._int8_balance import balanced
from export._int8_layers import Level, convolutions
from export.graph import PRODUCER, simplify
from runtime.errors import ExportError


def quantised(
    model: ModelProto,
    levels: Mapping[str, Level],
    kept: Collection[str],
    *,
    balance: bool = True,
    attention: bool = True,
) -> ModelProto:
    """`model` (float32, simplified, unchanged) with Q/DQ around every convolution but those named in `kept`.

    Activations are symmetric int8, one scale a tensor; weights are symmetric int8, one scale an output channel.
    Channels are balanced first (`export._int8_balance`), and attention follows where queries, keys and values come from
    such a convolution (`export._int8_attention`); either can be left out, to see what it is worth.  Everything else
    stays float32: inputs, outputs, and biases, which TensorRT takes in no other type.
    """
    if balance:
        model, levels = balanced(model, levels, kept)
    names = [node.name for node in convolutions(model) if node.name not in kept]
    narrow = _between_qdq(model, levels, names) if names else _copy(model)
    if attention:
        quantise_weights(narrow)
    _tidy(narrow)
    checker.check_model(narrow, full_check=True)
    return narrow


def _between_qdq(model: ModelProto, levels: Mapping[str, Level], names: Sequence[str]) -> ModelProto:
    """A copy with Q/DQ around the convolutions of these names."""
    library: Any = importlib.import_module("onnxruntime.quantization")
    pass_: Any = importlib.import_module("onnxruntime.quantization.qdq_quantizer").QDQQuantizer
    largest = {name: np.float32(level.whole) for name, level in levels.items()}
    ranges = library.TensorsData(
        library.CalibrationMethod.MinMax,
        {name: library.TensorData(lowest=-value, highest=value) for name, value in largest.items()},
    )
    options = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
    integer = library.QuantType.QInt8
    source = onnx.shape_inference.infer_shapes(model)
    rewriter = pass_(source, True, False, integer, integer, ranges, names, [], ["Conv"], options)
    rewriter.quantize_model()
    rewriter.model.topological_sort()
    return _copy(rewriter.model.model)


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


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
