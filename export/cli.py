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
from runtime.engines import unverified
from runtime.errors import UsageError, VidmendError

if TYPE_CHECKING:
    from export.build import Progress as Say
    from export.plan import Plan
    from export.targets._target import Options
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
    add("--target", metavar="NAME,...", help="what to make of each stage (default: onnx; in half, what is installed)")
    add("--fp16", action="store_true", help="half precision for engines; CPUs keep their float32 graphs")
    add("--bf16", action="store_true", help="the same in bfloat16")
    add("--size", metavar="WxH", help="picture size of the network, multiples of 48 (default: the variant's own)")
    add("--frames", metavar="N+R", help="exactly N target and R reference frames in a call (default: any number)")
    add("--force", action="store_true", help="replace an existing bundle")
    add("--dry-run", action="store_true", help="check everything, say what would be made, write nothing")
    add("--compile", type=Path, metavar="BUNDLE", help="add engines to a bundle, from its own graphs")
    add("--inspect", type=Path, metavar="BUNDLE", help="print all that is in a bundle, and what of it runs here")
    _add_engine_options(parser)
    return parser


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("engines").add_argument
    add(
        "--compute-capabilities",
        metavar="N.N,...",
        help="GPUs to build for, such as 8.6,8.9 (TensorRT-RTX; default: all)",
    )
    add(
        "--frames-range",
        metavar="A,B,C",
        help="windows of A to C frames, fastest at B (default: exactly the schedule's)",
    )
    add("--workspace", type=int, metavar="MIB", help="scratch memory that a layer may use")
    add("--opt-level", type=int, choices=range(6), metavar="0-5", help="build time against speed")
    add("--timing-cache", type=Path, metavar="FILE", help="timings kept from build to build (TensorRT)")
    add("--hardware-compat", action="store_true", help="engines for every GPU of SM 8.0 or later (TensorRT 8.6)")
    add("--version-compat", action="store_true", help="engines for later versions of the library (TensorRT 8.6)")
    add("--strip-weights", action="store_true", help="engines without weights, refitted when loaded (TensorRT 10)")


def main(arguments: Sequence[str]) -> int:
    """Run export.py; returns its exit code."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    options = build_parser().parse_args(arguments)
    try:
        if options.inspect is not None:
            return _inspect(options.inspect)
        if options.compile is not None:
            return _compile(options, console)
        _check_installed()
        return _run(options, console)
    except VidmendError as error:
        console.print(f"export.py: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("export.py: interrupted; nothing was written")
        return 130


def _inspect(root: Path) -> int:
    from export.inspection import inspect

    print("\n".join(inspect(root)))
    return 0


def _compile(options: argparse.Namespace, console: Console) -> int:
    from export.compile import compile_into

    if options.checkpoint is not None or options.fp16 or options.bf16:
        raise UsageError("--compile takes the bundle's own graphs, in the type that they have; leave the rest out")
    with _progress(console) as say:
        compile_into(options.compile, _targets(options), _engine_options(options), say)
    return _inspect(options.compile)


def _targets(options: argparse.Namespace) -> list[str]:
    return [] if options.target is None else options.target.split(",")


def _engine_options(options: argparse.Namespace) -> Options:
    from export.choice import parse_capabilities, parse_range
    from export.targets._target import Options

    listed = options.compute_capabilities
    return Options(
        capabilities=parse_capabilities(listed) if listed else (),
        workspace_mib=options.workspace,
        opt_level=options.opt_level,
        timing_cache=options.timing_cache,
        hardware_compat=options.hardware_compat,
        version_compat=options.version_compat,
        strip_weights=options.strip_weights,
        frames=parse_range(options.frames_range) if options.frames_range else None,
    )


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
                targets=_targets(options),
                fp16=options.fp16,
                bf16=options.bf16,
                options=_engine_options(options),
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
    files = [record for stage in manifest.stages for record in stage.files.values()]
    files += [item.file for stage in manifest.stages for item in (*stage.typed, *stage.engines)]
    size = sum(record.size_bytes for record in (*files, manifest.kernels.file))
    return [
        "graphs against PyTorch, float32:",
        *lines,
        *_typed(manifest),
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
            progress.reset(task, description=step)
            if not console.is_terminal:
                console.print(f"{step} ...", markup=False)

        yield say


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting needs {', '.join(missing)}, not installed here: pip install '.[cpu,export]'")
