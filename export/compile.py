"""Engines added to a bundle that is there already, from its own graphs: needs no checkpoint, no PyTorch, no ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from export.choice import choose_targets
from export.engines import Job, compile_bundle, lengths
from export.frames import DEMO
from export.gate import Reference
from export.targets._target import Options
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
    chosen = choose_targets(targets, narrow or "float32", options)
    if all(target.compiler is None for target in chosen):
        raise UsageError("--compile: nothing that compiles is installed; name a --target to hear what is missing")
    window = (manifest.schedule.targets, manifest.schedule.references)
    return compile_bundle(
        opened, Job(chosen, options, lengths(window, options.frames)), Reference(opened, DEMO).trial, say
    )
