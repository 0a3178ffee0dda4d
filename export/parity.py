"""Every stage's graph against its PyTorch module, on real frames."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto
from polygraphy.backend.base import BaseRunner
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator, SimpleCompareFunc
from polygraphy.logger import G_LOGGER

from models._spec import Stage, Window
from runtime.bundle import ParityRecord
from runtime.errors import ExportError
from runtime.keys import SILENCED

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]

TOLERANCE = 1e-4  # largest absolute difference in float32, for outputs of order 1
EQUAL_DB = 200.0  # what stands for infinity when nothing differs


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


def make_feed(stage: Stage, value: Array, window: Window) -> Feed:
    """The stage's inputs: `value` first, then numbers of targets, and biases.

    Every frame is real, so that biases over tokens alone are zeros; where they have the patches' own axes they say
    what is hole, and every third patch is.
    """
    first, *others = stage.inputs
    feed: dict[str, Array] = {first.name: np.ascontiguousarray(value)}
    for port in others:
        if port.holds is not None:
            feed[port.name] = np.array(window.targets, np.int64)
            continue
        feed[port.name] = np.zeros([side if isinstance(side, int) else len(value) for side in port.shape], np.float32)
        if len(port.shape) > 1:
            feed[port.name].reshape(-1)[1::3] = SILENCED
    return feed


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


def measure(found: Array, wanted: Array) -> ParityRecord:
    """How far onnxruntime's `found` is from `wanted`; the caller adds the stage, the frames and what is allowed."""
    return ParityRecord(
        stage="",
        runner="onnxruntime",
        frames="",
        max_abs=_finite_max(np.abs(found - wanted)),
        tolerance=0.0,
        psnr_db=_psnr_db(found.astype(np.float64), wanted.astype(np.float64)),
        nan_count=int(np.isnan(found).sum()),
    )


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


def _finite_max(difference: Array) -> float:
    finite = difference[np.isfinite(difference)]
    return float(finite.max()) if finite.size else 0.0


def _psnr_db(found: Array, wanted: Array) -> float:
    """Peak signal-to-noise ratio against the range of `wanted`; `EQUAL_DB` when nothing differs, 0 beside NaN."""
    error = float(np.mean((found - wanted) ** 2))
    span = float(wanted.max() - wanted.min())
    if not math.isfinite(error) or span == 0.0:
        return EQUAL_DB if error == 0.0 else 0.0
    return EQUAL_DB if error == 0.0 else min(EQUAL_DB, 20 * math.log10(span) - 10 * math.log10(error))
