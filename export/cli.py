"""The command line of export.py."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import models
from export._int8_summary import int8_lines
from export.options import budget_of, build_parser, engine_options, refuse_unused, targets_of
from export.place import check_place
from runtime.bundle import read_bundle
from runtime.engines import unverified
from runtime.errors import UsageError, VidmendError
from runtime.interruption import INTERRUPTED, insist, interruptible
from runtime.machine import gpus
from runtime.shipped import find_bundle

if TYPE_CHECKING:
    from export.build import Exported
    from export.build import Progress as Say
    from export.plan import Plan
    from runtime.bundle import Manifest

_DRY = "dry run: nothing was written"
_NEEDED = ("torch", "onnx", "onnxruntime", "polygraphy", "safetensors")


def main(arguments: Sequence[str]) -> int:
    """Run export.py; returns its exit code."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    options = build_parser().parse_args(arguments)
    try:
        with interruptible():
            return _done(options, console)
    except VidmendError as error:
        console.print(f"export.py: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("export.py: interrupted; nothing was written")
        return INTERRUPTED


def _done(options: argparse.Namespace, console: Console) -> int:
    _check_triton(options)
    refuse_unused(options)
    if options.inspect is not None:
        return _inspect(find_bundle(str(options.inspect)))
    if options.bundle is not None:
        return _serve(options, find_bundle(options.bundle), console)
    if options.compile is not None:
        root = find_bundle(str(options.compile))
        _check_served(options, root)
        return _compile(options, root, console) or _serve(options, root, console)
    _check_installed()
    return _run(options, console)


def _inspect(root: Path) -> int:
    from export.inspection import inspect

    print("\n".join(inspect(root)))
    return 0


def _check_triton(options: argparse.Namespace) -> None:
    """Refuse what cannot be meant, before anything is computed."""
    if options.bundle is not None and options.triton is None:
        raise UsageError("--bundle: names what --triton DIR is made of; --compile and --inspect take theirs themselves")
    if options.triton is None:
        return
    from export.triton import SIGN, refuse_unserved, wish_of

    if options.inspect is not None or (options.bundle is not None and (options.compile or options.checkpoint)):
        raise UsageError("--triton: is made of one bundle: that of --bundle, of --compile, or the one that is exported")
    check_place(options.triton, replace=options.force, sign=SIGN)
    wish_of(targets_of(options), engine_options(options).capabilities, None)
    refuse_unserved(targets_of(options))


def _check_served(options: argparse.Namespace, root: Path) -> None:
    """Refuse what no engine that is about to be made could change."""
    if options.triton is not None:
        from export.triton import refuse_unservable

        refuse_unservable(read_bundle(root), targets_of(options))


def _serve(options: argparse.Namespace, root: Path, console: Console) -> int:
    """Write the Triton repository, where one is asked for."""
    if options.triton is None:
        return 0
    from export.triton import describe, wish_of, write_repository

    here = next((gpu.capability for gpu in gpus()), None)
    wish = wish_of(targets_of(options), engine_options(options).capabilities, here)
    opened = read_bundle(root)
    with _progress(console) as say:
        chosen = write_repository(opened, options.triton, wish, say, force=options.force)
    print("\n".join(describe(opened, chosen, options.triton)))
    return 0


def _compile(options: argparse.Namespace, root: Path, console: Console) -> int:
    from export.compile import compile_into

    with _progress(console) as say:
        compile_into(root, targets_of(options), engine_options(options), say)
    return _inspect(root)


def _run(options: argparse.Namespace, console: Console) -> int:
    if not options.int8 and (options.calib or options.holdout or options.max_drop_db is not None):
        raise UsageError("--calib, --holdout and --max-drop-db say how int8 is made: give --int8 with them")
    with _progress(console) as say:
        say("loading PyTorch")
        from export.build import build
        from export.frames import DEMO
        from export.int8 import order_of
        from export.plan import Request, describe, make_plan, parse_frames, parse_size

        say("reading the checkpoint")
        plan = make_plan(
            Request(
                checkpoint=options.checkpoint,
                model=options.model or models.DEFAULT,
                variant=options.variant,
                out=options.out,
                targets=targets_of(options),
                fp16=options.fp16,
                bf16=options.bf16,
                options=engine_options(options),
                size=parse_size(options.size) if options.size else None,
                frames=parse_frames(options.frames) if options.frames else None,
                int8=order_of(options.calib, options.holdout, budget_of(options)) if options.int8 else None,
            )
        )
        for note in plan.notes:
            console.print(f"note: {note}", markup=False)
        check_place(plan.out, replace=options.force)
        made = None if options.dry_run else build(plan, DEMO, say, force=options.force)
    lines = [*describe(plan), *_served(options), _DRY] if made is None else _report(plan, made)
    print("\n".join(lines))
    return 0 if made is None else _serve(options, plan.out, console)


def _served(options: argparse.Namespace) -> list[str]:
    """The repository that is made besides, as `describe` has a line for the bundle."""
    return [] if options.triton is None else [f"repository  {options.triton}: for Triton, a model a stage"]


def _report(plan: Plan, made: Exported) -> list[str]:
    manifest = made.manifest
    lines = [
        f"{record.stage:<12} {record.frames:<24} max abs {record.max_abs:.2e} (allowed {record.tolerance:.2e})"
        f"  PSNR {record.psnr_db:.1f} dB"
        for record in manifest.parity
    ]
    files = [record for stage in manifest.stages for record in stage.files.values()]
    files += [item.file for stage in manifest.stages for item in (*stage.typed, *stage.engines)]
    parts = [stage.part for stage in manifest.stages if stage.part is not None]
    files += [item.file for part in parts for item in (part, *part.typed)]
    size = sum(record.size_bytes for record in (*files, manifest.kernels.file))
    return [
        "graphs against PyTorch, float32:",
        *lines,
        *_typed(manifest),
        *(int8_lines(plan.out, made.evidence) if made.evidence else []),
        f"bundle: {plan.out} ({size / 1e6:.1f} MB, weights stored as {manifest.precision.storage})",
    ]


def _typed(manifest: Manifest) -> list[str]:
    """The half-precision graphs' errors, and what is not known of the engines."""
    typed = [graph for stage in manifest.stages for graph in stage.typed]
    lines = [
        f"{graph.parity.stage:<12} {graph.parity.frames:<24} max abs {graph.parity.max_abs:.2e} (allowed "
        f"{graph.parity.tolerance:.2e})  PSNR {graph.parity.psnr_db:.1f} dB, {len(graph.kept_float32)} nodes in float32"
        for graph in typed
    ]
    doubts = [doubt for stage in manifest.stages for engine in stage.engines if (doubt := unverified(engine))]
    return [*([f"graphs in {typed[0].compute} against float32:"] if typed else []), *lines, *doubts]


@contextmanager
def _progress(console: Console) -> Generator[Say]:
    """A spinner with the step's name and its time; steps are printed one a line where there is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def say(step: str) -> None:
            insist()
            progress.reset(task, description=step)
            if not console.is_terminal:
                console.print(f"{step} ...", markup=False)

        yield say


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting needs {', '.join(missing)}, not installed here: pip install '.[cpu,export]'")
