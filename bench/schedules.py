"""What `steady` gains or costs against the published protocol, in dB, on clips whose holes are known.

    python -m bench.schedules CLIP CLIP [CLIP ...]

Every clip gets the moving masks of the next one (`CLIP_mask/` or the like beside it), so that what is under the hole is
known.  Nothing is encoded: the figures are the network's and the schedule's alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from calib.metrics import psnr_in_hole, telea
from runtime import backends, schedule
from runtime.bundle import DEFAULT, Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import RGB, Frame, Hole
from runtime.job import find_bundle
from runtime.masks import cover, find_mask_beside, open_masks, spread
from runtime.pixels import rgb_at
from runtime.session import Session, Settings
from runtime.video import VideoReader


def main(arguments: Sequence[str]) -> int:
    """Print a line per clip and the mean; returns the exit code."""
    summary = "In-hole PSNR of each schedule on real clips."
    parser = argparse.ArgumentParser(prog="python -m bench.schedules", description=summary)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=80, help="of each clip at most (default: %(default)s)")
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    try:
        _print_table(options.clips, options.frames, read_bundle(find_bundle(options.bundle)), options.backend)
    except VidmendError as error:
        print(f"bench.schedules: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _print_table(clips: Sequence[Path], count: int, bundle: Bundle, backend_name: str) -> None:
    backend = backends.choose(backend_name)[1]
    columns = (*schedule.NAMES, "telea")
    print(f"{'clip':16} {'frames':>6} " + " ".join(f"{name:>10}" for name in columns))
    rows: list[list[float]] = []
    for clip, lender in zip(clips, (*clips[1:], clips[0]), strict=True):
        frames, masks = _read(clip, lender, count)
        truth = [_rgb(frame) for frame in frames]
        holes = [_filled(mask, bundle) for mask in masks]
        row: list[float] = []
        for name in schedule.NAMES:
            session = Session(bundle, backend, Settings(schedule=name, precision="fp32"))
            repaired = session.restore(zip(frames, masks, strict=True))
            row.append(psnr_in_hole((_rgb(frame) for frame in repaired), truth, holes))
        row.append(psnr_in_hole(map(telea, truth, holes), truth, holes))
        rows.append(row)
        print(f"{clip.stem:16} {len(frames):>6} " + " ".join(f"{value:>10.2f}" for value in row), flush=True)
    print(f"{'mean':16} {'':>6} " + " ".join(f"{value:>10.2f}" for value in np.mean(rows, axis=0)))


def _read(clip: Path, lender: Path, count: int) -> tuple[list[Frame], list[Hole]]:
    """Frames of `clip` with the masks that lie beside `lender`, as many as both have."""
    masks = list(islice(_masks(lender), count))
    with VideoReader(clip) as reader:
        frames = list(islice(reader, len(masks)))
    if (frames[0].height, frames[0].width) != masks[0].shape:
        raise UsageError(f"{clip} and the masks of {lender} differ in size; name clips of one size")
    return frames, masks[: len(frames)]


def _masks(clip: Path) -> Iterator[Hole]:
    with VideoReader(clip) as reader, closing(open_masks(find_mask_beside(clip), (), reader.info)) as masks:
        for frame in reader:
            mask = masks.read(frame.index)
            yield np.zeros((frame.height, frame.width), np.bool_) if mask is None else mask


def _filled(mask: Hole, bundle: Bundle) -> Hole:
    rule = bundle.manifest.pixels
    return spread(cover(mask, rule, rule.dilate), mask.shape[1], mask.shape[0])


def _rgb(frame: Frame) -> RGB:
    return np.asarray(rgb_at(frame, frame.width, frame.height), np.uint8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
