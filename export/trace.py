"""A stage as an ONNX graph of plain operators: no arithmetic on shapes, the same bytes every time.

torch's TorchScript exporter is asked for (`dynamo=False`): a reshape to constants stays one node, its node names follow
the modules, and an integer input bounds a slice as it stands.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping

import onnx
import torch
from onnx import ModelProto, TensorProto, helper

from models._spec import Port, Stage

OPSET = 17  # what TensorRT 8.5 to 11, onnxruntime and OpenVINO all read
_TRACED_LENGTH = 3  # frames a symbolic axis has while tracing; any would do
_ONNX_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def trace(stage: Stage) -> ModelProto:
    """The stage's graph as torch writes it, its inputs and outputs named and shaped as the stage says."""
    lengths = dict.fromkeys(symbolic_axes(stage), _TRACED_LENGTH)
    with torch.no_grad(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of torch's own exporter, to its own callers
        torch.onnx.export(
            stage.module.eval(),
            tuple(example(port, lengths) for port in stage.inputs),
            path := f"{folder}/{stage.name}.onnx",
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,  # export/graph.py folds, and knows what must stay
            input_names=[port.name for port in stage.inputs],
            output_names=[port.name for port in stage.outputs],
            dynamic_axes={port.name: _dynamic(port) for port in (*stage.inputs, *stage.outputs)},
        )
        model = onnx.load(path)
    _declare_outputs(model, stage)
    return model


def symbolic_axes(stage: Stage) -> tuple[str, ...]:
    """The names of the stage's axes whose length a call decides, in order of appearance."""
    ports = (*stage.inputs, *stage.outputs)
    return tuple(dict.fromkeys(axis for port in ports for axis in port.shape if isinstance(axis, str)))


def example(port: Port, lengths: Mapping[str, int]) -> torch.Tensor:
    """A tensor that fits the port: zeros, or the length that a scalar holds."""
    if port.holds is not None:
        return torch.tensor(lengths[port.holds], dtype=torch.int64)
    return torch.zeros([lengths[axis] if isinstance(axis, str) else axis for axis in port.shape])


def _dynamic(port: Port) -> dict[int, str]:
    return {index: axis for index, axis in enumerate(port.shape) if isinstance(axis, str)}


def _declare_outputs(model: ModelProto, stage: Stage) -> None:
    """torch invents names for output axes it cannot follow; the stage knows them."""
    declared = [helper.make_tensor_value_info(port.name, _ONNX_TYPES[port.dtype], port.shape) for port in stage.outputs]
    del model.graph.output[:]
    model.graph.output.extend(declared)
