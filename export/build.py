"""A plan carried out: graphs traced, checked, compared, written, and sealed into a bundle."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import ModelProto, checker

from calib.evidence import Evidence
from calib.report import REPORT, write_report
from export import VERSION
from export._precision_islands import lower_measured
from export.checkpoint import load
from export.engines import Folders, compile_stage
from export.fatbin import seal_kernels
from export.frames import network_frames
from export.graph import refuse_shape_arithmetic, simplify
from export.int8 import add_int8
from export.parity import Comparison, compare
from export.parts import compare_parts, stages_of
from export.place import sealed
from export.plan import Plan, pixel_rule
from export.storage import exact_in_half, store_half
from export.targets._target import Half
from export.targets.onnx import TARGET as GRAPH
from export.trace import trace
from export.trial import Array, Trial, make_feed
from models._spec import Part, Port, Stage
from runtime import bundle
from runtime.bundle import (
    PART,
    Bundle,
    FileRecord,
    KernelsRecord,
    Manifest,
    ParityRecord,
    PartSpec,
    PrecisionRule,
    Provenance,
    ScheduleRule,
    StageSpec,
    TensorSpec,
    TypedGraph,
)

Progress = Callable[[str], None]  # told what is being done now

_TOOLCHAIN = ("torch", "onnx", "onnxruntime", "polygraphy")


@dataclass(frozen=True, slots=True)
class Exported:
    """A sealed bundle."""

    manifest: Manifest
    evidence: Evidence | None  # what int8 was measured to cost, where there is any


def build(plan: Plan, clip: Path, progress: Progress, *, force: bool) -> Exported:
    """Export into `plan.out`, comparing every stage on frames of `clip`; the bundle appears whole or not at all.

    Raises `OutputError` when the place is taken (unless `force`) and `ExportError` when a stage's graph computes on
    shapes or differs from PyTorch.
    """
    with sealed(plan.out, replace=force) as folder:
        progress("reading weights and frames")
        network = load(plan.checkpoint, plan.variant, plan.size)
        halves = exact_in_half(tensor.numpy() for tensor in plan.checkpoint.tensors.values())
        stages = plan.spec.stages(network, plan.window if plan.fixed else None)
        graphs: list[ModelProto] = []
        for stage in stages:
            progress(f"tracing {stage.name}")
            graphs.append(make_graph(stage, halves=halves))
        parts = {part.name.removesuffix(PART): make_graph(part, halves=halves) for part in stages_of(stages)}
        compared = tuple(compare_stages(plan, stages, graphs, clip, progress))
        records = tuple(_written(plan, stages, graphs, parts, compared, folder, progress))
        parity = (*(comparison.record for comparison in compared), *compare_parts(stages, parts, compared, progress))
        manifest = _manifest(plan, (records, seal_kernels(folder)), parity, halves=halves)
        evidence: Evidence | None = None
        if plan.int8 is not None:
            narrow, evidence = add_int8(Bundle(folder, manifest), plan.int8, progress)
            write_report(folder / REPORT, plan.out.name, evidence)
            manifest = narrow.manifest
        trials = {
            stage.name: Trial(found.feed, found.wanted, found.record.frames)
            for stage, found in zip(stages, compared, strict=False)  # behind them come lone frames
        }
        manifest = replace(
            manifest,
            stages=tuple(
                compile_stage(Folders(folder, folder), stage, plan.job, trials.__getitem__, progress)
                for stage in manifest.stages
            ),
        )
        bundle.write_manifest(folder, manifest)
    return Exported(manifest, evidence)


def _written(
    plan: Plan,
    stages: Sequence[Stage],
    graphs: Sequence[ModelProto],
    parts: Mapping[str, ModelProto],
    compared: Sequence[Comparison],
    folder: Path,
    progress: Progress,
) -> Iterator[StageSpec]:
    """Every stage with its graphs, the one for parts and the one in half precision too where there is to be one."""
    for index, (stage, graph) in enumerate(zip(stages, graphs, strict=True)):
        progress(f"writing {stage.name}")
        record = _write(stage, graph, folder)
        if stage.part is not None:
            record = replace(record, part=_write_part(stage, stage.part, parts[stage.name], folder))
        if plan.half is not None:
            progress(f"comparing {stage.name} in {plan.half}")
            record = replace(record, typed=(_lower(plan.half, graph, compared[index], folder),))
        yield record


def make_graph(stage: Stage, *, halves: bool) -> ModelProto:
    """The stage's final graph; with `halves`, weights that are half-precision numbers are stored as such."""
    model = trace(stage)
    simplify(model, keep_products=halves)
    refuse_shape_arithmetic(model, stage.name)
    if halves:
        store_half(model)
    checker.check_model(model, full_check=True)
    return model


