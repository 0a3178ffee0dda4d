"""Every stage's graph against its PyTorch module, on real frames."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from onnx import ModelProto
from polygraphy.backend.base import BaseRunner
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator, SimpleCompareFunc
from polygraphy.logger import G_LOGGER

from export.trial import Array, Feed, measure
from models._spec import Stage
from runtime.bundle import ParityRecord
from runtime.errors import ExportError

TOLERANCE = 1e-4  # largest absolute difference in float32, for outputs of order 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out of running a stage both ways."""

    record: ParityRecord
    feed: Feed  # what both saw
    wanted: Array  # PyTorch's output, the next stage's input


class TorchRunner(BaseRunner):
    """A stage's module behind Polygraphy's face."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(name="pytorch")
        self._stage = stage

    def get_input_metadata_impl(self) -> TensorMetadata:
        """The stage's ports; Polygraphy writes a symbolic axis as its name."""
        metadata = TensorMetadata()
        for port in self._stage.inputs:
            metadata.add(port.name, dtype=np.dtype(port.dtype), shape=list(port.shape))
        return metadata

    def infer_impl(self, feed_dict: Feed) -> OrderedDict[str, Array]:
        """Run the module in float32 without gradients."""
        start = time.perf_counter()
        outputs = OrderedDict(run_module(self._stage, feed_dict))
        self.inference_time = time.perf_counter() - start
        return outputs


def run_module(stage: Stage, feed: Feed) -> dict[str, Array]:
    """The stage's outputs as PyTorch computes them."""
    with torch.no_grad():
        result = stage.module(*(torch.from_numpy(np.asarray(feed[port.name])) for port in stage.inputs))
    return {stage.outputs[0].name: result.numpy()}


def compare(stage: Stage, model: ModelProto, feed: Feed, frames: str) -> Comparison:
    """Run module and graph on `feed`, which `frames` describes; the tolerance grows with outputs that exceed 1.

    Raises `ExportError` when a value differs by more, is not a number, or the shapes differ.
    """
    runners = [TorchRunner(stage), OnnxrtRunner(_session(model), name="onnxruntime")]
    output = stage.outputs[0].name
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):  # it reports line by line what the record holds
        results: Any = Comparator.run(runners, data_loader=[feed])
        wanted, found = (_output(results, runner, output) for runner in runners)
        allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
        verdict = Comparator.compare_accuracy(results, compare_func=SimpleCompareFunc(atol=allowed, rtol=0.0))
    if found.shape != wanted.shape:
        raise ExportError(
            f"stage '{stage.name}' ({frames}): onnxruntime gives shape {list(found.shape)}, PyTorch "
            f"{list(wanted.shape)}; nothing was written, please report it"
        )
    record = replace(measure(found, wanted), stage=stage.name, frames=frames, tolerance=allowed)
    if not bool(verdict) or record.nan_count:
        raise ExportError(
            f"stage '{stage.name}' ({frames}): onnxruntime differs from PyTorch by {record.max_abs:.3g}, "
            f"allowed {record.tolerance:.3g}, {record.nan_count} NaN; nothing was written, please report it"
        )
    return Comparison(record, feed, wanted)


def run_graph(model: ModelProto, feed: Feed, output: str) -> Array:
    """One output of the graph as onnxruntime computes it on the CPU."""
    return run_outputs(model, feed, [output])[0]


def run_outputs(model: ModelProto, feed: Feed, outputs: Sequence[str]) -> list[Array]:
    """Outputs of the graph as onnxruntime computes them on the CPU."""
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL), OnnxrtRunner(_session(model)) as opened:
        runner: Any = opened
        found = runner.infer(dict(feed))
        return [np.array(found[name]) for name in outputs]


def _output(results: Any, runner: BaseRunner, name: str) -> Array:
    """One output of the only run that a runner made."""
    return np.asarray(results[runner.name][0][name])


def _session(model: ModelProto) -> SessionFromOnnx:
    return SessionFromOnnx(model.SerializeToString(), providers=["cpu"])
