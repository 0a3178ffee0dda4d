"""What `steady` gains or costs against the published protocol, in dB, on clips whose holes are known.

    python -m bench.schedules CLIP CLIP [CLIP ...]

Every clip gets the moving masks of the next one (`CLIP_mask/` or the like beside it), so that what is under the hole is
known.  Nothing is encoded: the figures are the network's and the schedule's alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from calib.baselines import telea
from calib.clips import picture_of, read_masked, replaced_in_whole, whole_frame
from calib.metrics import psnr_in_hole
from runtime import backends, schedule
from runtime.bundle import DEFAULT, Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import Masked
from runtime.job import find_bundle
from runtime.session import Session, Settings
from runtime.video import open_reader


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
    backend = backends.choose(backend_name, bundle, "fp32").backend
    columns = (*schedule.NAMES, "telea")
    print(f"{'clip':16} {'frames':>6} " + " ".join(f"{name:>10}" for name in columns))
    rows: list[list[float]] = []
    for clip, lender in zip(clips, (*clips[1:], clips[0]), strict=True):
        clip_masked = read_lent(clip, lender, count)
        truth = [picture_of(masked.frame) for masked in clip_masked]
        holes = [replaced_in_whole(masked, bundle.manifest.pixels) for masked in clip_masked]
        row: list[float] = []
        for name in schedule.NAMES:
            with Session(bundle, backend, Settings(schedule=name, precision="fp32", seamless=False)) as session:
                repaired = session.restore(clip_masked, [whole_frame(clip_masked[0].frame)])
                row.append(psnr_in_hole((picture_of(done.frame) for done in repaired), truth, holes))
        row.append(psnr_in_hole(map(telea, truth, holes), truth, holes))
        rows.append(row)
        print(f"{clip.stem:16} {len(truth):>6} " + " ".join(f"{value:>10.2f}" for value in row), flush=True)
    print(f"{'mean':16} {'':>6} " + " ".join(f"{value:>10.2f}" for value in np.mean(rows, axis=0)))


def read_lent(clip: Path, lender: Path, count: int) -> list[Masked]:
    """Frames of `clip` with the masks that lie beside `lender`, as many as both have."""
    masks = [masked.hole for masked in islice(read_masked(lender), count)]
    with open_reader(clip) as reader:
        frames = list(islice(reader, len(masks)))
    hole = next((mask for mask in masks if mask is not None), None)
    if hole is not None and (frames[0].height, frames[0].width) != hole.shape:
        raise UsageError(f"{clip} and the masks of {lender} differ in size; name clips of one size")
    return list(map(Masked, frames, masks))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
