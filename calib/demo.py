"""The demo: repairs assets/demo/city.mp4, measures the result against the clean original, and draws it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calib.baselines import telea
from calib.clips import picture_of, read_masked, replaced_in_whole
from calib.metrics import psnr_in_hole
from runtime.bundle import DEFAULT, read_bundle
from runtime.errors import VidmendError
from runtime.frame import RGB, Hole
from runtime.interruption import INTERRUPTED, interruptible, run_main
from runtime.job import Job, find_bundle
from runtime.progress import shown
from runtime.repair import repair
from runtime.summary import describe
from runtime.video import open_reader

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "demo"
DAMAGED = FOLDER / "city.mp4"
CLEAN = FOLDER / "city_clean.mp4"
TINT = np.array([255, 64, 160], np.float32)  # the hole's colour in the picture
CAPTIONS = ("before", "mask", "after")


def main(arguments: Sequence[str]) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m calib.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="as infer.py has it (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            _run(options.out, options.backend)
    except VidmendError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _run(folder: Path, backend: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    repaired = folder / "city_repaired.mp4"
    print(f"repairing {DAMAGED.name}: a badge and a balloon drawn into a real video", flush=True)
    with shown(DAMAGED.name) as progress:
        summary = repair(Job(DAMAGED, repaired, backend=backend, overwrite=True), progress)
    print(describe(summary))
    rule = read_bundle(find_bundle(DEFAULT)).manifest.pixels
    damaged = list(read_masked(DAMAGED))
    before = [picture_of(masked.frame) for masked in damaged]
    after, truth = _pictures(repaired), _pictures(CLEAN)
    # The drawings' edges ring in the encoded clip: Telea, too, may replace what lies around them.
    holes = [replaced_in_whole(masked, rule) for masked in damaged]
    classical = [telea(picture, hole) for picture, hole in zip(before, holes, strict=True)]
    masks = [
        np.zeros_like(hole) if masked.hole is None else masked.hole for masked, hole in zip(damaged, holes, strict=True)
    ]
    print(
        f"PSNR under the mask, all frames, against the clean original: "
        f"vidmend {psnr_in_hole(after, truth, masks):.2f} dB, Telea {psnr_in_hole(classical, truth, masks):.2f} dB"
    )
    middle = len(before) // 2
    picture = folder / "before_mask_after.png"
    _panels(before[middle], masks[middle], after[middle]).save(picture)
    print(f"look at {picture} and {repaired}")


def _pictures(path: Path) -> list[RGB]:
    with open_reader(path) as reader:
        return [picture_of(frame) for frame in reader]


def _panels(before: RGB, hole: Hole, after: RGB) -> Image.Image:
    """Three pictures side by side with their captions."""
    marked = before.copy()
    marked[hole] = (0.35 * before[hole] + 0.65 * TINT).astype(np.uint8)
    gap = 12
    height, width = before.shape[:2]
    sheet = Image.new("RGB", (3 * width + 2 * gap, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(26)
    for position, (picture, caption) in enumerate(zip((before, marked, after), CAPTIONS, strict=True)):
        left = position * (width + gap)
        sheet.paste(Image.fromarray(picture), (left, 0))
        _, _, right, bottom = draw.textbbox((0, 0), caption, font=font)
        draw.rounded_rectangle((left + 14, 14, left + 38 + right, 30 + bottom), 10, fill=(16, 18, 24))
        draw.text((left + 26, 21), caption, font=font, fill="white")
    return sheet


if __name__ == "__main__":
    sys.exit(run_main("calib.demo", sys.argv[1:]))
