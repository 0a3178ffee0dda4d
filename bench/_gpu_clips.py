"""The clips of the checks: python -m bench._gpu_clips WORK FRAMES COMPARED; the short one last."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench.clip import make_clip


def main(work: Path, frames: int, compared: int) -> None:
    """Make a clip to be timed and a shorter one whose frames are compared."""
    for which, length in (("long", frames), ("short", compared)):
        folder = work / which
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
        folder.mkdir(parents=True)
        make_clip(folder, length)
    print(f"{frames} and {compared} frames")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
