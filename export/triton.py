"""A model repository of Triton Inference Server, from a bundle: one model a stage, and the manifest for its clients.

Configurations follow Triton's documentation of ModelConfig; docs/triton.md says what a client does.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from export import targets
from export.place import sealed
from export.targets._target import Serving, Target
from export.targets.onnx import TARGET as GRAPH
from runtime.bundle import MANIFEST, Bundle, Compute, EngineRecord, FileRecord, StageSpec, TensorSpec
from runtime.engines import Machine, unverified, why_not
from runtime.errors import ExportError, UsageError

SIGN = "vidmend.json"  # the manifest, beside the models; by it a folder is known as one of ours
TOGETHER: tuple[tuple[Compute, ...], ...] = (("float16",), ("bfloat16",), ("int8", "float32"))  # best first
_TYPES: dict[Compute, str] = {  # of what an engine takes and gives
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "bfloat16": "TYPE_BF16",
    "int8": "TYPE_FP32",
}
_NOT_SERVED = "Triton does not serve it"
_NOTHING = "nothing that Triton could serve"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which files are to be served."""

    targets: tuple[str, ...]  # in which form; none: engines where there are some for the GPU, else graphs
    capability: str | None  # of the GPU that is to serve them, such as 8.9; None: it is not known


@dataclass(frozen=True, slots=True)
class Served:
    """A stage with the file that is served of it."""

    stage: StageSpec
    file: FileRecord
    serving: Serving
    engine: EngineRecord | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is served of a bundle."""

    stages: tuple[Served, ...]
    passed_over: tuple[str, ...]  # forms that would have come first, each with the reason


def write_repository(opened: Bundle, out: Path, wish: Wish, say: Callable[[str], None], *, force: bool) -> Chosen:
    """Write the repository into `out`, whole or not at all.

    Raises `OutputError` when the place is taken (unless `force`, and it is one of ours), `ExportError` or `UsageError`
    when the bundle holds nothing that Triton serves as wished, and a `BundleError` when a file is damaged.
    """
    chosen = choose(opened, wish)
    with sealed(out, replace=force, sign=SIGN) as folder:
        for served in chosen.stages:
            say(f"writing {served.stage.name}, {served.file.size_bytes / 1e6:.0f} MB")
            version = folder / model_name(opened, served.stage) / "1"
            version.mkdir(parents=True)
            (version.parent / "config.pbtxt").write_text(configuration(opened, served), encoding="utf-8")
            shutil.copyfile(opened.checked(served.file), version / served.serving.file)
        shutil.copyfile(opened.root / MANIFEST, folder / SIGN)
    return chosen


def model_name(opened: Bundle, stage: StageSpec) -> str:
    """How clients call a stage's model; networks lie side by side in a repository."""
    return f"{opened.manifest.network}-{opened.manifest.variant}-{stage.name}"


def choose(opened: Bundle, wish: Wish) -> Chosen:
    """Files of all stages in one form and one type, engines before graphs; raises `ExportError`, `UsageError`."""
    reasons: list[str] = []
    for target in _wanted(wish.targets):
        if target.serving is None:
            if wish.targets:
                reasons.append(f"{target.name}: {_NOT_SERVED}")
            continue
        if target.compiler is None:
            graphs = (Served(stage, stage.files[GRAPH.name], target.serving, None) for stage in opened.manifest.stages)
            return Chosen(tuple(graphs), tuple(reasons))
        engines = _engines(opened, target.name, wish.capability)
        if not isinstance(engines, str):
            stages = zip(opened.manifest.stages, engines, strict=True)
            return Chosen(tuple(Served(stage, each.file, target.serving, each) for stage, each in stages), ())
        reasons.append(f"{target.name}: {engines}")
    raise ExportError(f"{opened.root}: {_NOTHING}: {'; '.join(reasons)}")


def refuse_unserved(names: Sequence[str]) -> None:
    """Raise `UsageError` where Triton serves none of the targets that are named, whatever the bundle."""
    if names and all(target.serving is None for target in _wanted(names)):
        raise UsageError(f"--triton: {_NOTHING}: {'; '.join(f'{name}: {_NOT_SERVED}' for name in names)}")


def refuse_unservable(opened: Bundle, names: Sequence[str]) -> None:
    """Raise `ExportError` where no engine of the bundle could be served in a form that is named, once it is built."""
    scalar = _scalar(opened)
    served = [target for target in _wanted(names) if target.serving is not None]
    if scalar is not None and all(target.compiler is not None for target in served):
        raise ExportError(f"{opened.root}: {_NOTHING}: {'; '.join(f'{target.name}: {scalar}' for target in served)}")


def _wanted(names: Sequence[str]) -> list[Target]:
    """The targets called so, of no names all; those that compile first."""
    return sorted((targets.get(name) for name in names or targets.names()), key=lambda each: each.compiler is None)


def configuration(opened: Bundle, served: Served) -> str:
    """The text of a model's config.pbtxt."""
    batch = _batch(opened, served)
    inputs = [_tensor(port, served, batch) for port in served.stage.inputs]
    outputs = [_tensor(port, served, batch) for port in served.stage.outputs]
    lines = [
        f'name: "{model_name(opened, served.stage)}"',
        f'platform: "{served.serving.platform}"',
        f"max_batch_size: {batch}",
        f"input [\n{_joined(inputs)}\n]",
        f"output [\n{_joined(outputs)}\n]",
        f"instance_group [\n  {{ count: 1 kind: {served.serving.kind} }}\n]",
    ]
    if batch:
        lines.append("dynamic_batching { }")
    if served.serving.cuda_graphs and _constant(served):
        lines.append("optimization { cuda { graphs: true } }")
    lines += [_parameter("sha256", served.file.sha256)]
    return "\n".join(lines) + "\n"


