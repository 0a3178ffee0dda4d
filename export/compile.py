"""Engines added to a bundle that is there already, from its own graphs: needs no checkpoint, no PyTorch, no ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from export.choice import check_range, choose_targets
from export.engines import Job, compile_bundle, lengths
from export.frames import DEMO
from export.gate import Reference
from export.targets._target import Options, Target
from runtime.bundle import Bundle, Compute, read_bundle
from runtime.errors import UsageError


def compile_into(root: Path, targets: Sequence[str], options: Options, say: Callable[[str], None]) -> Bundle:
    """Compile every stage of the bundle in `root` and record the engines; those for other GPUs stay.

    Raises a `VidmendError`, and leaves the bundle as it was, when a target or an option cannot be had here.
    """
    opened = read_bundle(root)
    manifest = opened.manifest
    narrow: Compute | None = next((typed.compute for stage in manifest.stages for typed in stage.typed), None)
    if options.frames is not None and manifest.schedule.fixed:
        raise UsageError(f"{root}: its windows have exactly one length; --frames-range needs an export of its own")
    window = (manifest.schedule.targets, manifest.schedule.references)
    if options.frames is not None:
        check_range(options.frames, window)
    chosen = choose_targets(targets, "float32" if narrow in (None, "int8") else narrow, options)
    if all(target.compiler is None for target in chosen):
        raise UsageError("--compile: nothing that compiles is installed; name a --target to hear what is missing")
    plain = frozenset(target.name for target in chosen if narrow == "int8" and not _computes_int8(target, options))
    job = Job(chosen, options, lengths(window, options.frames), plain)
    return compile_bundle(opened, job, Reference(opened, DEMO).trial, say)


def _computes_int8(target: Target, options: Options) -> bool:
    """Else its engines are made from the float32 graphs, which every bundle has: int8 is CPUs' in the first place."""
    return target.compiler is not None and target.compiler.refuse(options, "int8") is None
