"""Engines of a bundle's stages: compiled, counted, recorded; the graphs that they come from stay as they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from export._engine_files import named, publish, remove, staging
from export.gate import Say, Trials, verify
from export.targets._target import Built, Compiler, Options, Order, Range, Target
from export.targets.onnx import TARGET as GRAPH
from export.trial import Trial
from runtime import bundle
from runtime.bundle import Bundle, Compute, EngineRecord, FileRecord, Manifest, StageSpec, read_bundle
from runtime.engines import HARDWARE_COMPATIBLE, VERSION_COMPATIBLE, identity
from runtime.errors import ExportError

_NO_FILE = FileRecord("", "", 0)  # until it is known under which name it lies


@dataclass(frozen=True, slots=True)
class Job:
    """What to compile every stage to."""

    targets: tuple[Target, ...]
    options: Options
    lengths: Mapping[str, Sequence[int]]  # of symbolic axes: the only one, or the least, the usual and the largest
    plain: frozenset[str] = frozenset()  # targets that take the float32 graphs although there are narrower ones


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files are read and written."""

    graphs: Path  # the bundle's own
    engines: Path  # what is made, under the names that the bundle knows it by


def lengths(window: tuple[int, int], frames: tuple[int, int, int] | None) -> Mapping[str, Sequence[int]]:
    """How long the symbolic axes are: one frame outside the transformer, in it the full window or `frames`.

    A window is targets and references; `frames` are least, usual and most of both together.
    """
    targets, references = window
    if frames is None:
        return {"B": (1,), "T": (targets + references,), "N": (targets,)}
    return {"B": (1,), "T": frames, "N": (1, min(targets, frames[1]), frames[2])}


def compile_stage(folders: Folders, stage: StageSpec, job: Job, trials: Trials, say: Say) -> StageSpec:
    """The stage with an engine for each target that compiles, compared with `trials` where it runs here.

    Raises `ExportError` when one cannot be built, or is too far from float32.

    An engine takes the place of an earlier one for the same GPU in the same type.
    """
    for target in job.targets:
        if target.compiler is None:
            continue
        made = _compile(folders, stage, target, target.compiler, job, trials, say)
        kept = tuple(engine for engine in stage.engines if _place(engine) != _place(made))
        stage = replace(stage, engines=(*kept, made))
    return stage


def compile_bundle(opened: Bundle, job: Job, trials: Trials, say: Say) -> Bundle:
    """The bundle with engines of all its stages; its manifest changes when all of them are there, or not at all.

    Raises `OutputError` where another run is at work on it, or it cannot be written.
    """
    root = opened.root
    with staging(root) as folder:
        before = read_bundle(root).manifest  # with what another run has added since
        _insist(root, same=_bare(before) == _bare(opened.manifest))
        # First: an engine of a damaged graph would pass for one of the sound graph.
        for stage, target in product(before.stages, job.targets):
            opened.checked(_source(stage, plain=target.name in job.plain)[0])
        folders = Folders(root, folder)
        try:
            stages = tuple(compile_stage(folders, stage, job, trials, say) for stage in before.stages)
        except OSError:
            _insist(root, same=folder.is_dir())
            raise
        manifest = replace(before, stages=stages)
        _insist(root, same=read_bundle(root).manifest == before)
        publish(root, folder, manifest)
        remove(root, named(before) - named(manifest))
    return replace(opened, manifest=manifest)


def _insist(root: Path, *, same: bool) -> None:
    """An export with --force asks nobody."""
    if not same:
        raise ExportError(f"{root}: was replaced by another bundle meanwhile, which stays as it is; run this again")


def _bare(manifest: Manifest) -> Manifest:
    """The manifest but for engines."""
    return replace(manifest, stages=tuple(replace(stage, engines=()) for stage in manifest.stages))


def _compile(
    folders: Folders, stage: StageSpec, target: Target, compiler: Compiler, job: Job, trials: Trials, say: Say
) -> EngineRecord:
    graph, compute, kept = _source(stage, plain=target.name in job.plain)
    order = Order(stage.name, folders.graphs / graph.path, compute, kept, shapes(stage, job.lengths), job.options)
    unfinished = folders.engines / f".{stage.name}.{target.name}.part"
    built = compiler.build(order, unfinished, say)
    record = _record(order, target, compiler.version(), graph, built)
    ran = replace(order, options=replace(order.options, capabilities=built.capabilities))
    record = replace(record, parity=verify(ran, compiler, unfinished, partial(_trial, trials, stage, compute), say))
    found = bundle.file_record(folders.engines, unfinished)
    # By its bytes, not by what was asked for: the engine that the manifest still names must not be written over.
    name = f"{stage.name}.{target.name}.{found.sha256[:12]}{target.suffix}"
    os.replace(unfinished, folders.engines / name)
    return replace(record, file=replace(found, path=name))


def _trial(trials: Trials, stage: StageSpec, compute: Compute, name: str) -> Trial:
    """The stage's trial, with what its graph in int8, where that is compiled, loses by itself."""
    narrow = next((typed.parity for typed in stage.typed if typed.compute == compute == "int8"), None)
    return replace(trials(name), graph=narrow)


def shapes(stage: StageSpec, lengths: Mapping[str, Sequence[int]]) -> dict[str, Range]:
    """The shape of each input, or least, usual and largest; of a scalar that carries a length, the lengths."""
    found: dict[str, Range] = {}
    for port in stage.inputs:
        if port.holds is not None:
            found[port.name] = tuple((length,) for length in lengths[port.holds])
            continue
        several = max((len(lengths[axis]) for axis in port.shape if isinstance(axis, str)), default=1)
        found[port.name] = tuple(
            tuple(_length(lengths[axis], index) if isinstance(axis, str) else axis for axis in port.shape)
            for index in range(several)
        )
    return found


def _length(lengths: Sequence[int], index: int) -> int:
    return lengths[index] if len(lengths) > 1 else lengths[0]


def _source(stage: StageSpec, *, plain: bool) -> tuple[FileRecord, Compute, tuple[str, ...]]:
    """The graph that engines are compiled from: the narrower one where there is one, unless it is to be `plain`."""
    for typed in () if plain else stage.typed:
        return typed.file, typed.compute, typed.kept_float32
    graph = stage.files.get(GRAPH.name)
    if graph is None:
        raise ExportError(f"stage '{stage.name}': the bundle has no graph to compile; export it again")
    return graph, "float32", ()


def _record(order: Order, target: Target, version: str, graph: FileRecord, built: Built) -> EngineRecord:
    record = EngineRecord(
        target=target.name,
        version=version,
        capabilities=built.capabilities,
        gpu=built.gpu,
        compute=order.compute,
        graph_sha256=graph.sha256,
        shapes=order.shapes,
        options=_described(order.options),
        key="",
        file=_NO_FILE,
        layers=built.layers,
        parity=None,
    )
    return replace(record, key=identity(record))


def _described(options: Options) -> dict[str, str]:
    """What was asked for besides shapes and GPUs; a timing cache changes how long a build takes, not what it is."""
    told = {
        "workspace": None if options.workspace_mib is None else f"{options.workspace_mib} MiB",
        "opt-level": None if options.opt_level is None else str(options.opt_level),
        HARDWARE_COMPATIBLE: "yes" if options.hardware_compat else None,
        VERSION_COMPATIBLE: "yes" if options.version_compat else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _place(engine: EngineRecord) -> tuple[object, ...]:
    return engine.target, engine.capabilities, engine.gpu, engine.compute
