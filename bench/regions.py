"""What it gains or costs to look at crops instead of the whole frame, in dB and in detail, on clips of 1080p and more.

    python -m bench.regions CLIP[@FIRST] [CLIP[@FIRST] ...]

Holes are drawn into FRAMES frames from number FIRST on, so that what is under them is known; nothing is encoded.  The
first of them, one stride, are repaired, by one window a region with all its references.  Both figures are over the
samples of the mask itself, which are the same for every way of looking.  Detail is the mean absolute Laplacian of the
fill's luma over the truth's: 1 is as sharp, 0 is flat.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from calib.clips import picture_of
from calib.metrics import psnr_in_hole
from runtime import backends
from runtime.bundle import DEFAULT, Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import RGB, Frame, Hole, Masked, MaskRun
from runtime.job import find_bundle
from runtime.program import Backend
from runtime.regions import Canvas, Choice, Region, plan
from runtime.session import Session, Settings
from runtime.video import open_reader

FRAMES = 61  # of each clip: the first window then finds all its references


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangular hole, in thousandths of the frame's width and height."""

    name: str
    left: int
    top: int
    width: int
    height: int
    step: tuple[int, int] = (0, 0)  # by which it moves from frame to frame

    def drawn(self, frame: Frame, number: int) -> Hole:
        """The hole `[H, W]` in the clip's frame `number`."""
        left, top = self.left + number * self.step[0], self.top + number * self.step[1]
        columns = slice(left * frame.width // 1000, (left + self.width) * frame.width // 1000)
        rows = slice(top * frame.height // 1000, (top + self.height) * frame.height // 1000)
        hole = np.zeros((frame.height, frame.width), np.bool_)
        hole[rows, columns] = True
        return hole


SHAPES = (
    Shape("small logo", 880, 60, 83, 83),
    Shape("logo of 5%", 740, 60, 224, 224),
    Shape("subtitles", 190, 860, 625, 84),
    Shape("block of 20%", 280, 300, 447, 447),
    Shape("small mover", 250, 500, 104, 185, (6, 0)),
    Shape("large mover", 150, 350, 250, 370, (6, 3)),
)


def main(arguments: Sequence[str]) -> int:
    """Print a row per clip, hole and way of looking; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.regions", description="Crops against whole frames.")
    parser.add_argument("clips", nargs="+", metavar="CLIP[@FIRST]")
    parser.add_argument("--shapes", default=",".join(shape.name for shape in SHAPES), help="default: %(default)s")
    ways = "which, of full, tiles, auto, auto:MAX, auto:MAX:SHARE and scale:S (default: %(default)s)"
    parser.add_argument("--ways", default="full,auto,scale:1,scale:1.5,scale:2,scale:3", help=ways)
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    try:
        shapes = [shape for shape in SHAPES if shape.name in options.shapes.split(",")]
        ways = [(way, parse_way(way)) for way in options.ways.split(",")]
        bundle = read_bundle(find_bundle(options.bundle))
        with closing(Meter(bundle, backends.choose(options.backend, bundle, "fp32").backend)) as meter:
            print(f"{'clip':16} {'from':>5} {'hole':12} {'way':12} {'regions':>7} {'scale':>5} {'dB':>6} {'detail':>6}")
            for clip in options.clips:
                meter.measure(clip, shapes, ways)
    except VidmendError as error:
        print(f"bench.regions: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parse_way(text: str) -> Choice:
    """`full`, `tiles`, `auto[:MAX[:SHARE]]`, or `scale:S` for crops of that scale; raises `UsageError`."""
    name, *numbers = text.split(":")
    try:
        figures = [float(number) for number in numbers]
    except ValueError:
        figures = []
    if name == "scale" and len(figures) == 1:
        return Choice("auto", figures[0], share=0.001)  # whatever the hole, it would need more
    if name == "auto" and len(figures) == len(numbers) <= 2:
        return Choice("auto", *figures)
    if name in {"full", "tiles"} and not numbers:
        return Choice("full" if name == "full" else "tiles")
    raise UsageError(f"--ways {text}: wanted full, tiles, auto, auto:MAX, auto:MAX:SHARE or scale:S, such as auto:2.5")


class Meter:
    """One bundle on one backend, and the rows that it prints."""

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self._stride = bundle.manifest.schedule.neighbour_stride
        self._session = Session(bundle, backend, Settings(precision="fp32", seamless=False))

    def close(self) -> None:
        """Let go of the session."""
        self._session.close()

    def measure(self, clip: str, shapes: Sequence[Shape], ways: Sequence[tuple[str, Choice]]) -> None:
        """Every shape in every way, on one clip."""
        name, _, first = clip.partition("@")
        with open_reader(Path(name)) as reader:
            frames = list(islice(reader, int(first or 0), int(first or 0) + FRAMES))
        if len(frames) < FRAMES:
            raise UsageError(f"{clip}: {len(frames)} frames from there on, wanted {FRAMES}")
        truth = [picture_of(frame) for frame in frames[: self._stride]]
        for shape in shapes:
            masked = [Masked(replace(frame, index=i), shape.drawn(frame, i)) for i, frame in enumerate(frames)]
            known: dict[tuple[Region, ...], tuple[float, float]] = {}
            for way, choice in ways:
                regions = self._plan(masked, choice)
                if regions not in known:  # two ways may come to the same
                    known[regions] = self._quality(masked, truth, regions)
                scale = max(region.crop.width for region in regions) / self._session.picture[0]
                decibels, detail = known[regions]
                label = f"{Path(name).stem:16.16} {first:>5} {shape.name:12} {way:12}"
                print(f"{label} {len(regions):>7} {scale:>5.2f} {decibels:>6.2f} {detail:>6.2f}", flush=True)

    def _plan(self, masked: Sequence[Masked], choice: Choice) -> tuple[Region, ...]:
        """The regions of the clip that its first stride needs, for that stride alone."""
        frame = masked[0].frame
        canvas = Canvas(frame.width, frame.height, frame.layout.chroma_shift_x, frame.layout.chroma_shift_y)
        runs = [MaskRun(item.frame.index, item.frame.index, item.hole) for item in masked if item.hole is not None]
        regions = plan(runs, canvas, self._session.picture, choice)
        end = self._stride - 1
        return tuple(replace(item, last=min(item.last or 0, end)) for item in regions if item.first <= end)

    def _quality(
        self, masked: Sequence[Masked], truth: Sequence[RGB], regions: tuple[Region, ...]
    ) -> tuple[float, float]:
        with closing(self._session.restore(masked, regions)) as restored:
            found = [picture_of(done.frame) for done in islice(restored, self._stride)]
        holes = [item.hole for item in masked[: self._stride] if item.hole is not None]
        return psnr_in_hole(found, truth, holes), _detail(found, holes) / _detail(truth, holes)


def _detail(pictures: Sequence[RGB], holes: Sequence[Hole]) -> float:
    """Mean absolute Laplacian of the luma over the samples of the holes."""
    total = samples = 0.0
    for picture, hole in zip(pictures, holes, strict=True):
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        inside = cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)  # the rim is both
        total += float(np.abs(cv2.Laplacian(luma, cv2.CV_32F))[inside].sum())
        samples += int(inside.sum())
    return total / samples


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