def compare_stages(
    plan: Plan, stages: Sequence[Stage], graphs: Sequence[ModelProto], clip: Path, progress: Progress
) -> Iterator[Comparison]:
    """All stages on a full window; and, where any number of frames goes, a lone frame, the shortest there is."""
    windows = [plan.window] if plan.fixed else [plan.window, replace(plan.window, targets=1, references=0)]
    frames = network_frames(clip, pixel_rule(plan.variant, plan.size), plan.window.targets + plan.window.references)
    for window in windows:
        call = f"{window.targets}+{window.references}"
        value: Array = frames[: window.targets + window.references]
        for stage, graph in zip(stages, graphs, strict=True):
            progress(f"comparing {stage.name} with PyTorch on {call} frames")
            comparison = compare(stage, graph, make_feed(stage.inputs, value, window.targets), f"{clip.name}, {call}")
            value = comparison.wanted
            yield comparison


def _write(stage: Stage, graph: ModelProto, folder: Path) -> StageSpec:
    """The stage with its graph, which every bundle holds."""
    files = {GRAPH.name: _save(graph, folder / f"{stage.name}{GRAPH.suffix}")}
    return StageSpec(stage.name, tensors_of(stage.inputs), tensors_of(stage.outputs), files)


def _write_part(stage: Stage, part: Part, graph: ModelProto, folder: Path) -> PartSpec:
    """The stage for parts of its picture."""
    file = _save(graph, folder / f"{stage.name}{PART}{GRAPH.suffix}")
    return PartSpec(tensors_of(part.inputs), tensors_of(part.outputs), part.halo, file)


def _lower(half: Half, graph: ModelProto, compared: Comparison, folder: Path) -> TypedGraph:
    """The stage's graph in half precision, from which engines are compiled."""
    lowered = lower_measured(graph, half, compared.feed, compared.wanted, compared.record)
    checker.check_model(lowered.graph, full_check=True)
    file = _save(lowered.graph, folder / f"{compared.record.stage}.{half}{GRAPH.suffix}")
    return TypedGraph(half, file, lowered.kept_float32, lowered.parity)


def _save(graph: ModelProto, path: Path) -> FileRecord:
    path.write_bytes(graph.SerializeToString(deterministic=True))
    return bundle.file_record(path.parent, path)


def tensors_of(ports: Sequence[Port]) -> tuple[TensorSpec, ...]:
    """Inputs or outputs of a stage as a manifest describes them."""
    return tuple(TensorSpec(port.name, port.dtype, port.shape, port.holds) for port in ports)


def _manifest(
    plan: Plan,
    files: tuple[tuple[StageSpec, ...], KernelsRecord],
    parity: tuple[ParityRecord, ...],
    *,
    halves: bool,
) -> Manifest:
    window, (stages, kernels) = plan.window, files
    return Manifest(
        schema=bundle.SCHEMA,
        network=plan.spec.name,
        variant=plan.variant.name,
        stages=stages,
        kernels=kernels,
        schedule=ScheduleRule(
            kind="windowed",
            targets=window.targets,
            references=window.references,
            neighbour_stride=window.neighbour_stride,
            reference_step=window.reference_step,
            fixed=plan.fixed,
        ),
        pixels=pixel_rule(plan.variant, plan.size),
        precision=PrecisionRule(compute="float32", storage="float16" if halves else "float32", kept_float32=()),
        parity=parity,
        provenance=Provenance(
            checkpoint=plan.checkpoint.path.name,
            checkpoint_sha256=plan.checkpoint.sha256,
            licence=plan.checkpoint.licence,
            tool=f"vidmend {VERSION}",
            toolchain=toolchain(),
            options={
                "size": str(plan.size),
                "frames": f"{window.targets}+{window.references}" if plan.fixed else "any",
                "target": ",".join(target.name for target in plan.targets),
                "half": plan.half or ("int8" if plan.int8 else "none"),
            },
        ),
    )


def toolchain() -> dict[str, str]:
    """What graphs were made and compared with, by version; modules know theirs whichever package brought them."""
    return {name: str(importlib.import_module(name).__version__) for name in _TOOLCHAIN}
