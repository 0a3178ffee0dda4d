"""The options of export.py, and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import models
from runtime.arguments import OneLineParser
from runtime.errors import UsageError

if TYPE_CHECKING:
    from export.targets._target import Options

_EXAMPLES = """\
examples:
  python export.py                                     the weights that come with vidmend
  python export.py weights.pth --variant official      the published checkpoint, 432x240
  python export.py weights.pth --variant official --size 864x480 --out bundles/large
  python export.py weights.pth --variant official --frames 11+5  a transformer of exactly 16 frames
  python export.py weights.pth --variant official --dry-run      check the checkpoint, write nothing
  python export.py --triton triton-models --bundle bundles/large a model repository of Triton, from a bundle
  python export.py --int8 --calib clips/ --holdout others/       int8, within 0.1 dB on clips that it has not seen

Then: python infer.py VIDEO --mask M --bundle bundles/MODEL-official

exit codes: 0 done, 2 refused or failed and nothing was written, 130 interrupted and nothing was written"""

MAX_DROP_DB = 0.1

_OF_ENGINES = frozenset(
    {
        "target",
        "compute_capabilities",
        "frames_range",
        "workspace",
        "opt_level",
        "timing_cache",
        "hardware_compat",
        "version_compat",
    }
)
_OF_TRITON = frozenset({"triton", "force", "target", "compute_capabilities"})
_MODES: Mapping[str, tuple[str, frozenset[str]]] = MappingProxyType(  # the reason to refuse others, the options used
    {
        "inspect": ("--inspect prints what is in the bundle and writes nothing", frozenset[str]()),
        "compile": ("--compile takes the bundle's own graphs, in the type that they have", _OF_ENGINES),
        "bundle": ("--triton takes the files that --bundle has", frozenset[str]()),
    }
)


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
    add("--model", metavar="NAME", help=f"network (default: {models.DEFAULT})")
    out = "the bundle's folder (default: bundles/MODEL-VARIANT[-WxH][-N+R][-int8], as --size, --frames and --int8 say)"
    add("--variant", metavar="V", help="trained form of the network (default: the one that fits, if only one does)")
    add("--out", type=Path, metavar="DIR", help=out)
    add("--target", metavar="NAME,...", help="what to make of each stage (default: onnx; in half, what is installed)")
    add("--fp16", action="store_true", help="half precision for engines; CPUs keep their float32 graphs")
    add("--bf16", action="store_true", help="the same in bfloat16")
    add("--int8", action="store_true", help="int8 for CPUs and TensorRT engines, from value ranges on real clips")
    add("--size", metavar="WxH", help="picture size of the network, multiples of 48 (default: the variant's own)")
    add("--frames", metavar="N+R", help="exactly N target and R reference frames in a call (default: any number)")
    add("--force", action="store_true", help="replace an existing bundle")
    add("--dry-run", action="store_true", help="check everything, say what would be made, write nothing")
    add("--compile", type=Path, metavar="BUNDLE", help="add engines to a folder or shipped bundle, from its graphs")
    add("--inspect", type=Path, metavar="BUNDLE", help="print all that is in it, and what of it runs here")
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


def _mebibytes(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of MiB from 1 on")
    return int(text)


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
    add("--workspace", type=_mebibytes, metavar="MIB", help="scratch memory that a layer may use")
    add("--opt-level", type=int, choices=range(6), metavar="0-5", help="build time against speed")
    add("--timing-cache", type=Path, metavar="FILE", help="timings kept from build to build (TensorRT)")
    add("--hardware-compat", action="store_true", help="engines for every GPU of SM 8.0 or later (TensorRT 8.6)")
    add("--version-compat", action="store_true", help="engines for later versions of the library (TensorRT 8.6)")


def refuse_unused(options: argparse.Namespace) -> None:
    """Raise `UsageError` at options that have no meaning beside `--inspect`, `--compile` or `--bundle`."""
    for mode, (why, used) in _MODES.items():
        if getattr(options, mode) is None:
            continue
        known = {mode} | used | (frozenset[str]() if options.triton is None else _OF_TRITON)
        given = [name for name, value in vars(options).items() if value not in (None, []) and value is not False]
        if unused := [_shown(name) for name in given if name not in known]:
            raise UsageError(f"{why}; leave out {', '.join(unused)}")
        return


def _shown(name: str) -> str:
    return "the checkpoint" if name == "checkpoint" else f"--{name.replace('_', '-')}"


def targets_of(options: argparse.Namespace) -> list[str]:
    """What to make of each stage, as asked; none: what is installed."""
    return [] if options.target is None else options.target.split(",")


def engine_options(options: argparse.Namespace) -> Options:
    """How engines are built; raises `UsageError`."""
    from export.choice import parse_capabilities, parse_range
    from export.targets._target import Options

    listed = options.compute_capabilities
    _check_timing_cache(options.timing_cache)
    return Options(
        capabilities=parse_capabilities(listed) if listed else (),
        workspace_mib=options.workspace,
        opt_level=options.opt_level,
        timing_cache=options.timing_cache,
        hardware_compat=options.hardware_compat,
        version_compat=options.version_compat,
        frames=parse_range(options.frames_range) if options.frames_range else None,
    )


def _check_timing_cache(path: Path | None) -> None:
    """Raise `UsageError` where a file could not be written; after a build it would be too late."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        found = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError(f"--timing-cache {path}: {found}; wanted a file, there already or to be made, in a folder")


def budget_of(options: argparse.Namespace) -> float:
    """Decibels that int8 may lose."""
    return MAX_DROP_DB if options.max_drop_db is None else options.max_drop_db
