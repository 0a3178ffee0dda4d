"""ONNX -> ONNX: a float32 graph in half precision, with islands of float32 where rounding shows (docs/adr/0011).

Every tensor gets one type, decided by the node that makes it: float32 inside an island, half elsewhere.  A reader that
wants the other type gets a Cast, one per tensor, so that casts stand at the shores of islands and nowhere else; the
graph's own inputs and outputs are half, so that one stage's output is the next one's input as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

from export.graph import simplify
from export.targets._target import Half
from runtime.errors import ExportError

ONNX_TYPE: Mapping[str, int] = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
_BFLOAT16_OPSET = 22  # the first whose Conv may be bfloat16
_FLOAT32_INPUTS: Mapping[str, Collection[int]] = {"Resize": (1, 2)}  # region and scales are float32 by definition


def lower(model: ModelProto, half: Half, islands: Collection[str]) -> ModelProto:
    """The graph of `model` (float32, unchanged) in `half`, but for the nodes named in `islands`.

    Raises `ExportError` when a constant outside the islands leaves the range of `half`.
    """
    lowered = ModelProto()
    lowered.CopyFrom(model)
    simplify(lowered, keep_products=False)  # weights stored as half behind a Cast become constants again
    if half == "bfloat16":
        lowered = version_converter.convert_version(lowered, _BFLOAT16_OPSET)
    _Lowering(lowered.graph, half, islands, float_tensors(lowered)).run()
    return lowered


def float_tensors(model: ModelProto) -> frozenset[str]:
    """Names of the float32 tensors of `model`: inputs, outputs, constants and all between them."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    infos = (*graph.input, *graph.output, *graph.value_info)
    named = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.FLOAT}
    return frozenset(named | {item.name for item in graph.initializer if item.data_type == TensorProto.FLOAT})


class _Lowering:
    """One graph on its way to half precision."""

    def __init__(self, graph: GraphProto, half: Half, islands: Collection[str], floats: Collection[str]) -> None:
        self._graph = graph
        self._half = half
        self._islands = islands
        self._floats = floats
        self._wide: set[str] = set()  # tensors that nodes of islands make
        self._constants = {item.name: item for item in graph.initializer}
        self._nodes: list[NodeProto] = []
        self._cast: dict[str, str] = {}  # tensor -> its copy of the other type
        self._added: dict[str, TensorProto] = {}

    def run(self) -> None:
        """Rewrite the graph in place."""
        for node in list(self._graph.node):
            self._add(node)
        for output in self._graph.output:
            self._give(output.name)
        for info in (*self._graph.input, *self._graph.output):
            if info.name in self._floats:
                info.type.tensor_type.elem_type = ONNX_TYPE[self._half]
        used = {name for node in self._nodes for name in node.input}
        del self._graph.value_info[:]  # the version converter leaves float32 ones
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        untouched = (item for item in self._graph.initializer if item.name not in self._floats)
        kept = [item for item in (*untouched, *self._added.values()) if item.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _add(self, node: NodeProto) -> None:
        wide = node.name in self._islands
        always = _FLOAT32_INPUTS.get(node.op_type, ())
        node.input[:] = [
            self._read(name, wide=wide or index in always) if name in self._floats else name
            for index, name in enumerate(node.input)
        ]
        if wide:
            self._wide.update(name for name in node.output if name in self._floats)
        self._nodes.append(node)

    def _read(self, name: str, *, wide: bool) -> str:
        """The tensor's name in the type that its reader wants."""
        if name in self._constants:
            return self._constant(name, wide=wide)
        if (name in self._wide) == wide:
            return name
        if name not in self._cast:
            self._cast[name] = f"{name}.{'float32' if wide else self._half}"
            self._nodes.append(self._cast_node(name, self._cast[name], wide=wide))
        return self._cast[name]

    def _constant(self, name: str, *, wide: bool) -> str:
        own = f"{name}.float32" if wide else name
        if own not in self._added:
            value = numpy_helper.to_array(self._constants[name])
            self._added[own] = numpy_helper.from_array(value if wide else self._rounded(value, name), own)
        return own

    def _rounded(self, value: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):
            rounded = value.astype(helper.tensor_dtype_to_np_dtype(ONNX_TYPE[self._half]))
        if not np.isfinite(rounded.astype(np.float32)).all():
            raise ExportError(
                f"constant {name} reaches {np.abs(value).max():.3g}, beyond {self._half}; use --bf16, or no half at all"
            )
        return rounded

    def _give(self, name: str) -> None:
        """An output of the graph that an island makes leaves it in half all the same."""
        if name not in self._wide:
            return
        inner = f"{name}.float32"
        for node in self._nodes:
            node.output[:] = [inner if own == name else own for own in node.output]
            node.input[:] = [inner if own == name else own for own in node.input]
        self._nodes.append(self._cast_node(inner, name, wide=False))

    def _cast_node(self, source: str, to: str, *, wide: bool) -> NodeProto:
        kind = TensorProto.FLOAT if wide else ONNX_TYPE[self._half]
        return helper.make_node("Cast", [source], [to], name=f"{to}.cast", to=kind)
