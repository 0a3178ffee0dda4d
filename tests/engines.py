"""For tests that compile: a long window's graphs, made from a short one's, and a library that only records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
from onnx import ModelProto, numpy_helper
from torch import nn

from export.build import make_graph
from models._spec import Port, Stage, Window
from models.sttn import SPEC

SHORT = Window(targets=2, references=1, neighbour_stride=5, reference_step=10)
FULL = Window(targets=11, references=5, neighbour_stride=5, reference_step=10)


def full_graphs(network: nn.Module) -> list[tuple[Stage, ModelProto]]:
    """The stages of a full window (11+5) and their float32 graphs.

    Tracing computes the whole window, half a minute for the published network, while the graph holds the window in two
    places only: the shapes of its inputs and outputs, and where it cuts off the targets.
    """
    short, full = SPEC.stages(network, SHORT), SPEC.stages(network, FULL)
    return [(long, widened(make_graph(stage, halves=False), long)) for stage, long in zip(short, full, strict=True)]


def widened(model: ModelProto, stage: Stage) -> ModelProto:
    """The graph of `stage` from that of the same stage with the window `SHORT`."""
    ports = {port.name: port for port in (*stage.inputs, *stage.outputs)}
    for info in (*model.graph.input, *model.graph.output):
        for axis, side in zip(info.type.tensor_type.shape.dim, ports[info.name].shape, strict=True):
            if isinstance(side, int):
                axis.dim_value = side
    ends = {node.input[2] for node in model.graph.node if node.op_type == "Slice"}
    for item in model.graph.initializer:
        if item.name in ends:
            item.CopyFrom(numpy_helper.from_array(np.array([FULL.targets], np.int64), item.name))
    return model


def with_batch_of_one(stage: Stage) -> Stage:
    """The stage with its symbolic axes filled in."""

    def fixed(port: Port) -> Port:
        return replace(port, shape=tuple(side if isinstance(side, int) else 1 for side in port.shape))

    return replace(stage, inputs=tuple(map(fixed, stage.inputs)), outputs=tuple(map(fixed, stage.outputs)))


class Recorder:
    """An object of a library that does nothing but remember what was set on it and called."""

    calls: list[tuple[Any, ...]]

    def __init__(self, **has: object) -> None:
        self.__dict__["calls"] = []
        self.__dict__.update(has)

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__[name] = value
        self.calls.append((name, value))

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given: self.calls.append((name, *given))


class Binding(IntEnum):
    """What bindings make of a C++ enum: a number that is printed as `Kind.MEMBER`."""

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def enumeration(kind: str, *members: str) -> Any:
    """An enum of these members, numbered from 0."""
    return Binding(kind, list(members), start=0)


def library(version: str) -> Any:
    """As much of a release of TensorRT as a builder's settings touch; below 8 it is TensorRT-RTX's."""
    numbers = tuple(int(part) for part in version.split("."))
    rtx = numbers < (8,)
    flags = ["FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"] if (8,) <= numbers < (11,) else []
    flags += ["REQUIRE_USER_ALLOCATION"] if rtx else []
    sources = ["CUBLAS", "CUBLAS_LT", "CUDNN"] if (8,) <= numbers < (11,) else []
    networks = [] if rtx else ["EXPLICIT_BATCH"]
    networks += ["STRONGLY_TYPED"] if rtx or (10,) <= numbers < (11,) else []
    return SimpleNamespace(
        __version__=version,
        BuilderFlag=enumeration("BuilderFlag", *flags, "TF32", "VERSION_COMPATIBLE"),
        NetworkDefinitionCreationFlag=enumeration("NetworkDefinitionCreationFlag", *networks),
        TacticSource=enumeration("TacticSource", *sources, "EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"),
        MemoryPoolType=enumeration("MemoryPoolType", "WORKSPACE"),
        HardwareCompatibilityLevel=enumeration("HardwareCompatibilityLevel", "NONE", "AMPERE_PLUS"),
        ProfilingVerbosity=enumeration("ProfilingVerbosity", "LAYER_NAMES_ONLY", "DETAILED"),
        ComputeCapability=enumeration("ComputeCapability", "SM86", "SM89", "SM120"),
    )


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a network."""

    name: str
    dtype: Any
    is_shape_tensor: bool = False


class Layer(Recorder):
    """A layer of a network: reads and gives tensors."""

    def __init__(self, name: str, kind: str, reads: Sequence[Tensor], gives: Sequence[Tensor]) -> None:
        super().__init__(
            name=name,
            type=f"LayerType.{kind}",
            num_inputs=len(reads),
            num_outputs=len(gives),
            get_input=reads.__getitem__,
            get_output=gives.__getitem__,
        )


def network(*layers: Layer) -> Any:
    """A network of just these layers."""
    return SimpleNamespace(num_layers=len(layers), get_layer=layers.__getitem__)
