"""Operations and bytes of what OpenVINO executes, counted from shapes: the floor of a layer's time.

A multiplication and its addition are two operations.  Bytes are those of inputs, weights and outputs, each moved once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

_BYTES = {"f32": 4, "bf16": 2, "f16": 2, "i8": 1, "u8": 1, "i32": 4, "i64": 8, "boolean": 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it was executed, with all that was fused into it."""

    name: str
    kind: str  # as OpenVINO calls it
    precision: str  # type that it computed in
    seconds: float  # mean of the runs
    operations: int
    moved_bytes: int


def layers_of(compiled: Any, graph: Any) -> list[Layer]:
    """The executed layers of a compiled model that has run with PERF_COUNT; `graph` is the model, its shapes static."""
    work = multiplications(graph)
    found: list[Layer] = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = {key: str(value.astype(str)) for key, value in node.get_rt_info().items() if key in _FACTS}
        if not facts.get("execTimeMcs", "").isdigit():  # folded, or a view of another layer's memory
            continue
        originals = facts["originalLayersNames"].split(",")
        found.append(
            Layer(
                name=originals[-1] or node.get_friendly_name(),
                kind=facts["layerType"],
                precision=facts["runtimePrecision"],
                seconds=int(facts["execTimeMcs"]) / 1e6,
                operations=sum(work.get(name, 0) for name in originals),
                moved_bytes=_moved(node, facts["runtimePrecision"]),
            )
        )
    return found


_FACTS = ("execTimeMcs", "layerType", "originalLayersNames", "runtimePrecision")


def multiplications(graph: Any) -> Mapping[str, int]:
    """Operations of every convolution and matrix product of a model with static shapes, by the name of its node."""
    counted: dict[str, int] = {}
    for node in graph.get_ordered_ops():
        kind = node.get_type_name()
        if kind in ("Convolution", "GroupConvolution"):
            weights = list(node.input_value(1).get_shape())  # [out, in, ...], or [groups, out, in, ...]
            reduced = weights[1:] if kind == "Convolution" else weights[2:]
            counted[node.get_friendly_name()] = 2 * prod(node.output(0).get_shape()) * prod(reduced)
        elif kind == "MatMul":
            shape = list(node.input_value(0).get_shape())
            reduced_axis = shape[-2] if node.get_attributes()["transpose_a"] else shape[-1]
            counted[node.get_friendly_name()] = 2 * prod(node.output(0).get_shape()) * reduced_axis
    return counted


def by_kind(layers: Sequence[Layer]) -> list[tuple[str, list[Layer]]]:
    """Layers of each kind, the kind that took longest first."""
    kinds: dict[str, list[Layer]] = {}
    for layer in layers:
        kinds.setdefault(layer.kind, []).append(layer)
    return sorted(kinds.items(), key=lambda item: sum(layer.seconds for layer in item[1]), reverse=True)


def _moved(node: Any, precision: str) -> int:
    each = _BYTES.get(precision, 4)
    shapes = [value.get_shape() for value in (*(port.get_source_output() for port in node.inputs()), *node.outputs())]
    return each * sum(prod(shape) for shape in shapes)
