"""Which steps a machine's checks have, in which interpreter, and what it lacks for those that it cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench._gpu_machine import ROOT, Interpreter, Machine
from bench._gpu_steps import Step

PUBLISHED, COMPILED = "published", "compiled"  # the rows that are PyTorch's
VARIANTS = ("official", "small")

_CLIP = ("av", "cv2", "numpy", "PIL")
_RUN = (*_CLIP, "rich", "scenedetect")  # what infer.py needs whatever the backend
_EXPORT = (*_RUN, "torch", "onnx", "onnxruntime", "polygraphy", "safetensors")
_COMPILE = (*_CLIP, "rich")  # engines are tried on frames of a clip
_TESTS = (*_RUN, "pycuda", "pytest", "hypothesis")
_KERNELS = "tests/unit/test_kernels_*.py"  # what the sanitizer watches: each kernel, here on a GPU
_OTHERS = ("tests/gpu", "tests/contract/test_export_engines.py")  # where else tests are marked gpu
_NO_GPU = "no NVIDIA GPU answers here; --prepare DIR makes what a GPU machine needs"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    work: Path  # bundles, clips and results; what lies there already is used
    variants: tuple[str, ...] = VARIANTS
    frames: int = 80  # of the clip whose speed is measured
    compared: int = 32  # of the clip whose frames are compared
    checkpoints: Mapping[str, Path] = field(default_factory=dict[str, Path])  # by variant; else shipped or random
    prepare: bool = False  # only what needs no GPU
    only: tuple[str, ...] = ()  # beginnings of the steps' names; none: all


def plan(machine: Machine, request: Request) -> tuple[Step, ...]:
    """The steps in the order in which they are run."""
    steps = list(_preparing(machine, request))
    if not request.prepare:
        steps += _on_gpu(machine, request)
        steps = steps if machine.gpu else [replace(step, missing=_NO_GPU) for step in steps]
    chosen = [step for step in steps if not request.only or step.name.startswith(request.only)]
    names = {step.name for step in chosen}
    return tuple(replace(step, after=tuple(name for name in step.after if name in names)) for step in chosen)


def _preparing(machine: Machine, request: Request) -> Iterator[Step]:
    work, length = request.work, (str(request.frames), str(request.compared))
    clips = Step("clips", limit_s=300, made=_clip(work, "short"))
    yield _in(machine.able(_CLIP), clips, "-m", "bench._gpu_clips", str(work), *length)
    for variant in request.variants:
        folder = work / variant
        made = Step(f"export {variant}", limit_s=1800, made=folder / "bundle" / "manifest.json")
        given = [str(request.checkpoints[variant])] if variant in request.checkpoints else []
        yield _in(machine.able(_EXPORT), made, "-m", "bench._gpu_prepare", variant, str(folder), *given)
        after = ("clips", made.name)
        truth = Step(f"reference {variant}", limit_s=1800, after=after, made=folder / "reference")
        able = machine.able((*_RUN, "onnxruntime"))
        yield _in(able, truth, "infer.py", *_infer(work, variant, "onnxruntime", "reference"), "--precision", "fp32")


def _on_gpu(machine: Machine, request: Request) -> Iterator[Step]:
    """Tests, engines, frames, speed."""
    # The bundle whose engines are tested: in half precision, as users compile it; the shipped one where it is not made.
    bundle = {"VIDMEND_GPU_BUNDLE": str(request.work / VARIANTS[-1] / "bundle")}
    yield _tests(machine, Step("tests", limit_s=900, environment=bundle), (), (*_OTHERS, *_kernels()))
    able = machine.able((*_RUN, "pycuda", "PyNvVideoCodec"))
    yield _in(able, Step("decode", limit_s=300), "-m", "bench._gpu_decode", str(request.work))
    for variant in request.variants:
        yield from _engines(machine, request.work, variant)
        yield from _frames(machine, request.work, variant)
    for variant in request.variants:
        yield from _speed(machine, request.work, variant)
    yield _sanitized(machine)


def _tests(machine: Machine, step: Step, before: Sequence[str], paths: Sequence[str]) -> Step:
    """pytest on the GPU's tests among `paths`, behind the command `before`."""
    found = machine.able(_TESTS)
    if isinstance(found, str):
        return replace(step, missing=found)
    options = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", "-m", "gpu"]
    if found.lacks(["pytest_timeout"]):  # pyproject.toml sets its option, which would then be an unknown one
        options += ["-o", "addopts=--import-mode=importlib", "-W", "ignore::pytest.PytestConfigWarning"]
    command = (*before, found.program, "-m", "pytest", *options, *paths)
    return replace(step, command=command, environment={**step.environment, "VIDMEND_REQUIRE_GPU": "1"}, tests=True)


