"""ONNX -> ONNX: constants folded, leftovers removed, and a guard that nothing computes on shapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from runtime.errors import ExportError

Array = npt.NDArray[np.generic]

PRODUCER = "vidmend"

# Operators that only appear where sizes are computed while running, or that need them.
SHAPE_ARITHMETIC = frozenset(
    ("ConstantOfShape", "Expand", "Gather", "GatherND", "If", "Loop", "NonZero", "Range", "Shape", "Size", "Tile")
)
_INTEGERS = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)


def simplify(model: ModelProto, *, keep_products: bool) -> None:
    """Fold what depends on constants alone, in place; `keep_products` leaves products with weights to the runtime.

    Kept products let half-precision weights be stored as they are: see `export.storage`.
    """
    graph = model.graph
    constants: dict[str, Array] = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    kept: list[NodeProto] = []
    for node in graph.node:
        folds = all(name in constants for name in node.input) and not (keep_products and node.op_type == "Mul")
        if folds:
            constants.update(_evaluate(node, constants))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    _store(graph, constants)
    _anonymise(model)


def refuse_shape_arithmetic(model: ModelProto, stage: str) -> None:
    """Raise `ExportError` if the graph computes on shapes: such graphs run slowly and compile badly, or not at all."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    integers = {info.name for info in inferred.value_info if info.type.tensor_type.elem_type in _INTEGERS}
    scalars = {info.name for info in model.graph.input if not info.type.tensor_type.shape.dim}
    for node in model.graph.node:
        passes_scalar_on = node.op_type == "Unsqueeze" and node.input[0] in scalars
        computes_integers = any(name in integers for name in node.output) and not passes_scalar_on
        if node.op_type in SHAPE_ARITHMETIC or computes_integers:
            raise ExportError(
                f"stage '{stage}': node {node.name} ({node.op_type}) computes on shapes. "
                f"The stage's module must reshape to constants only."
            )


def _evaluate(node: NodeProto, constants: Mapping[str, Array]) -> dict[str, Array]:
    results = ReferenceEvaluator(node).run(None, {name: constants[name] for name in node.input})
    return {name: np.asarray(value) for name, value in zip(node.output, results, strict=True)}


def _store(graph: GraphProto, constants: Mapping[str, Array]) -> None:
    """Keep the constants that a node reads, each value under one name."""
    used = [name for node in graph.node for name in node.input if name in constants]
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    alias: dict[str, str] = {}
    for name in dict.fromkeys(used):
        value = constants[name]
        alias[name] = first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)
    for node in graph.node:
        node.input[:] = [alias.get(name, name) for name in node.input]
    del graph.initializer[:]
    graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in first.values())


def _anonymise(model: ModelProto) -> None:
    """Drop what would make equal graphs differ: versions, source lines, inferred shapes of the exporter's choice."""
    model.producer_name, model.producer_version, model.doc_string = PRODUCER, "", ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
