"""Which targets an export makes, and with which options: checked before anything is computed.

Imports neither PyTorch nor ONNX, so that engines can be compiled from a bundle where there is neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from export import targets
from export.targets._target import Half, Options, Target
from runtime.bundle import Compute
from runtime.errors import ExportError, UsageError


def choose_targets(names: Sequence[str], compute: Compute | None, options: Options) -> tuple[Target, ...]:
    """The targets called `names`; of none, the graph and, where a type is asked for, every compiler that is installed.

    Raises `ExportError` where one cannot be made here, `UsageError` where its version cannot do what `options` ask.
    """
    if not names:
        known = [targets.get(name) for name in targets.names()]
        chosen = [target for target in known if target.compiler is None or (compute and _makes(target, compute))]
    else:
        chosen = [targets.get(name) for name in dict.fromkeys(names)]
    for target in chosen:
        if reason := target.why_not():
            raise ExportError(f"target '{target.name}': {reason}")
        if target.compiler is not None and (reason := target.compiler.refuse(options, compute or "float32")):
            raise UsageError(f"target '{target.name}': {reason}")
    if options != Options() and all(target.compiler is None for target in chosen):
        raise UsageError("options of engines without an engine: name one with --target, such as --target tensorrt_rtx")
    return tuple(chosen)


def _makes(target: Target, compute: Compute) -> bool:
    """Whether a target that compiles can make that type here at all."""
    compiler = target.compiler
    return compiler is not None and target.why_not() is None and compiler.refuse(Options(), compute) is None


def half_of(*, fp16: bool, bf16: bool) -> Half | None:
    """The type asked for; raises `UsageError` on both."""
    if fp16 and bf16:
        raise UsageError("--fp16 and --bf16: choose one of them")
    return "float16" if fp16 else "bfloat16" if bf16 else None


def precision_notes(chosen: Sequence[Target]) -> tuple[str, ...]:
    """Half precision is an engine's business; where none is made, what is missing and how to get it."""
    if any(target.compiler is not None for target in chosen):
        return ()
    compilers = [target for name in targets.names() if (target := targets.get(name)).compiler is not None]
    reasons = [f"{target.name}: {target.why_not() or 'installed; name it with --target.'}" for target in compilers]
    note = (
        f"no engine is made, the half-precision graphs lie in the bundle beside the float32 ones that CPUs run. "
        f"{' '.join(reasons)} Then: python export.py --compile BUNDLE"
    )
    return (note,)


def parse_range(text: str) -> tuple[int, int, int]:
    """`least,usual,most` frames of a window, such as 1,16,32; raises `UsageError`."""
    found = re.fullmatch(r"(\d{1,3}),(\d{1,3}),(\d{1,3})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= int(found[3]):
        raise UsageError(f"--frames-range {text}: wanted LEAST,USUAL,MOST frames, ascending, such as 1,16,32")
    return int(found[1]), int(found[2]), int(found[3])


def check_range(frames: tuple[int, int, int], window: tuple[int, int]) -> None:
    """Raise `UsageError` unless the full window, targets and references, is one of those that `frames` are for.

    Every clip but the shortest has it; what is below `frames` are short scenes', which a clip need not have.
    """
    full = sum(window)
    if not frames[0] <= full <= frames[2]:
        raise UsageError(
            f"--frames-range {','.join(map(str, frames))}: leaves out the full window, which has "
            f"{window[0]}+{window[1]} = {full} frames; wanted LEAST,USUAL,MOST around it, such as 1,{full},{full}"
        )


def parse_capabilities(text: str) -> tuple[str, ...]:
    """Compute capabilities with commas, such as 8.6,8.9; raises `UsageError`."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(re.fullmatch(r"\d{1,2}\.\d", part) for part in parts):
        raise UsageError(f"--compute-capabilities {text}: wanted numbers with commas, such as 8.6,8.9,12.0")
    return parts
