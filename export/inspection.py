"""All that is in a bundle, in lines for people, with a verdict for this machine on every engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from export import targets
from export.targets._target import Compiler, Options
from runtime.bundle import (
    PART,
    Bundle,
    EngineRecord,
    FileRecord,
    ParityRecord,
    StageSpec,
    TensorSpec,
    TypedGraph,
    read_bundle,
)
from runtime.engines import Machine, choose_all, remedy, short_of, unverified, why_not
from runtime.errors import EngineUnfit, FileDamaged, FileMissing
from runtime.machine import Gpu, gpus


def inspect(root: Path) -> list[str]:
    """What the bundle in folder `root` holds; raises a `BundleError` when it cannot be read."""
    found = gpus()
    machines = {name: machine(name, found[0] if found else None) for name in targets.names()}
    return list(_lines(read_bundle(root), machines))


def machine(target: str, gpu: Gpu | None) -> Machine:
    """The machine that this runs on, as an engine of `target` meets it."""
    compiler = targets.get(target).compiler
    version = None if compiler is None else _version(compiler)
    portable = compiler is not None and compiler.portable
    one_and_more = Options(frames=(1, 1, 2))
    ranges = compiler is not None and version is not None and compiler.refuse(one_and_more, "float32") is None
    return Machine(target, version, gpu and gpu.capability, gpu and gpu.name, portable, ranges)


def _version(compiler: Compiler) -> str | None:
    """Of its library; None where that is not there, or cannot be imported."""
    try:
        return compiler.version() if compiler.installed() else None
    except (ImportError, OSError):
        return None


def _lines(bundle: Bundle, machines: dict[str, Machine]) -> Iterator[str]:
    manifest = bundle.manifest
    schedule, pixels, made = manifest.schedule, manifest.pixels, manifest.provenance
    window = f"{schedule.targets}+{schedule.references}"
    yield f"bundle      {bundle.root}: {manifest.network} '{manifest.variant}', schema {manifest.schema}"
    yield f"weights     {made.checkpoint} ({made.checkpoint_sha256[:12]}..., licence: {made.licence}), by {made.tool}"
    yield f"pictures    {pixels.width}x{pixels.height} {pixels.colour_order}"
    yield f"windows     {'exactly' if schedule.fixed else 'any; schedule steady takes'} {window} frames"
    kernels = manifest.kernels
    yield f"kernels     {_file(bundle, kernels.file)}"
    capabilities = ", ".join(kernels.capabilities)
    yield f"            SM {capabilities}, others from {kernels.ptx} on; driver of CUDA {kernels.cuda}"
    for stage in manifest.stages:
        yield ""
        yield f"{stage.name}: {_ports(stage.inputs)} -> {_ports(stage.outputs)}"
        of_stage = [record for record in manifest.parity if record.stage == stage.name]
        yield from _graphs(bundle, stage.files, of_stage, stage.typed)
        if stage.part is not None:
            of_part = [record for record in manifest.parity if record.stage == f"{stage.name}{PART}"]
            yield "  parts of its picture:"
            yield from _graphs(bundle, {"onnx": stage.part.file}, of_part, stage.part.typed)
        for engine in stage.engines:
            yield from _engine(bundle, stage, engine, machines)
    compiled = {engine.target for stage in manifest.stages for engine in stage.engines}
    for name in sorted(compiled & machines.keys()):
        if (reason := _unfit(bundle, machines[name])) is not None:
            yield ""
            yield f"{name} cannot run this bundle here{reason}. {remedy(bundle, machines[name])}"


def _graphs(
    bundle: Bundle, files: Mapping[str, FileRecord], parity: Sequence[ParityRecord], narrower: Sequence[TypedGraph]
) -> Iterator[str]:
    for target, record in files.items():
        yield f"  {target:<9} {_file(bundle, record)}"
    for record in parity:
        yield f"            {_parity(record)}"
    for typed in narrower:
        yield f"  {typed.compute:<9} {_file(bundle, typed.file)}"
        yield f"            {_parity(typed.parity)}"
        kept = f"{len(typed.kept_float32)} ({', '.join(typed.kept_float32[:3])} ...)" if typed.kept_float32 else "none"
        yield f"            nodes kept in float32: {kept}"


def _engine(bundle: Bundle, stage: StageSpec, engine: EngineRecord, machines: dict[str, Machine]) -> Iterator[str]:
    built = f"on {engine.gpu}" if engine.gpu else "without a GPU"
    yield f"  engine    {engine.file.path}, {engine.file.size_bytes / 1e6:.1f} MB, {engine.compute}"
    yield f"            {engine.target} {engine.version}, SM {', '.join(engine.capabilities)}, built {built}"
    ranges = {name: " ... ".join("x".join(map(str, sides)) for sides in shape) for name, shape in engine.shapes.items()}
    yield f"            shapes: {', '.join(f'{name} {text}' for name, text in ranges.items())}"
    options = ", ".join(f"{name} {value}" for name, value in engine.options.items()) or "none"
    yield f"            options: {options}; layers: {', '.join(f'{n} {kind}' for kind, n in engine.layers.items())}"
    here = machines.get(engine.target, Machine(engine.target, None, None, None, portable=False))
    reason = why_not(bundle, stage, engine, here)
    yield f"            {'runs here' if reason is None else f'does not run here: {reason}'}"
    if reason is None and (lacking := short_of(bundle, stage, engine, here)) is not None:
        yield f"            --backend auto passes it over: {lacking}"
    doubt = unverified(engine)
    yield f"            {doubt or _parity(engine.parity)}"


def _unfit(bundle: Bundle, here: Machine) -> str | None:
    """What to add to each engine's own verdict where they cannot run the bundle; None where they can."""
    try:
        choose_all(bundle, here)
    except EngineUnfit:
        stages = bundle.manifest.stages
        by_itself = all(any(why_not(bundle, stage, each, here) is None for each in stage.engines) for stage in stages)
        return ": what one stage's gives has not the type that the next one's takes" if by_itself else ""
    return None


def _file(bundle: Bundle, record: FileRecord) -> str:
    """Name, size, and whether the bytes are those of the manifest."""
    try:
        bundle.checked(record)
    except (FileMissing, FileDamaged) as error:
        return f"{record.path}: unusable: {error}"
    return f"{record.path}, {record.size_bytes / 1e6:.1f} MB, sha256 {record.sha256[:12]}... as it should be"


def _parity(record: ParityRecord | None) -> str:
    if record is None:
        return ""
    return f"on {record.frames}: {record.psnr_db:.1f} dB, max abs {record.max_abs:.2e} ({record.runner})"


def _ports(ports: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{port.name} [{', '.join(map(str, port.shape))}]" for port in ports)
