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
from runtime.arguments import OneLineParser
from runtime.errors import UsageError, VidmendError

if TYPE_CHECKING:
    from export.build import Progress as Say
    from export.plan import Plan
    from runtime.bundle import Manifest

_EXAMPLES = """\
examples:
  python export.py                                     the weights that come with vidmend
  python export.py weights.pth --variant official      the published checkpoint, 432x240
  python export.py weights.pth --variant official --size 864x480 --out bundles/large
  python export.py weights.pth --variant official --frames 11+5  a transformer of exactly 16 frames
  python export.py weights.pth --variant official --dry-run      check the checkpoint, write nothing

Then: python infer.py VIDEO --mask M --bundle bundles/MODEL-official

exit codes: 0 done, 2 refused or failed and nothing was written, 130 interrupted and nothing was written"""

_NEEDED = ("torch", "onnx", "onnxruntime", "polygraphy", "safetensors")


def build_parser() -> argparse.ArgumentParser:
    """The options of export.py."""
    parser = OneLineParser(
        prog="export.py",
        description="Turn a trained checkpoint into a bundle that infer.py runs, and compare each graph with PyTorch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("checkpoint", nargs="?", type=Path, metavar="CHECKPOINT", help=".pth or .safetensors (default: vidmend's own)")
    add("--model", default=models.DEFAULT, metavar="NAME", help="network (default: %(default)s)")
    add("--variant", metavar="V", help="trained form of the network (default: the one that fits, if only one does)")
    add("--out", type=Path, metavar="DIR", help="the bundle's folder (default: bundles/MODEL-VARIANT)")
    add("--target", default="onnx", metavar="NAME,...", help="what to make of each stage (default: %(default)s)")
    add("--fp16", action="store_true", help="half precision, for targets that compile")
    add("--size", metavar="WxH", help="picture size of the network, multiples of 48 (default: the variant's own)")
    add("--frames", metavar="N+R", help="exactly N target and R reference frames in a call (default: any number)")
    add("--force", action="store_true", help="replace an existing bundle")
    add("--dry-run", action="store_true", help="check everything, say what would be made, write nothing")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run export.py; returns its exit code."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    options = build_parser().parse_args(arguments)
    try:
        _check_installed()
        return _run(options, console)
    except VidmendError as error:
        console.print(f"export.py: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("export.py: interrupted; nothing was written")
        return 130


def _run(options: argparse.Namespace, console: Console) -> int:
    with _progress(console) as say:
        say("loading PyTorch")
        from export.build import build
        from export.frames import DEMO
        from export.plan import Request, describe, make_plan, parse_frames, parse_size

        say("reading the checkpoint")
        plan = make_plan(
            Request(
                checkpoint=options.checkpoint,
                model=options.model,
                variant=options.variant,
                out=options.out,
                targets=options.target.split(","),
                fp16=options.fp16,
                size=parse_size(options.size) if options.size else None,
                frames=parse_frames(options.frames) if options.frames else None,
            )
        )
        for note in plan.notes:
            console.print(f"note: {note}", markup=False)
        manifest = None if options.dry_run else build(plan, DEMO, say, force=options.force)
    lines = [*describe(plan), "dry run: nothing was written"] if manifest is None else _report(plan, manifest)
    print("\n".join(lines))
    return 0


def _report(plan: Plan, manifest: Manifest) -> list[str]:
    lines = [
        f"{record.stage:<12} {record.frames:<24} max abs {record.max_abs:.2e} (allowed {record.tolerance:.2e})"
        f"  PSNR {record.psnr_db:.1f} dB"
        for record in manifest.parity
    ]
    size = sum(record.size_bytes for stage in manifest.stages for record in stage.files.values())
    return [
        "graphs against PyTorch, float32:",
        *lines,
        f"bundle: {plan.out} ({size / 1e6:.1f} MB, weights stored as {manifest.precision.storage})",
    ]


@contextmanager
def _progress(console: Console) -> Generator[Say]:
    """A spinner with the step's name and its time; steps are printed one a line where there is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def say(step: str) -> None:
            progress.reset(task, description=step)
            if not console.is_terminal:
                console.print(f"{step} ...", markup=False)

        yield say


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting needs {', '.join(missing)}, not installed here: pip install '.[cpu,export]'")