def _sanitized(machine: Machine) -> Step:
    step = Step("sanitizer", limit_s=1200)
    if machine.sanitizer is None:
        return replace(step, missing="compute-sanitizer is neither on the path nor in CUDA_HOME; it is CUDA's own")
    before = (machine.sanitizer, "--tool", "memcheck", "--target-processes", "all", "--error-exitcode", "1")
    return _tests(machine, step, before, _kernels())


def _kernels() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(_KERNELS))


def _engines(machine: Machine, work: Path, variant: str) -> Iterator[Step]:
    for name in _names(each.compilers for each in machine.interpreters):
        step = Step(_compiling(variant, name), limit_s=1800, after=(f"export {variant}",))
        able = _with(machine, "compilers", name, _COMPILE)
        capability = machine.gpu.capability if machine.gpu else ""
        yield _in(able, step, "-m", "bench._gpu_compile", str(work / variant / "bundle"), name, capability)


def _frames(machine: Machine, work: Path, variant: str) -> Iterator[Step]:
    reference = work / variant / "reference"
    for name, target in _backends(machine).items():
        after = (*_needs(machine, variant, target), f"reference {variant}")
        step = Step(f"frames {variant} {name}", limit_s=600, after=after)
        masks = _clip(work, "short").with_name("clip_mask")
        call = _infer(work, variant, name, name)
        yield _in(
            _with(machine, "backends", name, _RUN), step, "-m", "bench._gpu_frames", str(reference), str(masks), *call
        )


def _speed(machine: Machine, work: Path, variant: str) -> Iterator[Step]:
    clip, bundle = str(_clip(work, "long")), str(work / variant / "bundle")
    prepared = ("clips", f"export {variant}")
    able = machine.able((*_RUN, "torch"))
    if isinstance(able, Interpreter) and not able.torch_cuda:
        able = f"{able.variable}: its torch finds no CUDA"
    for row in (PUBLISHED, COMPILED):
        step = Step(f"speed {variant} {row}", limit_s=900, after=prepared)
        weights = str(work / variant / "weights.pth")
        yield _in(able, step, "-m", "bench._gpu_torch", row, variant, weights, clip, bundle)
    for name, target in _backends(machine).items():
        step = Step(f"speed {variant} {name}", limit_s=600, after=("clips", *_needs(machine, variant, target)))
        yield _in(_with(machine, "backends", name, _RUN), step, "-m", "bench._gpu_backend", name, clip, bundle)


def _in(able: Interpreter | str, step: Step, *arguments: str) -> Step:
    """The step as a call of an interpreter, or with what is missing for it."""
    if isinstance(able, str):
        return replace(step, missing=able)
    return replace(step, command=(able.program, *arguments))


def _with(machine: Machine, kind: str, name: str, modules: Sequence[str]) -> Interpreter | str:
    """An interpreter in which the plug-in `name` works, or why it works in none."""
    reasons: list[str] = []
    for each in machine.interpreters:
        told = getattr(each, kind).get(name)
        lacking = each.lacks(modules)
        if told is not None and told["why_not"] is None and not lacking:
            return each
        reason = f"lacks {', '.join(lacking)}" if lacking else told["why_not"] if told else "knows it not"
        reasons.append(f"{each.variable} {reason}")
    return "; ".join(reasons)


def _backends(machine: Machine) -> dict[str, str]:
    """Backends whose tensors are in the GPU's memory, each with the target that it runs."""
    return {
        name: told["target"]
        for each in machine.interpreters
        for name, told in each.backends.items()
        if told["memory"] == "cuda"
    }


def _needs(machine: Machine, variant: str, target: str) -> tuple[str, ...]:
    compiled = _names(each.compilers for each in machine.interpreters)
    return (f"export {variant}", *([_compiling(variant, target)] if target in compiled else []))


def _compiling(variant: str, target: str) -> str:
    return f"compile {variant} {target}"


def _names(tables: Iterator[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))


def _infer(work: Path, variant: str, backend: str, out: str) -> list[str]:
    """The arguments of infer.py; the network sees the whole frame once, as the published way has it."""
    options = ["--bundle", str(work / variant / "bundle"), "--backend", backend, "--overwrite", "--json"]
    clip = str(_clip(work, "short"))
    return [clip, "--region", "full", "--cuts", "none", "--out", str(work / variant / out / "%05d.png"), *options]


def _clip(work: Path, which: str) -> Path:
    """A clip; its masks lie beside it, where infer.py finds them."""
    return work / which / "clip.mp4"
