"""The options of infer.py, and the jobs that they mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from runtime import backends, batch, schedule
from runtime.arguments import OneLineParser
from runtime.boxes import parse_box
from runtime.bundle import DEFAULT
from runtime.composite import MAX_FEATHER
from runtime.decoding import AUTO, DECODERS
from runtime.errors import UsageError
from runtime.job import Job
from runtime.masks import Request
from runtime.patterns import is_pattern
from runtime.program import PRECISIONS
from runtime.regions import Choice
from runtime.session import Settings
from runtime.video import CODECS, Encoding

REGIONS = ("auto", "full", "tiles")

_WHOLE = re.compile(r"[0-9]{1,9}")
_RATE = re.compile(r"[0-9./]{1,40}")  # what a fraction is made of; an exponent might ask for a number of any length
_ROUNDED = Fraction(1, 200)  # frames a second, by which a rate that is written with a point may be off
_EXAMPLES = """\
examples:
  python infer.py holiday.mp4                          the mask beside it, else the logo or text that stays put
  python infer.py holiday.mp4 --mask logo.png          one mask for every frame
  python infer.py holiday.mp4 --mask masks/            one image a frame, by name, 2 before 10
  python infer.py holiday.mp4 --box 20,16,120,48       replace a rectangle (repeat for more)
  python infer.py holiday.mp4 --box 20,16,120,48@2.5-7 from second 2.5 to 7 only
  python infer.py holiday.mp4 --mask logo.png --preview look.png   see mask and regions first
  python infer.py holiday.mp4 --resume                 go on after an interruption
  python infer.py clips/*.mp4 --mask auto --out done/  several videos
  python infer.py holiday.mp4 --out stills/%05d.png    lossless frames instead of a video
  python infer.py --list-backends                      what can run on this machine

exit codes: 0 done, 2 nothing was written, 3 done but frames of a damaged video are lost, 4 some of several videos
failed, 130 interrupted, 141 whoever read what it prints has gone"""


def build_parser() -> argparse.ArgumentParser:
    """The options of infer.py."""
    parser = OneLineParser(
        prog="infer.py",
        description="Fill holes in videos: what a mask marks is replaced, every other pixel stays the source's own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    video = "the video, or a folder or pattern of pictures; several are done one by one"
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help=video)
    _add_holes(parser)
    _add_output(parser)
    _add_network(parser)
    _add_run(parser)
    return parser


def _add_holes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is replaced").add_argument
    mask = "image, folder of images or video, white is the hole; 'auto': an overlay that stays put; 'alpha': where the "
    mask += "video is transparent (repeat to unite; default: VIDEO_mask/, VIDEO_mask.png or "
    mask += "VIDEO_mask.mp4 beside it, else auto)"
    add("--mask", action="append", default=[], metavar="M", help=mask)
    add("--box", action="append", default=[], metavar="X,Y,W,H[@A-B]", help="a rectangle, from second A to B")
    add("--invert-mask", action="store_true", help="black is the hole")
    add("--yes", action="store_true", help="a mask that covers most of the picture is meant so")
    add("--dilate", type=_dilation, metavar="N", help="grow the hole by N pixels of the network (default: 4)")
    add("--feather", type=_feather, default=0, metavar="N", help="blend into the source over N pixels around the hole")


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the result").add_argument
    out = "a video, .mp4 .mov .mkv .webm (default: VIDEO_repaired), out/%%05d.png, or a folder: out/. Pictures are "
    out += "numbered from 0, whatever the number of the first one that is read"
    add("--out", metavar="F", help=out)
    replace = "replace an existing output; of pictures all that have such a name"
    add("--overwrite", action="store_true", help=replace)
    add("--codec", default="source", choices=("source", *CODECS), help="default: the source's own")
    add("--crf", type=_crf, metavar="N", help="quality, 0 best; the scale is the codec's (default: 18 for h264)")
    add("--preset", metavar="P", help="the encoder's own name for how hard it tries")
    add("--report", type=Path, metavar="FILE.html", help="write what was done, with pictures before and after")
    add("--preview", type=Path, metavar="PNG", help="draw mask and regions over a few frames; repair nothing")


def _add_network(parser: argparse.ArgumentParser) -> None:
    how = "steady: even windows, bounded memory (default); reference: the published protocol"
    precision = "auto: on a CPU int8, bf16 or fp32, as a trial finds quickest; else the bundle's (default); fp32: exact"
    region = "auto: crops around the holes (default); full: the whole frame, shrunk; tiles: tiles at native resolution"
    add = parser.add_argument_group("how it is repaired").add_argument
    add("--region", default="auto", choices=REGIONS, help=region)
    upscale = "how far a fill may be enlarged before tiles are used (default: %(default)s)"
    add("--max-upscale", type=_upscale, default=Choice().max_upscale, metavar="S", help=upscale)
    add("--cuts", default="auto", metavar="auto|none|FILE", help="where scenes end; FILE: a frame or time a line")
    add("--temporal-smooth", type=_radius, default=0, metavar="N", help="calm flicker over N frames on each side")
    seamless = "move each fill to continue the picture around it (default: yes; never with reference)"
    add("--seamless", action=argparse.BooleanOptionalAction, default=True, help=seamless)
    add("--grain", action="store_true", help="give the fill the film grain of its surroundings")
    add("--deinterlace", action="store_true", help="make interlaced video progressive, at its frame rate")
    add("--fps", type=_fps, metavar="R", help="frames a second of pictures (default: 25)")
    add("--schedule", default="steady", choices=schedule.NAMES, help=how)
    pace = "speed against quality: draft, standard (default) or best"
    add("--quality", default="standard", choices=schedule.QUALITIES, help=pace)
    add("--bundle", default=DEFAULT, metavar="B", help="folder, or name of a shipped bundle (default: %(default)s)")
    add("--backend", default="auto", choices=("auto", *backends.names()), help="inference library (default: auto)")
    add("--precision", default="auto", choices=PRECISIONS, help=precision)


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the run").add_argument
    add("--resume", action="store_true", help="go on where an earlier run was stopped; keep what is done when stopped")
    add("--keep-going", action="store_true", help="use what decodes of a damaged video")
    streams = "windows under way at once, each stage on a stream of its own (default: 1 on the CPU, 2 on a GPU)"
    add("--streams", type=_streams, metavar="N", help=streams)
    threads = "of an inference library on the CPU (default: the cores this process may use)"
    add("--threads", type=_threads, metavar="N", help=threads)
    graph = "record what a GPU repeats and launch it as one (default: yes)"
    add("--cuda-graph", action=argparse.BooleanOptionalAction, default=True, help=graph)
    decoder = "auto: the GPU's own where the network runs on that GPU and it can, else the CPU (default: %(default)s)"
    add("--decoder", default=AUTO, choices=DECODERS, help=decoder)
    lines = "print JSON: a line for each video, its summary, preview or error; or one for each of --list-backends"
    add("--json", action="store_true", help=lines)
    add("--list-backends", action="store_true", help="say what can run on this machine, and stop")


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """A job for each video; raises `UsageError`."""
    videos = list(batch.expand(options.videos))
    for video, out in zip(videos, batch.outs_of(videos, options.out), strict=True):
        yield Job(
            video=video,
            out=out,
            masks=_request(options),
            find_overlay="auto" in options.mask,
            cuts=options.cuts,
            regions=Choice(options.region, options.max_upscale),
            bundle=options.bundle,
            backend=options.backend,
            settings=_settings(options),
            encoding=Encoding(options.codec, options.crf, options.preset),
            deinterlace=options.deinterlace,
            fps=options.fps,
            resume=options.resume,
            overwrite=options.overwrite,
            keep_going=options.keep_going,
            report=options.report,
            decoder=options.decoder,
        )


def refuse_unused(options: argparse.Namespace, wanted: Sequence[Job]) -> None:
    """Raise `UsageError` at options of an encoder where all results are pictures."""
    if not all(is_pattern(job.out) for job in wanted):
        return
    for name in ("codec", "crf", "preset"):
        if getattr(options, name) != getattr(Encoding(), name):
            raise UsageError(f"--{name}: has no meaning for pictures, which are lossless PNG; leave it out")


def _request(options: argparse.Namespace) -> Request:
    return Request(
        masks=tuple(Path(mask) for mask in options.mask if mask not in ("auto", "alpha")),
        boxes=tuple(parse_box(text) for text in options.box),
        alpha="alpha" in options.mask,
        invert=options.invert_mask,
        yes=options.yes,
    )


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        schedule=options.schedule,
        quality=options.quality,
        precision=options.precision,
        dilate=options.dilate,
        feather=options.feather,
        seamless=options.seamless,
        smooth=options.temporal_smooth,
        grain=options.grain,
        windows=options.streams,
        cuda_graph=options.cuda_graph,
        threads=options.threads,
    )


def _crf(text: str) -> int:
    return _whole_number(text, 0, 63)


def _dilation(text: str) -> int:
    return _whole_number(text, 0, 64)


def _feather(text: str) -> int:
    return _whole_number(text, 0, MAX_FEATHER)


def _streams(text: str) -> int:
    return _whole_number(text, 1, 8)


def _threads(text: str) -> int:
    return _whole_number(text, 1, 1024)


def _radius(text: str) -> int:
    return _whole_number(text, 0, 5)


def _whole_number(text: str, least: int, most: int) -> int:
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
    return int(text)


def _upscale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 1 <= scale <= 64:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1 to 64")
    return scale


def _fps(text: str) -> Fraction:
    try:
        rate = Fraction(text if _RATE.fullmatch(text) else 0)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"'{text}' is no frame rate; wanted one such as 25, 29.97 or 30000/1001")
    broadcast = Fraction(1000 * round(rate * 1001 / 1000), 1001)
    if "." in text and abs(rate - broadcast) < _ROUNDED:  # 23.976 and 29.97 are how people write them
        return broadcast
    return rate.limit_denominator(1001)
