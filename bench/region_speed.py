"""How long a clip with a logo of 5% of the frame takes from file to file, by the way the network looks at it.

    python -m bench.region_speed CLIP [--bundle BUNDLE]

The clip's first frames are copied losslessly enough (CRF 12) to a file of their own first, so that any clip will do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from runtime.boxes import Box
from runtime.bundle import DEFAULT
from runtime.errors import VidmendError
from runtime.job import Job
from runtime.masks import Request
from runtime.progress import silent
from runtime.regions import Choice
from runtime.repair import repair
from runtime.summary import Summary
from runtime.video import Encoding, open_reader, open_work, open_writer, probe

MODES = {"auto": Choice("auto"), "full": Choice("full"), "tiles": Choice("tiles")}
NETWORK = ("upload", "encoder", "transformer", "decoder", "download")
SIDE = 0.2236  # of the frame's width and height: a twentieth of its area


def main(arguments: Sequence[str]) -> int:
    """Print a row per mode; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.region_speed", description="Speed of crops and of tiles.")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=40, help="of the clip (default: %(default)s)")
    parser.add_argument("--modes", default=",".join(MODES), help="default: %(default)s")
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="vidmend-bench-") as folder:
            clip = Path(folder) / "clip.mp4"
            request = Request(boxes=(_begin_of(options.clip, clip, options.frames),))
            print(f"{'mode':6} {'regions':>7} {'frames':>6} {'seconds':>8} {'fps':>7} {'all but the network':>20}")
            for mode in options.modes.split(","):
                out = clip.with_name(f"{mode}.mp4")
                job = Job(
                    clip,
                    out,
                    masks=request,
                    cuts="none",
                    regions=MODES[mode],
                    bundle=options.bundle,
                    backend=options.backend,
                )
                _print(mode, repair(job, silent))
    except VidmendError as error:
        print(f"bench.region_speed: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _begin_of(source: Path, clip: Path, frames: int) -> Box:
    """Write the first frames of `source` to `clip`; the logo's place in them."""
    info = replace(probe(source), frames=frames, audio=False)
    with (
        open_reader(source) as reader,
        open_work(clip, "", resume=False, overwrite=True) as work,
        open_writer(clip, info, Encoding("h264", crf=12), work) as writer,
    ):
        for frame in islice(reader, frames):
            writer.write(frame)
    wide, tall = round(info.width * SIDE), round(info.height * SIDE)
    return Box(info.width - wide - 60, 60, wide, tall)


def _print(mode: str, summary: Summary) -> None:
    network = sum(summary.busy.get(stage, 0.0) for stage in NETWORK)
    rest = (sum(summary.busy.values()) - network) / sum(summary.busy.values())
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary.busy.items())
    figures = f"{len(summary.regions):>7} {summary.frames:>6} {summary.seconds:>8.1f} {summary.fps:>7.3f} {rest:>20.0%}"
    print(f"{mode:6} {figures}   {stages}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
