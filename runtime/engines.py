"""Which of a bundle's engines fits this machine; where none does, why not, and the command that builds one.

Standard library only, as `runtime/bundle.py`.  An engine holds for the library's version and the compute capability
that it was built for; the exceptions are options (see docs/tensorrt.md).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

from runtime.bundle import Bundle, Compute, EngineRecord, StageSpec
from runtime.errors import EngineUnfit, FileDamaged, FileMissing

HARDWARE_COMPATIBLE = "hardware-compat"  # option: any GPU of SM 8.0 or later
VERSION_COMPATIBLE = "version-compat"  # option: any later version with the same first number
ANY_TYPE: tuple[Compute, ...] = ("int8", "float16", "bfloat16", "float32")  # best first
_AMPERE = (8, 0)
_ON_THE_CPU = "--backend onnxruntime runs the bundle on the CPU"
_NO_PART_OF_THE_KEY = ("key", "file", "layers", "parity")  # what a build gives, not what it is asked for


@dataclass(frozen=True, slots=True)
class Machine:
    """What an engine must fit."""

    target: str  # which library is to run it
    version: str | None  # of that library here; None: not installed
    capability: str | None  # of the GPU, such as 8.9; None: no GPU
    gpu: str | None  # its name
    portable: bool  # whether the library builds for GPUs that it is told of, and not for the one here
    ranges: bool = False  # whether one engine of that version may take windows of several lengths


def identity(record: EngineRecord) -> str:
    """The sha256 of everything that an engine was built from and for; two engines with one key are interchangeable."""
    asked = {field.name: getattr(record, field.name) for field in fields(record)}
    for name in _NO_PART_OF_THE_KEY:
        del asked[name]
    for name in ("shapes", "options"):
        asked[name] = dict(asked[name])
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def choose(bundle: Bundle, stage: StageSpec, machine: Machine, computes: Sequence[Compute] = ANY_TYPE) -> EngineRecord:
    """The stage's engine for this machine: the first that fits, by the order of `computes`, verified before unverified.

    Raises `EngineUnfit` with the reason of every engine of that library, and the command that builds one that fits.
    """
    own = [engine for engine in stage.engines if engine.target == machine.target]
    candidates = sorted(
        (engine for engine in own if engine.compute in computes),
        key=lambda engine: (computes.index(engine.compute), engine.parity is None),
    )
    reasons: list[str] = []
    for engine in candidates:
        reason = why_not(bundle, stage, engine, machine)
        if reason is None:
            return engine
        reasons.append(reason)
    others = [engine for engine in own if engine.compute not in computes]
    reasons += [f"{engine.file.path} computes in {engine.compute}, wanted {' or '.join(computes)}" for engine in others]
    said = "; ".join(dict.fromkeys(reasons)) or f"it has none for {machine.target}"
    able = any(why_not(bundle, stage, engine, machine) is None for engine in others)
    todo = f"Leave --precision and --schedule out, or: {_ON_THE_CPU}." if able else remedy(bundle, machine)
    raise EngineUnfit(f"{bundle.root}: no engine of stage '{stage.name}' can run here: {said}. {todo}")


def choose_all(bundle: Bundle, machine: Machine, computes: Sequence[Compute] = ANY_TYPE) -> dict[str, EngineRecord]:
    """By stage, engines for this machine that connect: what one gives is of the type that the next one takes.

    What computes in int8 takes and gives float32, so that both go together; nothing else does.  Raises `EngineUnfit`
    with the reason and what to do, also where every stage has an engine that fits, but not to the others.
    """
    stages = bundle.manifest.stages
    for compute in computes:
        family = (compute, "float32") if compute == "int8" and "float32" in computes else (compute,)
        with suppress(EngineUnfit):
            chosen = {stage.name: choose(bundle, stage, machine, family) for stage in stages}
            if any(engine.compute == compute for engine in chosen.values()):  # else halves come first
                return chosen
    found = [choose(bundle, stage, machine, computes) for stage in stages]  # raises for the first that has none
    types = ", ".join(f"{stage.name} {engine.compute}" for stage, engine in zip(stages, found, strict=True))
    raise EngineUnfit(
        f"{bundle.root}: the engines that can run here have another type in one stage than in the next ({types}). "
        f"{remedy(bundle, machine)}"
    )


def why_not(bundle: Bundle, stage: StageSpec, engine: EngineRecord, machine: Machine) -> str | None:
    """None when the engine fits, else the first thing that stands in its way; its file is read to the last byte."""
    return next(_obstacles(bundle, stage, engine, machine), None)


def short_of(
    bundle: Bundle, stage: StageSpec, engine: EngineRecord, machine: Machine, longest: float | None = None
) -> str | None:
    """What windows of a run the engine does not take, and what to do; None: it takes all.

    `longest` is the most frames of one, infinite where they grow with the clip; None: as the bundle's schedule has it.
    """
    rule = bundle.manifest.schedule
    full = rule.targets + rule.references if longest is None else longest
    taken = [engine.shapes[name] for name in _windows(stage) if engine.shapes.get(name)]
    least = max((shape[0][0] for shape in taken), default=1)
    most = min((shape[-1][0] for shape in taken), default=full)
    if rule.fixed or least <= 1 <= full <= most:
        return None
    name = f"{bundle.root}: {engine.file.path}"
    if math.isinf(full):
        return f"{name} takes windows of {most} frames or fewer, and those of this schedule grow with the clip"
    range_of_all = rebuild_command(bundle, machine, int(full))
    compile_it = f"Compile for a range: {range_of_all}, export" if machine.ranges else "Export"
    cure = f"{compile_it} with --frames {rule.targets}+{rule.references}"
    if most < full:
        return f"{name} takes windows of {most} frames or fewer, and a full one has {full:.0f}. {cure}"
    return (
        f"{name} takes windows of {least} frames or more, and a short scene has fewer. {cure}, or have it all the "
        f"same: --backend {machine.target}"
    )


def remedy(bundle: Bundle, machine: Machine) -> str:
    """What to do where no engine of the bundle fits, as a sentence with commands."""
    otherwise = _ON_THE_CPU
    if machine.version is None:
        return f"Install {machine.target}, or: {otherwise}."
    if machine.capability is None:
        return f"Run it on a machine with an NVIDIA GPU, or: {otherwise}."
    return f"Build one: {rebuild_command(bundle, machine)}; or: {otherwise}."


def rebuild_command(bundle: Bundle, machine: Machine, longest: int | None = None) -> str:
    """The command that compiles the bundle's own graphs for this machine, engines for other GPUs kept.

    For all windows up to `longest`, the short ones of short scenes too, where that is possible; None: up to those of
    the bundle's own schedule.
    """
    command = ["python", "export.py", "--compile", str(bundle.root), "--target", machine.target]
    if machine.portable and machine.capability is not None:
        command += ["--compute-capabilities", machine.capability]
    rule = bundle.manifest.schedule
    if machine.ranges and not rule.fixed:
        full = longest or rule.targets + rule.references
        command += ["--frames-range", f"1,{full},{full}"]
    return shlex.join(command)


def unverified(engine: EngineRecord) -> str | None:
    """What a user must be told of an engine that was never compared with its graph; None where it was."""
    if engine.parity is not None:
        return None
    return f"unverified engine {engine.file.path}: it was never run, so it was never compared with the float32 graph"


def _obstacles(bundle: Bundle, stage: StageSpec, engine: EngineRecord, machine: Machine) -> Iterator[str]:
    name = engine.file.path
    if engine.target != machine.target:
        yield f"{name} is for {engine.target}, asked for is {machine.target}"
    if engine.key != identity(engine):
        yield f"{name}: its entry in the manifest was changed after it was built"
    if engine.graph_sha256 not in _graphs(stage):
        yield f"{name} was compiled from graph {engine.graph_sha256[:12]}..., which is none of this network's"
    if machine.version is None:
        yield f"{machine.target} is not installed here"
    elif not _fits_version(engine, machine.version):
        yield f"{name} was built by {engine.target} {engine.version}, here is {machine.version}"
    if machine.capability is None:
        yield "no NVIDIA GPU here"
    elif not _fits_capability(engine, machine.capability):
        built = ", ".join(engine.capabilities)
        yield f"{name} was built for SM {built}, this GPU ({machine.gpu}) is SM {machine.capability}"
    try:
        bundle.checked(engine.file)
    except (FileMissing, FileDamaged) as error:
        yield str(error).rstrip(".")


def _windows(stage: StageSpec) -> Iterator[str]:
    """Inputs that hold a window's frames."""
    return (port.name for port in stage.inputs if port.shape and port.shape[0] == "T")


def _graphs(stage: StageSpec) -> set[str]:
    return {record.sha256 for record in stage.files.values()} | {graph.file.sha256 for graph in stage.typed}


def _fits_version(engine: EngineRecord, here: str) -> bool:
    if engine.version == here:
        return True
    built, found = _numbers(engine.version), _numbers(here)
    return VERSION_COMPATIBLE in engine.options and built[0] == found[0] and found >= built


def _fits_capability(engine: EngineRecord, here: str) -> bool:
    if here in engine.capabilities:
        return True
    return HARDWARE_COMPATIBLE in engine.options and _numbers(here) >= _AMPERE


def _numbers(version: str) -> tuple[int, ...]:
    """`10.13.3.9` as numbers; what is no number ends them."""
    digits: list[int] = []
    for part in version.split("."):
        if not re.fullmatch(r"[0-9]{1,9}", part):
            break
        digits.append(int(part))
    return tuple(digits) or (0,)
