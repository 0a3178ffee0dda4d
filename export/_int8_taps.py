"""A bundle whose graphs give up what flows inside them, for `calib.observe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from export._int8_layers import ranged
from export.parity import Array, Feed, run_outputs
from runtime import bundle
from runtime.bundle import Bundle, StageSpec, TensorSpec

_TRIED = {"B": 1, "T": 3, "N": 2}  # lengths that tell the axes apart


def tapped(opened: Bundle, graphs: Mapping[str, ModelProto], folder: Path) -> Bundle:
    """A copy of the bundle in `folder` whose stages give the tensors that quantising needs as further outputs.

    `graphs` are its float32 graphs by stage; graphs in other types, engines and the graph for parts stay behind: what
    is observed are whole pictures.
    """
    stages = tuple(_tapped(stage, graphs[stage.name], folder) for stage in opened.manifest.stages)
    return Bundle(folder, replace(opened.manifest, stages=stages))


def feed_of(stage: StageSpec, value: Array, targets: int) -> Feed:
    """The stage's inputs: `value` first, then the number of targets, and biases that leave no key out."""
    first, *others = stage.inputs
    feed: dict[str, Array] = {first.name: np.ascontiguousarray(value)}
    for port in others:
        if port.holds is not None:
            feed[port.name] = np.array(targets, np.int64)
        else:
            shape = [side if isinstance(side, int) else len(value) for side in port.shape]
            feed[port.name] = np.zeros(shape, np.float32)
    return feed


def _tapped(stage: StageSpec, graph: ModelProto, folder: Path) -> StageSpec:
    doors = {port.name for port in (*stage.inputs, *stage.outputs)}  # are observed anyway
    names = [name for name in ranged(graph) if name not in doors]
    model = ModelProto()
    model.CopyFrom(graph)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    path = folder / f"{stage.name}.onnx"
    onnx.save(model, str(path))
    specs = _specs(stage, model, names)
    files = {"onnx": bundle.file_record(folder, path)}
    return replace(stage, outputs=(*stage.outputs, *specs), files=files, typed=(), part=None)


def _specs(stage: StageSpec, model: ModelProto, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The tensors' shapes, found by a run on zeros; their first axis is the one of the same length."""
    axis = stage.inputs[0].shape[0]
    length = _TRIED[axis] if isinstance(axis, str) else axis
    shape = [length, *(int(side) for side in stage.inputs[0].shape[1:])]
    found = run_outputs(model, feed_of(stage, np.zeros(shape, np.float32), _TRIED["N"]), names)
    symbols: dict[int, int | str] = {
        _TRIED[side]: side for side in (axis, stage.outputs[0].shape[0]) if isinstance(side, str)
    }
    return tuple(
        TensorSpec(name, "float32", (symbols.get(array.shape[0], int(array.shape[0])), *map(int, array.shape[1:])))
        for name, array in zip(names, found, strict=True)
    )
