"""Speed against quality: windows of so many targets and references, so far apart, on clips whose holes are known.

    python -m bench.quality CLIP CLIP [CLIP ...] --out quality.csv --svg quality.svg

Every clip gets the moving masks of the next one, as in `bench.schedules`; nothing is encoded.  Seconds are those of the
network's part of the run, decoding left out, each way's clips one after the other.  Flicker is the warping error in the
hole, in levels, along the motion of what is under it.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.quality_chart import Point, drawn
from bench.schedules import read_lent
from calib.clips import picture_of, replaced_in_whole, whole_frame
from calib.metrics import psnr_in_hole, warping_error
from calib.motion import Motion, estimated_motions
from runtime import backends
from runtime.bundle import DEFAULT, Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import RGB, Hole, Masked
from runtime.job import find_bundle
from runtime.session import Session, Settings
from runtime.sidecar import check_sidecar, write_sidecar

WAYS = "11+5/5,11+5/11,11+2/11,11+0/11,11+10/5,11+5/3,7+5/7,7+2/7,7+5/3,5+5/5,5+2/5,3+5/3"
_WAY = re.compile(r"(\d+)\+(\d+)/(\d+)")
_COLUMNS = (
    "way",
    "clips",
    "frames",
    "seconds_a_frame",
    "times_first",
    "psnr_in_hole_db",
    "against_first_db",
    "warping_error_levels",
)


@dataclass(frozen=True, slots=True)
class Way:
    """A schedule's numbers."""

    targets: int
    references: int
    stride: int  # frames from one window to the next

    def __str__(self) -> str:
        return f"{self.targets}+{self.references}/{self.stride}"


@dataclass(frozen=True, slots=True)
class Case:
    """A clip with holes, what is under them, and how it moves."""

    masked: Sequence[Masked]
    truth: Sequence[RGB]
    holes: Sequence[Hole]
    motions: Sequence[Motion]


@dataclass(frozen=True, slots=True)
class Row:
    """What one way came to on all clips."""

    seconds: float  # a frame
    decibels: float  # mean of the clips
    flicker: float  # levels, mean of the clips


def main(arguments: Sequence[str]) -> int:
    """Print a line per way; returns the exit code."""
    summary = "Speed and in-hole PSNR by targets, references and stride of a window."
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=summary, allow_abbrev=False)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=40, help="of each clip at most (default: %(default)s)")
    what = "TARGETS+REFERENCES/STRIDE,..., the first is what others are held against (default: %(default)s)"
    parser.add_argument("--ways", default=WAYS, help=what)
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write the table there too")
    parser.add_argument("--svg", type=Path, metavar="FILE.svg", help="draw speed against PSNR there")
    options = parser.parse_args(arguments)
    try:
        if options.svg is not None:
            check_sidecar(options.svg, ".svg", options.clips, overwrite=True)
        ways = [_way(text) for text in options.ways.split(",")]
        rows = _measured(ways, options.clips, options.frames, read_bundle(find_bundle(options.bundle)), options.backend)
        if options.out is not None:
            _write(options.out, rows, len(options.clips), options.frames)
        if options.svg is not None:
            write_sidecar(options.svg, _chart(rows).encode())
    except VidmendError as error:
        print(f"bench.quality: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _way(text: str) -> Way:
    found = _WAY.fullmatch(text)
    if found is None or not 1 <= int(found[3]) <= int(found[1]):
        raise UsageError(f"--ways {text}: wanted TARGETS+REFERENCES/STRIDE, the stride at most the targets: 11+5/5")
    return Way(*map(int, found.groups()))


def _measured(
    ways: Sequence[Way], clips: Sequence[Path], count: int, bundle: Bundle, backend_name: str
) -> dict[Way, Row]:
    if bundle.manifest.schedule.fixed:
        raise UsageError(f"{bundle.root}: takes windows of one size; name a bundle that was exported without --frames")
    chosen = backends.choose(backend_name, bundle, "auto")
    cases = [_case(clip, lender, count, bundle) for clip, lender in zip(clips, (*clips[1:], clips[0]), strict=True)]
    print(f"{'way':>9} {'s a frame':>10} {'speed':>6} {'PSNR dB':>8} {'against':>8} {'flicker':>8}")
    rows: dict[Way, Row] = {}
    for way in ways:
        settings = Settings(arithmetic=chosen.arithmetic, seamless=False)
        with Session(_paced(bundle, way), chosen.backend, settings) as session:
            list(_painted(session, cases[0], way.targets + way.references))  # opens the programs of its windows
            figures = [_timed(session, case) for case in cases]
        frames = sum(len(case.masked) for case in cases)
        seconds, decibels, flicker = zip(*figures, strict=True)
        row = Row(sum(seconds) / frames, float(np.mean(decibels)), float(np.mean(flicker)))
        first = rows.setdefault(ways[0], row)
        rows[way] = row
        print(
            f"{way!s:>9} {row.seconds:>10.3f} {first.seconds / row.seconds:>6.2f} {row.decibels:>8.2f} "
            f"{row.decibels - first.decibels:>+8.2f} {row.flicker:>8.2f}",
            flush=True,
        )
    return rows


def _paced(bundle: Bundle, way: Way) -> Bundle:
    rule = replace(
        bundle.manifest.schedule, targets=way.targets, references=way.references, neighbour_stride=way.stride
    )
    return replace(bundle, manifest=replace(bundle.manifest, schedule=rule))


def _case(clip: Path, lender: Path, count: int, bundle: Bundle) -> Case:
    masked = read_lent(clip, lender, count)
    truth = [picture_of(item.frame) for item in masked]
    holes = [replaced_in_whole(item, bundle.manifest.pixels) for item in masked]
    return Case(masked, truth, holes, list(estimated_motions(truth)))


def _painted(session: Session, case: Case, frames: int) -> list[RGB]:
    shown = case.masked[:frames]
    return [picture_of(done.frame) for done in session.restore(shown, [whole_frame(shown[0].frame)])]


def _timed(session: Session, case: Case) -> tuple[float, float, float]:
    """Seconds, in-hole PSNR and warping error of the whole clip."""
    began = time.perf_counter()
    painted = _painted(session, case, len(case.masked))
    seconds = time.perf_counter() - began
    seen = [hole & motion.visible for hole, motion in zip(case.holes[1:], case.motions, strict=True)]
    flicker = warping_error(painted, (motion.flow for motion in case.motions), [case.holes[0], *seen])
    return seconds, psnr_in_hole(painted, case.truth, case.holes), flicker


def _write(path: Path, rows: dict[Way, Row], clips: int, frames: int) -> None:
    first = next(iter(rows.values()))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for way, row in rows.items():
            ratio, gain = first.seconds / row.seconds, row.decibels - first.decibels
            figures = (
                f"{row.seconds:.4f}",
                f"{ratio:.3f}",
                f"{row.decibels:.3f}",
                f"{gain:+.3f}",
                f"{row.flicker:.3f}",
            )
            writer.writerow((str(way), clips, frames, *figures))


def _chart(rows: dict[Way, Row]) -> str:
    first = next(iter(rows.values()))
    points = [Point(str(way), first.seconds / row.seconds, row.decibels) for way, row in rows.items()]
    return drawn(points, "Speed against quality: targets+references/stride")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