def describe(opened: Bundle, chosen: Chosen, out: Path) -> Iterator[str]:
    """What was written and what a user must know of it, in lines for people."""
    size = sum(served.file.size_bytes for served in chosen.stages)
    names = ", ".join(model_name(opened, served.stage) for served in chosen.stages)
    yield f"repository  {out} ({size / 1e6:.1f} MB): {names}"
    if chosen.passed_over:
        yield f"note: graphs are served; {'; '.join(chosen.passed_over)}"
    for served in chosen.stages[:1]:
        if served.engine is not None:
            capabilities = ", ".join(served.engine.capabilities)
            yield f"serve it by a Triton whose TensorRT is {served.engine.version}, on a GPU of SM {capabilities}"
    doubts = (unverified(served.engine) for served in chosen.stages if served.engine is not None)
    yield from (doubt for doubt in doubts if doubt is not None)


def _engines(opened: Bundle, target: str, capability: str | None) -> list[EngineRecord] | str:
    """An engine for a GPU of every stage, all taking and giving one type, or why there are none that Triton runs."""
    if capability is None:
        return "no GPU here, and none named: --compute-capabilities 8.9 names one"
    if (scalar := _scalar(opened)) is not None:
        return scalar
    reasons: list[str] = []
    for computes in TOGETHER:
        found = [_engine(opened, stage, target, capability, computes) for stage in opened.manifest.stages]
        engines = [engine for engine in found if isinstance(engine, EngineRecord)]
        if len(engines) == len(found):
            return engines
        reasons += [reason for reason in found if isinstance(reason, str)]
    return next((reason for reason in reasons if reason), _apart(opened, target))


def _scalar(opened: Bundle) -> str | None:
    """Why no engine of the bundle is served, whichever it is; None where one may be."""
    for stage in opened.manifest.stages:
        if any(not port.shape for port in stage.inputs):
            return f"its {stage.name} takes a scalar, which Triton's TensorRT has not; export it with --frames N+R"
    return None


def _apart(opened: Bundle, target: str) -> str:
    """That no type of engine is there for all stages."""
    types = {
        stage.name: {each.compute for each in stage.engines if each.target == target}
        for stage in opened.manifest.stages
    }
    if not any(types.values()):
        return "it has no engines"
    told = ", ".join(f"{name} {' and '.join(sorted(found)) or 'none'}" for name, found in types.items())
    return f"its engines have another type in one stage than in the next ({told}); compile all of them in one"


def _engine(
    opened: Bundle, stage: StageSpec, target: str, capability: str, computes: Sequence[Compute]
) -> EngineRecord | str:
    """The stage's engine, by the order of types and verified ones first, or what stands in its way; "": none there."""
    own = [engine for engine in stage.engines if engine.target == target and engine.compute in computes]
    reason: str | None = ""
    for engine in sorted(own, key=lambda each: (computes.index(each.compute), each.parity is None)):
        there = Machine(target, engine.version, capability, f"SM {capability}", portable=False)
        reason = why_not(opened, stage, engine, there)
        if reason is None:
            return engine
    return reason or ""


def _batch(opened: Bundle, served: Served) -> int:
    """How many frames a call may hold: a window's where every tensor begins with the batch, else 0 for no batches."""
    ports = (*served.stage.inputs, *served.stage.outputs)
    if served.engine is not None or any(not port.shape or port.shape[0] != "B" for port in ports):
        return 0
    rule = opened.manifest.schedule
    return rule.targets + rule.references


def _tensor(port: TensorSpec, served: Served, batch: int) -> str:
    kind = _TYPES["float32" if served.engine is None else served.engine.compute]
    dims = _dims(port, served)[1 if batch else 0 :]
    kind = kind if port.dtype == "float32" else f"TYPE_{port.dtype.upper()}"
    return f'  {{ name: "{port.name}" data_type: {kind} dims: [ {", ".join(map(str, dims or [1]))} ] }}'


def _dims(port: TensorSpec, served: Served) -> list[int]:
    """Lengths of the axes, -1 where any is taken; a scalar's are [1], since Triton has no empty shape."""
    if served.engine is not None and len(shape := served.engine.shapes.get(port.name, ())) == 1:
        return list(shape[0])
    fixed = {"B": 1} if served.engine is not None else {}
    return [side if isinstance(side, int) else fixed.get(side, -1) for side in port.shape] or [1]


def _constant(served: Served) -> bool:
    """Whether every shape of an engine is one."""
    return served.engine is not None and all(len(shape) == 1 for shape in served.engine.shapes.values())


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'


def _joined(tensors: Sequence[str]) -> str:
    return ",\n".join(tensors)


def wish_of(names: Sequence[str], capabilities: Sequence[str], here: str | None) -> Wish:
    """What the command line asks for; raises `UsageError` on several GPUs, each of which needs its own repository."""
    if len(capabilities) > 1:
        raise UsageError("--triton: one repository serves one GPU; name one of --compute-capabilities")
    return Wish(tuple(names), capabilities[0] if capabilities else here)
