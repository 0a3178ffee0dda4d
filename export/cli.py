"""The command line of export.py."""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import models
from export._int8_summary import int8_lines
from runtime.arguments import OneLineParser
from runtime.bundle import read_bundle
from runtime.engines import unverified
from runtime.errors import UsageError, VidmendError
from runtime.machine import gpus

if TYPE_CHECKING:
    from export.build import Exported
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
  python export.py --triton models --bundle bundles/large        a model repository of Triton, from a bundle
  python export.py --int8 --calib clips/ --holdout others/       int8, within 0.1 dB on clips that it has not seen

Then: python infer.py VIDEO --mask M --bundle bundles/MODEL-official

exit codes: 0 done, 2 refused or failed and nothing was written, 130 interrupted and nothing was written"""

MAX_DROP_DB = 0.1
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
    add("--int8", action="store_true", help="int8 for CPUs and TensorRT engines, from value ranges on real clips")
    add("--size", metavar="WxH", help="picture size of the network, multiples of 48 (default: the variant's own)")
    add("--frames", metavar="N+R", help="exactly N target and R reference frames in a call (default: any number)")
    add("--force", action="store_true", help="replace an existing bundle")
    add("--dry-run", action="store_true", help="check everything, say what would be made, write nothing")
    add("--compile", type=Path, metavar="BUNDLE", help="add engines to a bundle, from its own graphs")
    add("--inspect", type=Path, metavar="BUNDLE", help="print all that is in a bundle, and what of it runs here")
    add("--triton", type=Path, metavar="DIR", help="write a Triton model repository, of --bundle or of what is made")
    add("--bundle", metavar="BUNDLE", help="what --triton is made of (default: the bundle that is exported)")
    _add_int8_options(parser)
    _add_engine_options(parser)
    return parser


def _add_int8_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("int8").add_argument
    several: dict[str, Any] = {"type": Path, "action": "append", "default": [], "metavar": "PATH"}
    add("--calib", help="a clip, a folder of clips, or the ranges.json of an earlier run; may be repeated", **several)
    add(
        "--holdout",
        help="clips that the loss is measured on, none of them used for --calib; may be repeated",
        **several,
    )
    loss = "what int8 may lose in the hole, as a mean over the hold-out; layers stay in float32 until it holds"
    add("--max-drop-db", type=_decibels, metavar="DB", help=f"{loss} (default: {MAX_DROP_DB})")


def _decibels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of decibels from 0 to 100")
    return value


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
        _check_triton(options)
        if options.inspect is not None:
            return _inspect(options.inspect)
        if options.bundle is not None:
            from runtime.job import find_bundle

            return _serve(options, find_bundle(options.bundle), console)
        if options.compile is not None:
            return _compile(options, console) or _serve(options, options.compile, console)
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


def _check_triton(options: argparse.Namespace) -> None:
    """Refuse what cannot be meant, before anything is computed."""
    if options.bundle is not None and options.triton is None:
        raise UsageError("--bundle: names what --triton DIR is made of; --compile and --inspect take theirs themselves")
    if options.triton is None:
        return
    from export.triton import refuse_place

    if options.inspect is not None or (options.bundle is not None and (options.compile or options.checkpoint)):
        raise UsageError("--triton: is made of one bundle: that of --bundle, of --compile, or the one that is exported")
    refuse_place(options.triton, force=options.force)


def _serve(options: argparse.Namespace, root: Path, console: Console) -> int:
    """Write the Triton repository, where one is asked for."""
    if options.triton is None:
        return 0
    from export.triton import describe, wish_of, write_repository

    here = next((gpu.capability for gpu in gpus()), None)
    wish = wish_of(_targets(options), _engine_options(options).capabilities, here)
    opened = read_bundle(root)
    with _progress(console) as say:
        chosen = write_repository(opened, options.triton, wish, say, force=options.force)
    print("\n".join(describe(opened, chosen, options.triton)))
    return 0


def _compile(options: argparse.Namespace, console: Console) -> int:
    from export.compile import compile_into

    if options.checkpoint is not None or options.fp16 or options.bf16 or options.int8:
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


def _budget(options: argparse.Namespace) -> float:
    return MAX_DROP_DB if options.max_drop_db is None else options.max_drop_db


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
                model=options.model,
                variant=options.variant,
                out=options.out,
                targets=_targets(options),
                fp16=options.fp16,
                bf16=options.bf16,
                options=_engine_options(options),
                size=parse_size(options.size) if options.size else None,
                frames=parse_frames(options.frames) if options.frames else None,
                int8=order_of(options.calib, options.holdout, _budget(options)) if options.int8 else None,
            )
        )
        for note in plan.notes:
            console.print(f"note: {note}", markup=False)
        made = None if options.dry_run else build(plan, DEMO, say, force=options.force)
    lines = [*describe(plan), "dry run: nothing was written"] if made is None else _report(plan, made)
    print("\n".join(lines))
    return 0 if made is None else _serve(options, plan.out, console)


def _report(plan: Plan, made: Exported) -> list[str]:
    manifest = made.manifest
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
            progress.reset(task, description=step)
            if not console.is_terminal:
                console.print(f"{step} ...", markup=False)

        yield say


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting needs {', '.join(missing)}, not installed here: pip install '.[cpu,export]'")
