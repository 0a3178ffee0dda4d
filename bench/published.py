"""How far schedule `reference` is from the published program, pixel by pixel, with the default weights.

    python -m bench.published CLIP [--frames N]

The program is the tests' re-enactment of it (tests/oracle.py).  The clip is of the network's own size, its
masks lie beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

import models
from calib.clips import frame_of, mask_of, read_masked, whole_frame
from export.checkpoint import load, read_checkpoint
from export.plan import WEIGHTS
from runtime import backends
from runtime.bundle import DEFAULT, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.frame import Hole, Masked
from runtime.job import find_bundle
from runtime.pixels import shrink
from runtime.session import Session, Settings
from tests.oracle import Network, published


def main(arguments: Sequence[str]) -> int:
    """Compare and print one line; returns the exit code."""
    summary = "Differing pixels, reference against the published program."
    parser = argparse.ArgumentParser(prog="python -m bench.published", description=summary)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=80, help="at most (default: %(default)s)")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    try:
        _compare(options.clip, options.frames, options.backend)
    except VidmendError as error:
        print(f"bench.published: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _compare(clip: Path, count: int, backend_name: str) -> None:
    bundle = read_bundle(find_bundle(DEFAULT))
    rule = bundle.manifest.pixels
    clean = list(islice(read_masked(clip), count))
    frame = clean[0].frame
    if (frame.width, frame.height) != (rule.width, rule.height):
        raise UsageError(f"{clip}: wanted a clip of {rule.width}x{rule.height}, the network's own size")
    whole = whole_frame(frame)
    pictures = [shrink(masked.frame, whole.crop, rule) for masked in clean]
    masks = [mask_of(masked) for masked in clean]
    frames = [frame_of(picture, index) for index, picture in enumerate(pictures)]
    chosen = backends.choose(backend_name, bundle, "fp32")
    with Session(bundle, chosen.backend, Settings(schedule="reference", precision="fp32")) as session:
        restored = session.restore(map(Masked, frames, masks), [whole])
        found = [np.stack(done.frame.planes, -1) for done in restored]
    wanted = published(_network(bundle.manifest.variant), pictures, _bytes(masks), rule.width, rule.height)
    difference = np.abs(np.stack(found).astype(int) - np.stack(wanted)).max(axis=-1)
    print(
        f"{clip.stem}: {len(frames)} frames on {chosen.name} fp32 against the published program: at most "
        f"{difference.max()} grey levels apart, {np.count_nonzero(difference)} of {difference.size} pixels differ "
        f"({np.mean(difference > 0):.4%})"
    )


def _network(variant_name: str) -> Network:
    spec = models.get(models.DEFAULT)
    variant = spec.variant(variant_name)
    checkpoint = read_checkpoint(WEIGHTS / f"{spec.name}-{variant.name}.safetensors", spec.containers)
    return cast("Network", load(checkpoint, variant, variant.size))


def _bytes(masks: list[Hole]) -> list[np.ndarray]:
    return [mask.astype(np.uint8) * 255 for mask in masks]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
