"""The command line of infer.py."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runtime import backends, schedule
from runtime.arguments import OneLineParser
from runtime.bundle import DEFAULT
from runtime.errors import VidmendError
from runtime.job import Job, Summary, repair
from runtime.masks import parse_box
from runtime.program import PRECISIONS
from runtime.progress import shown
from runtime.session import Settings

_EXAMPLES = """\
examples:
  python infer.py holiday.mp4 --mask logo.png          one mask for every frame
  python infer.py holiday.mp4 --mask masks/            one image a frame, by name, 2 before 10
  python infer.py holiday.mp4 --box 20,16,120,48       replace a rectangle (repeat for more)
  python infer.py holiday.mp4                          uses holiday_mask/, holiday_mask.png or holiday_mask.mp4
  python infer.py holiday.mp4 --out frames/%05d.png    lossless frames instead of a video
  python infer.py --list-backends                      what can run on this machine

exit codes: 0 done, 2 nothing was written, 3 done but frames of a damaged video are lost, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """The options of infer.py."""
    parser = OneLineParser(
        prog="infer.py",
        description="Fill holes in a video: what a mask marks is replaced, every other pixel stays the source's own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_files(parser)
    _add_choices(parser)
    parser.add_argument("--keep-going", action="store_true", help="use what decodes of a damaged video")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--list-backends", action="store_true", help="say what can run on this machine, and stop")
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("video", nargs="?", type=Path, help="the video to repair")
    add("--mask", type=Path, metavar="M", help="image, folder of images or video; white is the hole")
    add("--box", action="append", default=[], metavar="X,Y,W,H", help="a rectangle in pixels that is replaced")
    add("--dilate", type=_dilation, metavar="N", help="grow the mask by N pixels of the network (default: 4)")
    add("--out", type=Path, metavar="F", help="a video, .mp4 .mov .mkv (default: VIDEO_repaired), or out/%%05d.png")
    add("--overwrite", action="store_true", help="replace an existing output")
    add("--crf", type=_crf, default=18, metavar="N", help="H.264 quality, 0 best to 51 (default: %(default)s)")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    names = ("auto", *backends.names())
    how = "steady: even windows, bounded memory (default); reference: the published protocol"
    precision = "auto: bf16 where the CPU computes in it (default); fp32: exact"
    add = parser.add_argument
    add("--bundle", default=DEFAULT, metavar="B", help="folder, or name of a shipped bundle (default: %(default)s)")
    add("--backend", default="auto", choices=names, help="inference library (default: %(default)s)")
    add("--schedule", default="steady", choices=schedule.NAMES, help=how)
    add("--precision", default="auto", choices=PRECISIONS, help=precision)


def main(arguments: Sequence[str]) -> int:
    """Run infer.py with `arguments`; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.list_backends:
        return _list_backends()
    if options.video is None:
        parser.error("which video?")
    try:
        return _repair(_job(options), as_json=options.json)
    except VidmendError as error:
        print(f"infer.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("infer.py: interrupted; nothing was written", file=sys.stderr)
        return 130


def _job(options: argparse.Namespace) -> Job:
    video: Path = options.video
    suffix = video.suffix if video.suffix.lower() in {".mp4", ".mov", ".mkv"} else ".mp4"
    return Job(
        video=video,
        out=options.out or video.with_name(f"{video.stem}_repaired{suffix}"),
        mask=options.mask,
        boxes=tuple(parse_box(text) for text in options.box),
        bundle=options.bundle,
        backend=options.backend,
        settings=Settings(options.schedule, options.precision, options.dilate),
        crf=options.crf,
        overwrite=options.overwrite,
        keep_going=options.keep_going,
    )


def _repair(job: Job, *, as_json: bool) -> int:
    with shown(job.video.name) as progress:
        summary = repair(job, progress)
    for note in summary.notes:
        print(f"note: {note}", file=sys.stderr)
    for loss in summary.lost:
        print(f"lost: {loss}", file=sys.stderr)
    print(json.dumps(asdict(summary) | {"fps": round(summary.fps, 3)}) if as_json else describe(summary))
    return 3 if summary.lost else 0


def describe(summary: Summary) -> str:
    """The summary in one line."""
    busy = ", ".join(f"{stage} {seconds / summary.seconds:.0%}" for stage, seconds in summary.busy.items())
    return (
        f"{summary.out}: {summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.2f} fps on "
        f"{summary.backend} {summary.precision}; busy: {busy}"
    )


def _list_backends() -> int:
    for name in backends.names():
        backend = backends.get(name)
        reason = backend.why_not()
        verdict = f"can run here, in {backend.precision('auto')}" if reason is None else f"cannot run here: {reason}"
        print(f"{name:12} {verdict}")
    return 0


def _crf(text: str) -> int:
    return _whole_number(text, 0, 51)


def _dilation(text: str) -> int:
    return _whole_number(text, 0, 64)


def _whole_number(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
    return int(text)
