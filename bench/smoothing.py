"""What `--temporal-smooth` gains and costs: flicker and in-hole PSNR, by radius, from one run of the network a clip.

    python -m bench.smoothing CLIP [CLIP ...]

Every clip is measured twice, at the network's own size and with the same two still holes, under which the truth is
known: `camera` moves a window over its first frame by a known step, `clip` is the clip itself, shrunk; its motion is
the optical flow between the true pictures.  Nothing is encoded.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from calib.clips import frame_of, picture_of, whole_frame
from calib.metrics import psnr_in_hole, warping_error
from runtime import backends
from runtime.bundle import DEFAULT, Bundle, PixelRule, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import RGB, Frame, Hole, Masked
from runtime.job import find_bundle
from runtime.patch import Painted, Patch
from runtime.pixels import shrink
from runtime.session import Session, Settings
from runtime.smooth import smoothed
from runtime.video import open_reader

# Pixels right and down: the window's first place, and its way from frame to frame.
CORNER, STEP = (20.0, 10.0), (3.3, 1.1)
# Top, bottom, left and right as shares of the picture.
HOLES = ((1 / 4, 11 / 24, 5 / 27, 95 / 216), (17 / 24, 13 / 16, 115 / 216, 25 / 27))
RADII = (0, 1, 2, 3)
Motion = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures without holes, and how they move."""

    name: str
    pictures: Sequence[RGB]
    motions: Sequence[Motion]  # from each picture but the first to the one before it


def main(arguments: Sequence[str]) -> int:
    """Print a line per scene and radius; returns the exit code."""
    summary = "Flicker and in-hole PSNR with and without temporal smoothing."
    parser = argparse.ArgumentParser(prog="python -m bench.smoothing", description=summary)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=30, help="of each clip at most (default: %(default)s)")
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    try:
        bundle = read_bundle(find_bundle(options.bundle))
        backend = backends.choose(options.backend, bundle, "fp32").backend
        with Session(bundle, backend, Settings(precision="fp32", seamless=False)) as session:
            print(f"{'scene':28} {'radius':>6} {'warping error':>14} {'PSNR dB':>8} {'ms a frame':>11}")
            for clip in options.clips:
                for scene in _scenes(clip, options.frames, bundle):
                    _print_rows(scene, session, bundle.manifest.pixels)
    except VidmendError as error:
        print(f"bench.smoothing: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _scenes(clip: Path, count: int, bundle: Bundle) -> list[Scene]:
    size = (bundle.manifest.pixels.width, bundle.manifest.pixels.height)
    with open_reader(clip) as reader:
        pictures = [picture_of(frame) for frame in islice(reader, count)]
    small = [np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8) for picture in pictures]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in small]
    nowhere = np.zeros((*greys[0].shape, 2), np.float32)
    found = [np.asarray(flow.calc(now, before, nowhere.copy()), np.float32) for before, now in pairwise(greys)]
    known = np.broadcast_to(np.array(STEP, np.float32), nowhere.shape)
    moved = _camera_move(clip, pictures[0], size, len(pictures))
    return [Scene(f"{clip.stem}, camera", moved, [known] * len(found)), Scene(f"{clip.stem}, clip", small, found)]


def _camera_move(clip: Path, picture: RGB, size: tuple[int, int], count: int) -> list[RGB]:
    """A window of `size` on its way over one picture."""
    ends = [first + step * (count - 1) + side + 2 for first, step, side in zip(CORNER, STEP, size, strict=True)]
    if ends[0] > picture.shape[1] or ends[1] > picture.shape[0]:
        raise UsageError(
            f"{clip}: {picture.shape[1]}x{picture.shape[0]} pixels, wanted at least {ends[0]:.0f}x{ends[1]:.0f} for a "
            f"camera move of {count} frames; take a larger clip or fewer --frames"
        )
    windows: list[RGB] = []
    for frame in range(count):
        x, y = (first + step * frame for first, step in zip(CORNER, STEP, strict=True))
        place = np.array([[1, 0, x], [0, 1, y]], np.float64)
        window = cv2.warpAffine(picture, place, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        windows.append(np.asarray(window, np.uint8))
    return windows


def _print_rows(scene: Scene, session: Session, rule: PixelRule) -> None:
    mask = _mask(scene.pictures[0])
    clip = [Masked(frame_of(picture, index), mask) for index, picture in enumerate(scene.pictures)]
    painted = [
        Painted(done.source, tuple(_viewed(patch, done.source, rule) for patch in done.patches), 0)
        for done in session.restore(clip, [whole_frame(clip[0].frame)])
    ]
    holes = [item.patches[0].hole for item in painted]
    print(f"{scene.name:28} {'truth':>6} {warping_error(scene.pictures, scene.motions, holes):14.2f}")
    for radius in RADII:
        began = time.perf_counter()
        calmer = list(smoothed(painted, radius))
        milliseconds = (time.perf_counter() - began) * 1000 / len(painted)
        shown = [_shown(item) for item in calmer]
        error = warping_error(shown, scene.motions, holes)
        decibels = psnr_in_hole(shown, scene.pictures, holes)
        print(f"{scene.name:28} {radius:>6} {error:14.2f} {decibels:8.2f} {milliseconds:11.0f}", flush=True)


def _mask(picture: RGB) -> Hole:
    rows, columns = picture.shape[:2]
    mask = np.zeros((rows, columns), np.bool_)
    for top, bottom, left, right in HOLES:
        mask[round(rows * top) : round(rows * bottom), round(columns * left) : round(columns * right)] = True
    return mask


def _viewed(patch: Patch, frame: Frame, rule: PixelRule) -> Patch:
    """With what the source shows, which a session on a GPU keeps there."""
    return replace(patch, shown=shrink(frame, patch.crop, rule))


def _shown(item: Painted) -> RGB:
    patch = item.patches[0]
    return np.where(patch.hole[..., None], patch.fill, patch.view)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
