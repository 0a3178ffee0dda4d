"""The options of evaluate.py."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection
from pathlib import Path

from calib.baselines import BASELINES
from calib.evaluation.scene import SCENES
from calib.mask_sets import MASK_SETS
from runtime import backends, schedule
from runtime.arguments import OneLineParser
from runtime.bundle import DEFAULT
from runtime.program import PRECISIONS

NONE = "none"

_EXAMPLES = f"""\
examples:
  python evaluate.py {DEFAULT} clips/*.mp4                    under the masks of the next clip
  python evaluate.py bundles/mine clips/*.mp4 --out report/    tables, CSV and pictures
  python evaluate.py bundles/mine clips/*.mp4 --masks other,stationary,random --seed 7
  python evaluate.py bundles/mine clips/*.mp4 --schedule reference --frames 80   the published protocol
  python evaluate.py bundles/mine clips/*.mp4 --scenes clip,camera   flicker under a known motion too
  python evaluate.py bundles/mine one.mp4 --masks stationary --baselines telea --frames 20   a quick look
  python evaluate.py bundles/mine clips/*.mp4 --i3d i3d.onnx   VFID too

exit codes: 0 done, 2 nothing was written, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """The options of evaluate.py."""
    parser = OneLineParser(
        prog="evaluate.py",
        description="Measure a bundle against the truth and against classical inpainting: PSNR and SSIM of whole "
        "frames and in the hole, and how much it flickers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="folder, or name of a shipped bundle")
    add(
        "clips",
        nargs="+",
        type=Path,
        metavar="CLIP",
        help="videos without holes; CLIP_mask/ beside them for some masks",
    )
    masks = "own: beside the clip; other: beside the next clip (default); stationary: a shape that stays; random: one "
    masks += "that moves or stays, as in training; several: own,other"
    add("--masks", type=_names("mask set", MASK_SETS), default=("other",), metavar="M,...", help=masks)
    scenes = "clip: as it is, motion estimated (default); camera: a known camera move over its first frame"
    add("--scenes", type=_names("scene", SCENES), default=("clip",), metavar="S,...", help=scenes)
    baselines = f"{', '.join(BASELINES)} (default: all); {NONE}"
    add("--baselines", type=_baselines, default=tuple(BASELINES), metavar="B,...", help=baselines)
    add("--seed", type=_count, default=0, metavar="N", help="of the shapes (default: %(default)s)")
    add("--frames", type=_some, default=100, metavar="N", help="of each clip at most (default: %(default)s)")
    add("--size", type=_size, metavar="WxH", help="at which is filled and measured (default: the network's own)")
    how = "steady: as infer.py runs (default); reference: the published protocol"
    add("--schedule", default="steady", choices=schedule.NAMES, help=how)
    seamless = "move fills to continue the picture around them, as infer.py does (default: yes; never with reference)"
    add("--seamless", action=argparse.BooleanOptionalAction, default=True, help=seamless)
    add("--backend", default="auto", choices=("auto", *backends.names()), help="inference library (default: auto)")
    precision = "auto: on a CPU int8, bf16 or fp32, as a trial finds quickest; else the bundle's (default); fp32: exact"
    add("--precision", default="auto", choices=PRECISIONS, help=precision)
    add("--out", type=Path, metavar="DIR", help="a new folder for CSV, page and pictures (default: print means only)")
    add("--i3d", type=Path, metavar="FILE", help="I3D as ONNX (docs/evaluation.md): adds VFID, from two clips on")
    return parser


def _names(what: str, known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """What reads a list of names, divided by commas; each counts once."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {what} '{name}'; wanted some of {', '.join(known)}")
        return names

    return read


def _baselines(text: str) -> tuple[str, ...]:
    return () if text == NONE else _names("baseline", BASELINES)(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to 999999999")
    return int(text)


def _some(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 frames show nothing; wanted at least 1")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; wanted width and height as in 432x240")
    return int(match[1]), int(match[2])
