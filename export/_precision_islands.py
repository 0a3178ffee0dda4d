"""Which nodes stay in float32: measured on real frames, as few as the wanted precision takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from onnx import GraphProto, ModelProto, NodeProto, shape_inference

from export._precision_rounding import rounding
from export.parity import run_graph
from export.precision import lower
from export.targets._target import Half
from export.trial import WANTED_DB, Array, Feed, measure, tolerance
from runtime.bundle import ParityRecord
from runtime.errors import ExportError

_WIDE = 16_384  # products; what adding as many in half costs is in tests/unit/test_precision.py


@dataclass(frozen=True, slots=True)
class Lowered:
    """A graph in half precision."""

    graph: ModelProto
    kept_float32: tuple[str, ...]  # nodes, in the graph's order
    parity: ParityRecord  # of the whole against float32


def lower_measured(model: ModelProto, half: Half, feed: Feed, wanted: Array, of: ParityRecord) -> Lowered:
    """`model` (float32) in `half`, with the first group of islands that keeps it within `WANTED_DB` of `wanted`.

    `wanted` is the float32 output for `feed`; `of`, its record, says of which stage and frames.  Raises `ExportError`
    when no group does.
    """
    best: ParityRecord | None = None
    always = wide_sums(model) if half == "float16" else frozenset[str]()  # nothing adds in bfloat16
    for islands in candidates(model.graph, always):
        graph = lower(model, half, islands)
        found = run_graph(rounding(graph), feed, graph.graph.output[0].name)
        parity = replace(
            measure(found, wanted),
            stage=of.stage,
            frames=of.frames,
            runner=f"onnxruntime, rounded to {half}",
            tolerance=tolerance(wanted),
        )
        if parity.psnr_db >= WANTED_DB and parity.max_abs <= parity.tolerance:
            return Lowered(graph, tuple(node.name for node in model.graph.node if node.name in islands), parity)
        best = parity if best is None or parity.psnr_db > best.psnr_db else best
    reached_db = 0.0 if best is None else best.psnr_db
    raise ExportError(
        f"stage '{of.stage}' ({of.frames}): in {half} it stays within {reached_db:.1f} dB of float32 at best, wanted "
        f"{WANTED_DB:.0f}; export it without --{'fp16' if half == 'float16' else 'bf16'}"
    )


def wide_sums(model: ModelProto) -> frozenset[str]:
    """Products of matrices that add over `_WIDE` numbers, which GPUs may do in half; a CPU cannot measure that."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {info.name: info.type.tensor_type.shape.dim for info in (*graph.input, *graph.value_info)}
    added = {node.name: shapes[node.input[0]][-1].dim_value for node in graph.node if node.op_type == "MatMul"}
    return frozenset(name for name, count in added.items() if count > _WIDE)


def candidates(graph: GraphProto, always: frozenset[str] = frozenset()) -> Iterator[frozenset[str]]:
    """Groups of nodes, each holding the one before: `always`, softmax, the scores before it, sums of two tensors."""
    makers = {name: node for node in graph.node for name in node.output}
    softmax = {node.name for node in graph.node if node.op_type == "Softmax"}
    scores = {name for node in graph.node if node.op_type == "Softmax" for name in _scores(node, makers)}
    constants = {item.name for item in graph.initializer}
    sums = {node.name for node in graph.node if node.op_type == "Add" and not constants & set(node.input)}
    seen: set[frozenset[str]] = set()
    for group in (
        frozenset[str](),
        frozenset(softmax),
        frozenset(softmax | scores),
        frozenset(softmax | scores | sums),
    ):
        if always | group not in seen:
            seen.add(always | group)
            yield always | group


def _scores(softmax: NodeProto, makers: dict[str, NodeProto]) -> Iterator[str]:
    """What the softmax weighs, back to and with the product of queries and keys: a sum over a token's whole width."""
    node = makers.get(softmax.input[0])
    while node is not None:
        yield node.name
        if node.op_type == "MatMul":
            return
        node = makers.get(node.input[0])
