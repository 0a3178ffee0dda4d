"""infer.py's frames against those of float32: python -m bench._gpu_frames REFERENCE MASKS ARGUMENTS-OF-INFER.

REFERENCE holds lossless frames, MASKS a mask for each; the arguments write others.  Fails below `WANTED_DB`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench._gpu_steps import Figure, write_output
from runtime import cli

WANTED_DB = 50.0  # of every frame against float32
_EQUAL_DB = 200.0  # what stands for infinity where nothing differs


def main(reference: Path, masks: Path, arguments: Sequence[str]) -> int:
    """Repair, then compare; returns infer.py's exit code, or 1 when a frame is too far away."""
    code = cli.main(arguments)
    if code != 0:
        return code
    out = Path(arguments[arguments.index("--out") + 1]).parent
    wanted, found = sorted(reference.glob("*.png")), sorted(out.glob("*.png"))
    holes = sorted(masks.glob("*.png"))
    if not wanted or not len(wanted) == len(found) == len(holes):
        counts = f"{len(found)} frames, {len(wanted)} of the reference, {len(holes)} masks"
        print(f"{counts}: wanted as many of each, and at least one", file=sys.stderr)
        return 1
    pairs = [compare(*map(_picture, three)) for three in zip(found, wanted, holes, strict=True)]
    worst, inside = min(frame for frame, _ in pairs), min(hole for _, hole in pairs)
    note = f"worst of {len(pairs)} frames"
    print(write_output([Figure("frames", worst, "dB", note), Figure("in the hole", inside, "dB", note)], ""))
    if worst <= WANTED_DB:
        print(f"the worst frame is {worst:.1f} dB from float32, wanted above {WANTED_DB:g} dB", file=sys.stderr)
    return int(worst <= WANTED_DB)


def compare(
    found: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """PSNR in dB of a frame, and of the pixels that its mask marks, where most of the difference is."""
    squares = (found.astype(np.float64) - wanted) ** 2
    marked = squares[mask.max(axis=-1) > 0]
    return _db(float(squares.mean())), _db(float(marked.mean()) if marked.size else 0.0)


def _db(error: float) -> float:
    return _EQUAL_DB if error == 0.0 else 20 * math.log10(255) - 10 * math.log10(error)


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    """`[H, W, 3]`."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
